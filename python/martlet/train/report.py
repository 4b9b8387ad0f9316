"""What a training went through, in lines and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .experiment import GOAL, Epoch, Run, Settings


def line(epoch: Epoch, rate: float, settings: Settings) -> str:
    """One epoch's line."""
    return (
        f"  epoch {epoch.number:>{len(str(settings.epochs))}}/{settings.epochs}  loss {epoch.loss:.4f}  "
        f"test accuracy {100 * epoch.accuracy:5.2f} %  {epoch.seconds:6.1f} s  learning rate {rate:.4f}"
    )


def summary(run: Run) -> str:
    """A training in a sentence."""
    last = run.epochs[-1]
    goal = f"{100 * GOAL:g} %"
    reached = f"{goal} not reached" if run.seconds_to_goal is None else f"{goal} after {run.seconds_to_goal:.1f} s"
    per_step = 1000 * last.seconds / max(len(run.losses), 1)
    return (
        f"{run.label}: test accuracy {100 * last.accuracy:.2f} % in {last.seconds:.1f} s of training "
        f"({per_step:.2f} ms a step), {reached}."
    )


def spread(runs: Sequence[Run]) -> str:
    """The last accuracies of several seeds, and what they took."""
    found = sorted(100 * run.epochs[-1].accuracy for run in runs)
    seconds = [run.epochs[-1].seconds for run in runs]
    return (
        f"{len(found)} seeds: test accuracy {median(found):.2f} % (median; {found[0]:.2f} to {found[-1]:.2f}), "
        f"{median(seconds):.1f} s of training (median; at most {max(seconds):.1f})."
    )


def side_by_side(ours: Run, other: Run) -> str:
    """Two trainings' ways to the goal."""
    goal = f"To {100 * GOAL:g} % test accuracy: "
    times = [f"{run.label} " + (f"{run.seconds_to_goal:.1f} s" if run.seconds_to_goal else "never") for run in (ours, other)]
    if ours.seconds_to_goal and other.seconds_to_goal:
        times[1] += f"; {ours.seconds_to_goal / other.seconds_to_goal:.2f} of its time"
    return f"{goal}{', '.join(times)}."


def difference(ours: Sequence[float], other: Sequence[float]) -> float:
    """The largest |a − b| of two rows of losses, beside the largest |b|.

    Not beside each b: a loss near 0 has the rounding of its logits, which are as large as ever.
    """
    return max(abs(a - b) for a, b in zip(ours, other)) / max(map(abs, other))
