"""Layers that join branches of a network."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from .. import _arguments
from .._errors import InvalidArgumentError
from ..graph import Node
from .base import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graph import Graph


class _Join(Layer):
    def __call__(self, x: Sequence[Node]) -> Node:  # type: ignore[override]  # a join of one node makes no sense
        """This layer applied to two or more nodes: a new node."""
        if not isinstance(x, (list, tuple)) or not all(isinstance(node, Node) for node in x):
            raise InvalidArgumentError(
                f"{type(self).__name__} is applied to a list of Inputs or other layers' results, as in "
                f"{type(self).__name__}()([a, b]); got {_arguments.shown(x)}"
            )
        return Node(self, tuple(x))

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add(self.kind, name, (ctypes.c_int32 * len(nodes))(*nodes), len(nodes))


class Add(_Join):
    """The sum of two or more inputs of one shape, element by element.

    Examples
    --------
    >>> from martlet import Add, Dense, Input, Model, ReLU
    >>> x = Input((8,))
    >>> h = Dense(8)(ReLU()(Dense(8)(x)))
    >>> Model(x, ReLU()(Add()([h, x]))).output_shape
    (8,)
    """

    kind = "add"


class Concatenate(_Join):
    """The channels (last axis) of two or more inputs side by side; their other axes are equal.

    Examples
    --------
    >>> from martlet import Concatenate, Input, Model
    >>> a, b = Input((5, 2)), Input((5, 3))
    >>> Model([a, b], Concatenate()([a, b])).output_shape
    (5, 5)
    """

    kind = "concatenate"
