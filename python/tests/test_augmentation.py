"""Fits on images: augmentation and normalisation."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import (
    SGD,
    Augmentation,
    BatchNorm,
    Dense,
    DTypeError,
    Flatten,
    InvalidArgumentError,
    ReLU,
    Sequential,
    ShapeError,
    Trainer,
)

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
AUGMENT = Augmentation(crop_padding=2, flip=True, cutout=3)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8), rng.integers(0, 3, 40)


def trainer():
    layers = [Flatten(), Dense(7), BatchNorm(), ReLU(), Dense(3)]
    return Trainer(Sequential(layers, input_shape=(6, 5, 3), seed=1), optimizer=SGD(0.1))


def state(of):
    return {name: np.array(value) for name, value in of.model.state_dict().items()}


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


def normalized(x):
    return ((x / 255 - np.array(MEAN)) / np.array(DEVIATION)).astype(np.float32)


def test_normalized_bytes_are_normalized_floats(images):
    x, y = images
    a, b = trainer(), trainer()
    a.fit(x, y, epochs=3, batch_size=8, normalize=(MEAN, DEVIATION), validation_data=(x, y))
    b.fit(normalized(x), y, epochs=3, batch_size=8, validation_data=(normalized(x), y))
    assert same(state(a), state(b))
    assert a.history.validation == b.history.validation
    assert a.evaluate(x, y, normalize=(MEAN, DEVIATION)) == b.evaluate(normalized(x), y)
    assert a.evaluate(x, y) == a.evaluate(x, y, normalize=(MEAN, DEVIATION))
    assert trainer().evaluate(x, y) != trainer().evaluate(x, y, normalize=(MEAN, DEVIATION))


def test_a_picture_seen():
    """What the network sees of one bright pixel: shifted, mirrored, cut out, never anything else."""
    x = np.zeros((1, 5, 4, 1), np.uint8)
    x[0, 2, 1, 0] = 9
    net = Sequential([Flatten(), Dense(1, bias=False)], input_shape=(5, 4, 1), seed=0)
    weights = net.parameters()
    [name] = weights
    places = np.arange(1, 21, dtype=np.float32).reshape(weights[name].shape)
    weights[name][...] = places
    still = Trainer(net, loss="mse", optimizer=SGD(0.0))
    seen = []
    still.fit(
        x,
        np.zeros((1, 1), np.float32),
        epochs=400,
        augment=Augmentation(crop_padding=1, flip=True),
        callbacks=lambda event: seen.append(event.training.loss) if event.kind == "step" else None,
    )
    # The pixel moves one up or down, one left or right, from columns 1 and (mirrored) 2; the loss is its place, squared.
    found = {round(loss**0.5 / 9) for loss in seen}
    assert found == {1 + row * 4 + column for row in (1, 2, 3) for column in (0, 1, 2, 3)}


def test_reproducible_on_any_number_of_threads(images):
    x, y = images

    def fit(seed=3):
        one = trainer()
        one.fit(x, y, epochs=3, batch_size=8, augment=AUGMENT, normalize=(MEAN, DEVIATION), seed=seed)
        return state(one)

    before = martlet.num_threads()
    try:
        martlet.set_num_threads(1)
        want = fit()
        martlet.set_num_threads(3)
        assert same(fit(), want)
    finally:
        martlet.set_num_threads(before)
    assert not same(fit(seed=4), want)


def test_bytes_channels_first_through_strides(images):
    x, y = images
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    a, b = trainer(), trainer()
    a.fit(x, y, batch_size=8, augment=AUGMENT, normalize=(MEAN, DEVIATION))
    b.fit(first.transpose(0, 2, 3, 1), y, batch_size=8, augment=AUGMENT, normalize=(MEAN, DEVIATION))
    assert same(state(a), state(b))


def test_one_number_for_all_channels(images):
    x, y = images
    one = trainer()
    assert one.evaluate(x, y, normalize=(0.5, 0.25)) == one.evaluate(x, y, normalize=([0.5] * 3, np.full(3, 0.25)))
    assert one.evaluate(x, y, normalize=(MEAN, 0.25)) == one.evaluate(x, y, normalize=(MEAN, [0.25] * 3))


def test_a_callback_that_ends_the_fit(images):
    x, y = images
    one = trainer()
    history = one.fit(x, y, epochs=3, batch_size=8, augment=AUGMENT, callbacks=lambda event: event.step == 2)
    assert history.stopped
    assert history.steps == 2
    assert one.fit(x, y, batch_size=8, augment=AUGMENT).steps == 5


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"augment": Augmentation(crop_padding=5)}, InvalidArgumentError, "crop_padding"),
        ({"augment": Augmentation(cutout=6)}, InvalidArgumentError, "cutout"),
        ({"augment": True}, InvalidArgumentError, "must be an Augmentation"),
        ({"normalize": 0.5}, InvalidArgumentError, "must be a pair"),
        ({"normalize": (0.5, 0.2, 0.1)}, InvalidArgumentError, "must be a pair"),
        ({"normalize": ((0.5, 0.5), 0.2)}, ShapeError, "3 values"),
        ({"normalize": ((0.5, 0.5), (1, 1, 1))}, InvalidArgumentError, "as many means"),
        ({"normalize": ([], [])}, InvalidArgumentError, "as many means"),
        ({"normalize": (0.5, 0)}, InvalidArgumentError, "above 0"),
        ({"normalize": ("a", 1)}, InvalidArgumentError, "must be a number"),
        ({"normalize": (float("nan"), 1)}, InvalidArgumentError, "finite"),
    ],
)
def test_errors(images, options, error, words):
    one = trainer()
    before = state(one)
    with pytest.raises(error, match=words):
        one.fit(*images, **options)
    assert same(state(one), before)


def test_images_of_another_dtype(images):
    x, y = images
    with pytest.raises((DTypeError, martlet.UnsupportedError), match="uint8 or float32"):
        trainer().fit(x.astype(np.float64), y, augment=AUGMENT)


def test_arguments():
    with pytest.raises(InvalidArgumentError, match="crop_padding"):
        Augmentation(crop_padding=-1)
    with pytest.raises(InvalidArgumentError, match="cutout"):
        Augmentation(cutout=1.5)
    with pytest.raises(InvalidArgumentError, match="flip"):
        Augmentation(flip="yes")
    assert repr(AUGMENT) == "Augmentation(crop_padding=2, flip=True, cutout=3)"


def test_a_model_keeps_the_normalization_of_its_fit(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 6, 6, 1)).astype(np.uint8)
    labels = (images.mean(axis=(1, 2, 3)) > 127).astype(np.int64)
    net = martlet.Sequential(
        [martlet.Conv2D(4, 3), martlet.BatchNorm(), martlet.ReLU(), martlet.GlobalAvgPool2D(), martlet.Dense(2)],
        input_shape=(6, 6, 1),
        seed=1,
    )
    trainer = martlet.Trainer(net, optimizer=martlet.SGD(0.1))
    assert net.image_normalization is None
    trainer.fit(images, labels, epochs=3, batch_size=20, normalize=(0.5, 0.25))
    assert net.image_normalization == ([0.5], [0.25])
    result = trainer.evaluate(images, labels)
    assert result == trainer.evaluate(images, labels, normalize=(0.5, 0.25))
    want = net.predict(images)
    assert (want.argmax(1) == labels).sum() == result.correct
    path = tmp_path / "net.safetensors"
    net.save(path)
    loaded = martlet.load(path)
    assert loaded.image_normalization == ([0.5], [0.25])
    folded, _ = net.fold(images)
    for other in (loaded, net.submodel([net.layers[-1].name]) if hasattr(net, "submodel") else loaded):
        assert np.array_equal(other.predict(images), want)
    assert np.allclose(folded.predict(images), want, atol=1e-5)
    net.forward(images, training=False)
    # The same numbers as by hand, to rounding: of bytes, and of floats as they are.
    by_hand = ((images / 255 - 0.5) / 0.25).astype(np.float32)
    as_floats = net.predict((images / 255).astype(np.float32))
    assert np.allclose(as_floats, want, atol=1e-5)
    assert np.array_equal(net.predict((images / 255).astype(np.float32)[:1]), as_floats[:1])
    net.image_normalization = None
    assert np.allclose(net.predict(by_hand), want, atol=1e-5)
    net.image_normalization = (0.5, 0.25)
    for call in (trainer.evaluate, trainer.fit):
        with pytest.raises(martlet.InvalidArgumentError, match="model's own"):
            call(images, labels, normalize=(0.4, 0.25))
    with pytest.raises(martlet.ShapeError, match="images"):
        martlet.Sequential([martlet.Dense(2)], input_shape=(3,)).image_normalization = (0.5, 0.25)


def test_gradients_by_images_that_are_normalized():
    net = martlet.Sequential([martlet.Flatten(), martlet.Dense(1)], input_shape=(2, 2, 1), seed=1)
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype(np.float32)
    net.image_normalization = (0.5, 0.25)
    net.forward(x, training=True)
    gradient = net.backward(np.ones((3, 1), np.float32))
    weight = net.state_dict()["1.weight"].reshape(1, 2, 2, 1)
    assert np.allclose(gradient, np.broadcast_to(weight / 0.25, x.shape), rtol=1e-6)
