"""W8: from the start of a process to its first finished training step, and the memory it then holds."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .libraries import LIBRARIES, OURS
from .process import HERE, clean_environment
from .results import spread

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "W8 fresh process to first W1 step"
GOAL = 0.4
PEERS = ("torch", "jax", "tensorflow")
FLOOR = "numpy"  # a process that imports NumPy and makes the data


@dataclass
class Starts:
    """One library's fresh processes: seconds as the parent sees them, and what each printed."""

    name: str
    seconds: list[float] = field(default_factory=list)
    printed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def median_of(self, mark: str) -> float:
        """Of one of the printed figures."""
        return statistics.median(float(printed[mark]) for printed in self.printed)


def start(name: str, python: str) -> tuple[float, dict[str, Any]]:
    """One process: seconds from its start to its line of figures, and those.

    Raises
    ------
    RuntimeError
        The library is not installed, or the step came out wrong.
    """
    environment = {**clean_environment(1), **LIBRARIES[name].environment(1)}
    command = [python, "-m", "benchmarks.fresh", name]
    begun = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.readline()
        taken = time.perf_counter() - begun
        words = process.communicate()[1].strip().splitlines()
    if not printed:
        raise RuntimeError(words[-1] if words else "it printed nothing")
    figures = json.loads(printed)
    if name != FLOOR and not 1.5 < figures["loss"] < 4.0:  # ten classes: near ln 10
        raise RuntimeError(f"its loss is {figures['loss']}")
    return taken, figures


def run(
    rounds: int, python: dict[str, str], peers: tuple[str, ...] = PEERS, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Starts every library in turn, after one start each that fills the file cache; says and returns the figures."""
    found = {name: Starts(name) for name in (FLOOR, OURS, *peers)}
    for number in range(rounds + 1):
        for name in list(found):
            try:
                # NumPy's floor runs under our interpreter: it is what ours is measured from.
                taken, printed = start(name, python.get(name, sys.executable) if name != FLOOR else sys.executable)
            except RuntimeError as error:
                if name in (OURS, FLOOR):
                    raise
                say(f"{NAME}: {name}: skipped, {error}")
                del found[name]
                continue
            if number > 0:
                found[name].seconds.append(taken)
                found[name].printed.append(printed)
    return _said(found, say)


def _said(found: dict[str, Starts], say: Callable[[str], None]) -> dict[str, Any]:
    ours, floor = found[OURS], found[FLOOR]
    rivals = [starts for name, starts in found.items() if name not in (OURS, FLOOR)]
    best = min(rivals, key=lambda starts: starts.median, default=None)
    result: dict[str, Any] = {"workload": NAME, "goal": GOAL, "libraries": {}}
    say("")
    say(f"{NAME} (one thread):")
    for name, starts in found.items():
        resident = starts.median_of("resident")
        say(
            f"  {name:10} {starts.median:.3f} s (fastest {min(starts.seconds):.3f}), resident {resident / 2**20:.0f} MiB"
            f"{' (NumPy and the data only)' if name == FLOOR else ''}"
        )
        result["libraries"][name] = {"seconds": starts.seconds, "printed": starts.printed}
    beyond = {
        "import_seconds": ours.median_of("library") - ours.median_of("numpy"),
        "step_seconds": ours.median_of("step") - ours.median_of("library"),
        "resident_bytes": ours.median_of("resident") - floor.median_of("resident"),
    }
    result["ours_beyond_numpy"] = beyond
    say(
        f"  ours beyond NumPy: import {beyond['import_seconds'] * 1e3:.0f} ms (goal ≤ 30), first step "
        f"{beyond['step_seconds'] * 1e3:.0f} ms more (goal ≤ 20), resident {beyond['resident_bytes'] / 1e6:.1f} MB (goal ≤ 15)"
    )
    if best is not None:
        ratio = spread([mine / theirs for mine, theirs in zip(ours.seconds, best.seconds)])
        result["ratio"], result["best_peer"], result["met"] = ratio._asdict(), best.name, ratio.median <= GOAL
        met = "met" if ratio.median <= GOAL else "NOT met"
        say(f"  ours / best peer ({best.name}): {ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f}), goal ≤ {GOAL}: {met}")
    return result
