"""What the bursts of one workload say: ours beside the best peer, round by round."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .timing import Burst


class Spread(NamedTuple):
    """A median, and the lowest and highest of what it is the median of."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Of one value a round."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass
class Timed:
    """One contender: its bursts, one a round; fewer if it sat out."""

    library: str
    variant: str
    bursts: list[Burst] = field(default_factory=list)

    @property
    def name(self) -> str:
        """``"torch compile"``."""
        return f"{self.library} {self.variant}".strip()

    @property
    def median(self) -> float:
        """Seconds a call: the median over the rounds of each round's median."""
        return statistics.median(burst.median for burst in self.bursts)

    @property
    def minimum(self) -> float:
        """Seconds of the fastest call."""
        return min(burst.minimum for burst in self.bursts)

    @property
    def processors(self) -> float:
        """Processor seconds beside elapsed ones: near the number of threads where they all had work and a processor."""
        return statistics.median(burst.processors for burst in self.bursts)

    def as_json(self) -> dict[str, Any]:
        """All figures, in seconds."""
        return {
            "library": self.library,
            "variant": self.variant,
            "median": self.median,
            "minimum": self.minimum,
            "processors": self.processors,
            "calls": sum(burst.calls for burst in self.bursts),
            "rounds": [burst.median for burst in self.bursts],
        }


@dataclass
class SecondThread:
    """Two threads on one piece of work, beside two independent one-thread copies of it, in the same rounds.

    The gain of the copies is what the machine's second processor is worth at that moment.
    """

    gain: list[float] = field(default_factory=list)
    gain_of_copies: list[float] = field(default_factory=list)

    def add(self, one: Burst, copies: tuple[Burst, Burst], two: Burst) -> None:
        """One round: one copy alone, both at once, and the two threads."""
        self.gain.append(one.median / two.median)
        self.gain_of_copies.append(sum(one.median / copy.median for copy in copies))

    @property
    def share(self) -> Spread:
        """The threads' gain beside the copies'."""
        return spread([threads / copies for threads, copies in zip(self.gain, self.gain_of_copies)])

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {"gain": self.gain, "gain_of_copies": self.gain_of_copies, "share": self.share._asdict()}


@dataclass
class Row:
    """One line of the table: one of our contenders.

    Attributes
    ----------
    ratio : Spread or None
        Our time beside the best peer's, round by round; None without a peer.
    share_of_limit : float or None
        The least time the machine allows beside our median.
    limited_by : str
        Which of the bounds is the longest, ``"arithmetic"`` or ``"memory"``; empty where none is counted.
    """

    case: str
    threads: int
    ours: Timed
    peers: list[Timed]
    goal: float
    share_goal: float | None
    limit_seconds: float | None
    second_thread: SecondThread | None = None
    bounds: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> Timed | None:
        """The peer with the lowest median."""
        return min(self.peers, key=lambda peer: peer.median, default=None)

    @property
    def ratio(self) -> Spread | None:
        best = self.best
        if best is None:
            return None
        return spread([mine.median / theirs.median for mine, theirs in zip(self.ours.bursts, best.bursts)])

    @property
    def share_of_limit(self) -> float | None:
        return None if self.limit_seconds is None else self.limit_seconds / self.ours.median

    @property
    def limited_by(self) -> str:
        return max(self.bounds, key=lambda name: self.bounds[name], default="")

    @property
    def met(self) -> bool | None:
        """Whether every goal of the row is; None without a peer."""
        ratio, share = self.ratio, self.share_of_limit
        if ratio is None:
            return None
        return ratio.median <= self.goal and (self.share_goal is None or (share is not None and share >= self.share_goal))

    def as_json(self) -> dict[str, Any]:
        """All figures, in seconds."""
        ratio, best = self.ratio, self.best
        return {
            "workload": self.case,
            "threads": self.threads,
            "ours": self.ours.as_json(),
            "best_peer": best.name if best else None,
            "ratio": ratio._asdict() if ratio else None,
            "goal": self.goal,
            "share_goal": self.share_goal,
            "met": self.met,
            "limit": self.limit_seconds,
            "share_of_limit": self.share_of_limit,
            "bounds": self.bounds,
            "limited_by": self.limited_by or None,
            "second_thread": self.second_thread.as_json() if self.second_thread else None,
            "peers": [peer.as_json() for peer in self.peers],
        }
