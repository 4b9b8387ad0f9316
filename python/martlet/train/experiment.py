"""One training: which network, which batches in which order, which learning rate, and what is measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from .. import SGD, Model, Trainer, models
from .._array import Array
from .._errors import InvalidArgumentError
from ..data import Dataset

#: Network -> epochs, if none are asked for.
MODELS = {"cnn": 10, "lenet_bn": 10, "mlp": 10, "resnet20": 4}
#: Test accuracy whose time is told.
GOAL = 0.9
#: Evaluations an epoch before the goal is reached, when it matters where.
_LOOKS = 4


class Settings(NamedTuple):
    """What is trained, and how."""

    model: str = "cnn"
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.1  #: the highest; see :func:`learning_rate`
    momentum: float = 0.9  #: Nesterov's
    weight_decay: float = 5e-4  #: of weights alone
    minutes: float | None = None  #: of training, at most
    seed: int = 1


class Epoch(NamedTuple):
    """One epoch's figures."""

    number: int
    loss: float  #: mean over its steps
    accuracy: float  #: on the test rows, after it
    seconds: float  #: of training since the start, evaluations left out


class Run(NamedTuple):
    """One training; ``seconds_to_goal`` is None where the goal was not reached."""

    label: str
    epochs: list[Epoch]
    losses: list[float]  #: of each step
    seconds_to_goal: float | None


class Learner(Protocol):
    """A network in training, of this library or of another."""

    label: str

    def step(self, x: Array, y: Array, learning_rate: float) -> float:
        """One step; the loss before it."""

    def accuracy(self, x: Array, y: Array) -> float:
        """Share of the rows predicted right at inference."""


class Ours:
    """This library's."""

    label = "martlet"

    def __init__(self, net: Model, settings: Settings) -> None:
        rule = SGD(0.0, settings.momentum, nesterov=settings.momentum > 0, weight_decay=settings.weight_decay)
        self._trainer = Trainer(net, loss="cross_entropy", optimizer=rule, seed=settings.seed)

    def step(self, x: Array, y: Array, learning_rate: float) -> float:
        self._trainer.learning_rate = learning_rate
        return self._trainer.step(x, y).loss

    def accuracy(self, x: Array, y: Array) -> float:
        return self._trainer.evaluate(x, y).accuracy


def images(data: Dataset) -> Dataset:
    """Rows as square images of one channel, with mean 0 and deviation 1 over all pixels of the training rows."""
    side = math.isqrt(data.train_x.shape[1])
    if side * side != data.train_x.shape[1]:
        raise InvalidArgumentError(f"the rows of {data.name} are no square images: {data.train_x.shape[1]} values")
    mean = np.float32(data.train_x.mean(dtype=np.float64))
    deviation = np.float32(data.train_x.std(dtype=np.float64))
    train, test = (((x - mean) / deviation).reshape(-1, side, side, 1) for x in (data.train_x, data.test_x))
    return data._replace(train_x=train, test_x=test)


def network(settings: Settings, data: Dataset) -> Model:
    """The network for such images, with weights drawn from the seed."""
    if settings.model not in MODELS:
        raise InvalidArgumentError(f"model must be one of {', '.join(MODELS)}; got {settings.model!r}")
    return models.build(settings.model, data.train_x.shape[1:], data.classes, seed=settings.seed)


def learning_rate(progress: float, highest: float) -> float:
    """One cycle: in a line from 0 to the highest over the first fifth, then along half a cosine to 0."""
    if progress < 0.2:
        return highest * progress / 0.2
    return highest * 0.5 * (1 + math.cos(math.pi * min((progress - 0.2) / 0.8, 1)))


def batches(rows: int, settings: Settings, epoch: int) -> Iterator[Array]:
    """The rows of each whole batch of one epoch; the order depends on the seed and the epoch alone."""
    order = np.random.default_rng([settings.seed, epoch]).permutation(rows)
    for start in range(0, rows - settings.batch_size + 1, settings.batch_size):
        yield order[start : start + settings.batch_size]


def first_losses(learner: Learner, data: Dataset, settings: Settings, steps: int) -> list[float]:
    """The losses of the first steps of :func:`run`, where no time limit is near."""
    found: list[float] = []
    total = settings.epochs * (len(data.train_x) // settings.batch_size)
    for epoch in range(settings.epochs):
        for rows in batches(len(data.train_x), settings, epoch):
            if len(found) == steps:
                return found
            rate = learning_rate((len(found) + 1) / total, settings.learning_rate)
            found.append(learner.step(data.train_x[rows], data.train_y[rows], rate))
    return found


def run(
    learner: Learner,
    data: Dataset,
    settings: Settings,
    tell: Callable[[Epoch, float], None] = lambda epoch, rate: None,
) -> Run:
    """Trains, and tells each epoch and its last learning rate.

    With ``minutes`` the learning rate follows the steps or the clock, whichever is ahead, and training ends with either: it has
    come down to 0 when time is up.
    """
    per_epoch = len(data.train_x) // settings.batch_size
    if per_epoch == 0:
        raise InvalidArgumentError(f"a batch of {settings.batch_size} rows is more than the {len(data.train_x)} there are")
    total, limit = settings.epochs * per_epoch, math.inf if settings.minutes is None else 60 * settings.minutes
    done = Run(learner.label, [], [], None)
    seconds, goal = 0.0, None
    looks = {round(per_epoch * look / _LOOKS) for look in range(1, _LOOKS)}
    for epoch in range(settings.epochs):
        for step, rows in enumerate(batches(len(data.train_x), settings, epoch), 1):
            begun = time.perf_counter()
            progress = max((len(done.losses) + 1) / total, seconds / limit)
            rate = learning_rate(progress, settings.learning_rate)
            done.losses.append(learner.step(data.train_x[rows], data.train_y[rows], rate))
            seconds += time.perf_counter() - begun
            if goal is None and step in looks and learner.accuracy(data.test_x, data.test_y) >= GOAL:
                goal = seconds
            if seconds >= limit:
                break
        losses = done.losses[epoch * per_epoch :]
        figures = Epoch(epoch + 1, float(np.mean(losses)), learner.accuracy(data.test_x, data.test_y), seconds)
        if goal is None and figures.accuracy >= GOAL:
            goal = seconds
        done.epochs.append(figures)
        tell(figures, rate)
        if seconds >= limit:
            break
    return done._replace(seconds_to_goal=goal)
