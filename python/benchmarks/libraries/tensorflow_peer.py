"""TensorFlow: graphs, XLA, and its own kernels or oneDNN's, which a process chooses at its start.

A call returns when its work is done: eager execution waits unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from ..cases.convolution import Convolution
from ..cases.image_network import ImageNetwork
from ..cases.normalization import Normalization
from ..cases.single_row import SingleRow
from ..cases.training_step import TrainingStep
from .library import Contender, Library, Makers
from .tensorflow_images import convolution, image_network

_ACTIVATIONS = {"relu": tf.nn.relu, "sigmoid": tf.nn.sigmoid}


def _fused(x: Any, scale: Any, shift: Any) -> tuple[Any, Any, Any]:
    """The one kernel for channels-last images; gives the unbiased variance."""
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=shift, mean=[], variance=[], epsilon=1e-5, is_training=True
    )
    return y, mean, variance


def _normalized(z: Any, scale: Any, shift: Any, fused: bool) -> tuple[Any, Any, Any]:
    """``[rows, C]``; with the unbiased variance."""
    rows, width = z.shape
    if fused:
        y, mean, variance = _fused(tf.reshape(z, (rows, 1, 1, width)), scale, shift)
        return tf.reshape(y, (rows, width)), mean, variance
    mean, variance = tf.nn.moments(z, [0])
    return tf.nn.batch_normalization(z, mean, variance, shift, scale, 1e-5), mean, variance * (rows / (rows - 1))


def _compiled(xla: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    decorator: Callable[[Callable[..., Any]], Callable[..., Any]] = tf.function(jit_compile=xla)
    return decorator


class TensorFlow(Library):
    """With oneDNN off."""

    name: ClassVar[str] = "tensorflow"
    onednn: ClassVar[str] = "0"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

    def version(self) -> str:
        return f"{tf.__version__}{' (oneDNN)' if self.onednn == '1' else ''}"

    def _ways(self) -> dict[str, bool]:
        """Variant → whether XLA compiles. XLA does not use oneDNN: once is enough."""
        return {"graph": False} if self.onednn == "1" else {"graph": False, "xla": True}

    def training_step(self, case: TrainingStep) -> Makers:
        makers: Makers = {}
        for way, xla in self._ways().items():
            makers[way] = lambda xla=xla: self._training_step(case, xla, fused=False)  # type: ignore[misc]
            if not xla:
                makers[f"{way} fused"] = lambda: self._training_step(case, xla=False, fused=True)
        return makers

    def _training_step(self, case: TrainingStep, xla: bool, fused: bool) -> Contender:
        given = case.data()
        x, labels = tf.constant(given.pop("x")), tf.constant(given.pop("labels"))
        variables = {n: tf.Variable(v.T if v.ndim == 2 else v) for n, v in given.items() if "running" not in n}
        statistics = {n: tf.Variable(v) for n, v in given.items() if "running" in n}
        adam = case.optimizer == "adam"
        moments = {n: (tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v))) for n, v in variables.items() if adam}
        powers = [tf.Variable(0.9), tf.Variable(0.999)]
        rate, depth = case.learning_rate, case.depth

        @_compiled(xla)
        def step(x: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                hidden = x
                for layer in range(depth):
                    norm = 3 * layer + 1
                    z = hidden @ variables[f"{3 * layer}.weight"]
                    z, mean, variance = _normalized(z, variables[f"{norm}.weight"], variables[f"{norm}.bias"], fused)
                    for name, value in ((f"{norm}.running_mean", mean), (f"{norm}.running_var", variance)):
                        statistics[name].assign(0.9 * statistics[name] + 0.1 * tf.stop_gradient(value))
                    hidden = _ACTIVATIONS[case.activation](z)
                logits = hidden @ variables[f"{3 * depth}.weight"] + variables[f"{3 * depth}.bias"]
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
            for name, gradient in zip(variables, tape.gradient(loss, list(variables.values()))):
                if adam:
                    m, v = moments[name]
                    tf.raw_ops.ResourceApplyAdam(
                        var=variables[name].handle, m=m.handle, v=v.handle, beta1_power=powers[0], beta2_power=powers[1],
                        lr=rate, beta1=0.9, beta2=0.999, epsilon=1e-8, grad=gradient,
                    )  # fmt: skip
                else:
                    tf.raw_ops.ResourceApplyGradientDescent(var=variables[name].handle, alpha=rate, delta=gradient)
            if adam:
                powers[0].assign(powers[0] * 0.9)
                powers[1].assign(powers[1] * 0.999)
            return loss

        def answer() -> dict[str, Any]:
            loss = float(step(x, labels))
            after = {n: v.numpy().T if len(v.shape) == 2 else v.numpy() for n, v in variables.items()}
            return {"loss": loss, **after, **{n: v.numpy() for n, v in statistics.items()}}

        return Contender(answer, lambda: step(x, labels))

    def convolution(self, case: Convolution) -> Makers:
        return {way: lambda xla=xla: convolution(case, xla) for way, xla in self._ways().items()}  # type: ignore[misc]

    def image_network(self, case: ImageNetwork) -> Makers:
        return {way: lambda xla=xla: image_network(case, xla) for way, xla in self._ways().items()}  # type: ignore[misc]

    def normalization(self, case: Normalization) -> Makers:
        return {way: lambda xla=xla: self._normalization(case, xla) for way, xla in self._ways().items()}  # type: ignore[misc]

    def _normalization(self, case: Normalization, xla: bool) -> Contender:
        """Channels last, the layout of its kernels on the CPU."""
        data = case.data()
        images = case.channels_last_shape if case.is_image else (case.shape[0], 1, 1, case.channels)
        x, dy = (tf.constant(data[name].reshape(images)) for name in ("x", "dy"))
        scale, shift = tf.constant(data["scale"]), tf.constant(data["shift"])
        shape = case.channels_last_shape
        if not case.training:
            mean, variance = tf.constant(data["mean"]), tf.constant(data["variance"])

            @_compiled(xla)
            def infer(x: Any) -> Any:
                given = {"x": x, "scale": scale, "offset": shift, "mean": mean, "variance": variance}
                return tf.raw_ops.FusedBatchNormV3(**given, epsilon=1e-5, is_training=False).y

            return Contender(lambda: {"y": infer(x).numpy().reshape(shape)}, lambda: infer(x))

        @_compiled(xla)
        def train(x: Any, dy: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, scale, shift])
                y = _fused(x, scale, shift)[0]
                y = tf.nn.relu(y) if case.relu else y
            return y, *tape.gradient(y, [x, scale, shift], dy)

        def answer() -> dict[str, Any]:
            y, dx, dscale, dshift = (tensor.numpy() for tensor in train(x, dy))
            return {"y": y.reshape(shape), "dx": dx.reshape(shape), "dscale": dscale, "dshift": dshift}

        return Contender(answer, lambda: train(x, dy))

    def single_row(self, case: SingleRow) -> Makers:
        return {way: lambda xla=xla: self._single_row(case, xla) for way, xla in self._ways().items()}  # type: ignore[misc]

    def _single_row(self, case: SingleRow, xla: bool) -> Contender:
        given = case.data()
        x = tf.constant(given.pop("x"))
        constants = {name: tf.constant(np.ascontiguousarray(v.T)) if v.ndim == 2 else v for name, v in given.items()}

        @_compiled(xla)
        def infer(x: Any) -> Any:
            for layer in range(case.depth):
                norm = f"{3 * layer + 1}."
                factor = constants[norm + "weight"] / np.sqrt(constants[norm + "running_var"] + 1e-5)
                offset = constants[norm + "bias"] - constants[norm + "running_mean"] * factor
                x = _ACTIVATIONS[case.activation](x @ constants[f"{3 * layer}.weight"] * factor + offset)
            return x @ constants[f"{3 * case.depth}.weight"] + constants[f"{3 * case.depth}.bias"]

        return Contender(lambda: {"y": infer(x).numpy()}, lambda: infer(x))


class TensorFlowOneDNN(TensorFlow):
    """With oneDNN on, the default on many machines."""

    name: ClassVar[str] = "tensorflow-onednn"
    onednn: ClassVar[str] = "1"
