"""Raw against normalised inputs: gradient descent on features of very different ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import SGD, BatchNorm, Dense, InputNormalization, Layer, ReLU, Sequential, Trainer
from .._array import Array
from .._errors import NonFiniteError
from ..data import Dataset
from .drawing import NORMALIZED, PLAIN, THIRD, Line, Plot, picture
from .result import Check, Result, against, spread
from .training import Context, curve, held_out

#: Powers of ten: raw inputs bear far smaller rates than normalised ones.
RATES = tuple(10.0**power for power in range(-8, 1))
#: Test accuracy to reach, and steps at most.
GOAL, STEPS = 0.9, 3000
#: Of linear regression: how far above the least squares' loss counts as solved, and steps at most.
EXCESS, REGRESSION_STEPS = 0.01, 20000
#: This share of the steps is what "trains faster" means here.
FASTER = 0.5
INPUTS = {"raw": PLAIN, "normalised": NORMALIZED, "batch norm first": THIRD}


class Found(NamedTuple):
    """The best of all rates for one seed: the rate, the steps (None: not reached), accuracy against steps."""

    rate: float
    steps: int | None
    best: float
    curve: tuple[list[int], list[float]]


def table(name: str, seed: int) -> Dataset:
    """One of scikit-learn's tables, its rows in the seed's order: seven tenths to train on."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y, cut = x[order].astype(np.float32), y[order].astype(np.int64), int(0.7 * len(x))
    return Dataset(name, x[:cut], y[:cut], x[cut:], y[cut:])


def first_layers(inputs: str) -> list[Layer]:
    """What stands before the network."""
    known: dict[str, list[Layer]] = {"raw": [], "normalised": [InputNormalization()], "batch norm first": [BatchNorm()]}
    return known[inputs]


def classify(data: Dataset, inputs: str, seed: int, steps: int, rates: Sequence[float]) -> Found:
    """Steps to the goal at the best rate of those tried on held-out training rows.

    The best: the fewest steps, or, if none gets there, the highest accuracy.
    """
    tried = held_out(data)
    best = _best([_train(tried, inputs, seed, steps, rate) for rate in rates])
    return _train(data, inputs, seed, steps, best.rate)


def _train(data: Dataset, inputs: str, seed: int, steps: int, rate: float) -> Found:
    layers = [*first_layers(inputs), Dense(16), ReLU(), Dense(data.classes)]
    net = Sequential(layers, input_shape=(data.train_x.shape[1],), seed=seed)
    if inputs == "normalised":
        net.fit_input_normalization(data.train_x)
    at = {*range(0, 200, 5), *range(200, steps + 1, 20)}
    found = curve(net, data, rate, steps=steps, seed=seed, at=at, batch_size=32, until=GOAL)
    return Found(rate, found.steps_to(GOAL), found.best, (found.steps, found.accuracy))


def _best(tried: list[Found]) -> Found:
    return min(tried, key=lambda found: (np.inf if found.steps is None else found.steps, -found.best))


class Regression(NamedTuple):
    """Linear regression on the diabetes table in its own units."""

    x: Array
    y: Array
    least: float  #: the least squares' mean squared error, in Float64

    @staticmethod
    def load(seed: int) -> Regression:
        """Seven tenths of the rows, in the seed's order; the target has mean 0 and deviation 1."""
        from sklearn.datasets import load_diabetes

        x, y = load_diabetes(return_X_y=True, scaled=False)
        order = np.random.default_rng(seed).permutation(len(x))[: int(0.7 * len(x))]
        x, y = x[order], y[order]
        y = (y - y.mean()) / y.std()
        one = np.column_stack([x, np.ones(len(x))])
        rest = y - one @ np.linalg.lstsq(one, y, rcond=None)[0]
        return Regression(x.astype(np.float32), y.astype(np.float32)[:, None], float(np.mean(rest**2)))

    def condition(self, inputs: str) -> float:
        """The condition number of the loss's second derivatives: how elongated its contours are."""
        x = self.x.astype(np.float64)
        if inputs != "raw":
            x = (x - x.mean(0)) / x.std(0)
        one = np.column_stack([x, np.ones(len(x))])
        return float(np.linalg.cond(one.T @ one))

    def descend(self, inputs: str, seed: int, steps: int, rates: Sequence[float]) -> Found:
        """Full-batch gradient descent at the best rate; what is followed is the loss in units of the least one."""
        tried = []
        for rate in rates:
            net = Sequential([*first_layers(inputs), Dense(1)], input_shape=(self.x.shape[1],), seed=seed)
            if inputs == "normalised":
                net.fit_input_normalization(self.x)
            trainer = Trainer(net, "mse", SGD(rate))
            seen: list[int] = []
            losses: list[float] = []
            least = np.inf

            def watch(event: Any, seen: list[int] = seen, losses: list[float] = losses) -> bool:
                nonlocal least
                loss = event.training.loss / self.least
                if event.kind == "epoch":
                    return False
                least = min(least, loss)
                if event.step <= 100 or event.step % 50 == 0:
                    seen.append(event.step)
                    losses.append(loss)
                return not np.isfinite(loss) or loss > 1e12 or loss <= 1 + EXCESS

            with contextlib.suppress(NonFiniteError):  # a rate that is too large: the training ends there
                trainer.fit(self.x, self.y, epochs=steps, batch_size=len(self.x), shuffle=False, callbacks=watch)
            reached = trainer.history.steps if least <= 1 + EXCESS else None
            tried.append(Found(rate, reached, -least, (seen, losses)))
        return _best(tried)


def run(context: Context) -> Result:
    """Runs it."""
    rates = RATES[::2] if context.quick else RATES
    steps, regression_steps = context.steps(STEPS, 200), context.steps(REGRESSION_STEPS, 500)
    rows, checks, drawn = [], [], {}
    for name in ("wine", "breast_cancer"):
        sets = {seed: table(name, seed) for seed in context.seeds}
        deviations = np.concatenate([data.train_x for data in sets.values()]).std(0)
        found = _of_all(context, lambda inputs, seed: classify(sets[seed], inputs, seed, steps, rates))  # noqa: B023
        drawn[f"{name}: test accuracy"] = found
        title = f"{name} (deviations {deviations.min():.2g} to {deviations.max():.3g})"
        for inputs, each in found.items():
            best = f"best accuracy {spread(one.best for one in each)}"
            rows.append([title, inputs, _rates(each), spread((one.steps for one in each), ","), best])
        checks.append(_check(f"{name}: half the steps of raw inputs or fewer to {GOAL:g} test accuracy, normalised", found))
    regressions = {seed: Regression.load(seed) for seed in context.seeds}
    found = _of_all(context, lambda inputs, seed: regressions[seed].descend(inputs, seed, regression_steps, rates))
    drawn["linear regression: loss / least loss"] = found
    for inputs, each in found.items():
        condition = spread((one.condition(inputs) for one in regressions.values()), ".2g")
        steps_text = spread((one.steps for one in each), ",")
        rows.append(["diabetes, linear regression", inputs, _rates(each), steps_text, f"condition number {condition}"])
    checks.append(_check(f"linear regression: half the steps or fewer to within {100 * EXCESS:g} % of the least loss", found))
    return Result(
        name="raw-inputs",
        title="Raw against normalised inputs",
        claim="Where features have very different ranges, normalised inputs train in fewer steps and bear larger learning "
        "rates, for networks and for linear regression alike.",
        setup=f"scikit-learn's wine and breast cancer tables, one hidden layer of 16 ReLUs, mini-batches of 32, at most "
        f"{steps:,} steps; the diabetes table in its own units, full-batch gradient descent on the mean squared error, at most "
        f"{regression_steps:,} steps. For every seed and kind of input the best rate of {rates[0]:g} … {rates[-1]:g} in powers "
        "of ten, chosen on held-out training rows for the two tables of classes. Normalised: by the training rows' mean and "
        "deviation; batch norm first: a norm layer on the raw inputs.",
        columns=("data", "inputs", "best rate", "steps", "besides"),
        rows=rows,
        checks=checks,
        pictures=picture(
            "Each at its best rate, first seed.",
            [_plot(title, each) for title, each in drawn.items()],
        ),
    )


def _of_all(context: Context, function: Callable[[str, int], Found]) -> dict[str, list[Found]]:
    found = context.each(lambda inputs, seed, context: function(inputs, seed), ((inputs,) for inputs in INPUTS))
    return {inputs: each for (inputs,), each in found.items()}


def _rates(found: list[Found]) -> str:
    return spread((one.rate for one in found), "g")


def _check(rule: str, found: dict[str, list[Found]]) -> Check:
    pairs = list(zip(found["raw"], found["normalised"]))
    met = tuple(new.steps is not None and (raw.steps is None or new.steps <= FASTER * raw.steps) for raw, new in pairs)
    steps = against((one.steps for one in found["normalised"]), (one.steps for one in found["raw"]), ",")
    return Check(rule, met, f"{steps} steps")


def _plot(title: str, found: dict[str, list[Found]]) -> Plot:
    def scales(axis: Any) -> None:
        axis.set_xscale("symlog", linthresh=10)
        if "loss" in title:
            axis.set_yscale("log")

    return Plot(title, [Line(*each[0].curve, INPUTS[inputs], inputs) for inputs, each in found.items()], also=scales)
