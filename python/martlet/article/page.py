"""The report: one HTML page with everything in it, and the same figures in lines for a terminal."""

from __future__ import annotations

import base64
import platform
import sys
from collections.abc import Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from .. import __version__, isa
from .result import FAILED, HELD, MIXED, Result
from .training import Context

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.8rem; border-bottom: 1px solid #ddd; text-align: left; }
img { max-width: 100%; } figure { margin: 1rem 0; } figcaption { font-size: 0.85rem; color: #555; }
.held { color: #1e7e34; } .mixed { color: #9a6700; } .failed { color: #b03a2e; } .verdict { font-weight: 700; }
code { background: #f4f4f4; padding: 0.1rem 0.3rem; } h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
"""
_CLASSES = {HELD: "held", MIXED: "mixed", FAILED: "failed"}


def machine(context: Context) -> list[tuple[str, str]]:
    """What ran it: processor, threads, versions."""
    packages = [f"Python {platform.python_version()}", f"NumPy {np.__version__}"]
    for name in ("scikit-learn", "matplotlib"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"no {name}")
    return [
        ("Processor", f"{_processor()}, {platform.system()} {platform.machine()}"),
        ("Threads", f"{context.jobs} trainings at a time, one thread each"),
        ("Versions", ", ".join([f"martlet {__version__} ({isa()})", *packages])),
        ("Seeds", ", ".join(map(str, context.seeds))),
        ("Images", f"{context.data.name}: {len(context.data.train_x):,} to train on, {len(context.data.test_x):,} to test"),
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
        named = {key.strip(): value.strip() for key, value in fields.items()}
        if "model name" in named:
            return f"{named['model name']} (family {named.get('cpu family', '?')}, model {named.get('model', '?')})"
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def text(result: Result) -> str:
    """An experiment in lines."""
    lines = [f"{result.name}: {result.verdict.upper()}  ({result.seconds:.0f} s)", f"  Claim: {result.claim}"]
    lines.append(f"  Measured: {result.setup}")
    table = [list(result.columns), *map(list, result.rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(result.columns))]
    lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    for check in result.checks:
        found = f": {check.found}" if check.found else ""
        lines.append(f"  [{check.outcome}, {sum(check.met)} of {len(check.met)}] {check.rule}{found}")
    return "\n".join(lines + ([f"  {result.notes}"] if result.notes else []))


def html(results: Sequence[Result], context: Context, command: str, seconds: float) -> str:
    """The whole page."""
    facts = [*machine(context), ("Command", command), ("Time", f"{seconds / 60:.1f} minutes")]
    overview = [
        [f'<a href="#{result.name}">{escape(result.title)}</a>', _verdict(result.verdict), f"{result.seconds:.0f}"]
        for result in results
    ]
    quick = "<p><b>A quick run: far too few steps to judge any claim by.</b></p>" if context.quick else ""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f"<title>Batch normalisation: what an article claims, run again</title><style>{_STYLE}</style></head><body>",
        "<h1>Batch normalisation: what an article claims, run again</h1>",
        f"{quick}<p>Each claim was judged by rules that stand in the code: a rule holds if "
        "it is met for every seed, does not hold if for none, and is mixed otherwise; so is a claim of several rules. "
        "Figures are medians over the seeds, with the least and the most in brackets.</p>",
        _table(["", ""], [[escape(key), escape(value)] for key, value in facts]),
        _table(["claim", "verdict", "seconds"], overview),
    ]
    parts += [_section(result) for result in results]
    return "\n".join([*parts, "</body></html>\n"])


def _section(result: Result) -> str:
    checks = [
        [escape(check.rule), _verdict(check.outcome), f"{sum(check.met)} of {len(check.met)}", escape(check.found)]
        for check in result.checks
    ]
    figures = [
        f'<figure><img alt="{escape(picture.caption)}" src="data:image/png;base64,{base64.b64encode(picture.png).decode()}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in result.pictures
    ]
    return "\n".join(
        [
            f'<h2 id="{result.name}">{escape(result.title)}: {_verdict(result.verdict)}</h2>',
            f"<p><b>Claim.</b> {escape(result.claim)}</p><p><b>Measured.</b> {escape(result.setup)}</p>",
            _table(result.columns, [[escape(cell) for cell in row] for row in result.rows]),
            _table(["rule", "outcome", "met", "found"], checks),
            *([f"<p>{escape(result.notes)}</p>"] if result.notes else []),
            *figures,
            f"<p><code>python -m martlet article --only {result.name}</code>, {result.seconds:.0f} s</p>",
        ]
    )


def _verdict(outcome: str) -> str:
    return f'<span class="verdict {_CLASSES[outcome]}">{outcome}</span>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"<tr>{''.join(f'<th>{escape(column)}</th>' for column in columns)}</tr>" if any(columns) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def command_line() -> str:
    """As it was typed, but for where the page goes, which is this machine's business."""
    given, kept = iter(sys.argv[1:]), ["python -m martlet"]
    for argument in given:
        if argument == "--out":
            next(given, None)
        elif not argument.startswith("--out="):
            kept.append(argument)
    return " ".join(kept)
