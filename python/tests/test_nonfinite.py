"""NaN and infinity: steps that change nothing, what fits do about them, what checks say; epochs that count on."""

import numpy as np
import pytest

import martlet
from martlet import SGD, Adam, AdamW, BatchNorm, Dense, Dropout, InputNormalization, Optimizer, ReLU, Sequential, Trainer


def network(seed=1):
    return Sequential([Dense(8), BatchNorm(), ReLU(), Dropout(0.2), Dense(2)], input_shape=(4,), seed=seed)


def data(rows=320, bad_row=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    if bad_row is not None:
        x[bad_row, 2] = np.nan
    return x, y


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_a_refused_step_leaves_no_trace():
    a, b = network(), network()
    x, y = data(32)
    bad, _ = data(32, bad_row=5)
    one, other = Trainer(a, optimizer=Adam(0.01)), Trainer(b, optimizer=Adam(0.01))
    for _ in range(3):
        with pytest.raises(martlet.NonFiniteError, match=r"x.*nan in row 5|inputs\[0\].*nan in row 5"):
            one.step(bad, y)
        assert one.step(x, y) == other.step(x, y)
        assert same(a, b)


def test_a_fit_raises_with_epoch_step_and_row():
    net = network()
    x, y = data(bad_row=70)
    with pytest.raises(ArithmeticError, match="row 70") as caught:
        Trainer(net).fit(x, y, batch_size=32, shuffle=False)
    assert isinstance(caught.value, martlet.NonFiniteError)
    assert "tep 3 of epoch 1" in str(caught.value)
    assert all(np.isfinite(value).all() for value in net.state_dict().values())


def test_a_fit_skips_and_counts():
    net = network()
    x, y = data(bad_row=70)
    trainer = Trainer(net)
    history = trainer.fit(x, y, epochs=2, batch_size=32, on_nonfinite="skip")
    assert history.skipped == trainer.skipped_steps == 2
    assert history.steps == 20
    assert [result.rows for result in history.training] == [288, 288]
    assert np.isfinite(history.loss).all()
    with pytest.raises(martlet.InvalidArgumentError, match="on_nonfinite must be one of"):
        trainer.fit(x, y, on_nonfinite="ignore")
    with pytest.raises(martlet.NonFiniteError, match="on_nonfinite"):
        trainer.fit(np.full_like(x, np.nan), y, on_nonfinite="skip")


def test_optimizers_refuse_gradients_that_are_not_finite():
    net = network()
    x, _ = data(8)
    before = {name: np.array(value) for name, value in net.state_dict().items() if "weight" in name or "bias" in name}
    net.forward(x, training=True)
    net.backward(np.full((8, 2), np.inf, np.float32))
    with pytest.raises(martlet.NonFiniteError, match="gradients"):
        Optimizer(net, SGD(0.1)).step()
    after = net.state_dict()
    assert all(np.array_equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("rule", [Adam, AdamW])
@pytest.mark.parametrize("options", [{"epsilon": 1e-50}, {"epsilon": 1e39}, {"beta1": 0.99999999}, {"learning_rate": 1e-50}])
def test_options_are_checked_as_float32(rule, options):
    with pytest.raises(martlet.InvalidArgumentError, match=next(iter(options))):
        Trainer(network(), optimizer=rule(**options))


def test_learning_rates_are_checked_as_float32():
    trainer = Trainer(network())
    for rate in (1e-50, 1e39):
        with pytest.raises(martlet.InvalidArgumentError, match="learning_rate"):
            trainer.learning_rate = rate
    assert trainer.learning_rate == 0.01


def test_checks_and_certificates_name_what_is_not_finite():
    net = network()
    x, y = data()
    state = {name: np.array(value) for name, value in net.state_dict().items()}
    state["0.weight"][3, 1] = np.nan
    net.load_state_dict(state)
    for findings in (net.check(), net.check(x, y)):
        found = findings[0]
        assert (found.code, found.severity, found.layer, found.channels) == ("nonfinite_parameter", "error", "0", [3])
    assert "nonfinite_output" in net.check(x, y).codes
    _folded, certificate = net.fold(x)
    assert "NOT FINITE" in str(certificate)
    assert certificate.outputs is not None
    assert not certificate.outputs[0].within_bound


def test_an_input_normalization_must_be_fitted():
    net = Sequential([InputNormalization(), Dense(2)], input_shape=(4,))
    x, y = data(20)
    for call in (lambda: net(x), lambda: Trainer(net).fit(x, y), lambda: net.forward(x, training=True)):
        with pytest.raises(martlet.InvalidStateError, match="fit_input_normalization"):
            call()
    assert net.check(x).codes == ["input_normalization_not_fitted"]
    net.fit_input_normalization(x)
    Trainer(net).fit(x, y)


def test_several_fits_are_one():
    x, y = data(70)
    nets = []
    for epochs in ([6], [1, 2, 3], [2, 2, 2]):
        net = network()
        trainer = Trainer(net, optimizer=Adam(0.01), seed=4)
        losses = [loss for count in epochs for loss in trainer.fit(x, y, epochs=count, batch_size=16).loss]
        assert trainer.epoch == 6
        assert len(set(losses)) == 6
        nets.append(net)
    assert same(nets[0], nets[1])
    assert same(nets[0], nets[2])


def test_a_seed_of_the_fit_begins_anew():
    x, y = data(70)
    trainer = Trainer(Sequential([Dense(8), BatchNorm(), ReLU(), Dense(2)], input_shape=(4,), seed=1), optimizer=SGD(0.0))
    losses = [trainer.fit(x, y, batch_size=16, seed=seed).loss[0] for seed in (None, None, 3, 3, 0)]
    assert losses[0] != losses[1]
    assert losses[2] == losses[3]
    assert losses[4] == losses[0]


def test_assignments_that_would_do_nothing_are_refused():
    x, y = data(20)
    net = network()
    trainer = Trainer(net, optimizer=SGD(0.1))
    for thing, name in (
        (trainer, "momentum"),
        (trainer, "rule"),
        (trainer, "model"),
        (trainer, "epoch"),
        (Optimizer(net, SGD(0.1)), "weight_decay"),
        (SGD(0.1), "learning_rate"),
        (net, "training"),
        (Dense(3), "units"),
        (BatchNorm(), "momentum"),
    ):
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 0.5)
    with pytest.raises(AttributeError, match="learning_rate, micro_batch_size"):
        trainer.momentum = 0.5
    trainer.learning_rate = 0.5
    trainer.micro_batch_size = 4
    norm = BatchNorm()
    norm.updates_moving = False
    assert trainer.learning_rate == 0.5
    assert trainer.micro_batch_size == 4
    assert not norm.updates_moving

    class Mine(Trainer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.best = 0.0

    mine = Mine(net)
    mine.best = mine.fit(x, y).loss[0]
    with pytest.raises(AttributeError):
        mine.rule = SGD(1.0)
