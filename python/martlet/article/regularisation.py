"""Batch norm as a regulariser: the gap between training and test accuracy, and the dropout that is best beside it."""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

import numpy as np

from .. import SGD, Trainer
from ..data import Dataset
from .drawing import NORMALIZED, PLAIN, picture
from .result import Check, Result, spread
from .training import Context, Network, train

NETWORK = Network(2, 200, activation="relu", weights="he_normal")
#: Few rows, so that there is something to overfit.
ROWS, EPOCHS, RATE = 3000, 25, 0.1
BATCHES = (10, 30, 60, 150, 300)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
NORMS = {"none": PLAIN, "before": NORMALIZED}


class Measured(NamedTuple):
    """Accuracy at inference after a training; of training rows and of test rows."""

    training: float
    test: float

    @property
    def gap(self) -> float:
        """Training − test."""
        return self.training - self.test


def measure(data: Dataset, norm: str, batch: int, dropout: float, seed: int, context: Context) -> Measured:
    """Trains on the first rows of the seed's order; test accuracy is the mean over the last five epochs."""
    order = np.random.default_rng(seed).permutation(len(data.train_x))[:ROWS]
    x, y = data.train_x[order], data.train_y[order]
    net = NETWORK._replace(norm=norm, dropout=dropout).build(data, seed)
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
    per_epoch = max(len(x) // batch, 1)
    epochs = context.steps(EPOCHS, 6)
    tests: list[float] = []

    def look(step: int) -> None:
        tests.append(trainer.evaluate(data.test_x, data.test_y).accuracy)

    at = {per_epoch * epoch for epoch in range(epochs - 4, epochs + 1)}
    train(trainer, x, y, steps=per_epoch * epochs, batch_size=batch, seed=seed, at=at, look=look)
    return Measured(trainer.evaluate(x, y).accuracy, float(np.mean(tests)) if tests else float("nan"))


def run(context: Context) -> Result:
    """Runs it."""
    data = context.data._replace(test_x=context.data.test_x[:5000], test_y=context.data.test_y[:5000])
    batches = BATCHES[1::2] if context.quick else BATCHES
    dropouts = DROPOUTS[::3] if context.quick else DROPOUTS
    jobs = [(norm, batch, 0.0, seed) for norm in NORMS for batch in batches for seed in context.seeds]
    jobs += [(norm, 60, rate, seed) for norm in NORMS for rate in dropouts for seed in context.seeds]
    jobs = list(dict.fromkeys(jobs))
    found = dict(zip(jobs, context.map(lambda job: measure(data, *job, context), jobs)))

    def of(norm: str, batch: int, rate: float) -> list[Measured]:
        return [found[norm, batch, rate, seed] for seed in context.seeds]

    rows = []
    for norm in NORMS:
        label = "batch norm" if norm == "before" else "none"
        for batch, rate in [*((batch, 0.0) for batch in batches), *((60, rate) for rate in dropouts if rate)]:
            each = of(norm, batch, rate)
            gap, test = spread((100 * one.gap for one in each), ".2f"), spread((one.test for one in each), ".4f")
            rows.append([label, str(batch), f"{rate:g}", test, gap])
    best = {
        norm: [max(dropouts, key=lambda rate: found[norm, 60, rate, seed].test) for seed in context.seeds] for norm in NORMS
    }
    gaps = {norm: {batch: [one.gap for one in of(norm, batch, 0.0)] for batch in batches} for norm in NORMS}
    small, large = batches[0], batches[-1]
    checks = [
        Check(
            "the gap is smaller with batch norm than without (one outcome a batch size and seed)",
            tuple(b < a for batch in batches for a, b in zip(gaps["none"][batch], gaps["before"][batch])),
            "; ".join(
                f"{batch}: {100 * median(gaps['before'][batch]):.1f} against {100 * median(gaps['none'][batch]):.1f} points"
                for batch in batches
            ),
        ),
        Check(
            f"with batch norm the gap is smaller at batches of {small} than at {large}: their statistics are noisier",
            tuple(a < b for a, b in zip(gaps["before"][small], gaps["before"][large])),
            " against ".join(spread((100 * gap for gap in gaps["before"][batch]), ".2f") for batch in (small, large))
            + " points",
        ),
        Check(
            "the best dropout rate is lower with batch norm than without (the article: 0.4 against 0.6)",
            tuple(b < a for a, b in zip(best["none"], best["before"])),
            f"{spread(best['before'], 'g')} against {spread(best['none'], 'g')}",
        ),
    ]
    return Result(
        name="regularisation",
        title="Batch norm as a regulariser",
        claim="The noise of mini-batch statistics regularises, the more the smaller the batch: the gap between training and "
        "test accuracy shrinks, and less dropout is best (the article: 0.4 instead of 0.6).",
        setup=f"{min(ROWS, len(data.train_x)):,} rows of {data.name}, {NETWORK.label}, SGD at {RATE:g}, "
        f"{context.steps(EPOCHS, 6)} epochs; the norm before, dropout behind each activation. Test accuracy: mean over the "
        "last five epochs. Gap: training − test accuracy at inference, in points.",
        columns=("norm", "batch", "dropout", "test accuracy", "gap, points"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Gap against batch size, and test accuracy against the dropout rate: median of the seeds.",
            2,
            lambda axes: _draw(axes, of, list(batches), list(dropouts)),
        ),
    )


def _draw(axes: list[Any], of: Any, batches: list[int], dropouts: list[float]) -> None:
    for norm, color in NORMS.items():
        label = "batch norm" if norm == "before" else "plain"
        axes[0].plot(
            batches,
            [100 * median(one.gap for one in of(norm, batch, 0.0)) for batch in batches],
            "o-",
            color=color,
            label=label,
        )
        axes[1].plot(
            dropouts, [median(one.test for one in of(norm, 60, rate)) for rate in dropouts], "o-", color=color, label=label
        )
    axes[0].set_xscale("log")
    axes[0].set_xlabel("batch size")
    axes[0].set_title("gap, points", fontsize=9)
    axes[1].set_xlabel("dropout rate")
    axes[1].set_title("test accuracy", fontsize=9)
