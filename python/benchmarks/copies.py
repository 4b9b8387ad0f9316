"""What the copies of a call cost where one convolution is the whole model: ``python -m benchmarks.copies`` (in ``python/``).

Peers keep their tensors in place. A model of ours copies what a caller hands in to where its plan reads it, and its results
out again: within a network that happens once, to one convolution alone (W5) it happens every time. Here the whole call
is timed in turn with NumPy making the same copies, into memory that is kept where the model keeps it and into fresh memory
where the model's results are new arrays.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from . import machine
from .cases.convolution import CASES, Convolution
from .report import milliseconds
from .timing import burst


def copies(case: Convolution) -> Callable[[], Any]:
    """The copies of one call of ours: x in and y out, in training dy in and dx out besides."""
    given = case.data()
    x, y = given["x"], np.zeros((case.batch, case.out_size, case.out_size, case.filters), np.float32)
    places = np.zeros_like(x), np.zeros_like(y)
    if not case.training:

        def infer() -> Any:
            np.copyto(places[0], x)
            np.copyto(places[1], y)

        return infer
    dy, dx = given["dy"], np.zeros_like(x)

    def train() -> Any:
        np.copyto(places[0], x)
        forward = y.copy()
        np.copyto(places[1], dy)
        return forward, dx.copy()

    return train


def line(case: Convolution, threads: int, whole: list[float], copied: list[float]) -> str:
    """One row of the table; seconds, one a round."""
    shares = sorted(part / call for part, call in zip(copied, whole))
    cells = [
        case.name,
        str(threads),
        milliseconds(median(whole)),
        milliseconds(median(copied)),
        f"{median(shares):.0%} ({shares[0]:.0%}–{shares[-1]:.0%})",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Prints a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each (%(default)s)")
    options = parser.parse_args(arguments)
    from .libraries.ours import Martlet

    library = Martlet(options.threads)
    print(machine.line())
    print(f"martlet {library.version()}; NumPy {np.__version__}")
    print("\n| workload | threads | the call, ms | its copies, ms | share (rounds) |\n| --- | --- | --- | --- | --- |")
    for case in CASES:
        assert isinstance(case, Convolution)
        contender, copy = library.makers(case)[""](), copies(case)
        case.check(contender.answer(), case.reference())
        whole, copied = [], []
        for _ in range(options.rounds):
            whole.append(burst(contender.run, 0.1, 3).median)
            copied.append(burst(copy, 0.05, 3).median)
        print(line(case, options.threads, whole, copied), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
