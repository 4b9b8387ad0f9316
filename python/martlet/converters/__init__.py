"""Between other libraries' networks and Martlet's: what options mean is translated, not only numbers copied.

========================  ===================================================================================================
:func:`from_torch`        a ``torch.nn.Sequential`` becomes a model; any module or state dictionary fills one that exists
:func:`to_torch_state_dict`  parameters and state as ``load_state_dict`` of the same network in PyTorch takes them
:func:`from_keras`        a chain of Keras layers becomes a model
:func:`to_keras_weights`  for each layer, what its ``set_weights`` in Keras takes
:func:`batch_norm_from_onnx`  an ONNX ``BatchNormalization`` node as a layer and its tensors
:func:`batch_norm_to_onnx`    and back
========================  ===================================================================================================

None of the other libraries is needed to import this, nor to convert state dictionaries of NumPy arrays.
"""

from __future__ import annotations

from .keras import from_keras, to_keras_weights
from .onnx import OnnxBatchNorm, batch_norm_from_onnx, batch_norm_to_onnx
from .pytorch import from_torch, momentum_from_torch, momentum_to_torch, to_torch_state_dict

__all__ = [
    "OnnxBatchNorm",
    "batch_norm_from_onnx",
    "batch_norm_to_onnx",
    "from_keras",
    "from_torch",
    "momentum_from_torch",
    "momentum_to_torch",
    "to_keras_weights",
    "to_torch_state_dict",
]
