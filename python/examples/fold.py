"""Folds a trained network's batch norms into the weights beside them, and shows what the certificate says.

python examples/fold.py
"""

import os
import tempfile

import numpy as np

from martlet import SGD, Add, BatchNorm, Conv2D, Dense, Dropout, Flatten, Input, Model, ReLU, Trainer, load

rng = np.random.default_rng(0)
x = rng.normal(size=(400, 8, 8, 1)).astype(np.float32)
y = (x[:, :4].mean(axis=(1, 2, 3)) > x[:, 4:].mean(axis=(1, 2, 3))).astype(np.int64)

# A residual block. The last norm comes after a sum and before an activation: neither takes it in.
image = Input((8, 8, 1))
h = ReLU()(BatchNorm(name="norm_1")(Conv2D(8, 3, padding="same", bias=False, name="conv_1")(image)))
branch = ReLU()(BatchNorm(name="norm_2")(Conv2D(8, 3, padding="same", bias=False, name="conv_2")(h)))
branch = BatchNorm(name="norm_3")(Conv2D(8, 1, bias=False, name="conv_3")(branch))
h = ReLU()(BatchNorm(name="norm_4")(Add(name="add")([branch, h])))
net = Model(image, Dense(2, name="head")(Dropout(0.2)(Flatten()(h))), seed=0)
Trainer(net, optimizer=SGD(learning_rate=0.05)).fit(x, y, epochs=5, batch_size=40, progress=False)

folded, certificate = net.fold(x)
print(certificate)
print(f"before: {len(net.state_dict())} tensors, after: {len(folded.state_dict())} tensors")

# An ordinary model: it saves and loads like any other.
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "folded.safetensors")
    folded.save(path)
    assert np.array_equal(load(path).predict(x), folded.predict(x))
