"""The machine's limits: multiply-add peak, and memory bandwidth by the size of what is touched.

Measured by ``limits.c`` where a C compiler is found (``$CC``, clang, gcc, cc), else through NumPy, which says less.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SOURCE = Path(__file__).with_name("limits.c")

#: Working sets in bytes, from inside the first cache to beyond the last.
SIZES = (32 << 10, 512 << 10, 4 << 20, 16 << 20, 64 << 20, 256 << 20)


@dataclass
class OfThreads:
    """The limits of some number of threads together."""

    operations: float  #: float32 operations a second, a multiply-add being two
    bandwidth: dict[str, dict[int, float]] = field(default_factory=dict)  #: read, write, copy → working set → bytes a second


@dataclass
class Limits:
    """What the machine can do at most.

    Attributes
    ----------
    by_threads : dict
        Number of threads → limits.
    method : str
        How they were measured.
    """

    by_threads: dict[int, OfThreads]
    method: str

    def operations(self, threads: int) -> float:
        """float32 operations a second."""
        return self.by_threads[threads].operations

    def read(self, threads: int, working_set: float) -> float:
        """Bytes a second, reading a working set of that many bytes again and again."""
        return self._bandwidth("read", threads, working_set)

    def copy(self, threads: int, working_set: float) -> float:
        """Bytes a second, read and written ones counted alike."""
        return self._bandwidth("copy", threads, working_set)

    def _bandwidth(self, kind: str, threads: int, working_set: float) -> float:
        """Between two measured sizes: on the straight line over the size's logarithm."""
        measured = self.by_threads[threads].bandwidth[kind]
        sizes = sorted(measured)
        return float(np.interp(np.log(max(working_set, 1.0)), np.log(sizes), [measured[size] for size in sizes]))

    def change(self, later: Limits) -> float:
        """By what share the multiply-add peak, measured again, differs at most: much, if the machine had other work."""
        peaks = ((limits.operations, later.operations(threads)) for threads, limits in self.by_threads.items())
        return max(abs(a - b) / max(a, b) for a, b in peaks)

    def lines(self) -> list[str]:
        """For people."""
        found = [f"Limits ({self.method}):"]
        for threads, limits in self.by_threads.items():
            found.append(f"  {threads} thread(s): {limits.operations / 1e9:.0f} GFLOP/s of multiply-add")
            for kind, measured in limits.bandwidth.items():
                rates = ", ".join(f"{_bytes(size)} {rate / 1e9:.0f}" for size, rate in sorted(measured.items()))
                found.append(f"    {kind:5} GB/s by working set: {rates}")
        return found

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        threads = {
            str(count): {"operations_per_second": limits.operations, "bytes_per_second": limits.bandwidth}
            for count, limits in self.by_threads.items()
        }
        return {"method": self.method, "threads": threads}


def _bytes(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def compiler() -> str | None:
    """The C compiler, if there is one."""
    names = [os.environ.get("CC", ""), "clang", "gcc", "cc"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def measure(threads: tuple[int, ...] = (1, 2), *, quick: bool = False) -> Limits:
    """Measures the limits for each number of threads; takes some ten seconds, a few if ``quick``."""
    seconds = 0.002 if quick else 0.01
    sizes = tuple(size for size in SIZES if size <= 64 << 20) if quick else SIZES
    found = compiler()
    if found is not None:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "limits"
            flags = ["-O3", "-march=native", "-ffp-contract=fast", "-pthread"]
            built = subprocess.run([found, *flags, str(SOURCE), "-o", str(program)], capture_output=True, check=False)
            if built.returncode == 0:
                method = f"limits.c, {Path(found).name}"
                return Limits({count: _of_program(program, count, seconds, sizes) for count in threads}, method)
    return Limits({1: _of_numpy(seconds, sizes)}, "NumPy, for want of a C compiler: one thread, and less than the machine has")


def _of_program(program: Path, threads: int, seconds: float, sizes: tuple[int, ...]) -> OfThreads:
    command = [str(program), str(threads), str(seconds), *map(str, sizes)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    limits = OfThreads(0.0)
    for line in printed.splitlines():
        kind, size, value = line.split()
        if kind == "peak":
            limits.operations = float(value)
        elif kind != "lanes":
            limits.bandwidth.setdefault(kind, {})[int(size)] = float(value)
    return limits


def _of_numpy(seconds: float, sizes: tuple[int, ...]) -> OfThreads:
    a = np.ones((1024, 1024), np.float32)
    out = np.empty_like(a)
    limits = OfThreads(2 * 1024**3 * _rate(lambda: np.matmul(a, a, out=out), seconds))
    for size in sizes:
        source = np.ones(size // 8, np.float32)
        target = np.empty_like(source)
        read, write, copy = (limits.bandwidth.setdefault(kind, {}) for kind in ("read", "write", "copy"))
        read[size] = source.nbytes * _rate(source.max, seconds)
        write[size] = source.nbytes * _rate(lambda into=target: into.fill(1), seconds)  # type: ignore[misc]
        copy[size] = 2 * source.nbytes * _rate(lambda into=target, of=source: np.copyto(into, of), seconds)  # type: ignore[misc]
    return limits


def _rate(work: Callable[[], Any], seconds: float) -> float:
    """Calls a second, the best of twenty runs."""
    best = 0.0
    for _ in range(20):
        begun, calls = time.perf_counter(), 0
        while (taken := time.perf_counter() - begun) < seconds or calls == 0:
            work()
            calls += 1
        best = max(best, calls / taken)
    return best
