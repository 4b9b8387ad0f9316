"""Pictures, if matplotlib is there."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from typing import Any

from .result import Picture

PLAIN, NORMALIZED, THIRD = "#b03a2e", "#1f618d", "#7d6608"


def is_available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def picture(caption: str, columns: int, draw: Callable[[list[Any]], None], rows: int = 1) -> list[Picture]:
    """One picture with this many plots, or none without matplotlib; ``draw`` is given the axes, row by row."""
    if not is_available():
        return []
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.3 * columns, 3.3 * rows), layout="constrained")
    axes = [axis for row in figure.subplots(rows, columns, squeeze=False) for axis in row]
    for axis in axes:
        axis.grid(alpha=0.3)
    draw(axes)
    for axis in axes:
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, dpi=100, format="png")
    return [Picture(caption, png.getvalue())]
