"""The same network in PyTorch: made of the layers that the library's model tells of itself, with its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import Model
from .._array import Array
from .._errors import UnsupportedError
from .experiment import Settings


def is_available() -> bool:
    """Whether PyTorch is installed."""
    import importlib.util

    return importlib.util.find_spec("torch") is not None


def version() -> str:
    """With the instruction set that it chose."""
    import torch

    return f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"


class TorchLearner:
    """A model's copy in eager PyTorch.

    Parameters
    ----------
    layout : {"channels_first", "channels_last"}
        How images lie in memory.
    """

    def __init__(self, net: Model, settings: Settings, layout: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._torch = torch
        self.label = f"torch {torch.__version__.split('+')[0]} {layout}"
        self._format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        described = json.loads(net.architecture)
        self._nodes = [(node.get("layer"), node.get("from", [])) for node in described["nodes"]]
        self._output = described["outputs"][0]
        self._layers = torch.nn.ModuleDict()
        self._calls: list[Callable[..., Any]] = []
        state = net.state_dict()
        for layer in described["layers"]:
            self._calls.append(self._call(layer["name"], layer["kind"], layer["options"], state))
        self._layers.to(memory_format=self._format)
        weights = [value for value in self._layers.parameters() if value.ndim > 1]
        others = [value for value in self._layers.parameters() if value.ndim <= 1]
        self._optimizer = torch.optim.SGD(
            [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=0.0,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
            fused=True,  # one pass over each parameter, as ours
        )

    def _call(self, name: str, kind: str, options: dict[str, Any], state: dict[str, Array]) -> Callable[..., Any]:
        """A layer as a function of tensors, images channels first."""
        torch = self._torch
        functional = torch.nn.functional
        if kind in ("conv2d", "dense", "batch_norm"):
            module = _module(torch, kind, options, state[f"{name}.weight"].shape)
            # A module's name has no dot.
            self._layers[name.replace(".", "/")] = module
            own = {key.rsplit(".", 1)[1]: value for key, value in state.items() if key.rsplit(".", 1)[0] == name}
            own.pop("num_batches_skipped", None)
            module.load_state_dict({key: torch.tensor(np.asarray(value)) for key, value in own.items()})
            return module  # type: ignore[no-any-return]
        if kind in ("max_pool2d", "avg_pool2d") and options["padding"] == "valid":
            pool = functional.max_pool2d if kind == "max_pool2d" else functional.avg_pool2d
            return lambda x: pool(x, options["size"], options["strides"])
        known: dict[str, Callable[..., Any]] = {
            "relu": functional.relu,
            "flatten": lambda x: _rows(x).flatten(1),
            "reshape": lambda x: _image(_rows(x).reshape(x.shape[0], *options["shape"])),
            "zero_pad2d": lambda x: functional.pad(x, [side for pair in reversed(options["padding"]) for side in pair]),
            "global_avg_pool2d": lambda x: x.mean((2, 3)),
            "add": lambda *x: sum(x[1:], x[0]),
        }
        if kind not in known:
            raise UnsupportedError(f'the comparison with PyTorch has no "{kind}" like that of layer "{name}"')
        return known[kind]

    def _forward(self, x: Any) -> Any:
        values: list[Any] = []
        for layer, inputs in self._nodes:
            values.append(x if layer is None else self._calls[layer](*(values[place] for place in inputs)))
        return values[self._output]

    def _input(self, x: Array) -> Any:
        return _image(self._torch.from_numpy(x)).contiguous(memory_format=self._format)

    def step(self, x: Array, y: Array, learning_rate: float) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._layers.train()
        self._optimizer.zero_grad()
        loss = self._torch.nn.functional.cross_entropy(self._forward(self._input(x)), self._torch.from_numpy(y))
        loss.backward()
        self._optimizer.step()
        return float(loss.item())

    def accuracy(self, x: Array, y: Array) -> float:
        self._layers.eval()
        right = 0
        with self._torch.no_grad():
            for start in range(0, len(x), 1000):
                found = self._forward(self._input(x[start : start + 1000])).argmax(1).numpy()
                right += int((found == y[start : start + 1000]).sum())
        return right / len(x)


def _module(torch: Any, kind: str, options: dict[str, Any], shape: tuple[int, ...]) -> Any:
    if kind == "dense":
        return torch.nn.Linear(shape[1], shape[0], bias=options["bias"])
    if kind == "batch_norm":
        # PyTorch's momentum is the weight of the new batch; both norms are one layer there, named after its inputs.
        norm = _norm(torch)
        return norm(shape[0], eps=options["epsilon"], momentum=1 - options["momentum"])
    groups, padding = options["groups"], options["padding"]
    if not isinstance(padding, str):
        (top, bottom), (left, right) = padding
        if (top, left) != (bottom, right):
            raise UnsupportedError("the comparison with PyTorch has no convolution with more padding on one side")
        padding = (top, left)
    return torch.nn.Conv2d(
        shape[1] * groups,
        shape[0],
        options["kernel_size"],
        options["strides"],
        padding,
        options["dilation"],
        groups,
        options["bias"],
    )


def _norm(torch: Any) -> Any:
    """Batch norm of rows and of images alike."""

    class Norm(torch.nn.BatchNorm2d):  # type: ignore[misc]
        def _check_input_dim(self, input: Any) -> None:
            pass

    return Norm


def _rows(x: Any) -> Any:
    """Channels last, as the library's rows are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def _image(x: Any) -> Any:
    """Channels first, as PyTorch's images are."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x
