"""W6: networks of convolutions on images: one training step, and inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .case import Arrays, Case

if TYPE_CHECKING:
    from ..limits import Limits

CLASSES = 10
#: Small enough for a network to keep learning the one batch as long as it is timed.
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Block:
    """A convolution with batch norm."""

    conv: str
    norm: str
    channels: int
    filters: int
    stride: int = 1


def cnn_blocks(channels: int) -> list[Block]:
    """``martlet.models.cnn``: 3×3 convolutions of 32, pool, 64, pool, 128 filters, then a dense layer."""
    widths = [channels, 32, 64, 128]
    return [Block(f"conv{k}", f"bn{k}", widths[k - 1], widths[k]) for k in (1, 2, 3)]


def resnet20_blocks(channels: int) -> list[Block]:
    """``martlet.models.resnet20``: one convolution, three stages of three blocks of two, shortcuts without parameters."""
    found, width = [Block("conv1", "bn1", channels, 16)], 16
    for stage in (1, 2, 3):
        for block in range(3):
            filters, name = 16 << (stage - 1), f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            found.append(Block(f"{name}.conv1", f"{name}.bn1", width, filters, stride))
            found.append(Block(f"{name}.conv2", f"{name}.bn2", filters, filters))
            width = filters
    return found


def _convolved(x: Any, weight: Any, stride: int) -> Any:
    """3×3, one pixel of zeros around, tap by tap."""
    size = (x.shape[1] - 1) // stride + 1
    span = stride * (size - 1) + 1
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = 0.0
    for i in range(3):
        for j in range(3):
            y = y + padded[:, i : i + span : stride, j : j + span : stride] @ weight[:, :, i, j].T
    return y


@dataclass(frozen=True)
class ImageNetwork(Case):
    """Training: forward, mean cross-entropy, backward, SGD; checked is the loss (the gradients: ``tests/test_models.py``).
    Inference: the logits.

    Parameters
    ----------
    model : {"cnn", "resnet20"}
    shape : tuple of int
        Of an image, channels last.
    """

    model: str = "cnn"
    shape: tuple[int, int, int] = (28, 28, 1)
    batch: int = 128
    training: bool = True

    kind: ClassVar[str] = "image_network"

    def blocks(self) -> list[Block]:
        """Its convolutions, in order."""
        return (cnn_blocks if self.model == "cnn" else resnet20_blocks)(self.shape[2])

    @property
    def features(self) -> int:
        """What the last layer reads."""
        return 128 * (self.shape[0] // 4) * (self.shape[1] // 4) if self.model == "cnn" else 64

    def data(self) -> Arrays:
        random = self.random()
        found: Arrays = {
            "x": random.standard_normal((self.batch, *self.shape), np.float32),
            "labels": random.integers(0, CLASSES, self.batch),
        }
        for block in self.blocks():
            shape = (block.filters, block.channels, 3, 3)
            found[f"{block.conv}.weight"] = random.normal(0, (9 * block.channels / 2) ** -0.5, shape).astype(np.float32)
            found[f"{block.norm}.weight"] = random.uniform(0.8, 1.2, block.filters).astype(np.float32)
            found[f"{block.norm}.bias"] = random.normal(0, 0.1, block.filters).astype(np.float32)
            found[f"{block.norm}.running_mean"] = np.zeros(block.filters, np.float32)
            found[f"{block.norm}.running_var"] = np.ones(block.filters, np.float32)
        found["fc.weight"] = random.normal(0, self.features**-0.5, (CLASSES, self.features)).astype(np.float32)
        found["fc.bias"] = np.zeros(CLASSES, np.float32)
        return found

    def logits(self, given: Arrays) -> Any:
        """In the precision of ``given``."""

        def block(x: Any, b: Block) -> Any:
            z = _convolved(x, given[f"{b.conv}.weight"], b.stride)
            if self.training:
                mean, variance = z.mean((0, 1, 2)), z.var((0, 1, 2))
            else:
                mean, variance = given[f"{b.norm}.running_mean"], given[f"{b.norm}.running_var"]
            return (z - mean) / np.sqrt(variance + 1e-5) * given[f"{b.norm}.weight"] + given[f"{b.norm}.bias"]

        x, blocks = given["x"], self.blocks()
        if self.model == "cnn":
            for number, b in enumerate(blocks):
                x = np.maximum(block(x, b), 0)
                if number < 2:
                    n, h, w, c = x.shape
                    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
            x = x.reshape(self.batch, -1)
        else:
            x = np.maximum(block(x, blocks[0]), 0)
            for first, second in zip(blocks[1::2], blocks[2::2]):
                y = block(np.maximum(block(x, first), 0), second)
                shortcut = x[:, :: first.stride, :: first.stride]
                x = np.maximum(y + np.pad(shortcut, ((0, 0),) * 3 + ((0, y.shape[3] - x.shape[3]),)), 0)
            x = x.mean((1, 2))
        return x @ given["fc.weight"].T + given["fc.bias"]

    def reference(self) -> Arrays:
        given = {name: value.astype(np.float64) for name, value in self.data().items()}
        y = self.logits(given)
        if not self.training:
            return {"y": y}
        labels = given["labels"].astype(int)
        peak = y.max(1, keepdims=True)
        return {"loss": np.mean(peak[:, 0] + np.log(np.exp(y - peak).sum(1)) - y[np.arange(self.batch), labels])}

    def tolerance(self, output: str) -> float:
        return 1e-5  # 20 layers of Float32, transformed convolutions among them

    def bounds(self, limits: Limits, threads: int) -> dict[str, float]:
        """The multiply-adds of direct convolutions at the peak, in training those of both gradients but for the images'; and
        the fewest crossings of the memory, batch norm and ReLU done while convolutions read and write: forward each reads its
        images x and writes z; backward x, z and the gradient of its block's output are read, and that of x is written.
        """
        height, every, first, seconds = self.shape[0], 0.0, 0.0, 0.0
        for number, block in enumerate(self.blocks()):
            x = 4.0 * self.batch * height**2 * block.channels
            height = (height - 1) // block.stride + 1
            z = 4.0 * self.batch * height**2 * block.filters
            size = x + z
            if self.training:
                size += x + 2 * z + (x if number else 0.0)
            seconds += size / limits.copy(threads, size)
            work = float(height * height * 9 * block.channels * block.filters)
            every, first = every + work, first or work
            if self.model == "cnn" and number < 2:
                height //= 2
        every += self.features * CLASSES
        operations = 2.0 * self.batch * (3 * every - first if self.training else every)
        return {"arithmetic": operations / limits.operations(threads), "memory": seconds}


CASES: list[Case] = [
    ImageNetwork("W6 CNN 28×28, batch 128, SGD step", goal=0.75),
    ImageNetwork("W6 ResNet-20, batch 128, SGD step", goal=0.8, model="resnet20", shape=(32, 32, 3)),
    ImageNetwork("W6 ResNet-20, batch 128, inference", goal=0.75, model="resnet20", shape=(32, 32, 3), training=False),
    ImageNetwork("W6 ResNet-20, one image, inference", goal=0.5, model="resnet20", shape=(32, 32, 3), training=False, batch=1),
]
