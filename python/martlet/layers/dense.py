"""The fully connected layer."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from .. import _abi, _arguments
from ..initializers import Initializer, as_initializer
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


class Dense(Layer):
    """Fully connected: ``y = x·Wᵀ + b``.

    Its tensors are ``weight`` ``[units, in]`` and ``bias`` ``[units]``, as in PyTorch.

    Parameters
    ----------
    units : int
        Width of the output.
    bias : bool, optional
        Whether to add ``b``. Before a batch norm it has no effect: its shift does that work.
    weight_initializer, bias_initializer : Initializer or str, optional
        Glorot uniform, and zeros.

    Examples
    --------
    >>> from martlet import Dense, Sequential
    >>> net = Sequential([Dense(3)], input_shape=(4,))
    >>> net.parameters()["0.weight"].shape
    (3, 4)
    """

    kind = "dense"

    def __init__(
        self,
        units: int,
        bias: bool = True,
        *,
        weight_initializer: Initializer | str = "glorot_uniform",
        bias_initializer: Initializer | str = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = _arguments.integer(units, "units", 1)
        self.bias = bool(_arguments.flag(bias, "bias"))
        self.weight_initializer = as_initializer(weight_initializer, "weight_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self._arguments = {"units": self.units}
        if not self.bias:
            self._arguments["bias"] = False
        for key, default in (("weight_initializer", "glorot_uniform"), ("bias_initializer", "zeros")):
            if getattr(self, key).kind != default:
                self._arguments[key] = getattr(self, key)

    def _shown_first(self) -> tuple[str, ...]:
        return ("units",)

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        options = _abi.sized(
            _abi.martlet_dense_options,
            bias=int(self.bias),
            weight_initializer=self.weight_initializer._struct(),
            bias_initializer=self.bias_initializer._struct(),
        )
        return graph.add("dense", name, *nodes, self.units, ctypes.byref(options))
