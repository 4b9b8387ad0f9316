"""A workload and libraries for the tests of the benchmark runner; the workers import it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from benchmarks.cases import Case
from benchmarks.libraries.library import Contender, Library, UnsupportedError


@dataclass(frozen=True)
class Doubling(Case):
    kind: ClassVar[str] = "doubling"

    def data(self):
        return {"x": np.arange(5.0)}

    def reference(self):
        return {"y": 2 * np.arange(5.0)}

    def tolerance(self, output):
        return 1e-6

    def limit_seconds(self, limits, threads):
        return 1e-9


class Right(Library):
    name = "right"

    def version(self):
        return f"1.0, {self.threads} threads"

    def doubling(self, case):
        return {"": self.contender}

    def contender(self):
        x = np.arange(5.0)
        return Contender(lambda: {"y": 2 * x}, lambda: 2 * x)


class Wrong(Right):
    name = "wrong"

    def doubling(self, case):
        return {"nearly": lambda: Contender(lambda: {"y": 2 * np.arange(5.0) + 1e-4}, lambda: None), "right": self.contender}


class Choosy(Right):
    name = "choosy"

    def doubling(self, case):
        def make():
            raise UnsupportedError("it cannot double")

        return {"": make}


class Dying(Right):
    name = "dying"

    def doubling(self, case):
        x, calls = np.arange(5.0), []

        def second_call_dies():
            calls.append(1)
            if len(calls) > 1:
                raise SystemExit("gone")

        return {"": lambda: Contender(lambda: {"y": 2 * x}, second_call_dies)}
