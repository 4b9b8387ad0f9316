"""Fine-tunes a trained network on little data of another kind: batch norm frozen, only the last layer trains.

python examples/fine_tune.py
"""

import tempfile
from pathlib import Path

import numpy as np

from martlet import SGD, BatchNorm, Dense, Sequential, Tanh, Trainer

rng = np.random.default_rng(0)
x = rng.normal(size=(2000, 8)).astype(np.float32)
y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int64)

net = Sequential([Dense(32), BatchNorm(), Tanh(), Dense(2)], input_shape=(8,), seed=0)
Trainer(net, optimizer=SGD(learning_rate=0.5)).fit(x, y, epochs=20, batch_size=50)

# The new task: other labels, and few rows. Their own mean and variance would be noise, so the moving statistics normalise.
few, labels = x[:24], 1 - y[:24]
for layer in net.layers:
    if isinstance(layer, BatchNorm):
        layer.freeze()
net.set_trainable("0", False)
path = Path(tempfile.mkdtemp()) / "trained.safetensors"
net.save(path)
before = net.state_dict()

trainer = Trainer(net, optimizer=SGD(learning_rate=0.5))
print(f"before: {trainer.evaluate(few, labels).accuracy:.3f}")
trainer.fit(few, labels, epochs=100, batch_size=8)
print(f"after:  {trainer.evaluate(few, labels).accuracy:.3f}")

after = net.state_dict()
changed = [name for name in after if not np.array_equal(before[name], after[name])]
print(f"changed: {', '.join(changed)}")

# Back to the first task: the saved weights into the same network.
net.load_weights(path)
print(f"restored: {trainer.evaluate(x, y).accuracy:.3f}")
