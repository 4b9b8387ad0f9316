"""The learned scale and shift: they can undo the norm, and what they are worth."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from .. import SGD, Trainer, batch_norm, batch_norm_with_statistics, population_statistics
from .._array import Array
from .drawing import NORMALIZED, PLAIN, Line, Plot, picture
from .result import Check, Result, against, spread
from .training import Context, Network, batch_statistics, train

DEPTH, RATE, STEPS = 3, 0.3, 3000
ACTIVATIONS, POSITIONS = ("sigmoid", "relu"), ("before", "after")
EPSILON = 1e-5
#: One rounding of float32, relative.
ROUNDING = 2.0**-24
#: (scale, shift)
LEARNED = {"both": (True, True), "scale": (True, False), "shift": (False, True), "none": (False, False)}
#: Less than this is no difference in accuracy.
SAME = 0.002


class Restored(NamedTuple):
    """How far ``batch_norm(x, √(variance + ε), mean)`` is from x, at the worst channel."""

    roundings: float  #: in roundings (2⁻²⁴) of the channel's largest |x|
    share: float  #: of what float32 may lose there, see ``bound``


def bound(x: Array, mean: Array) -> Array:
    """What each channel may lose, in units of its values.

    The norm works out ``d·multiplier + offset`` with d = x − center, and rounds to float32, each time by 2⁻²⁴ at most, relative
    to what is rounded:

    - in units of the largest |x − mean|: the difference d; the scale it is given; the product, where hardware does not fuse it
      with the sum (the multiplier's own rounding is made up for by a second, small term);
    - in units of |mean|: the shift it is given, and the offset with the small term;
    - in units of the largest |x|: the sum, which is the output.
    """
    spread_of_x = np.abs(x - mean).max(0)
    return np.asarray(ROUNDING * (3 * spread_of_x + 2 * np.abs(mean) + np.abs(x).max(0)))


def restored(x: Array, exact: bool = False) -> Restored:
    """There and back, with the statistics that the norm itself used, or with the exact ones of the rows.

    Channels of zeros only have no size to compare with and must come back as zeros: an error there counts as infinite.
    """
    statistics = population_statistics(x) if exact else batch_norm_with_statistics(x, epsilon=EPSILON)
    y = batch_norm(x, np.sqrt(statistics.variance + EPSILON), statistics.mean, epsilon=EPSILON)
    wide = x.astype(np.float64)
    error = np.abs(y - wide).max(0)

    def worst(sizes: Array) -> float:
        return float(np.max(np.where(sizes > 0, error / np.maximum(sizes, 1e-300), np.where(error > 0, np.inf, 0))))

    return Restored(worst(ROUNDING * np.abs(wide).max(0)), worst(bound(wide, statistics.mean)))


def accuracy(activation: str, position: str, learned: str, seed: int, context: Context) -> float:
    """Of a training with these parameters learned."""
    scale, shift = LEARNED[learned]
    weights = "he_normal" if activation == "relu" else "glorot_uniform"
    network = Network(DEPTH, activation=activation, norm=position, weights=weights, scale=scale, shift=shift)
    net, data = network.build(context.data, seed), context.data
    trainer = Trainer(net, optimizer=SGD(RATE), seed=seed)
    train(trainer, data.train_x, data.train_y, steps=context.steps(STEPS, 200), batch_size=60, seed=seed)
    return trainer.evaluate(data.test_x, data.test_y).accuracy


def there_and_back(seed: int, context: Context) -> tuple[Restored, Restored]:
    """The worst of pixels and pre-activations: with the norm's own statistics, and with the exact ones."""
    found = [(restored(x), restored(x, exact=True)) for x in _activations(seed, context)]
    own, exact = (Restored(*(max(values) for values in zip(*each))) for each in zip(*found))
    return own, exact


def _activations(seed: int, context: Context) -> list[Array]:
    """Pixels, and the three hidden layers' pre-activations of a plain network, of 1000 test rows."""
    net = Network(DEPTH, activation="tanh").build(context.data, seed)
    data = context.data
    train(Trainer(net, optimizer=SGD(RATE)), data.train_x, data.train_y, steps=200, batch_size=60, seed=seed)
    x = data.test_x[np.random.default_rng(seed).permutation(len(data.test_x))[:1000]]
    return [x, *batch_statistics(net, [f"dense_{number}" for number in range(1, DEPTH + 1)], x)]


def run(context: Context) -> Result:
    """Runs it."""
    errors = context.map(lambda seed: there_and_back(seed, context), context.seeds)
    own, exact = ([pair[side] for pair in errors] for side in (0, 1))
    undone = "scale = √(variance + ε), shift = mean"
    rows = [
        [undone, "–", f"largest error, roundings: {which} statistics", spread((one.roundings for one in each), ".2f")]
        for which, each in (("the norm's own", own), ("exact", exact))
    ]
    checks = [
        Check(
            "scale = √(variance + ε) and shift = mean give back the input within what float32 must lose",
            tuple(one.share <= 1 for one in own),
            f"{spread((one.roundings for one in own), '.2f')} roundings (2⁻²⁴ of a channel's largest |x|), "
            f"{spread((100 * one.share for one in own), '.0f')} % of the bound",
        )
    ]
    found = context.each(accuracy, product(ACTIVATIONS, POSITIONS, LEARNED))
    for (activation, position, learned), values in found.items():
        rows.append([activation, position, f"learned: {learned}", spread(values, ".4f")])
    for activation, position in product(ACTIVATIONS, POSITIONS):
        both, none = (found[activation, position, learned] for learned in ("both", "none"))
        pairs = list(zip(both, none))
        where = f"{position} {activation}"
        if position == "before":
            rule, met = f"{where}: both learned is more accurate than none", [more > less + SAME for more, less in pairs]
        else:
            rule = f"{where}: both or none is no difference, for the next layer can do their work"
            met = [abs(more - less) <= SAME for more, less in pairs]
        checks.append(Check(f"{rule} ({100 * SAME:g} points)", tuple(met), against(both, none, ".4f")))
    return Result(
        name="scale-and-shift",
        title="The learned scale and shift",
        claim="With scale = √(variance + ε) and shift = mean a norm gives back its input, so the network loses nothing; before "
        "the activation the learned two make it more accurate, after it the next layer's weights do the same work.",
        setup=f"There and back: {context.data.name}'s pixels and the pre-activations of three trained tanh layers, 1,000 "
        f"test rows. Accuracy: {DEPTH} hidden layers of 100, mini-batches of 60, SGD at {RATE:g}, "
        f"{context.steps(STEPS, 200):,} steps.",
        notes="A norm is undone by the statistics that it used. Those of a batch are summed in float32 in runs of 32 values, "
        "and in float64 from there on; pixels that are dark but for a few rows make the variance err most, by some ten "
        "roundings, and half of that is seen in the row of the exact statistics.",
        columns=("activation", "norm", "what", "found"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Test accuracy; each dot is a seed.",
            [_plot(activation, position, found) for activation, position in product(ACTIVATIONS, POSITIONS)],
        ),
    )


def _plot(activation: str, position: str, found: dict[tuple[str, str, str], list[float]]) -> Plot:
    lines = [
        Line([number] * len(values), values, PLAIN if learned == "none" else NORMALIZED, style="o")
        for number, learned in enumerate(LEARNED)
        for values in [found[activation, position, learned]]
    ]
    names = list(LEARNED)
    return Plot(f"{position} {activation}", lines, "learned", lambda axis: axis.set_xticks(range(len(names)), names))
