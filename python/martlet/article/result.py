"""What an experiment hands back: the claim, what was measured with its spread over the seeds, and whether it held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

HELD, MIXED, FAILED = "held", "mixed", "did not hold"


def spread(values: Iterable[float | None], form: str = ".3f", missing: str = "never") -> str:
    """The median of several seeds with the least and the most; ``None`` (not reached) counts as more than any number.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0], ".0f")
    '2 (1 to 3)'
    >>> spread([5, None, None], ",")
    'never (5 to never)'
    >>> spread([0.5])
    '0.500'
    """
    found = sorted(float("inf") if value is None else value for value in values)

    def text(value: float) -> str:
        return missing if value == float("inf") else format(int(value) if form == "," else value, form)

    middle = text(median(found))
    return middle if len(found) == 1 or found[0] == found[-1] else f"{middle} ({text(found[0])} to {text(found[-1])})"


def against(new: Iterable[float | None], old: Iterable[float | None], form: str = ".3f") -> str:
    """The spread of two sets of figures, for the comparison that a rule makes.

    Examples
    --------
    >>> against([1.0], [2.0, 4.0], ".0f")
    '1 against 3 (2 to 4)'
    """
    return f"{spread(new, form)} against {spread(old, form)}"


class Check(NamedTuple):
    """One rule, which stands in the code, and for which seeds it was met."""

    rule: str
    met: tuple[bool, ...]  #: one for each seed, or a single one where seeds play no part
    found: str = ""  #: the figures it was judged by

    @property
    def outcome(self) -> str:
        """Held: for every seed. Did not hold: for none. Mixed: anything between."""
        return HELD if all(self.met) else MIXED if any(self.met) else FAILED


class Picture(NamedTuple):
    """A PNG with the sentence below it."""

    caption: str
    png: bytes


class Result(NamedTuple):
    """An experiment's outcome."""

    name: str
    title: str
    claim: str
    setup: str  #: what was trained, on what, how often
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    checks: Sequence[Check]
    pictures: Sequence[Picture] = ()
    notes: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """Held: every rule held. Did not hold: none did. Mixed: anything between."""
        outcomes = {check.outcome for check in self.checks}
        return outcomes.pop() if len(outcomes) == 1 else MIXED
