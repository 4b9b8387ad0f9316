"""The dense layer forwards and backwards, and the losses with their gradients."""

import torch
from golden_file import Writer
from reference import VERSIONS, Numbers, add_scalar, add_tensor
from torch.nn import functional


def write_dense(folder):
    writer = Writer(
        f"""Dense: y = x W^T + b; weight [units, inputs]. Gradients for the given grad_output. Sizes chosen to leave
tails everywhere.
<case>/x, weight, bias (absent in cases named nobias), grad_output, y, grad_input, grad_weight, grad_bias.
{VERSIONS}"""
    )
    for case, rows, inputs, units, has_bias in (
        ("one", 1, 1, 1, True),
        ("small", 4, 6, 5, True),
        ("nobias", 3, 8, 16, False),
        ("tails", 17, 35, 19, True),
    ):
        numbers = Numbers(rows * 100 + inputs)
        x = numbers.bell((rows, inputs)).requires_grad_()
        weight = numbers.bell((units, inputs)).requires_grad_()
        bias = numbers.bell((units,)).requires_grad_() if has_bias else None
        grad_output = numbers.bell((rows, units))
        y = functional.linear(x, weight, bias)
        wanted = {"input": x, "weight": weight, "bias": bias}
        wanted = {name: tensor for name, tensor in wanted.items() if tensor is not None}
        gradients = torch.autograd.grad(y, list(wanted.values()), grad_output)
        for name, tensor in (("x", x), ("weight", weight), ("bias", bias), ("grad_output", grad_output), ("y", y)):
            if tensor is not None:
                add_tensor(writer, f"{case}/{name}", tensor)
        for name, tensor in zip(wanted, gradients):
            add_tensor(writer, f"{case}/grad_{name}", tensor)
    writer.write(folder / "dense.golden")


def write_losses(folder):
    writer = Writer(
        f"""Losses: mean over the rows (cross entropy) or over all elements (mean squared error, binary cross entropy
with logits).
<case>/kind (MARTLET_LOSS_...), output, target, loss, gradient; correct (rows whose largest logit is the target's
largest) for kind 0.
{VERSIONS}"""
    )
    numbers = Numbers(8)
    labels = torch.tensor([numbers.below(4) for _ in range(6)])
    probabilities = torch.tensor([[numbers.below(16) for _ in range(4)] for _ in range(6)]).double() + 0.5
    probabilities = (probabilities / probabilities.sum(1, keepdim=True)).float().double()
    logits = numbers.bell((6, 4), 0.0, 2.0)
    # Far apart and far from zero: e^x alone would overflow.
    large = torch.tensor([[1000.0, -1000.0, 0.0, 999.0], [-80.0, -81.0, -90.0, -80.5], [3e4, 3e4, 3e4, 3e4]])
    truth = torch.tensor([float(numbers.below(2)) for _ in range(15)]).reshape(5, 3)
    soft = torch.tensor([numbers.below(9) / 8 for _ in range(15)]).reshape(5, 3)
    binary = numbers.bell((5, 3), 0.0, 2.0)
    binary_large = torch.tensor([[200.0, -200.0, 0.0], [-1000.0, 1000.0, 60.0]])
    binary_targets = torch.tensor([[0.0, 1.0, 0.5], [0.0, 1.0, 0.25]])
    cases = (
        ("labels", 0, logits, labels),
        ("labels_large", 0, large, torch.tensor([3, 2, 1])),
        ("labels_one_row", 0, logits[:1], labels[:1]),
        ("probabilities", 0, logits, probabilities),
        ("mean_squared_error", 1, numbers.bell((5, 3)), numbers.bell((5, 3))),
        ("mean_squared_error_vector", 1, numbers.bell((7,)), numbers.bell((7,))),
        ("binary", 2, binary, truth),
        ("binary_soft", 2, binary, soft),
        ("binary_large", 2, binary_large, binary_targets),
    )
    functions = (functional.cross_entropy, functional.mse_loss, functional.binary_cross_entropy_with_logits)
    for case, kind, output, target in cases:
        output = output.clone().requires_grad_()
        loss = functions[kind](output, target)
        (gradient,) = torch.autograd.grad(loss, output)
        add_scalar(writer, f"{case}/kind", kind)
        add_tensor(writer, f"{case}/output", output)
        add_tensor(writer, f"{case}/target", target)
        add_scalar(writer, f"{case}/loss", loss.item())
        add_tensor(writer, f"{case}/gradient", gradient)
        if kind == 0:
            rows = target if target.dim() == 1 else target.argmax(1)
            add_scalar(writer, f"{case}/correct", int((output.argmax(1) == rows).sum()))
    writer.write(folder / "losses.golden")


def write_all(folder):
    write_dense(folder)
    write_losses(folder)
