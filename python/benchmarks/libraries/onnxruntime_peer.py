"""ONNX Runtime: inference only."""

from __future__ import annotations

from typing import Any, ClassVar

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..cases.convolution import Convolution
from ..cases.image_network import CLASSES, ImageNetwork
from ..cases.normalization import Normalization, channels_first, channels_last
from ..cases.single_row import SingleRow
from .library import Contender, Library, Makers
from .onnx_images import image_network

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid"}


def _channels_last(found: Contender) -> Contender:
    return Contender(lambda: {"y": channels_last(found.answer()["y"])}, found.run)


class ONNXRuntime(Library):
    """All graph optimisations on; called plainly, and with inputs and outputs bound in advance."""

    name: ClassVar[str] = "onnxruntime"

    def version(self) -> str:
        return str(onnxruntime.__version__)

    def _ways(self, nodes: list[Any], constants: dict[str, Any], x: Any, shape: tuple[int, ...]) -> Makers:
        """``shape``: of y."""

        def session() -> Any:
            graph = helper.make_graph(
                nodes,
                "benchmark",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(shape))],
                [numpy_helper.from_array(value, name) for name, value in constants.items()],
            )
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
            onnx.checker.check_model(model)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

        def plain() -> Contender:
            ready = session()

            def run() -> Any:
                return ready.run(["y"], {"x": x})[0]

            return Contender(lambda: {"y": run()}, run)

        def bound() -> Contender:
            ready = session()
            binding = ready.io_binding()
            binding.bind_cpu_input("x", x)
            binding.bind_output("y", "cpu")

            def run() -> Any:
                ready.run_with_iobinding(binding)

            def answer() -> dict[str, Any]:
                run()
                return {"y": binding.copy_outputs_to_cpu()[0]}

            return Contender(answer, run)

        return {"run": plain, "bound": bound}

    def normalization(self, case: Normalization) -> Makers:
        if case.training or case.is_image:
            return {}
        data = case.data()
        names = ("scale", "shift", "mean", "variance")
        node = helper.make_node("BatchNormalization", ["x", *names], ["y"], epsilon=1e-5)
        return self._ways([node], {name: data[name] for name in names}, data["x"], case.shape)

    def convolution(self, case: Convolution) -> Makers:
        if case.training:
            return {}
        data = case.data()
        node = helper.make_node("Conv", ["x", "weight"], ["y"], pads=[case.padding] * 4, strides=[case.stride] * 2)
        shape = (case.batch, case.filters, case.out_size, case.out_size)
        ways = self._ways([node], {"weight": data["weight"]}, channels_first(data["x"]), shape)
        return {way: lambda make=make: _channels_last(make()) for way, make in ways.items()}  # type: ignore[misc]

    def image_network(self, case: ImageNetwork) -> Makers:
        if case.training:
            return {}
        constants = case.data()
        x, _ = channels_first(constants.pop("x")), constants.pop("labels")
        return self._ways(image_network(case, constants), constants, x, (case.batch, CLASSES))

    def single_row(self, case: SingleRow) -> Makers:
        constants = case.data()
        x = constants.pop("x")
        nodes, last = [], "x"
        for layer in range(case.depth):
            dense, norm, out = 3 * layer, 3 * layer + 1, 3 * layer + 2
            nodes.append(helper.make_node("Gemm", [last, f"{dense}.weight"], [f"{dense}"], transB=1))
            statistics = [f"{norm}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
            nodes.append(helper.make_node("BatchNormalization", [f"{dense}", *statistics], [f"{norm}"], epsilon=1e-5))
            nodes.append(helper.make_node(_ACTIVATIONS[case.activation], [f"{norm}"], [f"{out}"]))
            last = f"{out}"
        head = 3 * case.depth
        nodes.append(helper.make_node("Gemm", [last, f"{head}.weight", f"{head}.bias"], ["y"], transB=1))
        return self._ways(nodes, constants, x, (1, constants[f"{head}.bias"].shape[0]))
