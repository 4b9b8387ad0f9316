"""Ctrl-C during a fit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import martlet
from martlet._interrupts import Interrupts


def network():
    layers = [martlet.Dense(64), martlet.BatchNorm(), martlet.Sigmoid(), martlet.Dense(2)]
    return martlet.Sequential(layers, input_shape=(8,), seed=1)


@pytest.fixture
def data(rng):
    return rng.normal(size=(600, 8)).astype(np.float32), rng.integers(0, 2, 600)


@contextlib.contextmanager
def interrupts(times=1):
    """Sends this process ``times`` SIGINTs, 0.15 s apart; none of them after the block has ended."""
    done = threading.Event()

    def send():
        for _ in range(times):
            if not done.wait(0.15):
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_ctrl_c_stops_at_a_step_boundary_and_the_model_stays_usable(data):
    net = network()
    trainer = martlet.Trainer(net)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupts():
        trainer.fit(*data, epochs=10**7, batch_size=32)
    assert time.monotonic() - begun < 5
    steps = trainer.history.steps
    assert trainer.history.stopped
    assert net.state_dict()["1.num_batches_tracked"] == steps > 0
    assert np.isfinite(net(data[0])).all()
    assert trainer.fit(*data, epochs=1, batch_size=32).steps == 19
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_with_a_busy_callback(data):
    trainer = martlet.Trainer(network())
    with pytest.raises(KeyboardInterrupt), interrupts():
        trainer.fit(*data, epochs=10**7, batch_size=32, callbacks=lambda event: sum(range(2000)) < 0)


def test_a_second_ctrl_c_reaches_a_callback_that_hangs(data):
    trainer = martlet.Trainer(network())
    with pytest.raises(KeyboardInterrupt), interrupts(times=2):
        trainer.fit(*data, epochs=10**7, batch_size=32, callbacks=lambda event: time.sleep(60))


def test_a_handler_of_ones_own_is_called_after_the_step(data):
    calls = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        with interrupts():
            history = martlet.Trainer(network()).fit(*data, epochs=10**7, batch_size=32)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert calls == [signal.SIGINT]
    assert history.stopped


def test_fits_on_other_threads_leave_signals_alone(data):
    found = []

    def fit():
        found.append(martlet.Trainer(network()).fit(*data, epochs=2, batch_size=32).steps)

    threads = [threading.Thread(target=fit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [38, 38, 38]


def test_ignored_interrupts_stay_ignored():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        assert not interrupts.pending
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_program_ends_with_the_usual_traceback():
    program = (
        "import numpy as np, martlet\n"
        "net = martlet.Sequential([martlet.Dense(2)], input_shape=(3,))\n"
        "print('ready', flush=True)\n"
        "martlet.Trainer(net).fit(np.zeros((64, 3)), np.zeros(64, np.int64), epochs=10**9)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in errors
