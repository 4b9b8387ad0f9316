"""Networks that branch and join: joins, layers in several places, layouts, several inputs and outputs."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import (
    Add,
    BatchNorm,
    ChannelsFirst,
    ChannelsLast,
    Concatenate,
    Dense,
    Flatten,
    Input,
    InvalidArgumentError,
    Model,
    ReLU,
    Reshape,
    Sequential,
    ShapeError,
    Trainer,
)


def numeric(loss, x, step=1e-2):
    gradient = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        kept = x[place]
        x[place] = kept + step
        high = loss(x)
        x[place] = kept - step
        gradient[place] = (high - loss(x)) / (2 * step)
        x[place] = kept
    return gradient


def test_joins_compute(rng):
    a, b = (rng.normal(size=(4, 2, 3)).astype(np.float32) for _ in range(2))
    x, y = Input((2, 3)), Input((2, 3))
    net = Model([x, y], [Add()([x, y]), Concatenate()([x, y, x]), Add()([x, x, x])])
    total, wide, often = net([a, b])
    assert np.array_equal(total, a + b)
    assert np.array_equal(wide, np.concatenate([a, b, a], axis=-1))
    assert np.array_equal(often, a + a + a)


def test_gradients_of_branches_add_up(rng):
    x = Input((3,))
    h = Dense(4)(x)
    net = Model(x, Concatenate()([Add()([h, ReLU()(h)]), x]), seed=1)
    data = rng.normal(size=(5, 3)).astype(np.float32)
    r = rng.normal(size=(5, 7)).astype(np.float32)
    net.forward(data, training=True)
    gradient = net.backward(r)
    weight, bias = (net.state_dict()[name].astype(np.float64) for name in ("dense_1.weight", "dense_1.bias"))

    def loss(x):
        h = x @ weight.T + bias
        return float((np.concatenate([h + np.maximum(h, 0), x], axis=1) * r).sum())

    assert np.allclose(gradient, numeric(loss, data.astype(np.float64), 1e-6), atol=1e-4)


def test_a_layer_called_twice_is_one_layer(rng):
    shared = Dense(3, name="tower")
    x, y = Input((4,), name="left"), Input((4,), name="right")
    net = Model([x, y], Concatenate()([shared(x), shared(y)]), seed=2)
    assert [layer.name for layer in net.layers] == ["tower", "concatenate_1"]
    assert list(net.parameters()) == ["tower.weight", "tower.bias"]
    a, b = (rng.normal(size=(5, 4)).astype(np.float32) for _ in range(2))
    weight, bias = net.state_dict().values()
    assert np.allclose(net([a, b]), np.concatenate([a @ weight.T + bias, b @ weight.T + bias], axis=1), atol=1e-6)
    assert np.allclose(net.submodel("tower/2")([a, b]), b @ weight.T + bias, atol=1e-6)
    net.forward([a, b], training=True)
    r = rng.normal(size=(5, 6)).astype(np.float32)
    net.backward(r)
    wanted = r[:, :3].T @ a + r[:, 3:].T @ b
    assert np.allclose(net.gradients()["tower.weight"], wanted, atol=1e-5)


def test_a_sequence_may_hold_one_layer_twice(rng):
    layer = Dense(4)
    net = Sequential([layer, ReLU(), layer], input_shape=(4,))
    assert list(net.parameters()) == ["0.weight", "0.bias"]
    x = rng.normal(size=(3, 4)).astype(np.float32)
    weight, bias = net.state_dict().values()
    assert np.allclose(net(x), np.maximum(x @ weight.T + bias, 0) @ weight.T + bias, atol=1e-6)


def test_branching_models_are_kept_in_files(tmp_path, rng):
    x, y = Input((4,)), Input((2, 2), layout="channels_first")
    shared = Dense(4)
    out = Add()([shared(x), shared(Flatten()(y))])
    net = Model([x, y], [out, Concatenate()([out, x])], seed=3)
    net.save(tmp_path / "net.safetensors")
    loaded = martlet.load(tmp_path / "net.safetensors")
    data = [rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(3, 2, 2)).astype(np.float32)]
    for a, b in zip(net(data), loaded(data)):
        assert np.array_equal(a, b)
    assert [repr(layer) for layer in loaded.layers] == [repr(layer) for layer in net.layers]
    assert loaded.architecture == net.architecture


def test_channels_first_data_is_turned_once(rng):
    x = rng.normal(size=(4, 3, 5, 6)).astype(np.float32)
    image = Input((3, 5, 6), layout="channels_first")
    net = Model(image, [Reshape((5, 6, 3))(image), BatchNorm()(image)])
    assert [layer.kind for layer in net.layers] == ["channels_last", "reshape", "batch_norm"]
    assert net.input_shape == (3, 5, 6)
    assert np.array_equal(net(x)[0], x.transpose(0, 2, 3, 1))
    net.forward(x, training=True)
    r = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 5, 6, 3), (4, 5, 6, 3))]
    r[1][:] = 0
    assert np.array_equal(net.backward(r), r[0].transpose(0, 3, 1, 2))
    first = Sequential([Input((3, 5, 6), layout="channels_first"), Flatten()])
    assert np.array_equal(first(x), x.transpose(0, 2, 3, 1).reshape(4, -1))
    assert [layer.name for layer in first.layers] == ["channels_last_1", "0"]


def test_channels_there_and_back(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert np.array_equal(Sequential([ChannelsLast(), ChannelsFirst()], input_shape=(3, 4, 5))(x), x)
    assert np.array_equal(Sequential([ChannelsFirst()], input_shape=(3, 4, 5))(x), x.transpose(0, 3, 1, 2))


def test_images_of_bytes_are_read_as_they_are(rng):
    images = rng.integers(0, 256, size=(20, 3, 4, 4), dtype=np.uint8)
    labels = rng.integers(0, 2, size=20)

    def trained(x):
        net = Sequential([Input((3, 4, 4), layout="channels_first"), BatchNorm(), Flatten(), Dense(2)], seed=1)
        Trainer(net).fit(x, labels, epochs=2, batch_size=7, progress=False)
        return net(x)

    assert np.array_equal(trained(images), trained(images.astype(np.float32)))


def test_reshape(rng):
    x = rng.normal(size=(2, 12)).astype(np.float32)
    net = Sequential([Reshape((3, -1))], input_shape=(12,))
    assert np.array_equal(net(x), x.reshape(2, 3, 4))
    assert repr(Reshape((3, -1))) == "Reshape((3, -1))"
    for shape, words in (((5, -1), "no whole number"), ((-1, -1), "at most one -1"), ((5, 2), "holds 10")):
        with pytest.raises(ShapeError, match=words):
            Sequential([Reshape(shape)], input_shape=(12,))
    with pytest.raises(InvalidArgumentError, match="at least -1"):
        Reshape((-2, 6))


def test_a_deep_network_needs_no_recursion():
    node = x = Input((2,))
    for _ in range(3000):
        node = ReLU()(node)
    assert len(Model(x, node).layers) == 3000
    assert len(repr(node)) < 100


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x, y: Add()(x), InvalidArgumentError, r"Add\(\)\(\[a, b\]\)"),
        (lambda x, y: Add()([x, 3]), InvalidArgumentError, "a list of Inputs"),
        (lambda x, y: Dense(2)([x, y]), InvalidArgumentError, "got a list"),
        (lambda x, y: Add()([x]), ShapeError, "two or more inputs; 1 came"),
        (lambda x, y: Add()([x, y]), ShapeError, r"input 1 \[4\]"),
        (lambda x, y: Concatenate()([x, Input((2, 3))]), InvalidArgumentError, "not among inputs"),
        (lambda x, y: (d := Dense(2)) and Add()([d(x), d(y)]), ShapeError, "a layer of its own"),
    ],
)
def test_joins_that_do_not_fit(make, error, words):
    x, y = Input((3,)), Input((4,))
    with pytest.raises(error, match=words):
        Model([x, y], make(x, y))


def test_a_layout_is_one_of_two():
    with pytest.raises(InvalidArgumentError, match="layout must be one of"):
        Input((3, 4, 4), layout="NCHW")


def test_the_residual_recipe(rng):
    x = Input((4,))
    dense, end = Dense(4), BatchNorm()
    h = ReLU()(BatchNorm()(dense(x)))
    last = Dense(4, bias=False)
    net = Model(x, Add()([end(last(h)), x]), seed=1, residual_recipe=True)
    assert not dense.bias
    assert "bias=False" in repr(dense)
    assert "dense_1.bias" not in net.state_dict()
    assert np.array_equal(net.state_dict()["batch_norm_2.weight"], np.zeros(4))
    assert np.array_equal(net.state_dict()["batch_norm_1.weight"], np.ones(4))
    data = rng.normal(size=(6, 4)).astype(np.float32)
    assert np.array_equal(net(data), data)  # the block is its shortcut
    result = Trainer(net, loss="mse", optimizer=martlet.SGD(0.1)).step(data, data[::-1].copy())
    assert np.isfinite(result.loss)
    assert np.any(net.state_dict()["batch_norm_2.weight"] != 0)


def test_without_the_recipe_nothing_changes():
    x = Input((4,))
    dense = Dense(4)
    net = Model(x, Add()([BatchNorm()(dense(x)), x]))
    assert dense.bias
    assert "dense_1.bias" in net.state_dict()
    assert np.array_equal(net.state_dict()["batch_norm_1.weight"], np.ones(4))
    with pytest.raises(InvalidArgumentError, match="residual_recipe"):
        Model(x, x, residual_recipe="yes")
