"""PyTorch: eager, torch.compile, channels_last, TorchScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as functional

from ..cases.convolution import Convolution
from ..cases.image_network import LEARNING_RATE, ImageNetwork
from ..cases.matrix_product import MatrixProduct
from ..cases.normalization import Normalization, channels_first, channels_last
from ..cases.single_row import SingleRow
from ..cases.training_step import CLASSES, INPUTS, TrainingStep
from .library import Contender, Library, Makers
from .torch_images import image_network

_ACTIVATIONS = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}


def network(width: int, depth: int, activation: str, parameters: dict[str, Any]) -> Any:
    """The network of W1, W2 and W7."""
    layers: list[Any] = []
    features = INPUTS
    for _ in range(depth):
        layers += [torch.nn.Linear(features, width, bias=False), torch.nn.BatchNorm1d(width), _ACTIVATIONS[activation]()]
        features = width
    net = torch.nn.Sequential(*layers, torch.nn.Linear(features, CLASSES))
    counters = {f"{3 * layer + 1}.num_batches_tracked": torch.tensor(0) for layer in range(depth)}
    net.load_state_dict({**{name: torch.tensor(value) for name, value in parameters.items()}, **counters})
    return net


class Torch(Library):
    """Its own kernels, oneDNN's and MKL's."""

    name: ClassVar[str] = "torch"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)

    def version(self) -> str:
        return f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"

    def forget(self) -> None:
        torch.compiler.reset()  # else a second shape is compiled for any shape, and slower

    def training_step(self, case: TrainingStep) -> Makers:
        return {"eager": lambda: self._training_step(case), "compile": lambda: self._training_step(case, compiled=True)}

    def _training_step(self, case: TrainingStep, compiled: bool = False) -> Contender:
        parameters = case.data()
        x, labels = torch.tensor(parameters.pop("x")), torch.tensor(parameters.pop("labels"))
        net = network(case.width, case.depth, case.activation, parameters).train()
        rule: Any = torch.optim.SGD if case.optimizer == "sgd" else torch.optim.Adam
        optimizer = rule(net.parameters(), lr=case.learning_rate, fused=True)
        loss_of: Callable[[Any, Any], Any] = lambda x, labels: functional.cross_entropy(net(x), labels)  # noqa: E731
        if compiled:
            loss_of = torch.compile(loss_of, dynamic=False)

        def step() -> Any:
            optimizer.zero_grad()
            loss = loss_of(x, labels)
            loss.backward()
            optimizer.step()
            return loss

        def answer() -> dict[str, Any]:
            loss = step().item()
            return {"loss": loss, **{name: value.numpy().copy() for name, value in net.state_dict().items()}}

        return Contender(answer, step)

    def normalization(self, case: Normalization) -> Makers:
        makers: Makers = {}
        for layout in ("channels first", "channels last") if case.is_image else ("",):
            for compiled in (False, True):
                name = " ".join(filter(None, ("compile" if compiled else "eager", layout)))
                makers[name] = lambda layout=layout, compiled=compiled: self._normalization(case, layout, compiled)  # type: ignore[misc]
        return makers

    def _normalization(self, case: Normalization, layout: str, compiled: bool) -> Contender:
        data = case.data()

        def to(a: Any) -> Any:
            if not case.is_image:
                return torch.tensor(a)
            first = torch.tensor(channels_first(a))
            return first.contiguous(memory_format=torch.channels_last) if layout == "channels last" else first

        def back(a: Any) -> Any:
            return channels_last(a.detach().numpy())

        x, dy = to(data["x"]), to(data["dy"])
        scale, shift = torch.tensor(data["scale"]), torch.tensor(data["shift"])
        if not case.training:
            mean, variance = torch.tensor(data["mean"]), torch.tensor(data["variance"])
            infer: Callable[[], Any] = lambda: functional.batch_norm(x, mean, variance, scale, shift)  # noqa: E731
            infer = torch.compile(infer, dynamic=False) if compiled else infer

            def run() -> Any:
                with torch.inference_mode():
                    return infer()

            return Contender(lambda: {"y": back(run())}, run)
        for tensor in (x, scale, shift):
            tensor.requires_grad_()

        def forward(x: Any, scale: Any, shift: Any) -> Any:
            y = functional.batch_norm(x, None, None, scale, shift, training=True)
            return functional.relu(y) if case.relu else y

        work = torch.compile(forward, dynamic=False) if compiled else forward

        def train() -> Any:
            y = work(x, scale, shift)
            return y, *torch.autograd.grad(y, [x, scale, shift], dy)

        def answer() -> dict[str, Any]:
            y, dx, dscale, dshift = train()
            return {"y": back(y), "dx": back(dx), "dscale": dscale.numpy(), "dshift": dshift.numpy()}

        return Contender(answer, train)

    def convolution(self, case: Convolution) -> Makers:
        return {layout: lambda layout=layout: self._convolution(case, layout) for layout in ("channels first", "channels last")}  # type: ignore[misc]

    def _convolution(self, case: Convolution, layout: str) -> Contender:
        data = case.data()
        memory = torch.channels_last if layout == "channels last" else torch.contiguous_format
        x = torch.tensor(channels_first(data["x"])).contiguous(memory_format=memory)
        weight = torch.tensor(data["weight"]).contiguous(memory_format=memory)

        def forward() -> Any:
            return functional.conv2d(x, weight, None, case.stride, case.padding)

        if not case.training:

            def infer() -> Any:
                with torch.inference_mode():
                    return forward()

            return Contender(lambda: {"y": channels_last(infer().numpy())}, infer)
        x.requires_grad_()
        weight.requires_grad_()
        dy = torch.tensor(channels_first(data["dy"])).contiguous(memory_format=memory)

        def train() -> Any:
            return torch.autograd.grad(forward(), [x, weight], dy)

        def answer() -> dict[str, Any]:
            dx, dweight = train()
            return {"dx": channels_last(dx.numpy()), "dweight": dweight.numpy()}

        return Contender(answer, train)

    def image_network(self, case: ImageNetwork) -> Makers:
        makers: Makers = {}
        for layout in ("channels first", "channels last"):
            for compiled in (False, True):
                name = f"{'compile' if compiled else 'eager'} {layout}"
                makers[name] = lambda layout=layout, compiled=compiled: self._image_network(case, layout, compiled)  # type: ignore[misc]
        return makers

    def _image_network(self, case: ImageNetwork, layout: str, compiled: bool) -> Contender:
        data = case.data()
        memory = torch.channels_last if layout == "channels last" else torch.contiguous_format
        x = torch.tensor(channels_first(data["x"])).contiguous(memory_format=memory)
        labels = torch.tensor(data["labels"])
        net: Any = image_network(case, data).to(memory_format=memory).train(case.training)
        if not case.training:
            ready = torch.compile(net, dynamic=False) if compiled else net

            def infer() -> Any:
                with torch.inference_mode():
                    return ready(x)

            return Contender(lambda: {"y": infer().numpy()}, infer)
        optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, fused=True)
        loss_of: Callable[[Any, Any], Any] = lambda x, labels: functional.cross_entropy(net(x), labels)  # noqa: E731
        if compiled:
            loss_of = torch.compile(loss_of, dynamic=False)

        def step() -> Any:
            optimizer.zero_grad()
            loss = loss_of(x, labels)
            loss.backward()
            optimizer.step()
            return loss

        return Contender(lambda: {"loss": step().item()}, step)

    def single_row(self, case: SingleRow) -> Makers:
        return {way: lambda way=way: self._single_row(case, way) for way in ("eager", "jit", "compile")}  # type: ignore[misc]

    def _single_row(self, case: SingleRow, way: str) -> Contender:
        parameters = case.data()
        x = torch.tensor(parameters.pop("x"))
        net = network(case.width, case.depth, case.activation, parameters).eval()
        if way == "jit":
            with torch.inference_mode():
                net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
        elif way == "compile":
            net = torch.compile(net, dynamic=False)

        def run() -> Any:
            with torch.inference_mode():
                return net(x)

        return Contender(lambda: {"y": run().numpy()}, run)

    def matrix_product(self, case: MatrixProduct) -> Makers:
        def make() -> Contender:
            data = case.data()
            a, b = torch.tensor(data["a"]), torch.tensor(data["b"])
            a, b = (a.t() if case.transposed_a else a), (b.t() if case.transposed_b else b)
            out = torch.empty(case.rows, case.columns)
            return Contender(lambda: {"c": torch.mm(a, b).numpy()}, lambda: torch.mm(a, b, out=out))

        return {"mm": make}
