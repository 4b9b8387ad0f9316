"""Martlet: trains and runs batch-normalised neural networks on the CPU.

>>> import numpy as np
>>> import martlet
>>> from martlet import BatchNorm, Dense, Sequential, Sigmoid
>>> net = Sequential([Dense(100), BatchNorm(), Sigmoid(), Dense(10)], input_shape=(784,), seed=0)
>>> net(np.zeros((5, 784), np.float32)).shape
(5, 10)

Data is channels-last: a dense batch is ``[rows, C]``, and batch normalisation works on the last axis. Training or inference is
always said in the call. All computing is done by the native library, which is opened at its first use.
"""

from __future__ import annotations

from typing import Any

from ._errors import (
    CancelledError,
    CorruptFileError,
    DTypeError,
    FileError,
    InternalError,
    InvalidArgumentError,
    InvalidStateError,
    LibraryNotFoundError,
    MartletError,
    OutOfMemoryError,
    ShapeError,
    UnsupportedError,
)
from ._machine import available_isas, isa, num_threads, set_num_threads
from ._tensors import LoadResult
from ._version import __version__
from .augmentation import Augmentation
from .convolution import ConvolutionGradients, conv2d, conv2d_gradients
from .folding import Difference, FoldedLayer, FoldingCertificate
from .functional import (
    BatchNormGradients,
    Loss,
    Normalized,
    PopulationStatistics,
    batch_norm,
    batch_norm_gradients,
    batch_norm_with_statistics,
    loss,
    population_statistics,
)
from .graph import Input, Node
from .initializers import Initializer
from .layers import (
    Add,
    AvgPool1D,
    AvgPool2D,
    ChannelsFirst,
    ChannelsLast,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    InputNormalization,
    Layer,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample2D,
    ZeroPad2D,
)
from .model import Model, Sequential, load
from .normalization import BatchNorm
from .optimizers import SGD, Adam, AdamW, Optimizer
from .tensor import Tensor
from .training import Event, History, Result, Trainer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Add",
    "Augmentation",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm",
    "BatchNormGradients",
    "CancelledError",
    "ChannelsFirst",
    "ChannelsLast",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "ConvolutionGradients",
    "CorruptFileError",
    "DTypeError",
    "Dense",
    "Difference",
    "Dropout",
    "Event",
    "FileError",
    "Flatten",
    "FoldedLayer",
    "FoldingCertificate",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "History",
    "Initializer",
    "Input",
    "InputNormalization",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "Layer",
    "LibraryNotFoundError",
    "LoadResult",
    "Loss",
    "MartletError",
    "MaxPool1D",
    "MaxPool2D",
    "Model",
    "Node",
    "Normalized",
    "Optimizer",
    "OutOfMemoryError",
    "PopulationStatistics",
    "ReLU",
    "Reshape",
    "Result",
    "Sequential",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Tensor",
    "Trainer",
    "UnsupportedError",
    "Upsample2D",
    "ZeroPad2D",
    "__version__",
    "available_isas",
    "batch_norm",
    "batch_norm_gradients",
    "batch_norm_with_statistics",
    "conv2d",
    "conv2d_gradients",
    "isa",
    "load",
    "loss",
    "num_threads",
    "population_statistics",
    "set_num_threads",
]

_ON_DEMAND = ("compare", "data", "models", "progress", "train")


def __getattr__(name: str) -> Any:
    """Modules that most programs do not need are imported when they are named."""
    if name in _ON_DEMAND:
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
