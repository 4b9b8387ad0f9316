"""Trains one network at every batch size with every normalisation, all from the same weights for a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .. import SGD, BatchNorm, Conv2D, Dense, Flatten, GroupNorm, Layer, LayerNorm, ReLU, Sequential, Trainer
from .._errors import InvalidArgumentError, NonFiniteError
from ..data import Dataset

#: What stands between a layer and its activation; a further normalisation is a further line.
NORMALIZATIONS: dict[str, Callable[[str], list[Layer]]] = {
    "none": lambda name: [],
    "batch": lambda name: [BatchNorm(name=name)],
    # Batches seen in parts of eight: what its noise costs and gains at large sizes. Below that it is the same as "batch".
    "virtual": lambda name: [BatchNorm(virtual_batch_size=8, name=name)],
    # Neither looks at other rows, so the batch size cannot matter to them.
    "layer": lambda name: [LayerNorm(name=name)],
    "group": lambda name: [GroupNorm(4, name=name)],
}
NETWORKS = ("mlp", "cnn")


class Settings(NamedTuple):
    """What is trained, and how."""

    network: str = "mlp"
    normalizations: tuple[str, ...] = tuple(NORMALIZATIONS)
    batch_sizes: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256)
    seeds: tuple[int, ...] = (1, 2, 3)
    rows: int = 10000  #: of the training rows, the first of the seed's order
    epochs: int = 3
    learning_rate: float = 0.1  #: at a batch of 32; in proportion to the size elsewhere


class Run(NamedTuple):
    """One training."""

    normalization: str
    batch_size: int
    seed: int
    accuracy: float  #: on the test rows
    loss: float  #: mean over the last epoch's steps; NaN where training fell apart
    steps: int


def network(kind: str, normalization: str, data: Dataset, seed: int) -> Sequential:
    """Three dense layers of 100, or two convolutions and a dense layer, with ReLUs; rows are square images for the second."""
    norm = NORMALIZATIONS[normalization]
    layers: list[Layer] = []
    for number in (1, 2, 3):
        name = f"layer_{number}"
        if kind == "mlp":
            layers.append(Dense(100, weight_initializer="he_normal", name=name))
        elif number < 3:
            layers.append(Conv2D(8 * number, 3, 2, padding="same", weight_initializer="he_normal", name=name))
        else:
            layers += [Flatten(name="flatten"), Dense(64, weight_initializer="he_normal", name=name)]
        layers += [*norm(f"norm_{number}"), ReLU(name=f"activation_{number}")]
    layers.append(Dense(data.classes, name="output"))
    return Sequential(layers, input_shape=data.train_x.shape[1:], seed=seed)


def sweep(settings: Settings, data: Dataset) -> Iterator[Run]:
    """Each training as it is done.

    A seed chooses the weights, the rows and their order: they are the same for every normalisation.
    """
    if settings.network not in NETWORKS:
        raise InvalidArgumentError(f"network must be one of {', '.join(NETWORKS)}; got {settings.network!r}")
    if settings.network == "cnn":
        data = _images(data)
    for seed in settings.seeds:
        chosen = np.random.default_rng(seed).permutation(len(data.train_x))[: settings.rows]
        x, y = data.train_x[chosen], data.train_y[chosen]
        for size in settings.batch_sizes:
            if not 2 <= size <= len(x):
                raise InvalidArgumentError(f"batch sizes must be 2 to {len(x)}, the rows to train on; got {size}")
            for normalization in settings.normalizations:
                net = network(settings.network, normalization, data, seed)
                plain = network(settings.network, "none", data, seed)
                net.load_state_dict(plain.state_dict(), strict=False)
                rate = settings.learning_rate * size / 32
                trainer = Trainer(net, optimizer=SGD(rate), seed=seed)
                try:
                    loss = trainer.fit(x, y, epochs=settings.epochs, batch_size=size, seed=seed, drop_last=True).loss[-1]
                except NonFiniteError:
                    loss = math.nan
                accuracy = trainer.evaluate(data.test_x, data.test_y).accuracy
                yield Run(normalization, size, seed, accuracy, loss, trainer.history.steps)


def _images(data: Dataset) -> Dataset:
    from ..train.experiment import images

    return images(data)
