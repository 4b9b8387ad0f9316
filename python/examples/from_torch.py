"""Takes a network from PyTorch, statistics and all, trains it further here, and hands it back.

python examples/from_torch.py
"""

import sys

import numpy as np

from martlet import SGD, Trainer
from martlet.converters import from_torch, to_torch_state_dict

try:
    import torch
except ImportError:
    print("PyTorch is not installed: there is nothing to convert")
    sys.exit(0)

torch.manual_seed(0)
theirs = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 3, padding=1, bias=False),
    torch.nn.BatchNorm2d(8, momentum=0.05),
    torch.nn.ReLU(),
    torch.nn.MaxPool2d(2),
    torch.nn.Flatten(),
    torch.nn.Linear(8 * 4 * 4, 2),
)
rng = np.random.default_rng(0)
x = rng.normal(size=(400, 1, 8, 8)).astype(np.float32)
y = (x[:, 0, :4].mean(axis=(1, 2)) > x[:, 0, 4:].mean(axis=(1, 2))).astype(np.int64)
with torch.no_grad():
    theirs.train()(torch.from_numpy(x))  # moves the statistics


def difference() -> float:
    with torch.no_grad():
        return float(np.abs(theirs.eval()(torch.from_numpy(x)).numpy() - net(x)).max())


# Images come as PyTorch has them, channels first. The momentum of 0.05 is 0.95 here.
net = from_torch(theirs, input_shape=(1, 8, 8), layout="channels_first")
print(net)
print(f"the same outputs: they differ by {difference():.1e} at most")

trainer = Trainer(net, optimizer=SGD(learning_rate=0.05, momentum=0.9))
trainer.fit(x, y, epochs=10, batch_size=40, progress=False)
print(f"accuracy after training here: {trainer.evaluate(x, y).accuracy:.3f}")

theirs.load_state_dict(to_torch_state_dict(net))
print(f"and back in PyTorch: they differ by {difference():.1e} at most")
