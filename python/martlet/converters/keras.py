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


def from_keras(source: Any) -> Model:
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
        own = layers_of(layer)
        made.extend(own)
        if own:
            values.update(_tensors(own[0], str(layer.name), layer.get_weights()))
    net = Sequential(made)
    net.load_state_dict(values)
    for layer in converted:
        if not layer.trainable and layer.count_params():
            mine = net.layer(layer.name)
            if isinstance(mine, BatchNorm):
                mine.freeze()
            else:
                net.set_trainable(layer.name, False)
    return net


def to_keras_weights(net: Model) -> dict[str, list[Array]]:
    """For each layer with tensors, what ``set_weights`` of the same layer in Keras takes.

    The inverse of :func:`from_keras`, to the bit: kernels in Keras' shapes; a batch norm's scale, shift, moving mean and moving
    variance. A depthwise convolution (as many groups as channels) is taken for a ``DepthwiseConv2D``.

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
    for layer in net.layers:
        prefix = f"{layer.name}."
        mine = {key[len(prefix) :]: value for key, value in own.items() if key.startswith(prefix)}
        if mine:
            found[str(layer.name)] = _weights(layer, mine)
    return found


_NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


def _tensors(layer: Any, name: str, weights: Sequence[Any]) -> Mapping[str, Array]:
    arrays = [np.asarray(weight) for weight in weights]
    if isinstance(layer, BatchNorm):
        keys = [key for key, on in zip(_NORM_KEYS, (layer.scale, layer.shift, True, True)) if on]
    else:
        keys = ["weight", "bias"][: len(arrays)]
    if len(keys) != len(arrays):
        raise InvalidArgumentError(f'layer "{name}" has {len(arrays)} weights where {len(keys)} are expected: {keys}')
    if not isinstance(layer, BatchNorm) and arrays:
        arrays[0] = _from_kernel(layer, arrays[0])
    return {f"{name}.{key}": array for key, array in zip(keys, arrays)}


def _from_kernel(layer: Any, kernel: Array) -> Array:
    if _is_depthwise(layer) and kernel.shape[2] == layer.groups:  # [h, w, channels, filters of each]
        return np.ascontiguousarray(np.moveaxis(kernel, (2, 3), (0, 1)).reshape(layer.filters, 1, *kernel.shape[:2]))
    return np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, layers.Conv2D) and layer.groups > 1 and layer.filters % layer.groups == 0


def _weights(layer: Any, mine: dict[str, Array]) -> list[Array]:
    if isinstance(layer, BatchNorm):
        return [mine[key] for key in _NORM_KEYS if key in mine]
    if not isinstance(layer, (layers.Dense, layers.Conv1D, layers.Conv2D)):
        raise UnsupportedError(f'layer "{layer.name}" ({layer.kind}) has tensors, and no counterpart in Keras is known here')
    weight = mine["weight"]
    if isinstance(layer, layers.Conv2D) and _is_depthwise(layer) and weight.shape[1] == 1:
        kernel = weight.reshape(layer.groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
    else:
        kernel = np.moveaxis(weight, (0, 1), (-1, -2))
    return [np.ascontiguousarray(kernel), *([mine["bias"]] if "bias" in mine else [])]
