"""What normalises at inference: the mini-batch's own statistics, moving ones, or the exact ones of the training rows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import SGD, Trainer
from .._array import Array
from .drawing import Line, Plot, picture
from .result import Check, Result, spread
from .training import Context, Network, batch_statistics, spaced, train

NETWORK = Network(3, norm="before")
RATE, STEPS, BATCH = 0.3, 3000, 60
MOMENTA = (0.5, 0.9, 0.99, 0.999)
#: Steps of the moving averages with the weights held still; where the quick and the slow are compared.
FOLLOWED, EARLY = 4000, 10
#: Points of accuracy that sorted mini-batches must lose at least, and that shuffled and moving ones may.
LOST, SAME = 0.05, 0.01


class Accuracies(NamedTuple):
    """One training's test accuracies."""

    sorted_batches: float
    shuffled_batches: float
    moving: float
    population: float


class Averages(NamedTuple):
    """How far moving means are from the exact ones, in the exact deviations, mean over the channels; momentum → errors."""

    steps: list[int]
    errors: dict[float, list[float]]


def _own_statistics(net: Any, x: Array, y: Array) -> float:
    """Accuracy where each mini-batch is normalised by its own statistics."""
    right = 0
    for start in range(0, len(x) - BATCH + 1, BATCH):
        rows = slice(start, start + BATCH)
        right += int((batch_statistics(net, ["output"], x[rows])[0].argmax(1) == y[rows]).sum())
    return right / (len(x) // BATCH * BATCH)


def measure(seed: int, context: Context) -> tuple[Accuracies, Averages]:
    """Trains once, then evaluates and follows the statistics of the network as it is."""
    data, net = context.data, NETWORK.build(context.data, seed)
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
    train(trainer, data.train_x, data.train_y, steps=context.steps(STEPS, 200), batch_size=BATCH, seed=seed)
    order = np.argsort(data.test_y, kind="stable")
    shuffled = np.random.default_rng(seed).permutation(len(data.test_y))
    sorted_batches = _own_statistics(net, data.test_x[order], data.test_y[order])
    shuffled_batches = _own_statistics(net, data.test_x[shuffled], data.test_y[shuffled])
    moving = trainer.evaluate(data.test_x, data.test_y).accuracy
    net.update_population_statistics(data.train_x)
    population = trainer.evaluate(data.test_x, data.test_y).accuracy
    return Accuracies(sorted_batches, shuffled_batches, moving, population), _follow(net.state_dict(), seed, context)


def _follow(weights: dict[str, Array], seed: int, context: Context) -> Averages:
    """Moving means of the first norm from their start at 0, while the weights stay."""
    data, total = context.data, context.steps(FOLLOWED, 100)
    mean = weights["norm_1.running_mean"].astype(np.float64)
    deviation = np.sqrt(weights["norm_1.running_var"].astype(np.float64))
    fixed = {name: value for name, value in weights.items() if ".running" not in name and ".num" not in name}
    # Only what is in front of the first norm matters, so only that is run.
    nets = {}
    for momentum in MOMENTA:
        one = NETWORK._replace(depth=1, momentum=momentum).build(data, seed)
        one.load_state_dict({name: value for name, value in fixed.items() if "_1." in name}, strict=False)
        nets[momentum] = one.submodel("norm_1")
    found = Averages(sorted(spaced(total, 60)), {momentum: [] for momentum in MOMENTA})
    random = np.random.default_rng([seed, 1])
    for step in range(total + 1):
        if step in found.steps:
            for momentum, net in nets.items():
                moving = net.state_dict()["norm_1.running_mean"]
                found.errors[momentum].append(float(np.mean(np.abs(moving - mean) / deviation)))
        x = data.train_x[random.integers(0, len(data.train_x), BATCH)]
        for net in nets.values():
            net.forward(x, training=True)
    return found


def run(context: Context) -> Result:
    """Runs it."""
    measured = context.map(lambda seed: measure(seed, context), context.seeds)
    accuracies, averages = [one for one, _ in measured], [one for _, one in measured]
    labels = {
        "sorted_batches": f"own statistics of mini-batches of {BATCH}, sorted by class",
        "shuffled_batches": f"own statistics of mini-batches of {BATCH}, shuffled",
        "moving": "moving statistics, momentum 0.9",
        "population": "exact statistics of the training rows",
    }
    rows = [["test accuracy", text, spread((getattr(one, name) for one in accuracies), ".4f")] for name, text in labels.items()]
    steps = averages[0].steps
    early = next(place for place, step in enumerate(steps) if step >= EARLY)
    late = max(len(steps) * 3 // 4, 1)
    at = {place: {m: [_after(one.errors[m], place) for one in averages] for m in MOMENTA} for place in (early, late)}
    # A running average of independent batches: deviation √((1 − m) / (1 + m)) / √rows; E|error| = √(2/π) of it.
    for momentum in MOMENTA:
        floor = math.sqrt(2 / math.pi * (1 - momentum) / (1 + momentum) / BATCH)
        first, last = (spread(at[place][momentum], ".4f") for place in (early, late))
        rows.append(
            [
                f"moving mean, momentum {momentum:g}",
                f"error after {steps[early]} steps; over the last quarter",
                f"{first}; {last}",
            ]
        )
        rows.append(["", "error expected in the end, independent batches", f"{floor:.4f}"])
    quick, slow = MOMENTA[0], MOMENTA[-1]
    checks = [
        Check(
            f"mini-batches sorted by class lose {100 * LOST:g} points or more against exact statistics",
            tuple(one.sorted_batches <= one.population - LOST for one in accuracies),
            f"{spread((100 * (one.population - one.sorted_batches) for one in accuracies), '.1f')} points",
        ),
        Check(
            f"moving and exact statistics are within {100 * SAME:g} point of each other",
            tuple(abs(one.moving - one.population) <= SAME for one in accuracies),
            f"{spread((100 * (one.moving - one.population) for one in accuracies), '.2f')} points",
        ),
        Check(
            f"after {steps[early]} steps momentum {quick:g} is nearer to the exact mean than {slow:g}",
            tuple(a < b for a, b in zip(at[early][quick], at[early][slow])),
        ),
        Check(
            f"in the end momentum {slow:g} is nearer to it than {quick:g}",
            tuple(b < a for a, b in zip(at[late][quick], at[late][slow])),
        ),
    ]
    return Result(
        name="inference-statistics",
        title="Statistics at inference",
        claim="A mini-batch's own statistics mislead where it is not like the training rows; moving averages stand in for the "
        "exact ones. A momentum near 1 is slow to forget the start and steady in the end; a small one is quick and noisy.",
        setup=f"{context.data.name}, {NETWORK.label}, norm before each activation, {context.steps(STEPS, 200):,} steps of SGD "
        f"at {RATE:g}, mini-batches of {BATCH}. Moving means: of the first norm from 0, weights held still, {steps[-1]:,} "
        "random mini-batches; error: |moving − exact| / exact deviation, mean over the channels.",
        columns=("what", "normalised with", "found"),
        rows=rows,
        checks=checks,
        pictures=picture("Error of the moving mean against steps, first seed.", [_plot(averages[0])]),
    )


def _after(errors: list[float], place: int) -> float:
    """The error at an early place; at a late one the mean from there on, for it is noisy."""
    return errors[place] if place < len(errors) / 2 else float(np.mean(errors[place:]))


def _plot(averages: Averages) -> Plot:
    def scales(axis: Any) -> None:
        axis.set_xscale("symlog", linthresh=10)
        axis.set_yscale("log")

    lines = [Line(averages.steps, errors, label=f"momentum {momentum:g}") for momentum, errors in averages.errors.items()]
    return Plot("", lines, also=scales)
