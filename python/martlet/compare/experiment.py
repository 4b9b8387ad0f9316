"""Trains each network twice, from the same weights on the same batches: plain, and with batch normalisation."""

from __future__ import annotations

from typing import NamedTuple, TextIO

import numpy as np

from .. import SGD, BatchNorm, Dense, Event, Initializer, Layer, ReLU, Sequential, Sigmoid, Tanh, Trainer
from .._array import Array
from ..data import Dataset
from ..progress import Progress

ACTIVATIONS: dict[str, type[Layer]] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU}
POSITIONS = ("before", "after", "none")
PERCENTILES = (15, 50, 85)
#: Test rows whose pre-activations are looked at.
_PROBE_ROWS = 2000


class Settings(NamedTuple):
    """What is compared, and how it is trained."""

    depths: tuple[int, ...] = (3, 6)
    width: int = 100
    activation: str = "sigmoid"
    norm: str = "before"
    deviation: float = 0.15  #: of the first weights' normal distribution; 0: Glorot's uniform one
    learning_rate: float = 0.1
    normalized_learning_rate: float | None = None  #: None: the same
    batch_size: int = 60
    steps: int = 12000
    seed: int = 1

    def evaluation_steps(self) -> set[int]:
        """Where test accuracy is measured: often at first, when much happens."""
        fine, coarse = max(self.steps // 600, 5), max(self.steps // 120, 20)
        early = set(range(0, self.steps // 12 + 1, fine))
        return early | set(range(0, self.steps + 1, coarse)) | {self.steps}


class Run(NamedTuple):
    """One training: the label, and what was measured at ``steps``."""

    label: str
    steps: list[int]
    accuracy: list[float]
    percentiles: list[Array]  #: of the last hidden layer's pre-activations

    @property
    def best(self) -> float:
        """Best test accuracy."""
        return max(self.accuracy)

    @property
    def learned(self) -> bool:
        """Whether training brought anything to speak of."""
        return self.best >= self.accuracy[0] + 0.05

    def steps_to(self, accuracy: float) -> int | None:
        """First measured step with at least this test accuracy; None if there was none."""
        return next((step for step, reached in zip(self.steps, self.accuracy) if reached >= accuracy), None)


class Comparison(NamedTuple):
    """A network's two trainings; ``normalized`` is None where none was asked for."""

    name: str
    plain: Run
    normalized: Run | None


def network(settings: Settings, depth: int, features: int, classes: int, norm: str) -> Sequential:
    """``depth`` hidden layers of dense and activation, with batch norm before or after the activation, or none."""
    activation = ACTIVATIONS[settings.activation]
    weights = Initializer("normal", settings.deviation) if settings.deviation else Initializer("glorot_uniform")
    layers: list[Layer] = []
    for number in range(1, depth + 1):
        layers.append(Dense(settings.width, weight_initializer=weights, name=f"dense_{number}"))
        if norm == "before":
            layers.append(BatchNorm(name=f"norm_{number}"))
        layers.append(activation(name=f"activation_{number}"))
        if norm == "after":
            layers.append(BatchNorm(name=f"norm_{number}"))
    layers.append(Dense(classes, weight_initializer=weights, name="output"))
    return Sequential(layers, input_shape=(features,), seed=settings.seed)


def compare(settings: Settings, data: Dataset, stream: TextIO | None = None) -> list[Comparison]:
    """Runs it all, with progress on ``stream`` (standard error if left out)."""
    found = []
    features = data.train_x.shape[1]
    for depth in settings.depths:
        name = "-".join(str(width) for width in (features, *[settings.width] * depth, data.classes))
        plain = network(settings, depth, features, data.classes, "none")
        normalized = None
        if settings.norm != "none":
            normalized = network(settings, depth, features, data.classes, settings.norm)
            normalized.load_state_dict(plain.state_dict(), strict=False)
        label = f"{depth} hidden layers"
        plain_run = _train(plain, settings, settings.learning_rate, "none", depth, data, f"{label}, plain     ", stream)
        normalized_run = None
        if normalized is not None:
            rate = settings.normalized_learning_rate
            rate = settings.learning_rate if rate is None else rate
            normalized_run = _train(normalized, settings, rate, settings.norm, depth, data, f"{label}, normalised", stream)
        found.append(Comparison(name, plain_run, normalized_run))
    return found


def _train(
    net: Sequential,
    settings: Settings,
    learning_rate: float,
    norm: str,
    depth: int,
    data: Dataset,
    label: str,
    stream: TextIO | None,
) -> Run:
    """One training; the order of the rows depends on the seed alone."""
    trainer = Trainer(net, loss="cross_entropy", optimizer=SGD(learning_rate), seed=settings.seed)
    pre_activations = net.submodel(f"norm_{depth}" if norm == "before" else f"dense_{depth}")
    run = Run(label, [], [], [])
    bar = Progress(settings.steps, label, stream)
    wanted = settings.evaluation_steps()

    def measure(step: int) -> None:
        run.steps.append(step)
        run.accuracy.append(trainer.evaluate(data.test_x, data.test_y).accuracy)
        run.percentiles.append(np.percentile(pre_activations(data.test_x[:_PROBE_ROWS]), PERCENTILES))

    def watch(event: Event) -> bool:
        if event.kind == "epoch":
            return False
        bar.update(event.step, loss=event.training.loss, accuracy=event.training.accuracy)
        if event.step in wanted:
            measure(event.step)
        return event.step >= settings.steps

    measure(0)
    per_epoch = max(len(data.train_x) // settings.batch_size, 1)
    try:
        trainer.fit(
            data.train_x,
            data.train_y,
            epochs=-(-settings.steps // per_epoch),
            batch_size=settings.batch_size,
            seed=settings.seed,
            drop_last=True,
            callbacks=watch,
        )
    finally:
        bar.close()
    return run
