"""W3, W4: batch norm alone on dense batches and on images, forward and backward, and at inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import reference
from .case import Arrays, Case

if TYPE_CHECKING:
    from ..limits import Limits


def channels_first(images: Any) -> Any:
    """``[N, H, W, C]`` copied as ``[N, C, H, W]``."""
    return np.ascontiguousarray(np.moveaxis(images, -1, 1))


def channels_last(images: Any) -> Any:
    """``[N, C, H, W]`` seen as ``[N, H, W, C]``."""
    return np.moveaxis(np.asarray(images), 1, -1)


@dataclass(frozen=True)
class Normalization(Case):
    """Training: ``y``, then ``dx``, ``dscale``, ``dshift`` for a given ``dy``. Inference: ``y`` with given statistics.

    Parameters
    ----------
    shape : tuple of int
        ``(N, C)`` or ``(N, C, H, W)``, the way papers write it. ``data()`` is channels last; a contender of the other layout
        turns it round before it is timed.
    """

    shape: tuple[int, ...] = ()
    training: bool = True
    relu: bool = False

    kind: ClassVar[str] = "normalization"

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[1]

    @property
    def channels_last_shape(self) -> tuple[int, ...]:
        """``(N, C)`` or ``(N, H, W, C)``."""
        return (self.shape[0], *self.shape[2:], self.shape[1])

    @property
    def is_image(self) -> bool:
        """Whether there are layouts to choose from."""
        return len(self.shape) == 4

    def data(self) -> Arrays:
        random, channels = self.random(), self.channels
        found: Arrays = {
            "x": (random.standard_normal(self.channels_last_shape, np.float32) * 2 + 0.5),
            "dy": random.standard_normal(self.channels_last_shape, np.float32),
            "scale": random.uniform(0.5, 1.5, channels).astype(np.float32),
            "shift": random.normal(0, 0.3, channels).astype(np.float32),
        }
        if not self.training:
            found["mean"] = random.normal(0.5, 0.1, channels).astype(np.float32)
            found["variance"] = random.uniform(3, 5, channels).astype(np.float32)
        return found

    def reference(self) -> Arrays:
        given = {name: value.astype(np.float64) for name, value in self.data().items()}
        rows = given["x"].reshape(-1, self.channels)
        if not self.training:
            deviation = np.sqrt(given["variance"] + 1e-5)
            y = (rows - given["mean"]) / deviation * given["scale"] + given["shift"]
            return {"y": y.reshape(given["x"].shape)}
        kept = reference.batch_norm(rows, given["scale"], given["shift"])
        y, grad = kept.y, given["dy"].reshape(rows.shape)
        if self.relu:
            y = reference.activation("relu", y)
            grad = reference.activation_gradient("relu", y, grad)
        dx, dscale, dshift = reference.batch_norm_gradients(kept, grad, given["scale"])
        shape = given["x"].shape
        return {"y": y.reshape(shape), "dx": dx.reshape(shape), "dscale": dscale, "dshift": dshift}

    def tolerance(self, output: str) -> float:
        if self.relu and output != "y":  # a few values within rounding of the kink, among millions, may be on its other side
            return 2e-3
        # Room for peers that take the variance as E[x²] − E[x]²; the last two are sums of up to 100,000 products.
        return {"y": 3e-5, "dx": 3e-5, "dscale": 1e-4, "dshift": 1e-4}[output]

    def error(self, output: str, found: Any, right: Any) -> float:
        """With ReLU, of the gradients: as Euclidean norms."""
        if self.relu and output != "y":
            return float(np.linalg.norm(found - right) / np.linalg.norm(right))
        return super().error(output, found, right)

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """Crossings of the memory: forward one read and one write, backward two reads and one write."""
        size = 4.0 * np.prod(self.shape)
        if not self.training:
            return {"memory": float(2 * size / limits.copy(threads, 2 * size))}
        working_set = 4 * size
        seconds = 4 * size / limits.copy(threads, working_set) + size / limits.read(threads, working_set)
        return {"memory": float(seconds)}


def _images(shape: tuple[int, ...], goal: float, relu_goal: float) -> list[Case]:
    size = "×".join(map(str, shape))
    return [
        Normalization(f"W4 {size} training", goal, shape=shape),
        Normalization(f"W4 {size} training, ReLU", relu_goal, shape=shape, relu=True),
    ]


CASES: list[Case] = [
    Normalization("W3 256×1024 training", goal=0.5, shape=(256, 1024)),
    Normalization("W3 4096×512 training", goal=0.6, shape=(4096, 512)),
    Normalization("W3 4096×512 inference", goal=1.0, shape=(4096, 512), training=False),
    *_images((64, 64, 32, 32), 0.6, 0.5),
    *_images((32, 256, 14, 14), 0.65, 0.45),
    *_images((32, 64, 56, 56), 0.6, 0.5),
]
