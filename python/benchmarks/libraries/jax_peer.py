"""JAX: jit, with XLA's compiler for the CPU."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ..cases.convolution import Convolution
from ..cases.image_network import ImageNetwork
from ..cases.matrix_product import MatrixProduct
from ..cases.normalization import Normalization, channels_first, channels_last
from ..cases.single_row import SingleRow
from ..cases.training_step import TrainingStep
from .jax_images import convolved, image_network
from .library import Contender, Library, Makers

_ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}


def _normalized(x: Any, scale: Any, shift: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
    mean, variance = jnp.mean(x, axes), jnp.var(x, axes)
    factor = jax.lax.rsqrt(variance + 1e-5) * scale
    return (x - mean.reshape(shape)) * factor.reshape(shape) + shift.reshape(shape), mean, variance


def _loss(parameters: Any, statistics: Any, x: Any, labels: Any, case: TrainingStep) -> tuple[Any, Any]:
    moved = []
    for (weight, scale, shift), (mean, variance) in zip(parameters["hidden"], statistics):
        z, batch_mean, batch_variance = _normalized(x @ weight, scale, shift, (0,), (1, -1))
        unbiased = batch_variance * (case.batch / (case.batch - 1))
        moved.append((0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * unbiased))
        x = _ACTIVATIONS[case.activation](z)
    weight, bias = parameters["head"]
    logs = jax.nn.log_softmax(x @ weight + bias)
    return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1)), moved


def _tree(given: dict[str, Any], depth: int) -> tuple[Any, Any]:
    """Parameters with weights ``[in, out]``, and statistics."""
    hidden, statistics = [], []
    for layer in range(depth):
        norm = 3 * layer + 1
        hidden.append((given[f"{3 * layer}.weight"].T, given[f"{norm}.weight"], given[f"{norm}.bias"]))
        statistics.append((given[f"{norm}.running_mean"], given[f"{norm}.running_var"]))
    head = (given[f"{3 * depth}.weight"].T, given[f"{3 * depth}.bias"])
    parameters, moved = jax.tree.map(jnp.array, ({"hidden": hidden, "head": head}, statistics))
    return parameters, moved


def _names(parameters: Any, statistics: Any, depth: int) -> dict[str, Any]:
    """The reverse of :func:`_tree`."""
    found = {}
    for layer in range(depth):
        norm = 3 * layer + 1
        weight, found[f"{norm}.weight"], found[f"{norm}.bias"] = parameters["hidden"][layer]
        found[f"{3 * layer}.weight"] = weight.T
        found[f"{norm}.running_mean"], found[f"{norm}.running_var"] = statistics[layer]
    found[f"{3 * depth}.weight"], found[f"{3 * depth}.bias"] = parameters["head"][0].T, parameters["head"][1]
    return {name: np.array(value) for name, value in found.items()}


class Jax(Library):
    """Its number of threads is set by environment variables alone."""

    name: ClassVar[str] = "jax"

    def version(self) -> str:
        return str(jax.__version__)

    def training_step(self, case: TrainingStep) -> Makers:
        return {"jit": lambda: self._training_step(case)}

    def _training_step(self, case: TrainingStep) -> Contender:
        given = case.data()
        x, labels = jnp.array(given.pop("x")), jnp.array(given.pop("labels"))
        parameters, statistics = _tree(given, case.depth)
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        moments = (zeros, jax.tree.map(jnp.zeros_like, parameters)) if case.optimizer == "adam" else None
        state = (parameters, statistics, moments, jnp.zeros(()))
        rate = case.learning_rate

        def step(state: Any, x: Any, labels: Any) -> Any:
            parameters, statistics, moments, count = state
            gradient_of = jax.value_and_grad(_loss, has_aux=True)
            (loss, statistics), found = gradient_of(parameters, statistics, x, labels, case)
            count = count + 1
            if moments is None:
                parameters = jax.tree.map(lambda p, g: p - rate * g, parameters, found)
            else:
                first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], found)
                second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], found)
                a, b = 1 - 0.9**count, 1 - 0.999**count
                update = lambda p, m, v: p - rate * (m / a) / (jnp.sqrt(v / b) + 1e-8)  # noqa: E731
                parameters, moments = jax.tree.map(update, parameters, first, second), (first, second)
            return (parameters, statistics, moments, count), loss

        compiled = jax.jit(step, donate_argnums=0)

        def run() -> Any:
            nonlocal state
            state, loss = compiled(state, x, labels)
            return jax.block_until_ready((state, loss))

        def answer() -> dict[str, Any]:
            (parameters, statistics, _, _), loss = run()
            return {"loss": float(loss), **_names(parameters, statistics, case.depth)}

        return Contender(answer, run)

    def convolution(self, case: Convolution) -> Makers:
        return {"jit": lambda: self._convolution(case)}

    def _convolution(self, case: Convolution) -> Contender:
        data = case.data()
        x, weight = jnp.array(data["x"]), jnp.array(data["weight"].transpose(2, 3, 1, 0))

        def forward(x: Any, weight: Any) -> Any:
            return convolved(x, weight, case.stride, case.padding)

        if not case.training:
            infer = jax.jit(forward)
            return Contender(lambda: {"y": np.array(infer(x, weight))}, lambda: infer(x, weight).block_until_ready())
        dy = jnp.array(data["dy"])

        def gradients(x: Any, weight: Any, dy: Any) -> Any:
            return jax.vjp(forward, x, weight)[1](dy)

        train = jax.jit(gradients)

        def answer() -> dict[str, Any]:
            dx, dweight = train(x, weight, dy)
            return {"dx": np.array(dx), "dweight": np.array(dweight).transpose(3, 2, 0, 1)}

        return Contender(answer, lambda: jax.block_until_ready(train(x, weight, dy)))

    def image_network(self, case: ImageNetwork) -> Makers:
        return {"jit": lambda: image_network(case)}

    def normalization(self, case: Normalization) -> Makers:
        if not case.is_image:
            return {"jit": lambda: self._normalization(case, first=False)}
        return {
            "jit channels last": lambda: self._normalization(case, first=False),
            "jit channels first": lambda: self._normalization(case, first=True),
        }

    def _normalization(self, case: Normalization, first: bool) -> Contender:
        data = case.data()
        if first:
            data["x"], data["dy"] = channels_first(data["x"]), channels_first(data["dy"])
        back = channels_last if first else np.asarray
        given = {name: jnp.array(value) for name, value in data.items()}
        rank = given["x"].ndim
        channel = 1 if first else rank - 1
        axes = tuple(axis for axis in range(rank) if axis != channel)
        shape = tuple(-1 if axis == channel else 1 for axis in range(rank))

        def infer(x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
            factor = jax.lax.rsqrt(variance + 1e-5) * scale
            return (x - mean.reshape(shape)) * factor.reshape(shape) + shift.reshape(shape)

        def train(x: Any, scale: Any, shift: Any, dy: Any) -> Any:
            def forward(x: Any, scale: Any, shift: Any) -> Any:
                y = _normalized(x, scale, shift, axes, shape)[0]
                return jax.nn.relu(y) if case.relu else y

            y, backward = jax.vjp(forward, x, scale, shift)
            return y, *backward(dy)

        arguments = [given[name] for name in ("x", "scale", "shift")]
        if case.training:
            work, arguments = jax.jit(train), [*arguments, given["dy"]]
        else:
            work, arguments = jax.jit(infer), [*arguments, given["mean"], given["variance"]]

        def run() -> Any:
            return jax.block_until_ready(work(*arguments))

        def answer() -> dict[str, Any]:
            if not case.training:
                return {"y": back(run())}
            y, dx, dscale, dshift = run()
            return {"y": back(y), "dx": back(dx), "dscale": dscale, "dshift": dshift}

        return Contender(answer, run)

    def single_row(self, case: SingleRow) -> Makers:
        return {"jit": lambda: self._single_row(case)}

    def _single_row(self, case: SingleRow) -> Contender:
        given = case.data()
        x = jnp.array(given.pop("x"))
        parameters, statistics = _tree(given, case.depth)

        def infer(x: Any) -> Any:
            for (weight, scale, shift), (mean, variance) in zip(parameters["hidden"], statistics):
                z = (x @ weight - mean) * (jax.lax.rsqrt(variance + 1e-5) * scale) + shift
                x = _ACTIVATIONS[case.activation](z)
            return x @ parameters["head"][0] + parameters["head"][1]

        compiled = jax.jit(infer)

        def run() -> Any:
            return jax.block_until_ready(compiled(x))

        return Contender(lambda: {"y": np.asarray(run())}, run)

    def matrix_product(self, case: MatrixProduct) -> Makers:
        def make() -> Contender:
            data = case.data()
            a, b = jnp.array(data["a"]), jnp.array(data["b"])
            compiled = jax.jit(lambda a, b: (a.T if case.transposed_a else a) @ (b.T if case.transposed_b else b))

            def run() -> Any:
                return jax.block_until_ready(compiled(a, b))

            return Contender(lambda: {"c": np.asarray(run())}, run)

        return {"jit": make}
