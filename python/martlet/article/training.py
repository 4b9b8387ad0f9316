"""What the experiments share: the data and seeds of a run, fully connected networks, and a training that is watched."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import SGD, BatchNorm, Dense, Dropout, Initializer, Layer, Model, ReLU, Sequential, Sigmoid, Tanh, Trainer
from .._array import Array
from .._errors import NonFiniteError
from ..data import Dataset

ACTIVATIONS: dict[str, type[Layer]] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU}
#: How tables call a form without norms and one with them before the activation.
FORMS = {"none": "none", "before": "batch norm"}
Item = TypeVar("Item")
Choice = TypeVar("Choice", bound=tuple[Any, ...])
Found = TypeVar("Found")


class Context(NamedTuple):
    """What all experiments of a run are given."""

    data: Dataset  #: images as rows
    seeds: tuple[int, ...] = (1, 2, 3)
    quick: bool = False  #: a few steps, to see that all works
    jobs: int = 1  #: trainings at a time, each on a thread of its own

    def steps(self, full: int, quick: int) -> int:
        """As many steps as this run wants."""
        return quick if self.quick else full

    def map(self, function: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        """The function of each item, several at a time. Results do not depend on how many."""
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def each(self, function: Callable[..., Found], choices: Iterable[Choice]) -> dict[Choice, list[Found]]:
        """``function(*choice, seed, context)`` of each choice and seed: a list over the seeds for each choice."""
        choices = list(choices)
        found = self.map(
            lambda job: function(*job[0], job[1], self), [(choice, seed) for choice in choices for seed in self.seeds]
        )
        count = len(self.seeds)
        return {choice: found[place * count : (place + 1) * count] for place, choice in enumerate(choices)}


class Network(NamedTuple):
    """Fully connected layers with an activation each, and where each is normalised."""

    depth: int
    width: int = 100
    activation: str = "sigmoid"
    norm: str = "none"  #: "none", "before" or "after" the activation
    weights: str | float = "glorot_uniform"  #: an initialiser; a number: the deviation of a normal one
    scale: bool = True
    shift: bool = True
    momentum: float = 0.9
    dropout: float = 0.0  #: behind each hidden layer

    def build(self, data: Dataset, seed: int) -> Sequential:
        """Layers named ``dense_1``, ``norm_1``, ``activation_1`` … ``output``, with weights drawn from the seed.

        The same seed gives the same weights with and without norms.
        """
        weights = Initializer("normal", self.weights) if isinstance(self.weights, float) else self.weights
        layers: list[Layer] = []
        for number in range(1, self.depth + 1):
            norm = BatchNorm(self.momentum, scale=self.scale, shift=self.shift, name=f"norm_{number}")
            layers.append(Dense(self.width, weight_initializer=weights, name=f"dense_{number}"))
            layers += [norm] if self.norm == "before" else []
            layers.append(ACTIVATIONS[self.activation](name=f"activation_{number}"))
            layers += [norm] if self.norm == "after" else []
            layers += [Dropout(self.dropout, name=f"dropout_{number}")] if self.dropout else []
        layers.append(Dense(data.classes, weight_initializer=weights, name="output"))
        net = Sequential(layers, input_shape=(data.train_x.shape[1],), seed=seed)
        if self.norm != "none":
            plain = self._replace(norm="none").build(data, seed)
            net.load_state_dict(plain.state_dict(), strict=False)
        return net

    @property
    def label(self) -> str:
        """For tables and legends."""
        return f"{self.depth}×{self.width} {self.activation}"


class Curve(NamedTuple):
    """Test accuracy at some steps."""

    steps: list[int]
    accuracy: list[float]

    @property
    def best(self) -> float:
        """The highest."""
        return max(self.accuracy)

    def steps_to(self, accuracy: float) -> int | None:
        """The first measured step with at least this accuracy."""
        return next((step for step, found in zip(self.steps, self.accuracy) if found >= accuracy), None)


def train(
    trainer: Trainer,
    x: Array,
    y: Array,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    at: Collection[int] = (),
    look: Callable[[int], Any] = lambda step: None,
) -> float:
    """Trains for this many steps; looks before the first and behind those in ``at``. Returns the last step's loss.

    Ends early where ``look`` says so, or where the loss is no number any more. The order of the rows depends on the seed alone.
    """
    last = math.nan

    def watch(event: Any) -> bool:
        nonlocal last
        if event.kind == "epoch":
            return False
        last = event.training.loss
        done = not math.isfinite(last) or event.step >= steps
        return bool(event.step in at and look(event.step)) or done

    if 0 in at:
        look(0)
    per_epoch = max(len(x) // batch_size, 1)
    epochs = -(-steps // per_epoch)
    try:
        trainer.fit(x, y, epochs=epochs, batch_size=batch_size, seed=seed, drop_last=True, callbacks=watch)
    except NonFiniteError:
        return math.nan
    return last


def curve(
    net: Model,
    data: Dataset,
    rate: float,
    *,
    steps: int,
    seed: int,
    at: Collection[int],
    batch_size: int = 60,
    until: float = math.inf,
    hopeless: Callable[[int, float], bool] = lambda step, accuracy: False,
    population_rows: int = 0,
) -> Curve:
    """Test accuracy of a training by plain SGD, which ends once it is ``until``, or ``hopeless``.

    ``population_rows``: norms are tested with the exact statistics of so many rows; 0: with their moving ones.
    """
    trainer = Trainer(net, optimizer=SGD(rate), seed=seed)
    found = Curve([], [])

    def look(step: int) -> bool:
        found.steps.append(step)
        if population_rows:
            net.update_population_statistics(data.train_x[:population_rows], method="one_pass")
        found.accuracy.append(trainer.evaluate(data.test_x, data.test_y).accuracy)
        return found.accuracy[-1] >= until or hopeless(step, found.accuracy[-1])

    train(trainer, data.train_x, data.train_y, steps=steps, batch_size=batch_size, seed=seed, at=at, look=look)
    return found


def held_out(data: Dataset) -> Dataset:
    """The training rows alone, the last sixth of them to test on: what rates are chosen by, so that test rows only measure."""
    cut = len(data.train_x) - len(data.train_x) // 6
    x, y = data.train_x, data.train_y
    return Dataset(data.name, x[:cut], y[:cut], x[cut:], y[cut:])


def spaced(steps: int, count: int) -> set[int]:
    """About ``count`` steps from 0 to the last, close together at first, where much happens."""
    even = np.linspace(0, 1, count)
    return {int(step) for step in np.round(steps * even**2)} | {0, steps}


def batch_statistics(net: Model, layers: list[str], x: Array) -> list[Array]:
    """What the named layers put out for a batch whose own statistics normalise it, as in training. The model stays as it is."""
    copy = net.clone().submodel(layers)
    outputs = copy.forward(x, training=True)
    return list(outputs) if len(layers) > 1 else [outputs]
