"""The libraries, one file each. Importing this imports none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


def thread_variables(threads: int) -> dict[str, str]:
    """The environment variables that libraries read at their start; ``NPROC`` is XLA's."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MARTLET_NUM_THREADS", "NPROC")
    return {name: str(threads) for name in names}


def _xla(threads: int) -> dict[str, str]:
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""}


def _tensorflow(onednn: str) -> Callable[[int], dict[str, str]]:
    common = {"TF_ENABLE_ONEDNN_OPTS": onednn, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return lambda threads: {**common, **_xla(threads)}


class Entry(NamedTuple):
    """Where a library is: ``module:class``, and the environment (by number of threads) that its process starts with."""

    specification: str
    environment: Callable[[int], dict[str, str]] = lambda threads: {}


#: The one that the others are compared with.
OURS = "martlet"

#: By name. Some choices hold for a whole process: then a library has two entries.
LIBRARIES: dict[str, Entry] = {
    OURS: Entry("benchmarks.libraries.ours:Martlet"),
    "numpy": Entry("benchmarks.libraries.numpy_peer:NumPy"),
    "torch": Entry("benchmarks.libraries.torch_peer:Torch"),
    "jax": Entry("benchmarks.libraries.jax_peer:Jax", _xla),
    "tensorflow": Entry("benchmarks.libraries.tensorflow_peer:TensorFlow", _tensorflow("0")),
    "tensorflow-onednn": Entry("benchmarks.libraries.tensorflow_peer:TensorFlowOneDNN", _tensorflow("1")),
    "onnxruntime": Entry("benchmarks.libraries.onnxruntime_peer:ONNXRuntime"),
}
