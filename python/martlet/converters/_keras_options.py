"""Every option of a Keras layer is read, is at its default, or is refused by name: none vanishes."""

from __future__ import annotations

import inspect
from typing import Any

from .._errors import UnsupportedError

_POOLING = {"pool_size", "strides", "padding", "data_format"}
_CONVOLUTION = {"kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias"}
_GLOBAL = {"data_format", "keepdims"}
#: What is read of each class.
_READ: dict[str, set[str]] = {
    "Dense": {"units", "activation", "use_bias"},
    "Conv1D": {*_CONVOLUTION, "filters", "groups"},
    "Conv2D": {*_CONVOLUTION, "filters", "groups"},
    "DepthwiseConv2D": {*_CONVOLUTION, "depth_multiplier"},
    "BatchNormalization": {"axis", "momentum", "epsilon", "center", "scale", "renorm"},
    "Activation": {"activation"},
    "ReLU": {"max_value", "negative_slope", "threshold"},
    "Softmax": {"axis"},
    "Dropout": {"rate", "noise_shape"},
    "Flatten": {"data_format"},
    "Reshape": {"target_shape"},
    "MaxPooling1D": _POOLING,
    "MaxPooling2D": _POOLING,
    "AveragePooling1D": _POOLING,
    "AveragePooling2D": _POOLING,
    "GlobalAveragePooling1D": _GLOBAL,
    "GlobalAveragePooling2D": _GLOBAL,
    "ZeroPadding2D": {"padding", "data_format"},
}
#: Read elsewhere, or without a meaning for a layer that has its weights.
_OF_EVERY_LAYER = {"name", "trainable", "dtype", "seed", "batch_shape", "batch_input_shape", "build_config", "renorm_momentum"}
#: Options that change training alone.
_OF_TRAINING = ("_regularizer", "_constraint", "synchronized")

_FULL_PRECISION = {"float32", "float64"}
_HALF_PRECISION = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"}


def check_options(layer: Any, *, inference_only: bool) -> None:
    """Refuses what would be lost.

    Parameters
    ----------
    layer : keras.layers.Layer
    inference_only : bool
        Whether to let pass what changes training alone, and half precision.
    """
    _check_precision(layer, inference_only=inference_only)
    read = _READ.get(type(layer).__name__, set()) | _OF_EVERY_LAYER
    options = dict(layer.get_config())
    options.setdefault("activity_regularizer", getattr(layer, "activity_regularizer", None))
    defaults = inspect.signature(type(layer).__init__).parameters
    for key, value in options.items():
        if key in read or key.endswith("_initializer") or value is None or value is False:
            continue
        if key in defaults and value == defaults[key].default:
            continue
        if not key.endswith(_OF_TRAINING):
            raise UnsupportedError(f"{_named(layer)} has {key}={value!r}, which has no counterpart")
        if not inference_only:
            raise UnsupportedError(
                f"{_named(layer)} has {key}={_shown(value)}, which would be lost in training here. To convert the model for "
                "inference, pass inference_only=True"
            )


def _check_precision(layer: Any, *, inference_only: bool) -> None:
    policy = getattr(layer, "dtype_policy", None)
    name = str(getattr(policy, "name", policy))
    if policy is None or name in _FULL_PRECISION:
        return
    if name not in _HALF_PRECISION:
        raise UnsupportedError(f"{_named(layer)} has the dtype policy {name!r}, which has no counterpart")
    if not inference_only:
        raise UnsupportedError(
            f"{_named(layer)} has the dtype policy {name!r}; here everything is computed in float32. To convert the model for "
            "inference in float32, pass inference_only=True"
        )


def _shown(value: Any) -> str:
    return str(value["class_name"]) if isinstance(value, dict) and "class_name" in value else repr(value)


def _named(layer: Any) -> str:
    return f'layer "{layer.name}" ({type(layer).__name__})'
