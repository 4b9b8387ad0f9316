"""Sixty small pictures, and what random crops and flips make of them.

Bars that lie, bars that stand, and crosses, somewhere in a noisy picture of bytes. The network has to tell 500 new ones apart.
"""

from __future__ import annotations

import numpy as np

from martlet import SGD, Augmentation, BatchNorm, Dense, Flatten, ReLU, Sequential, Trainer

SIDE, LENGTH = 12, 5
KINDS = ((1, 0), (0, 1), (1, 1))  # has a lying bar, has a standing bar


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 pictures [count, SIDE, SIDE, 1] and what each shows."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 100, (count, SIDE, SIDE, 1), dtype=np.uint8)
    y = rng.integers(0, len(KINDS), count)
    for picture, kind in zip(x, y):
        top, left = rng.integers(0, SIDE - LENGTH + 1, 2)
        lying, standing = KINDS[kind]
        if lying:
            picture[top + LENGTH // 2, left : left + LENGTH] = 255
        if standing:
            picture[top : top + LENGTH, left + LENGTH // 2] = 255
    return x, y


x, y = pictures(60, seed=1)
new_x, new_y = pictures(500, seed=2)

# Of pixels in 0 ... 1. The pictures stay bytes: each batch is normalised on its way into the network.
normalize = (x.mean() / 255, x.std() / 255)

for name, augment in [("as they are", None), ("augmented", Augmentation(crop_padding=4, flip=True, cutout=2))]:
    net = Sequential([Flatten(), Dense(64), BatchNorm(), ReLU(), Dense(3)], input_shape=(SIDE, SIDE, 1), seed=0)
    trainer = Trainer(net, loss="cross_entropy", optimizer=SGD(0.05, momentum=0.9))
    trainer.fit(x, y, epochs=300, batch_size=20, augment=augment, normalize=normalize)
    print(f"{name}: {trainer.evaluate(new_x, new_y).accuracy:.3f} of the new ones told apart")
