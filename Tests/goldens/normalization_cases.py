"""Layer norm, RMS norm, group norm and instance norm forwards and backwards."""

import torch
from golden_file import Writer
from reference import VERSIONS, Numbers, add_scalar, add_tensor
from torch.nn import functional

KINDS = ("layer", "rms", "group", "instance")

# name, kind, x (channels last), over all axes, groups, epsilon, scale, shift
CASES = (
    ("layer_dense", "layer", (4, 7), False, 1, 1e-5, True, True),
    ("layer_wide", "layer", (3, 70), False, 1, 1e-5, True, True),
    ("layer_plain", "layer", (5, 6), False, 1, 1e-3, False, False),
    ("layer_scale", "layer", (2, 3, 9), False, 1, 1e-5, True, False),
    ("layer_shift", "layer", (2, 3, 16), False, 1, 1e-5, False, True),
    ("layer_image", "layer", (2, 3, 4, 5), False, 1, 1e-5, True, True),
    ("layer_all", "layer", (3, 3, 4, 5), True, 1, 1e-5, True, True),
    ("layer_all_sequence", "layer", (2, 6, 3), True, 1, 1e-5, True, True),
    ("rms_dense", "rms", (4, 7), False, 1, 1e-6, True, False),
    ("rms_plain", "rms", (3, 33), False, 1, 1e-6, False, False),
    ("rms_sequence", "rms", (2, 5, 8), False, 1, 1e-3, True, False),
    ("group_image", "group", (2, 3, 4, 6), False, 3, 1e-5, True, True),
    ("group_one", "group", (2, 3, 3, 4), False, 1, 1e-5, True, True),
    ("group_sequence", "group", (3, 7, 18), False, 2, 1e-3, True, True),
    ("group_dense", "group", (5, 12), False, 4, 1e-5, True, True),
    ("group_plain", "group", (2, 2, 2, 17), False, 17, 1e-5, False, False),
    ("instance_image", "instance", (2, 4, 3, 5), False, 5, 1e-5, False, False),
    ("instance_affine", "instance", (3, 5, 5, 3), False, 3, 1e-5, True, True),
    ("instance_sequence", "instance", (2, 9, 16), False, 16, 1e-5, True, True),
)


def normalized(kind, x, over_all, groups, epsilon, scale, shift):
    """y by PyTorch, channels last."""
    if kind == "layer":
        return functional.layer_norm(x, x.shape[1:] if over_all else x.shape[-1:], scale, shift, epsilon)
    if kind == "rms":
        return functional.rms_norm(x, x.shape[-1:], scale, epsilon)
    first = x.movedim(-1, 1)
    if kind == "group":
        return functional.group_norm(first, groups, scale, shift, epsilon).movedim(1, -1)
    return functional.instance_norm(first, None, None, scale, shift, True, 0.1, epsilon).movedim(1, -1)


def write_all(folder):
    writer = Writer(
        f"""Batch norm's relatives: x, y and their gradients channels last, [rows, ..., C].
<case>/kind ({", ".join(f"{number} {kind}" for number, kind in enumerate(KINDS))}), over_all (1: mean and variance over all axes but
the first), groups, epsilon, x, scale, shift (absent without), grad_output, y, grad_input, grad_scale, grad_shift.
{VERSIONS}"""
    )
    for number, (case, kind, shape, over_all, groups, epsilon, has_scale, has_shift) in enumerate(CASES):
        numbers = Numbers(900 + number)
        # Channels differ in mean and spread, so that statistics of the wrong ones cannot pass.
        channels = torch.arange(shape[-1])
        x = numbers.bell(shape) * (0.25 * (1 + (5 * channels) % 7)) + (0.5 * ((7 * channels) % 11) - 2)
        x = x.float().double().requires_grad_()
        learned = shape[1:] if over_all else shape[-1:]
        scale = numbers.bell(learned, 1.0, 0.5).requires_grad_() if has_scale else None
        shift = numbers.bell(learned).requires_grad_() if has_shift else None
        y = normalized(kind, x, over_all, groups, epsilon, scale, shift)
        grad_output = numbers.bell(shape)
        wanted = {"input": x, "scale": scale, "shift": shift}
        wanted = {name: tensor for name, tensor in wanted.items() if tensor is not None}
        gradients = torch.autograd.grad(y, list(wanted.values()), grad_output)
        add_scalar(writer, f"{case}/kind", KINDS.index(kind))
        add_scalar(writer, f"{case}/over_all", int(over_all))
        add_scalar(writer, f"{case}/groups", groups)
        add_scalar(writer, f"{case}/epsilon", epsilon)
        for name, tensor in (("x", x), ("scale", scale), ("shift", shift), ("grad_output", grad_output), ("y", y)):
            if tensor is not None:
                add_tensor(writer, f"{case}/{name}", tensor)
        for name, tensor in zip(wanted, gradients):
            add_tensor(writer, f"{case}/grad_{name}", tensor)
    writer.write(folder / "normalization.golden")
