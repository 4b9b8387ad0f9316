"""Well-known networks, by name. They are the library's own: what each consists of is said in one place, for every language.

>>> from martlet import models
>>> models.names()
['mlp', 'cnn', 'lenet_bn', 'resnet20', 'resnet32', 'resnet56', 'resnet18', 'vgg_bn', 'bn_inception', 'mobilenet_v1']
>>> net = models.resnet20((32, 32, 3), classes=10, seed=1)
>>> sum(parameter.size for parameter in net.parameters().values())
269722

Every network gives logits ``[rows, classes]``. Images are ``[rows, height, width, channels]``. The tensors of ``resnet18`` and
``vgg_bn`` have torchvision's names and shapes: ``net.load_state_dict(other.state_dict())`` takes its weights.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from . import _abi, _arguments
from ._errors import InvalidArgumentError
from ._handle import Owner
from ._library import library
from .model import Model

Shape = Sequence[int]

_SHORTCUTS = {"parameter_free": _abi.SHORTCUT_PARAMETER_FREE, "projection": _abi.SHORTCUT_PROJECTION}
_GRAY, _COLOUR, _LARGE = (28, 28, 1), (32, 32, 3), (224, 224, 3)


def names() -> list[str]:
    """What :func:`build` can build."""
    loaded = library()
    return [loaded.martlet_known_model_name(index).decode() for index in range(loaded.martlet_known_model_count())]


def build(
    name: str,
    input_shape: int | Shape,
    classes: int = 10,
    *,
    width: float = 1.0,
    dropout: float | None = None,
    hidden: Sequence[int] | None = None,
    shortcut: str | None = None,
    zero_last_scale: bool = False,
    residual_recipe: bool = False,
    seed: int = 0,
) -> Model:
    """A network by its name.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    input_shape : tuple of int
        Of one row: ``(height, width, channels)``; for ``"mlp"`` any.
    classes : int, optional
        Outputs.
    width : float, optional
        Multiplies every layer's channels; above 0, at most 64. Of all but ``"mlp"``.
    dropout : float, optional
        Before the last layer (``"vgg_bn"``: before its last two); if left out 0.5 for ``"vgg_bn"``, else 0. Of ``"mlp"``,
        ``"cnn"``, ``"vgg_bn"``, ``"bn_inception"``, ``"mobilenet_v1"``.
    hidden : list of int, optional
        Units of the hidden layers of ``"mlp"``; 100, 100, 100 if left out.
    shortcut : {"parameter_free", "projection"}, optional
        How a residual block's input reaches its sum where the shape changes: every other pixel with zeros for the new channels
        (the paper's A; the default of CIFAR's networks), or a 1×1 convolution with batch norm (B; the default of
        ``"resnet18"``).
    zero_last_scale : bool, optional
        Whether every residual block's last batch norm starts with scale 0, so that the block starts as its shortcut.
    residual_recipe : bool, optional
        The residual networks' usual preparation, see :class:`Model`; includes ``zero_last_scale``.
    seed : int, optional
        Parameters are drawn from it.

    Raises
    ------
    InvalidArgumentError
        The name is unknown, or an option is out of range or means nothing to this network.
    ShapeError
        The images are too small; the message names the layer.
    """
    dimensions = _arguments.shape(input_shape, "input_shape")
    options = _abi.sized(
        _abi.martlet_known_model_options,
        width=_arguments.real(width, "width"),
        dropout=-1.0 if dropout is None else _dropout(dropout),
        shortcut=_abi.SHORTCUT_DEFAULT if shortcut is None else _arguments.one_of(shortcut, "shortcut", _SHORTCUTS),
        zero_last_scale=_arguments.flag(zero_last_scale, "zero_last_scale"),
        residual_recipe=_arguments.flag(residual_recipe, "residual_recipe"),
    )
    if hidden is not None:
        sizes = [_arguments.integer(units, "hidden", 1) for units in hidden]
        options.hidden = (ctypes.c_int64 * max(len(sizes), 1))(*sizes)
        options.hidden_count = len(sizes)
    out = ctypes.POINTER(_abi.martlet_model)()
    library().martlet_model_build(
        ctypes.byref(out),
        _arguments.text(name, "name"),
        len(dimensions),
        dimensions,
        _arguments.integer(classes, "classes", 1),
        ctypes.byref(options),
        _arguments.integer(seed, "seed", 0, _arguments.UINT64_MAX),
    )
    model = Model.__new__(Model)
    model._adopt(Owner(out, library().martlet_model_destroy))
    return model


def _dropout(rate: float) -> float:
    """Below 0 the library takes its own default, which must be asked for with None."""
    value = _arguments.real(rate, "dropout")
    if value < 0:
        raise InvalidArgumentError(f"dropout must be 0 or more and below 1; got {_arguments.shown(rate)}")
    return value


def mlp(
    input_shape: int | Shape = (784,),
    classes: int = 10,
    *,
    hidden: Sequence[int] = (100, 100, 100),
    dropout: float | None = None,
    seed: int = 0,
) -> Model:
    """Dense layers, each with batch norm and ReLU, and a dense layer; inputs of several axes are flattened."""
    return build("mlp", input_shape, classes, hidden=hidden, dropout=dropout, seed=seed)


def cnn(
    input_shape: Shape = _GRAY, classes: int = 10, *, width: float = 1.0, dropout: float | None = None, seed: int = 0
) -> Model:
    """3×3 convolutions of 32, pool, 64, pool and 128 channels, each with batch norm and ReLU; a dense layer."""
    return build("cnn", input_shape, classes, width=width, dropout=dropout, seed=seed)


def lenet_bn(input_shape: Shape = _GRAY, classes: int = 10, *, width: float = 1.0, seed: int = 0) -> Model:
    """LeNet-5 with batch norm, ReLU and maximum pools: 61,932 parameters. LeCun et al. 1998."""
    return build("lenet_bn", input_shape, classes, width=width, seed=seed)


def resnet20(
    input_shape: Shape = _COLOUR,
    classes: int = 10,
    *,
    width: float = 1.0,
    shortcut: str | None = None,
    zero_last_scale: bool = False,
    residual_recipe: bool = False,
    seed: int = 0,
) -> Model:
    """CIFAR's residual network of 20 layers: 269,722 parameters (272,474 with ``shortcut="projection"``). He et al. 2015."""
    return _residual("resnet20", input_shape, classes, width, shortcut, zero_last_scale, residual_recipe, seed)


def resnet32(
    input_shape: Shape = _COLOUR,
    classes: int = 10,
    *,
    width: float = 1.0,
    shortcut: str | None = None,
    zero_last_scale: bool = False,
    residual_recipe: bool = False,
    seed: int = 0,
) -> Model:
    """CIFAR's residual network of 32 layers: 464,154 parameters (466,906 with ``shortcut="projection"``). He et al. 2015."""
    return _residual("resnet32", input_shape, classes, width, shortcut, zero_last_scale, residual_recipe, seed)


def resnet56(
    input_shape: Shape = _COLOUR,
    classes: int = 10,
    *,
    width: float = 1.0,
    shortcut: str | None = None,
    zero_last_scale: bool = False,
    residual_recipe: bool = False,
    seed: int = 0,
) -> Model:
    """CIFAR's residual network of 56 layers: 853,018 parameters (855,770 with ``shortcut="projection"``). He et al. 2015."""
    return _residual("resnet56", input_shape, classes, width, shortcut, zero_last_scale, residual_recipe, seed)


def resnet18(
    input_shape: Shape = _LARGE,
    classes: int = 1000,
    *,
    width: float = 1.0,
    shortcut: str | None = None,
    zero_last_scale: bool = False,
    residual_recipe: bool = False,
    seed: int = 0,
) -> Model:
    """ImageNet's residual network of 18 layers: 11,689,512 parameters. He et al. 2015."""
    return _residual("resnet18", input_shape, classes, width, shortcut, zero_last_scale, residual_recipe, seed)


def vgg_bn(
    input_shape: Shape = _LARGE, classes: int = 1000, *, width: float = 1.0, dropout: float | None = None, seed: int = 0
) -> Model:
    """VGG-16 with batch norm: 138,365,992 parameters. Simonyan & Zisserman 2014."""
    return build("vgg_bn", input_shape, classes, width=width, dropout=dropout, seed=seed)


def bn_inception(
    input_shape: Shape = _LARGE, classes: int = 1000, *, width: float = 1.0, dropout: float | None = None, seed: int = 0
) -> Model:
    """The Inception network with its 69 batch norms, without auxiliary classifiers. Ioffe & Szegedy 2015."""
    return build("bn_inception", input_shape, classes, width=width, dropout=dropout, seed=seed)


def mobilenet_v1(
    input_shape: Shape = _LARGE, classes: int = 1000, *, width: float = 1.0, dropout: float | None = None, seed: int = 0
) -> Model:
    """Depthwise separable convolutions: 4,231,976 parameters. ``width`` is the paper's α. Howard et al. 2017."""
    return build("mobilenet_v1", input_shape, classes, width=width, dropout=dropout, seed=seed)


def _residual(
    name: str,
    input_shape: Shape,
    classes: int,
    width: float,
    shortcut: str | None,
    zero_last_scale: bool,
    residual_recipe: bool,
    seed: int,
) -> Model:
    return build(
        name,
        input_shape,
        classes,
        width=width,
        shortcut=shortcut,
        zero_last_scale=zero_last_scale,
        residual_recipe=residual_recipe,
        seed=seed,
    )
