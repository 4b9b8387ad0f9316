"""Raw features brought to mean 0 and deviation 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _arguments
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


class InputNormalization(Layer):
    """Brings raw features to mean 0 and deviation 1: ``y = (x − mean) / √(variance + epsilon)``.

    The statistics are fitted once, on data, by :meth:`Model.fit_input_normalization`; until then the model neither trains
    nor predicts. A feature that never varies becomes 0.

    Parameters
    ----------
    epsilon : float, optional
        0 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import InputNormalization, Sequential
    >>> x = np.array([[1.0, 100.0], [3.0, 300.0]], np.float32)
    >>> net = Sequential([InputNormalization()], input_shape=(2,))
    >>> net.fit_input_normalization(x)
    >>> net(x)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    kind = "input_normalization"

    def __init__(self, epsilon: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.epsilon = _arguments.real(epsilon, "epsilon")
        self._arguments = {"epsilon": self.epsilon} if self.epsilon else {}

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        return graph.add("input_normalization", name, *nodes, self.epsilon)
