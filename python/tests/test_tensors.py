"""A model's tensors: views, copies, loading them back."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Dense, DTypeError, InvalidArgumentError, MartletError, Sequential, ShapeError


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_parameters_are_the_memory_itself(net, batch):
    x, _ = batch
    views = net.parameters()
    assert all(value.flags.writeable and not value.flags.owndata for value in views.values())
    assert np.shares_memory(views["0.weight"], net.parameters()["0.weight"])
    views["3.weight"][:] = 0
    views["3.bias"][:] = [1, 2, 3]
    assert np.array_equal(net(x), np.tile(np.float32([1, 2, 3]), (16, 1)))


def test_an_inference_after_a_written_view_sees_it_even_where_a_normalisation_was_folded(net, batch):
    x, _ = batch
    before = net(x)
    net.parameters()["1.weight"][:] *= 2
    net.state()["1.running_mean"][:] += 1
    assert not np.allclose(net(x), before)


@pytest.mark.parametrize("rows", [1, 16])
def test_predictions_see_every_write(net, batch, rows):
    x = batch[0][:rows]

    def expect_seen(write):
        before = net.predict(x)
        write()
        after = net.predict(x)
        assert not np.array_equal(after, before)
        assert np.array_equal(after, net.clone().predict(x))

    state = net.state_dict()
    for name, value in state.items():
        if value.ndim:
            changed = {**state, name: np.full_like(value, 0.4)}
            expect_seen(lambda changed=changed: net.load_state_dict(changed))
            net.load_state_dict(state)
    trainer = martlet.Trainer(net, loss="cross_entropy", optimizer=martlet.Adam(learning_rate=0.1))
    expect_seen(lambda: trainer.step(*batch))
    expect_seen(lambda: net.update_population_statistics(batch[0]))
    views = {**net.parameters(), **net.state()}
    for view in views.values():
        if view.ndim:
            for number in (0.3, 0.7):
                expect_seen(lambda view=view, number=number: view.fill(number))
            net.load_state_dict(state)


def test_reading_asks_for_no_memory_of_the_values(net, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a writable view was made")

    monkeypatch.setattr("martlet._parameters.value_view", refuse)
    state = net.state_dict()
    net.load_state_dict(state)
    net.trainable()
    net.set_trainable("0", False)
    net.gradients()
    net.summary()
    net.clone()
    with pytest.raises(AssertionError, match="writable view"):
        net.parameters()


def test_gradients_have_the_parameters_shapes(net, batch):
    net.forward(batch[0], training=True)
    net.backward(np.ones((16, 3)))
    gradients = net.gradients()
    assert {name: value.shape for name, value in gradients.items()} == {
        name: value.shape for name, value in net.parameters().items()
    }
    assert np.array_equal(gradients["3.bias"], [16, 16, 16])


def test_state_dict_holds_copies(net):
    first = net.state_dict()
    first["0.weight"][:] = 9
    assert not (net.state_dict()["0.weight"] == 9).any()
    assert first["1.num_batches_tracked"].dtype == np.int64
    assert first["1.num_batches_tracked"].shape == ()


def test_state_dict_goes_back(net, batch):
    x, _ = batch
    net.forward(x, training=True)
    saved, expected = net.state_dict(), net(x)
    other = Sequential([Dense(5), BatchNorm(), *[layer.__class__() for layer in net.layers[2:3]], Dense(3)], input_shape=(4,))
    assert other.load_state_dict(saved) == ([], [], list(saved))
    assert same(other.state_dict(), saved)
    assert np.array_equal(other(x), expected)


def test_values_may_be_of_other_dtypes_and_layouts(net):
    weight = np.asfortranarray(np.arange(20).reshape(5, 4))
    net.load_state_dict({"0.weight": weight, "0.bias": [1, 2, 3, 4, 5]}, strict=False)
    assert np.array_equal(net.parameters()["0.weight"], weight)
    assert net.parameters()["0.bias"].tolist() == [1, 2, 3, 4, 5]


def test_strict_wants_every_tensor_but_not_the_counters(net):
    state = net.state_dict()
    del state["1.num_batches_tracked"], state["1.num_batches_skipped"]
    assert net.load_state_dict(state).missing == ["1.num_batches_tracked", "1.num_batches_skipped"]
    del state["3.bias"]
    with pytest.raises(InvalidArgumentError, match=r"3\.bias"):
        net.load_state_dict(state)


def test_strict_refuses_unknown_names(net):
    with pytest.raises(InvalidArgumentError, match=r"9\.weight"):
        net.load_state_dict({**net.state_dict(), "9.weight": [1.0]})


def test_not_strict_tells_what_was_missing_and_unexpected(net):
    result = net.load_state_dict({"0.bias": np.ones(5), "extra": [1.0]}, strict=False)
    assert result.unexpected == ["extra"]
    assert "0.weight" in result.missing
    assert "0.bias" not in result.missing


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("0.weight", np.zeros((4, 5)), ShapeError),
        ("0.weight", np.zeros(20), ShapeError),
        ("0.bias", np.zeros(5, complex), DTypeError),
        ("0.bias", np.array(["a"] * 5), DTypeError),
        ("1.num_batches_tracked", np.float32(2.5), MartletError),
    ],
)
def test_all_or_nothing(net, name, value, error):
    before = net.state_dict()
    with pytest.raises(error):
        net.load_state_dict({**{key: item + 1 for key, item in before.items()}, name: value})
    assert same(net.state_dict(), before)


def test_a_state_dict_is_a_mapping(net):
    with pytest.raises(InvalidArgumentError, match="state_dict must map names"):
        net.load_state_dict([("0.weight", 1)])
