"""How the inputs of the last hidden layer's units wander while a network trains: the paper's figure 1."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .. import SGD, Trainer
from .._array import Array
from .drawing import COLORS, LEGENDS, Line, Plot, picture
from .result import Check, Result, against, spread
from .training import FORMS, Context, Network, batch_statistics, spaced, train

NETWORKS = (
    Network(3, weights="glorot_uniform"),
    Network(6, weights=0.15),
    Network(6, activation="relu", weights="he_normal"),
)
PERCENTILES = (15, 50, 85)
RATE, STEPS, LOOKS = 0.1, 6000, 80
PROBE_ROWS = 1000


class Drift(NamedTuple):
    """One training."""

    steps: list[int]
    percentiles: Array  #: [steps, 3, units] of what goes into the last activation
    accuracy: float

    @property
    def wander(self) -> Array:
        """Of each unit, how far its median went (highest − lowest), in units of its mean width (85th − 15th percentile)."""
        low, middle, high = (self.percentiles[:, place] for place in range(3))
        width = np.maximum((high - low).mean(0), 1e-12)
        return np.asarray((middle.max(0) - middle.min(0)) / width)

    @property
    def widening(self) -> Array:
        """Of each unit, its greatest width beside its least."""
        width = self.percentiles[:, 2] - self.percentiles[:, 0]
        return np.asarray(width.max(0) / np.maximum(width.min(0), 1e-12))

    def median(self, name: str) -> float:
        """The median unit's wander or widening."""
        return float(np.median(getattr(self, name)))

    @property
    def typical(self) -> int:
        """The unit whose wandering is nearest to the median of all units'."""
        return int(np.argmin(np.abs(self.wander - np.median(self.wander))))


def follow(network: Network, norm: str, seed: int, context: Context) -> Drift:
    """Trains, and looks at the same test rows every now and then, normalised as in training: by their own statistics."""
    net = network._replace(norm=norm).build(context.data, seed)
    layer = f"norm_{network.depth}" if norm == "before" else f"dense_{network.depth}"
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
    steps, percentiles = [], []

    def look(step: int) -> None:
        inputs = batch_statistics(net, [layer], context.data.test_x[:PROBE_ROWS])[0]
        steps.append(step)
        percentiles.append(np.percentile(inputs, PERCENTILES, axis=0))

    total = context.steps(STEPS, 200)
    data = context.data
    train(trainer, data.train_x, data.train_y, steps=total, batch_size=60, seed=seed, at=spaced(total, LOOKS), look=look)
    return Drift(steps, np.array(percentiles), trainer.evaluate(data.test_x, data.test_y).accuracy)


def run(context: Context) -> Result:
    """Runs it."""
    found = context.each(follow, product(NETWORKS, FORMS))
    rows = [
        [
            network.label,
            FORMS[norm],
            spread((drift.median("wander") for drift in each), ".2f"),
            spread((drift.median("widening") for drift in each), ".1f"),
            spread(drift.accuracy for drift in each),
        ]
        for (network, norm), each in found.items()
    ]
    checks = []
    for network, name in product(NETWORKS, ("wander", "widening")):
        plain, normalized = ([drift.median(name) for drift in found[network, norm]] for norm in FORMS)
        checks.append(
            Check(
                f"{network.label}: the median unit's {name} is less with batch norm",
                tuple(b < a for a, b in zip(plain, normalized)),
                against(normalized, plain, ".2f"),
            )
        )
    return Result(
        name="covariate-shift",
        title="Drift of a layer's inputs",
        claim="While a plain network trains, the distribution of the inputs of its last hidden layer's units drifts; with "
        "batch norm it stays far more stable (the paper's figure 1).",
        setup=f"{context.data.name}, mini-batches of 60, SGD at {RATE:g}, {context.steps(STEPS, 200):,} steps. Looked at "
        f"about {LOOKS} times: what goes into each unit's activation in the last hidden layer for {PROBE_ROWS:,} test rows, "
        "normalised by their own statistics as in training. Wander: way of a unit's median, highest − lowest, in units of its "
        "mean width (85th − 15th percentile). Widening: its greatest width beside its least. Both: the median unit's.",
        columns=("network", "norm", "wander", "widening", "test accuracy"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "15th, 50th and 85th percentile of the input of the unit whose wander is nearest to the median, first seed.",
            [_plot(network, norm, each[0]) for (network, norm), each in found.items()],
            columns=len(FORMS),
        ),
        notes="The measures are those of the paper's figure; that a stabler input is why batch norm helps does not follow.",
    )


def _plot(network: Network, norm: str, drift: Drift) -> Plot:
    paths = drift.percentiles[:, :, drift.typical].T
    lines = [Line(drift.steps, path, COLORS[norm], width=width) for path, width in zip(paths, (0.8, 1.6, 0.8))]

    def name(axis: Any) -> None:
        for percentile, path in zip(PERCENTILES, paths):
            axis.annotate(f"{percentile}%", (drift.steps[-1], path[-1]), fontsize=8)

    return Plot(f"{network.label}, {LEGENDS[norm]}", lines, also=name)
