"""The layers: what each is, in words and options. The library computes.

A layer is a description until a model is made of it; then it stands for its place in that model.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from . import _abi, _arguments
from ._errors import InvalidArgumentError, InvalidStateError
from .graph import Graph, Node
from .initializers import Initializer, as_initializer

if TYPE_CHECKING:
    from ._array import Array
    from .model import Model


class Layer:
    """Base of all layers.

    Attributes
    ----------
    name : str or None
        Unique in its model; prefix of its tensors' names. A model names layers that have none.
    kind : str
        The library's name of the kind.
    """

    kind: ClassVar[str] = ""
    _model: weakref.ReferenceType[Model] | None = None

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            _arguments.text(name, "name")
        self.name = name
        #: The arguments that make this layer again, beside its name.
        self._arguments: dict[str, Any] = {}

    def __call__(self, x: Node) -> Node:
        """This layer applied to a node: a new node."""
        if not isinstance(x, Node):
            raise InvalidArgumentError(
                f"a layer is applied to an Input or to another layer's result; got a {type(x).__name__}. "
                "To compute with arrays make a model: Sequential([...]) or Model(inputs, outputs)"
            )
        return Node(self, x)

    def _add(self, graph: Graph, name: str, node: int) -> int:
        """Adds this layer to the library's graph."""
        return graph.add(self.kind, name, node)

    def _bind(self, model: Model, name: str) -> None:
        self.name = name
        self._model = weakref.ref(model)

    @property
    def model(self) -> Model:
        """The model this layer is part of.

        Raises
        ------
        InvalidStateError
            No model was made of it yet, or the model is gone.
        """
        model = None if self._model is None else self._model()
        if model is None:
            state = "is not part of a model yet" if self._model is None else "outlived its model; keep the model"
            raise InvalidStateError(f"{self!r} {state}")
        return model

    def parameters(self) -> dict[str, Array]:
        """Its parameters (``"weight"``, ``"bias"``) as zero-copy writable views; empty before a model is made."""
        if self._model is None:
            return {}
        prefix = f"{self.name}."
        found = self.model._views(prefix, parameters=True)
        return {name[len(prefix) :]: value for name, value in found.items()}

    def __repr__(self) -> str:
        parts = [repr(self._arguments[key]) for key in self._shown_first() if key in self._arguments]
        rest = [f"{key}={value!r}" for key, value in self._arguments.items() if key not in self._shown_first()]
        name = [] if self.name is None else [f"name={self.name!r}"]
        return f"{type(self).__name__}({', '.join(parts + rest + name)})"

    def _shown_first(self) -> tuple[str, ...]:
        """Arguments shown without their names."""
        return ()


class Dense(Layer):
    """Fully connected: ``y = x·Wᵀ + b``.

    Its tensors are ``weight`` ``[units, in]`` and ``bias`` ``[units]``, as in PyTorch.

    Parameters
    ----------
    units : int
        Width of the output.
    bias : bool, optional
        Whether to add ``b``. Before a batch norm it has no effect: its shift does that work.
    weight_initializer, bias_initializer : Initializer or str, optional
        Glorot uniform, and zeros.

    Examples
    --------
    >>> from martlet import Dense, Sequential
    >>> net = Sequential([Dense(3)], input_shape=(4,))
    >>> net.parameters()["0.weight"].shape
    (3, 4)
    """

    kind = "dense"

    def __init__(
        self,
        units: int,
        bias: bool = True,
        *,
        weight_initializer: Initializer | str = "glorot_uniform",
        bias_initializer: Initializer | str = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = _arguments.integer(units, "units", 1)
        self.bias = bool(_arguments.flag(bias, "bias"))
        self.weight_initializer = as_initializer(weight_initializer, "weight_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self._arguments = {"units": self.units}
        if not self.bias:
            self._arguments["bias"] = False
        for key, default in (("weight_initializer", "glorot_uniform"), ("bias_initializer", "zeros")):
            if getattr(self, key).kind != default:
                self._arguments[key] = getattr(self, key)

    def _shown_first(self) -> tuple[str, ...]:
        return ("units",)

    def _add(self, graph: Graph, name: str, node: int) -> int:
        options = _abi.sized(
            _abi.martlet_dense_options,
            bias=int(self.bias),
            weight_initializer=self.weight_initializer._struct(),
            bias_initializer=self.bias_initializer._struct(),
        )
        return graph.add("dense", name, node, self.units, ctypes.byref(options))


class _Activation(Layer):
    _code: ClassVar[int]

    def _add(self, graph: Graph, name: str, node: int) -> int:
        return graph.add("activation", name, node, self._code)


class Sigmoid(_Activation):
    """``y = 1 / (1 + e⁻ˣ)``, element by element."""

    kind = "sigmoid"
    _code = _abi.SIGMOID


class Tanh(_Activation):
    """``y = tanh x``, element by element."""

    kind = "tanh"
    _code = _abi.TANH


class ReLU(_Activation):
    """``y = max(x, 0)``, element by element."""

    kind = "relu"
    _code = _abi.RELU


class Softmax(Layer):
    """``y = e^(x − max) / Σ e^(x − max)`` over the last axis.

    As the last layer of a model trained with ``loss="cross_entropy"`` it is taken together with the loss.
    """

    kind = "softmax"


class Flatten(Layer):
    """``[rows, a, b, …]`` to ``[rows, a·b·…]``."""

    kind = "flatten"


class Dropout(Layer):
    """While training, sets each element to zero with probability ``rate`` and divides the others by ``1 − rate``.

    Parameters
    ----------
    rate : float
        0 or more, below 1.
    """

    kind = "dropout"

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.rate = _arguments.real(rate, "rate")
        self._arguments = {"rate": self.rate}

    def _shown_first(self) -> tuple[str, ...]:
        return ("rate",)

    def _add(self, graph: Graph, name: str, node: int) -> int:
        return graph.add("dropout", name, node, self.rate)


class InputNormalization(Layer):
    """Brings raw features to mean 0 and deviation 1: ``y = (x − mean) / √(variance + epsilon)``.

    The statistics are fitted once, on data, by :meth:`Model.fit_input_normalization`; before that it is the identity. A feature
    that never varies becomes 0.

    Parameters
    ----------
    epsilon : float, optional
        0 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import InputNormalization, Sequential
    >>> x = np.array([[1.0, 100.0], [3.0, 300.0]], np.float32)
    >>> net = Sequential([InputNormalization()], input_shape=(2,))
    >>> net.fit_input_normalization(x)
    >>> net(x)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    kind = "input_normalization"

    def __init__(self, epsilon: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.epsilon = _arguments.real(epsilon, "epsilon")
        self._arguments = {"epsilon": self.epsilon} if self.epsilon else {}

    def _add(self, graph: Graph, name: str, node: int) -> int:
        return graph.add("input_normalization", name, node, self.epsilon)
