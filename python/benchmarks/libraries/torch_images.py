"""PyTorch's networks of convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..cases.image_network import CLASSES, Block, ImageNetwork


class _Normalized(nn.Module):  # type: ignore[misc]
    """Convolution and batch norm."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv = nn.Conv2d(block.channels, block.filters, 3, block.stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(block.filters)

    def forward(self, x: Any) -> Any:
        return self.norm(self.conv(x))


class ImageNet(nn.Module):  # type: ignore[misc]
    """The network of a case; images come channels first."""

    def __init__(self, case: ImageNetwork) -> None:
        super().__init__()
        self.is_cnn = case.model == "cnn"
        self.blocks = nn.ModuleList(_Normalized(block) for block in case.blocks())
        self.head = nn.Linear(case.features, CLASSES)

    def forward(self, x: Any) -> Any:
        if self.is_cnn:
            for number, block in enumerate(self.blocks):
                x = functional.relu(block(x))
                x = functional.max_pool2d(x, 2) if number < 2 else x
            return self.head(x.permute(0, 2, 3, 1).flatten(1))
        x = functional.relu(self.blocks[0](x))
        for number in range(1, len(self.blocks), 2):
            y = self.blocks[number + 1](functional.relu(self.blocks[number](x)))
            if y.shape != x.shape:
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            x = functional.relu(x + y)
        return self.head(x.mean((2, 3)))


def image_network(case: ImageNetwork, data: dict[str, Any]) -> Any:
    """With the case's weights."""
    net = ImageNet(case)
    state = {}
    for number, block in enumerate(case.blocks()):
        state[f"blocks.{number}.conv.weight"] = data[f"{block.conv}.weight"]
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"blocks.{number}.norm.{name}"] = data[f"{block.norm}.{name}"]
    state["head.weight"], state["head.bias"] = data["fc.weight"], data["fc.bias"]
    missing = net.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    return net
