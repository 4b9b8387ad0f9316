"""A small residual network reads handwritten digits of 8 × 8 pixels, which stay bytes in memory.

python examples/residual_digits.py [model.safetensors]
"""

import sys
from pathlib import Path

import numpy as np

import martlet
from martlet import (
    Adam,
    Add,
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Input,
    InputNormalization,
    MaxPool2D,
    Model,
    ReLU,
    Trainer,
)

table = np.loadtxt(Path(__file__).resolve().parents[2] / "examples" / "data" / "digits.csv", delimiter=",", dtype=np.int64)
images, labels = table[:, :64].reshape(-1, 8, 8, 1).astype(np.uint8), table[:, 64]
train, test = slice(0, 499), slice(499, None)


def block(x, filters):
    """Two convolutions, and around them a way that skips both.

    The model's recipe takes the biases before batch norm away and has every block start as its shortcut. The convolutions are
    computed directly, as such narrow ones are by themselves; from 32 channels on the automatic choice is Winograd's.
    """
    h = ReLU()(BatchNorm()(Conv2D(filters, 3, padding="same", algorithm="direct")(x)))
    h = BatchNorm()(Conv2D(filters, 3, padding="same", algorithm="direct")(h))
    return ReLU()(Add()([h, x]))


pixels = Input((8, 8, 1))
h = InputNormalization(epsilon=1.0)(pixels)
h = ReLU()(BatchNorm()(Conv2D(16, 3, padding="same")(h)))
h = MaxPool2D(2)(block(h, 16))
h = block(h, 16)
net = Model(pixels, Dense(10)(GlobalAvgPool2D()(h)), seed=1, residual_recipe=True)
net.fit_input_normalization(images[train])

trainer = Trainer(net, loss="cross_entropy", optimizer=Adam(learning_rate=0.005))
trainer.fit(images[train], labels[train], epochs=12, batch_size=50, progress=False)
net.update_population_statistics(images[train])
print(f"test accuracy {trainer.evaluate(images[test], labels[test]).accuracy:.3f}")

print("what one image takes at inference:")
print(net.plan(1, training=False))

if len(sys.argv) > 1:
    net.save(sys.argv[1])
    assert (martlet.load(sys.argv[1])(images[test]) == net(images[test])).all()
    print(f"saved to {sys.argv[1]}")
