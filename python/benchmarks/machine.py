"""What a table is to say about the machine."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from typing import Any


def _of_file(path: str, key: str) -> str | None:
    try:
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), None)
    except OSError:
        return None


def describe() -> dict[str, Any]:
    """Processor, number of them, memory, system, interpreter, load, time."""
    memory = _of_file("/proc/meminfo", "MemTotal")
    return {
        "processor": _of_file("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "caches": caches(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def caches() -> dict[str, str]:
    """``L2`` → ``1024K``, for the first processor."""
    found = {}
    folder = "/sys/devices/system/cpu/cpu0/cache"
    for index in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        try:
            read = {name: open(f"{folder}/{index}/{name}").read().strip() for name in ("level", "type", "size")}  # noqa: SIM115
        except OSError:
            continue
        if read["type"] != "Instruction":
            found[f"L{read['level']}"] = read["size"]
    return found


def line() -> str:
    """In one line."""
    said = describe()
    cache = ", ".join(f"{level} {size}" for level, size in said["caches"].items())
    return f"{said['time']}; {said['processor']}, {said['processors']} processors ({cache}); load {said['load'] or 0:.1f}"
