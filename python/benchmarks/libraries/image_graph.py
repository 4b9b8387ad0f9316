"""The networks of W6 in terms that a library fills in."""

from __future__ import annotations

from typing import Any, Protocol

from ..cases.image_network import Block, ImageNetwork


class Operations(Protocol):
    """What the networks are made of."""

    def block(self, x: Any, block: Block) -> Any:
        """Convolution and batch norm."""

    def relu(self, x: Any) -> Any: ...

    def pool(self, x: Any) -> Any:
        """The largest of 2×2."""

    def shortcut(self, x: Any, stride: int, channels: int) -> Any:
        """Every ``stride``-th pixel, and so many channels of zeros more."""

    def add(self, x: Any, y: Any) -> Any: ...

    def head(self, x: Any, averages: bool) -> Any:
        """The dense layer on each channel's average, or on all values, channels last."""


def logits(case: ImageNetwork, x: Any, to: Operations) -> Any:
    """The network's output on ``x``."""
    blocks = case.blocks()
    if case.model == "cnn":
        for number, block in enumerate(blocks):
            x = to.relu(to.block(x, block))
            x = to.pool(x) if number < 2 else x
        return to.head(x, averages=False)
    x = to.relu(to.block(x, blocks[0]))
    for first, second in zip(blocks[1::2], blocks[2::2]):
        y = to.block(to.relu(to.block(x, first)), second)
        if first.channels != second.filters:
            x = to.shortcut(x, first.stride, second.filters - first.channels)
        x = to.relu(to.add(y, x))
    return to.head(x, averages=True)
