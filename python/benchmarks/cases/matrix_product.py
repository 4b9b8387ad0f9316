"""sgemm: squares, and the products of a training step of W1 and W2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .case import Arrays, Case

if TYPE_CHECKING:
    from ..limits import Limits


@dataclass(frozen=True)
class MatrixProduct(Case):
    """``C = A·B``, ``[rows, depth]`` and ``[depth, columns]``, into an array that exists, where the library takes one.

    Parameters
    ----------
    transposed_a, transposed_b : bool
        Whether the operand lies in memory the other way round.
    """

    rows: int = 1
    columns: int = 1
    depth: int = 1
    transposed_a: bool = False
    transposed_b: bool = False

    kind: ClassVar[str] = "matrix_product"

    def data(self) -> Arrays:
        """``a`` and ``b`` as they lie in memory."""
        random = self.random()
        a, b = (self.rows, self.depth), (self.depth, self.columns)
        return {
            "a": random.standard_normal(a[::-1] if self.transposed_a else a, np.float32),
            "b": random.standard_normal(b[::-1] if self.transposed_b else b, np.float32),
        }

    def reference(self) -> Arrays:
        given = self.data()
        a, b = (given[name].astype(np.float64) for name in "ab")
        return {"c": (a.T if self.transposed_a else a) @ (b.T if self.transposed_b else b)}

    def tolerance(self, output: str) -> float:
        return 1e-5

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """All multiply-adds at the peak; every operand through the memory once."""
        m, n, k = self.rows, self.columns, self.depth
        size = 4.0 * (m * k + k * n + m * n)
        return {"arithmetic": 2.0 * m * n * k / limits.operations(threads), "memory": size / limits.read(threads, size)}


def _square(n: int) -> Case:
    return MatrixProduct(f"sgemm {n}×{n}×{n}", goal=1.05, share_goal=0.9, rows=n, columns=n, depth=n)


def _step(batch: int, inputs: int, outputs: int) -> list[Case]:
    """The three products of one dense layer, whose weights are ``[outputs, inputs]``."""
    return [
        MatrixProduct(
            f"sgemm forward {batch}×{inputs}→{outputs}", 1.05, rows=batch, columns=outputs, depth=inputs, transposed_b=True
        ),
        MatrixProduct(
            f"sgemm dW {outputs}×{inputs}, {batch} rows", 1.05, rows=outputs, columns=inputs, depth=batch, transposed_a=True
        ),
        MatrixProduct(f"sgemm dx {batch}×{outputs}→{inputs}", 1.05, rows=batch, columns=inputs, depth=outputs),
    ]


CASES: list[Case] = [
    *(_square(n) for n in (512, 1024, 2048)),
    *_step(60, 784, 100)[:2],  # the first layer's input needs no gradient
    *_step(60, 100, 100),
    *_step(256, 784, 1024)[:2],
    *_step(256, 1024, 1024),
]
