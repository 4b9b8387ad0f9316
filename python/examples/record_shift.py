"""Records how the inputs of a sigmoid move while networks with and without batch norm train, and how far gradients turn.

python examples/record_shift.py [FOLDER]    writes plain.csv, normalized.csv and, with matplotlib, their pictures
"""

import importlib.util
import os
import sys

import numpy as np

from martlet import SGD, BatchNorm, Dense, Sequential, Sigmoid, Trainer
from martlet.shift import ShiftRecorder

rng = np.random.default_rng(0)
x = rng.normal(size=(2000, 20)).astype(np.float32)
y = (np.sin(2 * x[:, 0]) * x[:, 1] > 0).astype(np.int64)


def record(normalized: bool) -> ShiftRecorder:
    layers = []
    for _ in range(3):
        layers += [Dense(30), *([BatchNorm()] if normalized else []), Sigmoid()]
    net = Sequential([*layers, Dense(2)], input_shape=(20,), seed=1)
    last = net.layers[-2:]  # the last sigmoid and the output layer
    trainer, recorder = Trainer(net, optimizer=SGD(0.5)), ShiftRecorder(net, last, x[:500], every=20)
    for _ in range(400):
        rows = rng.integers(0, len(x), 60)
        recorder.step(trainer, x[rows], y[rows])
    return recorder


folder = sys.argv[1] if len(sys.argv) > 1 else "."
for name, normalized in (("plain", False), ("normalized", True)):
    recorder = record(normalized)
    sigmoid, output = (recorder.of(layer) for layer in dict.fromkeys(record.layer for record in recorder.records))
    medians = [record.percentiles[1] for record in sigmoid]
    change = np.mean([record.gradient_change for record in output])
    print(f"{name}: the sigmoid's median input moved over {max(medians) - min(medians):.2f}, ", end="")
    print(f"the output layer's gradient by {change:.4f} a step")
    recorder.save_csv(os.path.join(folder, f"{name}.csv"))
    if importlib.util.find_spec("matplotlib") is not None:
        recorder.plot(os.path.join(folder, f"{name}.png"))
