"""Batch norm as a regulariser: the gap between training and test accuracy where both forms fit, and the best dropout."""

from __future__ import annotations

from itertools import product
from statistics import median
from typing import NamedTuple

import numpy as np

from .. import SGD, Trainer
from .drawing import COLORS, LEGENDS, Line, Plot, picture
from .result import Check, Result, against, spread
from .training import FORMS, Context, Network, train

NETWORK = Network(2, 200, activation="relu", weights="he_normal")
#: Few rows, so that there is something to overfit.
ROWS, RATE = 3000, 0.1
#: A form fits once it is right for this share of the training rows (at inference, without dropout); if it never is, it is
#: measured after the most epochs.
FITS, MOST_EPOCHS = 0.995, 150
#: Epochs that are averaged, from the one on in which it fits: a single one is noisy.
AVERAGED = 5
BATCHES, BATCH = (10, 30, 60, 150, 300), 60
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


class Measured(NamedTuple):
    """Accuracies at inference, of training and of test rows, averaged over the epochs from the fit on."""

    training: float
    test: float
    epochs: int  #: after which it fits, or the most
    fits: bool

    @property
    def gap(self) -> float:
        """Training − test."""
        return self.training - self.test


def measure(norm: str, batch: int, dropout: float, seed: int, context: Context) -> Measured:
    """Trains on the first rows of the seed's order until they fit, and some epochs more."""
    data, most = context.data, context.steps(MOST_EPOCHS, AVERAGED)
    order = np.random.default_rng(seed).permutation(len(data.train_x))[:ROWS]
    x, y = data.train_x[order], data.train_y[order]
    net = NETWORK._replace(norm=norm, dropout=dropout).build(data, seed)
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
    per_epoch = max(len(x) // batch, 1)
    fit: list[int] = []
    found: list[tuple[float, float]] = []

    def look(step: int) -> bool:
        if norm != "none":
            net.update_population_statistics(x, method="one_pass")
        training, epoch = trainer.evaluate(x, y).accuracy, step // per_epoch
        if training >= FITS and not fit:
            fit.append(epoch)
        if fit or epoch > most - AVERAGED:
            found.append((training, trainer.evaluate(data.test_x, data.test_y).accuracy))
        return bool(fit) and epoch >= fit[0] + AVERAGED - 1

    at = range(per_epoch, per_epoch * most + 1, per_epoch)
    train(trainer, x, y, steps=per_epoch * most, batch_size=batch, seed=seed, at=at, look=look)
    training, test = np.mean(found[-AVERAGED:], axis=0)
    return Measured(float(training), float(test), fit[0] if fit else most, bool(fit))


def best_dropout(of: dict[float, list[Measured]]) -> list[float]:
    """The rate of the highest test accuracy, for each seed."""
    return [max(of, key=lambda rate: of[rate][place].test) for place in range(len(of[0.0]))]


def run(context: Context) -> Result:
    """Runs it."""
    batches = BATCHES[1::2] if context.quick else BATCHES
    dropouts = DROPOUTS[::3] if context.quick else DROPOUTS
    settings = [*product(batches, dropouts[:1]), *((BATCH, rate) for rate in dropouts[1:])]
    if BATCH not in batches:
        settings.append((BATCH, dropouts[0]))
    found = context.each(measure, ((norm, *setting) for norm in FORMS for setting in settings))
    rows = [
        [
            FORMS[norm],
            str(batch),
            f"{rate:g}",
            spread((one.epochs if one.fits else None for one in each), ","),
            spread((one.training for one in each), ".4f"),
            spread((one.test for one in each), ".4f"),
            spread((100 * one.gap for one in each), ".2f"),
        ]
        for (norm, batch, rate), each in found.items()
    ]
    gaps = {norm: {batch: [100 * one.gap for one in found[norm, batch, 0.0]] for batch in batches} for norm in FORMS}
    of_rates = {norm: {rate: found[norm, BATCH, rate] for rate in dropouts} for norm in FORMS}
    best = {norm: best_dropout(of_rates[norm]) for norm in FORMS}
    small, large = batches[0], batches[-1]
    medians = (f"{batch}: {median(gaps['before'][batch]):.1f} against {median(gaps['none'][batch]):.1f}" for batch in batches)
    checks = [
        Check(
            "the gap is smaller with batch norm than without (one outcome a batch size and seed)",
            tuple(b < a for batch in batches for a, b in zip(gaps["none"][batch], gaps["before"][batch])),
            f"{'; '.join(medians)} points",
        ),
        Check(
            f"with batch norm the gap is smaller at batches of {small} than at {large}: their statistics are noisier",
            tuple(a < b for a, b in zip(gaps["before"][small], gaps["before"][large])),
            f"{against(gaps['before'][small], gaps['before'][large], '.2f')} points",
        ),
        Check(
            "the best dropout rate is lower with batch norm than without (the article: 0.4 against 0.6)",
            tuple(b < a for a, b in zip(best["none"], best["before"])),
            against(best["before"], best["none"], "g"),
        ),
    ]
    return Result(
        name="regularisation",
        title="Batch norm as a regulariser",
        claim="The noise of mini-batch statistics regularises, the more the smaller the batch: the gap between training and "
        "test accuracy shrinks, and less dropout is best (the article: 0.4 instead of 0.6).",
        setup=f"{min(ROWS, len(context.data.train_x)):,} rows of {context.data.name}, {NETWORK.label}, SGD at {RATE:g}; the "
        f"norm before, dropout behind each activation. Trained until {100 * FITS:g} % of the training rows are right at "
        f"inference, {context.steps(MOST_EPOCHS, AVERAGED)} epochs at most; accuracies are means over the epoch of the fit and "
        f"the {AVERAGED - 1} behind it (never: over the last {AVERAGED}), norms with exact statistics. Gap: training − test "
        "accuracy, in points.",
        columns=("norm", "batch", "dropout", "epochs to fit", "training accuracy", "test accuracy", "gap, points"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Gap against batch size, and test accuracy against the dropout rate: median of the seeds.",
            [_gap_plot(gaps), _dropout_plot(of_rates)],
        ),
    )


def _gap_plot(gaps: dict[str, dict[int, list[float]]]) -> Plot:
    lines = [
        Line(list(each), [median(values) for values in each.values()], COLORS[norm], LEGENDS[norm], "o-")
        for norm, each in gaps.items()
    ]
    return Plot("gap, points", lines, "batch size", lambda axis: axis.set_xscale("log"))


def _dropout_plot(of_rates: dict[str, dict[float, list[Measured]]]) -> Plot:
    lines = [
        Line(list(each), [median(one.test for one in values) for values in each.values()], COLORS[norm], LEGENDS[norm], "o-")
        for norm, each in of_rates.items()
    ]
    return Plot("test accuracy", lines, "dropout rate")
