"""TensorFlow's convolutions and networks of them, channels last: the layout of its kernels on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..cases.convolution import Convolution
from ..cases.image_network import LEARNING_RATE, Block, ImageNetwork
from .image_graph import logits
from .library import Contender


def convolved(x: Any, weight: Any, stride: int, padding: int) -> Any:
    """``weight`` is ``[k, k, in, out]``."""
    sides = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    return tf.nn.conv2d(x, weight, stride, sides if padding else "VALID")


def convolution(case: Convolution, xla: bool) -> Contender:
    """One convolution, or it and both its gradients."""
    data = case.data()
    x, weight = tf.constant(data["x"]), tf.constant(data["weight"].transpose(2, 3, 1, 0))

    @tf.function(jit_compile=xla)  # type: ignore[untyped-decorator]
    def infer(x: Any, weight: Any) -> Any:
        return convolved(x, weight, case.stride, case.padding)

    if not case.training:
        return Contender(lambda: {"y": infer(x, weight).numpy()}, lambda: infer(x, weight))
    dy = tf.constant(data["dy"])

    @tf.function(jit_compile=xla)  # type: ignore[untyped-decorator]
    def train(x: Any, weight: Any, dy: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, weight])
            y = convolved(x, weight, case.stride, case.padding)
        # y as well, so that the forward pass is not left out.
        return y, *tape.gradient(y, [x, weight], dy)

    def answer() -> dict[str, Any]:
        _, dx, dweight = train(x, weight, dy)
        return {"dx": dx.numpy(), "dweight": dweight.numpy().transpose(3, 2, 0, 1)}

    return Contender(answer, lambda: train(x, weight, dy))


class _Operations:
    """Moves the statistics where it trains."""

    def __init__(self, values: dict[str, Any], training: bool) -> None:
        self.values, self.training = values, training

    def block(self, x: Any, block: Block) -> Any:
        z = convolved(x, self.values[f"{block.conv}.weight"], block.stride, 1)
        moved = [self.values[f"{block.norm}.{name}"] for name in ("running_mean", "running_var")]
        given = {"scale": self.values[f"{block.norm}.weight"], "offset": self.values[f"{block.norm}.bias"], "epsilon": 1e-5}
        if not self.training:
            return tf.raw_ops.FusedBatchNormV3(x=z, mean=moved[0], variance=moved[1], is_training=False, **given).y
        y, *batch = tf.raw_ops.FusedBatchNormV3(x=z, mean=[], variance=[], is_training=True, **given)[:3]
        for old, new in zip(moved, batch):
            old.assign(0.9 * old + 0.1 * tf.stop_gradient(new))
        return y

    def relu(self, x: Any) -> Any:
        return tf.nn.relu(x)

    def pool(self, x: Any) -> Any:
        return tf.nn.max_pool2d(x, 2, 2, "VALID")

    def shortcut(self, x: Any, stride: int, channels: int) -> Any:
        return tf.pad(x[:, ::stride, ::stride], [[0, 0], [0, 0], [0, 0], [0, channels]])

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def head(self, x: Any, averages: bool) -> Any:
        rows = tf.reduce_mean(x, [1, 2]) if averages else tf.reshape(x, (x.shape[0], -1))
        return rows @ self.values["fc.weight"] + self.values["fc.bias"]


def image_network(case: ImageNetwork, xla: bool) -> Contender:
    """Its step, or inference with constant weights."""
    given = case.data()
    x, labels = tf.constant(given.pop("x")), tf.constant(given.pop("labels"))
    turned = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    arrays = {name: np.ascontiguousarray(value.transpose(turned[value.ndim])) for name, value in given.items()}
    if not case.training:
        constants = {name: tf.constant(value) for name, value in arrays.items()}

        @tf.function(jit_compile=xla)  # type: ignore[untyped-decorator]
        def infer(x: Any) -> Any:
            return logits(case, x, _Operations(constants, training=False))

        return Contender(lambda: {"y": infer(x).numpy()}, lambda: infer(x))
    variables = {name: tf.Variable(value) for name, value in arrays.items()}
    trained = {name: variable for name, variable in variables.items() if "running" not in name}

    @tf.function(jit_compile=xla)  # type: ignore[untyped-decorator]
    def step(x: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            found = logits(case, x, _Operations(variables, training=True))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=found))
        for variable, gradient in zip(trained.values(), tape.gradient(loss, list(trained.values()))):
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=LEARNING_RATE, delta=gradient)
        return loss

    return Contender(lambda: {"loss": float(step(x, labels))}, lambda: step(x, labels))
