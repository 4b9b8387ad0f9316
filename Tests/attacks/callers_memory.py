"""Memory that the caller changes while it is used, numbers that no size can be, and arrays as large as memory."""

from __future__ import annotations

import ctypes
import resource
import sys

import numpy as np
from attack import main, refuses

import martlet
from martlet import _abi, BatchNorm, Conv2D, Dense, Flatten, ReLU, Sequential, Trainer
from martlet._library import library


def _trainer(classes=5, **options):
    net = Sequential([Dense(8), BatchNorm(), ReLU(), Dense(classes)], input_shape=(4,), seed=1)
    return Trainer(net, seed=1, **options)


def _data(rows=64, classes=5):
    x = np.random.default_rng(1).normal(size=(rows, 4)).astype(np.float32)
    return x, (np.arange(rows) % classes).astype(np.int32)


def _labels_overwritten(value, dtype):
    trainer = _trainer()
    x, y = _data()
    y = y.astype(dtype)

    def callback(*_):
        y[:] = value

    try:
        trainer.fit(x, y, epochs=3, batch_size=16, callbacks=callback)
    except martlet.MartletError as error:
        assert str(error)
    assert all(np.isfinite(value).all() for value in trainer.model.state_dict().values())


def attack_labels_overwritten_by_a_callback():
    for dtype, values in (
        (np.int32, (10**6, 7, -1, 2**31 - 1, -(2**31))),
        (np.int64, (10**6, 2**62, -(2**62))),
        (np.uint8, (255,)),
    ):
        for value in values:
            _labels_overwritten(value, dtype)


def attack_targets_overwritten_by_a_callback():
    trainer = Trainer(Sequential([Dense(3)], input_shape=(4,), seed=1), loss="bce")
    x, _ = _data()
    y = np.zeros((64, 3), np.float32)

    def callback(*_):
        y[:] = np.nan

    try:
        trainer.fit(x, y, epochs=2, batch_size=16, callbacks=callback)
    except martlet.MartletError as error:
        assert str(error)


def attack_out_of_a_lying_subclass():
    class Lies(np.ndarray):
        shape = (64, 5)
        size = 320
        strides = (20, 4)
        flags = np.zeros((64, 5), np.float32).flags
        ndim = 2
        dtype = np.dtype(np.float32)

    x, _ = _data()
    out = np.zeros(1, np.float32).view(Lies)
    try:
        _trainer().model.predict(x, out=out)
    except (martlet.MartletError, TypeError, ValueError) as error:
        assert str(error)


# ---- sizes and numbers ----


def attack_plans_of_impossible_batches():
    image = Sequential([Conv2D(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(3)], input_shape=(8, 8, 2), seed=1)
    plain = Sequential([Dense(3)], input_shape=(4,), seed=1)
    empty = Sequential([ReLU()], input_shape=(0,), seed=1)
    for net in (image, plain, empty):
        for batch in (2**62, 2**63 - 1, 2**40, 2**32, 2**31, -1, 0, -(2**63)):
            for training in (False, True):
                try:
                    net.plan(batch, training=training)
                except (martlet.MartletError, OverflowError, MemoryError) as error:
                    assert str(error)


def attack_fits_of_impossible_batches():
    x, y = _data()
    for batch in (2**62, 2**63 - 1, 2**31):
        for micro in (None, 2**62):
            trainer = _trainer()
            if micro is not None and hasattr(trainer, "micro_batch_size"):
                trainer.micro_batch_size = micro
            try:
                trainer.fit(x, y, epochs=1, batch_size=batch)
            except (martlet.MartletError, OverflowError) as error:
                assert str(error)
    try:
        _trainer().fit(x, y, epochs=2**62, batch_size=16, callbacks=lambda *_: True)
    except (martlet.MartletError, OverflowError) as error:
        assert str(error)


def attack_all_reduce_that_gives_no_sums():
    x, y = _data()
    for value in (np.inf, -np.inf, np.nan, 1e300, -1.0, 0.5):
        trainer = _trainer()
        before = trainer.model.state_dict()

        def wrong(sums, value=value):
            sums[:] = value

        trainer.model.set_all_reduce(wrong)
        refuses(lambda trainer=trainer: trainer.step(x, y))
        for name, values in trainer.model.state_dict().items():
            assert np.array_equal(values, before[name]), name


def attack_all_reduce_that_gives_means():
    x, y = _data()
    trainer = _trainer()

    def mean(sums):
        sums /= 2

    trainer.model.set_all_reduce(mean)
    refuses(lambda: trainer.step(x, y))


# ---- arrays as large as the caller says ----


def _limited(bytes_more):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + bytes_more, used + bytes_more))


def attack_statistics_of_more_channels_than_memory():
    handle = ctypes.POINTER(_abi.martlet_statistics)()
    martlet.num_threads()
    _limited(256 << 20)
    for channels in (2**29, 2**26, 2**40, 2**55, 2**62, 2**63 - 1):
        try:
            status = library().martlet_statistics_create(ctypes.byref(handle), channels)
        except martlet.MartletError as error:
            assert str(error)
            continue
        raise AssertionError(f"{channels} channels: status {status}")


def attack_weights_without_memory():
    net = Sequential([Dense(1024)], input_shape=(8192,), seed=1)
    net.save("f")
    before = net.state_dict()["0.weight"][::97].copy()
    for megabytes in (8, 24, 40, 60, 90):
        soft = resource.getrlimit(resource.RLIMIT_AS)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), soft[1]))
        try:
            for use in (lambda: net.load_weights("f"), lambda: martlet.load("f"), net.clone, net.fold):
                try:
                    use()
                except (martlet.MartletError, MemoryError):
                    pass
        finally:
            resource.setrlimit(resource.RLIMIT_AS, soft)
    assert np.array_equal(net.state_dict()["0.weight"][::97], before)
    net.load_weights("f")


if __name__ == "__main__":
    main(sys.modules["__main__"])
