"""Keras layers and their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import layers
from .._errors import InvalidArgumentError, UnsupportedError
from ..graph import Input
from ..model import Model, Sequential
from ..normalization import BatchNorm
from ._keras_layers import chain, layers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._array import Array


def from_keras(source: Any, *, inference_only: bool = False) -> Model:
    """A model that computes what a chain of Keras layers computes, its weights included.

    ==================================  ======================================================================================
    in Keras                            here
    ==================================  ======================================================================================
    ``momentum=0.99``                   ``momentum=0.99``: the weight of the previous statistic in both
    ``epsilon=1e-3``, its default       ``epsilon=1e-3`` (the default here is 1e-5)
    moving variance                     biased, as Keras keeps it: ``biased_moving_variance=True``
    ``center``, ``scale``               ``shift``, ``scale``
    ``BatchNormalization`` with         frozen, as by ``freeze()``: Keras runs it as at inference
    ``trainable=False``
    another layer of it                 not trainable
    ``Dense``'s kernel ``[in, out]``    ``weight`` ``[out, in]``
    ``Conv2D``'s ``[h, w, in, out]``    ``weight`` ``[out, in, h, w]``
    ``activation="relu"``               a layer behind, ``<name>.activation``
    images ``(H, W, C)``, flattened     the same order: nothing moves
    ==================================  ======================================================================================

    Layers keep their names. Dense, Conv1D, Conv2D, DepthwiseConv2D, BatchNormalization, activations, Dropout, Flatten, Reshape,
    pooling, GlobalAveragePooling and ZeroPadding2D are converted. Keras counts no batches: ``num_batches_tracked`` is 0.

    Parameters
    ----------
    source : keras.Sequential or keras.Model
        Built; one layer after another.
    inference_only : bool, optional
        Whether to leave out what changes training alone (regularizers, constraints, synchronized statistics), and to compute
        in float32 what Keras computes in half precision. Otherwise they are refused, for training here would be another.

    Raises
    ------
    UnsupportedError
        A layer, or an option of one, has no counterpart (the message names it), or the layers are no chain.
    """
    converted = chain(source)
    shape = source.input_shape
    if isinstance(shape, list) or any(dimension is None for dimension in shape[1:]):
        raise UnsupportedError(f"the model needs one input of a fixed row shape; its input_shape is {shape}")
    made: list[Any] = [Input(tuple(int(dimension) for dimension in shape[1:]))]
    values: dict[str, Array] = {}
    for layer in converted:
        own = layers_of(layer, inference_only=inference_only)
        made.extend(own)
        values.update(_tensors(own[0], layer, layer.get_weights()))
    net = Sequential(made)
    net.load_state_dict(values)
    for layer in converted:
        _set_trainable(net, layer)
    return net


def _set_trainable(net: Model, layer: Any) -> None:
    mine = net.layer(layer.name)
    if not layer.trainable and layer.count_params():
        if isinstance(mine, BatchNorm):
            mine.freeze()
        else:
            net.set_trainable(layer.name, False)
    elif layer.trainable:
        for key, weight in zip(_keys(mine, len(layer.weights)), layer.weights):
            if key in ("weight", "bias") and not weight.trainable:
                net.set_trainable(f"{layer.name}.{key}", False)


def to_keras_weights(net: Model, like: Any = None) -> dict[str, list[Array]]:
    """For each layer with tensors, what ``set_weights`` of the same layer in Keras takes.

    The inverse of :func:`from_keras`, to the bit: kernels in Keras' shapes; a batch norm's scale, shift, moving mean and moving
    variance.

    Parameters
    ----------
    net : Model
    like : keras.Model, optional
        The model that takes the weights: it says which convolutions of as many groups as channels are a ``Conv2D`` and which a
        ``DepthwiseConv2D``, whose kernels have other shapes. Left out, they are what :func:`from_keras` made ``net`` of, and
        ``DepthwiseConv2D`` in a net of other origin.

    Examples
    --------
    >>> from martlet import BatchNorm, Dense, Sequential
    >>> from martlet.converters import to_keras_weights
    >>> net = Sequential([Dense(3), BatchNorm(scale=False)], input_shape=(2,))
    >>> {name: [weight.shape for weight in weights] for name, weights in to_keras_weights(net).items()}
    {'0': [(2, 3), (3,)], '1': [(3,), (3,), (3,)]}
    """
    own = net.state_dict()
    found = {}
    classes = {} if like is None else {str(layer.name): type(layer).__name__ for layer in chain(like)}
    for layer in net.layers:
        prefix = f"{layer.name}."
        mine = {key[len(prefix) :]: value for key, value in own.items() if key.startswith(prefix)}
        if mine:
            cls = classes.get(str(layer.name)) or getattr(layer, "_keras_class", None)
            found[str(layer.name)] = _weights(layer, mine, str(cls or "DepthwiseConv2D"))
    return found


_NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


def _keys(layer: Any, count: int) -> list[str]:
    """The names here of the weights that a layer has in Keras, in their order."""
    if isinstance(layer, BatchNorm):
        return [key for key, on in zip(_NORM_KEYS, (layer.scale, layer.shift, True, True)) if on]
    return ["weight", "bias"][:count]


def _tensors(made: Any, layer: Any, weights: Sequence[Any]) -> Mapping[str, Array]:
    arrays = [np.asarray(weight) for weight in weights]
    # NumPy itself has no bfloat16, which float32 holds.
    arrays = [array if array.dtype.kind == "f" else array.astype(np.float32) for array in arrays]
    keys = _keys(made, len(arrays))
    if len(keys) != len(arrays):
        raise InvalidArgumentError(f'layer "{layer.name}" has {len(arrays)} weights where {len(keys)} are expected: {keys}')
    if isinstance(made, layers.Conv2D):
        made._keras_class = type(layer).__name__
    if not isinstance(made, BatchNorm) and arrays:
        arrays[0] = _from_kernel(made, arrays[0], type(layer).__name__)
    return {f"{layer.name}.{key}": array for key, array in zip(keys, arrays)}


def _from_kernel(layer: Any, kernel: Array, cls: str) -> Array:
    if cls == "DepthwiseConv2D":  # [h, w, channels, filters of each]
        return np.ascontiguousarray(np.moveaxis(kernel, (2, 3), (0, 1)).reshape(layer.filters, 1, *kernel.shape[:2]))
    return np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))


def _weights(layer: Any, mine: dict[str, Array], cls: str) -> list[Array]:
    if isinstance(layer, BatchNorm):
        return [mine[key] for key in _NORM_KEYS if key in mine]
    if not isinstance(layer, (layers.Dense, layers.Conv1D, layers.Conv2D)):
        raise UnsupportedError(f'layer "{layer.name}" ({layer.kind}) has tensors, and no counterpart in Keras is known here')
    weight = mine["weight"]
    if isinstance(layer, layers.Conv2D) and cls == "DepthwiseConv2D" and layer.groups > 1 and weight.shape[1] == 1:
        kernel = weight.reshape(layer.groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
    else:
        kernel = np.moveaxis(weight, (0, 1), (-1, -2))
    return [np.ascontiguousarray(kernel), *([mine["bias"]] if "bias" in mine else [])]
