"""A model of the library seen from outside: its layers as Python objects, its table for people."""

from __future__ import annotations

import ctypes
from typing import Any

from . import _abi
from . import layers as _layers
from ._errors import InternalError
from ._handle import Owner
from ._library import library
from ._tensors import text_of
from .initializers import Initializer
from .layers import Layer
from .normalization import BatchNorm

_KINDS: dict[str, type[Any]] = {
    cls.kind: cls for cls in (*(getattr(_layers, name) for name in _layers.__all__), BatchNorm) if cls is not Layer
}


def infos(owner: Owner) -> list[dict[str, Any]]:
    """What the library says of each layer, in the order they run."""
    loaded = library()
    found = []
    info = _abi.sized(_abi.martlet_layer_info)
    for index in range(loaded.martlet_model_layer_count(owner)):
        loaded.martlet_model_layer_at(owner, index, ctypes.byref(info))
        found.append(
            {
                "name": info.name.decode(),
                "kind": info.kind.decode(),
                "shape": tuple(info.output_shape[: info.output_rank]),
                "parameters": info.parameter_count,
                "state": info.state_count,
            }
        )
    return found


def summary(owner: Owner) -> str:
    """The table of :meth:`martlet.Model.summary`."""
    rows = [("layer", "kind", "row shape", "parameters", "state")]
    layers = infos(owner)
    for layer in layers:
        rows.append((layer["name"], layer["kind"], _shape(layer["shape"]), f"{layer['parameters']:,}", f"{layer['state']:,}"))
    parameters = sum(layer["parameters"] for layer in layers)
    state = sum(layer["state"] for layer in layers)
    rows.append(("total", "", "", f"{parameters:,}", f"{state:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3])]
        right = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:])]
        lines.append("  ".join(left + right))
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(dimension) for dimension in shape) + "]"


def layers(owner: Owner) -> list[tuple[str, Layer]]:
    """The model's layers made again from its architecture, in the order they run."""
    import json

    described = json.loads(text_of(library().martlet_model_architecture, owner))["layers"]
    return [(entry["name"], _layer(entry["kind"], entry["options"])) for entry in described]


def _layer(kind: str, options: dict[str, Any]) -> Layer:
    known = _KINDS.get(kind)
    if known is None:
        raise InternalError(f"the library has a layer of kind {kind!r}, which this package does not know")
    restored = {key: _initializer(value) if key.endswith("_initializer") else value for key, value in options.items()}
    layer: Layer = known(**restored)
    return layer


def _initializer(option: str | dict[str, float]) -> Initializer:
    if isinstance(option, str):
        return Initializer(option)
    ((kind, value),) = option.items()
    return Initializer(kind, value)
