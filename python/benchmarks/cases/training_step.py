"""W1, W2: one training step of a batch-normalised dense network on one batch, parameters and statistics updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import reference
from .case import Arrays, Case

if TYPE_CHECKING:
    from ..limits import Limits

INPUTS, CLASSES = 784, 10


def network_parameters(random: np.random.Generator, width: int, depth: int) -> Arrays:
    """Weights and statistics under the names of PyTorch's ``Sequential`` of dense, norm, activation, …, dense.

    Only the last layer has a bias: before batch norm its shift takes the bias's place.
    """
    found: Arrays = {}
    features = INPUTS
    for layer in range(depth):
        found[f"{3 * layer}.weight"] = random.normal(0, features**-0.5, (width, features)).astype(np.float32)
        norm = 3 * layer + 1
        found[f"{norm}.weight"] = random.uniform(0.8, 1.2, width).astype(np.float32)
        found[f"{norm}.bias"] = random.normal(0, 0.1, width).astype(np.float32)
        found[f"{norm}.running_mean"] = np.zeros(width, np.float32)
        found[f"{norm}.running_var"] = np.ones(width, np.float32)
        features = width
    found[f"{3 * depth}.weight"] = random.normal(0, features**-0.5, (CLASSES, features)).astype(np.float32)
    found[f"{3 * depth}.bias"] = np.zeros(CLASSES, np.float32)
    return found


def multiply_adds(width: int, depth: int) -> tuple[int, int]:
    """For one row: in all dense layers, and in the first."""
    first = INPUTS * width
    return first + (depth - 1) * width * width + width * CLASSES, first


@dataclass(frozen=True)
class TrainingStep(Case):
    """Forward, mean cross-entropy, backward, update.

    Parameters
    ----------
    activation : {"sigmoid", "relu"}
    optimizer : {"sgd", "adam"}
    learning_rate : float
        Small enough for the network to keep learning the one batch as long as it is timed.
    """

    width: int = 100
    depth: int = 3
    batch: int = 60
    activation: str = "sigmoid"
    optimizer: str = "sgd"
    learning_rate: float = 0.1

    kind: ClassVar[str] = "training_step"

    def data(self) -> Arrays:
        random = self.random()
        x = random.uniform(0, 1, (self.batch, INPUTS)).astype(np.float32)
        return {"x": x, "labels": random.integers(0, CLASSES, self.batch), **self.parameters()}

    def parameters(self) -> Arrays:
        """Those the first step starts from."""
        return network_parameters(np.random.default_rng(self.width), self.width, self.depth)

    def reference(self) -> Arrays:
        given = self.data()
        x, labels = given.pop("x"), given.pop("labels")
        return reference.first_step(given, x, labels, self.depth, self.activation, self.optimizer, self.learning_rate)

    def tolerance(self, output: str) -> float:
        if output == "loss":
            return 1e-5
        # A parameter near one keeps three digits of an update. Adam's first step is near the sign of the gradient, whatever its
        # size: rounding decides where it is near zero, and so does where epsilon is added (TensorFlow: before the correction).
        return 3e-2 if self.optimizer == "adam" else 2e-3

    def error(self, output: str, found: Any, right: Any) -> float:
        """Of a parameter or statistic: the difference beside what the step changed, both as Euclidean norms."""
        if output == "loss":
            return super().error(output, found, right)
        before = self.parameters()[output]
        return float(np.linalg.norm(found - right) / np.linalg.norm(right - before))

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """The products at the multiply-add peak (none for the input's gradient), and Adam's crossings of the memory."""
        every, first = multiply_adds(self.width, self.depth)
        found = {"arithmetic": 2.0 * self.batch * (3 * every - first) / limits.operations(threads)}
        if self.optimizer == "adam":  # reads parameter, gradient and two moments; writes all but the gradient
            parameter_bytes = 4.0 * every
            working_set = 4 * parameter_bytes
            seconds = 3 * 2 * parameter_bytes / limits.copy(threads, working_set)
            found["memory"] = seconds + parameter_bytes / limits.read(threads, working_set)
        return found

    def limit_seconds(self, limits: Limits, threads: int) -> float:
        """One after the other: the update needs the gradients."""
        return sum(self.bounds(limits, threads).values())


CASES: list[Case] = [
    TrainingStep("W1 784-3×100-10 sigmoid, batch 60, SGD step", goal=0.6),
    TrainingStep(
        "W2 784-3×1024-10 ReLU, batch 256, Adam step",
        goal=0.85,
        width=1024,
        batch=256,
        activation="relu",
        optimizer="adam",
        learning_rate=1e-4,
    ),
]
