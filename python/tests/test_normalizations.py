"""Batch norm's relatives: as functions and as layers, beside NumPy; arguments, errors, files."""

from __future__ import annotations

import numpy as np
import pytest
from test_goldens import UNIT, close, of

import martlet
from martlet import (
    SGD,
    BatchNorm,
    Conv2D,
    Dense,
    FilterResponseNorm,
    Flatten,
    GroupNorm,
    InstanceNorm,
    InvalidArgumentError,
    LayerNorm,
    RMSNorm,
    Sequential,
    ShapeError,
    Trainer,
)


def normalized(x, axes, epsilon, center=True):
    """In float64."""
    x = np.asarray(x, np.float64)
    d = x - x.mean(axes, keepdims=True) if center else x
    return d / np.sqrt((d * d).mean(axes, keepdims=True) + epsilon)


def optional(own, name):
    return own[name].astype(np.float32) if name in own else None


@pytest.mark.parametrize(("common", "own"), of("normalization"))
def test_goldens(common, own):
    x, grad = own["x"].astype(np.float32), own["grad_output"].astype(np.float32)
    scale, shift = optional(own, "scale"), optional(own, "shift")
    epsilon, groups, over = float(own["epsilon"]), int(own["groups"]), "all" if own["over_all"] else "last"
    affine = {"scale": scale is not None, "shift": shift is not None}
    kind = ("layer", "rms", "group", "instance")[int(own["kind"])]
    if kind == "layer":
        layer = LayerNorm(epsilon, over, **affine)
        y = martlet.layer_norm(x, scale, shift, over=over, epsilon=epsilon)
        found = martlet.layer_norm_gradients(x, grad, scale, shift, over=over, epsilon=epsilon)
    elif kind == "rms":
        layer = RMSNorm(epsilon, scale=affine["scale"])
        y = martlet.rms_norm(x, scale, epsilon=epsilon)
        found = martlet.rms_norm_gradients(x, grad, scale, epsilon=epsilon)
    elif kind == "group":
        layer = GroupNorm(groups, epsilon, **affine)
        y = martlet.group_norm(x, groups, scale, shift, epsilon=epsilon)
        found = martlet.group_norm_gradients(x, grad, groups, scale, shift, epsilon=epsilon)
    else:
        layer = InstanceNorm(epsilon, **affine)
        y = martlet.instance_norm(x, scale, shift, epsilon=epsilon)
        found = martlet.instance_norm_gradients(x, grad, scale, shift, epsilon=epsilon)
    size = np.abs(own["y"]).max() + 1
    close(y, own["y"], UNIT * size, "y")
    close(found.grad_input, own["grad_input"], 8 * UNIT * (np.abs(own["grad_input"]).max() + 4), "grad_input")
    sums = x.shape[0] * size * np.abs(grad).max()
    for name in ("grad_scale", "grad_shift"):
        if name in own:
            close(getattr(found, name), own[name], 4 * UNIT * sums, name)

    net = Sequential([layer], input_shape=x.shape[1:])
    tensors = {"0.weight": scale, "0.bias": shift}
    net.load_state_dict({name: value for name, value in tensors.items() if value is not None})
    assert np.array_equal(net(x), y)
    assert np.array_equal(net.forward(x, training=True), y)
    assert np.array_equal(net.backward(grad), found.grad_input)


@pytest.fixture
def image(rng):
    return rng.normal(3, 2, size=(3, 4, 5, 6)).astype(np.float32)


def test_functions_beside_numpy(image):
    close(martlet.layer_norm(image), normalized(image, -1, 1e-5), 4 * UNIT, "layer")
    close(martlet.layer_norm(image, over="all"), normalized(image, (1, 2, 3), 1e-5), 4 * UNIT, "layer over all")
    close(martlet.rms_norm(image), normalized(image, -1, 1e-6, center=False), 4 * UNIT, "rms")
    close(martlet.instance_norm(image), normalized(image, (1, 2), 1e-5), 4 * UNIT, "instance")
    grouped = normalized(image.reshape(3, 4, 5, 2, 3), (1, 2, 4), 1e-5).reshape(image.shape)
    close(martlet.group_norm(image, 2), grouped, 4 * UNIT, "group")
    response = normalized(image, (1, 2), 1e-6 + 0.5, center=False)
    tau, beta = np.full(6, 0.5, np.float32), np.linspace(-1, 1, 6).astype(np.float32)
    found = martlet.filter_response_norm(image, shift=beta, threshold=tau, learned_epsilon=np.full(6, -0.5))
    close(found, np.maximum(response + beta, tau), 4 * UNIT, "filter response")


def test_filter_response_gradients(rng):
    x = rng.normal(size=(3, 5, 4)).astype(np.float32)
    g = rng.normal(size=x.shape).astype(np.float32)
    given = {
        "scale": rng.uniform(0.5, 1.5, 4),
        "shift": rng.normal(size=4),
        "threshold": rng.normal(size=4) / 2,
        "learned_epsilon": rng.uniform(-0.5, 0.5, 4),
    }
    given = {name: value.astype(np.float32) for name, value in given.items()}

    def loss(x, scale, shift, threshold, learned_epsilon):
        ms = (x * x).mean(1, keepdims=True) + 1e-3 + np.abs(learned_epsilon)
        return (np.maximum(scale * x / np.sqrt(ms) + shift, threshold) * g).sum()

    found = martlet.filter_response_norm_gradients(x, g, **given, epsilon=1e-3)
    point = {"x": x.astype(np.float64), **{name: value.astype(np.float64) for name, value in given.items()}}
    for name, gradient in zip(point, found):
        want = np.empty(point[name].shape)
        for index in np.ndindex(want.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = {key: value.copy() for key, value in point.items()}
                moved[name][index] += step
                ends.append(loss(**moved))
            want[index] = (ends[0] - ends[1]) / 2e-6
        close(gradient, want, 2e-5, name)
    plain = martlet.filter_response_norm_gradients(x, g)
    assert plain.grad_threshold is None
    assert plain.grad_learned_epsilon is None
    assert plain.grad_scale.shape == plain.grad_shift.shape == (4,)


def test_memory(image):
    y = np.empty_like(image)
    assert martlet.group_norm(image, 3, out=y) is y
    own = image.copy()
    martlet.group_norm(own, 3, out=own)
    assert np.array_equal(own, y)
    assert np.array_equal(martlet.group_norm(image.astype(np.float64), 3), y)
    assert np.array_equal(martlet.group_norm(image[:, ::-1], 3)[:, ::-1], martlet.group_norm(image[:, ::-1].copy(), 3)[:, ::-1])
    assert martlet.layer_norm(np.empty((0, 3))).shape == (0, 3)


def test_large_means(rng):
    """The mean of a float32 year, pressure or time does not spoil the variance."""
    for mean, deviation in ((2000, 5), (101_325, 500), (1.7e9, 1e5)):
        x = rng.normal(mean, deviation, size=(4, 1024)).astype(np.float32)
        close(martlet.layer_norm(x), normalized(x, -1, 1e-5), UNIT, f"layer, {mean}")
        close(martlet.group_norm(x, 4), normalized(x.reshape(4, 4, 256), -1, 1e-5).reshape(x.shape), UNIT, f"group, {mean}")
        image = x.reshape(2, 256, 8)
        close(martlet.instance_norm(image), normalized(image, 1, 1e-5), UNIT, f"instance, {mean}")


def test_errors():
    x = np.ones((2, 6), np.float32)
    for call, error, words in (
        (lambda: martlet.group_norm(x, 4), ShapeError, "4 groups do not divide 6"),
        (lambda: martlet.group_norm(x, 6), ShapeError, "2 or more values in each group"),
        (lambda: martlet.group_norm(x, 0), InvalidArgumentError, "groups"),
        (lambda: martlet.instance_norm(x), ShapeError, "2 or more pixels"),
        (lambda: martlet.layer_norm(x, over="first"), InvalidArgumentError, "over"),
        (lambda: martlet.layer_norm(x, epsilon=0), InvalidArgumentError, "epsilon"),
        (lambda: martlet.layer_norm(x, np.ones(5)), ShapeError, "scale"),
        (lambda: martlet.layer_norm(x, over="all", shift=np.ones(5)), ShapeError, "shift"),
        (lambda: martlet.rms_norm(np.ones(6)), ShapeError, "rows"),
        (lambda: martlet.rms_norm_gradients(x, np.ones((2, 5))), ShapeError, "grad_output"),
        (lambda: martlet.filter_response_norm(x, threshold=np.ones(2)), ShapeError, "threshold"),
        (lambda: martlet.layer_norm(x[:, :5], out=x[:, 1:]), InvalidArgumentError, "out"),
        (lambda: GroupNorm(0), InvalidArgumentError, "groups"),
        (lambda: LayerNorm(over="rows"), InvalidArgumentError, "over"),
        (lambda: Sequential([GroupNorm(4)], input_shape=(3, 6)), ShapeError, "4 groups do not divide 6"),
        (lambda: Sequential([InstanceNorm()], input_shape=(1, 1, 6)), ShapeError, "2 or more values"),
        (lambda: Sequential([FilterResponseNorm(-1.0)], input_shape=(6,)), InvalidArgumentError, "epsilon"),
    ):
        with pytest.raises(error, match=words):
            call()


LAYERS = [
    (LayerNorm(), "LayerNorm()"),
    (LayerNorm(1e-3, "all", shift=False), "LayerNorm(epsilon=0.001, shift=False, over='all')"),
    (RMSNorm(scale=False), "RMSNorm(scale=False)"),
    (GroupNorm(3), "GroupNorm(3)"),
    (InstanceNorm(scale=True), "InstanceNorm(scale=True)"),
    (FilterResponseNorm(learns_epsilon=True), "FilterResponseNorm(learns_epsilon=True)"),
    (FilterResponseNorm(threshold=False), "FilterResponseNorm(threshold=False)"),
]


@pytest.mark.parametrize(("layer", "shown"), LAYERS, ids=[shown for _, shown in LAYERS])
def test_repr(layer, shown):
    assert repr(layer) == shown


def test_files(tmp_path, image):
    made = [type(layer)(**layer._arguments) for layer, _ in LAYERS]
    net = Sequential(made, input_shape=image.shape[1:], seed=1)
    net.save(tmp_path / "net.safetensors")
    loaded = martlet.load(tmp_path / "net.safetensors")
    assert np.array_equal(loaded(image), net(image))
    assert [
        repr(layer).replace(f", name='{layer.name}'", "").replace(f"name='{layer.name}'", "") for layer in loaded.layers
    ] == [shown for _, shown in LAYERS]


def test_a_sample_does_not_depend_on_its_batch(image):
    for layer in (LayerNorm(over="all"), GroupNorm(2), InstanceNorm(), FilterResponseNorm()):
        net = Sequential([layer], input_shape=image.shape[1:])
        assert np.array_equal(net(image[1:2]), net(image)[1:2])
        assert np.array_equal(net.forward(image, training=True), net(image))


def test_they_train_where_batch_norm_cannot(rng):
    """One sample a batch: batch norm of a dense layer has one value a channel."""
    x = rng.normal(size=(40, 6)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    with pytest.raises(InvalidArgumentError, match="2 or more values"):
        Trainer(Sequential([Dense(8), BatchNorm(), Dense(2)], input_shape=(6,)), "cross_entropy").step(x[:1], labels[:1])
    # Two values a group would become ±1, whatever they were.
    for layer in (LayerNorm(), RMSNorm(), GroupNorm(2), FilterResponseNorm(learns_epsilon=True)):
        net = Sequential([Dense(8), layer, Dense(2)], input_shape=(6,), seed=1)
        trainer = Trainer(net, "cross_entropy", SGD(0.05))
        trainer.fit(x, labels, epochs=20, batch_size=1, progress=False)
        assert trainer.evaluate(x, labels).correct >= 36, layer


def test_images_train(rng):
    x = rng.normal(size=(32, 6, 6, 2)).astype(np.float32)
    labels = (x[..., 0].mean((1, 2)) > 0).astype(np.int64)
    for layer in (GroupNorm(2), InstanceNorm(scale=True, shift=True), FilterResponseNorm(), LayerNorm(over="all")):
        net = Sequential([Conv2D(8, 3), layer, Flatten(), Dense(2)], input_shape=(6, 6, 2), seed=1)
        trainer = Trainer(net, "cross_entropy", SGD(0.05))
        before = trainer.evaluate(x, labels).loss
        trainer.fit(x, labels, epochs=20, batch_size=8, progress=False)
        assert trainer.evaluate(x, labels).loss < before / 2, layer
