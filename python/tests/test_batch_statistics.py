"""Which statistics batch norms normalise with, and what becomes of the moving ones."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import martlet
from martlet import SGD, BatchNorm, Dense, Sequential, Sigmoid, Tanh, Trainer
from martlet._errors import InvalidArgumentError, InvalidStateError, ShapeError, UnsupportedError


def network(seed=1):
    return Sequential([Dense(6), BatchNorm(), Sigmoid(), Dense(5), BatchNorm(), Tanh()], input_shape=(4,), seed=seed)


@pytest.fixture
def x(rng):
    return (rng.normal(size=(31, 4)) + np.arange(31)[:, None] / 8).astype(np.float32)


def same(a, b):
    return all(np.array_equal(value, b[name]) for name, value in a.items())


# -- population statistics --


def test_one_pass_is_what_training_sees(x):
    net, reference = network(), network()
    net.update_population_statistics(x, method="one_pass", batch_size=8)
    hidden = reference.submodel("3")
    seen = np.concatenate([hidden.forward(x[start : start + 8], training=True) for start in range(0, 31, 8)])
    first = reference.submodel("0")(x)
    state = net.state_dict()
    np.testing.assert_allclose(state["1.running_mean"], first.mean(0), atol=1e-5)
    np.testing.assert_allclose(state["1.running_var"], first.var(0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(state["4.running_mean"], seen.mean(0), atol=1e-5)
    np.testing.assert_allclose(state["4.running_var"], seen.var(0, ddof=1), rtol=1e-4)
    other = network()
    other.update_population_statistics(x)
    assert not np.allclose(other.state_dict()["4.running_var"], state["4.running_var"], rtol=1e-3)


@pytest.mark.parametrize("method", ["sequential", "one_pass"])
def test_batches_as_they_come_give_the_same_bits(x, method):
    whole, parts = network(), network()
    whole.update_population_statistics(x, method, batch_size=6)
    parts.update_population_statistics(batches=[x[start : start + 6] for start in range(0, 31, 6)], method=method)
    assert same(whole.state_dict(), parts.state_dict())


def test_a_generator_will_do_for_one_pass(x):
    whole, parts = network(), network()
    whole.update_population_statistics(x, "one_pass", batch_size=6)
    parts.update_population_statistics(batches=(x[start : start + 6] for start in range(0, 31, 6)), method="one_pass")
    assert same(whole.state_dict(), parts.state_dict())
    with pytest.raises(InvalidArgumentError, match="gone through once"):
        parts.update_population_statistics(batches=iter([x]))


@pytest.mark.parametrize("method", ["sequential", "one_pass"])
def test_an_exception_of_the_source_rises_and_changes_nothing(x, method):
    class Source:
        def __init__(self, good):
            self.good = good

        def __iter__(self):
            yield x
            self.good -= 1
            if self.good < 0:
                raise KeyError("the disk is gone")

    net = network()
    before = net.state_dict()
    for good in range(2 if method == "sequential" else 1):
        with pytest.raises(KeyError, match="the disk is gone"):
            net.update_population_statistics(batches=Source(good), method=method)
        assert same(before, net.state_dict())
    with pytest.raises(ShapeError, match="batch"):
        net.update_population_statistics(batches=[x, x[:, :3]], method=method)
    assert same(before, net.state_dict())


def test_population_arguments(x):
    net = network()
    for arguments in ({}, {"x": x, "batches": [x]}):
        with pytest.raises(InvalidArgumentError, match="one of the two"):
            net.update_population_statistics(**arguments)
    with pytest.raises(InvalidArgumentError, match="method"):
        net.update_population_statistics(x, method="twice")
    with pytest.raises(InvalidArgumentError, match="0 rows"):
        net.update_population_statistics(batches=[], method="one_pass")


# -- transactions of statistics --


def statistics(net):
    return {name: value for name, value in net.state_dict().items() if "running" in name or "num_batches" in name}


def test_rollback_brings_every_statistic_back(x):
    net = network()
    net.forward(x, training=True)
    before, predicted = statistics(net), net(x)
    net.begin_statistics()
    net.forward(2 * x, training=True)
    net.update_population_statistics(3 * x)
    assert not same(before, statistics(net))
    net.rollback_statistics()
    assert same(before, statistics(net))
    assert np.array_equal(net(x), predicted)
    for end in (net.commit_statistics, net.rollback_statistics):
        with pytest.raises(InvalidStateError, match="begin one first"):
            end()


def test_a_block_commits_or_rolls_back(x):
    net = network()
    before = statistics(net)

    def fail():
        with net.statistics_transaction():
            net.forward(x, training=True)
            with net.statistics_transaction():
                net.forward(x, training=True)
            assert net.state_dict()["1.num_batches_tracked"] == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert same(before, statistics(net))
    with net.statistics_transaction():
        net.forward(x, training=True)
    assert net.state_dict()["1.num_batches_tracked"] == 1
    with pytest.raises(InvalidStateError):
        net.commit_statistics()


# -- micro-batches --


@pytest.fixture
def y(rng):
    return rng.integers(0, 5, 31)


def trained(step, rate=0.5, **options):
    net = network()
    trainer = Trainer(net, optimizer=SGD(learning_rate=rate), seed=2, **options)
    return net, trainer, step(trainer)


def test_gradients_accumulate_over_micro_batches(x, y):
    net, trainer, result = trained(lambda trainer: trainer.step(x, y), rate=0, micro_batch_size=8)
    assert trainer.micro_batch_size == 8
    by_hand = network()
    total = 0.0
    for start in range(0, 31, 8):
        part = slice(start, start + 8)
        logits = by_hand.forward(x[part], training=True)
        found = martlet.loss("cross_entropy", logits, y[part])
        by_hand.backward(found.gradient * (len(logits) / 31), accumulate=start > 0)
        total += found.loss * len(logits)
    assert result.loss == pytest.approx(total / 31, rel=1e-6)
    assert same(statistics(net), statistics(by_hand))
    for name, gradient in net.gradients().items():
        np.testing.assert_allclose(gradient, by_hand.gradients()[name], atol=1e-6)
    trainer.micro_batch_size = None
    assert trainer.micro_batch_size is None


def test_parts_with_the_statistics_of_the_whole_are_one_batch(x, y):
    parts = [(x[:1], y[:1]), (x[1:20], y[1:20]), (x[20:20], y[20:20]), (x[20:], y[20:])]
    whole, _, expected = trained(lambda trainer: trainer.step(x, y))
    net, _, result = trained(lambda trainer: trainer.step_micro_batches(parts, statistics="whole"))
    assert result == expected
    assert same(net.state_dict(), whole.state_dict())
    equal = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 31, 8)]
    cut, _, expected = trained(lambda trainer: trainer.step(x, y), micro_batch_size=8)
    net, _, result = trained(lambda trainer: trainer.step_micro_batches(iter(equal)))
    assert result == expected
    assert same(net.state_dict(), cut.state_dict())


def test_a_fit_in_micro_batches(x, y):
    fitted, _, _ = trained(lambda trainer: trainer.fit(x, y, batch_size=16, shuffle=False), micro_batch_size=5)
    stepped, _, _ = trained(lambda t: [t.step(x[i : i + 16], y[i : i + 16]) for i in (0, 16)], micro_batch_size=5)
    assert same(fitted.state_dict(), stepped.state_dict())


def test_micro_batch_arguments(x, y):
    net, trainer, _ = trained(lambda trainer: None)
    before = net.state_dict()
    for size in (0, -1, 2.5):
        with pytest.raises((InvalidArgumentError, TypeError)):
            trainer.micro_batch_size = size
    with pytest.raises(InvalidArgumentError, match="2 or more values"):
        trainer.step_micro_batches([(x, y), (x[:1], y[:1])])
    with pytest.raises(ShapeError, match=r"batches\[1\]\[1\]: expected"):
        trainer.step_micro_batches([(x, y), (x[:2], y[:1])])
    with pytest.raises(InvalidArgumentError, match="pair"):
        trainer.step_micro_batches([x])
    with pytest.raises(InvalidArgumentError, match="statistics"):
        trainer.step_micro_batches([(x, y)], statistics="theirs")
    assert trainer.step_micro_batches([]).rows == 0
    assert same(before, net.state_dict())


# -- shards --


class Exchange:
    """Sums over threads, in the order of the shards."""

    def __init__(self, shards):
        self.parts = [None] * shards
        self.barrier = threading.Barrier(shards)
        self.sizes = []

    def of(self, shard):
        def all_reduce(sums):
            assert sums.dtype == np.float64
            self.parts[shard] = sums.copy()
            self.barrier.wait(30)
            total = np.sum(self.parts, axis=0)
            self.barrier.wait(30)
            sums[:] = total
            if shard == 0:
                self.sizes.append(len(sums))

        return all_reduce


def test_shards_are_one_batch(x, y):
    whole, _, expected = trained(lambda trainer: trainer.step(x, y))
    cut = [slice(0, 11), slice(11, 11), slice(11, 31)]
    exchange = Exchange(len(cut))
    nets = [network() for _ in cut]
    results = [None] * len(cut)

    def work(shard):
        nets[shard].set_all_reduce(exchange.of(shard))
        trainer = Trainer(nets[shard], optimizer=SGD(learning_rate=0.5))
        results[shard] = trainer.step(x[cut[shard]], y[cut[shard]])

    threads = [threading.Thread(target=work, args=(shard,)) for shard in range(len(cut))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Rows; 2C + 1 forward and 2C backward for each norm; loss, hits and gradients.
    assert exchange.sizes[:5] == [1, 13, 11, 10, 12]
    for net, result in zip(nets, results):
        assert result.loss == pytest.approx(expected.loss, rel=1e-6)
        assert result[1:] == expected[1:]
        assert same(net.state_dict(), nets[0].state_dict())
        for name, value in whole.state_dict().items():
            np.testing.assert_allclose(net.state_dict()[name], value, atol=2e-6, err_msg=name)


def test_an_exception_of_the_exchange_rises_and_changes_nothing(x, y):
    def fail(sums):
        raise ConnectionError("the other end is gone")

    net = network()
    net.set_all_reduce(fail)
    before = net.state_dict()
    trainer = Trainer(net)
    for call in (lambda: net.forward(x, training=True), lambda: trainer.step(x, y), lambda: trainer.fit(x, y)):
        with pytest.raises(ConnectionError, match="the other end"):
            call()
        assert same(before, net.state_dict())
    with pytest.raises(InvalidArgumentError, match="callable"):
        net.set_all_reduce(3)
    net.set_all_reduce(None)
    trainer.step(x, y)
    assert not same(before, net.state_dict())


def test_the_exchange_lives_as_long_as_what_calls_it(x, y):
    class Sums:
        def __init__(self):
            self.calls = 0

        def __call__(self, sums):
            self.calls += 1

    function = Sums()
    seen = weakref.ref(function)
    net = network()
    net.set_all_reduce(function)
    part = net.submodel(net.layers[-1].name)
    trainer = Trainer(net)
    net.close()
    del net
    gc.collect()
    trainer.step(x, y)
    calls = function.calls
    assert calls > 0
    del function, trainer
    gc.collect()
    part.forward(x, training=True)
    assert seen().calls > calls
    part.set_all_reduce(None)
    gc.collect()
    assert seen() is None

    # A function that holds the model, as a method or a closure does, keeps neither alive.
    net = network()
    net.set_all_reduce(lambda sums, net=net: None)
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


def test_the_exchange_has_numbers_of_its_own(x, y):
    kept = []
    net = network()
    net.set_all_reduce(kept.append)
    net.forward(x, training=True)
    copies = [sums.copy() for sums in kept]
    del net
    gc.collect()
    assert [len(sums) for sums in kept] == [13, 11]
    assert all(np.array_equal(sums, copy) for sums, copy in zip(kept, copies))
    # The values per channel, then the sums.
    assert kept[0][0] == len(x)


def test_wrong_exchanges(x, y):
    net = network()
    trainer = Trainer(net)
    before = net.state_dict()

    # A new array instead of numbers in place would train each shard alone, silently.
    net.set_all_reduce(lambda sums: sums * 2)
    with pytest.raises(InvalidArgumentError, match="in place"):
        net.forward(x, training=True)

    calls = (
        lambda sums: net.forward(x, training=True),
        lambda sums: trainer.step(x, y),
        lambda sums: trainer.fit(x, y),
        lambda sums: net.set_all_reduce(None),
    )
    for call in calls:
        net.set_all_reduce(call)
        with pytest.raises(InvalidStateError, match="all-reduce"):
            trainer.step(x, y)
        assert same(before, net.state_dict())

    def interrupted(sums):
        raise KeyboardInterrupt

    net.set_all_reduce(interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.step(x, y)
    # The exception belonged to that call alone.
    net.set_all_reduce(None)
    with pytest.raises(InvalidArgumentError, match="micro_batch_size"):
        trainer.micro_batch_size = 0
    assert same(before, net.state_dict())
    # Inference has nothing to exchange.
    net.set_all_reduce(interrupted)
    net(x)
    net.forward(x, training=False)
    trainer.evaluate(x, y)
    # A clone trains alone.
    net.clone().forward(x, training=True)
    # Micro-batches would exchange more often than other shards.
    trainer.micro_batch_size = 4
    with pytest.raises(UnsupportedError, match="Micro-batches"):
        trainer.step(x, y)
