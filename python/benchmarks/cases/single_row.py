"""W7: one row through a network at inference, as a service answering one request would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .. import reference
from .case import Arrays, Case
from .training_step import INPUTS, multiply_adds, network_parameters

if TYPE_CHECKING:
    from ..limits import Limits


@dataclass(frozen=True)
class SingleRow(Case):
    """The logits of one row, batch norm with moving statistics."""

    width: int = 100
    depth: int = 3
    activation: str = "sigmoid"
    #: Ours keeps its weights in half precision; the peers' stay as they are.
    halves: bool = False

    kind: ClassVar[str] = "single_row"

    def data(self) -> Arrays:
        random = self.random()
        parameters = network_parameters(np.random.default_rng(self.width), self.width, self.depth)
        for name in parameters:
            if name.endswith("running_mean"):
                parameters[name] = random.normal(0, 0.2, self.width).astype(np.float32)
            elif name.endswith("running_var"):
                parameters[name] = random.uniform(0.2, 0.6, self.width).astype(np.float32)
        return {"x": random.uniform(0, 1, (1, INPUTS)).astype(np.float32), **parameters}

    def reference(self) -> Arrays:
        given = self.data()
        x = given.pop("x")
        return {"y": reference.inference(given, x, self.depth, self.activation)}

    def tolerance(self, output: str) -> float:
        return 2e-3 if self.halves else 1e-5

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """Every weight is read once."""
        size = (2.0 if self.halves else 4.0) * multiply_adds(self.width, self.depth)[0]
        return {"memory": size / limits.read(threads, size)}


CASES: list[Case] = [
    SingleRow("W7 one row, 784-3×100-10", goal=0.5),
    SingleRow("W7 one row, 784-3×1024-10", goal=1.0, width=1024, activation="relu"),
    SingleRow("W7 one row, 784-3×1024-10, weights in 16 bits", goal=0.6, width=1024, activation="relu", halves=True),
]
