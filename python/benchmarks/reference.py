"""The right answers: plain NumPy in float64, written for reading."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, Any]


class Forward(NamedTuple):
    """What a normalisation of ``[rows, C]`` keeps for its gradients."""

    y: Any
    normalized: Any
    deviation: Any
    mean: Any
    variance: Any


def batch_norm(x: Any, scale: Any, shift: Any, epsilon: float = 1e-5) -> Forward:
    """``[rows, C]`` normalised with its own statistics."""
    mean, variance = x.mean(axis=0), x.var(axis=0)
    deviation = np.sqrt(variance + epsilon)
    normalized = (x - mean) / deviation
    return Forward(normalized * scale + shift, normalized, deviation, mean, variance)


def batch_norm_gradients(kept: Forward, grad: Any, scale: Any) -> tuple[Any, Any, Any]:
    """``dL/dx``, ``dL/dscale``, ``dL/dshift``."""
    rows = grad.shape[0]
    grad_scale, grad_shift = (grad * kept.normalized).sum(axis=0), grad.sum(axis=0)
    grad_input = scale / kept.deviation * (grad - grad_shift / rows - kept.normalized * grad_scale / rows)
    return grad_input, grad_scale, grad_shift


def activation(kind: str, x: Any) -> Any:
    """``"relu"`` or ``"sigmoid"``."""
    return np.maximum(x, 0.0) if kind == "relu" else 1.0 / (1.0 + np.exp(-x))


def activation_gradient(kind: str, y: Any, grad: Any) -> Any:
    """Given the activation's output."""
    return grad * (y > 0) if kind == "relu" else grad * y * (1.0 - y)


def inference(parameters: Arrays, x: Any, depth: int, kind: str, epsilon: float = 1e-5) -> Any:
    """The network's logits with its moving statistics. ``parameters`` bear the names of PyTorch's ``Sequential``."""
    p = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    hidden = np.asarray(x, np.float64)
    for layer in range(depth):
        dense, norm = 3 * layer, 3 * layer + 1
        hidden = hidden @ p[f"{dense}.weight"].T
        deviation = np.sqrt(p[f"{norm}.running_var"] + epsilon)
        hidden = (hidden - p[f"{norm}.running_mean"]) / deviation * p[f"{norm}.weight"] + p[f"{norm}.bias"]
        hidden = activation(kind, hidden)
    return hidden @ p[f"{3 * depth}.weight"].T + p[f"{3 * depth}.bias"]


def gradients(parameters: Arrays, x: Any, labels: Any, depth: int, kind: str) -> tuple[float, Arrays, Arrays]:
    """Loss (mean cross-entropy of the logits), gradients by name, batch mean and *unbiased* variance by name."""
    p = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    inputs, kept, outputs = [np.asarray(x, np.float64)], [], []
    for layer in range(depth):
        norm = 3 * layer + 1
        kept.append(batch_norm(inputs[-1] @ p[f"{3 * layer}.weight"].T, p[f"{norm}.weight"], p[f"{norm}.bias"]))
        outputs.append(activation(kind, kept[-1].y))
        inputs.append(outputs[-1])
    head, rows = 3 * depth, x.shape[0]
    logits = inputs[-1] @ p[f"{head}.weight"].T + p[f"{head}.bias"]
    logits -= logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = float(-logs[np.arange(rows), labels].mean())
    grad = np.exp(logs)
    grad[np.arange(rows), labels] -= 1.0
    grad /= rows
    found = {f"{head}.weight": grad.T @ inputs[-1], f"{head}.bias": grad.sum(axis=0)}
    statistics = {}
    grad = grad @ p[f"{head}.weight"]
    for layer in reversed(range(depth)):
        dense, norm = 3 * layer, 3 * layer + 1
        grad = activation_gradient(kind, outputs[layer], grad)
        grad, found[f"{norm}.weight"], found[f"{norm}.bias"] = batch_norm_gradients(kept[layer], grad, p[f"{norm}.weight"])
        found[f"{dense}.weight"] = grad.T @ inputs[layer]
        statistics[f"{norm}.running_mean"] = kept[layer].mean
        statistics[f"{norm}.running_var"] = kept[layer].variance * rows / (rows - 1)
        grad = grad @ p[f"{dense}.weight"]
    return loss, found, statistics


def first_step(parameters: Arrays, x: Any, labels: Any, depth: int, kind: str, optimizer: str, rate: float) -> Arrays:
    """Loss, parameters and moving statistics (previous weight 0.9) after the first step of ``"sgd"`` or ``"adam"``."""
    loss, found, statistics = gradients(parameters, x, labels, depth, kind)
    after = {"loss": np.float64(loss)}
    for name, value in parameters.items():
        before = np.asarray(value, np.float64)
        if name in statistics:
            after[name] = 0.9 * before + 0.1 * statistics[name]
        elif optimizer == "adam":  # first moments after their correction: the gradient and its square
            after[name] = before - rate * found[name] / (np.abs(found[name]) + 1e-8)
        else:
            after[name] = before - rate * found[name]
    return after
