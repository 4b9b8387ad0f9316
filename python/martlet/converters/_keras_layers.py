"""Keras' layers as layers. Nothing here imports Keras: who has a model has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import layers
from .._errors import InvalidArgumentError, UnsupportedError
from ..normalization import BatchNorm
from ._keras_options import check_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..layers import Layer


def chain(source: Any) -> Sequence[Any]:
    """A model's layers in the order they run; nested models are opened."""
    if not (hasattr(source, "layers") and hasattr(source, "input_shape")):
        raise InvalidArgumentError(f"source must be a built Keras model; got a {type(source).__name__}")
    if _overrides_call(source):
        raise UnsupportedError(f"{type(source).__name__} has a call of its own; only chains of layers are converted")
    found: list[Any] = []
    previous = None
    for layer in source.layers:
        if type(layer).__name__ == "InputLayer":
            previous = layer.output
            continue
        if len(layer._inbound_nodes) != 1 and not hasattr(layer, "layers"):
            raise UnsupportedError(f"{_named(layer)} stands in several places; only chains are converted")
        if type(source).__name__ != "Sequential":
            read = layer.input
            if isinstance(read, (list, tuple)) or read is not previous:
                raise UnsupportedError(f"{_named(layer)} does not read the layer before it alone; only chains are converted")
            previous = layer.output
        found.extend(chain(layer) if hasattr(layer, "layers") else [layer])
    if type(source).__name__ != "Sequential" and (len(source.outputs) != 1 or source.outputs[0] is not previous):
        raise UnsupportedError(f"{source.name} has outputs besides its last layer's; only chains are converted")
    return found


_HOMES = ("keras", "tf_keras", "tensorflow")


def _is_of_keras(what: Any) -> bool:
    return str(getattr(what, "__module__", "")).split(".")[0] in _HOMES


def _overrides_call(source: Any) -> bool:
    """Whether a class outside Keras, or the object itself, says what it computes."""
    own = [cls for cls in type(source).__mro__ if not _is_of_keras(cls)]
    return "call" in vars(source) or any(name in vars(cls) for cls in own for name in ("call", "__call__") if cls is not object)


def layers_of(layer: Any, *, inference_only: bool) -> list[Layer]:
    """The layer under its name, and its activation behind it."""
    cls = type(layer)
    make = _MAKERS.get(cls.__name__) if _is_of_keras(cls) and not _overrides_call(layer) else None
    if make is None:
        raise UnsupportedError(f"{_named(layer)} has no counterpart here. What can be converted: {', '.join(sorted(_MAKERS))}")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedError(f"{_named(layer)} has data_format='channels_first'; only channels last is converted")
    check_options(layer, inference_only=inference_only)
    made = make(layer)
    if cls.__name__ != "Activation" and getattr(layer, "activation", None) is not None:
        behind = _activation(layer, f"{layer.name}.activation")
        return [made, *([behind] if behind is not None else [])]
    return [made]


def _named(layer: Any) -> str:
    return f'layer "{layer.name}" ({type(layer).__name__})'


_ACTIVATIONS: dict[str, Callable[..., Layer]] = {
    "relu": layers.ReLU,
    "sigmoid": layers.Sigmoid,
    "tanh": layers.Tanh,
    "softmax": layers.Softmax,
}


def _activation(layer: Any, name: str) -> Layer | None:
    kind = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    # A function of somebody else may have any name.
    of_keras = _is_of_keras(layer.activation)
    if kind == "linear" and of_keras:
        return None
    make = _ACTIVATIONS.get(kind) if of_keras else None
    if make is None:
        raise UnsupportedError(f"{_named(layer)} has the activation {kind!r}; converted are {', '.join(_ACTIVATIONS)}, linear")
    return make(name=name)


def _dense(layer: Any) -> Layer:
    if len(layer.input.shape) != 2:
        raise UnsupportedError(f"{_named(layer)} reads rows of several axes; Dense here takes rows of one")
    return layers.Dense(layer.units, bias=bool(layer.use_bias), name=layer.name)


def _convolution(layer: Any) -> Layer:
    if type(layer).__name__ == "Conv1D":
        if layer.padding == "causal":
            raise UnsupportedError(f"{_named(layer)} has padding='causal', which has no counterpart")
        (size,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
        return layers.Conv1D(
            layer.filters, size, stride, layer.padding, dilation, layer.groups, bool(layer.use_bias), name=layer.name
        )
    channels = int(layer.input.shape[-1])
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    return layers.Conv2D(
        channels * layer.depth_multiplier if depthwise else layer.filters,
        tuple(layer.kernel_size),
        tuple(layer.strides),
        layer.padding,
        tuple(layer.dilation_rate),
        channels if depthwise else layer.groups,
        bool(layer.use_bias),
        name=layer.name,
    )


def _batch_norm(layer: Any) -> Layer:
    rank = len(layer.input.shape)
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if [axis % rank for axis in axes] != [rank - 1]:
        raise UnsupportedError(f"{_named(layer)} normalises axis {layer.axis}; only the last one, the channels, is converted")
    if getattr(layer, "renorm", False):
        raise UnsupportedError(f"{_named(layer)} has renorm=True, which is not converted")
    return BatchNorm(
        layer.momentum,
        layer.epsilon,
        bool(layer.scale),
        bool(layer.center),
        biased_moving_variance=True,
        name=layer.name,
    )


def _relu(layer: Any) -> Layer:
    for option, plain in (("max_value", None), ("negative_slope", 0), ("threshold", 0)):
        if getattr(layer, option, plain) not in (plain, None):
            raise UnsupportedError(f"{_named(layer)} has {option}={getattr(layer, option)}, which has no counterpart")
    return layers.ReLU(name=layer.name)


def _softmax(layer: Any) -> Layer:
    if layer.axis not in (-1, len(layer.input.shape) - 1):
        raise UnsupportedError(f"{_named(layer)} runs over axis {layer.axis}; only the last one is converted")
    return layers.Softmax(name=layer.name)


def _alone(layer: Any) -> Layer:
    made = _activation(layer, layer.name)
    # A linear activation: something that has a name and does nothing.
    return layers.Dropout(0.0, name=layer.name) if made is None else made


def _dropout(layer: Any) -> Layer:
    if layer.noise_shape is not None:
        raise UnsupportedError(f"{_named(layer)} has a noise_shape, which has no counterpart")
    return layers.Dropout(layer.rate, name=layer.name)


def _pool(cls: Any) -> Callable[[Any], Layer]:
    def make(layer: Any) -> Layer:
        one = type(layer).__name__.endswith("1D")
        size, strides = (value[0] if one else tuple(value) for value in (layer.pool_size, layer.strides))
        made: Layer = cls(size, strides, layer.padding, name=layer.name)
        return made

    return make


def _global_average(layer: Any) -> Layer:
    if layer.keepdims:
        raise UnsupportedError(f"{_named(layer)} has keepdims=True, which has no counterpart")
    cls = layers.GlobalAvgPool1D if type(layer).__name__.endswith("1D") else layers.GlobalAvgPool2D
    return cls(name=layer.name)


_MAKERS: dict[str, Callable[[Any], Layer]] = {
    "Dense": _dense,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "DepthwiseConv2D": _convolution,
    "BatchNormalization": _batch_norm,
    "Activation": _alone,
    "ReLU": _relu,
    "Softmax": _softmax,
    "Dropout": _dropout,
    "Flatten": lambda layer: layers.Flatten(name=layer.name),
    "Reshape": lambda layer: layers.Reshape(tuple(layer.target_shape), name=layer.name),
    "MaxPooling1D": _pool(layers.MaxPool1D),
    "MaxPooling2D": _pool(layers.MaxPool2D),
    "AveragePooling1D": _pool(layers.AvgPool1D),
    "AveragePooling2D": _pool(layers.AvgPool2D),
    "GlobalAveragePooling1D": _global_average,
    "GlobalAveragePooling2D": _global_average,
    "ZeroPadding2D": lambda layer: layers.ZeroPad2D(layer.padding, name=layer.name),
}
