"""Layers on images and sequences: arguments, repr, shapes, errors, files, and what they compute beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import (
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    Initializer,
    InvalidArgumentError,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    Reshape,
    Sequential,
    ShapeError,
    Upsample2D,
    ZeroPad2D,
)


def test_conv1d_is_a_sum_over_the_kernel(rng):
    x = rng.normal(size=(3, 9, 4)).astype(np.float32)
    net = Sequential([Conv1D(5, 3, strides=2, padding=(2, 1), dilation=2)], input_shape=(9, 4), seed=1)
    weight, bias = net.state_dict().values()
    assert weight.shape == (5, 4, 3)
    wide = np.pad(x, ((0, 0), (2, 1), (0, 0)))
    want = [sum(wide[:, t + 2 * i] @ weight[:, :, i].T for i in range(3)) + bias for t in range(0, 8, 2)]
    assert np.allclose(net(x), np.stack(want, axis=1), atol=1e-5)


def test_sequences_are_images_one_row_high(rng):
    x = rng.normal(size=(2, 8, 3)).astype(np.float32)
    for flat, image in (
        (MaxPool1D(3, 2, padding="same"), MaxPool2D((1, 3), (1, 2), padding="same")),
        (AvgPool1D(2, padding=(1, 0)), AvgPool2D((1, 2), padding=((0, 0), (1, 0)))),
        (AvgPool1D(3, 1, "same", True), AvgPool2D((1, 3), 1, "same", count_includes_pad=True)),
    ):
        y = Sequential([flat], input_shape=(8, 3))(x)
        assert np.array_equal(y, Sequential([image], input_shape=(1, 8, 3))(x[:, None])[:, 0])
    assert np.allclose(Sequential([GlobalAvgPool1D()], input_shape=(8, 3))(x), x.mean(1), atol=1e-6)


def test_larger_images(rng):
    x = rng.normal(size=(2, 3, 4, 2)).astype(np.float32)
    wide = np.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0)))
    assert np.array_equal(Sequential([ZeroPad2D(((1, 0), (2, 3)))], input_shape=x.shape[1:])(x), wide)
    assert np.array_equal(Sequential([Upsample2D((2, 3))], input_shape=x.shape[1:])(x), x.repeat(2, 1).repeat(3, 2))


def test_algorithms_of_wide_convolutions(rng):
    x = rng.normal(size=(3, 6, 7, 32)).astype(np.float32)
    outputs = {}
    for algorithm in ("automatic", "direct", "winograd"):
        net = Sequential([Conv2D(33, 3, padding=1, algorithm=algorithm)], input_shape=(6, 7, 32), seed=1)
        outputs[algorithm] = net(x)
        assert np.array_equal(net(x[1:2]), outputs[algorithm][1:2])
    assert np.array_equal(outputs["automatic"], outputs["winograd"])
    assert not np.array_equal(outputs["direct"], outputs["winograd"])
    weight = np.abs(net.state_dict()["0.weight"].astype(np.float64)).sum((2, 3))
    magnitude = weight @ np.abs(x).max((0, 1, 2))
    bounds = {"direct": 9 * 32 + 2, "winograd": 16 * (32 + 12)}  # docs/numerics.md, and two roundings for the bias
    wide = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = net.state_dict()["0.weight"].astype(np.float64)
    want = sum(wide[:, i : i + 6, j : j + 7] @ kernel[:, :, i, j].T for i in range(3) for j in range(3))
    for algorithm, bound in bounds.items():
        assert (np.abs(outputs[algorithm] - want) <= bound * 2.0**-24 * 1.001 * magnitude).all()


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv2D(4, 3), (28, 28, 1), (26, 26, 4)),
        (Conv2D(4, 3, 2, "same"), (28, 27, 1), (14, 14, 4)),
        (Conv2D(64, 7, strides=2, padding=3), (224, 224, 3), (112, 112, 64)),
        (Conv2D(4, (3, 1), dilation=(2, 1)), (9, 5, 1), (5, 5, 4)),
        (MaxPool2D(3, 2, padding=1), (112, 112, 64), (56, 56, 64)),
        (AvgPool2D((2, 5)), (6, 5, 3), (3, 1, 3)),
        (GlobalAvgPool2D(), (7, 7, 512), (512,)),
        (ZeroPad2D(3), (4, 4, 1), (10, 10, 1)),
        (Upsample2D(2), (4, 4, 1), (8, 8, 1)),
        (Conv1D(8, 5, padding="same"), (100, 4), (100, 8)),
        (MaxPool1D(2), (101, 4), (50, 4)),
        (AvgPool1D(2, 1), (101, 4), (100, 4)),
    ],
)
def test_shapes(layer, shape, expected):
    assert Sequential([layer], input_shape=shape).output_shape == expected


def test_repr_is_the_call_that_makes_it():
    for text in (
        "Conv2D(8, 3)",
        "Conv2D(8, (3, 1), strides=2, padding='same', dilation=(1, 2), groups=2, bias=False, name='a')",
        "Conv2D(8, 3, padding=((1, 0), (2, 3)), weight_initializer=Initializer('he_normal'))",
        "Conv1D(8, 3, strides=2, padding=(1, 0))",
        "MaxPool2D(2)",
        "MaxPool2D((2, 3), strides=1, padding='same')",
        "AvgPool2D(3, strides=2, padding=((1, 1), (1, 1)), count_includes_pad=True)",
        "MaxPool1D(2, strides=1)",
        "AvgPool1D(2, padding=(1, 0), count_includes_pad=True)",
        "GlobalAvgPool2D()",
        "ZeroPad2D(((1, 0), (2, 3)))",
        "Upsample2D((1, 2))",
        "Conv2D(4, 3, algorithm='winograd')",
    ):
        assert repr(eval(text)) == text


def test_files_keep_every_option(tmp_path, rng):
    net = Sequential(
        [
            ZeroPad2D(((1, 0), (0, 2))),
            Conv2D(6, (3, 2), (1, 2), ((1, 0), (2, 1)), (2, 1), 2, False, weight_initializer=Initializer("normal", 0.1)),
            BatchNorm(),
            ReLU(),
            MaxPool2D((2, 1), 1, "same"),
            AvgPool2D(2, 1, ((1, 0), (0, 1)), True),
            Upsample2D((2, 1)),
            Conv2D(6, 3, padding=1, algorithm="winograd"),
            Conv2D(6, 3, padding=1, algorithm="direct"),
            Reshape((-1, 6)),
            Conv1D(4, 3, 2, (1, 2), 2, 2, bias_initializer=Initializer("constant", 0.5)),
            MaxPool1D(2, 1, "same"),
            AvgPool1D(3, 2, (1, 0)),
            Flatten(),
            Dense(3),
        ],
        input_shape=(6, 7, 4),
        seed=3,
    )
    net.save(tmp_path / "net.safetensors")
    loaded = martlet.load(tmp_path / "net.safetensors")
    assert [repr(layer) for layer in loaded.layers] == [repr(layer) for layer in net.layers]
    x = rng.normal(size=(2, 6, 7, 4)).astype(np.float32)
    assert np.array_equal(loaded(x), net(x))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv2D(0, 3), "filters must be at least 1"),
        (lambda: Conv2D(2, 0), "kernel_size must be at least 1"),
        (lambda: Conv2D(2, (3, 3, 3)), r"kernel_size must be a whole number, or a pair of them \(height, width\)"),
        (lambda: Conv2D(2, 2.5), "kernel_size must be a whole number"),
        (lambda: Conv2D(2, 3, strides=(1, 0)), r"strides\[1\] must be at least 1"),
        (lambda: Conv2D(2, 3, padding="full"), "padding must be one of 'valid', 'same'"),
        (lambda: Conv2D(2, 3, padding=(1, 2)), r"\(\(top, bottom\), \(left, right\)\)"),
        (lambda: Conv2D(2, 3, padding=-1), "padding must be at least 0"),
        (lambda: Conv2D(2, 3, groups=0), "groups must be at least 1"),
        (lambda: Conv2D(2, 3, bias=2), "bias must be True or False"),
        (lambda: Conv2D(2, 3, algorithm="fft"), "algorithm must be one of 'automatic', 'direct', 'winograd'"),
        (lambda: Conv1D(2, (3, 3)), "kernel_size must be a whole number"),
        (lambda: Conv1D(2, 3, padding=(1, 2, 3)), r"\(left, right\)"),
        (lambda: MaxPool2D(0), "size must be at least 1"),
        (lambda: AvgPool2D(2, count_includes_pad="yes"), "count_includes_pad must be True or False"),
        (lambda: MaxPool1D((2, 2)), "size must be a whole number"),
        (lambda: ZeroPad2D("same"), "padding must be a whole number"),
        (lambda: Upsample2D(0), "factor must be at least 1"),
    ],
)
def test_arguments_that_cannot_be(make, words):
    with pytest.raises(InvalidArgumentError, match=words):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "error", "words"),
    [
        (lambda: Conv2D(2, 3), (784,), ShapeError, r'Layer "0": conv2d takes images .* shape \[784\]'),
        (
            lambda: Conv2D(2, 3),
            (2, 5, 1),
            ShapeError,
            r"height: the window spans 3, .* only 2 \(0 \+ 2 \+ 0\)",
        ),
        (
            lambda: Conv2D(2, 3, dilation=3, padding=1),
            (9, 4, 1),
            ShapeError,
            r"width: .* spans 7 \(3 with dilation 3\)",
        ),
        (lambda: Conv2D(4, 1, groups=2), (5, 5, 3), ShapeError, "groups must divide the input's channels; 2 came for the 3"),
        (lambda: Conv2D(3, 1, groups=2), (5, 5, 4), ShapeError, "groups must divide filters"),
        (lambda: Conv2D(2, 1), (0, 5, 1), ShapeError, "images of 1 or more"),
        (lambda: Conv2D(2**40, 1, padding=2**20), (5, 5, 1), ShapeError, "more elements than memory"),
        (lambda: Conv2D(1, 2**31), (5, 5, 1), InvalidArgumentError, "height of the window must be in 1...2147483647"),
        (
            lambda: Conv2D(2, 3, 2, algorithm="winograd"),
            (5, 5, 1),
            InvalidArgumentError,
            r'Layer "0": algorithm: winograd needs a kernel of 3×3, strides 1×1, .* strides 2×2',
        ),
        (lambda: MaxPool2D(2, padding=2), (4, 4, 1), InvalidArgumentError, "less than the window's 2"),
        (lambda: MaxPool1D(9), (4, 1), ShapeError, "length: the window spans 9"),
        (lambda: GlobalAvgPool2D(), (4, 4), ShapeError, "takes images"),
        (lambda: Upsample2D(2**62), (4, 4, 1), ShapeError, "is too large"),
    ],
)
def test_what_does_not_fit_is_named(layer, shape, error, words):
    with pytest.raises(error, match=words):
        Sequential([layer()], input_shape=shape)
