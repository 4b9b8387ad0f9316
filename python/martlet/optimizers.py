"""Optimizers: rules with their options, and :class:`Optimizer` for loops by hand."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, ClassVar

from . import _abi, _arguments
from ._attributes import FixedAttributes
from ._errors import InvalidArgumentError
from ._handle import Handle, Owner
from ._library import library

if TYPE_CHECKING:
    from .model import Model


class Rule(FixedAttributes):
    """Base of the optimizers' options. Ranges are checked where an optimizer or trainer is made of them."""

    _kind: ClassVar[int]
    _instead_of_assigning = "Make another rule, or set trainer.learning_rate"

    def __init__(self, **options: Any) -> None:
        self._options = options

    def _struct(self) -> Any:
        fields = {"momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "nesterov": 0}
        for name, value in self._options.items():
            number = _arguments.flag if name in ("nesterov", "decays_scale_shift_bias") else _arguments.real
            fields[name] = number(value, name)
        return _abi.sized(_abi.martlet_optimizer_options, kind=self._kind, **fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._options.items())})"


class SGD(Rule):
    """Stochastic gradient descent.

    Parameters
    ----------
    learning_rate : float, optional
        0 or more.
    momentum : float, optional
        0 or more, below 1.
    nesterov : bool, optional
        Looks ahead along the momentum; needs ``momentum`` above 0.
    weight_decay : float, optional
        0 or more; added to the gradient, times the weight.
    decays_scale_shift_bias : bool, optional
        Whether the decay takes batch norm's scale and shift and the biases too.
    """

    _kind = _abi.SGD

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decays_scale_shift_bias: bool = False,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            decays_scale_shift_bias=decays_scale_shift_bias,
        )


class Adam(Rule):
    """Adam (Kingma & Ba 2015).

    Parameters
    ----------
    learning_rate : float, optional
        0 or more.
    beta1, beta2 : float, optional
        0 or more, below 1: how fast the averages of gradients and of their squares forget.
    epsilon : float, optional
        Above 0.
    weight_decay : float, optional
        0 or more; added to the gradient, times the weight.
    decays_scale_shift_bias : bool, optional
        Whether the decay takes batch norm's scale and shift and the biases too.
    """

    _kind = _abi.ADAM

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        *,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decays_scale_shift_bias: bool = False,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            decays_scale_shift_bias=decays_scale_shift_bias,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the weight itself (Loshchilov & Hutter 2019), by default with 0.01."""

    _kind = _abi.ADAMW

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        *,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        decays_scale_shift_bias: bool = False,
    ) -> None:
        super().__init__(
            learning_rate,
            beta1,
            beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            decays_scale_shift_bias=decays_scale_shift_bias,
        )


_BY_NAME: dict[str, type[Rule]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def as_rule(value: Any) -> Rule:
    """A rule, or the name of one with its defaults."""
    if isinstance(value, Rule):
        return value
    if isinstance(value, str) and value in _BY_NAME:
        return _BY_NAME[value]()
    raise InvalidArgumentError(
        f"optimizer must be SGD(...), Adam(...), AdamW(...) or one of {list(_BY_NAME)}; got {_arguments.shown(value)}"
    )


class Optimizer(Handle):
    """An optimizer for loops by hand: updates a model's trainable parameters from their gradients.

    Parameters
    ----------
    model : Model
    rule : SGD, Adam, AdamW or str
        What :meth:`step` does.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import Dense, Optimizer, SGD, Sequential, loss
    >>> net = Sequential([Dense(1)], input_shape=(2,))
    >>> optimizer = Optimizer(net, SGD(learning_rate=0.1))
    >>> x, y = np.ones((4, 2)), np.zeros((4, 1))
    >>> output = net.forward(x, training=True)
    >>> result = loss("mse", output, y)
    >>> grad_input = net.backward(result.gradient)
    >>> optimizer.step()
    >>> loss("mse", net(x), y).loss < result.loss
    True
    """

    _instead_of_pickling = "Pickle the model and the rule, optimizer.rule, and make a new Optimizer of the copies"
    _instead_of_assigning = "Options of the rule are given when the optimizer is made: Optimizer(net, SGD(0.1, momentum=0.9))"

    def __init__(self, model: Model, rule: Rule | str) -> None:
        self._rule = as_rule(rule)
        options = self._rule._struct()
        out = ctypes.POINTER(_abi.martlet_optimizer)()
        library().martlet_optimizer_create(ctypes.byref(out), model._open(), ctypes.byref(options))
        self._owner = Owner(out, library().martlet_optimizer_destroy)

    @property
    def rule(self) -> Rule:
        """What :meth:`step` does."""
        return self._rule

    def step(self) -> None:
        """One update of every trainable parameter from its gradient.

        Raises
        ------
        NonFiniteError
            If a gradient holds NaN or infinity: no parameter and nothing of the optimizer has changed then.
        """
        library().martlet_optimizer_step(self._open())

    @property
    def learning_rate(self) -> float:
        """0 or more; may be set between steps."""
        return float(library().martlet_optimizer_learning_rate(self._open()))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        library().martlet_optimizer_set_learning_rate(self._open(), _arguments.real(value, "learning_rate"))
