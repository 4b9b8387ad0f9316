"""Batch norm's relatives where batch norm cannot be used, learning from one row at a time, and as plain functions.

python examples/normalizations.py
"""

import numpy as np

import martlet
from martlet import (
    SGD,
    BatchNorm,
    Dense,
    FilterResponseNorm,
    GroupNorm,
    InvalidArgumentError,
    LayerNorm,
    ReLU,
    RMSNorm,
    Sequential,
    Trainer,
)

rng = np.random.default_rng(0)
x = rng.normal(size=(600, 6)).astype(np.float32)
labels = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
train, test = slice(0, 400), slice(400, 600)

layers = [BatchNorm(), LayerNorm(), RMSNorm(), GroupNorm(4), FilterResponseNorm(threshold=False, learns_epsilon=True)]
for layer in layers:
    net = Sequential([Dense(32), layer, ReLU(), Dense(2)], input_shape=(6,), seed=1)
    trainer = Trainer(net, optimizer=SGD(0.02))
    kind = type(layer).__name__
    try:
        trainer.fit(x[train], labels[train], epochs=20, batch_size=1, progress=False)
    except InvalidArgumentError as error:
        print(f"{kind}: {error}")
        continue
    print(f"{kind}: accuracy {trainer.evaluate(x[test], labels[test]).accuracy:.3f}")

# The plain functions: two images of 8 x 8 pixels, one a hundred times as bright; each channel of each image by itself.
images = rng.random((2, 8, 8, 3)) * np.array([1, 100])[:, None, None, None]
y = martlet.instance_norm(images)
print("means", np.abs(y.mean(axis=(1, 2))).max().round(3), "deviations", y.std(axis=(1, 2)).round(3).min())
gradients = martlet.group_norm_gradients(images, np.ones_like(y), 3, scale=[1.0, 2.0, 3.0])
print("gradient of the shift", gradients.grad_shift)
