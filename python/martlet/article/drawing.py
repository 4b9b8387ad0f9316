"""Pictures, if matplotlib is there."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._array import Array
from .result import Picture

PLAIN, NORMALIZED, THIRD = "#b03a2e", "#1f618d", "#7d6608"
#: Of a form without norms, with them before, with them after the activation: colour, and name in legends.
COLORS = {"none": PLAIN, "before": NORMALIZED, "after": THIRD}
LEGENDS = {"none": "plain", "before": "batch norm", "after": "batch norm"}


class Line(NamedTuple):
    """A line, or dots, in a plot."""

    x: Sequence[float] | Array
    y: Sequence[float] | Array
    color: Any = None
    label: str | None = None
    style: str = "-"
    width: float = 1.5


class Plot(NamedTuple):
    """One plot of a picture."""

    title: str
    lines: Sequence[Line] = ()
    x_label: str = "steps"
    also: Callable[[Any], object] = lambda axis: None  #: does to the axis what lines do not say

    def draw(self, axis: Any) -> None:
        """Draws it."""
        axis.grid(alpha=0.3)
        for line in self.lines:
            axis.plot(line.x, line.y, line.style, color=line.color, label=line.label, linewidth=line.width)
        axis.set_title(self.title, fontsize=9)
        axis.set_xlabel(self.x_label)
        self.also(axis)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)


def is_available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def picture(caption: str, plots: Sequence[Plot], columns: int | None = None) -> list[Picture]:
    """One picture of these plots, row by row (one row, if no number of columns is given); none without matplotlib."""
    if not is_available():
        return []
    from matplotlib.figure import Figure

    columns = columns or len(plots)
    rows = -(-len(plots) // columns)
    figure = Figure(figsize=(4.3 * columns, 3.3 * rows), layout="constrained")
    axes = [axis for row in figure.subplots(rows, columns, squeeze=False) for axis in row]
    for axis, plot in zip(axes, plots):
        plot.draw(axis)
    for axis in axes[len(plots) :]:
        axis.set_axis_off()
    png = io.BytesIO()
    figure.savefig(png, dpi=100, format="png")
    return [Picture(caption, png.getvalue())]
