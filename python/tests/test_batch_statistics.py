"""Which statistics batch norms normalise with, and what becomes of the moving ones."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import SGD, BatchNorm, Dense, Sequential, Sigmoid, Tanh, Trainer
from martlet._errors import InvalidArgumentError, InvalidStateError, ShapeError


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
    with pytest.raises(ShapeError, match=r"micro_batches\[1\]"):
        trainer.step_micro_batches([(x, y), (x[:2], y[:1])])
    with pytest.raises(InvalidArgumentError, match="pair"):
        trainer.step_micro_batches([x])
    with pytest.raises(InvalidArgumentError, match="statistics"):
        trainer.step_micro_batches([(x, y)], statistics="theirs")
    assert trainer.step_micro_batches([]).rows == 0
    assert same(before, net.state_dict())
