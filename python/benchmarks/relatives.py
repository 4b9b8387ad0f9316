"""Batch norm's relatives beside PyTorch: forward, and forward with backward, as plain functions of one array.

python -m benchmarks.relatives            # all shapes, one thread
python -m benchmarks.relatives 2          # two threads

Checks the answers first. Then both libraries take turns on the same data, and each keeps its best of many calls: the machine
may be shared. Both write to fresh memory in each call. Martlet's gradients compute the statistics again, PyTorch's keep them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import martlet

#: name, shape (channels last), groups
CASES = (
    ("layer_norm", (4096, 64), 0),
    ("layer_norm", (4096, 256), 0),
    ("layer_norm", (2048, 1024), 0),
    ("layer_norm", (512, 4096), 0),
    ("layer_norm", (1, 768), 0),
    ("rms_norm", (2048, 1024), 0),
    ("group_norm", (32, 32, 32, 64), 8),
    ("group_norm", (32, 8, 8, 256), 32),
    ("group_norm", (1024, 256), 8),
    ("instance_norm", (32, 32, 32, 64), 0),
    ("filter_response_norm", (32, 32, 32, 64), 0),
    ("batch_norm", (32, 32, 32, 64), 0),
)


def ours(name: str, groups: int, x: Any, g: Any, scale: Any, shift: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    forward, backward = getattr(martlet, name), getattr(martlet, name + "_gradients")
    if name == "batch_norm":

        def both() -> Any:
            y, mean, variance = martlet.batch_norm_with_statistics(x, scale, shift)
            return y, backward(x, g, scale, shift, mean=mean, variance=variance)

        return (lambda: forward(x, scale, shift)), both
    given = (groups,) if groups else ()
    affine = (scale,) if name == "rms_norm" else (scale, shift)
    if name == "filter_response_norm":
        affine = (scale, shift, np.zeros_like(shift))  # type: ignore[assignment]

    def run() -> Any:
        return forward(x, *given, *affine)

    return run, lambda: (run(), backward(x, g, *given, *affine))


def theirs(name: str, groups: int, x: Any, g: Any, scale: Any, shift: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """PyTorch in its own layout: channels first in name, channels last in memory."""
    import torch
    from torch.nn import functional

    def tensor(array: Any) -> Any:
        return torch.from_numpy(array)

    weight, bias = tensor(scale), tensor(shift)
    if name in ("layer_norm", "rms_norm") or x.ndim == 2:
        inputs, grads = tensor(x), tensor(g)
    else:
        inputs, grads = tensor(x).movedim(-1, 1), tensor(g).movedim(-1, 1)

    def compute(x: Any, weight: Any, bias: Any) -> Any:
        if name == "layer_norm":
            return functional.layer_norm(x, x.shape[-1:], weight, bias)
        if name == "rms_norm":
            return functional.rms_norm(x, x.shape[-1:], weight, 1e-6)
        if name == "group_norm":
            return functional.group_norm(x, groups, weight, bias)
        if name == "instance_norm":
            return functional.instance_norm(x, None, None, weight, bias)
        if name == "batch_norm":
            return functional.batch_norm(x, None, None, weight, bias, training=True)
        inverse = torch.rsqrt((x * x).mean((2, 3), keepdim=True) + 1e-6)
        z = x * inverse * weight[:, None, None] + bias[:, None, None]
        return torch.maximum(z, torch.zeros_like(bias)[:, None, None])

    def forward() -> Any:
        with torch.inference_mode():
            return compute(inputs, weight, bias)

    def both() -> Any:
        leaves = [t.detach().requires_grad_() for t in (inputs, weight, bias)]
        y = compute(*leaves)
        return y, torch.autograd.grad(y, leaves if name != "rms_norm" else leaves[:2], grads)

    return forward, both


def best(calls: list[Callable[[], Any]], seconds: float = 1.0) -> list[float]:
    """The best time of each, in turns."""
    for call in calls:
        call()
    found = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call()
            found[index] = min(found[index], time.perf_counter() - start)
    return found


def main() -> None:
    import torch

    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    martlet.set_num_threads(threads)
    torch.set_num_threads(threads)
    print(
        f"martlet {martlet.__version__} ({martlet.isa()}), PyTorch {torch.__version__}, {threads} thread(s); best times in µs"
    )
    print(f"{'':24} {'shape':18} {'forward':>9} {'PyTorch':>9} {'GB/s':>6} {'both':>9} {'PyTorch':>9}")
    rng = np.random.default_rng(0)
    for name, shape, groups in CASES:
        x, g = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
        scale, shift = (rng.normal(size=shape[-1]).astype(np.float32) for _ in range(2))
        mine, peer = ours(name, groups, x, g, scale, shift), theirs(name, groups, x, g, scale, shift)
        wanted = peer[0]().numpy()
        y = mine[0]()
        if x.ndim > 2 and name not in ("layer_norm", "rms_norm"):
            wanted = np.moveaxis(wanted, 1, -1)
        # PyTorch's own float32 sums over channels-last images are off by up to some 1e-5.
        assert np.abs(y - wanted).max() < 1e-4, name
        forward = best([mine[0], peer[0]])
        both = best([mine[1], peer[1]])
        text = "x".join(map(str, shape)) + (f" /{groups}" if groups else "")
        gigabytes = 2 * x.nbytes / forward[0] / 1e9
        times = [f"{1e6 * value:9.0f}" for value in (*forward, *both)]
        print(f"{name:24} {text:18} {times[0]} {times[1]} {gigabytes:6.1f} {times[2]} {times[3]}", flush=True)


if __name__ == "__main__":
    main()
