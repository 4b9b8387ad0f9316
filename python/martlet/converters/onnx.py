"""ONNX's BatchNormalization node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._arguments import real
from .._errors import InvalidArgumentError, ShapeError, UnsupportedError
from ..normalization import BatchNorm

if TYPE_CHECKING:
    from .._array import Array

_KEYS = ("weight", "bias", "running_mean", "running_var")
#: Of the first operator set: what was run in place.
_WITHOUT_MEANING = {"consumed_inputs"}


class OnnxBatchNorm(NamedTuple):
    """A BatchNormalization node as a layer, and its tensors: ``weight``, ``bias``, ``running_mean``, ``running_var``."""

    layer: BatchNorm
    tensors: dict[str, Array]


def batch_norm_from_onnx(node: Any, tensors: Mapping[str, Any] | Sequence[Any], *, name: str | None = None) -> OnnxBatchNorm:
    """The layer that an ONNX ``BatchNormalization`` node is, and its tensors.

    ``momentum`` is the weight of the previous statistic there too (default 0.9), ``epsilon`` defaults to 1e-5. The moving
    variance takes the biased batch variance (``ReduceVar`` of the specification divides by N): ``biased_moving_variance=True``.
    The ``training_mode`` of the node is not the layer's: training or inference is said in every call. A node of
    ``training_mode=1`` computes what the layer does in training. The channel is ONNX's
    axis 1 and the last one here.

    Source: <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>, operator sets 1 to 15.

    Parameters
    ----------
    node : onnx.NodeProto, or mapping of attributes
    tensors : mapping of str to array, or sequence of 4 arrays
        The graph's initializers by name (``onnx.TensorProto`` or arrays), of which the node's are taken; or scale, B, mean
        and variance, in the order of the node's inputs.
    name : str, optional
        The layer's name; the node's, if it has one.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet.converters import batch_norm_from_onnx
    >>> layer, tensors = batch_norm_from_onnx({"epsilon": 1e-3}, [np.ones(2), np.zeros(2), np.zeros(2), np.ones(2)])
    >>> layer
    BatchNorm(epsilon=0.001, biased_moving_variance=True)
    """
    attributes, inputs, own_name = _opened(node)
    if attributes.pop("spatial", 1) != 1:
        raise UnsupportedError("BatchNormalization has spatial=0, statistics for each place of an image, which no layer has")
    epsilon = _decimal(attributes.pop("epsilon", 1e-5), "epsilon")
    momentum = _decimal(attributes.pop("momentum", 0.9), "momentum")
    # Training or inference is said in every call here, not by the layer.
    for key in ("training_mode", "is_test"):
        if attributes.pop(key, 0) not in (0, 1):
            raise UnsupportedError(f"BatchNormalization has a {key} that is neither 0 nor 1")
    unknown = set(attributes) - _WITHOUT_MEANING
    if unknown:
        raise UnsupportedError(f"BatchNormalization has attributes that are not known here: {', '.join(sorted(unknown))}")
    values = _values(tensors, inputs)
    arrays: dict[str, Array] = {}
    for key, value in zip(_KEYS, values):
        array = np.array(_plain(value))
        if array.dtype != np.float64:  # which loading rounds to float32, or refuses where it is too large
            array = array.astype(np.float32)
        if array.ndim != 1 or (arrays and array.shape != arrays["weight"].shape):
            shapes = [np.shape(_plain(other)) for other in values]
            raise ShapeError(f"scale, B, mean and variance must be of one shape [C]; got {shapes}")
        arrays[key] = array
    layer = BatchNorm(momentum, epsilon, biased_moving_variance=True, name=name or own_name)
    return OnnxBatchNorm(layer, arrays)


def batch_norm_to_onnx(layer: BatchNorm) -> tuple[dict[str, Any], list[Array]]:
    """A layer of a model as the attributes of an ONNX ``BatchNormalization`` and its inputs scale, B, mean, variance.

    A scale or shift that is off becomes ones or zeros. ``training_mode`` is 0. Should the node be trained further there, its
    moving variance will take the biased variance, whatever this layer does.

    Raises
    ------
    UnsupportedError
        ``momentum=None``: ONNX has no plain average. (At inference the momentum has no part: set the attribute yourself.)
    """
    if not isinstance(layer, BatchNorm):
        raise InvalidArgumentError(f"layer must be a BatchNorm; got a {type(layer).__name__}")
    if layer.momentum is None:
        raise UnsupportedError("the layer keeps the plain average of all batches, momentum=None, which ONNX does not have")
    own, prefix = layer.model.state_dict(), f"{layer.name}."
    mean = own[prefix + "running_mean"]
    inputs = [
        own.get(prefix + "weight", np.ones_like(mean)),
        own.get(prefix + "bias", np.zeros_like(mean)),
        mean,
        own[prefix + "running_var"],
    ]
    return {"epsilon": layer.epsilon, "momentum": layer.momentum, "training_mode": 0}, inputs


def _opened(node: Any) -> tuple[dict[str, Any], list[str] | None, str | None]:
    """A node's attributes, the names of its tensors, its name."""
    if isinstance(node, Mapping):
        return dict(node), None, None
    if not hasattr(node, "op_type"):
        raise InvalidArgumentError(f"node must be an onnx.NodeProto or a mapping of attributes; got a {type(node).__name__}")
    if node.op_type != "BatchNormalization":
        raise InvalidArgumentError(f'node "{node.name}" is a {node.op_type}, not a BatchNormalization')
    import onnx

    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return attributes, list(node.input)[1:5], (node.name or None)


def _values(tensors: Any, inputs: list[str] | None) -> list[Any]:
    if isinstance(tensors, Mapping):
        if inputs is None:
            raise InvalidArgumentError("tensors by name need the node, which names them; else give scale, B, mean, variance")
        missing = [key for key in inputs if key not in tensors]
        if missing:
            raise InvalidArgumentError(f"tensors lack the node's inputs {', '.join(repr(key) for key in missing)}")
        return [tensors[key] for key in inputs]
    found = list(tensors)
    if len(found) != 4:
        raise InvalidArgumentError(f"tensors must be scale, B, mean and variance; got {len(found)} arrays")
    return found


def _plain(value: Any) -> Any:
    if hasattr(value, "raw_data"):
        import onnx

        return onnx.numpy_helper.to_array(value)
    return value


def _decimal(value: Any, name: str) -> float:
    """ONNX stores attributes as float32: 0.9 comes as 0.8999999761581421 and means 0.9."""
    number = real(value, name)
    single = np.float32(number)
    return float(str(single)) if float(single) == number else number
