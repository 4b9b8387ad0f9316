"""``python -m martlet sweep``."""

from __future__ import annotations

import argparse
import importlib.util
import time

from .. import data as datasets
from .. import isa, num_threads, set_num_threads
from .._errors import InvalidArgumentError
from . import report
from .experiment import NETWORKS, NORMALIZATIONS, Settings, sweep

_DEFAULTS = Settings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a sweep."""
    add = parser.add_argument
    known = sorted(NORMALIZATIONS)
    sizes = " ".join(map(str, _DEFAULTS.batch_sizes))
    add("--network", choices=NETWORKS, default=_DEFAULTS.network, help="(%(default)s)")
    norms = list(_DEFAULTS.normalizations)
    add("--norm", "--norms", choices=known, nargs="+", default=norms, help=f"({' '.join(norms)})")
    add("--batch-size", "--batch-sizes", type=int, nargs="+", default=list(_DEFAULTS.batch_sizes), help=f"({sizes})")
    add("--seed", "--seeds", type=int, nargs="+", default=list(_DEFAULTS.seeds), help="(1 2 3)")
    add("--rows", type=int, default=_DEFAULTS.rows, help="of the training rows (%(default)s)")
    add("--epochs", type=int, default=_DEFAULTS.epochs, help="(%(default)s)")
    add("--learning-rate", type=float, default=_DEFAULTS.learning_rate, metavar="RATE", help="at a batch of 32 (%(default)s)")
    add("--threads", type=int, default=None, metavar="N", help="(all CPUs)")
    add("--data", choices=("auto", "fashion-mnist", "digits"), default="auto", help="(%(default)s)")
    add("--out", default="out/sweep", metavar="STEM", help="writes STEM.json and STEM.png (%(default)s)")


def main(options: argparse.Namespace) -> int:
    """Runs the sweep; prints a table."""
    for name in ("rows", "epochs"):
        if getattr(options, name) < 1:
            raise InvalidArgumentError(f"--{name} must be at least 1; got {getattr(options, name)}")
    if options.threads is not None:
        set_num_threads(options.threads)
    settings = Settings(
        network=options.network,
        normalizations=tuple(dict.fromkeys(options.norm)),
        batch_sizes=tuple(sorted(set(options.batch_size))),
        seeds=tuple(dict.fromkeys(options.seed)),
        rows=options.rows,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
    )
    data = datasets.load(options.data)
    print(
        f"{settings.network} on {min(settings.rows, len(data.train_x)):,} rows of {data.name}, {settings.epochs} epochs, SGD "
        f"at {settings.learning_rate:g} · batch size / 32; {isa()}, {num_threads()} threads.",
        flush=True,
    )
    begun, runs = time.monotonic(), []
    for run in sweep(settings, data):
        runs.append(run)
        print(f"  seed {run.seed}  batch {run.batch_size:>4}  {run.normalization:<8}  {run.accuracy:.4f}", flush=True)
    print(f"\nTest accuracy, median over {len(settings.seeds)} seeds (least to most):\n{report.table(runs, settings)}")
    report.save_json(runs, settings, data.name, f"{options.out}.json")
    print(f"{time.monotonic() - begun:.0f} seconds. Figures: {options.out}.json")
    if importlib.util.find_spec("matplotlib") is not None:
        report.save_picture(runs, settings, data.name, f"{options.out}.png")
        print(f"Picture: {options.out}.png")
    else:
        print("No picture: matplotlib is not installed (pip install matplotlib).")
    return 0
