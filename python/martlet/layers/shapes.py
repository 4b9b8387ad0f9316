"""Layers that change what a row looks like, not its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _arguments
from .base import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graph import Graph


class Flatten(Layer):
    """``[rows, a, b, …]`` to ``[rows, a·b·…]``."""

    kind = "flatten"


class Reshape(Layer):
    """The same values, in row-major order, under another shape of one row.

    Parameters
    ----------
    shape : int or sequence of int
        Without the batch axis. One dimension may be -1: what is left for it.

    Examples
    --------
    >>> from martlet import Reshape, Sequential
    >>> Sequential([Reshape((28, 28, -1))], input_shape=(784,)).output_shape
    (28, 28, 1)
    """

    kind = "reshape"

    def __init__(self, shape: int | Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name)
        self.shape = tuple(_arguments.shape(shape, minimum=-1))
        self._arguments = {"shape": self.shape}

    def _shown_first(self) -> tuple[str, ...]:
        return ("shape",)

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add("reshape", name, *nodes, len(self.shape), _arguments.shape(self.shape, minimum=-1))


class ChannelsLast(Layer):
    """``[rows, C, …]`` to ``[rows, …, C]``: what ``Input(..., layout="channels_first")`` puts behind itself."""

    kind = "channels_last"


class ChannelsFirst(Layer):
    """``[rows, …, C]`` to ``[rows, C, …]``: before a :class:`Flatten` whose order must be that of a channels-first model."""

    kind = "channels_first"
