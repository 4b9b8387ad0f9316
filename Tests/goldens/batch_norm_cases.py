"""BatchNorm alone: three training steps and one inference for every combination of flags."""

import itertools

import torch
from golden_file import Writer
from reference import VERSIONS, Numbers, add_scalar, add_tensor
from torch.nn.functional import batch_norm

EPSILON, MOMENTUM = 1e-5, 0.9
TITLE = """BatchNorm on {layout}, epsilon 1e-5; three training steps on batches of different size, then inference.
{versions}
x_1 ... x_3, x_inference, grad_output_1 ... grad_output_3, scale, shift, moving_mean_0, moving_variance_0: common to all cases.
<case>/scale, shift, momentum (of the previous statistic), cumulative, biased, normalize_with_moving, updates_moving:
the options.
<case>/y_<step>, grad_input_<step>, grad_scale_<step>, grad_shift_<step>, moving_mean_<step>, moving_variance_<step>,
y_inference.
Scale and shift stay the same through the steps. The channel is the last axis."""


def options():
    """(name, flags) of every case. Where the moving statistics do not move, momentum and bias have nothing to say."""
    for scale, shift in itertools.product((1, 0), (1, 0)):
        learned = f"scale{scale}_shift{shift}"
        for cumulative, biased in itertools.product((0, 1), (0, 1)):
            name = f"{learned}_{'cumulative' if cumulative else 'moving'}_{'biased' if biased else 'unbiased'}"
            yield name, {"scale": scale, "shift": shift, "cumulative": cumulative, "biased": biased, "frozen": 0, "updates": 1}
        yield f"{learned}_frozen", {"scale": scale, "shift": shift, "cumulative": 0, "biased": 0, "frozen": 1, "updates": 0}
    yield "batch_without_update", {"scale": 1, "shift": 1, "cumulative": 0, "biased": 0, "frozen": 0, "updates": 0}


def step(x, grad_output, weight, bias, mean, variance, flags, factor):
    """One training step by PyTorch: y, the gradients, and the new moving statistics."""
    x = x.clone().requires_grad_()
    weight = weight.clone().requires_grad_() if flags["scale"] else None
    bias = bias.clone().requires_grad_() if flags["shift"] else None
    new_mean, new_variance = mean.clone(), variance.clone()
    y = batch_norm(x, new_mean, new_variance, weight, bias, training=not flags["frozen"], momentum=factor, eps=EPSILON)
    wanted = [tensor for tensor in (x, weight, bias) if tensor is not None]
    gradients = iter(torch.autograd.grad(y, wanted, grad_output))
    grad_input = next(gradients)
    grad_scale = next(gradients) if flags["scale"] else None
    grad_shift = next(gradients) if flags["shift"] else None
    if flags["biased"]:
        # PyTorch has no such option: the same average by hand, of the variance divided by n.
        rows = x.detach().movedim(1, -1).reshape(-1, x.shape[1])
        new_variance = (1 - factor) * variance + factor * rows.var(0, unbiased=False)
    return y, grad_input, grad_scale, grad_shift, new_mean, new_variance


def write(path, layout, channels, batches, inference, seed):
    """`batches`, `inference`: the shapes before the channel axis."""
    numbers = Numbers(seed)
    # Channels differ in mean and spread, so that statistics of the wrong channel cannot pass.
    means = torch.tensor([0.5 * ((7 * c) % 11) - 2 for c in range(channels)])
    deviations = torch.tensor([0.25 * (1 + (5 * c) % 7) for c in range(channels)])
    xs = [(numbers.bell((*shape, channels)) * deviations + means).float().double() for shape in batches]
    x_inference = (numbers.bell((*inference, channels)) * deviations + means).float().double()
    grad_outputs = [numbers.bell((*shape, channels)) for shape in batches]
    weight, bias = numbers.bell((channels,), 1.0, 0.5), numbers.bell((channels,))
    mean_0 = numbers.bell((channels,))
    variance_0 = (numbers.bell((channels,)) ** 2 + 0.5).float().double()

    writer = Writer(TITLE.format(layout=layout, versions=VERSIONS))
    writer.comment("<case>/..._biased: PyTorch has no biased moving variance; that average is written out by hand in float64.")
    for index, (x, grad_output) in enumerate(zip(xs, grad_outputs), 1):
        add_tensor(writer, f"x_{index}", x)
        add_tensor(writer, f"grad_output_{index}", grad_output)
    add_tensor(writer, "x_inference", x_inference)
    for name, tensor in (("scale", weight), ("shift", bias), ("moving_mean_0", mean_0), ("moving_variance_0", variance_0)):
        add_tensor(writer, name, tensor)

    def to_first(tensor):
        return tensor.movedim(-1, 1)

    def to_last(tensor):
        return tensor.movedim(1, -1)

    for case, flags in options():
        add_scalar(writer, f"{case}/scale", flags["scale"])
        add_scalar(writer, f"{case}/shift", flags["shift"])
        add_scalar(writer, f"{case}/momentum", MOMENTUM)
        add_scalar(writer, f"{case}/cumulative", flags["cumulative"])
        add_scalar(writer, f"{case}/biased", flags["biased"])
        add_scalar(writer, f"{case}/normalize_with_moving", flags["frozen"])
        add_scalar(writer, f"{case}/updates_moving", flags["updates"])
        mean, variance = mean_0, variance_0
        for index, (x, grad_output) in enumerate(zip(xs, grad_outputs), 1):
            # PyTorch's momentum is the weight of the new statistic; its momentum=None is 1 / number of batches so far.
            factor = (1 / index if flags["cumulative"] else 1 - MOMENTUM) if flags["updates"] else 0.0
            results = step(to_first(x), to_first(grad_output), weight, bias, mean, variance, flags, factor)
            y, grad_input, grad_scale, grad_shift, mean, variance = results
            add_tensor(writer, f"{case}/y_{index}", to_last(y))
            add_tensor(writer, f"{case}/grad_input_{index}", to_last(grad_input))
            if grad_scale is not None:
                add_tensor(writer, f"{case}/grad_scale_{index}", grad_scale)
            if grad_shift is not None:
                add_tensor(writer, f"{case}/grad_shift_{index}", grad_shift)
            add_tensor(writer, f"{case}/moving_mean_{index}", mean)
            add_tensor(writer, f"{case}/moving_variance_{index}", variance)
        y = batch_norm(
            to_first(x_inference),
            mean,
            variance,
            weight if flags["scale"] else None,
            bias if flags["shift"] else None,
            training=False,
            eps=EPSILON,
        )
        add_tensor(writer, f"{case}/y_inference", to_last(y))
    writer.write(path)


def write_all(folder):
    write(folder / "batch_norm_1.golden", "[rows, 1]", 1, [(4,), (7,), (3,)], (3,), seed=1)
    write(folder / "batch_norm_5.golden", "[rows, 5]", 5, [(4,), (7,), (3,)], (3,), seed=5)
    write(folder / "batch_norm_33.golden", "[rows, 33]", 33, [(3,), (5,), (2,)], (2,), seed=33)
    write(folder / "batch_norm_image.golden", "[N, 3, 2, 3]", 3, [(2, 3, 2), (3, 3, 2), (1, 3, 2)], (2, 3, 2), seed=7)
