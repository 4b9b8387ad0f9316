"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _arguments
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


class Dropout(Layer):
    """While training, sets each element to zero with probability ``rate`` and divides the others by ``1 − rate``.

    Parameters
    ----------
    rate : float
        0 or more, below 1.
    """

    kind = "dropout"

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.rate = _arguments.real(rate, "rate")
        self._arguments = {"rate": self.rate}

    def _shown_first(self) -> tuple[str, ...]:
        return ("rate",)

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add("dropout", name, *nodes, self.rate)
