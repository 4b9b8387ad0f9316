"""Ctrl-C and other signals while the library computes."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import martlet
from martlet._callbacks import CallbackScope


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


def test_a_handler_of_ones_own_is_called_after_the_step_and_may_let_the_fit_go_on(data):
    calls = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: calls.append((number, frame)))
    trainer = martlet.Trainer(network())
    try:
        with interrupts():
            history = trainer.fit(
                *data, epochs=10**7, batch_size=32, callbacks=lambda event: bool(calls) and event.step % 100 == 0
            )
    finally:
        signal.signal(signal.SIGINT, previous)
    assert [number for number, _ in calls] == [signal.SIGINT]
    assert calls[0][1] is not None
    assert history.stopped
    assert history.steps % 100 == 0


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
        with CallbackScope() as scope:
            os.kill(os.getpid(), signal.SIGINT)
        scope.reraise()
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


# -- exceptions that signal handlers raise, at any moment


class AlarmError(Exception):
    """What the handler of these tests raises."""


def number_raised(begin, call, *arguments):
    try:
        begin()
        call(*arguments)
    except AlarmError as error:
        return error.args[0]
    raise AssertionError("the call ended without an exception")


@contextlib.contextmanager
def alarms():
    """SIGALRM raises ``AlarmError(n)`` with the number of the last ``begin(n, seconds)``."""
    present = [0]

    def handler(number, frame):
        raise AlarmError(present[0])

    def begin(number, seconds):
        present[0] = number
        signal.setitimer(signal.ITIMER_REAL, seconds)

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        yield begin
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def fit(trainer, x, y):
    trainer.fit(x, y, epochs=10**7, batch_size=32)


def fit_with_a_callback(trainer, x, y):
    trainer.fit(x, y, epochs=10**7, batch_size=32, callbacks=lambda event: sum(range(200)) < 0)


def fit_with_validation(trainer, x, y):
    trainer.fit(x, y, epochs=10**7, batch_size=300, validation_data=(x, y))


def fit_within_a_fit(trainer, inner, x, y):
    trainer.fit(x, y, epochs=10**7, batch_size=32, callbacks=lambda event: fit(inner, x, y))


def evaluate(trainer, x, y):
    while True:
        trainer.evaluate(x, y)


def predict(trainer, x, y):
    while True:
        trainer.model.predict(x)


def update_statistics(trainer, x, y):
    def batches():
        while True:
            yield x[:32]

    trainer.model.update_population_statistics(batches=batches(), method="one_pass")


def steps_with_an_all_reduce(trainer, x, y):
    trainer.model.set_all_reduce(lambda sums: None)
    try:
        while True:
            trainer.step(x[:32], y[:32])
    finally:
        trainer.model.set_all_reduce(None)


@pytest.mark.parametrize(
    "call", [fit, fit_with_a_callback, fit_with_validation, evaluate, predict, update_statistics, steps_with_an_all_reduce]
)
def test_each_exception_of_a_signal_handler_rises_from_the_call(data, rng, call):
    trainer = martlet.Trainer(network())
    with alarms() as begin:
        for number in range(300):
            assert (
                number_raised(lambda number=number: begin(number, rng.uniform(0.0002, 0.004)), call, trainer, *data) == number
            )
    assert np.isfinite(trainer.model(data[0])).all()


def test_sys_exit_in_a_handler_of_sigterm_ends_the_program():
    program = (
        "import signal, sys, numpy as np, martlet\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))\n"
        "net = martlet.Sequential([martlet.Dense(2)], input_shape=(3,))\n"
        "print('ready', flush=True)\n"
        "martlet.Trainer(net).fit(np.zeros((64, 3)), np.zeros(64, np.int64), epochs=10**9)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.2)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (7, "")


def test_a_handler_that_returns_lets_a_fit_go_on_to_its_end(data):
    calls = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(number))
    expected = martlet.Trainer(network()).fit(*data, epochs=30, batch_size=32)

    def signal_myself(event):
        if event.step % 50 == 0:
            os.kill(os.getpid(), signal.SIGUSR1)

    try:
        history = martlet.Trainer(network()).fit(*data, epochs=30, batch_size=32, callbacks=signal_myself)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert len(calls) >= 11
    assert not history.stopped
    assert history.training == expected.training


def test_a_signal_reaches_a_callback_that_hangs_and_one_that_the_callback_asked_for(data):
    def hang(event):
        signal.signal(signal.SIGALRM, raise_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(60)

    def raise_alarm(number, frame):
        raise AlarmError("of the callback's own")

    previous = signal.getsignal(signal.SIGALRM)
    try:
        with pytest.raises(AlarmError, match="of the callback's own"):
            martlet.Trainer(network()).fit(*data, epochs=10**7, batch_size=32, callbacks=hang)
        assert signal.getsignal(signal.SIGALRM) is raise_alarm
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_a_fit_within_a_callback_of_a_fit(data, rng):
    inner = martlet.Trainer(network())
    outer = martlet.Trainer(network())
    with alarms() as begin:
        for number in range(200):
            start = functools.partial(begin, number, rng.uniform(0.0001, 0.006))
            assert number_raised(start, fit_within_a_fit, outer, inner, *data) == number
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
