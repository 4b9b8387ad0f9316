"""PyTorch's modules and state dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import InvalidArgumentError, UnsupportedError
from ..model import Model, Sequential
from ..normalization import BatchNorm
from ._momentum import momentum_from_torch, momentum_to_torch
from ._torch_comparison import check_options
from ._torch_modules import network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._array import Array

__all__ = ["from_torch", "momentum_from_torch", "momentum_to_torch", "to_torch_state_dict"]


def from_torch(
    source: Any,
    model: Model | None = None,
    *,
    input_shape: int | Sequence[int] | None = None,
    layout: str = "channels_last",
    strict: bool = True,
) -> Model:
    """A model that computes what a PyTorch module computes.

    A ``torch.nn.Sequential`` (nested ones included) becomes a :class:`~martlet.Sequential` of layers under the same names. Any
    other module, or a state dictionary, fills a model that exists and whose layers have the module's names.

    ================================  ==========================================================================================
    in PyTorch                        here
    ================================  ==========================================================================================
    ``momentum=0.1``                  ``momentum=0.9``, the weight of the previous statistic; ``None``, the plain average, stays
    ``eps``                           ``epsilon``
    unbiased moving variance          the same: ``biased_moving_variance=False``
    ``affine=False``                  ``scale=False, shift=False``
    ``bias=False`` of a norm          ``shift=False``
    ``track_running_stats=False``     refused: such a layer normalises inference by the batch, which no layer here does
    a norm in ``eval()`` while its    ``normalize_with="moving", updates_moving=False``
    module is in ``train()``
    ``requires_grad=False``           not trainable
    ``LayerNorm`` of a whole image    ``over="all"``
    ``RMSNorm`` of ``eps=None``       ``epsilon=2**-23``
    images ``(C, H, W)``              images ``(H, W, C)``; weights keep PyTorch's shapes
    ``Flatten`` of an image           values in another order: the columns of the ``Linear`` behind it (and the channels of a
                                      ``BatchNorm1d`` between) are put in that order; without a ``Linear``, the image is turned
                                      round first
    ================================  ==========================================================================================

    Parameters
    ----------
    source : torch.nn.Module, or mapping of str to tensor or array
        What to convert. Tensors of float64 are rounded to float32; a ``num_batches_tracked`` that is missing (in
        old files) becomes 0.
    model : Model, optional
        The model to fill, and to return. Where ``source`` is a module, its modules and the model's layers of the same names
        must compute the same: kind, window, padding, dilation, groups, epsilon, momentum, rate. A module without tensors may
        have another name here. What the forward functions of modules do beside calling them is not seen. Of a state
        dictionary only tensors are compared.
    input_shape : tuple of int, optional
        Of a new model: the shape of one row, in the order that ``layout`` names. May be left out before a ``Linear``.
    layout : {"channels_last", "channels_first"}, optional
        How a new model takes images: ``(H, W, C)``, as the rest of Martlet; or ``(C, H, W)``, and gives them so.
    strict : bool, optional
        Whether every tensor of the model must be there and no other (batch counters may be missing). Otherwise what
        is missing stays, and what is unknown is left out.

    Raises
    ------
    UnsupportedError
        A module with no counterpart; the message names it. A subclass of one of PyTorch's modules is converted where it
        overrides nothing that takes part in the computation.
    InvalidArgumentError, ShapeError
        Tensors are missing or do not fit; options differ. A given model is unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import BatchNorm, Dense, Sequential
    >>> from martlet.converters import from_torch
    >>> state = {
    ...     "0.weight": np.ones((3, 2)), "1.weight": np.ones(3), "1.bias": np.zeros(3), "1.running_mean": np.zeros(3),
    ...     "1.running_var": np.full(3, 4.0), "1.num_batches_tracked": np.int64(7),
    ... }
    >>> net = from_torch(state, Sequential([Dense(3, bias=False), BatchNorm()], input_shape=(2,)))
    >>> net([[1.0, 3.0]]).round(3)
    array([[2., 2., 2.]], dtype=float32)
    """
    if isinstance(source, Mapping):
        if model is None:
            raise InvalidArgumentError(
                "a state dict holds tensors, not layers: give the model to fill as well, from_torch(state_dict, model)"
            )
        return _filled(model, source, strict)
    if not (hasattr(source, "state_dict") and hasattr(source, "named_modules")):
        raise InvalidArgumentError(f"source must be a torch.nn.Module or a state dict; got a {type(source).__name__}")
    if model is not None:
        check_options(source, model)
        return _filled(model, source.state_dict(), strict)
    made = Sequential(network(source, input_shape, layout))
    _filled(made, source.state_dict(), strict)
    for name, parameter in source.named_parameters():
        if not parameter.requires_grad:
            made.set_trainable(name, False)
    return made


def to_torch_state_dict(net: Model, *, arrays: bool = False, completes_norms: bool = True) -> dict[str, Any]:
    """All parameters and state as ``load_state_dict`` of the same network in PyTorch takes them.

    The inverse of :func:`from_torch`, to the bit: the columns of a Dense behind a flattened image are in PyTorch's order.
    ``num_batches_skipped``, which PyTorch does not know, is left out.

    A state dictionary holds no options: give PyTorch's layers the same epsilon, ``momentum_to_torch(layer.momentum)``, and
    ``affine=False`` for neither scale nor shift. PyTorch's moving variance is unbiased: a layer of ``biased_moving_variance``
    means the same at inference, and moves otherwise in further training.

    Parameters
    ----------
    net : Model
    arrays : bool, optional
        NumPy arrays instead of tensors; PyTorch is not needed then.
    completes_norms : bool, optional
        Whether a batch norm with one of scale and shift gets the other as ones or zeros: PyTorch's have both or neither.
        False for norms of ``bias=False``, which newer versions have.

    Examples
    --------
    >>> from martlet import BatchNorm, Dense, Sequential
    >>> from martlet.converters import to_torch_state_dict
    >>> net = Sequential([Dense(3), BatchNorm(shift=False)], input_shape=(2,))
    >>> to_torch_state_dict(net, arrays=True)["1.bias"]
    array([0., 0., 0.], dtype=float32)
    """
    own = net.state_dict(flatten_order="channels_first")
    found: dict[str, Array] = {}
    for layer in net.layers:
        if layer.kind == "input_normalization":
            raise UnsupportedError(f'layer "{layer.name}" (InputNormalization) has no counterpart in PyTorch')
        prefix = f"{layer.name}."
        mine = {key[len(prefix) :]: value for key, value in own.items() if key.startswith(prefix)}
        mine.pop("num_batches_skipped", None)
        if completes_norms and isinstance(layer, BatchNorm) and layer.scale != layer.shift:
            like = mine["running_mean"]
            mine = {"weight": np.ones_like(like), "bias": np.zeros_like(like), **mine}
        found.update({prefix + key: value for key, value in mine.items()})
    if arrays:
        return found
    import torch

    return {key: torch.from_numpy(value) if value.ndim else torch.tensor(value.item()) for key, value in found.items()}


def _filled(model: Model, state_dict: Mapping[str, Any], strict: bool) -> Model:
    values = {str(key): _array(value, str(key)) for key, value in state_dict.items()}
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            _fit_batch_norm(layer, str(layer.name), values, strict)
    model.load_state_dict(values, strict, flatten_order="channels_first")
    return model


def _fit_batch_norm(layer: BatchNorm, name: str, values: dict[str, Array], strict: bool) -> None:
    """What state dictionaries may leave out or hold besides: scale and shift, statistics, a counter of one element."""
    for key, neutral, learns in (("weight", 1, layer.scale), ("bias", 0, layer.shift)):
        full = f"{name}.{key}"
        value = values.get(full)
        if value is not None and not learns:
            if (value != neutral).any():
                raise InvalidArgumentError(
                    f'state_dict["{full}"] is not all {neutral}, but layer "{name}" learns none: '
                    f"make it BatchNorm(scale=True, shift=True)"
                )
            del values[full]
    if strict:
        learned = [f"{name}.{key}" for key, on in (("weight", layer.scale), ("bias", layer.shift)) if on]
        missing = [key for key in learned if key not in values]
        if missing and f"{name}.running_mean" in values:
            raise InvalidArgumentError(
                f"state_dict has no {' and no '.join(missing)}: a layer of affine=False? "
                f'Make layer "{name}" BatchNorm(scale=False, shift=False)'
            )
        if f"{name}.running_mean" not in values and all(key in values for key in learned):
            raise InvalidArgumentError(
                f'state_dict has no running statistics for "{name}": a layer of track_running_stats=False, which normalises '
                "inference by the batch? No layer here does. Give it statistics: train it some steps with "
                "track_running_stats=True, or load with strict=False and call update_population_statistics"
            )
    counter = values.get(f"{name}.num_batches_tracked")
    if counter is not None and counter.size == 1:
        values[f"{name}.num_batches_tracked"] = counter.reshape(())


def _array(value: Any, name: str) -> Array:
    if hasattr(value, "detach"):
        try:
            value = value.detach().cpu()
            try:
                return np.asarray(value.numpy())
            except (TypeError, RuntimeError):  # bfloat16, which float32 holds
                return np.asarray(value.float().numpy())
        except (TypeError, RuntimeError) as error:  # without values ("meta"), quantized, sparse
            raise InvalidArgumentError(
                f'state_dict["{name}"]: expected a dense tensor of numbers; got one that {error}'
            ) from None
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InvalidArgumentError(f'state_dict["{name}"] must hold numbers; its dtype is {array.dtype}')
    return array
