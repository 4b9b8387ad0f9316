"""Where flattened images put their values: channels last here, ``(H, W, C)``, and first in PyTorch, ``(C, H, W)``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Union

import numpy as np

from .. import _restore
from .._errors import InvalidArgumentError

if TYPE_CHECKING:
    from .._array import Array
    from ..model import Model

    #: Of a value: "same" as in PyTorch, an image channels "last" or "first", "unknown", or for each place the one in PyTorch.
    Order = Union[str, Array]

#: Kinds whose values stay where they are.
_ELEMENTWISE = {"relu", "sigmoid", "tanh", "softmax", "dropout", "batch_norm", "input_normalization"}


def flattened(shape: tuple[int, ...]) -> Array:
    """For each value of a flattened row ``(…, C)``, its place where the same row is flattened as ``(C, …)``."""
    first = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape[-1:] + shape[:-1])
    return np.moveaxis(first, 0, -1).reshape(-1)


def input_orders(net: Model) -> dict[str, Array]:
    """Layer name → the order of what it reads, for layers that read flattened images in another order than PyTorch."""
    described = json.loads(net.architecture)
    shapes = {info["name"]: info["shape"] for info in _restore.infos(net._open())}
    layers = described["layers"]
    orders: list[Order] = []
    node_shapes: list[tuple[int, ...] | None] = []
    found: dict[str, Array | None] = {}
    for node in described["nodes"]:
        if "input" in node:
            shape: tuple[int, ...] | None = tuple(node["input"])
            orders.append("same" if len(node["input"]) == 1 else "last")
            node_shapes.append(shape)
            continue
        name, kind = layers[node["layer"]]["name"], layers[node["layer"]]["kind"]
        read = [orders[source] for source in node["from"]]
        mine = read[0] if isinstance(read[0], np.ndarray) else None
        if name in found:
            if not _same(found[name], mine):
                raise InvalidArgumentError(
                    f'layer "{name}" stands in several places and reads flattened images in different orders; '
                    "PyTorch has no one layer that does the same"
                )
            shape = None  # of a later place: not known here
        else:
            shape = shapes[name]
        found[name] = mine
        orders.append(_order(name, kind, read, [node_shapes[source] for source in node["from"]], shape))
        node_shapes.append(shape)
    return {name: order for name, order in found.items() if order is not None}


def _same(a: Array | None, b: Array | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _order(
    name: str, kind: str, read: list[Order], shapes: list[tuple[int, ...] | None], shape: tuple[int, ...] | None
) -> Order:
    """The order of a layer's result, given those of what it reads."""
    first = read[0]
    if kind in ("flatten", "reshape"):
        return _reshaped(name, first, shapes[0], shape, kind)
    if kind == "channels_last":
        return "last"
    if kind == "channels_first":
        return "first"
    if kind == "add" and any(not np.array_equal(first, other) for other in read[1:]):
        raise InvalidArgumentError(f'layer "{name}" adds flattened images in different orders; PyTorch would add other values')
    if kind == "concatenate" and any(isinstance(order, np.ndarray) for order in read):
        return _concatenated(name, read, shapes)
    if kind in _ELEMENTWISE or kind in ("add", "concatenate"):
        return first
    return "same" if shape is not None and len(shape) == 1 else "last"


def _reshaped(name: str, order: Order, before: tuple[int, ...] | None, after: tuple[int, ...] | None, kind: str) -> Order:
    if before is None or after is None:
        raise InvalidArgumentError(f'layer "{name}" ({kind}) reads a layer in its second place, whose shape is not known here')
    if len(after) == 1:
        if isinstance(order, str) and order == "last" and len(before) > 1:
            places = flattened(before)
            return "same" if np.array_equal(places, np.arange(len(places))) else places
        if isinstance(order, str) and order == "unknown":
            raise InvalidArgumentError(f'layer "{name}" ({kind}) reads a reshaped value, whose order in PyTorch is not known')
        return "same" if isinstance(order, str) else order
    if before == after:
        return order
    # One pixel, or one channel: both orders are one.
    is_plain = isinstance(order, str) and order == "same"
    return "last" if is_plain and (int(np.prod(after[:-1])) == 1 or after[-1] == 1) else "unknown"


def _concatenated(name: str, read: list[Order], shapes: list[tuple[int, ...] | None]) -> Array:
    places, start = [], 0
    for order, shape in zip(read, shapes):
        if shape is None or len(shape) != 1:
            raise InvalidArgumentError(f'layer "{name}" (concatenate) reads values whose order in PyTorch is not known')
        places.append(start + (order if isinstance(order, np.ndarray) else np.arange(shape[0])))
        start += shape[0]
    return np.concatenate(places)


def reordered(name: str, value: Array, kind: str, order: Array, *, to_torch: bool) -> Array:
    """A tensor of a layer that reads flattened images: the columns of a weight, the channels of a batch norm.

    ``name`` is the tensor's last name. Of another length, it is left as it is: loading says what does not fit.
    """
    places = np.argsort(order) if to_torch else order
    axis = 1 if kind == "dense" else 0
    if (kind == "dense" and name != "weight") or value.ndim <= axis or value.shape[axis] != len(order):
        return value
    return np.ascontiguousarray(np.take(value, places, axis=axis))
