"""The picture: test accuracy, and how the last hidden layer's pre-activations wander, against steps."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .experiment import PERCENTILES, Comparison, Run, Settings

_PLAIN, _NORMALIZED = "#b03a2e", "#1f618d"


def is_available() -> bool:
    """Whether matplotlib is installed."""
    import importlib.util

    return importlib.util.find_spec("matplotlib") is not None


def save(comparisons: list[Comparison], settings: Settings, data_name: str, path: str) -> None:
    """Draws one row for each network: accuracy, percentiles without, percentiles with batch norm."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(comparisons), 3, figsize=(13, 3.8 * len(comparisons)), squeeze=False, layout="constrained"
    )
    for row, comparison in zip(axes, comparisons):
        _accuracy(row[0], comparison)
        _percentiles(row[1], comparison.plain, _PLAIN, "without batch norm")
        if comparison.normalized is None:
            row[2].set_axis_off()
        else:
            _percentiles(row[2], comparison.normalized, _NORMALIZED, f"batch norm {settings.norm} each {settings.activation}")
    figure.suptitle(
        f"{data_name}, mini-batches of {settings.batch_size}, SGD at {settings.learning_rate:g}, {settings.activation}"
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _accuracy(axes: Any, comparison: Comparison) -> None:
    axes.plot(comparison.plain.steps, comparison.plain.accuracy, "--", color=_PLAIN, label="without batch norm")
    if comparison.normalized is not None:
        run = comparison.normalized
        axes.plot(run.steps, run.accuracy, color=_NORMALIZED, label="with batch norm")
    axes.set_title(comparison.name)
    axes.set_ylabel("test accuracy")
    axes.set_xlabel("steps")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _percentiles(axes: Any, run: Run, color: str, title: str) -> None:
    lines = np.array(run.percentiles).T
    for line, percentile in zip(lines, PERCENTILES):
        axes.plot(run.steps, line, color=color, linewidth=1.6 if percentile == 50 else 0.9)
        axes.annotate(f"{percentile}%", (run.steps[-1], line[-1]), fontsize=8)
    axes.set_title(f"last pre-activations, {title}", fontsize=10)
    axes.set_xlabel("steps")
    axes.grid(alpha=0.3)
