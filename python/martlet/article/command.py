"""``python -m martlet article``."""

from __future__ import annotations

import argparse
import importlib
import os
import time

from .. import data as datasets
from .. import num_threads, set_num_threads
from .._errors import InvalidArgumentError
from . import drawing, page
from .training import Context

#: Name → module; each has a ``run(context)``.
EXPERIMENTS = {
    name: name.replace("-", "_")
    for name in (
        "raw-inputs",
        "covariate-shift",
        "simultaneous-learning",
        "headline",
        "before-or-after",
        "scale-and-shift",
        "inference-statistics",
        "regularisation",
    )
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the report."""
    add = parser.add_argument
    add("--only", choices=sorted(EXPERIMENTS), nargs="+", default=None, metavar="NAME", help=", ".join(EXPERIMENTS))
    add("--quick", action="store_true", help="few steps and two seeds, to see that all works; judges nothing")
    add("--seed", "--seeds", type=int, nargs="+", default=None, help="of weights and batches (1 2 3)")
    add("--jobs", type=int, default=None, metavar="N", help="trainings at a time, one thread each (all CPUs)")
    add("--data", choices=("auto", "fashion-mnist", "digits"), default="auto", help="images (%(default)s)")
    add("--out", default="out/article.html", metavar="FILE", help="the page (%(default)s)")


def main(options: argparse.Namespace) -> int:
    """Runs the experiments; prints what they found and writes the page."""
    jobs = num_threads() if options.jobs is None else options.jobs
    if jobs < 1:
        raise InvalidArgumentError(f"--jobs must be at least 1; got {jobs}")
    seeds = tuple(options.seed or ((1, 2) if options.quick else (1, 2, 3)))
    if min(seeds) < 0:
        raise InvalidArgumentError(f"--seed must be 0 or more; got {min(seeds)}")
    context = Context(datasets.load(options.data), seeds, options.quick, jobs)
    threads = num_threads()
    set_num_threads(1)  # small networks: two trainings side by side take less time than one training on two threads
    begun = time.monotonic()
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    results = []
    try:
        for key, value in page.machine(context):
            print(f"{key}: {value}", flush=True)
        for name in EXPERIMENTS:
            if options.only is None or name in options.only:
                started = time.monotonic()
                found = importlib.import_module(f".{EXPERIMENTS[name]}", __package__).run(context)
                results.append(found._replace(seconds=time.monotonic() - started))
                print(f"\n{page.text(results[-1])}", flush=True)
                # Anew after each, so that a run that is interrupted leaves what it found.
                seconds = time.monotonic() - begun
                with open(options.out, "w", encoding="utf-8") as file:
                    file.write(page.html(results, context, page.command_line(), seconds))
    finally:
        set_num_threads(threads)
    print()
    for found in results:
        print(f"{found.title}: {found.verdict}, {found.seconds:.0f} s")
    print(f"{seconds:.0f} seconds. Page: {options.out}")
    if not drawing.is_available():
        print("No pictures: matplotlib is not installed (pip install matplotlib).")
    return 0
