"""The library inside other programs: their floating-point modes, signals, kills and environments."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from attack import libm, main

import martlet
from martlet import Adam, BatchNorm, Conv2D, Dense, Flatten, ReLU, Sequential, Sigmoid, Trainer

FE_INVALID, FE_DIVBYZERO, FE_OVERFLOW, FE_UNDERFLOW = 1, 4, 8, 16
FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO = 0x800, 0x400, 0xC00


def _net():
    layers = [Conv2D(5, 3), BatchNorm(), ReLU(), Flatten(), Dense(7), BatchNorm(), Sigmoid(), Dense(3)]
    return Sequential(layers, input_shape=(7, 7, 3), seed=1)


def _data(rows=33):
    x = np.random.default_rng(1).normal(size=(rows, 7, 7, 3)).astype(np.float32)
    return x, (np.arange(rows) % 3).astype(np.int32)


def _work():
    """A bit of everything; returns bits that must not depend on the caller's modes."""
    x, y = _data()
    net = _net()
    trainer = Trainer(net, optimizer=Adam(1e-3), seed=1)
    trainer.fit(x, y, epochs=2, batch_size=11)
    results = [net.predict(x), net.predict(x[:1]), net.fold(x)[0].predict(x)]
    for size in (1, 4, 5, 7, 8, 9, 15, 16, 17, 31, 100):
        a = martlet.Tensor(np.arange(1, size + 1, dtype=np.float32))
        b = martlet.Tensor(np.full(size, 3, np.float32))
        results += [(a / b).numpy(), (a * b).numpy()]
    net.check(x, y)
    return [np.array(result).tobytes() for result in results]


def attack_floating_point_traps():
    martlet.set_num_threads(3)
    right = _work()
    libm().feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW)
    assert _work() == right
    # The caller's own traps are as they were.
    assert libm().fegetexcept() & FE_DIVBYZERO


def attack_rounding_modes():
    for threads in (1, 3):
        martlet.set_num_threads(threads)
        right = _work()
        for mode in (FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO):
            # Around the library's calls alone, for NumPy's random numbers are made in the caller's mode.
            x, _ = _data()
            net = _net()
            expected = net.predict(x)
            libm().fesetround(mode)
            try:
                found = net.predict(x)
                kept = libm().fegetround()
            finally:
                libm().fesetround(0)
            assert kept == mode
            assert np.array_equal(found, expected)
        assert _work() == right


def attack_flush_to_zero():
    program = r"""
#include <xmmintrin.h>
unsigned get(void) { return _mm_getcsr(); }
void set(unsigned mode) { _mm_setcsr(mode); }
"""
    Path("modes.c").write_text(program)
    made = subprocess.run(["cc", "-O1", "-shared", "-fPIC", "modes.c", "-o", "modes.so"], capture_output=True)
    if made.returncode:
        print("no C compiler for x86-64 here: not tried")
        return
    modes = ctypes.CDLL("./modes.so")
    tiny = martlet.Tensor(np.full(3000, 1e-39, np.float32))
    half = martlet.Tensor(np.full(3000, 0.5, np.float32))
    for threads in (1, 3):
        martlet.set_num_threads(threads)
        expected = (tiny * half).numpy()
        assert expected[0] > 0
        before = modes.get()
        modes.set(before | 0x8040)
        found = (tiny * half).numpy()
        kept = modes.get()
        modes.set(before)
        assert kept & 0x8040 == 0x8040
        assert found.tobytes() == expected.tobytes()


class Stop(Exception):
    pass


def _stop(*_):
    raise Stop


def attack_signals_that_raise():
    x, y = _data(512)
    signal.signal(signal.SIGUSR1, _stop)
    for number in range(30):
        trainer = Trainer(_net(), seed=1)
        timer = threading.Timer(0.005 + 0.003 * number, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            trainer.fit(x, y, epochs=100_000, batch_size=32)
        except Stop:
            pass
        else:
            raise AssertionError("the fit ended without the handler's exception")
        timer.join()
        trainer.step(x[:32], y[:32])


def attack_sigterm_that_exits():
    x, y = _data(512)

    def handler(*_):
        sys.exit(7)

    signal.signal(signal.SIGTERM, handler)
    for number in range(10):
        child = os.fork()
        if child == 0:
            threading.Timer(0.02 + 0.005 * number, os.kill, (os.getpid(), signal.SIGTERM)).start()
            try:
                Trainer(_net()).fit(x, y, epochs=100_000)
            except SystemExit as error:
                os._exit(error.code)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status


def attack_savers_that_are_killed():
    net = Sequential([Dense(256)], input_shape=(256,), seed=1)
    net.save("f")
    right = Path("f").read_bytes()
    for number in range(20):
        child = os.fork()
        if child == 0:
            while True:
                net.save("f")
        time.sleep(0.002 + 0.001 * number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert Path("f").read_bytes() == right
        martlet.load("f")
    net.save("f")
    left = [name for name in os.listdir(".") if name != "f"]
    assert len(left) <= 1, f"temporary files of killed savers are left: {left}"


def attack_forks_in_the_middle():
    martlet.set_num_threads(3)
    x, y = _data(256)
    trainer = Trainer(_net(), seed=1)
    wrong = []

    def callback(*_):
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            trainer.model.predict(x)
            Trainer(_net()).fit(x, y, epochs=1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            wrong.append(status)

    trainer.fit(x, y, epochs=2, batch_size=64, callbacks=callback)
    assert not wrong, wrong


def attack_library_by_a_bare_name():
    """A name without a folder is looked for in one place, whether or not a file of that name lies in the current folder."""
    Path("libmartlet.so").write_bytes(b"\x7fELF this is no library")
    environment = dict(os.environ, MARTLET_LIBRARY="libmartlet.so")
    code = "import martlet; martlet.num_threads()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=20)
    assert done.returncode in (0, 1), done.returncode
    if done.returncode:
        assert "LibraryNotFoundError" in done.stderr, done.stderr


if __name__ == "__main__":
    main(sys.modules["__main__"])
