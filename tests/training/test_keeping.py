"""Which weights a training leaves, and that a kill changes none of them."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors, settings
from okd_tf.training import checkpoint, crew, history, inference, keeping, loop, objective, recipe

EPOCHS, PER_EPOCH = 3, 4
STEPS = EPOCHS * PER_EPOCH
DATA = tiny.make_splits()


def _train(folder, keep, stop=STEPS, loss="ce", **changes):
    """(trained, or each of two that learn together; the batches end early at `stop`)."""
    train, further = (
        (recipe.train_pair, {"peer_to": folder / "peer.keras"}) if loss == "mutual" else (recipe.train, {})
    )
    trained = train(
        lambda: tiny.make_backbone().model,
        objective.Objective(loss, 2.0),
        tiny.CutBatches(tiny.make_batches(DATA.train, 8, augmentation=DATA.augmentation), stop),
        DATA.val,
        epochs=EPOCHS,
        seed=0,
        recipe=dataclasses.replace(tiny.make_recipe(), keep=keep, **changes),
        folder=folder,
        logs=folder / "logs",
        title="",
        save_to=folder / "first.keras",
        **further,
    )
    return trained if loss == "mutual" else (trained,)


def _weights(trained):
    return [weight for one in trained for weight in one.network.get_weights()]


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    folder = tmp_path_factory.mktemp("last")
    return _train(folder, "last"), folder


@pytest.fixture(scope="module", params=["best", "average"])
def whole(request, tmp_path_factory):
    """An uninterrupted training that keeps other weights than the last: (how, what is trained, folder)."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, _train(folder, request.param), folder


def test_settings_and_library_name_the_same_ways():
    assert settings.choices.KEEP == keeping.HOW
    with pytest.raises(errors.UserError, match="--keep: unknown name 'averge'; did you mean average"):
        keeping.make("averge", None, 1, -1.0, crew.Alone())


@pytest.mark.parametrize("killed_at", [6, *(pytest.param(step, marks=pytest.mark.slow) for step in (8, 11))])
def test_a_training_killed_and_resumed_keeps_the_same_bits(whole, killed_at, tmp_path):
    how, expected, _ = whole
    with pytest.raises(tf.errors.OutOfRangeError):
        _train(tmp_path, how, killed_at)
    trained = _train(tmp_path, how)
    for mine, theirs in zip(_weights(trained), _weights(expected), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert trained[0].metrics() == expected[0].metrics()


def test_a_finished_training_that_is_read_back_keeps_the_same_bits(whole):
    how, expected, folder = whole
    before = _weights(expected)
    trained = _train(folder, how, 0)
    for mine, theirs in zip(_weights(trained), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert trained[0].metrics() == expected[0].metrics()


def test_to_keep_other_weights_changes_no_step(last, whole):
    rows, others = (
        [
            {name: row[name] for name in ("step", "loss", "accuracy", "val_accuracy", "val_loss")}
            for row in history.read(folder / "history.csv")
        ]
        for folder in (last[1], whole[2])
    )
    assert rows == others


def test_what_is_kept_is_what_the_file_has_and_what_its_figures_are_of(whole):
    how, (trained,), folder = whole
    saved = keras.saving.load_model(folder / "first.keras")
    kept = trained.metrics()["val"]["kept"]
    found = inference.Predictor(saved).evaluate(DATA.val)
    assert kept["how"] == how
    assert found["accuracy"] == pytest.approx(kept["accuracy"], rel=1e-6)
    assert found["loss"] == pytest.approx(kept["loss"], rel=1e-5)


def test_of_the_last_weights_nothing_is_held_or_recorded_beside(last, whole):
    (trained,), folder = last
    figures = trained.metrics()["val"]
    assert figures["kept"] == {"how": "last", **figures["last"]}
    assert list(history.read(folder / "history.csv")[0]) == [
        *("epoch", "step", "seconds", "loss", "accuracy", "learning_rate", "val_accuracy", "val_loss")
    ]
    counts = []
    for there in (folder, whole[2]):
        path = checkpoint.path_of(there / "checkpoints", STEPS) / "variables"
        names = [name for name, _ in tf.train.list_variables(str(path))]
        counts.append(sum(name.startswith("state/") for name in names))
    network = trained.network
    momentum_and_steps = len(network.trainable_variables) + 1
    metrics = 4
    assert counts[0] == len(network.weights) + momentum_and_steps + metrics
    beside = {"best": 2, "average": 0}[whole[0]]
    assert counts[1] == counts[0] + len(network.weights) + beside


class _Planted:
    """What a network is said to have on validation, epoch by epoch, whatever its weights are."""

    def __init__(self, figures):
        self._figures = iter(figures)

    def __call__(self):
        accuracy, loss = next(self._figures)
        return {"accuracy": accuracy, "loss": loss}


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([(0.2, 1.0), (0.6, 0.9), (0.4, 0.1)], 2),
        ([(0.6, 0.5), (0.6, 0.4), (0.6, 0.4)], 2),  # ties: the lower loss, then the first
        ([(0.5, 0.5), (0.5, 0.5), (0.4, 0.1)], 1),
        ([(0.0, 9.0), (0.0, 9.5), (0.1, 9.9)], 3),
    ],
)
def test_the_best_epoch_s_weights_are_kept(figures, best):
    network = tiny.make_backbone().model
    keeper = keeping.Best(network, crew.Alone())
    evaluate, held, rows = _Planted(figures), [], []
    for epoch in range(1, len(figures) + 1):
        for weight in network.weights:
            weight.assign(weight.numpy() + np.float32(epoch))
        held.append(network.get_weights())
        rows.append({"epoch": epoch, **keeper.validate(evaluate)})
    keeper.put()
    for mine, theirs in zip(network.get_weights(), held[best - 1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert keeper.kept(rows) == {
        "accuracy": figures[best - 1][0],
        "loss": figures[best - 1][1],
        "epoch": best,
    }


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_is_the_sum_that_the_formula_says(tmp_path, decay, monkeypatch):
    keras.utils.set_random_seed(0)
    training = recipe.make_classifier(
        lambda: tiny.make_backbone().model,
        objective.Objective("ce"),
        tiny.make_batches(DATA.train, 8),
        epochs=1,
        seed=0,
        recipe=tiny.make_recipe(),
    )
    average = keeping.make("average", training.network, 4, decay, crew.Alone())
    seen = [training.network.get_weights()]
    monkeypatch.setattr(
        checkpoint.Checkpointer, "save", lambda self, step: seen.append(training.network.get_weights())
    )
    loop.fit(
        *(training, tiny.make_batches(DATA.train, 8)),
        epochs=1,
        folder=tmp_path,
        title="",
        beside=[average],
        checkpoint_steps=1,
    )
    assert len(seen) == 5
    expected = [weight.astype(np.float64) for weight in seen[0]]
    for step, weights in enumerate(seen[1:], 1):
        share = min(decay, (1 + step) / (10 + step))
        expected = [share * one + (1 - share) * new for one, new in zip(expected, weights, strict=True)]
    average.put()
    for mine, theirs in zip(training.network.get_weights(), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("steps", "decay"), [(2000, 0.99), (200, 0.9), (20, 0.0), (3, 0.0)])
def test_by_default_the_average_reaches_back_a_twentieth_of_the_training(steps, decay):
    assert keeping.default_decay(steps) == pytest.approx(decay)


def test_to_validate_the_average_leaves_the_weights_as_they_were():
    network = tiny.make_backbone().model
    keeper = keeping.Average(network, 0.5)
    for weight in network.weights:
        weight.assign(weight.numpy() * np.float32(1 / 3))
    before = network.get_weights()
    averages, seen = tiny.values(keeper.variables), []

    def evaluate():
        seen.append(network.get_weights())
        if len(seen) == 4:
            raise KeyboardInterrupt
        return {"accuracy": len(seen) / 10, "loss": 1.0}

    assert keeper.validate(evaluate) == {
        "val_accuracy": 0.1,
        "val_loss": 1.0,
        "average_val_accuracy": 0.2,
        "average_val_loss": 1.0,
    }
    with pytest.raises(KeyboardInterrupt):
        keeper.validate(evaluate)
    for mine, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(seen[1], averages, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("how", ["best", "average"])
def test_of_two_that_learn_together_each_keeps_its_own_in_any_precision(how, compute, tmp_path):
    whole = _train(tmp_path / "whole", how, loss="mutual", compute=compute)
    with pytest.raises(tf.errors.OutOfRangeError):
        _train(tmp_path / "killed", how, 6, "mutual", compute=compute)
    resumed = _train(tmp_path / "killed", how, loss="mutual", compute=compute)
    for mine, theirs in zip(_weights(resumed), _weights(whole), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name, one in zip(("first.keras", "peer.keras"), whole, strict=True):
        saved = keras.saving.load_model(tmp_path / "whole" / name)
        kept = one.metrics()["val"]["kept"]
        found = inference.Predictor(saved).evaluate(DATA.val)
        assert found["accuracy"] == pytest.approx(kept["accuracy"], rel=1e-6)
        assert found["loss"] == pytest.approx(kept["loss"], rel=1e-5)
    assert any(itertools.starmap(np.array_equal, zip(*map(_own, whole), strict=True))) is False


def _own(trained):
    return trained.network.trainable_weights
