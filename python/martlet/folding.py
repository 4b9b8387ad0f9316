"""What :meth:`martlet.Model.fold` did: a certificate."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

from . import _abi
from ._library import library
from ._tensors import text_of

if TYPE_CHECKING:
    from ._handle import Owner

_OUTCOMES = {
    _abi.LAYER_UNCHANGED: "unchanged",
    _abi.LAYER_CHANGED: "changed",
    _abi.LAYER_FOLDED: "folded",
    _abi.LAYER_KEPT: "kept",
    _abi.LAYER_REMOVED: "removed",
}


class Difference(NamedTuple):
    """How far a value of the folded model is from the unfolded one's, on the data."""

    #: The largest ``|folded − unfolded|``.
    absolute: float
    #: ``absolute`` over the largest ``|unfolded|``.
    relative: float
    #: What rounding alone can make of the differences in the values just before; may be infinite.
    bound: float
    #: No channel's difference is above that channel's bound.
    within_bound: bool


class FoldedLayer(NamedTuple):
    """What became of one layer."""

    name: str
    kind: str
    #: ``"unchanged"``; ``"changed"`` (it took batch norms in); ``"folded"``; ``"kept"`` (``detail`` says why); ``"removed"``.
    outcome: str
    #: For people: ``'folded into "conv_1" (conv2d)'``.
    detail: str
    #: Of its output; None without data, and where the value is not in memory in both models.
    difference: Difference | None


class FoldingCertificate:
    """What folding did to each layer, and how far the outputs are from the unfolded model's. ``print`` shows it as a table."""

    #: Every layer of the unfolded model, in the order they run.
    layers: list[FoldedLayer]
    #: Of each output; None without data.
    outputs: list[Difference] | None

    def __init__(self, layers: list[FoldedLayer], outputs: list[Difference] | None, text: str) -> None:
        self.layers = layers
        self.outputs = outputs
        self._text = text

    @property
    def within_bounds(self) -> bool:
        """Whether nothing that was measured is above its bound. True without data."""
        measured = [layer.difference for layer in self.layers if layer.difference] + (self.outputs or [])
        return all(difference.within_bound for difference in measured)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text


def read_certificate(owner: Owner) -> FoldingCertificate:
    """All that the library's object says."""
    loaded = library()
    layers = []
    info = _abi.sized(_abi.martlet_folding_layer)
    for index in range(loaded.martlet_folding_layer_count(owner)):
        loaded.martlet_folding_layer_at(owner, index, ctypes.byref(info))
        layers.append(
            FoldedLayer(
                info.name.decode(),
                info.kind.decode(),
                _OUTCOMES[info.outcome],
                info.detail.decode(),
                _difference(info.difference),
            )
        )
    outputs = []
    found = _abi.martlet_folding_difference()
    for index in range(loaded.martlet_folding_output_count(owner)):
        loaded.martlet_folding_output_at(owner, index, ctypes.byref(found))
        difference = _difference(found)
        if difference is not None:
            outputs.append(difference)
    return FoldingCertificate(layers, outputs or None, text_of(loaded.martlet_folding_text, owner))


def _difference(found: _abi.martlet_folding_difference) -> Difference | None:
    if not found.is_measured:
        return None
    return Difference(found.absolute, found.relative, found.bound, bool(found.is_within_bound))
