"""Martlet itself, through its Python package, as a user calls it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import martlet

from ..cases.convolution import Convolution
from ..cases.image_network import LEARNING_RATE, ImageNetwork
from ..cases.matrix_product import MatrixProduct
from ..cases.normalization import Normalization, channels_first, channels_last
from ..cases.single_row import SingleRow
from ..cases.training_step import CLASSES, INPUTS, TrainingStep
from .library import Contender, Library, Makers

_ACTIVATIONS = {"relu": martlet.ReLU, "sigmoid": martlet.Sigmoid}


def network(width: int, depth: int, activation: str, parameters: dict[str, Any]) -> martlet.Sequential:
    """The network of W1, W2 and W7 with the given parameters and statistics."""
    layers: list[martlet.Layer] = []
    for _ in range(depth):
        layers += [martlet.Dense(width, bias=False), martlet.BatchNorm(), _ACTIVATIONS[activation]()]
    net = martlet.Sequential([*layers, martlet.Dense(CLASSES)], input_shape=(INPUTS,))
    net.load_state_dict(parameters)
    return net


class Martlet(Library):
    """Results go to arrays that are kept, by ``out=``; products of matrices have no ``out`` and are allocated."""

    name: ClassVar[str] = "martlet"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        martlet.set_num_threads(threads)

    def version(self) -> str:
        return f"{martlet.__version__} ({martlet.isa()})"

    def training_step(self, case: TrainingStep) -> Makers:
        return {"": lambda: self._training_step(case)}

    def _training_step(self, case: TrainingStep) -> Contender:
        parameters = case.data()
        x, labels = parameters.pop("x"), parameters.pop("labels")
        net = network(case.width, case.depth, case.activation, parameters)
        rule: Any = martlet.SGD if case.optimizer == "sgd" else martlet.Adam
        trainer = martlet.Trainer(net, loss="cross_entropy", optimizer=rule(learning_rate=case.learning_rate))

        def answer() -> dict[str, Any]:
            loss = trainer.step(x, labels).loss
            return {"loss": loss, **net.state_dict()}

        return Contender(answer, lambda: trainer.step(x, labels))

    def normalization(self, case: Normalization) -> Makers:
        if not case.is_image:
            return {"": lambda: self._normalization(case, first=False)}
        return {
            "channels last": lambda: self._normalization(case, first=False),
            "channels first": lambda: self._normalization(case, first=True),
        }

    def _normalization(self, case: Normalization, first: bool) -> Contender:
        data = case.data()
        x, dy = (channels_first(data[name]) if first else data[name] for name in ("x", "dy"))
        back = channels_last if first else np.asarray
        scale, shift, out = data["scale"], data["shift"], np.empty_like(x)
        forward: dict[str, Any] = {"channel_axis": 1 if first else -1}

        def infer() -> Any:
            return martlet.batch_norm(x, scale, shift, data["mean"], data["variance"], out=out, **forward)

        if not case.training:
            return Contender(lambda: {"y": back(infer())}, infer)
        backward = dict(forward, out=(np.empty_like(x), np.empty_like(scale), np.empty_like(scale)))
        if case.relu:
            forward["activation"] = "relu"
            backward.update(activation="relu", shift=shift)

        def train() -> Any:
            y, mean, variance = martlet.batch_norm_with_statistics(x, scale, shift, out=out, **forward)
            return y, *martlet.batch_norm_gradients(x, dy, scale, mean=mean, variance=variance, **backward)

        def answer() -> dict[str, Any]:
            y, dx, dscale, dshift = train()
            return {"y": back(y), "dx": back(dx), "dscale": dscale, "dshift": dshift}

        return Contender(answer, train)

    def convolution(self, case: Convolution) -> Makers:
        return {"": lambda: self._convolution(case)}

    def _convolution(self, case: Convolution) -> Contender:
        data = case.data()
        x, weight = data["x"], data["weight"]
        options: dict[str, Any] = {"strides": case.stride, "padding": case.padding}
        out = np.empty((case.batch, case.out_size, case.out_size, case.filters), np.float32)

        def infer() -> Any:
            return martlet.conv2d(x, weight, out=out, **options)

        if not case.training:
            return Contender(lambda: {"y": infer()}, infer)
        backward = dict(options, wants=("input", "weight"), out=(np.empty_like(x), np.empty_like(weight), None))

        def train() -> Any:
            infer()
            return martlet.conv2d_gradients(x, data["dy"], weight, **backward)

        def answer() -> dict[str, Any]:
            found = train()
            return {"dx": found.grad_input, "dweight": found.grad_weight}

        return Contender(answer, train)

    def image_network(self, case: ImageNetwork) -> Makers:
        return {"": lambda: self._image_network(case)}

    def _image_network(self, case: ImageNetwork) -> Contender:
        parameters = case.data()
        x, labels = parameters.pop("x"), parameters.pop("labels")
        net = martlet.models.build(case.model, case.shape)
        net.load_state_dict(parameters)
        if not case.training:
            out = np.empty((case.batch, 10), np.float32)
            return Contender(lambda: {"y": net.predict(x)}, lambda: net.predict(x, out=out))
        trainer = martlet.Trainer(net, loss="cross_entropy", optimizer=martlet.SGD(learning_rate=LEARNING_RATE))
        return Contender(lambda: {"loss": trainer.step(x, labels).loss}, lambda: trainer.step(x, labels))

    def single_row(self, case: SingleRow) -> Makers:
        return {"": lambda: self._single_row(case)}

    def _single_row(self, case: SingleRow) -> Contender:
        parameters = case.data()
        x = parameters.pop("x")
        net = network(case.width, case.depth, case.activation, parameters)
        net.inference_weights = "float16" if case.halves else "float32"
        out = np.empty((1, CLASSES), np.float32)
        return Contender(lambda: {"y": net.predict(x)}, lambda: net.predict(x, out=out))

    def matrix_product(self, case: MatrixProduct) -> Makers:
        return {"": lambda: self._matrix_product(case)}

    def _matrix_product(self, case: MatrixProduct) -> Contender:
        data = case.data()
        a = data["a"].T if case.transposed_a else data["a"]
        b = data["b"].T if case.transposed_b else data["b"]
        out = np.empty((case.rows, case.columns), np.float32)
        return Contender(lambda: {"c": martlet.matmul(a, b)}, lambda: martlet.matmul(a, b, out=out))
