"""Normalising before against after the activation."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .. import SGD, Trainer
from .._array import Array
from .drawing import COLORS, Plot, picture
from .result import Check, Result, against, spread
from .training import Context, Network, batch_statistics, train

ACTIVATIONS, POSITIONS = ("sigmoid", "tanh", "relu"), ("none", "before", "after")
DEPTH, RATE, STEPS = 4, 0.3, 3000
PROBE_ROWS = 1000
#: The linear region of sigmoid and tanh: where the slope is at least this share of the slope at 0.
SLOPE = 0.8
#: tanh' = 1 − tanh²; σ(x) = (1 + tanh(x/2)) / 2.
EDGES = {"tanh": math.atanh(math.sqrt(1 - SLOPE)), "sigmoid": 2 * math.atanh(math.sqrt(1 - SLOPE))}
#: What counts as "about half" of ReLU's outputs, and as a difference in accuracy.
HALF, SAME = (0.4, 0.6), 0.002


class Measured(NamedTuple):
    """One training."""

    accuracy: float
    share: float  #: of pre-activations in the linear region, or of zeros behind ReLU; mean over the hidden layers
    last: Array  #: pre-activations of the last hidden layer


def measure(activation: str, position: str, seed: int, context: Context) -> Measured:
    """Trains, then looks at what goes into each activation for some test rows, normalised as in training."""
    weights = "he_normal" if activation == "relu" else "glorot_uniform"
    net = Network(DEPTH, activation=activation, norm=position, weights=weights).build(context.data, seed)
    trainer, data = Trainer(net, optimizer=SGD(RATE), seed=seed), context.data
    train(trainer, data.train_x, data.train_y, steps=context.steps(STEPS, 200), batch_size=60, seed=seed)
    stem = "norm" if position == "before" else "dense"
    inputs = batch_statistics(net, [f"{stem}_{number}" for number in range(1, DEPTH + 1)], data.test_x[:PROBE_ROWS])
    if activation == "relu":
        share = np.mean([np.mean(values <= 0) for values in inputs])
    else:
        share = np.mean([np.mean(np.abs(values) <= EDGES[activation]) for values in inputs])
    return Measured(trainer.evaluate(data.test_x, data.test_y).accuracy, float(share), inputs[-1].ravel())


def run(context: Context) -> Result:
    """Runs it."""
    found = context.each(measure, product(ACTIVATIONS, POSITIONS))
    rows, checks = [], []
    for (activation, position), each in found.items():
        share = spread((100 * one.share for one in each), ".1f")
        shares = ["–", share] if activation == "relu" else [share, "–"]
        rows.append([activation, position, spread((one.accuracy for one in each), ".4f"), *shares])
    for activation in ACTIVATIONS:
        before, after = found[activation, "before"], found[activation, "after"]
        pairs = list(zip(before, after))
        if activation == "relu":
            checks.append(
                Check(
                    f"relu: before it, the norm leaves {100 * HALF[0]:g} to {100 * HALF[1]:g} % of the outputs at zero",
                    tuple(HALF[0] <= one.share <= HALF[1] for one in before),
                    f"{spread((100 * one.share for one in before), '.1f')} %",
                )
            )
        else:
            checks.append(
                Check(
                    f"{activation}: more pre-activations are in the linear region with the norm before than after",
                    tuple(a.share > b.share for a, b in pairs),
                    against((100 * one.share for one in before), (100 * one.share for one in after), ".1f") + " %",
                )
            )
        checks.append(
            Check(
                f"{activation}: before is at least as accurate as after (less than {100 * SAME:g} points worse counts as such)",
                tuple(a.accuracy > b.accuracy - SAME for a, b in pairs),
                against((one.accuracy for one in before), (one.accuracy for one in after), ".4f"),
            )
        )
    return Result(
        name="before-or-after",
        title="Before or after the activation",
        claim="The norm belongs before the activation: it keeps the inputs of sigmoid and tanh in their linear region and "
        "leaves about half of ReLU's outputs at zero, and the network is at least as accurate as with the norm after it.",
        setup=f"{context.data.name}, {DEPTH} hidden layers of 100, mini-batches of 60, SGD at {RATE:g}, "
        f"{context.steps(STEPS, 200):,} steps. Linear region: where the slope is at least {SLOPE:g} of that at 0, |x| ≤ "
        f"{EDGES['sigmoid']:.3f} for sigmoid and {EDGES['tanh']:.3f} for tanh. Shares are of what goes into the activations "
        f"for {PROBE_ROWS:,} test rows, mean over the hidden layers.",
        columns=("activation", "norm", "test accuracy", "in the linear region, %", "zeros behind ReLU, %"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "What goes into the activations of the last hidden layer after training, first seed.",
            [_plot(activation, found) for activation in ACTIVATIONS],
        ),
    )


def _plot(activation: str, found: dict[tuple[str, str], list[Measured]]) -> Plot:
    def histograms(axis: Any) -> None:
        for position in POSITIONS:
            values = np.clip(found[activation, position][0].last, -8, 8)
            bins = np.linspace(-8, 8, 81)
            axis.hist(values, bins=bins, density=True, histtype="step", color=COLORS[position], label=position)
        for edge in (EDGES.get(activation, 0), -EDGES.get(activation, 0)):
            axis.axvline(edge, color="#999", linewidth=0.7)

    return Plot(activation, x_label="", also=histograms)
