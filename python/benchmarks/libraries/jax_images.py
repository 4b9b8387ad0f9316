"""JAX's networks of convolutions, channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases.image_network import LEARNING_RATE, Block, ImageNetwork
from .image_graph import logits
from .library import Contender


def convolved(x: Any, weight: Any, stride: int, padding: int) -> Any:
    """``weight`` is ``[k, k, in, out]``."""
    sides = [(padding, padding)] * 2
    return jax.lax.conv_general_dilated(x, weight, (stride, stride), sides, dimension_numbers=("NHWC", "HWIO", "NHWC"))


class _Operations:
    """Keeps the moved statistics in ``moved``."""

    def __init__(self, parameters: Any, statistics: Any, training: bool) -> None:
        self.parameters, self.statistics, self.training = parameters, statistics, training
        self.moved: dict[str, Any] = {}

    def block(self, x: Any, block: Block) -> Any:
        z = convolved(x, self.parameters[f"{block.conv}.weight"], block.stride, 1)
        names = [f"{block.norm}.running_mean", f"{block.norm}.running_var"]
        mean, variance = (self.statistics[name] for name in names)
        if self.training:
            batch, count = (jnp.mean(z, (0, 1, 2)), jnp.var(z, (0, 1, 2))), z.size // z.shape[-1]
            for name, old, new in zip(names, (mean, variance), (batch[0], batch[1] * (count / (count - 1)))):
                self.moved[name] = 0.9 * old + 0.1 * jax.lax.stop_gradient(new)
            mean, variance = batch
        factor = jax.lax.rsqrt(variance + 1e-5) * self.parameters[f"{block.norm}.weight"]
        return (z - mean) * factor + self.parameters[f"{block.norm}.bias"]

    def relu(self, x: Any) -> Any:
        return jax.nn.relu(x)

    def pool(self, x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def shortcut(self, x: Any, stride: int, channels: int) -> Any:
        return jnp.pad(x[:, ::stride, ::stride], ((0, 0),) * 3 + ((0, channels),))

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def head(self, x: Any, averages: bool) -> Any:
        rows = jnp.mean(x, (1, 2)) if averages else x.reshape(x.shape[0], -1)
        return rows @ self.parameters["fc.weight"] + self.parameters["fc.bias"]


def image_network(case: ImageNetwork) -> Contender:
    """Its step (or inference), compiled."""
    given = case.data()
    x, labels = jnp.array(given.pop("x")), jnp.array(given.pop("labels"))
    turned = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    values = {name: jnp.array(value.transpose(turned[value.ndim])) for name, value in given.items()}
    statistics = {name: value for name, value in values.items() if "running" in name}
    parameters = {name: value for name, value in values.items() if "running" not in name}
    if not case.training:
        infer = jax.jit(lambda x: logits(case, x, _Operations(parameters, statistics, False)))
        return Contender(lambda: {"y": np.array(infer(x))}, lambda: infer(x).block_until_ready())

    def loss_of(parameters: Any, statistics: Any, x: Any, labels: Any) -> Any:
        operations = _Operations(parameters, statistics, True)
        logs = jax.nn.log_softmax(logits(case, x, operations))
        return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1)), operations.moved

    def step(state: Any, x: Any, labels: Any) -> Any:
        parameters, statistics = state
        (loss, statistics), found = jax.value_and_grad(loss_of, has_aux=True)(parameters, statistics, x, labels)
        return (jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, found), statistics), loss

    compiled: Callable[..., Any] = jax.jit(step, donate_argnums=0)
    state: Any = (parameters, statistics)

    def run() -> Any:
        nonlocal state
        state, loss = compiled(state, x, labels)
        return jax.block_until_ready((state, loss))

    return Contender(lambda: {"loss": float(run()[1])}, run)
