"""Whether all layers learn at once: each layer's way to its final weights in deep networks."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from .. import SGD, Trainer
from .._array import Array
from .drawing import LEGENDS, Line, Plot, picture
from .result import Check, Result, against, spread
from .training import FORMS, Context, Network, spaced, train


class Case(NamedTuple):
    """A network, its learning rate, and whether the rule is asked of it: where the plain form trains."""

    network: Network
    rate: float
    trains: bool = True


CASES = (
    Case(Network(10, activation="relu", weights="he_normal"), 0.03),
    Case(Network(10, activation="tanh", weights="glorot_uniform"), 0.03),
    Case(Network(5, weights=0.2), 0.3),
    Case(Network(10, weights="glorot_uniform"), 0.03, trains=False),
)
STEPS = 4000


class Progress(NamedTuple):
    """One training: how much of each layer's way was done at each step."""

    steps: list[int]
    done: Array  #: [steps, layers]: 1 − ‖W(t) − W(end)‖ / ‖W(0) − W(end)‖
    moved: Array  #: [layers]: ‖W(end) − W(0)‖ / ‖W(0)‖
    accuracy: float

    @property
    def apart(self) -> float:
        """How far apart the layers are: the standard deviation between them, averaged over the training."""
        values = self.done.std(1)
        return float(np.sum(np.diff(self.steps) * (values[1:] + values[:-1]) / 2)) / self.steps[-1]

    @property
    def halfway(self) -> list[int]:
        """The first looked-at step at which each layer has half of its way behind it."""
        return [self.steps[int(np.argmax(self.done[:, layer] >= 0.5))] for layer in range(self.done.shape[1])]

    @property
    def lag(self) -> float:
        """Between the first and the last layer to be halfway, as a share of the training."""
        return (max(self.halfway) - min(self.halfway)) / self.steps[-1]


def follow(case: Case, norm: str, seed: int, context: Context) -> Progress:
    """Trains, keeping the hidden layers' weights every now and then."""
    network = case.network
    net = network._replace(norm=norm).build(context.data, seed)
    names = [f"dense_{number}.weight" for number in range(1, network.depth + 1)]
    views = net.parameters()
    trainer = Trainer(net, optimizer=SGD(case.rate), seed=seed)
    steps, weights = [], []

    def look(step: int) -> None:
        steps.append(step)
        weights.append([views[name].copy() for name in names])

    total, data = context.steps(STEPS, 200), context.data
    train(trainer, data.train_x, data.train_y, steps=total, batch_size=60, seed=seed, at=spaced(total, 60), look=look)

    def distance(a: list[Array], b: list[Array]) -> Array:
        return np.array([float(np.linalg.norm(one - other)) for one, other in zip(a, b)])

    whole = distance(weights[0], weights[-1])
    rest = np.array([distance(now, weights[-1]) for now in weights])
    moved = whole / np.array([float(np.linalg.norm(one)) for one in weights[0]])
    accuracy = trainer.evaluate(data.test_x, data.test_y).accuracy
    return Progress(steps, 1 - rest / np.maximum(whole, 1e-30), moved, accuracy)


def run(context: Context) -> Result:
    """Runs it."""
    found = context.each(follow, product(CASES[:1] if context.quick else CASES, FORMS))
    rows = [
        [
            f"{case.network.label}, rate {case.rate:g}",
            FORMS[norm],
            spread(progress.apart for progress in each),
            spread((100 * progress.lag for progress in each), ".0f"),
            spread(float(progress.moved[0]) for progress in each),
            spread(float(progress.moved[-1]) for progress in each),
            spread(progress.accuracy for progress in each),
        ]
        for (case, norm), each in found.items()
    ]
    checks = []
    for case in [case for case, norm in found if norm == "none" and case.trains]:
        plain, normalized = ([progress.apart for progress in found[case, norm]] for norm in FORMS)
        checks.append(
            Check(
                f"{case.network.label}: the layers' progress is less far apart with batch norm",
                tuple(b < a for a, b in zip(plain, normalized)),
                against(normalized, plain),
            )
        )
    return Result(
        name="simultaneous-learning",
        title="All layers learn at once",
        claim="In a deep plain network layers make their progress at different times; with batch norm they learn at once.",
        setup=f"{context.data.name}, mini-batches of 60, plain SGD, {context.steps(STEPS, 200):,} steps; the sigmoid network "
        "of five layers starts from deviation 0.2, the others from He's (relu) and Glorot's weights. Progress of a layer: "
        "1 − ‖W(t) − W(end)‖ / ‖W(0) − W(end)‖. Apart: the standard deviation between the layers, averaged over the training. "
        "Lag: between the first and the last layer with half its way done, in % of the training. Moved: ‖W(end) − W(0)‖ / "
        "‖W(0)‖.",
        columns=("network", "norm", "apart", "lag, %", "moved, first layer", "moved, last hidden", "test accuracy"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Progress of each hidden layer, first (dark) to last (light), first seed.",
            [_plot(case, norm, each[0]) for (case, norm), each in found.items()],
            columns=len(FORMS),
        ),
        notes="The plain sigmoid network of ten layers does not train (test accuracy near 0.1): its layers wander and have no "
        "progress to speak of, so no rule is asked of it.",
    )


def _plot(case: Case, norm: str, progress: Progress) -> Plot:
    layers = progress.done.shape[1]
    lines = [
        Line(progress.steps, progress.done[:, layer], (0.1, 0.25 + 0.6 * layer / layers, 0.5), width=1)
        for layer in range(layers)
    ]
    return Plot(f"{case.network.label}, {LEGENDS[norm]}", lines, also=lambda axis: axis.set_ylim(-0.05, 1.05))
