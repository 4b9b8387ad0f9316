"""PyTorch's modules as layers. Nothing here imports PyTorch: who has a module has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arguments, layers
from .._errors import InvalidArgumentError, ShapeError, UnsupportedError
from ..graph import Input
from ..normalization import BatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..graph import Node
    from ..layers import Layer

BATCH_NORMS = {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"}


def network(module: Any, input_shape: Any, layout: str) -> Sequence[Layer | Node]:
    """A ``Sequential``'s input and layers."""
    if _kind(module) != "Sequential":
        raise UnsupportedError(
            f"only a torch.nn.Sequential says in which order its modules run; got {_named('', module)}. Wrap it in one, or "
            "make the model yourself under the same layer names and fill it: from_torch(module, model)"
        )
    leaves = _leaves(module, "")
    shape = _row_shape(leaves, input_shape, layout)
    found: list[Layer] = []
    rank = len(shape)
    kinds = [_kind(leaf) for _, leaf in leaves]
    for place, (name, leaf) in enumerate(leaves):
        kind, behind = kinds[place], kinds[place + 1 :]
        if kind == "Flatten":
            if leaf.start_dim != 1 or leaf.end_dim not in (-1, rank):
                raise UnsupportedError(f"{_named(name, leaf)}: only Flatten(1, -1), of whole rows, has a counterpart")
            if rank > 1 and "Linear" not in behind:
                found.append(layers.ChannelsFirst(name=f"{name}.channels_first"))
            rank = 1
        elif kind.startswith("AdaptiveAvgPool"):
            if behind[:1] == ["Flatten"]:
                rank = 1
            found.extend(_global_average(name, leaf, keeps_axes=rank > 1))
            continue
        elif kind == "Softmax" and leaf.dim not in ((1, -1) if rank == 1 else (1,)):
            raise UnsupportedError(f"{_named(name, leaf)}: only a softmax over the channels, dim=1, has a counterpart")
        make = _MAKERS.get(kind)
        if make is None:
            raise UnsupportedError(
                f"{_named(name, leaf)} has no counterpart here. What can be converted: {', '.join(sorted(_MAKERS))}, "
                "AdaptiveAvgPool1d/2d(1) and Identity"
            )
        layer = make(name, leaf)
        if isinstance(layer, BatchNorm) and module.training and not leaf.training:
            layer._switches = BatchNorm(normalize_with="moving", updates_moving=False)._switches
        found.append(layer)
    if not found:
        raise InvalidArgumentError("the torch.nn.Sequential holds no module that computes")
    if layout == "channels_first" and rank > 1:
        found.append(layers.ChannelsFirst(name="channels_first"))
    return [Input(shape, layout=layout if len(shape) > 1 else "channels_last"), *found]


def options_of(norm: Any) -> dict[str, Any]:
    """A batch norm's options, as :class:`BatchNorm` means them."""
    from .pytorch import momentum_from_torch

    return {
        "momentum": momentum_from_torch(norm.momentum),
        "epsilon": norm.eps,
        # Not norm.affine: newer versions have norms of a scale without a shift, bias=False.
        "scale": norm.weight is not None,
        "shift": norm.bias is not None,
    }


def check_statistics(name: str, norm: Any) -> None:
    if not norm.track_running_stats or norm.running_mean is None:
        raise UnsupportedError(
            f"{_named(name, norm)} has track_running_stats=False: it normalises inference by the batch, which no "
            "layer here does. Give it statistics: set track_running_stats=True and train it some steps, or fill a model "
            "with strict=False and call update_population_statistics"
        )


def _kind(module: Any) -> str:
    """The name of one of PyTorch's own module classes; of others a name that is in no table."""
    cls = type(module)
    return str(cls.__name__) if cls.__module__.startswith("torch.nn.") else f"{cls.__module__}.{cls.__name__}"


def _named(name: str, module: Any) -> str:
    return f'module "{name}" ({module!r})' if name else f"a {type(module).__name__}"


def _leaves(module: Any, prefix: str) -> list[tuple[str, Any]]:
    """The modules in the order they run, with their names in the state dictionary."""
    found: list[tuple[str, Any]] = []
    seen: set[int] = set()
    # Not named_children(), which leaves out a module's second place.
    for key, child in module._modules.items():
        name = prefix + key
        if id(child) in seen and list(child.parameters()):
            raise UnsupportedError(f"{_named(name, child)} stands in several places, which is not converted")
        seen.add(id(child))
        for hooks in ("_forward_hooks", "_forward_pre_hooks"):
            if getattr(child, hooks, None):
                raise UnsupportedError(f"{_named(name, child)} has {hooks.strip('_')}, which may change what it computes")
        if _kind(child) == "Sequential":
            found.extend(_leaves(child, name + "."))
        elif _kind(child) != "Identity":
            found.append((name, child))
    return found


def _row_shape(leaves: list[tuple[str, Any]], given: Any, layout: str) -> tuple[int, ...]:
    _arguments.one_of(layout, "layout", {"channels_last": 0, "channels_first": 1})
    name, first = next(((n, m) for n, m in leaves if _channels(m) is not None), ("", None))
    if given is None:
        if first is None or leaves[0][1] is not first or _kind(first) != "Linear":
            raise InvalidArgumentError(
                "input_shape is needed: the shape of one row, such as (28, 28, 1), or (1, 28, 28) with layout='channels_first'"
            )
        return (first.in_features,)
    shape = tuple(_arguments.shape(given, "input_shape"))
    if first is not None and _kind(first).startswith("Conv") and leaves[0][1] is first and len(shape) > 1:
        channels = shape[-1] if layout == "channels_last" else shape[0]
        if channels != _channels(first):
            raise ShapeError(
                f"{_named(name, first)} reads {_channels(first)} channels; input_shape={shape} has {channels} in the order "
                f"of layout={layout!r}"
            )
    return shape


def _channels(module: Any) -> int | None:
    for key in ("in_features", "in_channels", "num_features"):
        if hasattr(module, key):
            return int(getattr(module, key))
    return None


def _linear(name: str, module: Any) -> Layer:
    return layers.Dense(module.out_features, bias=module.bias is not None, name=name)


def _convolution(name: str, module: Any) -> Layer:
    if module.padding_mode != "zeros":
        raise UnsupportedError(f"{_named(name, module)} has padding_mode={module.padding_mode!r}; only zeros are converted")
    one = _kind(module) == "Conv1d"
    padding = module.padding if isinstance(module.padding, str) else _sides(module.padding, one)
    # "same" is given on strides of 1 alone, where both libraries put an odd zero at the end.
    options = {
        "strides": _size(module.stride, one),
        "padding": padding,
        "dilation": _size(module.dilation, one),
        "groups": module.groups,
        "bias": module.bias is not None,
        "name": name,
    }
    if one:
        return layers.Conv1D(module.out_channels, module.kernel_size[0], **options)
    return layers.Conv2D(module.out_channels, module.kernel_size, **options)


def _batch_norm(name: str, module: Any) -> Layer:
    check_statistics(name, module)
    return BatchNorm(**options_of(module), name=name)


def _pool(cls: Any) -> Callable[[str, Any], Layer]:
    def make(name: str, module: Any) -> Layer:
        one = _kind(module).endswith("1d")
        if module.ceil_mode:
            raise UnsupportedError(f"{_named(name, module)} has ceil_mode=True, which has no counterpart")
        if getattr(module, "dilation", 1) not in (1, (1,), (1, 1)) or getattr(module, "return_indices", False):
            raise UnsupportedError(f"{_named(name, module)} has a dilation or return_indices, which have no counterpart")
        if getattr(module, "divisor_override", None) is not None:
            raise UnsupportedError(f"{_named(name, module)} has a divisor_override, which has no counterpart")
        options = {"padding": _sides(module.padding, one)}
        if hasattr(module, "count_include_pad"):
            options["count_includes_pad"] = bool(module.count_include_pad)
        layer: Layer = cls(_size(module.kernel_size, one), _size(module.stride, one), **options, name=name)
        return layer

    return make


def _global_average(name: str, module: Any, *, keeps_axes: bool) -> list[Layer]:
    one = _kind(module) == "AdaptiveAvgPool1d"
    if _kind(module) not in ("AdaptiveAvgPool1d", "AdaptiveAvgPool2d") or module.output_size not in (
        1,
        (1,),
        (1, 1),
        [1],
        [1, 1],
    ):
        raise UnsupportedError(f"{_named(name, module)}: only an average to one value, output_size=1, has a counterpart")
    pool: list[Layer] = [layers.GlobalAvgPool1D(name=name) if one else layers.GlobalAvgPool2D(name=name)]
    if keeps_axes:
        pool.append(layers.Reshape((1, -1) if one else (1, 1, -1), name=f"{name}.axes"))
    return pool


def _zero_padding(name: str, module: Any) -> Layer:
    left, right, top, bottom = module.padding
    return layers.ZeroPad2D(((top, bottom), (left, right)), name=name)


def _size(value: Any, one: bool) -> Any:
    if one:
        return value[0] if isinstance(value, tuple) else value
    return value


def _sides(value: Any, one: bool) -> Any:
    """PyTorch pads both ends of an axis by one number."""
    if not isinstance(value, tuple):
        return value
    return value[0] if one else ((value[0], value[0]), (value[1], value[1]))


_MAKERS: dict[str, Callable[[str, Any], Layer]] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "SyncBatchNorm": _batch_norm,
    "ReLU": lambda name, module: layers.ReLU(name=name),
    "Sigmoid": lambda name, module: layers.Sigmoid(name=name),
    "Tanh": lambda name, module: layers.Tanh(name=name),
    "Softmax": lambda name, module: layers.Softmax(name=name),
    "Dropout": lambda name, module: layers.Dropout(module.p, name=name),
    "Flatten": lambda name, module: layers.Flatten(name=name),
    "MaxPool1d": _pool(layers.MaxPool1D),
    "MaxPool2d": _pool(layers.MaxPool2D),
    "AvgPool1d": _pool(layers.AvgPool1D),
    "AvgPool2d": _pool(layers.AvgPool2D),
    "ZeroPad2d": _zero_padding,
}
