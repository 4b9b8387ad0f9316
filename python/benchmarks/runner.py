"""Takes turns: for each workload, ours and every peer in every round, one at a time, answers checked before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .libraries import LIBRARIES, OURS, Entry
from .process import Process, WorkerError
from .results import Row, SecondThread, Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Case
    from .limits import Limits


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Parameters
    ----------
    rounds : int
        Turns of each contender.
    seconds, calls : float, int
        A turn lasts at least so long and does at least so many calls.
    patience : float
        A peer slower than the best one by this factor after two rounds sits out the rest.
    libraries : dict
        Name → entry; ours among them.
    python : dict
        Name of a library → the interpreter that has it, where it is not this one.
    python_path : str
        More folders for the workers to import from.
    """

    rounds: int = 9
    seconds: float = 0.1
    calls: int = 3
    patience: float = 2.0
    libraries: dict[str, Entry] = field(default_factory=lambda: dict(LIBRARIES))
    python: dict[str, str] = field(default_factory=dict)
    python_path: str = ""

    @classmethod
    def quick(cls) -> Settings:
        """To see that all works."""
        return cls(rounds=3, seconds=0.05)


@dataclass
class Runner:
    """Runs workloads at one number of threads.

    Attributes
    ----------
    versions : dict
        Name of a library → its version, once :meth:`running` has begun.
    """

    settings: Settings
    threads: int
    limits: Limits
    say: Callable[[str], None] = print
    versions: dict[str, str] = field(default_factory=dict)
    _processes: dict[str, Process] = field(default_factory=dict)
    _copies: list[Process] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[Runner]:
        """Starts a worker for each library, and two of ours at one thread beside our two-thread one; ends them all."""
        try:
            for name, entry in self.settings.libraries.items():
                try:
                    self._processes[name] = process = self._start(name, entry, self.threads)
                    self.versions[name] = process.version
                except WorkerError as error:
                    if name == OURS:
                        raise
                    self.say(f"{name}: skipped, {error.reason}")
            if self.threads == 2:
                self._copies = [self._start(OURS, self.settings.libraries[OURS], 1) for _ in range(2)]
            yield self
        finally:
            for process in [*self._processes.values(), *self._copies]:
                process.close()
            self._processes, self._copies = {}, []

    def _start(self, name: str, entry: Entry, threads: int) -> Process:
        settings = self.settings
        if name in settings.python:
            return Process(name, entry, threads, python=settings.python[name], python_path=settings.python_path)
        return Process(name, entry, threads, python_path=settings.python_path)

    def run(self, case: Case) -> list[Row]:
        """Measures one workload; a row for each of our contenders."""
        contenders = [timed for name in self._processes for timed in self._prepared(self._processes[name], case)]
        mine = [timed for timed in contenders if timed.library == OURS]
        peers = [timed for timed in contenders if timed.library != OURS]
        if not mine:
            return []
        second = {timed.variant: SecondThread() for timed in mine} if self._copies else {}
        for copy in self._copies:
            self._prepared(copy, case)
        for number in range(self.settings.rounds):
            # Each round begins with another contender, so that nobody always follows the same one.
            order = contenders[number % len(contenders) :] + contenders[: number % len(contenders)]
            for timed in order:
                self._turn(timed, contenders)
                if timed.variant in second and timed.library == OURS:
                    self._time_copies(timed, second[timed.variant])
            if number == 1:
                self._send_home(contenders, peers)
        rounds = self.settings.rounds
        finished = [peer for peer in peers if len(peer.bursts) == rounds]
        known = self.threads in self.limits.by_threads
        limit = case.limit_seconds(self.limits, self.threads) if known else None
        bounds = case.bounds(self.limits, self.threads) if known else {}
        goals = (case.goal, case.share_goal)
        return [
            Row(case.name, self.threads, timed, finished, *goals, limit, second.get(timed.variant), bounds) for timed in mine
        ]

    def _prepared(self, process: Process, case: Case) -> list[Timed]:
        """Those of a library's contenders whose answers are right."""
        found = []
        try:
            for variant in process.ask("variants", case):
                try:
                    process.ask("prepare", variant)
                    found.append(Timed(process.name, variant))
                except WorkerError as error:
                    told = {"unsupported": "skipped", "wrong": "WRONG ANSWER, not timed", "failed": "failed"}[error.kind]
                    self.say(f"{case.name}: {Timed(process.name, variant).name}: {told}: {error.reason}")
        except WorkerError as error:
            self.say(f"{case.name}: {process.name}: failed: {error.reason}")
        return found

    def _turn(self, timed: Timed, contenders: list[Timed]) -> None:
        try:
            process = self._processes[timed.library]
            timed.bursts.append(process.burst(timed.variant, self.settings.seconds, self.settings.calls))
        except WorkerError as error:
            if timed.library == OURS:
                raise
            self.say(f"{timed.name}: failed while timed: {error.reason}")
            contenders.remove(timed)

    def _time_copies(self, timed: Timed, second: SecondThread) -> None:
        request = (timed.variant, self.settings.seconds, self.settings.calls)
        alone = self._copies[0].burst(*request)
        for copy in self._copies:
            copy.begin("burst", *request)
        first, other = (copy.end() for copy in self._copies)
        second.add(alone, (first, other), timed.bursts[-1])

    def _send_home(self, contenders: list[Timed], peers: list[Timed]) -> None:
        playing = [peer for peer in peers if peer in contenders]
        best = min((peer.minimum for peer in playing), default=0.0)
        for peer in playing:
            if peer.minimum > self.settings.patience * best:
                contenders.remove(peer)
