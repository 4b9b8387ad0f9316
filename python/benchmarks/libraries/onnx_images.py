"""The networks of W6 as ONNX nodes, channels first."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from ..cases.image_network import Block, ImageNetwork
from .image_graph import logits


class _Nodes:
    """Values are names; constants are gathered beside the nodes."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self.nodes: list[Any] = []

    def _add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, values: list[int]) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(values, np.int64)
        return name

    def block(self, x: str, block: Block) -> str:
        z = self._add("Conv", [x, f"{block.conv}.weight"], pads=[1] * 4, strides=[block.stride] * 2)
        statistics = [f"{block.norm}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
        return self._add("BatchNormalization", [z, *statistics], epsilon=1e-5)

    def relu(self, x: str) -> str:
        return self._add("Relu", [x])

    def pool(self, x: str) -> str:
        return self._add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def shortcut(self, x: str, stride: int, channels: int) -> str:
        end = 2**31 - 1
        ranges = [self._constant([0, 0]), self._constant([end, end]), self._constant([2, 3]), self._constant([stride] * 2)]
        seen = self._add("Slice", [x, *ranges])
        return self._add("Pad", [seen, self._constant([0, 0, 0, 0, 0, channels, 0, 0])])

    def add(self, x: str, y: str) -> str:
        return self._add("Add", [x, y])

    def head(self, x: str, averages: bool) -> str:
        x = self._add("GlobalAveragePool", [x]) if averages else self._add("Transpose", [x], perm=[0, 2, 3, 1])
        rows = self._add("Flatten", [x], axis=1)
        return self._add("Gemm", [rows, "fc.weight", "fc.bias"], "y", transB=1)


def image_network(case: ImageNetwork, constants: dict[str, Any]) -> list[Any]:
    """The nodes from "x" to "y"; adds what they need to ``constants``."""
    nodes = _Nodes(constants)
    logits(case, "x", nodes)
    return nodes.nodes
