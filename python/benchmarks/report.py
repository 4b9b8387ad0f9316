"""The table and the JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .results import Row

HEADER = [
    "| workload | threads | ours, ms (fastest) | best peer | its ms (fastest) | ours / best (rounds) | goal | met | of limit |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
]
SECOND_HEADER = [
    "| workload | second thread's gain | two copies' gain | one beside the other (rounds) |",
    "| --- | --- | --- | --- |",
]


def milliseconds(seconds: float) -> str:
    """Three digits."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def line(row: Row) -> str:
    """One row of the table."""
    ratio, best, share, met = row.ratio, row.best, row.share_of_limit, row.met
    cells = [
        f"{row.case}{', ' + row.ours.variant if row.ours.variant else ''}",
        str(row.threads),
        f"{milliseconds(row.ours.median)} ({milliseconds(row.ours.minimum)})",
        best.name if best else "none",
        f"{milliseconds(best.median)} ({milliseconds(best.minimum)})" if best else "",
        f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "",
        f"≤ {row.goal:g}" + (f", limit ≥ {row.share_goal:.0%}" if row.share_goal else ""),
        {True: "yes", False: "**no**", None: ""}[met],
        f"{share:.0%} {row.limited_by}".rstrip() if share is not None else "",
    ]
    return f"| {' | '.join(cells)} |"


def second_line(row: Row) -> str:
    """One row of the table of second threads."""
    second = row.second_thread
    assert second is not None
    share = second.share
    gains = (sorted(values)[len(values) // 2] for values in (second.gain, second.gain_of_copies))
    cells = [
        f"{row.case}{', ' + row.ours.variant if row.ours.variant else ''}",
        *(f"{gain:.2f}" for gain in gains),
        f"{share.median:.2f} ({share.low:.2f}–{share.high:.2f})",
    ]
    return f"| {' | '.join(cells)} |"


def second_table(rows: list[Row]) -> list[str]:
    """What the second thread is worth; nothing if no row says."""
    lines = [second_line(row) for row in rows if row.second_thread is not None and row.second_thread.gain]
    return ["", *SECOND_HEADER, *lines] if lines else []


def verdict(rows: list[Row], start_up: dict[str, Any] | None = None) -> str:
    """How many goals are met."""
    judged = [row.met for row in rows if row.met is not None]
    if start_up is not None and "met" in start_up:
        judged.append(bool(start_up["met"]))
    return f"{sum(judged)} of {len(judged)} rows meet their goal."


def write_json(path: Path, content: dict[str, Any]) -> None:
    """The whole measurement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
