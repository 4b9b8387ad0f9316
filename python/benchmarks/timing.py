"""Timing of calls in one process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Burst(NamedTuple):
    """Some calls one after another: seconds a call, and processor seconds beside elapsed ones."""

    calls: int
    median: float
    minimum: float
    processors: float


def burst(run: Callable[[], Any], seconds: float, calls: int) -> Burst:
    """Times calls, at least so many and for at least so long; one more before them fills the caches."""
    clock = time.perf_counter
    times: list[float] = []
    gc.disable()
    try:
        run()
        begun, processor_begun = clock(), time.process_time()
        now, end = begun, begun + seconds
        while now < end or len(times) < calls:
            before = now
            run()
            now = clock()
            times.append(now - before)
        processors = (time.process_time() - processor_begun) / (now - begun)
    finally:
        gc.enable()
    return Burst(len(times), statistics.median(times), min(times), processors)
