"""A PyTorch module against a model that it is to fill: whether their layers of the same names compute the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .. import _restore, layers
from .._arguments import some
from .._errors import InvalidArgumentError, UnsupportedError
from ..normalization import BatchNorm
from ._torch_layers import global_average, kind_of, layer_of, refuse_hooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..layers import Layer
    from ..model import Model

#: The options of a layer that say what it computes; scale, shift and bias are seen by their tensors.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "dense": ("units",),
    "conv1d": ("filters", "kernel_size", "strides", "padding", "dilation", "groups"),
    "conv2d": ("filters", "kernel_size", "strides", "padding", "dilation", "groups"),
    "batch_norm": ("momentum", "epsilon", "biased_moving_variance", "debiased", "virtual_batch_size", "renormalization"),
    "layer_norm": ("epsilon", "over"),
    "rms_norm": ("epsilon",),
    "group_norm": ("epsilon", "groups"),
    "instance_norm": ("epsilon",),
    "dropout": ("rate",),
    "max_pool1d": ("size", "strides", "padding"),
    "max_pool2d": ("size", "strides", "padding"),
    "avg_pool1d": ("size", "strides", "padding", "count_includes_pad"),
    "avg_pool2d": ("size", "strides", "padding", "count_includes_pad"),
    "zero_pad2d": ("padding",),
    "upsample2d": ("factor",),
}
#: Kinds that a model may have under another name or not at all: they move no value.
_WITHOUT_EFFECT = {"flatten"}


def check_options(module: Any, model: Model) -> None:
    """Refuses a model whose layers mean something else than the module's.

    A module without tensors need not have its name here: an equal layer anywhere in the model will do.
    """
    own = {str(layer.name): layer for layer in model.layers}
    shapes = _input_shapes(model)
    differences: list[str] = []
    for name, child in module.named_modules(remove_duplicate=False):
        refuse_hooks(name, child)
        if any(True for _ in child.children()):
            continue
        layer = own.get(name)
        if kind_of(child) in ("Identity", "Sequential", "ModuleList", "ModuleDict"):
            if layer is not None and layer.kind not in ("dropout", "flatten"):
                differences.append(f'"{name}": a {type(layer).__name__} here, a {kind_of(child)} there')
            continue
        rank = len(shapes[name]) if name in shapes else _usual_rank(child)
        try:
            if kind_of(child).startswith("AdaptiveAvgPool"):
                wanted = global_average(name, child)
            else:
                wanted = layer_of(name, child, rank)
        except UnsupportedError as error:
            raise UnsupportedError(
                f"{error}. To fill the model without comparing layers, give module.state_dict() in place of the module"
            ) from None
        if layer is not None:
            differences += [f'"{name}": {text}' for text in _differences(layer, wanted, shapes[name])]
        elif not child.state_dict() and wanted.kind not in _WITHOUT_EFFECT and not _stands_in(model, wanted, shapes):
            differences.append(f'"{name}": {wanted!r} there, which no layer here is')
    if differences:
        raise InvalidArgumentError(
            "model: expected layers that compute what the module's do (momentum as the weight of the previous statistic); got "
            f"other options: {some(differences, '; ')}. Change the model, or give module.state_dict() in place of the module: "
            "then nothing but tensors is compared"
        )


def _stands_in(model: Model, wanted: Layer, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether some layer of the model computes the same."""
    return any(not _differences(layer, wanted, shapes[str(layer.name)]) for layer in model.layers)


def _differences(layer: Layer, wanted: Layer, shape: tuple[int, ...]) -> list[str]:
    if type(layer) is not type(wanted):
        return [f"a {type(layer).__name__} here, a {type(wanted).__name__} there"]
    mine, theirs = _meaning(layer, shape), _meaning(wanted, shape)
    return [f"{key} {mine[key]} here, {theirs[key]} there" for key in mine if mine[key] != theirs[key]]


def _meaning(layer: Layer, shape: tuple[int, ...]) -> Mapping[str, Any]:
    """A layer's options in one of the ways to write each."""
    found = {key: getattr(layer, key) for key in _OPTIONS.get(layer.kind, ())}
    if "padding" in found and layer.kind != "zero_pad2d":
        found["padding"] = _sides(layer, shape)
    if isinstance(layer, (layers.AvgPool1D, layers.AvgPool2D)) and not any(map(any, found["padding"])):
        found["count_includes_pad"] = False
    if isinstance(layer, BatchNorm) and layer.momentum is None:
        found["debiased"] = False  # the plain average is so anyway
    return found


def _sides(layer: Any, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """What is put before and behind each axis, of rows of this shape."""
    sequences = layer.kind.endswith("1d")
    axes = 1 if sequences else 2
    if not isinstance(layer.padding, str):
        return (layer.padding,) if sequences else layer.padding
    if layer.padding == "valid":
        return ((0, 0),) * axes
    found = []
    for axis in range(axes):
        options: list[Any] = [getattr(layer, "kernel_size", None) or layer.size, layer.strides]
        options.append(getattr(layer, "dilation", 1 if sequences else (1, 1)))
        window, stride, dilation = (value if sequences else value[axis] for value in options)
        size = shape[axis] if axis < len(shape) else 0
        total = max((-(-size // stride) - 1) * stride + dilation * (window - 1) + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def _usual_rank(module: Any) -> int:
    """The axes of the rows that a module without a namesake here reads."""
    kind = kind_of(module)
    if kind.endswith("2d") or kind == "Upsample":
        return 3
    if hasattr(module, "normalized_shape"):
        return len(module.normalized_shape)
    return 1


def _input_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Layer name → the shape of one row of what it reads in its first place."""
    described = json.loads(model.architecture)
    outputs = {info["name"]: info["shape"] for info in _restore.infos(model._open())}
    names = [layer["name"] for layer in described["layers"]]
    found: dict[str, tuple[int, ...]] = {}
    shapes: list[tuple[int, ...]] = []
    for node in described["nodes"]:
        if "input" in node:
            shapes.append(tuple(node["input"]))
        else:
            name = names[node["layer"]]
            found.setdefault(name, shapes[node["from"][0]])
            shapes.append(outputs[name])
    return found
