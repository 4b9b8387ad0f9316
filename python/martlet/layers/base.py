"""What all layers are: a description with options, applied to nodes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from .. import _arguments
from .._attributes import FixedAttributes
from .._errors import InvalidArgumentError, InvalidStateError
from ..graph import Node

if TYPE_CHECKING:
    from .._array import Array
    from ..graph import Graph
    from ..model import Model


class Layer(FixedAttributes):
    """Base of all layers.

    Attributes
    ----------
    name : str or None
        Unique in its model; prefix of its tensors' names. A model names layers that have none.
    kind : str
        The library's name of the kind.
    """

    kind: ClassVar[str] = ""
    _instead_of_assigning = "Give the option when the layer is made"
    _model: weakref.ReferenceType[Model] | None = None

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            _arguments.text(name, "name")
        self.name = name
        #: The arguments that make this layer again, beside its name.
        self._arguments: dict[str, Any] = {}

    def __call__(self, x: Node) -> Node:
        """This layer applied to a node: a new node.

        Called again, it is the same layer in another place: one set of parameters, whose gradients add up.
        """
        if not isinstance(x, Node):
            raise InvalidArgumentError(
                f"a layer is applied to an Input or to another layer's result; got a {type(x).__name__}. "
                "To compute with arrays make a model: Sequential([...]) or Model(inputs, outputs)"
            )
        return Node(self, (x,))

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        """Adds this layer to the library's graph; a layer of one input gets one node."""
        return graph.add(self.kind, name, *nodes)

    def _bind(self, model: Model, name: str) -> None:
        object.__setattr__(self, "name", name)
        self._model = weakref.ref(model)

    def _drop_bias(self) -> None:
        """Says what the library did to this layer: it is one without a bias."""
        object.__setattr__(self, "bias", False)
        self._arguments["bias"] = False

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

    def __getstate__(self) -> dict[str, Any]:
        """A copy is a description that is part of no model: it can be used in another one."""
        return {key: value for key, value in vars(self).items() if key != "_model"}

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
