"""A progress bar on a terminal; plain lines now and then anywhere else."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Progress:
    """Shows step, figures, speed and time left.

    Parameters
    ----------
    steps : int
        How many there will be.
    label : str, optional
        Stands before the bar.
    stream : text file, optional
        ``sys.stderr`` if left out.
    seconds : float, optional
        Least time between two drawings: 0.1 on a terminal, 10 elsewhere.

    Examples
    --------
    >>> import io
    >>> out = io.StringIO()
    >>> bar = Progress(2, "train", out, seconds=0)
    >>> bar.update(1, loss=0.5)
    >>> out.getvalue()[:22]
    'train 1/2  loss 0.5000'
    """

    def __init__(self, steps: int, label: str = "", stream: TextIO | None = None, seconds: float | None = None) -> None:
        self.steps = steps
        self.label = label
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._seconds = (0.1 if self._terminal else 10.0) if seconds is None else seconds
        self._begun = self._drawn = time.monotonic()
        self._sums: dict[str, float] = {}
        self._count = 0
        self._step = 0
        self._width = 0

    def update(self, step: int, **figures: float) -> None:
        """Step ``step`` is done. What is shown of each figure is its mean since the last drawing."""
        self._step = step
        self._count += 1
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        now = time.monotonic()
        if now - self._drawn >= self._seconds or step >= self.steps:
            self._draw(now)

    def _draw(self, now: float) -> None:
        elapsed = max(now - self._begun, 1e-9)
        speed = self._step / elapsed
        parts = [f"{self._step}/{self.steps}"]
        parts += [f"{name} {total / self._count:.4f}" for name, total in self._sums.items()]
        parts.append(f"{speed:,.0f} steps/s")
        if self._step < self.steps:
            parts.append(f"{_clock((self.steps - self._step) / max(speed, 1e-9))} left")
        else:
            parts.append(_clock(elapsed))
        line = "  ".join(parts)
        label = f"{self.label} " if self.label else ""
        if self._terminal:
            # A line that wraps could not be drawn over.
            columns = shutil.get_terminal_size().columns - 1
            size = min(24, columns - len(label) - len(line) - 3)
            if size >= 4:
                filled = size * self._step // max(self.steps, 1)
                line = f"[{'#' * filled}{'.' * (size - filled)}] {line}"
            line = f"{label}{line}"[:columns]
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(f"{label}{line}\n")
        self._stream.flush()
        self._drawn = now
        self._sums = {}
        self._count = 0

    def close(self) -> None:
        """Draws what has not been drawn and ends the line."""
        if self._count:
            self._draw(time.monotonic())
        if self._terminal and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0


def _clock(seconds: float) -> str:
    whole = int(seconds + 0.5)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
