"""Martlet itself, through its Python package, as a user calls it."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import martlet
import numpy as np

from ..cases.matrix_product import MatrixProduct
from ..cases.normalization import Normalization
from ..cases.single_row import SingleRow
from ..cases.training_step import INPUTS, CLASSES, TrainingStep
from .library import Contender, Library, Makers, UnsupportedError

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
    """Results are allocated where the function has no ``out``: gradients of batch norm, products of matrices, predictions."""

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
            return {"": lambda: self._normalization(case, channels_first=False)}
        return {
            "channels last": lambda: self._normalization(case, channels_first=False),
            "channels first": lambda: self._normalization(case, channels_first=True),
        }

    def _normalization(self, case: Normalization, channels_first: bool) -> Contender:
        data = case.data()
        to, back = (lambda a: a), (lambda a: a)
        if channels_first:
            to, back = (lambda a: np.ascontiguousarray(np.moveaxis(a, -1, 1))), (lambda a: np.moveaxis(a, 1, -1))
        x, dy, scale, shift = to(data["x"]), to(data["dy"]), data["scale"], data["shift"]
        out = np.empty_like(x)
        options: dict[str, Any] = {"channel_axis": 1 if channels_first else -1}
        if not case.training:
            run = lambda: martlet.batch_norm(x, scale, shift, data["mean"], data["variance"], out=out, **options)  # noqa: E731
            return Contender(lambda: {"y": back(run())}, run)
        if case.relu:
            for function in (martlet.batch_norm_with_statistics, martlet.batch_norm_gradients):
                if "activation" not in inspect.signature(function).parameters:
                    raise UnsupportedError(f"{function.__name__} has no argument activation")
            options["activation"] = "relu"

        def train() -> Any:
            y, mean, variance = martlet.batch_norm_with_statistics(x, scale, shift, out=out, **options)
            kept = {"output": y} if case.relu else {}
            return y, *martlet.batch_norm_gradients(x, dy, scale, mean=mean, variance=variance, **kept, **options)

        def answer() -> dict[str, Any]:
            y, dx, dscale, dshift = train()
            return {"y": back(y), "dx": back(dx), "dscale": dscale, "dshift": dshift}

        return Contender(answer, train)

    def single_row(self, case: SingleRow) -> Makers:
        return {"": lambda: self._single_row(case)}

    def _single_row(self, case: SingleRow) -> Contender:
        parameters = case.data()
        x = parameters.pop("x")
        net = network(case.width, case.depth, case.activation, parameters)
        return Contender(lambda: {"y": net.predict(x)}, lambda: net.predict(x))

    def matrix_product(self, case: MatrixProduct) -> Makers:
        return {"": lambda: self._matrix_product(case)}

    def _matrix_product(self, case: MatrixProduct) -> Contender:
        data = case.data()
        a, b = martlet.Tensor(data["a"]), martlet.Tensor(data["b"])
        flags = {"transpose_a": case.transposed_a, "transpose_b": case.transposed_b}
        return Contender(lambda: {"c": a.matmul(b, **flags).numpy()}, lambda: a.matmul(b, **flags))
