"""The well-known networks once more, from PyTorch's functions and the papers' tables: what the library's are compared with.

A network is a function of :class:`Peer`, which finds weights by name and keeps moving statistics as the library does. Images
come channels last; inside they are channels first, as PyTorch has them.
"""

from __future__ import annotations

import torch
from published_tables import INCEPTION
from torch.nn import functional


class Peer:
    """Layers with the weights of a state dictionary, in one precision."""

    def __init__(self, state, dtype):
        self.parameters, self.state = {}, {}
        for name, value in state.items():
            local = name.rsplit(".", 1)[1]
            if local in ("weight", "bias"):
                self.parameters[name] = torch.tensor(value, dtype=dtype, requires_grad=True)
            elif local.startswith("running"):
                self.state[name] = torch.tensor(value, dtype=dtype)
        self.used = set()
        self.training = False

    def parameter(self, name):
        self.used.add(name)
        return self.parameters.get(name)

    def conv(self, x, name, stride=1, padding=0, groups=1):
        return functional.conv2d(
            x, self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias"), stride, padding, 1, groups
        )

    def same(self, x, name, stride=1, groups=1):
        """As much padding as makes ⌈size / stride⌉ windows, an odd one at the bottom and the right."""
        return self.conv(
            functional.pad(x, sides(x, self.parameters[f"{name}.weight"].shape[2], stride)), name, stride, 0, groups
        )

    def dense(self, x, name):
        return functional.linear(x, self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias"))

    def norm(self, x, name):
        # PyTorch's momentum is the weight of the new batch: 1 − 0.9.
        return functional.batch_norm(
            x,
            self.state[f"{name}.running_mean"],
            self.state[f"{name}.running_var"],
            self.parameter(f"{name}.weight"),
            self.parameter(f"{name}.bias"),
            self.training,
            0.1,
            1e-5,
        )


def sides(x, size, stride):
    """Padding (left, right, top, bottom) of "same"."""
    found = []
    for length in (x.shape[3], x.shape[2]):
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        found += [total // 2, total - total // 2]
    return found


def max_pool_same(x, size, stride):
    return functional.max_pool2d(functional.pad(x, sides(x, size, stride), value=float("-inf")), size, stride)


def mean(x):
    return x.mean((2, 3))


def mlp(peer, x, hidden=3):
    x = x.flatten(1)
    for k in range(1, hidden + 1):
        x = functional.relu(peer.norm(peer.dense(x, f"dense_{k}"), f"norm_{k}"))
    return peer.dense(x, "output")


def channels_last_flat(x):
    return x.permute(0, 2, 3, 1).flatten(1)


def cnn(peer, x):
    x = x.permute(0, 3, 1, 2)
    for k in (1, 2, 3):
        x = functional.relu(peer.norm(peer.conv(x, f"conv{k}", 1, 1), f"bn{k}"))
        x = functional.max_pool2d(x, 2) if k < 3 else x
    return peer.dense(channels_last_flat(x), "fc")


def lenet_bn(peer, x):
    x = x.permute(0, 3, 1, 2)
    x = functional.max_pool2d(functional.relu(peer.norm(peer.conv(x, "conv1", 1, 2), "bn1")), 2)
    x = functional.max_pool2d(functional.relu(peer.norm(peer.conv(x, "conv2"), "bn2")), 2)
    x = functional.relu(peer.norm(peer.dense(channels_last_flat(x), "fc1"), "bn3"))
    x = functional.relu(peer.norm(peer.dense(x, "fc2"), "bn4"))
    return peer.dense(x, "fc3")


def basic_block(peer, x, name, stride, projection):
    y = functional.relu(peer.norm(peer.conv(x, f"{name}.conv1", stride, 1), f"{name}.bn1"))
    y = peer.norm(peer.conv(y, f"{name}.conv2", 1, 1), f"{name}.bn2")
    if y.shape != x.shape:
        if projection:
            x = peer.norm(peer.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        else:
            x = functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
    return functional.relu(x + y)


def stages(peer, x, counts, projection):
    for stage, blocks in enumerate(counts, 1):
        for block in range(blocks):
            x = basic_block(peer, x, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1, projection)
    return peer.dense(mean(x), "fc")


def cifar_resnet(blocks, projection):
    def network(peer, x):
        x = functional.relu(peer.norm(peer.conv(x.permute(0, 3, 1, 2), "conv1", 1, 1), "bn1"))
        return stages(peer, x, [blocks] * 3, projection)

    return network


def resnet18(peer, x):
    x = functional.relu(peer.norm(peer.conv(x.permute(0, 3, 1, 2), "conv1", 2, 3), "bn1"))
    return stages(peer, functional.max_pool2d(x, 3, 2, 1), [2, 2, 2, 2], True)


def vgg_bn(peer, x):
    x = x.permute(0, 3, 1, 2)
    place = 0
    for channels in (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512, None):
        if channels is None:
            x = functional.max_pool2d(x, 2)
            place += 1
        else:
            x = functional.relu(peer.norm(peer.conv(x, f"features.{place}", 1, 1), f"features.{place + 1}"))
            place += 3
    x = functional.relu(peer.dense(x.flatten(1), "classifier.0"))
    return peer.dense(functional.relu(peer.dense(x, "classifier.3")), "classifier.6")


def bn_inception(peer, x):
    def unit(x, name, stride=1, norm=None):
        return functional.relu(peer.norm(peer.same(x, name, stride), norm or f"{name}.norm"))

    x = x.permute(0, 3, 1, 2)
    x = peer.same(x, "conv1.depthwise", 2, groups=x.shape[1])
    x = max_pool_same(unit(x, "conv1.pointwise", norm="conv1.norm"), 3, 2)
    x = max_pool_same(unit(unit(x, "conv2.reduce"), "conv2"), 3, 2)
    for module, (single, *_, pool, projection) in INCEPTION.items():
        name, stride = f"inception_{module}", 1 if single else 2
        branches = [unit(x, f"{name}.1x1")] if single else []
        branches.append(unit(unit(x, f"{name}.3x3_reduce"), f"{name}.3x3", stride))
        double = unit(unit(x, f"{name}.double_3x3_reduce"), f"{name}.double_3x3_1")
        branches.append(unit(double, f"{name}.double_3x3_2", stride))
        average = pool == "avg"
        pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) if average else max_pool_same(x, 3, stride)
        branches.append(unit(pooled, f"{name}.pool_projection") if projection else pooled)
        x = torch.cat(branches, 1)
    return peer.dense(mean(x), "fc")


def mobilenet_v1(peer, x):
    x = functional.relu(peer.norm(peer.same(x.permute(0, 3, 1, 2), "conv1", 2), "bn1"))
    for block, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1], 1):
        name = f"block{block}"
        x = functional.relu(peer.norm(peer.same(x, f"{name}.depthwise", stride, groups=x.shape[1]), f"{name}.bn1"))
        x = functional.relu(peer.norm(peer.conv(x, f"{name}.pointwise"), f"{name}.bn2"))
    return peer.dense(mean(x), "fc")
