"""The runner's side of a worker process: it starts it, asks it, and lets it sleep while others are timed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .libraries import Entry, thread_variables
from .timing import Burst
from .worker import send

HERE = Path(__file__).resolve().parent.parent

#: Settings that make OpenBLAS take kernels for another processor than the one at hand, and Python compile at every start.
UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")


class WorkerError(Exception):
    """A worker cannot do what it was asked; ``kind`` is "unsupported", "wrong" or "failed"."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind

    @property
    def reason(self) -> str:
        """In one line."""
        return str(self).strip().splitlines()[-1] if str(self).strip() else self.kind


def clean_environment(threads: int, python_path: str = "") -> dict[str, str]:
    """Of every process that is timed."""
    found = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    found.update(thread_variables(threads))
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), python_path]))
    return found


class Process:
    """One worker. It is stopped whenever it is not asked anything, so that its idle threads take nothing from the others.

    Parameters
    ----------
    name : str
        Of the library.
    entry : Entry
        Where it is.
    threads : int
    python : str, optional
        The interpreter; this one if left out.
    python_path : str, optional
        More folders to import from.

    Raises
    ------
    WorkerError
        The library is not installed, or does not start.
    """

    def __init__(self, name: str, entry: Entry, threads: int, *, python: str = sys.executable, python_path: str = "") -> None:
        self.name, self.threads = name, threads
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        environment = {**clean_environment(threads, python_path), **entry.environment(threads)}
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", entry.specification, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=HERE,
        )
        try:
            self.version = str(self._reply())
        except WorkerError:
            self.close()
            raise
        self._stop()

    def ask(self, method: str, *arguments: Any) -> Any:
        """One request and its answer."""
        self.begin(method, *arguments)
        return self.end()

    def begin(self, method: str, *arguments: Any) -> None:
        """One request; :meth:`end` must follow."""
        if self._process.poll() is not None:
            raise WorkerError("failed", self._last_words())
        os.kill(self._process.pid, signal.SIGCONT)
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, (method, arguments))
        except BrokenPipeError:
            raise WorkerError("failed", self._last_words()) from None

    def end(self) -> Any:
        """The answer to the request begun."""
        try:
            return self._reply()
        finally:
            self._stop()

    def burst(self, variant: str, seconds: float, calls: int) -> Burst:
        """See :meth:`benchmarks.timing.burst`."""
        return Burst(*self.ask("burst", variant, seconds, calls))

    def close(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def _reply(self) -> Any:
        assert self._process.stdout is not None
        try:
            kind, result = pickle.load(self._process.stdout)
        except EOFError:
            raise WorkerError("failed", self._last_words()) from None
        if kind != "done":
            raise WorkerError(kind, result)
        return result

    def _stop(self) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGSTOP)

    def _last_words(self) -> str:
        self._log.seek(0)
        code = self._process.wait()
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"the process ended with code {code}: {lines[-1] if lines else 'no word'}"
