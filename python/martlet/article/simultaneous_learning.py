"""Whether all layers learn at once: each layer's way to its final weights in a network of ten hidden layers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import SGD, Trainer
from .._array import Array
from .drawing import picture
from .result import Check, Result, spread
from .training import Context, Network, spaced, train

NETWORKS = (
    Network(10, activation="relu", weights="he_normal"),
    Network(10, activation="tanh", weights="glorot_uniform"),
    Network(10, weights="glorot_uniform"),
)
RATE, STEPS = 0.03, 4000


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


def follow(network: Network, norm: str, seed: int, context: Context) -> Progress:
    """Trains, keeping the hidden layers' weights every now and then."""
    net = network._replace(norm=norm).build(context.data, seed)
    names = [f"dense_{number}.weight" for number in range(1, network.depth + 1)]
    views = net.parameters()
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
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
    networks = NETWORKS[:1] if context.quick else NETWORKS
    jobs = [(network, norm, seed) for network in networks for norm in ("none", "before") for seed in context.seeds]
    found = dict(zip(jobs, context.map(lambda job: follow(*job, context), jobs)))
    rows, checks = [], []
    for network in networks:
        for norm in ("none", "before"):
            each = [found[network, norm, seed] for seed in context.seeds]
            rows.append(
                [
                    network.label,
                    "batch norm" if norm == "before" else "none",
                    spread(progress.apart for progress in each),
                    spread((100 * progress.lag for progress in each), ".0f"),
                    spread(float(progress.moved[0]) for progress in each),
                    spread(float(progress.moved[-1]) for progress in each),
                    spread(progress.accuracy for progress in each),
                ]
            )
        pairs = [(found[network, "none", seed], found[network, "before", seed]) for seed in context.seeds]
        checks.append(
            Check(
                f"{network.label}: the layers' progress is less far apart with batch norm",
                tuple(normalized.apart < plain.apart for plain, normalized in pairs),
                f"{spread(pair[1].apart for pair in pairs)} against {spread(pair[0].apart for pair in pairs)}",
            )
        )
    seed = context.seeds[0]
    return Result(
        name="simultaneous-learning",
        title="All layers learn at once",
        claim="In a deep plain network layers make their progress at different times; with batch norm they learn at once.",
        setup=f"{context.data.name}, ten hidden layers, mini-batches of 60, SGD at {RATE:g}, {context.steps(STEPS, 200):,} "
        "steps. Progress of a layer: 1 − ‖W(t) − W(end)‖ / ‖W(0) − W(end)‖. Apart: the standard deviation "
        "between the layers, averaged over the training. Lag: between the first and the last layer with half its way done, "
        "in % of the training. Moved: ‖W(end) − W(0)‖ / ‖W(0)‖.",
        columns=("network", "norm", "apart", "lag, %", "moved, first layer", "moved, tenth", "test accuracy"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Progress of each hidden layer, first (dark) to tenth (light), first seed.",
            2,
            lambda axes: _draw(axes, [(job, progress) for job, progress in found.items() if job[2] == seed]),
            rows=len(networks),
        ),
        notes="A network that does not train (test accuracy near 0.1) has no progress to speak of: its layers wander.",
    )


def _draw(axes: list[Any], found: list[Any]) -> None:
    for axis, ((network, norm, _), progress) in zip(axes, found):
        layers = progress.done.shape[1]
        for layer in range(layers):
            axis.plot(progress.steps, progress.done[:, layer], color=(0.1, 0.25 + 0.6 * layer / layers, 0.5), linewidth=1)
        axis.set_title(f"{network.label}, {'batch norm' if norm == 'before' else 'plain'}", fontsize=9)
        axis.set_xlabel("steps")
        axis.set_ylim(-0.05, 1.05)
