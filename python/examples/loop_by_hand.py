"""The training loop written out: forward, loss, backward, update; the moving statistics made exact at the end.

python examples/loop_by_hand.py
"""

import numpy as np

from martlet import Adam, BatchNorm, Dense, Optimizer, ReLU, Sequential, loss

rng = np.random.default_rng(0)
x = rng.normal(size=(1000, 2)).astype(np.float32)
y = (np.hypot(*x.T) < 1.2).astype(np.int64)  # inside or outside a circle

net = Sequential([Dense(32), BatchNorm(), ReLU(), Dense(2)], input_shape=(2,), seed=0)
optimizer = Optimizer(net, Adam(learning_rate=0.01))

for step in range(300):
    rows = rng.choice(len(x), 50, replace=False)
    logits = net.forward(x[rows], training=True)
    found = loss("cross_entropy", logits, y[rows])
    net.backward(found.gradient)

    # Gradients are views of the library's memory: what is done to them here is what the optimizer sees.
    for gradient in net.gradients().values():
        np.clip(gradient, -1, 1, out=gradient)
    optimizer.step()
    if step % 100 == 99:
        print(f"step {step + 1}: loss {found.loss:.3f}")

net.update_population_statistics(x)
accuracy = (net(x).argmax(axis=1) == y).mean()
print(f"accuracy {accuracy:.3f}")
