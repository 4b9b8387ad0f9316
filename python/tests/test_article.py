"""The article's claims: how verdicts follow from rules, what is measured, and each experiment from start to page."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

import martlet
from martlet.__main__ import main
from martlet.article import EXPERIMENTS, Check, Context, Result, page, scale_and_shift, spread
from martlet.article.covariate_shift import Drift
from martlet.article.headline import Case, Pair, label, learning_rates
from martlet.article.inference_statistics import _own_statistics
from martlet.article.raw_inputs import Regression
from martlet.article.scale_and_shift import restored
from martlet.article.simultaneous_learning import Progress
from martlet.article.training import Curve, Network, batch_statistics, curve, held_out, spaced, train
from martlet.data import Dataset


@pytest.fixture
def data(rng):
    x = rng.normal(size=(500, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    return Dataset("a made-up set", x[:400], y[:400], x[400:], y[400:])


def result(*outcomes):
    return Result("a", "b", "c", "d", (), (), [Check("rule", outcome) for outcome in outcomes])


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([(True, True), (True,)], "held"),
        ([(False, False), (False,)], "did not hold"),
        ([(True, False)], "mixed"),
        ([(True, True), (False, False)], "mixed"),
        ([(True, True), (True, False)], "mixed"),
    ],
)
def test_verdicts(outcomes, verdict):
    assert result(*outcomes).verdict == verdict


def test_spread_is_median_least_and_most():
    assert spread([3.0, 1.0, 7.0], ".1f") == "3.0 (1.0 to 7.0)"
    assert spread([100, 2000, None], ",") == "2,000 (100 to never)"
    assert spread([None, None, 1], ",") == "never (1 to never)"
    assert spread([2.0, 2.0], ".1f") == "2.0"


@pytest.mark.parametrize("norm", ["before", "after"])
def test_the_same_weights_with_and_without_norms(data, norm):
    plain = Network(2, 8).build(data, 3).state_dict()
    normalized = Network(2, 8, norm=norm, dropout=0.1).build(data, 3)
    kinds = [layer.kind for layer in normalized.layers[:4]]
    middle = ["batch_norm", "sigmoid"] if norm == "before" else ["sigmoid", "batch_norm"]
    assert kinds == ["dense", *middle, "dropout"]
    assert all(np.array_equal(normalized.state_dict()[name], value) for name, value in plain.items())


def test_a_training_looks_where_it_is_told_and_stops(data):
    seen = []
    trainer = martlet.Trainer(Network(1, 8).build(data, 1), optimizer=martlet.SGD(0.1))
    train(trainer, data.train_x, data.train_y, steps=33, batch_size=20, seed=1, at={0, 7, 33, 40}, look=seen.append)
    assert seen == [0, 7, 33]
    assert trainer.history.steps == 33
    train(trainer, data.train_x, data.train_y, steps=33, batch_size=20, seed=1, at={5, 9}, look=lambda step: True)
    assert trainer.history.steps == 5


def test_a_training_that_falls_apart_ends(data):
    trainer = martlet.Trainer(Network(1, 8, "relu").build(data, 1), optimizer=martlet.SGD(1e30))
    assert not np.isfinite(train(trainer, data.train_x, data.train_y, steps=500, batch_size=20, seed=1))
    assert trainer.history.steps < 500


def test_a_curve_ends_at_its_goal(data):
    network = Network(1, 8, norm="before")
    whole = curve(network.build(data, 1), data, 0.5, steps=60, seed=1, at=range(0, 61, 5), batch_size=20)
    assert whole.steps == list(range(0, 61, 5))
    goal = whole.steps_to(whole.best)
    part = curve(network.build(data, 1), data, 0.5, steps=60, seed=1, at=range(0, 61, 5), batch_size=20, until=whole.best)
    assert part.steps[-1] == goal
    assert part.accuracy == whole.accuracy[: len(part.steps)]
    assert whole.steps_to(1.1) is None


def test_the_order_of_jobs_is_kept_and_their_number_changes_nothing(data):
    def accuracy(seed):
        return curve(Network(1, 8).build(data, seed), data, 0.1, steps=10, seed=seed, at={10}, batch_size=20).accuracy[0]

    found = [Context(data, jobs=jobs).map(accuracy, range(4)) for jobs in (1, 3)]
    assert found[0] == found[1]
    assert len(set(found[0])) > 1
    with pytest.raises(martlet.InvalidArgumentError):
        Context(data).map(lambda rate: curve(Network(1).build(data, 1), data, rate, steps=1, seed=1, at=()), [-1.0])


def test_spaced_begins_densely():
    steps = sorted(spaced(1000, 20))
    assert steps[0] == 0
    assert steps[-1] == 1000
    assert np.all(np.diff(np.diff(steps)) >= -1)


def test_batch_statistics_are_the_batchs_own_and_change_nothing(data):
    net = Network(1, 8, norm="before").build(data, 1)
    before = net.state_dict()
    values = batch_statistics(net, ["norm_1"], data.test_x)[0]
    assert abs(values.mean(0)).max() < 1e-5
    assert abs(values.std(0) - 1).max() < 1e-3
    assert all(np.array_equal(value, before[name]) for name, value in net.state_dict().items())


def test_drift_of_known_percentiles():
    still = np.array([[-1.0], [0.0], [1.0]])
    drift = Drift([0, 1, 2], np.array([still, still + 1, 2 * still]), 0.5)
    assert drift.wander == pytest.approx(1 / (8 / 3))
    assert drift.widening == pytest.approx(2)
    assert drift.typical == 0


def test_progress_of_known_layers():
    together = Progress([0, 10, 20], np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]), np.ones(2), 0.5)
    assert (together.apart, together.lag) == (0, 0)
    apart = Progress([0, 10, 20], np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), np.ones(2), 0.5)
    assert apart.apart == pytest.approx(0.25)
    assert apart.halfway == [10, 20]
    assert apart.lag == 0.5


def test_share_of_the_plain_networks_steps():
    plain = Curve([0, 10, 20, 30], [0.1, 0.2, 0.6, 0.5])
    assert Pair(plain, Curve([0, 5], [0.1, 0.6])).share() == 0.25
    assert Pair(plain, Curve([0, 5], [0.1, 0.5])).share() is None
    assert Pair(plain, Curve([0, 5], [0.1, 0.5])).share(below=0.1) == 0.25


def test_scale_and_shift_give_back_the_input(rng):
    for exact in (False, True):
        assert restored(rng.normal(100, 0.1, (50, 4)).astype(np.float32), exact).share <= 1
        constant = np.full((50, 1), 3.0, np.float32)
        found = restored(np.hstack([constant, 0 * constant]), exact)
        assert found.share <= 1
        assert found.roundings <= 6


def test_what_does_not_come_back_is_seen(rng, monkeypatch):
    x = rng.normal(0, 1, (50, 4)).astype(np.float32)
    monkeypatch.setattr(scale_and_shift, "batch_norm", lambda x, *parameters, epsilon: x * np.float32(1 + 2**-20))
    found = restored(x)
    assert found.share > 1
    assert 14 < found.roundings < 18


def test_sorted_batches_mislead(data):
    net = Network(1, 16, norm="before").build(data, 1)
    trainer = martlet.Trainer(net, optimizer=martlet.SGD(0.5))
    trainer.fit(data.train_x, data.train_y, epochs=20, batch_size=20)
    x, y = data.train_x, data.train_y
    order = np.argsort(y, kind="stable")
    assert _own_statistics(net, x, y) > 0.9
    assert _own_statistics(net, x[order], y[order]) < _own_statistics(net, x, y) - 0.1


def test_least_squares_is_reached_on_normalised_inputs():
    pytest.importorskip("sklearn", reason="an extra: the diabetes table comes with scikit-learn")
    regression = Regression.load(1)
    assert regression.condition("raw") > 1000 * regression.condition("normalised")
    found = regression.descend("normalised", 1, 3000, (0.1,))
    assert 1 < found.steps < 3000
    assert regression.descend("raw", 1, 50, (1e-6,)).steps is None


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_from_start_to_page(name, tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    monkeypatch.setattr(Context, "steps", lambda self, full, quick: min(quick, 20))
    threads = martlet.num_threads()
    out = tmp_path / "new" / "page.html"
    arguments = ["article", "--only", name, "--quick", "--data", "digits", "--jobs", "2", "--seeds", "5", "--out", str(out)]
    assert main(arguments) == 0
    assert martlet.num_threads() == threads
    printed = capsys.readouterr().out
    assert re.search(rf"^{name}: (HELD|MIXED|DID NOT HOLD)", printed, re.MULTILINE)
    assert "scikit-learn digits: 1,437 to train on, 360 to test" in printed
    written = out.read_text(encoding="utf-8")
    assert f'<h2 id="{name}">' in written
    assert "A quick run" in written
    assert not re.search(r'(src|href)="(?!data:|#)', written)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", written)
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert len(pictures) == (1 if martlet.article.drawing.is_available() else 0)


def test_the_command_on_the_page_names_no_place(monkeypatch):
    monkeypatch.setattr("sys.argv", ["martlet", "article", "--out", "/home/me/page.html", "--jobs", "2", "--out=/home/me/x"])
    assert page.command_line() == "python -m martlet article --jobs 2"


def test_without_matplotlib_there_are_no_pictures(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    monkeypatch.setattr("martlet.article.drawing.is_available", lambda: False)
    monkeypatch.setattr(Context, "steps", lambda self, full, quick: 10)
    out = tmp_path / "page.html"
    options = ["--only", "before-or-after", "--quick", "--data", "digits", "--seed", "1", "--out", str(out)]
    assert main(["article", *options]) == 0
    assert "No pictures: matplotlib is not installed" in capsys.readouterr().out
    assert "<img" not in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(("options", "words"), [(["--jobs", "0"], "--jobs must be"), (["--seed", "-1"], "--seed must be")])
def test_options_that_cannot_be(options, words, capsys):
    assert main(["article", *options]) == 1
    assert words in capsys.readouterr().err


def test_held_out_rows_are_training_rows(data):
    part = held_out(data)
    assert np.array_equal(np.concatenate([part.train_x, part.test_x]), data.train_x)
    assert np.array_equal(np.concatenate([part.train_y, part.test_y]), data.train_y)
    assert len(part.test_x) == 400 // 6


def test_a_hopeless_training_ends(data):
    seen = []

    def hopeless(step, accuracy):
        seen.append((step, accuracy))
        return step >= 6

    found = curve(Network(1, 8).build(data, 1), data, 0.1, steps=20, seed=1, at={0, 3, 6, 9}, hopeless=hopeless)
    assert found.steps == [0, 3, 6]
    assert [accuracy for _, accuracy in seen] == found.accuracy


def test_a_curve_is_of_exact_statistics_where_rows_are_given(data):
    found, exact = [], []
    for rows in (0, 300):
        net = Network(2, 8, norm="before").build(data, 1)
        found.append(curve(net, data, 0.3, steps=4, seed=1, at={4}, population_rows=rows))
        exact.append(net.state_dict()["norm_1.running_mean"])
    assert not np.array_equal(exact[0], exact[1])
    # What the last norm was tested with are the statistics of those rows as they stand.
    net.update_population_statistics(data.train_x[:300], method="one_pass")
    assert np.array_equal(net.state_dict()["norm_1.running_mean"], exact[1])
    accuracy = martlet.Trainer(net, optimizer=martlet.SGD(0.3)).evaluate(data.test_x, data.test_y).accuracy
    assert found[1].accuracy == [accuracy]


def test_late_gain():
    plain = Curve([0, 30, 75, 76, 100], [0.1, 0.6, 0.5, 0.7, 0.65])
    assert Pair(plain, plain).late_gain == pytest.approx(0.1)
    assert Pair(Curve([0, 50, 100], [0.1, 0.8, 0.7]), plain).late_gain == 0


def test_where_the_norms_of_a_case_stand_is_said():
    assert label(Case(Network(7, weights=0.11), deep=True, norm="after")) == "7×100 sigmoid, deviation 0.11, norm after"
    assert label(Case(Network(1), deep=False)) == "1×100 sigmoid, glorot uniform"


def test_rates_are_chosen_without_the_test_rows(data):
    case = Case(Network(1, 8), deep=False, steps=30)
    known = learning_rates([case], Context(data, seeds=(1,), quick=True))
    hidden = data._replace(test_x=np.full_like(data.test_x, np.nan), test_y=1 - data.test_y)
    assert learning_rates([case], Context(hidden, seeds=(1,), quick=True)) == known
