"""What a workload is, whatever it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from ..limits import Limits

Arrays = dict[str, Any]


class WrongAnswerError(Exception):
    """A library's answer is not the reference's; it is not timed."""


@dataclass(frozen=True)
class Case:
    """One workload at one size: its data, the right answer, what the machine would allow, and the goal.

    Parameters
    ----------
    name : str
        Begins with the group, like ``"W3 4096×512 inference"``.
    goal : float
        At most this share of the best peer's time.
    share_goal : float, optional
        At least this share of the machine's limit.
    """

    name: str
    goal: float
    share_goal: float | None = None

    #: Which of a library's functions makes its contenders.
    kind: ClassVar[str] = ""

    @property
    def group(self) -> str:
        """``"W3"``, ``"sgemm"``."""
        return self.name.split()[0]

    def data(self) -> Arrays:
        """The inputs, the same in every process."""
        raise NotImplementedError

    def reference(self) -> Arrays:
        """The right answer in float64."""
        raise NotImplementedError

    def tolerance(self, output: str) -> float:
        """How far an output may be from the reference, in the measure of :meth:`error`."""
        raise NotImplementedError

    def error(self, output: str, found: Any, right: Any) -> float:
        """The largest difference beside the largest right value."""
        return float(np.max(np.abs(found - right)) / np.max(np.abs(right)))

    def check(self, answer: Arrays, reference: Arrays) -> float:
        """The largest error as a share of its tolerance.

        Raises
        ------
        WrongAnswerError
            An output is missing, misshapen, not finite or too far from the reference.
        """
        worst = 0.0
        for output, right in reference.items():
            if output not in answer:
                raise WrongAnswerError(f"{output} is missing")
            found = np.asarray(answer[output], np.float64)
            if found.shape != np.shape(right):
                raise WrongAnswerError(f"{output} has shape {found.shape}; expected {np.shape(right)}")
            error, allowed = self.error(output, found, right), self.tolerance(output)
            if not error <= allowed:
                raise WrongAnswerError(f"{output} is off by {error:.2g} ({allowed:g} allowed)")
            worst = max(worst, error / allowed)
        return worst

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """The least seconds for the ``"arithmetic"`` and for the ``"memory"``, each by itself; only those that are counted."""
        return {}

    def limit_seconds(self, limits: Limits, threads: int) -> float | None:
        """The least time that the machine's own limits allow: the longest of the bounds, None where there is none."""
        return max(self.bounds(limits, threads).values(), default=None)

    def random(self) -> np.random.Generator:
        """Numbers of this case alone."""
        return np.random.default_rng(sum(self.name.encode()))
