"""What a sweep found: a table, JSON, a picture."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from statistics import median

import numpy as np

from .. import __version__, isa, num_threads
from .experiment import Run, Settings


def accuracies(runs: Sequence[Run], normalization: str, batch_size: int) -> list[float]:
    """Of all seeds, from the lowest to the highest."""
    return sorted(run.accuracy for run in runs if (run.normalization, run.batch_size) == (normalization, batch_size))


def table(runs: Sequence[Run], settings: Settings) -> str:
    """Test accuracy: the median over the seeds, with the least and the most."""
    rows = [["batch size", *settings.normalizations]]
    for size in settings.batch_sizes:
        cells = []
        for normalization in settings.normalizations:
            found = accuracies(runs, normalization, size)
            cells.append(f"{median(found):.4f} ({found[0]:.4f} to {found[-1]:.4f})")
        rows.append([str(size), *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)


def save_json(runs: Sequence[Run], settings: Settings, data_name: str, path: str) -> None:
    """Everything, with what ran it. A loss that is no number is null."""
    versions = {"martlet": __version__, "python": platform.python_version(), "numpy": np.__version__}
    found = [{**run._asdict(), "loss": run.loss if math.isfinite(run.loss) else None} for run in runs]
    contents = {
        "settings": settings._asdict(),
        "data": data_name,
        "versions": versions,
        "instruction_set": isa(),
        "threads": num_threads(),
        "runs": found,
    }
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(contents, file, indent=1)
        file.write("\n")


def save_picture(runs: Sequence[Run], settings: Settings, data_name: str, path: str) -> None:
    """Accuracy against batch size: a line through the medians, a band from the least to the most."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    for normalization in settings.normalizations:
        found = [accuracies(runs, normalization, size) for size in settings.batch_sizes]
        (line,) = axis.plot(settings.batch_sizes, [median(one) for one in found], "o-", label=normalization)
        low, high = ([one[place] for one in found] for place in (0, -1))
        axis.fill_between(settings.batch_sizes, low, high, color=line.get_color(), alpha=0.2)
    axis.set_xscale("log", base=2)
    axis.set_xticks(settings.batch_sizes, [str(size) for size in settings.batch_sizes])
    axis.set_xlabel("batch size")
    axis.set_ylabel("test accuracy")
    axis.set_title(f"{data_name}, {settings.network}, {settings.epochs} epochs, seeds {', '.join(map(str, settings.seeds))}")
    axis.grid(alpha=0.3)
    axis.legend()
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    figure.savefig(path, dpi=120, format="png")
