"""``python -m martlet compare``."""

from __future__ import annotations

import argparse
import sys
import time

from .. import data as datasets
from .. import isa, num_threads
from .._errors import InvalidArgumentError
from . import plot, report
from .experiment import ACTIVATIONS, POSITIONS, Settings, compare

_DEFAULTS = Settings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the comparison."""
    add = parser.add_argument
    add("--depth", type=int, nargs="+", default=None, metavar="N", help="hidden layers of each network (3 6)")
    add("--width", type=int, default=_DEFAULTS.width, help="units of a hidden layer (%(default)s)")
    add("--activation", choices=sorted(ACTIVATIONS), default=_DEFAULTS.activation, help="(%(default)s)")
    add("--norm", choices=POSITIONS, default=_DEFAULTS.norm, help="batch norm before or after each activation (%(default)s)")
    add(
        "--deviation",
        type=float,
        default=_DEFAULTS.deviation,
        help="of the first weights' normal distribution; 0: Glorot's uniform one (%(default)s)",
    )
    add("--learning-rate", type=float, default=_DEFAULTS.learning_rate, help="of both networks (%(default)s)")
    add("--normalized-learning-rate", type=float, default=None, metavar="RATE", help="of the normalised one, if another")
    add("--steps", type=int, default=None, help=f"({_DEFAULTS.steps})")
    add("--batch-size", type=int, default=_DEFAULTS.batch_size, help="(%(default)s)")
    add("--seed", type=int, default=_DEFAULTS.seed, help="of weights and batches (%(default)s)")
    add("--data", choices=("auto", "fashion-mnist", "digits"), default="auto", help="(%(default)s)")
    add("--out", default="out/compare.png", metavar="FILE", help="the picture (%(default)s)")
    add("--quick", action="store_true", help="the smaller network for 600 steps, to see that all works")


def main(options: argparse.Namespace) -> int:
    """Runs the comparison; prints what it found."""
    settings = _settings(options)
    data = datasets.load(options.data)
    print(f"Data: {data.name}, {len(data.train_x):,} rows to train on, {len(data.test_x):,} to test.")
    if options.data == "auto" and data.name != "Fashion-MNIST":
        print("Fashion-MNIST is not installed, so the small digits stand in: expect smaller differences.")
    print(
        f"Training {len(settings.depths) * (1 if settings.norm == 'none' else 2)} networks for {settings.steps:,} steps each: "
        f"mini-batches of {settings.batch_size}, SGD at {settings.learning_rate:g}, {settings.activation}, first weights "
        f"{f'normal with deviation {settings.deviation:g}' if settings.deviation else 'Glorot uniform'}, "
        f"seed {settings.seed}; {isa()}, {num_threads()} threads."
    )
    sys.stdout.flush()
    begun = time.monotonic()
    comparisons = compare(settings, data)
    print()
    print(report.table(comparisons, settings))
    print()
    for comparison in comparisons:
        print(report.verdict(comparison, settings))
    print(f"{time.monotonic() - begun:.0f} seconds of training and measuring.")
    if plot.is_available():
        plot.save(comparisons, settings, data.name, options.out)
        print(f"Picture: {options.out}")
    else:
        print("No picture: matplotlib is not installed (pip install matplotlib).")
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    depths = tuple(options.depth or ((3,) if options.quick else _DEFAULTS.depths))
    steps = (600 if options.quick else _DEFAULTS.steps) if options.steps is None else options.steps
    for name, value in (("--depth", min(depths)), ("--steps", steps), ("--batch-size", options.batch_size)):
        if value < 1:
            raise InvalidArgumentError(f"{name} must be at least 1; got {value}")
    if options.norm != "none" and options.batch_size < 2:
        raise InvalidArgumentError("--batch-size must be at least 2: one value per channel cannot be normalised")
    return Settings(
        depths=depths,
        width=options.width,
        activation=options.activation,
        norm=options.norm,
        deviation=options.deviation,
        learning_rate=options.learning_rate,
        normalized_learning_rate=options.normalized_learning_rate,
        batch_size=options.batch_size,
        steps=steps,
        seed=options.seed,
    )
