"""Layers that make images larger."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from .. import _arguments
from .._errors import InvalidArgumentError
from ._windows import Pair, as_pair, as_sides, shown_pair
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


class ZeroPad2D(Layer):
    """Zeros around images ``[rows, height, width, channels]``.

    Parameters
    ----------
    padding : int or ((top, bottom), (left, right))

    Examples
    --------
    >>> from martlet import Sequential, ZeroPad2D
    >>> Sequential([ZeroPad2D(((1, 0), (2, 2)))], input_shape=(4, 4, 3)).output_shape
    (5, 8, 3)
    """

    kind = "zero_pad2d"

    def __init__(self, padding: Any, *, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(padding, str):
            raise InvalidArgumentError(
                f"padding must be a whole number or ((top, bottom), (left, right)); got {_arguments.shown(padding)}"
            )
        self.padding: Any = as_sides(padding)
        self._arguments = {"padding": self.padding}

    def _shown_first(self) -> tuple[str, ...]:
        return ("padding",)

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add("zero_pad2d", name, *nodes, (ctypes.c_int64 * 4)(*self.padding[0], *self.padding[1]))


class Upsample2D(Layer):
    """Each pixel of images ``[rows, height, width, channels]`` becomes a rectangle of its value.

    Parameters
    ----------
    factor : int or (int, int)
        Its height and width.
    """

    kind = "upsample2d"

    def __init__(self, factor: int | Pair, *, name: str | None = None) -> None:
        super().__init__(name)
        self.factor = as_pair(factor, "factor")
        self._arguments = {"factor": shown_pair(self.factor)}

    def _shown_first(self) -> tuple[str, ...]:
        return ("factor",)

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add("upsample2d", name, *nodes, *self.factor)
