"""The progress bar."""

from __future__ import annotations

import io

import pytest

from martlet.progress import Progress, _clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_elsewhere_come_now_and_then_and_at_the_end():
    stream = io.StringIO()
    bar = Progress(100, stream=stream, seconds=3600)
    for step in range(1, 101):
        bar.update(step, loss=2.0)
    bar.close()
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().startswith("100/100  loss 2.0000  ")


def test_figures_are_means_since_the_last_drawing():
    stream = io.StringIO()
    bar = Progress(3, "fit", stream, seconds=3600)
    for step, loss in ((1, 1.0), (2, 2.0), (3, 6.0)):
        bar.update(step, loss=loss, accuracy=0.5)
    assert "fit 3/3  loss 3.0000  accuracy 0.5000" in stream.getvalue()


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_a_line_never_wraps(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    bar = Progress(1000, "a label of some length", stream, seconds=0)
    for step in (1, 999, 1000):
        bar.update(step, loss=1.0, accuracy=0.5)
    bar.close()
    lines = stream.getvalue().rstrip("\n").split("\r")[1:]
    assert [len(line) < columns for line in lines] == [True] * 3
    assert all(("[" in line) == (columns > 80) for line in lines)


def test_a_terminal_gets_one_line_drawn_over(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    bar = Progress(4, "fit", stream, seconds=0)
    for step in range(1, 5):
        bar.update(step, loss=1.0)
    bar.close()
    bar.close()
    written = stream.getvalue()
    assert written.count("\r") == 4
    assert written.count("\n") == 1
    assert f"[{'#' * 12}{'.' * 12}] 2/4" in written
    assert "left" in written
    assert "steps/s" in written


def test_close_draws_what_was_not_drawn():
    stream = io.StringIO()
    bar = Progress(10, stream=stream, seconds=3600)
    bar.update(4)
    bar.close()
    assert stream.getvalue().startswith("4/10  ")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (9.6, "0:10"), (75, "1:15"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert _clock(seconds) == text
