"""PyTorch's modules and state dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import real
from .._errors import InvalidArgumentError, UnsupportedError
from ..model import Model, Sequential
from ..normalization import BatchNorm
from ._order import input_orders, reordered
from ._torch_modules import BATCH_NORMS, check_statistics, network, options_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._array import Array


def momentum_from_torch(momentum: float | None) -> float | None:
    """The weight of the previous statistic, of PyTorch's ``momentum``, the weight of the new one: 0.1 → 0.9.

    Taken in decimals, so that 0.1 gives 0.9 and 0.9 gives 0.1 to the bit. None, the plain average of all batches, stays None.

    Examples
    --------
    >>> from martlet.converters import momentum_from_torch
    >>> momentum_from_torch(0.1), momentum_from_torch(0.01), momentum_from_torch(None)
    (0.9, 0.99, None)
    """
    if momentum is None:
        return None
    number = real(momentum, "momentum")
    if not 0 <= number <= 1:
        raise InvalidArgumentError(f"momentum must be in 0...1; got {number}")
    return float(1 - Decimal(repr(number)))


def momentum_to_torch(momentum: float | None) -> float | None:
    """PyTorch's ``momentum`` of a :class:`~martlet.BatchNorm`'s: 0.9 → 0.1. The same rule as :func:`momentum_from_torch`."""
    return momentum_from_torch(momentum)


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
        The model to fill, and to return. Where ``source`` is a module, its batch norms' options must be the model's.
    input_shape : tuple of int, optional
        Of a new model: the shape of one row, in the order that ``layout`` names. May be left out before a ``Linear``.
    layout : {"channels_last", "channels_first"}, optional
        How a new model takes images: ``(H, W, C)``, as the rest of Martlet; or ``(C, H, W)``, and gives them so.
    strict : bool, optional
        As in :meth:`Model.load_state_dict <martlet.Model.load_state_dict>`.

    Raises
    ------
    UnsupportedError
        A module with no counterpart; the message names it.
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
        _check_options(source, model)
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
    orders = input_orders(net)
    own = net.state_dict()
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
        for key, value in mine.items():
            found[prefix + key] = _placed(str(layer.name), key, value, layer.kind, orders, to_torch=True)
    if arrays:
        return found
    import torch

    return {key: torch.from_numpy(value) if value.ndim else torch.tensor(value.item()) for key, value in found.items()}


def _placed(layer: str, key: str, value: Array, kind: str, orders: dict[str, Array], *, to_torch: bool) -> Array:
    """A tensor with its values in the other library's order."""
    order = orders.get(layer)
    if order is None:
        return value
    if kind not in ("dense", "batch_norm"):
        raise UnsupportedError(f'layer "{layer}" ({kind}) reads a flattened image; the order of its tensors is not known here')
    return reordered(key, value, kind, order, to_torch=to_torch)


def _filled(model: Model, state_dict: Mapping[str, Any], strict: bool) -> Model:
    values = {str(key): _array(value, str(key)) for key, value in state_dict.items()}
    orders = input_orders(model)
    for layer in model.layers:
        name, prefix = str(layer.name), f"{layer.name}."
        if isinstance(layer, BatchNorm):
            _fit_batch_norm(layer, name, values, strict)
        if name in orders:
            for key in [key for key in values if key.startswith(prefix)]:
                values[key] = _placed(name, key[len(prefix) :], values[key], layer.kind, orders, to_torch=False)
    model.load_state_dict(values, strict)
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
        value = value.detach().cpu()
        try:
            return np.asarray(value.numpy())
        except (TypeError, RuntimeError):  # bfloat16, which float32 holds
            return np.asarray(value.float().numpy())
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InvalidArgumentError(f'state_dict["{name}"] must hold numbers; its dtype is {array.dtype}')
    return array


def _check_options(module: Any, model: Model) -> None:
    """Refuses a model whose batch norms mean something else than the module's."""
    layers = {str(layer.name): layer for layer in model.layers}
    differences = []
    for name, child in module.named_modules():
        if type(child).__name__ not in BATCH_NORMS:
            continue
        check_statistics(name, child)
        layer = layers.get(name)
        if not isinstance(layer, BatchNorm):
            continue
        wanted = options_of(child)
        for key in ("momentum", "epsilon"):
            if getattr(layer, key) != wanted[key]:
                differences.append(f'"{name}": {key} {getattr(layer, key)} here, {wanted[key]} there')
        if layer.biased_moving_variance:
            differences.append(f'"{name}": biased_moving_variance=True here, unbiased there')
    if differences:
        raise InvalidArgumentError(
            "the model's batch norms have other options than the module's (momentum as the weight of the previous statistic): "
            + "; ".join(differences)
        )
