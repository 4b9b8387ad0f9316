"""Ownership: close, context managers, and memory that outlives its handle where a view needs it."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import martlet
from martlet import InvalidStateError
from martlet._handle import Owner


def _handles():
    net = martlet.Sequential([martlet.Dense(2)], input_shape=(3,))
    return {
        "Sequential": (net, lambda: net(np.zeros((1, 3)))),
        "Tensor": (tensor := martlet.Tensor([1.0]), lambda: tensor.numpy()),
        "Optimizer": (optimizer := martlet.Optimizer(net.clone(), "sgd"), lambda: optimizer.step()),
        "Trainer": (trainer := martlet.Trainer(net.clone()), lambda: trainer.step(np.zeros((2, 3)), [0, 1])),
    }


@pytest.mark.parametrize("kind", ["Sequential", "Tensor", "Optimizer", "Trainer"])
def test_close_is_final_and_may_be_repeated(kind):
    handle, use = _handles()[kind]
    assert not handle.closed
    handle.close()
    handle.close()
    assert handle.closed
    with pytest.raises(InvalidStateError, match=f"this {kind} is closed"):
        use()
    assert "closed" in repr(handle) or kind in ("Optimizer", "Trainer")


@pytest.mark.parametrize("kind", ["Sequential", "Tensor", "Optimizer", "Trainer"])
def test_with_closes(kind):
    handle, use = _handles()[kind]
    with handle as same:
        assert same is handle
        use()
    assert handle.closed
    with pytest.raises(InvalidStateError), handle:
        pass


def test_every_method_of_a_closed_model_says_so(net):
    net.close()
    x = np.zeros((2, 4))
    for use in (
        lambda: net.predict(x),
        lambda: net.forward(x, training=True),
        lambda: net.backward(x),
        lambda: net.parameters(),
        lambda: net.gradients(),
        lambda: net.state(),
        lambda: net.state_dict(),
        lambda: net.load_state_dict({}),
        lambda: net.summary(),
        lambda: net.plan(2, training=True),
        lambda: net.fold(x),
        lambda: net.save("nowhere"),
        lambda: net.clone(),
        lambda: net.submodel("0"),
        lambda: net.architecture,
        lambda: net.output_shape,
        lambda: net.set_trainable("0.weight", False),
        lambda: net.update_population_statistics(x),
        lambda: net.layers[1].freeze(),
        lambda: martlet.Trainer(net),
        lambda: martlet.Optimizer(net, "sgd"),
    ):
        with pytest.raises(InvalidStateError, match="closed"):
            use()


def test_views_outlive_the_model_and_keep_its_memory(net):
    weight = net.parameters()["0.weight"]
    before = weight.copy()
    net.close()
    del net
    gc.collect()
    assert np.array_equal(weight, before)
    weight += 1
    assert np.array_equal(weight, before + 1)


def test_the_librarys_object_goes_with_the_last_reference():
    net = martlet.Sequential([martlet.Dense(5)], input_shape=(4,))
    owner = weakref.ref(net._owner)
    weight = net.parameters()["0.weight"]
    part = weight[1:]
    del net, weight
    assert owner() is not None
    del part
    gc.collect()
    assert owner() is None


def test_trainer_and_optimizer_outlive_a_closed_model(net, batch):
    trainer, optimizer = martlet.Trainer(net), martlet.Optimizer(net, "sgd")
    net.close()
    assert np.isfinite(trainer.step(*batch).loss)
    optimizer.step()


def test_closing_while_other_threads_compute_is_safe(rng):
    x = rng.normal(size=(4096, 64)).astype(np.float32)
    for _ in range(20):
        net = martlet.Sequential([martlet.Dense(64), martlet.Sigmoid(), martlet.Dense(64)], input_shape=(64,))
        expected = net(x[:1])
        found = []

        def predict(net=net, found=found):
            try:
                found.append(net(x)[:1])
            except InvalidStateError:
                found.append(None)

        threads = [threading.Thread(target=predict) for _ in range(3)]
        for thread in threads:
            thread.start()
        net.close()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        for result in found:
            assert result is None or np.array_equal(result, expected)


def test_an_object_is_let_go_of_once():
    destroyed = []
    owner = Owner("object", destroyed.append)
    other = owner
    del owner
    assert destroyed == []
    del other
    gc.collect()
    assert destroyed == ["object"]


def test_at_exit_the_process_gives_its_memory_back():
    program = "from martlet._handle import Owner; kept = Owner('destroyed', print); print('end')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["end"]
