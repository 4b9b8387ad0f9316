"""The benchmarks' machinery: right answers only, turns, figures. No timing is asserted."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # for benchmarks, which is not installed

from toy_benchmark import Doubling  # noqa: E402

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import limits, reference, report  # noqa: E402
from benchmarks.cases import CASES, WrongAnswerError  # noqa: E402
from benchmarks.cases.convolution import Convolution  # noqa: E402
from benchmarks.cases.image_network import ImageNetwork  # noqa: E402
from benchmarks.cases.matrix_product import MatrixProduct  # noqa: E402
from benchmarks.cases.normalization import Normalization  # noqa: E402
from benchmarks.cases.single_row import SingleRow  # noqa: E402
from benchmarks.cases.training_step import TrainingStep  # noqa: E402
from benchmarks.libraries import LIBRARIES, Entry  # noqa: E402
from benchmarks.libraries.library import UnsupportedError  # noqa: E402
from benchmarks.limits import Limits, OfThreads  # noqa: E402
from benchmarks.process import Process, WorkerError  # noqa: E402
from benchmarks.results import Row, SecondThread, Timed  # noqa: E402
from benchmarks.runner import Runner, Settings  # noqa: E402
from benchmarks.timing import Burst, burst  # noqa: E402

IMAGES = [
    Convolution("small convolution", 1.0, batch=3, size=7, channels=4, filters=6),
    Convolution("small convolution by 2", 1.0, batch=3, size=8, channels=4, filters=6, stride=2, training=True),
    Convolution("small 1×1 by 2", 1.0, batch=3, size=8, channels=4, filters=6, kernel=1, stride=2, training=True),
    ImageNetwork("small CNN", 1.0, shape=(10, 10, 2), batch=6),
    ImageNetwork("small CNN, inference", 1.0, shape=(10, 10, 2), batch=3, training=False),
    ImageNetwork("small ResNet-20", 1.0, model="resnet20", shape=(12, 12, 3), batch=6),
    ImageNetwork("small ResNet-20, inference", 1.0, model="resnet20", shape=(12, 12, 3), batch=1, training=False),
]
SMALL = [
    TrainingStep("small SGD", 1.0, width=12, depth=2, batch=9),
    TrainingStep("small Adam", 1.0, width=12, batch=9, activation="relu", optimizer="adam", learning_rate=1e-3),
    Normalization("small dense", 1.0, shape=(30, 7)),
    Normalization("small inference", 1.0, shape=(30, 7), training=False),
    Normalization("small images", 1.0, shape=(3, 5, 4, 6)),
    Normalization("small images, ReLU", 1.0, shape=(3, 5, 4, 6), relu=True),
    SingleRow("small row", 1.0, width=12),
    MatrixProduct("small product", 1.0, rows=5, columns=7, depth=9, transposed_a=True, transposed_b=True),
    *IMAGES,
]


def entry(name: str) -> Entry:
    return Entry(f"toy_benchmark:{name}")


def settings(**libraries: str) -> Settings:
    entries = {name: entry(value) for name, value in libraries.items()}
    return Settings(rounds=3, seconds=0.001, libraries=entries, python_path=str(HERE))


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_ours_agrees_with_the_reference(case):
    from benchmarks.libraries.ours import Martlet

    library = Martlet(1)
    makers = library.makers(case)
    assert makers
    for make in makers.values():
        try:
            contender = make()
        except UnsupportedError as error:
            pytest.skip(str(error))
        assert case.check(contender.answer(), case.reference()) <= 1
        contender.run()


#: Library → which ways it must have of a convolution, and which of a network of them.
IMAGE_PEERS = {
    "torch": ({"channels first", "channels last"}, {"eager channels first", "compile channels last"}),
    "jax": ({"jit"}, {"jit"}),
    "tensorflow": ({"graph", "xla"}, {"graph", "xla"}),
    "onnxruntime": ({"run", "bound"}, {"run", "bound"}),
}


@pytest.mark.parametrize("case", IMAGES, ids=lambda case: case.name)
@pytest.mark.parametrize("name", IMAGE_PEERS)
def test_peers_agree_on_images(name, case):
    """In a worker, as when they are timed: two of them in one process disturb each other."""
    for module in ("onnx", name) if name == "onnxruntime" else (name,):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"a peer: {module} is not installed")
    process = Process(name, LIBRARIES[name], 1, python_path=str(HERE))
    try:
        variants = process.ask("variants", case)
        if name == "onnxruntime" and case.training:
            assert variants == []
        else:
            assert IMAGE_PEERS[name][isinstance(case, ImageNetwork)] <= set(variants)
        for variant in variants:
            if "compile" not in variant:  # that takes a C++ compiler, and minutes
                assert process.ask("prepare", variant) <= 1
    finally:
        process.close()


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_wrong_answers_are_refused(case):
    right = case.reference()
    case.check(right, right)
    for output, value in right.items():
        before = case.parameters()[output] if isinstance(case, TrainingStep) and output != "loss" else 0
        with pytest.raises(WrongAnswerError, match=output):
            case.check({**right, output: before + 1.1 * (value - before)}, right)
        with pytest.raises(WrongAnswerError, match=output):
            case.check({**right, output: np.full(np.shape(value), np.nan)}, right)
        with pytest.raises(WrongAnswerError, match="shape"):
            case.check({**right, output: np.zeros((2, 2, 2))}, right)
        with pytest.raises(WrongAnswerError, match="missing"):
            case.check({name: other for name, other in right.items() if name != output}, right)


def test_reference_gradients_are_derivatives(rng):
    case = TrainingStep("derivatives", 1.0, width=4, depth=2, batch=6)
    given = case.data()
    x, labels = given.pop("x"), given.pop("labels")
    given = {name: value.astype(np.float64) for name, value in given.items()}
    _, found, _ = reference.gradients(given, x, labels, case.depth, "sigmoid")
    for name, gradient in found.items():
        direction = rng.normal(size=gradient.shape)
        losses = [
            reference.gradients({**given, name: given[name] + step * direction}, x, labels, case.depth, "sigmoid")[0]
            for step in (1e-5, -1e-5)
        ]
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(float((gradient * direction).sum()), rel=1e-5, abs=1e-9)


def test_turns_ratios_and_refusals():
    said: list[str] = []
    chosen = settings(martlet="Right", peer="Right", wrong="Wrong", choosy="Choosy", dying="Dying", absent="Absent")
    machine = Limits({1: OfThreads(1.0)}, "none")
    with Runner(chosen, 1, machine, said.append).running() as runner:
        (row,) = runner.run(Doubling("toy doubling", goal=1e9))
    assert runner.versions["peer"] == "1.0, 1 threads"
    assert {peer.name for peer in row.peers} >= {row.best.name}
    assert {peer.name for peer in row.peers} <= {"peer", "wrong right"}
    assert len(row.ours.bursts) == 3
    assert row.ratio.low <= row.ratio.median <= row.ratio.high
    assert row.met
    assert row.share_of_limit > 0
    words = "\n".join(said)
    assert "wrong nearly: WRONG ANSWER, not timed: y is off by" in words
    assert "choosy: skipped: it cannot double" in words
    assert "dying: failed" in words
    assert "absent: skipped" in words
    assert "toy doubling" in report.line(row)
    assert json.loads(json.dumps(row.as_json()))["met"] is True


def test_second_thread_beside_copies():
    with Runner(settings(martlet="Right"), 2, Limits({}, "none"), print).running() as runner:
        (row,) = runner.run(Doubling("toy doubling", goal=1.0))
    assert len(row.second_thread.gain) == 3
    assert row.second_thread.share.low > 0
    assert row.best is None
    assert row.met is None
    assert report.second_table([row])[-1].startswith("| toy doubling |")


def test_a_contender_is_not_timed_unchecked():
    process = Process("toy", entry("Wrong"), 1, python_path=str(HERE))
    try:
        assert process.ask("variants", Doubling("toy doubling", goal=1.0)) == ["nearly", "right"]
        with pytest.raises(WorkerError, match="not checked"):
            process.burst("right", 0.001, 1)
        with pytest.raises(WorkerError, match="off by"):
            process.ask("prepare", "nearly")
        with pytest.raises(WorkerError, match="not checked"):
            process.burst("nearly", 0.001, 1)
        process.ask("prepare", "right")
        assert process.burst("right", 0.001, 4).calls >= 4
    finally:
        process.close()


def test_burst_counts_its_calls():
    calls: list[int] = []
    found = burst(lambda: calls.append(1), 0.0, 5)
    assert found.calls == 5
    assert len(calls) == 6  # one fills the caches
    assert 0 < found.minimum <= found.median


def test_ratio_is_taken_round_by_round():
    def timed(name: str, *medians: float) -> Timed:
        return Timed(name, "", [Burst(1, median, median, 1.0) for median in medians])

    row = Row("case", 1, timed("martlet", 1.0, 4.0, 1.0), [timed("a", 2.0, 8.0, 4.0), timed("b", 9.0, 9.0, 9.0)], 0.5, 0.9, 0.5)
    assert row.best.library == "a"
    assert row.ratio == (0.5, 0.25, 0.5)
    assert row.share_of_limit == 0.5
    assert row.met is False  # the ratio is; the share of the limit is not
    second = SecondThread()
    second.add(Burst(1, 2.0, 2.0, 1.0), (Burst(1, 2.0, 2.0, 1.0), Burst(1, 4.0, 4.0, 1.0)), Burst(1, 1.0, 1.0, 2.0))
    assert second.gain == [2.0]
    assert second.gain_of_copies == [1.5]


@pytest.mark.parametrize("has_compiler", [True, False])
def test_limits_are_positive(monkeypatch, has_compiler):
    if not has_compiler:
        monkeypatch.setattr(limits, "compiler", lambda: None)
    elif limits.compiler() is None:
        pytest.skip("no C compiler")
    monkeypatch.setattr(limits, "SIZES", (32 << 10, 1 << 20))
    found = limits.measure((1,), quick=True)
    assert found.operations(1) > 0
    for size in (1, 100 << 10, 1 << 30):
        assert found.read(1, size) > 0
        assert found.copy(1, size) > 0
    assert len(found.lines()) == 5
    assert found.change(found) == 0
    json.dumps(found.as_json())


def test_bounds_of_convolutions():
    machine = Limits({1: OfThreads(2.0, {"copy": {1: 4.0}})}, "invented: a multiply-add and a float a second")
    case = Convolution("by 2", 1.0, batch=3, size=8, channels=4, filters=6, stride=2)
    x, weight, y = 3 * 8 * 8 * 4, 9 * 4 * 6, 3 * 4 * 4 * 6
    assert case.bounds(machine, 1) == {"arithmetic": y * 9 * 4, "memory": x + weight + y}
    training = replace(case, training=True).bounds(machine, 1)
    assert training == {"arithmetic": 3 * y * 9 * 4, "memory": 3 * x + 3 * weight + 2 * y}
    net = ImageNetwork("a CNN", 1.0, shape=(8, 8, 1), batch=2, training=False)
    # Images of 8×8, 4×4 and 2×2, then 2·2·128 values to 10.
    taps = [64 * 9 * 32, 16 * 9 * 32 * 64, 4 * 9 * 64 * 128, 512 * 10]
    crossings = [64 * (1 + 32), 16 * (32 + 64), 4 * (64 + 128)]
    assert net.bounds(machine, 1) == {"arithmetic": 2 * sum(taps), "memory": 2 * sum(crossings)}
    more = [64 * (1 + 2 * 32), 16 * (2 * 32 + 2 * 64), 4 * (2 * 64 + 2 * 128)]
    assert replace(net, training=True).bounds(machine, 1) == {
        "arithmetic": 2 * (3 * sum(taps) - taps[0]),
        "memory": 2 * (sum(crossings) + sum(more)),
    }


def test_a_row_says_what_limits_it():
    ours = Timed("martlet", "", [Burst(1, 1.0, 1.0, 1.0)])
    row = Row("case", 1, ours, [], 1.0, None, 0.5, None, {"arithmetic": 0.25, "memory": 0.5})
    assert row.limited_by == "memory"
    assert report.line(row).endswith("| 50% memory |")
    assert row.as_json()["limited_by"] == "memory"
    assert Row("case", 1, ours, [], 1.0, None, 0.5).limited_by == ""


def test_every_workload_has_a_limit_and_is_found_by_its_group():
    machine = Limits({1: OfThreads(1e11, {kind: {1 << 20: 1e10} for kind in ("read", "write", "copy")})}, "invented")
    for case in CASES:
        bounds = case.bounds(machine, 1)
        assert bounds.keys() <= {"arithmetic", "memory"}
        assert case.limit_seconds(machine, 1) >= max(bounds.values()) > 0
        assert case in command.chosen([case.group])
    assert {case.group for case in command.chosen(["w3"])} == {"W3"}
    assert [case.name for case in command.chosen(["14×14 training, relu"])] == ["W4 32×256×14×14 training, ReLU"]
    assert len({case.name for case in CASES}) == len(CASES)
