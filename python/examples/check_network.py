"""Looks networks over: one that was built badly, and one whose data is prepared otherwise where it serves.

python examples/check_network.py
"""

import numpy as np

from martlet import SGD, BatchNorm, Dense, Dropout, ReLU, Sequential, Trainer

rng = np.random.default_rng(0)
x = rng.normal(5, 2, size=(1000, 20)).astype(np.float32)
y = (x[:, 0] * x[:, 1] > 25).astype(np.int64)

# Before any training: the order of the layers, and the batches it is to be trained on.
bad = Sequential([Dense(32), Dropout(0.4), ReLU(), Dense(32), BatchNorm(), ReLU(), Dense(2)], input_shape=(20,), seed=0)
rule = SGD(0.1, weight_decay=1e-3, decays_scale_shift_bias=True)
print(bad.check(x, batch_size=37, optimizer=rule))

# After training: nothing on the data it was trained on, drift on data that somebody divided by its largest value.
net = Sequential([BatchNorm(), Dense(32, bias=False), BatchNorm(), ReLU(), Dense(2)], input_shape=(20,), seed=0)
Trainer(net, optimizer=SGD(0.1, momentum=0.9)).fit(x, y, epochs=10, batch_size=50)
print("\non training data:", ", ".join(net.check(x, y, batch_size=50).codes) or "nothing")
for finding in net.check(x / x.max()):
    print(f"where it serves: {finding.code} in {finding.layer!r}, {len(finding.channels)} channels")
