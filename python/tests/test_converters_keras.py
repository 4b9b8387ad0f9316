"""Keras' weights and layers. The first need NumPy alone."""

from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Conv1D, Conv2D, Dense, Flatten, Sequential
from martlet.converters import from_keras, to_keras_weights


def test_weights_have_keras_shapes_and_values():
    layers = [Conv2D(4, (2, 3), name="c"), Conv2D(8, 3, groups=4, name="depth"), BatchNorm(scale=False, name="n")]
    net = Sequential([*layers, Flatten(), Dense(2, name="d")], input_shape=(6, 7, 3))
    own, weights = net.state_dict(), to_keras_weights(net)
    assert {name: [value.shape for value in values] for name, values in weights.items()} == {
        "c": [(2, 3, 3, 4), (4,)],
        "depth": [(3, 3, 4, 2), (8,)],
        "n": [(8,), (8,), (8,)],
        "d": [(72, 2), (2,)],
    }
    assert weights["c"][0][1, 2, 0, 3] == own["c.weight"][3, 0, 1, 2]
    # Keras puts the filters of channel c at c · multiplier + m.
    assert weights["depth"][0][2, 1, 3, 1] == own["depth.weight"][3 * 2 + 1, 0, 2, 1]
    assert weights["d"][0][7, 1] == own["d.weight"][1, 7]
    assert to_keras_weights(Sequential([Conv1D(5, 3)], input_shape=(9, 2)))["0"][0].shape == (3, 2, 5)
    with pytest.raises(martlet.UnsupportedError, match="input_normalization"):
        to_keras_weights(Sequential([martlet.InputNormalization()], input_shape=(2,)))
    with pytest.raises(martlet.InvalidArgumentError, match="must be a built Keras model; got a int"):
        from_keras(3)


@pytest.fixture
def keras():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("the peer: Keras is not installed")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    keras.utils.set_random_seed(1)
    return keras


def networks(keras):
    layers = keras.layers
    image = keras.Input((6, 6, 2))
    h = layers.GlobalAveragePooling2D()(layers.BatchNormalization(epsilon=1e-4)(layers.Conv2D(3, 3)(image)))
    return {
        "dense": keras.Sequential(
            [
                keras.Input((5,)),
                layers.Dense(7, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Dense(3, activation="softmax"),
            ]
        ),
        "images": keras.Sequential(
            [
                keras.Input((9, 11, 3)),
                layers.Conv2D(6, 3, strides=2, padding="same", activation="tanh"),
                layers.BatchNormalization(center=False, momentum=0.8),
                layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
                layers.ZeroPadding2D(((1, 0), (2, 1))),
                layers.MaxPooling2D(2, padding="same"),
                layers.AveragePooling2D(3, strides=1, padding="same"),
                layers.Conv2D(4, (2, 3), groups=2),
                layers.Activation("relu"),
                layers.Flatten(),
                layers.BatchNormalization(scale=False, trainable=False),
                layers.Dense(4, trainable=False),
            ]
        ),
        "sequences": keras.Sequential(
            [
                keras.Input((12, 3)),
                layers.Conv1D(4, 3, dilation_rate=2),
                layers.BatchNormalization(),
                layers.MaxPooling1D(2),
                layers.GlobalAveragePooling1D(),
                layers.Dense(2, activation="sigmoid"),
            ]
        ),
        "functional": keras.Model(image, layers.Dense(2)(h)),
    }


@pytest.mark.filterwarnings("ignore")
def test_models_compute_the_same_and_their_statistics_move_alike(keras):
    rng = np.random.default_rng(0)
    for model in networks(keras).values():
        for layer in model.layers:
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape).astype(np.float32) for weight in layer.get_weights()])
        net = from_keras(model)
        x = rng.normal(size=(5, *model.input_shape[1:])).astype(np.float32)
        want = model.predict(x, verbose=0)
        np.testing.assert_allclose(net(x), want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
        weights = to_keras_weights(net)
        for layer in model.layers:
            for theirs, ours in zip(layer.get_weights(), weights.get(layer.name, [])):
                np.testing.assert_array_equal(ours, theirs)
        net.forward(x, training=True)
        model(x, training=True)
        weights = to_keras_weights(net)
        for layer in model.layers:
            for theirs, ours in zip(layer.get_weights(), weights.get(layer.name, [])):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_options_mean_the_same(keras):
    net = from_keras(networks(keras)["images"])
    norms = [layer for layer in net.layers if isinstance(layer, BatchNorm)]
    assert [(norm.momentum, norm.epsilon, norm.scale, norm.shift, norm.biased_moving_variance) for norm in norms] == [
        (0.8, 1e-3, True, False, True),
        (0.99, 1e-3, False, True, True),
    ]
    assert [norm.normalize_with for norm in norms] == ["batch", "moving"]
    assert [name.split(".")[0] for name, on in net.trainable().items() if not on] == [
        norms[1].name,
        net.layers[-1].name,
        net.layers[-1].name,
    ]


@pytest.mark.filterwarnings("ignore")
def test_what_has_no_counterpart_is_named(keras):
    layers = keras.layers
    refused = {
        "GaussianNoise": layers.GaussianNoise(0.1),
        "axis 1": layers.BatchNormalization(axis=1),
        "negative_slope": layers.ReLU(negative_slope=0.1),
        "gelu": layers.Conv2D(2, 1, activation="gelu"),
        "keepdims": layers.GlobalAveragePooling2D(keepdims=True),
        "rows of several axes": layers.Dense(2),
    }
    for text, layer in refused.items():
        with pytest.raises(martlet.UnsupportedError, match=text) as caught:
            from_keras(keras.Sequential([keras.Input((4, 4, 3)), layer]))
        assert layer.name in str(caught.value)
    x = keras.Input((4,))
    with pytest.raises(martlet.UnsupportedError, match="only chains"):
        from_keras(keras.Model(x, layers.Add()([layers.Dense(2)(x), layers.Dense(2)(x)])))


@pytest.mark.filterwarnings("ignore")
def test_grouped_and_depthwise_convolutions_come_back(keras):
    layers = keras.layers
    rng = np.random.default_rng(2)
    for channels, convolution in (
        (9, layers.Conv2D(6, 2, groups=3)),  # as many groups as channels of each
        (4, layers.Conv2D(8, 2, groups=4)),  # as many groups as channels
        (4, layers.DepthwiseConv2D(2, depth_multiplier=2)),
        (1, layers.DepthwiseConv2D(2, depth_multiplier=3)),
        (4, layers.Conv2D(4, 2, groups=2)),
    ):
        model = keras.Sequential([keras.Input((5, 4, channels)), convolution])
        x = rng.normal(size=(3, 5, 4, channels)).astype(np.float32)
        want = model.predict(x, verbose=0)
        net = from_keras(model)
        np.testing.assert_allclose(net(x), want, rtol=1e-5, atol=1e-5)
        for found in (to_keras_weights(net), to_keras_weights(net.clone(), like=model)):
            kernel, bias = found[convolution.name]
            convolution.set_weights([kernel, bias])
            np.testing.assert_array_equal(model.predict(x, verbose=0), want)


@pytest.mark.filterwarnings("ignore")
def test_what_changes_training_alone_is_refused_unless_said(keras):
    layers = keras.layers
    cases = {
        "kernel_regularizer=L2": layers.Dense(2, kernel_regularizer="l2"),
        "bias_constraint=MaxNorm": layers.Dense(2, bias_constraint="max_norm"),
        "activity_regularizer=L1": layers.Dense(2, activity_regularizer="l1"),
        "gamma_regularizer=L2": layers.BatchNormalization(gamma_regularizer="l2"),
        "synchronized=True": layers.BatchNormalization(synchronized=True),
        "dtype policy 'mixed_float16'": layers.Dense(2, dtype="mixed_float16"),
        "dtype policy 'bfloat16'": layers.Dense(2, dtype="bfloat16"),
    }
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for text, layer in cases.items():
        model = keras.Sequential([keras.Input((4,)), layer])
        with pytest.raises(martlet.UnsupportedError, match=text) as caught:
            from_keras(model)
        assert layer.name in str(caught.value)
        assert "inference_only=True" in str(caught.value)
        want = np.asarray(model(x), np.float32)
        np.testing.assert_allclose(from_keras(model, inference_only=True)(x), want, rtol=0.02, atol=0.02)
    assert from_keras(keras.Sequential([keras.Input((4,)), layers.Dense(2, dtype="float64")])).input_shape == (4,)


@pytest.mark.filterwarnings("ignore")
def test_layers_are_judged_by_what_they_compute(keras):
    layers = keras.layers

    class Doubled(layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    def relu(x):
        return -x

    class Own(keras.Sequential):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs)

    low_rank = layers.Dense(2)
    for layer, text in (
        (Doubled(2), "Doubled"),
        (layers.Dense(2, activation=relu), "'relu'"),
        (layers.Conv2D(2, 2, data_format="channels_first"), "channels_first"),
        (low_rank, "lora_rank=1"),
    ):
        shape = (4, 4, 3) if isinstance(layer, layers.Conv2D) else (4,)
        model = keras.Sequential([keras.Input(shape), layer])
        if layer is low_rank:
            layer.enable_lora(1)
        with pytest.raises(martlet.UnsupportedError, match=text):
            from_keras(model)
    with pytest.raises(martlet.UnsupportedError, match="call of its own"):
        from_keras(Own([keras.Input((4,)), layers.Dense(2)]))
    x = keras.Input((4,))
    h = layers.Dense(3)(x)
    with pytest.raises(martlet.UnsupportedError, match="outputs besides"):
        from_keras(keras.Model(x, [h, layers.Dense(2)(h)]))


@pytest.mark.filterwarnings("ignore")
def test_a_single_weight_that_does_not_train(keras):
    dense = keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((4,)), dense])
    dense.bias.trainable = False
    assert from_keras(model).trainable() == {f"{dense.name}.weight": True, f"{dense.name}.bias": False}
