"""A ``torch.nn.Sequential`` as layers in their order. Nothing here imports PyTorch: whoever has a module has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arguments, layers
from .._errors import InvalidArgumentError, ShapeError, UnsupportedError
from ..graph import Input
from ..normalization import BatchNorm
from ._torch_layers import global_average, kind_of, layer_of, named, refuse_hooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graph import Node
    from ..layers import Layer


def network(module: Any, input_shape: Any, layout: str) -> Sequence[Layer | Node]:
    """A ``Sequential``'s input and layers."""
    if kind_of(module) != "Sequential":
        raise UnsupportedError(
            f"only a torch.nn.Sequential says in which order its modules run; got {named('', module)}. Wrap it in one, or "
            "make the model yourself under the same layer names and fill it: from_torch(module, model)"
        )
    refuse_hooks("", module)
    leaves = _leaves(module, "")
    shape = _row_shape(leaves, input_shape, layout)
    found: list[Layer] = []
    rank = len(shape)
    kinds = [kind_of(leaf) for _, leaf in leaves]
    for place, (name, leaf) in enumerate(leaves):
        kind, behind = kinds[place], kinds[place + 1 :]
        if kind.startswith("AdaptiveAvgPool"):
            found.append(global_average(name, leaf))
            if behind[:1] == ["Flatten"]:
                rank = 1
            elif rank > 1:
                shape_of_one = (1, -1) if kind == "AdaptiveAvgPool1d" else (1, 1, -1)
                found.append(layers.Reshape(shape_of_one, name=f"{name}.axes"))
            continue
        layer = layer_of(name, leaf, rank)
        if kind == "Flatten":
            if rank > 1 and not _takes_any_order(behind):
                found.append(layers.ChannelsFirst(name=f"{name}.channels_first"))
            rank = 1
        if isinstance(layer, BatchNorm) and module.training and not leaf.training:
            layer._switches = BatchNorm(normalize_with="moving", updates_moving=False)._switches
        found.append(layer)
    if not found:
        raise InvalidArgumentError("the torch.nn.Sequential holds no module that computes")
    if layout == "channels_first" and rank > 1:
        found.append(layers.ChannelsFirst(name="channels_first"))
    return [Input(shape, layout=layout if len(shape) > 1 else "channels_last"), *found]


def _takes_any_order(behind: list[str]) -> bool:
    """Whether a Linear reads the flattened values, whose columns can be put in their order, and no groups of them before."""
    return "Linear" in behind and "GroupNorm" not in behind[: behind.index("Linear")]


def _leaves(module: Any, prefix: str) -> list[tuple[str, Any]]:
    """The modules in the order they run, with their names in the state dictionary."""
    found: list[tuple[str, Any]] = []
    seen: set[int] = set()
    # Not named_children(), which leaves out a module's second place.
    for key, child in module._modules.items():
        name = prefix + key
        if id(child) in seen and list(child.parameters()):
            raise UnsupportedError(f"{named(name, child)} stands in several places, which is not converted")
        seen.add(id(child))
        refuse_hooks(name, child)
        if kind_of(child) == "Sequential":
            found.extend(_leaves(child, name + "."))
        elif kind_of(child) != "Identity":
            found.append((name, child))
    return found


def _row_shape(leaves: list[tuple[str, Any]], given: Any, layout: str) -> tuple[int, ...]:
    _arguments.one_of(layout, "layout", {"channels_last": 0, "channels_first": 1})
    name, first = next(((n, m) for n, m in leaves if _channels(m) is not None), ("", None))
    if given is None:
        if first is None or leaves[0][1] is not first or kind_of(first) != "Linear":
            raise InvalidArgumentError(
                "input_shape is needed: the shape of one row, such as (28, 28, 1), or (1, 28, 28) with layout='channels_first'"
            )
        return (first.in_features,)
    shape = tuple(_arguments.shape(given, "input_shape"))
    if first is not None and kind_of(first).startswith("Conv") and leaves[0][1] is first and len(shape) > 1:
        channels = shape[-1] if layout == "channels_last" else shape[0]
        if channels != _channels(first):
            raise ShapeError(
                f"{named(name, first)} reads {_channels(first)} channels; input_shape={shape} has {channels} in the order "
                f"of layout={layout!r}"
            )
    return shape


def _channels(module: Any) -> int | None:
    for key in ("in_features", "in_channels", "num_features"):
        if hasattr(module, key):
            return int(getattr(module, key))
    return None
