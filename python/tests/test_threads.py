"""Threads: many predict at once; distinct objects train at once; the count is set and seen."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest

import martlet
from martlet import InvalidArgumentError


def together(count, work):
    errors = []

    def run(index):
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_one_model_predicts_on_many_threads(net, rng):
    batches = [rng.normal(size=(rows, 4)).astype(np.float32) for rows in (1, 7, 64, 500, 2000, 33)]
    expected = [net(x) for x in batches]

    def work(index):
        for _ in range(30):
            assert np.array_equal(net(batches[index]), expected[index])

    together(len(batches), work)


def test_distinct_models_train_on_distinct_threads(rng):
    x, y = rng.normal(size=(200, 4)).astype(np.float32), rng.integers(0, 2, 200)

    def trained():
        layers = [martlet.Dense(8), martlet.BatchNorm(), martlet.ReLU(), martlet.Dense(2)]
        net = martlet.Sequential(layers, input_shape=(4,), seed=3)
        martlet.Trainer(net).fit(x, y, epochs=3, batch_size=20)
        return net.state_dict()

    expected = trained()
    found = [None] * 4

    def work(index):
        found[index] = trained()

    together(4, work)
    for state in found:
        assert all(np.array_equal(state[name], value) for name, value in expected.items())


def test_errors_belong_to_their_thread(net):
    def work(index):
        for _ in range(50):
            with pytest.raises(martlet.ShapeError, match=f"{index + 10}"):
                net(np.zeros((2, index + 10)))

    together(4, work)


def test_thread_count():
    before = martlet.num_threads()
    try:
        for count in (1, 2, 5):
            martlet.set_num_threads(count)
            assert martlet.num_threads() == count
        for wrong in (0, -1, 1025, 2**40, 1.5, None):
            with pytest.raises(InvalidArgumentError, match="count must be"):
                martlet.set_num_threads(wrong)
        assert martlet.num_threads() == 5
    finally:
        martlet.set_num_threads(before)


def test_results_do_not_depend_on_the_thread_count(rng):
    x = rng.normal(size=(5000, 40)).astype(np.float32)
    before = martlet.num_threads()
    try:
        found = []
        for count in (1, 2, 5):
            martlet.set_num_threads(count)
            found.append(martlet.batch_norm_with_statistics(x))
        for other in found[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(found[0], other))
    finally:
        martlet.set_num_threads(before)


def test_a_model_in_training_is_in_use(rng):
    norm = martlet.BatchNorm()
    net = martlet.Sequential([martlet.Dense(4), norm, martlet.Dense(2)], input_shape=(3,))
    trainer = martlet.Trainer(net)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.integers(0, 2, 8)
    refused = []

    def elsewhere():
        for call in (
            lambda: net.predict(x),
            norm.freeze,
            lambda: trainer.step(x, y),
            lambda: trainer.evaluate(x, y),
            net.clone,
        ):
            try:
                call()
            except martlet.InvalidStateError as error:
                refused.append("in use by another thread" in str(error))

    def callback(event):
        # The fit's own thread may use the model.
        net.predict(x)
        trainer.evaluate(x, y)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    trainer.fit(x, y, epochs=1, batch_size=8, callbacks=callback)
    assert refused == [True] * 10
    assert net.predict(x).shape == (8, 2)


def test_freezing_during_predictions_is_refused_or_done(rng):
    norm = martlet.BatchNorm()
    net = martlet.Sequential([martlet.Dense(64), norm, martlet.Dense(2)], input_shape=(16,))
    x = rng.normal(size=(500, 16)).astype(np.float32)
    stop = threading.Event()

    def freeze():
        while not stop.is_set():
            for call in (norm.freeze, norm.unfreeze):
                with contextlib.suppress(martlet.InvalidStateError):
                    call()

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        for _ in range(300):
            with contextlib.suppress(martlet.InvalidStateError):
                net.predict(x)
    finally:
        stop.set()
        thread.join()
    assert np.isfinite(net.predict(x)).all()
