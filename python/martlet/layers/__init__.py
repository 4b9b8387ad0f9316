"""The layers: what each is, in words and options. The library computes.

A layer is a description until a model is made of it; then it stands for its place in that model.
"""

from .activations import ReLU, Sigmoid, Softmax, Tanh
from .base import Layer
from .convolution import Conv1D, Conv2D
from .dense import Dense
from .dropout import Dropout
from .input_normalization import InputNormalization
from .joins import Add, Concatenate
from .normalizations import FilterResponseNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from .pooling import AvgPool1D, AvgPool2D, GlobalAvgPool1D, GlobalAvgPool2D, MaxPool1D, MaxPool2D
from .resizing import Upsample2D, ZeroPad2D
from .shapes import ChannelsFirst, ChannelsLast, Flatten, Reshape

__all__ = [
    "Add",
    "AvgPool1D",
    "AvgPool2D",
    "ChannelsFirst",
    "ChannelsLast",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "FilterResponseNorm",
    "Flatten",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GroupNorm",
    "InputNormalization",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Upsample2D",
    "ZeroPad2D",
]
