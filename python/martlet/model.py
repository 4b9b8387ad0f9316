"""Models: made of layers, run, opened up, kept in files."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _abi, _arguments, _restore
from ._all_reduce import AllReduce, KeptCallback
from ._array import Arrays, describe_all, describe_targets, view
from ._errors import InvalidArgumentError
from ._handle import Owner, Self
from ._inference import Inference
from ._library import library
from ._parameters import ModelTensors
from ._statistics import ModelStatistics
from ._tensors import FLATTEN_ORDERS, LoadResult, load_result, names, text_of
from .augmentation import normalization_pointer
from .graph import Input, Node, build
from .layers import Layer

if TYPE_CHECKING:
    from .augmentation import PerChannel
    from .checking import Findings
    from .folding import FoldingCertificate
    from .optimizers import Optimizer, Rule
    from .training import Trainer

_WEIGHT_FORMATS = {"float32": _abi.INFERENCE_FLOAT32, "float16": _abi.INFERENCE_FLOAT16}
_WEIGHT_FORMAT_NAMES = {code: name for name, code in _WEIGHT_FORMATS.items()}


class Model(ModelTensors, ModelStatistics):
    """A network from inputs to outputs: what it is, its parameters and its state.

    Parameters
    ----------
    inputs, outputs : node or list of nodes
        Made by :func:`Input` and by applying layers.
    seed : int, optional
        Parameters are drawn from it.
    residual_recipe : bool, optional
        Prepares a residual network as is usual (Goyal et al. 2017). The last scale of each residual branch starts at 0, so that
        each block starts as its shortcut: where an :class:`Add`'s inputs meet, the one with the fewest layers behind it is the
        shortcut, and every other one that is a batch norm's, read by nothing else, starts with γ = 0. A layer that only batch
        norms of the batch's own statistics read loses its bias, which their mean takes out again; its ``bias`` says so. Weight
        decay spares scale and shift by default anyway: leave ``decays_scale_shift_bias`` off.

    Notes
    -----
    ``net(x)``, :meth:`predict` and reading may be done on many threads at once; anything that changes the model, on one at a
    time. A model with several inputs or outputs takes and gives lists of arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import BatchNorm, Dense, Input, Model, Sigmoid
    >>> x = Input((784,))
    >>> hidden = Sigmoid()(BatchNorm()(Dense(100)(x)))
    >>> net = Model(x, Dense(10)(hidden), seed=1)
    >>> net(np.zeros((2, 784))).shape
    (2, 10)
    """

    def __init__(
        self, inputs: Node | Sequence[Node], outputs: Node | Sequence[Node], seed: int = 0, *, residual_recipe: bool = False
    ) -> None:
        recipe = bool(_arguments.flag(residual_recipe, "residual_recipe"))
        owner, layers = build(_nodes(inputs, "inputs"), _nodes(outputs, "outputs"), seed, residual_recipe=recipe)
        self._adopt(owner, layers)

    def _adopt(self, owner: Owner, layers: list[tuple[str, Layer]] | None = None) -> None:
        """Takes over a model of the library; its layers are made from its architecture where they are not given."""
        if layers is None:
            layers = _restore.layers(owner)
        for _, layer in layers:
            if layer._model is not None:
                raise InvalidArgumentError(f"{layer!r} is part of another model already; make a new layer, or clone that model")
        self._owner = owner
        self._all_reduce = KeptCallback()
        self._input_count = int(library().martlet_model_input_count(owner))
        self._output_count = int(library().martlet_model_output_count(owner))
        self._inference = Inference(self.input_shapes, self.output_shapes)
        self._layers = dict(layers)
        for name, layer in layers:
            layer._bind(self, name)

    # -- what it is --

    @property
    def layers(self) -> list[Layer]:
        """Its layers, in the order they run."""
        return list(self._layers.values())

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        try:
            return self._layers[name]
        except KeyError:
            known = ", ".join(_arguments.shown(known) for known in list(self._layers)[:12])
            more = f" and {len(self._layers) - 12} more" if len(self._layers) > 12 else ""
            raise InvalidArgumentError(f"the model has no layer named {_arguments.shown(name)}; it has {known}{more}") from None

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """The shape of one row of each input."""
        return self._shapes("martlet_model_input_shape", self._input_count)

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """The shape of one row of each output."""
        return self._shapes("martlet_model_output_shape", self._output_count)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of the first input."""
        return self.input_shapes[0]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one row of the first output."""
        return self.output_shapes[0]

    def _shapes(self, function: str, count: int) -> list[tuple[int, ...]]:
        found = []
        for index in range(count):
            out = _abi.martlet_view()
            getattr(library(), function)(self._open(), index, ctypes.byref(out))
            found.append(tuple(out.shape[: out.rank]))
        return found

    @property
    def architecture(self) -> str:
        """The layers with all their options as JSON, as :meth:`save` writes it."""
        return text_of(library().martlet_model_architecture, self._open())

    def summary(self) -> str:
        """A table of the layers for people: name, kind, shape of one row, numbers learned and kept."""
        return _restore.summary(self._open())

    def plan(self, batch_size: int, *, training: bool) -> str:
        """What one batch runs, for people.

        A line for each step: the layers that became one, the shape of the output, the bytes of its buffers (scratch: for the
        step alone, forward / backward), and in training what stays for the backward pass. Then the arena that holds them all,
        and what they would take without sharing. ``, moments`` behind the layers of a step: as it writes its output, it
        gathers the mean and variance that the batch norm behind it needs.

        Examples
        --------
        >>> from martlet import BatchNorm, Dense, ReLU, Sequential
        >>> net = Sequential([Dense(8), BatchNorm(), ReLU(), Dense(3)], input_shape=(4,))
        >>> for line in net.plan(64, training=True).splitlines()[2:5]:
        ...     print(line.split("  ")[1])
        0 dense, moments
        1 batch_norm + 2 relu
        3 dense
        """
        size = _arguments.integer(batch_size, "batch_size", 1)
        return text_of(library().martlet_model_plan, self._open(), size, _arguments.flag(training, "training"))

    # -- running --

    @property
    def inference_weights(self) -> str:
        """How inference keeps the weights of Dense layers: ``"float32"`` as they are, or ``"float16"``.

        In ``"float16"`` each is rounded to the nearest half-precision number, after a power of two for each output: half the
        memory to read, which is all the time that a single row takes. ``|w' − w| ≤ 2⁻¹¹·|w| + 2⁻³³·max|w|``, the largest over
        the weights of the same output, so an output before bias and activation differs by at most
        ``2⁻¹¹·Σ|w·x| + 2⁻³³·max|w|·Σ|x|``. The model's own weights and all sums stay float32. A layer keeps float32 that has a
        weight that is not finite, or an output whose weights are all below 2⁻¹¹⁸: :meth:`plan` says which layers have what.
        Files do not hold the choice.

        Examples
        --------
        >>> from martlet import Dense, Sequential
        >>> net = Sequential([Dense(3)], input_shape=(4,))
        >>> net.inference_weights = "float16"
        >>> net.inference_weights
        'float16'
        """
        code = ctypes.c_int32()
        library().martlet_model_inference_weights(self._open(), ctypes.byref(code))
        return _WEIGHT_FORMAT_NAMES[code.value]

    @inference_weights.setter
    def inference_weights(self, value: str) -> None:
        code = _arguments.one_of(value, "inference_weights", _WEIGHT_FORMATS)
        library().martlet_model_set_inference_weights(self._open(), code)

    @property
    def image_normalization(self) -> tuple[list[float], list[float]] | None:
        """Means and standard deviations of the images that the model reads, or None.

        Every call applies it to the input: ``(v - mean) / deviation``, where ``v`` is a uint8 pixel divided by 255, or another
        value as it is. :meth:`Trainer.fit` with ``normalize=`` sets it, so that predictions see what training saw. Files and
        copies have it, too.

        Examples
        --------
        >>> from martlet import Conv2D, Sequential
        >>> net = Sequential([Conv2D(2, 3)], input_shape=(8, 8, 1))
        >>> net.image_normalization = (0.5, 0.25)
        >>> net.image_normalization
        ([0.5], [0.25])
        """
        import json

        found = json.loads(text_of(library().martlet_model_architecture, self._open())).get("image_normalization")
        return None if found is None else (found["mean"], found["standard_deviation"])

    @image_normalization.setter
    def image_normalization(self, value: tuple[PerChannel, PerChannel] | None) -> None:
        library().martlet_model_set_image_normalization(self._open(), normalization_pointer(value))

    def __call__(self, x: Arrays) -> Any:
        """:meth:`predict`."""
        return self.predict(x)

    def predict(self, x: Arrays, *, batch_size: int | None = None, out: Any = None) -> Any:
        """The outputs at inference, for any number of rows.

        Parameters
        ----------
        x : array, or list of arrays for a model of several inputs
            ``[rows, ...]`` each.
        batch_size : int, optional
            Rows computed at a time; chosen if left out. A row's result does not depend on it.
        out : array, or list of arrays for a model of several outputs, optional
            Where the outputs go: contiguous float32 of the right shape. New arrays if left out.

        Returns
        -------
        array, or list of arrays for a model of several outputs
            float32, ``[rows, ...]`` each.
        """
        return self._inference(self._open(), x, batch_size, out)

    def forward(self, x: Arrays, *, training: bool) -> Any:
        """One batch by hand.

        ``training=True`` normalises with the batch's own statistics, drops out, moves the moving statistics and keeps what
        :meth:`backward` needs. Returns new arrays.
        """
        owner = self._open()
        inputs = describe_all(x, self._input_count, "x")
        mode = _arguments.flag(training, "training")
        self._all_reduce.call(library().martlet_model_forward, owner, inputs, len(inputs), mode)
        return self._copies("martlet_model_output", self._output_count)

    def backward(self, grad_output: Arrays, *, accumulate: bool = False) -> Any:
        """Gradients of the last training :meth:`forward`, given ``dL/d(output)``.

        The parameters' gradients are found in :meth:`gradients`.

        Parameters
        ----------
        grad_output : array, or list of arrays for a model of several outputs
            The shape of the output.
        accumulate : bool, optional
            Whether to add to the parameters' gradients instead of overwriting them.

        Returns
        -------
        array, or list of arrays for a model of several inputs
            ``dL/d(input)``.

        Raises
        ------
        InvalidStateError
            The last forward was not in training, or was already used.
        """
        owner = self._open()
        given = describe_all(grad_output, self._output_count, "grad_output")
        mode = _arguments.flag(accumulate, "accumulate")
        self._all_reduce.call(library().martlet_model_backward, owner, given, len(given), mode)
        return self._copies("martlet_model_input_gradient", self._input_count)

    def _copies(self, function: str, count: int) -> Any:
        owner = self._open()
        found = []
        for index in range(count):
            out = _abi.martlet_view()
            getattr(library(), function)(owner, index, ctypes.byref(out))
            found.append(view(out, owner).copy())
        return found[0] if count == 1 else found

    def set_all_reduce(self, function: AllReduce | None) -> None:
        """Has the model train as one shard of a larger batch; None: alone, as at first.

        ``function(sums)`` replaces each number of a float64 array by its sum over all shards, in place. Batch norms exchange
        2C + 1 sums in a training :meth:`forward`, 2C in :meth:`backward`, and so have the statistics of all shards; the
        parameters' gradients are this shard's part. :meth:`Trainer.step` adds them up. Shards may have any number of rows,
        none as well. An exception of the function rises from the call that needed it, and nothing has changed.
        Submodels share the function, clones and files have none. It must not run this model.

        Examples
        --------
        With PyTorch's processes: ``net.set_all_reduce(lambda sums: dist.all_reduce(torch.from_numpy(sums)))``.
        """
        self._all_reduce.set(self._open(), function)

    def fit_input_normalization(self, x: Arrays, *, batch_size: int = 1024) -> None:
        """Fits every :class:`InputNormalization` layer on the whole data set ``x``, in one exact pass each."""
        inputs = describe_all(x, self._input_count, "x")
        size = _arguments.integer(batch_size, "batch_size", 1)
        library().martlet_model_fit_input_normalization(self._open(), inputs, len(inputs), size)

    # -- other models, files --

    def submodel(self, layer_names: str | Sequence[str]) -> Model:
        """Another model of the same layers whose outputs are those of the named layers; parameters and state are shared.

        It has the layers that these outputs need and no others, in a file and a copy too.
        """
        wanted = [layer_names] if isinstance(layer_names, str) else list(layer_names)
        out = ctypes.POINTER(_abi.martlet_model)()
        library().martlet_model_create_submodel(ctypes.byref(out), self._open(), names(wanted), len(wanted))
        model = _adopted(Model, out)
        model._all_reduce = self._all_reduce
        return model

    def clone(self: Self) -> Self:
        """An independent copy: parameters, state and switches included."""
        out = ctypes.POINTER(_abi.martlet_model)()
        library().martlet_model_clone(ctypes.byref(out), self._open())
        return _adopted(type(self), out)

    def fold(self, data: Arrays | None = None) -> tuple[Model, FoldingCertificate]:
        """A model for inference whose batch norms are part of the weights beside them, for good; this one is unchanged.

        ::

            into the layer before:  w' = w·m,  b' = (b − mean)·m + shift       m = scale / √(variance + epsilon)
            into the layer behind:  w' = w·m,  b' = b + Σ w·(shift − mean·m)

        The Dense or convolution before the norm is tried first; Flatten and Reshape may lie between. A missing bias is made,
        dropouts vanish. A norm stays where neither neighbour has weights, where somebody else reads its value or the layer's,
        where that is an output, and before a convolution that pads: the zeros would be shifted. The certificate says what
        became of each layer, and why.

        Parameters
        ----------
        data : array, or list of arrays for a model of several inputs, optional
            ``[rows, ...]``, finite. On it both models are compared, layer by layer, with what rounding can explain.

        Returns
        -------
        (model, FoldingCertificate)
            The model shares nothing with this one.

        Examples
        --------
        >>> import numpy as np
        >>> from martlet import BatchNorm, Dense, ReLU, Sequential
        >>> net = Sequential([Dense(3, bias=False), BatchNorm(), ReLU()], input_shape=(4,))
        >>> folded, certificate = net.fold(np.ones((1, 4)))
        >>> folded
        Sequential(Dense(3, name='0'), ReLU(name='2'))
        >>> certificate.layers[1].detail
        'folded into "0" (dense)'
        >>> certificate.within_bounds
        True
        """
        from .folding import read_certificate

        given = None if data is None else describe_all(data, self._input_count, "data")
        model = ctypes.POINTER(_abi.martlet_model)()
        folding = ctypes.POINTER(_abi.martlet_folding)()
        count = 0 if given is None else len(given)
        library().martlet_model_fold(ctypes.byref(model), ctypes.byref(folding), self._open(), given, count)
        certificate = read_certificate(Owner(folding, library().martlet_folding_destroy))
        return _adopted(type(self), model), certificate

    def check(
        self,
        x: Arrays | None = None,
        y: Arrays | None = None,
        *,
        loss: str = "cross_entropy",
        batch_size: int | None = None,
        optimizer: Rule | Optimizer | Trainer | str | None = None,
    ) -> Findings:
        """What commonly goes wrong with batch norm, found in this model: with codes, numbers and advice. ``print`` shows them.

        The model is unchanged, random state included; training is tried on a copy, without dropout. What each finding means,
        and from which number on, is in ``docs/checking.md``.

        Parameters
        ----------
        x : array, or list of arrays for a model of several inputs, optional
            ``[rows, ...]``, finite: training data, or what the model meets where it serves.
        y : array, or list of arrays for a model of several outputs, optional
            Its targets under ``loss``: adds the comparison of the losses in training and at inference.
        loss : {"cross_entropy", "mse", "bce"}, optional
        batch_size : int, optional
            Rows of the training batches.
        optimizer : SGD, Adam, AdamW, Optimizer, Trainer or str, optional
            What trains the model.

        Returns
        -------
        Findings
            A list: errors first, then warnings, then notes.

        Examples
        --------
        >>> from martlet import BatchNorm, Dense, Dropout, Sequential
        >>> net = Sequential([Dense(3), Dropout(0.5), BatchNorm()], input_shape=(4,))
        >>> net.check(batch_size=1).codes
        ['one_value_per_channel', 'dropout_before_batch_norm', 'statistics_never_updated']
        >>> print(net.check()[0].advice)
        Put the dropout behind the last batch norm, or update the population statistics after training (Li et al. 2018).
        """
        inputs = None if x is None else describe_all(x, self._input_count, "x")
        targets = None if y is None else describe_targets(y, self._output_count, "y")
        from .checking import check

        return check(self._open(), inputs, targets, loss, batch_size, optimizer)

    def save(self, path: str | bytes | os.PathLike[str]) -> None:
        """Writes the model to one safetensors file, whole or not at all.

        The file's name may have any ending but another format's: ``.h5``, ``.keras``, ``.pt``, ``.pth``, ``.onnx``, ``.npz``
        and the like.
        """
        library().martlet_model_save(self._open(), _arguments.file_path(path))

    def load_weights(
        self, path: str | bytes | os.PathLike[str], strict: bool = True, *, flatten_order: str | None = None
    ) -> LoadResult:
        """Reads parameters and state by name from any safetensors file: all of them, or (after an error) none.

        The file may be :meth:`save`'s or another library's; an architecture in it is not looked at. Float64, float16 and
        bfloat16 are converted, rounded to nearest; counters may be of any integer or floating-point type. Tensors of other
        types (such as float8) are left out with ``strict=False`` if the model does not need them.

        Parameters
        ----------
        path : path-like
            The file.
        strict : bool, optional
            As in :meth:`load_state_dict`. Shapes must fit in either case.
        flatten_order : {"channels_last", "channels_first"}, optional
            As in :meth:`load_state_dict`. If left out, a file that Martlet wrote is in Martlet's order; tensors of another
            library's file that follow a flattened image are refused.

        Returns
        -------
        LoadResult
            Names: ``missing`` from the file, ``unexpected`` in it, ``matched`` and read.

        Raises
        ------
        FileError, CorruptFileError
            The file cannot be read; it is truncated or is not a valid safetensors file.
        UnsupportedError
            The file is of another format, which the message names, or holds a tensor of a type that the model cannot take.
        InvalidArgumentError, ShapeError
            Its names, its shapes are those of another architecture: the message names the layer. The model is unchanged.
        """
        out = ctypes.POINTER(_abi.martlet_load_report)()
        flag = _arguments.flag(strict, "strict")
        order = 0 if flatten_order is None else _arguments.one_of(flatten_order, "flatten_order", FLATTEN_ORDERS)
        library().martlet_model_load_weights(ctypes.byref(out), self._open(), _arguments.file_path(path), flag, order)
        return load_result(Owner(out, library().martlet_load_report_destroy))

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        copy: Self = self.clone()  # type: ignore[attr-defined]
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            self.save(path)
            with open(path, "rb") as file:
                return _unpickled, (type(self), file.read())

    def __repr__(self) -> str:
        inner = "closed" if self.closed else ", ".join(repr(layer) for layer in self.layers)
        return f"{type(self).__name__}({inner})"


class Sequential(Model):
    """Layers one after another.

    Parameters
    ----------
    layers : list of Layer
        Layers without a name are named "0", "1", … by their place, as in ``torch.nn.Sequential``. The first item may be an
        :func:`Input`, instead of ``input_shape``.
    input_shape : tuple of int, optional
        The shape of one row.
    seed : int, optional
        Parameters are drawn from it.

    Examples
    --------
    >>> from martlet import BatchNorm, Dense, Sequential, Sigmoid
    >>> net = Sequential([Dense(100), BatchNorm(), Sigmoid(), Dense(10)], input_shape=(784,), seed=0)
    >>> list(net.parameters())
    ['0.weight', '0.bias', '1.weight', '1.bias', '3.weight', '3.bias']
    """

    def __init__(self, layers: Sequence[Layer | Node], input_shape: int | Sequence[int] | None = None, seed: int = 0) -> None:
        items = list(layers)
        first = items.pop(0) if items and isinstance(items[0], Node) else None
        assert first is None or isinstance(first, Node)
        if (first is None) == (input_shape is None):
            raise InvalidArgumentError(
                "give the shape of one row once: Sequential([...], input_shape=(784,)) or Sequential([Input((784,)), ...])"
            )
        node = start = first if first is not None else Input(input_shape)  # type: ignore[arg-type]
        for index, layer in enumerate(items):
            if not isinstance(layer, Layer):
                raise InvalidArgumentError(f"layers[{index}] must be a layer, like Dense(10); got {_arguments.shown(layer)}")
            node = layer(node)
        if node is start:
            raise InvalidArgumentError("layers must hold at least one layer")
        owner, built = build([start], [node], seed, by_place=True)
        self._adopt(owner, built)


def load(path: str | bytes | os.PathLike[str]) -> Model:
    """Reads a model from a file that :meth:`Model.save` wrote.

    Raises
    ------
    FileError
        The file cannot be read.
    UnsupportedError
        It is of another format, which the message names.
    CorruptFileError
        It is truncated or is not a valid Martlet model.
    """
    return _loaded(Model, path)


def _loaded(cls: type[Self], path: str | bytes | os.PathLike[str]) -> Self:
    out = ctypes.POINTER(_abi.martlet_model)()
    library().martlet_model_load(ctypes.byref(out), _arguments.file_path(path))
    return _adopted(cls, out)


def _adopted(cls: type[Self], pointer: Any) -> Self:
    model = cls.__new__(cls)
    model._adopt(Owner(pointer, library().martlet_model_destroy))  # type: ignore[attr-defined]
    return model


def _unpickled(cls: type[Model], contents: bytes) -> Model:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        with open(path, "wb") as file:
            file.write(contents)
        return _loaded(cls, path)


def _nodes(value: Any, name: str) -> list[Node]:
    found = list(value) if isinstance(value, (list, tuple)) else [value]
    for item in found:
        if not isinstance(item, Node):
            raise InvalidArgumentError(
                f"{name} must be made by Input(...) and by applying layers; got {_arguments.shown(item)}"
            )
    return found
