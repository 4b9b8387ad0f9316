"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import limits, machine, report, start_up
from .cases import CASES, Case
from .libraries import LIBRARIES, OURS
from .results import Row
from .runner import Runner, Settings


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Martlet beside its peers: limits, workloads, ratios. See docs/benchmarks."
    )
    add = found.add_argument
    add("--only", nargs="+", default=[], metavar="TEXT", help="only these workloads: W3, sgemm, or a part of the name")
    add("--threads", type=int, nargs="+", default=None, metavar="N", help="(1, and 2 where there are two processors)")
    add("--peers", nargs="+", default=None, metavar="NAME", help=f"of {', '.join(name for name in LIBRARIES if name != OURS)}")
    add("--peers-from", default=None, metavar="PYTHON", help="an interpreter that has the peers installed ($MARTLET_PEERS)")
    add("--rounds", type=int, default=None, metavar="N", help="turns of each contender")
    add("--seconds", type=float, default=None, metavar="S", help="a turn lasts at least so long")
    add("--quick", action="store_true", help="few and short turns, to see that all works")
    add("--limits-only", action="store_true", help="measure the machine and stop")
    add("--list", action="store_true", help="name the workloads and stop")
    add("--json", type=Path, default=Path("..") / "out" / "benchmarks.json", metavar="FILE", help="all figures (%(default)s)")
    add("--table", type=Path, default=None, metavar="FILE", help="what is printed, once more")
    return found


def wanted(name: str, only: list[str]) -> bool:
    """Whether a workload was asked for: by its first word, or by any part of its name that is no workload's first word."""
    groups = {known.split()[0].lower() for known in (*(case.name for case in CASES), start_up.NAME)}
    texts = [text.lower() for text in only]
    return not texts or any(name.lower().split()[0] == t or (t not in groups and t in name.lower()) for t in texts)


def chosen(only: list[str]) -> list[Case]:
    """The workloads that were asked for; all if none was."""
    return [case for case in CASES if wanted(case.name, only)]


def settings_of(options: argparse.Namespace) -> Settings:
    """From the command line."""
    settings = Settings.quick() if options.quick else Settings()
    peers = [name for name in LIBRARIES if name != OURS] if options.peers is None else options.peers
    unknown = [name for name in peers if name not in LIBRARIES]
    if unknown:
        raise SystemExit(f"no peer is named {unknown[0]}; there are {', '.join(name for name in LIBRARIES if name != OURS)}")
    python = options.peers_from or os.environ.get("MARTLET_PEERS") or sys.executable
    return replace(
        settings,
        rounds=options.rounds or settings.rounds,
        seconds=options.seconds or settings.seconds,
        libraries={name: LIBRARIES[name] for name in LIBRARIES if name == OURS or name in peers},
        python=dict.fromkeys(peers, python),
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs it; returns the exit code."""
    options = parser().parse_args(arguments)
    cases = chosen(options.only)
    if options.list:
        print("\n".join(name for name in (*(case.name for case in CASES), start_up.NAME) if wanted(name, options.only)))
        return 0
    settings = settings_of(options)
    said: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        said.append(line)

    say(f"Command: python -m benchmarks {' '.join(sys.argv[1:] if arguments is None else arguments)}")
    say(machine.line())
    threads = tuple(options.threads or ((1, 2) if machine.describe()["processors"] >= 2 else (1,)))
    measured = limits.measure(threads, quick=options.quick)
    for line in measured.lines():
        say(line)
    if options.limits_only:
        return 0
    rows: list[Row] = []
    versions: dict[str, str] = {}
    for count in threads if cases else ():
        with Runner(settings, count, measured, say).running() as runner:
            if not versions:
                versions = runner.versions
                say("Versions: " + "; ".join(f"{name} {version}" for name, version in versions.items()))
            say("")
            for line in report.HEADER:
                say(line)
            for case in cases:
                found = runner.run(case)
                rows += found
                for row in found:
                    say(report.line(row))
    for line in report.second_table(rows):
        say(line)
    fresh: dict[str, Any] | None = None
    if wanted(start_up.NAME, options.only):
        peers = tuple(name for name in start_up.PEERS if name in settings.libraries)
        fresh = start_up.run(3 if options.quick else 7, settings.python, peers, say)
    say("")
    again = limits.measure(tuple(measured.by_threads), quick=True)
    if measured.change(again) > 0.1:
        say(f"The machine had other work: its peak changed by {measured.change(again):.0%} meanwhile; doubt these figures.")
    say(report.verdict(rows, fresh))
    content = {
        "command": sys.argv[1:] if arguments is None else arguments,
        "machine": machine.describe(),
        "versions": versions,
        "threads": list(threads),
        "rounds": settings.rounds,
        "seconds_a_turn": settings.seconds,
        "limits": measured.as_json(),
        "limits_at_the_end": again.as_json(),
        "workloads": [row.as_json() for row in rows],
        "start_up": fresh,
    }
    report.write_json(options.json, content)
    if options.table is not None:
        options.table.parent.mkdir(parents=True, exist_ok=True)
        options.table.write_text("\n".join(said) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
