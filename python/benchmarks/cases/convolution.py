"""W5: one convolution of a residual network: at inference, and forward with both gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .case import Arrays, Case

if TYPE_CHECKING:
    from ..limits import Limits


@dataclass(frozen=True)
class Convolution(Case):
    """Square images and filters, padding ``kernel // 2``, no bias. Data is channels last, weights ``[out, in, k, k]``.

    Parameters
    ----------
    training : bool
        Forward, then the gradients of the input and of the weights for a given ``dy``.
    """

    batch: int = 128
    size: int = 32
    channels: int = 16
    filters: int = 16
    kernel: int = 3
    stride: int = 1
    training: bool = False

    kind: ClassVar[str] = "convolution"

    @property
    def padding(self) -> int:
        """On every side."""
        return self.kernel // 2

    @property
    def out_size(self) -> int:
        """Height and width of the output."""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    def data(self) -> Arrays:
        random = self.random()
        fan_in = self.channels * self.kernel**2
        weight = random.normal(0, fan_in**-0.5, (self.filters, self.channels, self.kernel, self.kernel))
        found: Arrays = {
            "x": random.standard_normal((self.batch, self.size, self.size, self.channels), np.float32),
            "weight": weight.astype(np.float32),
        }
        if self.training:
            found["dy"] = random.standard_normal((self.batch, self.out_size, self.out_size, self.filters), np.float32)
        return found

    def reference(self) -> Arrays:
        """Tap by tap of the filter: each is a product of matrices."""
        given = {name: value.astype(np.float64) for name, value in self.data().items()}
        pad, span = self.padding, self.stride * (self.out_size - 1) + 1
        x = np.pad(given["x"], ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        weight = given["weight"]
        y = np.zeros((self.batch, self.out_size, self.out_size, self.filters))
        dx, dweight = np.zeros_like(x), np.zeros_like(weight)
        for i in range(self.kernel):
            for j in range(self.kernel):
                place = np.s_[:, i : i + span : self.stride, j : j + span : self.stride]
                if self.training:
                    dx[place] += given["dy"] @ weight[:, :, i, j]
                    dweight[:, :, i, j] = np.tensordot(given["dy"], x[place], axes=((0, 1, 2), (0, 1, 2)))
                else:
                    y += x[place] @ weight[:, :, i, j].T
        if self.training:
            return {"dx": dx[:, pad : pad + self.size, pad : pad + self.size], "dweight": dweight}
        return {"y": y}

    def tolerance(self, output: str) -> float:
        # Room for transformed convolutions (Winograd); the weights' gradient sums up to 130,000 products.
        return {"y": 1e-5, "dx": 1e-5, "dweight": 2e-5}[output]

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """The multiply-adds of the direct form, twice as many again for the gradients, at the peak; every array through the
        memory once forward (images and weights read, outputs written), once backward (images, weights and ``dy`` read, both
        gradients written).
        """
        taps = self.channels * self.kernel**2 * self.filters
        operations = 2.0 * self.batch * self.out_size**2 * taps
        x, y = (4.0 * self.batch * size for size in (self.size**2 * self.channels, self.out_size**2 * self.filters))
        size = x + 4.0 * taps + y
        if self.training:
            operations, size = 3 * operations, size + 2 * x + 2 * 4.0 * taps + y
        return {"arithmetic": operations / limits.operations(threads), "memory": size / limits.copy(threads, size)}


def _both(name: str, **options: Any) -> list[Case]:
    return [
        Convolution(f"W5 {name} inference", goal=1.0, **options),
        Convolution(f"W5 {name} training", goal=1.0, training=True, **options),
    ]


CASES: list[Case] = [
    *_both("3×3, 16→16, 128×32×32", batch=128, size=32, channels=16, filters=16),
    *_both("3×3, 32→32, 128×16×16", batch=128, size=16, channels=32, filters=32),
    *_both("3×3, 64→64, 128×8×8", batch=128, size=8, channels=64, filters=64),
    *_both("3×3 by 2, 16→32, 128×32×32", batch=128, size=32, channels=16, filters=32, stride=2),
    *_both("3×3, 64→64, 8×56×56", batch=8, size=56, channels=64, filters=64),
    *_both("3×3, 256→256, 8×14×14", batch=8, size=14, channels=256, filters=256),
    *_both("1×1 by 2, 64→128, 8×56×56", batch=8, size=56, channels=64, filters=128, kernel=1, stride=2),
]
