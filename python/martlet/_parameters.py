"""What a model holds: its parameters and state, read, written, and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import _arguments
from ._array import Array
from ._handle import Handle
from ._library import library
from ._tensors import LoadResult, read_in_order, set_tensors, tensors, value_view

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ModelTensors(Handle):
    """The part of :class:`Model` that is about parameters and state."""

    def parameters(self) -> dict[str, Array]:
        """Name → the parameter itself: a writable view, without a copy, that keeps the memory alive.

        Whoever holds a view may write to it at any time. So from then on :meth:`predict` prepares these parameters anew in
        every call, which single rows feel most. To read, use :meth:`state_dict`; to write, :meth:`load_state_dict`.
        """
        return self._views("", parameters=True)

    def _views(self, prefix: str, *, parameters: bool) -> dict[str, Array]:
        owner = self._open()
        return {
            tensor.name: value_view(owner, tensor)
            for tensor in tensors(owner)
            if tensor.is_parameter == parameters and tensor.name.startswith(prefix)
        }

    def gradients(self) -> dict[str, Array]:
        """Name → the parameter's gradient itself, as :meth:`parameters`."""
        return {tensor.name: tensor.gradient for tensor in tensors(self._open()) if tensor.gradient is not None}

    def state(self) -> dict[str, Array]:
        """Name → what is kept beside the parameters (moving statistics), as :meth:`parameters`."""
        return self._views("", parameters=False)

    def state_dict(self, *, flatten_order: str = "channels_last") -> dict[str, Array]:
        """Copies of all parameters and state, under the names of PyTorch's state dictionaries (``"0.weight"``).

        Parameters
        ----------
        flatten_order : {"channels_last", "channels_first"}, optional
            Where a flattened image has its channels, which the columns of the :class:`Dense` behind it follow:
            ``"channels_last"``, ``(H, W, C)``, as here and in Keras; ``"channels_first"``, ``(C, H, W)``, for PyTorch.
            :func:`~martlet.converters.to_torch_state_dict` makes tensors of PyTorch's own.
        """
        owner = self._open()
        return {tensor.name: read_in_order(owner, tensor, flatten_order) for tensor in tensors(owner)}

    def load_state_dict(
        self, state_dict: Mapping[str, ArrayLike], strict: bool = True, *, flatten_order: str | None = None
    ) -> LoadResult:
        """Writes parameters and state: all of them, or (after an error) none.

        Parameters
        ----------
        state_dict : mapping of str to array
            As from :meth:`state_dict`, a safetensors reader, or PyTorch.
        strict : bool, optional
            Whether every tensor of the model must be there and no other (batch counters may be missing). Otherwise what
            is missing stays, and what is unknown is left out; but if not one name is the model's, that is an error.
        flatten_order : {"channels_last", "channels_first"}, optional
            Where a flattened image has its channels in the network that the tensors are of: ``"channels_last"``, as here and in
            Keras, or ``"channels_first"``, as in PyTorch: what follows a flattened image is rearranged. If left out, arrays
            are taken as they are, and PyTorch's tensors of a layer where it matters are refused. PyTorch's values in NumPy
            arrays cannot be told from others: say ``"channels_first"`` for them.

        Raises
        ------
        InvalidArgumentError
            Names that do not fit. Statistics that are not finite, negative variances and counters: with tensor, channel, value.
        ShapeError
            A tensor of another shape.
        """
        return set_tensors(self._open(), state_dict, bool(_arguments.flag(strict, "strict")), flatten_order)

    def trainable(self) -> dict[str, bool]:
        """Parameter name → whether an optimizer changes it."""
        return {tensor.name: tensor.trainable for tensor in tensors(self._open()) if tensor.is_parameter}

    def set_trainable(self, name: str, trainable: bool) -> None:
        """Sets whether optimizers change the named parameter, or all parameters of the named layer. Kept with the model."""
        chosen = [known for known in self.trainable() if known == name or known.startswith(f"{name}.")]
        value = _arguments.flag(trainable, "trainable")
        for known in chosen or [name]:
            library().martlet_model_set_trainable(self._open(), _arguments.text(known, "name"), value)
