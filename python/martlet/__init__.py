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

from typing import TYPE_CHECKING, Any

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
    NonFiniteError,
    OutOfMemoryError,
    ShapeError,
    UnsupportedError,
)
from ._machine import available_isas, isa, num_threads, set_num_threads
from ._tensors import LoadResult
from ._version import __version__
from .augmentation import Augmentation
from .functional import (
    BatchNormGradients,
    Loss,
    Normalized,
    PopulationStatistics,
    batch_norm,
    batch_norm_gradients,
    batch_norm_with_statistics,
    loss,
    matmul,
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
    FilterResponseNorm,
    Flatten,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GroupNorm,
    InputNormalization,
    InstanceNorm,
    Layer,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    Reshape,
    RMSNorm,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample2D,
    ZeroPad2D,
)
from .model import Model, Sequential, load
from .normalization import BatchNorm, BatchRenormalization
from .optimizers import SGD, Adam, AdamW, Optimizer
from .tensor import Tensor
from .training import Event, History, Result, Trainer

if TYPE_CHECKING:
    from .checking import Finding, Findings
    from .convolution import ConvolutionGradients, conv2d, conv2d_gradients
    from .folding import Difference, FoldedLayer, FoldingCertificate
    from .normalize import (
        NormalizationGradients,
        filter_response_norm,
        filter_response_norm_gradients,
        group_norm,
        group_norm_gradients,
        instance_norm,
        instance_norm_gradients,
        layer_norm,
        layer_norm_gradients,
        rms_norm,
        rms_norm_gradients,
    )

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
    "BatchRenormalization",
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
    "FilterResponseNorm",
    "Finding",
    "Findings",
    "Flatten",
    "FoldedLayer",
    "FoldingCertificate",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GroupNorm",
    "History",
    "Initializer",
    "Input",
    "InputNormalization",
    "InstanceNorm",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "Layer",
    "LayerNorm",
    "LibraryNotFoundError",
    "LoadResult",
    "Loss",
    "MartletError",
    "MaxPool1D",
    "MaxPool2D",
    "Model",
    "Node",
    "NonFiniteError",
    "NormalizationGradients",
    "Normalized",
    "Optimizer",
    "OutOfMemoryError",
    "PopulationStatistics",
    "RMSNorm",
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
    "filter_response_norm",
    "filter_response_norm_gradients",
    "group_norm",
    "group_norm_gradients",
    "instance_norm",
    "instance_norm_gradients",
    "isa",
    "layer_norm",
    "layer_norm_gradients",
    "load",
    "loss",
    "matmul",
    "num_threads",
    "population_statistics",
    "rms_norm",
    "rms_norm_gradients",
    "set_num_threads",
]

#: Modules that most programs do not need.
_MODULES = ("article", "compare", "converters", "data", "models", "progress", "shift", "sweep", "train")
#: Names of modules that are loaded when one of them is asked for.
_NAMES = {
    "checking": ("Finding", "Findings"),
    "convolution": ("ConvolutionGradients", "conv2d", "conv2d_gradients"),
    "folding": ("Difference", "FoldedLayer", "FoldingCertificate"),
    "normalize": (
        "NormalizationGradients",
        "filter_response_norm",
        "filter_response_norm_gradients",
        "group_norm",
        "group_norm_gradients",
        "instance_norm",
        "instance_norm_gradients",
        "layer_norm",
        "layer_norm_gradients",
        "rms_norm",
        "rms_norm_gradients",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """What is not needed to train a network is imported when it is named, which keeps the import short."""
    module = _MODULE_OF.get(name, name)
    if module not in _MODULES and module not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = importlib.import_module(f".{module}", __name__)
    if module == name:
        return found
    value = globals()[name] = getattr(found, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_MODULES, *_NAMES})
