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
from .shapes import ChannelsFirst, ChannelsLast, Flatten, Reshape

__all__ = [
    "Add",
    "ChannelsFirst",
    "ChannelsLast",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "InputNormalization",
    "Layer",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
