"""One PyTorch module as one layer: what it computes is read option by option, or refused by name.

Nothing here imports PyTorch: whoever has a module has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import layers
from .._errors import UnsupportedError
from ..normalization import BatchNorm
from ._momentum import momentum_from_torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..layers import Layer

#: What a subclass of one of PyTorch's modules may define and still compute the same.
_HARMLESS = {
    "__init__",
    "__module__",
    "__qualname__",
    "__doc__",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__static_attributes__",
    "__firstlineno__",
    "__constants__",
    "__dict__",
    "__weakref__",
    "__repr__",
    "__parameters__",
    "__orig_bases__",
    "extra_repr",
    "reset_parameters",
    "_compiled_call_impl",  # torch.nn.Module.compile: the same computation
}
_TENSORS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def kind_of(module: Any) -> str:
    """The name of the class of PyTorch's that computes what the module computes; of others a name that is in no table.

    A subclass counts as PyTorch's class where it adds to it and overrides nothing that takes part in the computation.
    """
    cls = type(module)
    own = f"{cls.__module__}.{cls.__qualname__}"
    bases = cls.__mro__
    plain = next((base for base in bases if base.__module__.startswith("torch.nn.modules.")), None)
    if plain is None:
        return own
    overrides = set(vars(module))
    for base in bases[: bases.index(plain)]:
        overrides |= set(vars(base)) - _HARMLESS
    inherited = {name for base in plain.__mro__ for name in vars(base)} - _HARMLESS
    changed = overrides & (inherited | _TENSORS)
    # An instance holds its settings under names of the class, such as "training": only functions change what it computes.
    changed = {name for name in changed if name not in vars(module) or callable(vars(module)[name])}
    return own if changed else plain.__name__


def named(name: str, module: Any) -> str:
    """A module in an error's words."""
    shown = " ".join(repr(module).split())
    shown = shown if len(shown) <= 200 else shown[:200] + "..."
    return f'module "{name}" ({shown})' if name else f"a {type(module).__name__}"


def refuse_hooks(name: str, module: Any) -> None:
    for hooks in ("_forward_hooks", "_forward_pre_hooks"):
        if getattr(module, hooks, None):
            raise UnsupportedError(
                f"{named(name, module)} has {hooks.strip('_')}, which may change what it computes. Remove them first"
            )


def layer_of(name: str, module: Any, rank: int) -> Layer:
    """The layer that computes what the module computes on rows of so many axes.

    Raises
    ------
    UnsupportedError
        There is none, or an option has no counterpart.
    """
    make = _MAKERS.get(kind_of(module))
    if make is None:
        raise UnsupportedError(
            f"{named(name, module)} has no counterpart here. What can be converted: {', '.join(sorted(_MAKERS))}, "
            "AdaptiveAvgPool1d/2d(1) and Identity"
        )
    return make(name, module, rank)


def global_average(name: str, module: Any) -> Layer:
    """The average to one value that an ``AdaptiveAvgPool`` of output size 1 is."""
    size = module.output_size
    if kind_of(module) not in ("AdaptiveAvgPool1d", "AdaptiveAvgPool2d") or any(
        number != 1 for number in (size if isinstance(size, (tuple, list)) else (size,))
    ):
        raise UnsupportedError(f"{named(name, module)}: only an average to one value, output_size=1, has a counterpart")
    return layers.GlobalAvgPool1D(name=name) if kind_of(module) == "AdaptiveAvgPool1d" else layers.GlobalAvgPool2D(name=name)


def check_statistics(name: str, norm: Any) -> None:
    if not norm.track_running_stats or norm.running_mean is None:
        raise UnsupportedError(
            f"{named(name, norm)} has track_running_stats=False: it normalises inference by the batch, which no "
            "layer here does. Give it statistics: set track_running_stats=True and train it some steps, or fill a model "
            "with strict=False and call update_population_statistics"
        )


def _linear(name: str, module: Any, rank: int) -> Layer:
    return layers.Dense(module.out_features, bias=module.bias is not None, name=name)


def _convolution(name: str, module: Any, rank: int) -> Layer:
    if module.padding_mode != "zeros":
        raise UnsupportedError(f"{named(name, module)} has padding_mode={module.padding_mode!r}; only zeros are converted")
    one = kind_of(module) == "Conv1d"
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


def _batch_norm(name: str, module: Any, rank: int) -> Layer:
    check_statistics(name, module)
    # Not module.affine: newer versions have norms of a scale without a shift, bias=False.
    scale, shift = module.weight is not None, module.bias is not None
    return BatchNorm(momentum_from_torch(module.momentum), module.eps, scale, shift, name=name)


def _group_norm(name: str, module: Any, rank: int) -> Layer:
    scale, shift = module.weight is not None, module.bias is not None
    return layers.GroupNorm(module.num_groups, module.eps, scale, shift, name=name)


def _instance_norm(name: str, module: Any, rank: int) -> Layer:
    if module.track_running_stats:
        raise UnsupportedError(
            f"{named(name, module)} has track_running_stats=True: it normalises inference by moving statistics; the layer "
            "here always uses the sample's own"
        )
    return layers.InstanceNorm(module.eps, module.weight is not None, module.bias is not None, name=name)


def _over(name: str, module: Any, rank: int) -> str:
    """What a norm over trailing axes is taken over: rows of several axes have their channels last here, and not there."""
    if len(module.normalized_shape) != rank:
        raise UnsupportedError(
            f"{named(name, module)} normalises the last {len(module.normalized_shape)} of {rank} axes, which are not the "
            "channels in PyTorch; only norms over whole rows have a counterpart"
        )
    return "last" if rank == 1 else "all"


def _layer_norm(name: str, module: Any, rank: int) -> Layer:
    scale, shift = module.weight is not None, module.bias is not None
    return layers.LayerNorm(module.eps, _over(name, module, rank), scale, shift, name=name)


def _rms_norm(name: str, module: Any, rank: int) -> Layer:
    if _over(name, module, rank) != "last":
        raise UnsupportedError(f"{named(name, module)} normalises several axes; RMSNorm here takes rows of one")
    # PyTorch's default is the step from 1 to the next float32.
    epsilon = 2.0**-23 if module.eps is None else module.eps
    return layers.RMSNorm(epsilon, module.weight is not None, name=name)


def _upsample(name: str, module: Any, rank: int) -> Layer:
    if module.mode != "nearest":
        raise UnsupportedError(f"{named(name, module)} has mode={module.mode!r}; only 'nearest' is converted")
    factors = module.scale_factor if isinstance(module.scale_factor, (tuple, list)) else (module.scale_factor,) * 2
    if rank != 3 or module.size is not None or None in factors or any(factor != int(factor) for factor in factors):
        raise UnsupportedError(f"{named(name, module)}: only images by whole scale_factors, without size, are converted")
    return layers.Upsample2D((int(factors[0]), int(factors[1])), name=name)


def _pool(cls: Any) -> Callable[[str, Any, int], Layer]:
    def make(name: str, module: Any, rank: int) -> Layer:
        one = kind_of(module).endswith("1d")
        if module.ceil_mode:
            raise UnsupportedError(f"{named(name, module)} has ceil_mode=True, which has no counterpart")
        dilation = getattr(module, "dilation", 1)
        if any(step != 1 for step in (dilation if isinstance(dilation, (tuple, list)) else (dilation,))):
            raise UnsupportedError(f"{named(name, module)} has a dilation, which has no counterpart")
        if getattr(module, "return_indices", False):
            raise UnsupportedError(f"{named(name, module)} has return_indices, which has no counterpart")
        if getattr(module, "divisor_override", None) is not None:
            raise UnsupportedError(f"{named(name, module)} has a divisor_override, which has no counterpart")
        options = {"padding": _sides(module.padding, one)}
        if hasattr(module, "count_include_pad"):
            options["count_includes_pad"] = bool(module.count_include_pad)
        layer: Layer = cls(_size(module.kernel_size, one), _size(module.stride, one), **options, name=name)
        return layer

    return make


def _softmax(name: str, module: Any, rank: int) -> Layer:
    if module.dim not in ((1, -1) if rank == 1 else (1,)):
        raise UnsupportedError(f"{named(name, module)}: only a softmax over the channels, dim=1, has a counterpart")
    return layers.Softmax(name=name)


def _flatten(name: str, module: Any, rank: int) -> Layer:
    if module.start_dim != 1 or module.end_dim not in (-1, rank):
        raise UnsupportedError(f"{named(name, module)}: only Flatten(1, -1), of whole rows, has a counterpart")
    return layers.Flatten(name=name)


def _zero_padding(name: str, module: Any, rank: int) -> Layer:
    left, right, top, bottom = module.padding
    return layers.ZeroPad2D(((top, bottom), (left, right)), name=name)


def _size(value: Any, one: bool) -> Any:
    if isinstance(value, list):
        value = tuple(value)
    if one:
        return value[0] if isinstance(value, tuple) else value
    return value


def _sides(value: Any, one: bool) -> Any:
    """PyTorch pads both ends of an axis by one number."""
    if not isinstance(value, (tuple, list)):
        return value
    return value[0] if one else ((value[0], value[0]), (value[1], value[1]))


_MAKERS: dict[str, Callable[[str, Any, int], Layer]] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "SyncBatchNorm": _batch_norm,
    "GroupNorm": _group_norm,
    "InstanceNorm1d": _instance_norm,
    "InstanceNorm2d": _instance_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "ReLU": lambda name, module, rank: layers.ReLU(name=name),
    "Sigmoid": lambda name, module, rank: layers.Sigmoid(name=name),
    "Tanh": lambda name, module, rank: layers.Tanh(name=name),
    "Softmax": _softmax,
    "Dropout": lambda name, module, rank: layers.Dropout(module.p, name=name),
    "Flatten": _flatten,
    "MaxPool1d": _pool(layers.MaxPool1D),
    "MaxPool2d": _pool(layers.MaxPool2D),
    "AvgPool1d": _pool(layers.AvgPool1D),
    "AvgPool2d": _pool(layers.AvgPool2D),
    "Upsample": _upsample,
    "UpsamplingNearest2d": _upsample,
    "ZeroPad2d": _zero_padding,
}
