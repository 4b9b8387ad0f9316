"""Two threads on one object, where one is allowed: an error or a right result, never a crash."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
from attack import main

import martlet
from martlet import BatchNorm, Dense, ReLU, Sequential, Trainer

SECONDS = 1.5


def _net():
    return Sequential([Dense(64), BatchNorm(), ReLU(), Dense(64), BatchNorm(), ReLU(), Dense(3)], input_shape=(16,), seed=1)


def _data(rows=256):
    x = np.random.default_rng(1).normal(size=(rows, 16)).astype(np.float32)
    return x, (np.arange(rows) % 3).astype(np.int32)


def _together(*actions):
    """Each again and again on a thread of its own. The package's errors are allowed; anything else is not."""
    end, wrong = time.monotonic() + SECONDS, []

    def run(action):
        while time.monotonic() < end and not wrong:
            try:
                action()
            except martlet.MartletError as error:
                assert str(error)
            except BaseException as error:
                wrong.append(error)
                raise

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


def attack_freeze_beside_predict():
    net, (x, _) = _net(), _data()
    norm = next(layer for layer in net.layers if isinstance(layer, BatchNorm))

    def switch():
        norm.freeze()
        norm.unfreeze()

    _together(lambda: net.predict(x), lambda: net.predict(x[:1]), switch)


def attack_two_steps_of_one_trainer():
    trainer, (x, y) = Trainer(_net()), _data()
    _together(lambda: trainer.step(x, y), lambda: trainer.step(x[:100], y[:100]))
    assert all(np.isfinite(value).all() for value in trainer.model.state_dict().values())


def attack_two_fits_of_one_trainer():
    trainer, (x, y) = Trainer(_net()), _data()
    _together(lambda: trainer.fit(x, y), lambda: trainer.fit(x, y, batch_size=64), lambda: trainer.evaluate(x, y))


def attack_steps_of_two_trainers_of_one_model():
    net, (x, y) = _net(), _data()
    one, other = Trainer(net), Trainer(net)
    _together(lambda: one.step(x, y), lambda: other.step(x, y))


def attack_loading_beside_everything():
    net, (x, y) = _net(), _data()
    net.save("f")
    trainer = Trainer(net)
    values = net.state_dict()
    _together(
        lambda: net.load_weights("f"),
        lambda: net.load_state_dict(values),
        lambda: trainer.step(x, y),
        lambda: net.predict(x),
        lambda: net.save("g"),
        lambda: net.clone(),
    )


def attack_loops_by_hand_beside_each_other():
    net, (x, _) = _net(), _data()
    gradient = np.ones((256, 3), np.float32)
    _together(
        lambda: net.forward(x, training=True),
        lambda: net.backward(gradient),
        lambda: net.forward(x[:10], training=False),
        lambda: net.update_population_statistics(x, batch_size=64),
    )


def attack_one_recorder_and_its_model():
    net, (x, y) = _net(), _data()
    trainer = Trainer(net)
    recorder = martlet.shift.ShiftRecorder(net, [net.layers[0].name, net.layers[3].name], x)
    _together(recorder.record, lambda: trainer.step(x, y), lambda: len(recorder.records))


def attack_changing_the_number_of_threads():
    net, (x, _) = _net(), _data(2000)
    right = net.predict(x)

    def predict():
        assert np.array_equal(net.predict(x), right)

    def change():
        for count in (1, 2, 4, 3):
            martlet.set_num_threads(count)

    _together(predict, predict, change)


def attack_closing_while_in_use():
    x, _ = _data()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        net = _net()

        def predict(net=net):
            try:
                for _ in range(20):
                    net.predict(x)
            except martlet.MartletError as error:
                assert str(error)

        thread = threading.Thread(target=predict)
        thread.start()
        net.close()
        thread.join()


if __name__ == "__main__":
    main(sys.modules["__main__"])
