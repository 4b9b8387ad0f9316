"""What a training went through, in lines and sentences."""

from __future__ import annotations

from collections.abc import Sequence

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
    """The last accuracies of several seeds."""
    found = sorted(100 * run.epochs[-1].accuracy for run in runs)
    mean = sum(found) / len(found)
    return f"{len(found)} seeds: test accuracy {mean:.2f} % on average, {found[0]:.2f} to {found[-1]:.2f}."


def difference(ours: Sequence[float], other: Sequence[float]) -> float:
    """The largest |a − b| of two rows of losses, beside the largest |b|.

    Not beside each b: a loss near 0 has the rounding of its logits, which are as large as ever.
    """
    return max(abs(a - b) for a, b in zip(ours, other)) / max(map(abs, other))
