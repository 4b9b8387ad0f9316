"""The learned scale and shift: they can undo the norm, and what they are worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import SGD, Trainer, batch_norm, population_statistics
from .._array import Array
from .drawing import NORMALIZED, PLAIN, picture
from .result import Check, Result, spread
from .training import Context, Network, batch_statistics, train

DEPTH, RATE, STEPS = 3, 0.3, 3000
EPSILON = 1e-5
#: Roundings of float32 that the way there and back may cost, each 2⁻²⁴ of a channel's largest |x|: the difference, the inverse
#: deviation, scale, the product and the sum round once or twice each.
ROUNDINGS = 8
#: (scale, shift)
LEARNED = {"both": (True, True), "scale": (True, False), "shift": (False, True), "none": (False, False)}
#: Less than this is no difference in accuracy.
SAME = 0.002


def restored(x: Array) -> float:
    """The largest error of ``batch_norm(x, √(variance + ε), mean)``, in roundings (2⁻²⁴) of each channel's largest |x|.

    Channels of zeros only have no size to compare with and must come back as zeros: an error there counts as infinite.
    """
    statistics = population_statistics(x)
    y = batch_norm(x, np.sqrt(statistics.variance + EPSILON), statistics.mean, epsilon=EPSILON)
    error = np.abs(y.astype(np.float64) - x).max(0)
    size = np.abs(x).max(0).astype(np.float64) * 2.0**-24
    return float(np.max(np.where(size > 0, error / np.maximum(size, 1e-300), np.where(error > 0, np.inf, 0))))


def accuracy(activation: str, position: str, learned: str, seed: int, context: Context) -> float:
    """Of a training with these parameters learned."""
    scale, shift = LEARNED[learned]
    weights = "he_normal" if activation == "relu" else "glorot_uniform"
    network = Network(DEPTH, activation=activation, norm=position, weights=weights, scale=scale, shift=shift)
    net, data = network.build(context.data, seed), context.data
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
    train(trainer, data.train_x, data.train_y, steps=context.steps(STEPS, 200), batch_size=60, seed=seed)
    return trainer.evaluate(data.test_x, data.test_y).accuracy


def _activations(seed: int, context: Context) -> list[Array]:
    """Pixels, and the three hidden layers' pre-activations of a plain network, of 1000 test rows."""
    net = Network(DEPTH, activation="tanh").build(context.data, seed)
    data = context.data
    train(Trainer(net, optimizer=SGD(RATE)), data.train_x, data.train_y, steps=200, batch_size=60, seed=seed)
    x = data.test_x[np.random.default_rng(seed).permutation(len(data.test_x))[:1000]]
    return [x, *batch_statistics(net, [f"dense_{number}" for number in range(1, DEPTH + 1)], x)]


def run(context: Context) -> Result:
    """Runs it."""
    errors = context.map(lambda seed: max(restored(x) for x in _activations(seed, context)), context.seeds)
    rows = [["scale = √(variance + ε), shift = mean", "–", "largest error, roundings of float32", spread(errors, ".2f")]]
    checks = [
        Check(
            f"scale = √(variance + ε) and shift = mean give back the input within {ROUNDINGS} roundings of float32",
            tuple(error <= ROUNDINGS for error in errors),
            f"{spread(errors, '.2f')} roundings (2⁻²⁴ of a channel's largest |x|)",
        )
    ]
    places = [(activation, position) for activation in ("sigmoid", "relu") for position in ("before", "after")]
    jobs = [(*place, learned, seed) for place in places for learned in LEARNED for seed in context.seeds]
    found = dict(zip(jobs, context.map(lambda job: accuracy(*job, context), jobs)))
    for activation, position in places:
        each = {learned: [found[activation, position, learned, seed] for seed in context.seeds] for learned in LEARNED}
        for learned, values in each.items():
            rows.append([activation, position, f"learned: {learned}", spread(values, ".4f")])
        pairs = list(zip(each["both"], each["none"]))
        both, none = (spread(each[learned], ".4f") for learned in ("both", "none"))
        where = f"{position} {activation}"
        if position == "before":
            rule, met = f"{where}: both learned is more accurate than none", [more > less + SAME for more, less in pairs]
        else:
            rule = f"{where}: both or none is no difference, for the next layer can do their work"
            met = [abs(more - less) <= SAME for more, less in pairs]
        checks.append(Check(f"{rule} ({100 * SAME:g} points)", tuple(met), f"{both} against {none}"))
    return Result(
        name="scale-and-shift",
        title="The learned scale and shift",
        claim="With scale = √(variance + ε) and shift = mean a norm gives back its input, so the network loses nothing; before "
        "the activation the learned two make it more accurate, after it the next layer's weights do the same work.",
        setup=f"There and back: {context.data.name}'s pixels and the pre-activations of three trained tanh layers, 1,000 "
        f"test rows. Accuracy: {DEPTH} hidden layers of 100, mini-batches of 60, SGD at {RATE:g}, "
        f"{context.steps(STEPS, 200):,} steps.",
        columns=("activation", "norm", "what", "found"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Test accuracy; each dot is a seed.",
            len(places),
            lambda axes: _draw(axes, places, found, context),
        ),
    )


def _draw(axes: list[Any], places: list[tuple[str, str]], found: dict[Any, float], context: Context) -> None:
    for axis, (activation, position) in zip(axes, places):
        for number, learned in enumerate(LEARNED):
            values = [found[activation, position, learned, seed] for seed in context.seeds]
            axis.plot([number] * len(values), values, "o", color=PLAIN if learned == "none" else NORMALIZED)
        axis.set_xticks(range(len(LEARNED)), list(LEARNED))
        axis.set_title(f"{position} {activation}", fontsize=9)
