"""Layers that apply one function to every element, and softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .. import _abi
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


class _Activation(Layer):
    _code: ClassVar[int]

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add("activation", name, *nodes, self._code)


class Sigmoid(_Activation):
    """``y = 1 / (1 + e⁻ˣ)``, element by element."""

    kind = "sigmoid"
    _code = _abi.SIGMOID


class Tanh(_Activation):
    """``y = tanh x``, element by element."""

    kind = "tanh"
    _code = _abi.TANH


class ReLU(_Activation):
    """``y = max(x, 0)``, element by element."""

    kind = "relu"
    _code = _abi.RELU


class Softmax(Layer):
    """``y = e^(x − max) / Σ e^(x − max)`` over the last axis.

    As the last layer of a model trained with ``loss="cross_entropy"`` it is taken together with the loss.
    """

    kind = "softmax"
