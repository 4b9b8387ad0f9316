"""Batch norm and its relatives at several batch sizes: test accuracy of a small network of convolutions on handwritten digits.

python -m benchmarks.batch_sizes

The data are the 599 digits of 8 x 8 pixels in examples/data, 200 held out; ten epochs each, the mean of three seeds of weights
and order. SGD with momentum 0.9; for each norm and batch size the better of two learning rates on the held-out rows, so the
numbers are for comparing norms, not for quoting.
"""

from __future__ import annotations

import pathlib

import numpy as np

from martlet import (
    SGD,
    BatchNorm,
    Conv2D,
    Dense,
    FilterResponseNorm,
    GlobalAvgPool2D,
    GroupNorm,
    InstanceNorm,
    Layer,
    LayerNorm,
    ReLU,
    Sequential,
    Trainer,
)

BATCHES = (2, 8, 64)
RATES = (0.01, 0.03)
EPOCHS = 10
SEEDS = 3
NORMS = ("none", "batch", "layer (pixel)", "layer (image)", "group", "instance", "filter response")


def norm(name: str) -> list[Layer]:
    """A norm and its activation."""
    made: dict[str, list[Layer]] = {
        "none": [],
        "batch": [BatchNorm()],
        "layer (pixel)": [LayerNorm()],
        "layer (image)": [LayerNorm(over="all")],
        "group": [GroupNorm(4)],
        "instance": [InstanceNorm(scale=True, shift=True)],
    }
    return [FilterResponseNorm()] if name == "filter response" else [*made[name], ReLU()]


def accuracy(name: str, batch: int, rate: float, seed: int, x: np.ndarray, y: np.ndarray) -> float:
    """Of the last 200 rows, trained on the others."""
    layers: list[Layer] = []
    for filters, strides in ((16, 1), (32, 2), (32, 1)):
        layers += [Conv2D(filters, 3, strides=strides, padding="same"), *norm(name)]
    net = Sequential([*layers, GlobalAvgPool2D(), Dense(10)], input_shape=(8, 8, 1), seed=seed)
    trainer = Trainer(net, optimizer=SGD(rate, momentum=0.9), seed=seed)
    trainer.fit(x[:-200], y[:-200], epochs=EPOCHS, batch_size=batch, progress=False)
    found = trainer.evaluate(x[-200:], y[-200:])
    return found.accuracy


def main() -> None:
    path = pathlib.Path(__file__).parents[2] / "examples" / "data" / "digits.csv"
    rows = np.loadtxt(path, delimiter=",", dtype=np.float32)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    x, y = rows[:, :64].reshape(-1, 8, 8, 1) / 16, rows[:, 64].astype(np.int64)
    print(f"{'':16}" + "".join(f"  batch {batch:4d}" for batch in BATCHES))
    for name in NORMS:
        line = f"{name:16}"
        for batch in BATCHES:
            best = max(np.mean([accuracy(name, batch, rate, seed, x, y) for seed in range(SEEDS)]) for rate in RATES)
            line += f"{100 * best:11.1f} %"
        print(line, flush=True)


if __name__ == "__main__":
    main()
