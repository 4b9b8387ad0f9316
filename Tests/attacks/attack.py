"""Runs attacks: every function named ``attack_...`` of a program, each in a process of its own with limits on time and memory.

An attack passes if it returns. It fails if it raises, dies of a signal (a trap, an abort, a crash) or runs out of time.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import time
import traceback
from pathlib import Path

import numpy as np

import martlet

#: Of each attack, and the memory of its process.
SECONDS = 30
ADDRESS_SPACE = 8 << 30


def refuses(call, *kinds):
    """The call raises an error of this package, of one of the kinds if any are given, and says why."""
    try:
        call()
    except kinds or martlet.MartletError as error:
        assert str(error), "an error without a message"
        return error
    raise AssertionError(f"accepted; expected {' or '.join(k.__name__ for k in kinds) or 'an error'}")


def bounded(size, call):
    """The call takes at most 5 s of processor time and 64 MB plus 8 times the file's size; what it raises is its own matter."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        return call()
    except martlet.MartletError as error:
        assert str(error), "an error without a message"
    finally:
        seconds = time.process_time() - began
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert seconds < 5, f"{seconds:.1f} s of processor time"
        assert kilobytes * 1024 < (64 << 20) + 8 * size, f"{kilobytes >> 10} MB for a file of {size >> 10} KB"


def write_file(path, architecture, tensors=()):
    """A model file by hand. ``tensors``: (name, dtype, shape, bytes). Returns its size."""
    text = architecture if isinstance(architecture, str) else json.dumps(architecture)
    header, data = {"__metadata__": {"martlet": text}}, b""
    for name, dtype, shape, values in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    return write_raw(path, json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass"), data)


def write_raw(path, header, data=b""):
    contents = struct.pack("<Q", len(header)) + header + data
    Path(path).write_bytes(contents)
    return len(contents)


def read_file(path):
    """Header and data of a model file."""
    contents = Path(path).read_bytes()
    length = struct.unpack("<Q", contents[:8])[0]
    return json.loads(contents[8 : 8 + length]), contents[8 + length :]


def everything(path, rows=2):
    """What a program does with a file: reads it, plans, predicts, looks it over, folds it, writes it again."""
    net = martlet.load(path)
    net.plan(rows, training=False)
    inputs = [np.zeros((rows, *shape), np.float32) for shape in net.input_shapes]
    one = inputs[0] if len(inputs) == 1 else inputs
    for use in (lambda: net.predict(one), net.check, lambda: net.check(one), net.fold, lambda: net.save(f"{path}.again")):
        try:
            use()
        except martlet.MartletError as error:
            assert str(error)
    return net


def _child(name, function, folder):
    # A crash is what is looked for: no core files of it, and an alarm for what hangs.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.alarm(SECONDS)
    os.chdir(folder)
    try:
        function()
    except BaseException:
        print(f"{name}:", file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def main(module):
    """Runs the attacks whose names hold one of the command line's words; ends the program with 1 if one succeeded."""
    import tempfile

    words = sys.argv[1:]
    passed, failed = 0, []
    for name, function in list(vars(module).items()):
        if not name.startswith("attack_") or (words and not any(word in name for word in words)):
            continue
        with tempfile.TemporaryDirectory(prefix="martlet-attack-") as folder:
            child = os.fork()
            if child == 0:
                _child(name, function, folder)
            _, status = os.waitpid(child, 0)
        if status == 0:
            passed += 1
            continue
        failed.append(name)
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        how = "ran out of time" if signalled == signal.SIGALRM else f"died of signal {signalled}" if signalled else "failed"
        print(f"{name}: {how}", flush=True)
    print(f"{Path(module.__file__).stem}: {passed} passed, {len(failed)} failed", flush=True)
    sys.exit(1 if failed else 0)


def libm():
    return ctypes.CDLL("libm.so.6")
