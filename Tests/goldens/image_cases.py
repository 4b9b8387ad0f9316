"""Convolutions and poolings forwards and backwards, over kernels, strides, paddings, dilations and groups."""

import torch
from golden_file import Writer
from reference import VERSIONS, Numbers, add_scalar, add_tensor
from torch.nn import functional

# name, image (rows, height, width, channels), filters, kernel, strides, (top, bottom, left, right), dilation, groups, bias
CONVOLUTIONS = (
    ("point", (2, 3, 4, 3), 5, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, True),
    ("valid", (2, 5, 4, 2), 3, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1, True),
    ("around", (2, 4, 5, 3), 4, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, False),
    ("uneven", (1, 4, 5, 2), 2, (2, 4), (1, 1), (0, 1, 1, 2), (1, 1), 1, True),
    ("strided", (2, 6, 5, 2), 3, (3, 3), (2, 2), (0, 1, 1, 0), (1, 1), 1, True),
    ("stem", (1, 9, 8, 3), 4, (7, 7), (2, 2), (3, 3, 3, 3), (1, 1), 1, False),
    ("skipping", (2, 7, 7, 2), 2, (2, 1), (3, 4), (1, 0, 2, 0), (1, 1), 1, True),
    ("dilated", (2, 7, 8, 2), 3, (3, 2), (1, 1), (2, 2, 1, 1), (2, 3), 1, True),
    ("dilated_strided", (1, 8, 9, 2), 2, (3, 3), (2, 3), (2, 1, 2, 2), (2, 2), 1, True),
    ("groups", (2, 4, 4, 4), 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2, True),
    ("depthwise", (2, 5, 5, 5), 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 5, True),
    ("depthwise_strided", (2, 6, 5, 3), 6, (3, 3), (2, 1), (1, 0, 1, 1), (1, 1), 3, False),
    ("tails", (2, 4, 3, 9), 17, (3, 2), (1, 1), (1, 1, 0, 1), (1, 1), 1, True),
    ("padding_alone", (1, 2, 2, 1), 2, (2, 2), (2, 2), (3, 2, 4, 3), (1, 1), 1, True),
)

# name, image, kind, size, strides, (top, bottom, left, right)
POOLINGS = (
    ("max", (2, 4, 6, 3), "max", (2, 2), (2, 2), (0, 0, 0, 0)),
    ("max_overlapping", (2, 5, 5, 2), "max", (3, 3), (1, 1), (0, 0, 0, 0)),
    ("max_padded", (2, 7, 6, 17), "max", (3, 3), (2, 2), (1, 1, 1, 1)),
    ("max_uneven", (1, 5, 4, 2), "max", (2, 3), (2, 1), (1, 0, 0, 2)),
    ("max_equal", (2, 6, 6, 2), "max", (3, 3), (2, 2), (1, 1, 1, 1)),
    ("max_skipping", (1, 7, 8, 2), "max", (1, 2), (3, 3), (0, 0, 0, 0)),
    ("average", (2, 4, 6, 3), "average", (2, 2), (2, 2), (0, 0, 0, 0)),
    ("average_overlapping", (2, 5, 4, 17), "average", (3, 2), (1, 1), (0, 0, 0, 0)),
    ("average_padded", (2, 5, 6, 2), "average", (3, 3), (2, 2), (1, 1, 1, 1)),
    ("average_with_padding", (2, 5, 6, 2), "average_with_padding", (3, 3), (2, 2), (1, 1, 1, 1)),
    ("average_uneven", (1, 5, 4, 2), "average", (2, 3), (2, 1), (1, 0, 0, 2)),
    ("average_uneven_with_padding", (1, 5, 4, 2), "average_with_padding", (2, 3), (2, 1), (1, 0, 0, 2)),
    ("global", (3, 4, 5, 6), "global", (4, 5), (1, 1), (0, 0, 0, 0)),
    ("upsample", (2, 3, 2, 3), "upsample", (2, 3), (1, 1), (0, 0, 0, 0)),
    ("zero_pad", (2, 3, 2, 3), "zero_pad", (1, 1), (1, 1), (1, 0, 2, 3)),
)
KINDS = ("max", "average", "average_with_padding", "global", "upsample", "zero_pad")


def first(image):
    """Channels last to PyTorch's channels first."""
    return image.permute(0, 3, 1, 2)


def last(image):
    return image.permute(0, 2, 3, 1)


def surround(image, pads, value=0.0):
    top, bottom, left, right = pads
    return functional.pad(image, (left, right, top, bottom), value=value)


def write_convolutions(folder):
    writer = Writer(
        f"""Convolutions: x, y and their gradients [rows, height, width, channels]; weight [filters, channels / groups,
kernel height, kernel width].
<case>/kernel, strides, dilation (vertical, horizontal), pads (top, bottom, left, right), groups, x, weight, bias (absent without),
grad_output, y, grad_input, grad_weight, grad_bias.
{VERSIONS}"""
    )
    for number, (case, image, filters, kernel, strides, pads, dilation, groups, has_bias) in enumerate(CONVOLUTIONS):
        numbers = Numbers(500 + number)
        x = numbers.bell(image).requires_grad_()
        weight = numbers.bell((filters, image[3] // groups, *kernel)).requires_grad_()
        bias = numbers.bell((filters,)).requires_grad_() if has_bias else None
        y = last(functional.conv2d(surround(first(x), pads), weight, bias, strides, 0, dilation, groups))
        grad_output = numbers.bell(y.shape)
        wanted = {"input": x, "weight": weight, "bias": bias}
        wanted = {name: tensor for name, tensor in wanted.items() if tensor is not None}
        gradients = torch.autograd.grad(y, list(wanted.values()), grad_output)
        for name, values in (("kernel", kernel), ("strides", strides), ("dilation", dilation), ("pads", pads)):
            writer.add(f"{case}/{name}", "int64", (len(values),), values)
        add_scalar(writer, f"{case}/groups", groups)
        for name, tensor in (("x", x), ("weight", weight), ("bias", bias), ("grad_output", grad_output), ("y", y)):
            if tensor is not None:
                add_tensor(writer, f"{case}/{name}", tensor)
        for name, tensor in zip(wanted, gradients):
            add_tensor(writer, f"{case}/grad_{name}", tensor)
    writer.write(folder / "convolution.golden")


def average(image, size, strides, pads, with_padding):
    sums = functional.avg_pool2d(surround(image, pads), size, strides) * (size[0] * size[1])
    if with_padding:
        return sums / (size[0] * size[1])
    inside = functional.avg_pool2d(surround(torch.ones_like(image), pads), size, strides) * (size[0] * size[1])
    return sums / inside.round()


def write_poolings(folder):
    writer = Writer(
        f"""Poolings, upsampling, zeros around: all [rows, height, width, channels], but for y of global, [rows, channels].
<case>/kind ({", ".join(f"{number} {kind}" for number, kind in enumerate(KINDS))}), size (of the window; the factors of
upsample), strides, pads (top, bottom, left, right), x, grad_output, y, grad_input.
{VERSIONS}"""
    )
    for number, (case, image, kind, size, strides, pads) in enumerate(POOLINGS):
        numbers = Numbers(700 + number)
        # Equal values in a window: the first takes the gradient.
        x = (numbers.grid(image, 2, 0.5) if case == "max_equal" else numbers.bell(image)).requires_grad_()
        if kind == "max":
            y = last(functional.max_pool2d(surround(first(x), pads, -torch.inf), size, strides))
        elif kind == "global":
            y = x.mean((1, 2))
        elif kind == "upsample":
            y = x.repeat_interleave(size[0], 1).repeat_interleave(size[1], 2)
        elif kind == "zero_pad":
            y = last(surround(first(x), pads))
        else:
            y = last(average(first(x), size, strides, pads, kind == "average_with_padding"))
        grad_output = numbers.bell(y.shape)
        (gradient,) = torch.autograd.grad(y, x, grad_output)
        add_scalar(writer, f"{case}/kind", KINDS.index(kind))
        for name, values in (("size", size), ("strides", strides), ("pads", pads)):
            writer.add(f"{case}/{name}", "int64", (len(values),), values)
        for name, tensor in (("x", x), ("grad_output", grad_output), ("y", y), ("grad_input", gradient)):
            add_tensor(writer, f"{case}/{name}", tensor)
    writer.write(folder / "pooling.golden")


def write_all(folder):
    write_convolutions(folder)
    write_poolings(folder)
