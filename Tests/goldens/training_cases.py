"""Whole training runs from given weights: the paper's network, and every optimizer on a tiny one."""

from collections import OrderedDict

import torch
from golden_file import Writer
from reference import VERSIONS, Numbers, add_scalar, add_tensor
from torch import nn

PAPER_WIDTHS = (64, 100, 100, 100, 10)
PAPER_BATCH, PAPER_STEPS, PAPER_ROWS = 60, 20, 300


def paper_network():
    layers = OrderedDict()
    for number, (inputs, units) in enumerate(zip(PAPER_WIDTHS, PAPER_WIDTHS[1:]), 1):
        layers[f"dense{number}"] = nn.Linear(inputs, units)
        if number < len(PAPER_WIDTHS) - 1:
            # momentum 0.1 here is the weight of the new statistic: 0.9 of the previous one.
            layers[f"norm{number}"] = nn.BatchNorm1d(units, eps=1e-5, momentum=0.1)
            layers[f"sigmoid{number}"] = nn.Sigmoid()
    return nn.Sequential(layers)


def set_weights(network, numbers, bound):
    """Multiples of 1/64 up to about Glorot's bound: few digits in the file, exact in float32. Biases 0, scale 1, shift 0."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 2:
                parameter.copy_(numbers.grid(parameter.shape, bound, 1 / 64))
            elif name.startswith("dense"):
                parameter.zero_()


def add_state(writer, prefix, network, keep):
    for name, tensor in network.state_dict().items():
        if keep(name):
            add_tensor(writer, f"{prefix}{name}", tensor)


def synthetic_digits(numbers):
    """Ten random 8x8 pictures, and noisy copies of them with their class."""
    pictures = [[numbers.below(9) for _ in range(64)] for _ in range(10)]
    labels = [numbers.below(10) for _ in range(PAPER_ROWS)]
    noisy = [[min(8, max(0, pixel + numbers.below(9) - 4)) / 8 for pixel in pictures[label]] for label in labels]
    return torch.tensor(noisy), torch.tensor(labels)


def write_paper_network(folder):
    numbers = Numbers(2015)
    x, labels = synthetic_digits(numbers)
    network = paper_network()
    set_weights(network, numbers, bound=12)

    start = Writer(
        f"""The paper's network with a narrow input, before training: {"-".join(map(str, PAPER_WIDTHS))}.
dense<i> -> norm<i> (epsilon 1e-5, momentum 0.9) -> sigmoid<i> for i = 1, 2, 3, then dense4. Tensors not named here
start at their defaults:
dense biases 0, scale ("weight") 1, shift ("bias") 0, running_mean 0, running_var 1, num_batches_tracked 0.
{VERSIONS}"""
    )
    add_state(start, "", network, lambda name: name.startswith("dense") and name.endswith("weight"))
    start.write(folder / "paper_network_start.golden")

    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    losses, correct = [], []
    network.train()
    for step in range(PAPER_STEPS):
        first = step * PAPER_BATCH % PAPER_ROWS
        batch, target = x[first : first + PAPER_BATCH], labels[first : first + PAPER_BATCH]
        optimizer.zero_grad()
        logits = network(batch)
        loss = nn.functional.cross_entropy(logits, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        correct.append(int((logits.argmax(1) == target).sum()))
    network.eval()
    with torch.no_grad():
        inference = network(x[:PAPER_BATCH])

    run = Writer(
        f"""{PAPER_STEPS} steps of SGD, learning rate 0.1, mean softmax cross-entropy, on paper_network_start.golden.
Step s trains on rows (60 s) mod 300 ... + 59 of x [300, 64] and labels [300], in this order, never shuffled.
losses, correct: of each step, before its update. end/<name>: the network after the last step, but for the two hidden weights of
100 x 100, which are in paper_network_hidden.golden. logits: inference on the first 60 rows afterwards.
{VERSIONS}"""
    )
    add_tensor(run, "x", x)
    add_tensor(run, "labels", labels)
    run.add("losses", "float64", (PAPER_STEPS,), losses)
    run.add("correct", "int64", (PAPER_STEPS,), correct)
    hidden = ("dense2.weight", "dense3.weight")
    add_state(run, "end/", network, lambda name: name not in hidden)
    add_tensor(run, "logits", inference)
    run.write(folder / "paper_network.golden")

    weights = Writer(f"The hidden weights at the end of paper_network.golden.\n{VERSIONS}")
    add_state(weights, "end/", network, lambda name: name in hidden)
    weights.write(folder / "paper_network_hidden.golden")


OPTIMIZERS = {
    "sgd": {"kind": 0},
    "sgd_momentum": {"kind": 0, "momentum": 0.9},
    "sgd_nesterov_decay": {"kind": 0, "momentum": 0.8, "nesterov": 1, "weight_decay": 0.01},
    "sgd_decay_everywhere": {"kind": 0, "weight_decay": 0.05, "decays_scale_shift_bias": 1},
    "adam": {"kind": 1, "learning_rate": 0.01},
    "adam_decay": {"kind": 1, "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6, "weight_decay": 0.02},
    "adamw": {"kind": 2, "learning_rate": 0.01, "weight_decay": 0.1},
}
DEFAULTS = {
    "learning_rate": 0.05,
    "momentum": 0.0,
    "nesterov": 0,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.0,
}


def tiny_network():
    # No bias before the normalisation: its gradient is zero but for rounding, and Adam would scale that rounding up.
    layers = OrderedDict(dense1=nn.Linear(5, 7, bias=False), norm1=nn.BatchNorm1d(7), tanh1=nn.Tanh(), dense2=nn.Linear(7, 3))
    return nn.Sequential(layers)


def make_optimizer(network, options):
    def decays(name):
        return options["decays_scale_shift_bias"] or name in ("dense1.weight", "dense2.weight")

    named = list(network.named_parameters())
    groups = [
        {"params": [p for n, p in named if decays(n)], "weight_decay": options["weight_decay"]},
        {"params": [p for n, p in named if not decays(n)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = options["learning_rate"]
    if options["kind"] == 0:
        return torch.optim.SGD(groups, lr=rate, momentum=options["momentum"], nesterov=bool(options["nesterov"]))
    make = torch.optim.Adam if options["kind"] == 1 else torch.optim.AdamW
    return make(groups, lr=rate, betas=(options["beta1"], options["beta2"]), eps=options["epsilon"])


def write_optimizers(folder):
    numbers = Numbers(1951)
    x, labels = numbers.bell((8, 5)), torch.tensor([numbers.below(3) for _ in range(8)])
    writer = Writer(
        f"""Ten steps of every optimizer on one batch: dense1 (5 -> 7, no bias) -> norm1 (defaults) -> tanh1 ->
dense2 (7 -> 3, with bias).
x, labels, start/<name>: common to all cases (as in paper_network_start.golden: what is not named starts at its default).
<case>/<option>: the fields of martlet_optimizer_options. <case>/losses, <case>/end/<name>: the result.
{VERSIONS}"""
    )
    add_tensor(writer, "x", x)
    add_tensor(writer, "labels", labels)
    network = tiny_network()
    set_weights(network, numbers, bound=40)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    add_state(writer, "start/", network, lambda name: name in ("dense1.weight", "dense2.weight"))
    for case, given in OPTIMIZERS.items():
        options = {**DEFAULTS, "decays_scale_shift_bias": 0, **given}
        for name, value in options.items():
            add_scalar(writer, f"{case}/{name}", value)
        network = tiny_network()
        network.load_state_dict(start)
        network.train()
        optimizer = make_optimizer(network, options)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        writer.add(f"{case}/losses", "float64", (10,), losses)
        add_state(writer, f"{case}/end/", network, lambda name: True)
    writer.write(folder / "optimizers.golden")


def write_all(folder):
    write_paper_network(folder)
    write_optimizers(folder)
