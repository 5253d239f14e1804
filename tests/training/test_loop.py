"""The training loop: what a kill, a damaged file or a loss that is not finite leaves."""

import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors, stopping
from okd_tf.ops import batch_norm
from okd_tf.training import checkpoint, classifier, history, loop, objective, optimizers, watch

EPOCHS, PER_EPOCH = 3, 4
STEPS = EPOCHS * PER_EPOCH
KILLED_AT = 6  # in the middle of the second epoch
DATA = tiny.make_splits()


def _batches():
    return tiny.make_batches(DATA.train, 8, augmentation=DATA.augmentation)


def _model(network=None):
    keras.utils.set_random_seed(0)
    network = batch_norm.fused_copy(network or tiny.make_backbone().model)
    return classifier.Classifier(
        network, objective.Objective("ce"), optimizers.sgd(0.1, "cosine", STEPS), weight_decay=1e-3
    )


def _fit(folder, batches=None, network=None, **arguments):
    model = _model(network)
    rows = loop.fit(model, batches or _batches(), epochs=EPOCHS, folder=folder, title="", **arguments)
    return model, rows


def _without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted training: (model, rows, folder)."""
    folder = tmp_path_factory.mktemp("whole")
    return *_fit(folder), folder


@pytest.fixture(scope="module")
def killed_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(tf.errors.OutOfRangeError):
        _fit(folder, tiny.CutBatches(_batches(), KILLED_AT), checkpoint_seconds=0)
    return folder


@pytest.fixture
def killed(killed_folder, tmp_path):
    """The folder of a training that was killed, to go on in."""
    return pathlib.Path(shutil.copytree(killed_folder, tmp_path / "killed"))


def _data(folder, step):
    return checkpoint.path_of(folder / "checkpoints", step) / "variables.data-00000-of-00001"


def _kept(folder):
    return checkpoint.steps(folder / "checkpoints")


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _assert_same_end(model, rows, whole):
    tiny.assert_same_state(model, whole[0])
    assert _without_seconds(rows) == _without_seconds(whole[1])


def test_history_has_one_row_per_epoch_and_is_what_the_file_says(whole):
    model, rows, folder = whole
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8), (3, 12)]
    assert set(rows[0]) == {"epoch", "step", "seconds", "loss", "accuracy", "learning_rate"}
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows == history.read(folder / "history.csv", EPOCHS)
    assert int(model.weight_optimizer.iterations) == STEPS


def test_a_run_killed_within_an_epoch_ends_in_the_same_bits(killed, whole):
    resumed_from = []
    batches = _batches()
    dataset = batches.dataset
    batches.dataset = lambda start, stop: resumed_from.append(start) or dataset(start, stop)
    model, rows = _fit(killed, batches)
    assert resumed_from == [KILLED_AT]
    _assert_same_end(model, rows, whole)
    assert _without_seconds(history.read(killed / "history.csv", EPOCHS)) == _without_seconds(whole[1])


def test_a_run_killed_between_an_epoch_s_row_and_its_checkpoint_has_no_row_twice(killed, whole):
    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(killed, callbacks=[Kill()])
    assert len(history.read(killed / "history.csv", EPOCHS)) == 2
    _assert_same_end(*_fit(killed), whole)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(killed, whole, capsys):
    _cut(_data(killed, KILLED_AT))
    started = []
    batches = _batches()
    dataset = batches.dataset
    batches.dataset = lambda start, stop: started.append(start) or dataset(start, stop)
    model, rows = _fit(killed, batches)
    assert started == [KILLED_AT - 1]
    assert f"{_data(killed, KILLED_AT)}: damaged" in capsys.readouterr().out
    _assert_same_end(model, rows, whole)


def test_a_run_whose_checkpoints_are_all_damaged_starts_anew(killed, whole):
    _flip_a_bit(_data(killed, KILLED_AT))
    _cut(_data(killed, KILLED_AT - 1))
    _assert_same_end(*_fit(killed), whole)


class _SpoiltBatches(tiny.CutBatches):
    """From step `stop` on, every pixel is not a number."""

    def dataset(self, start, stop):
        steps = tf.data.Dataset.range(start, stop)

        def spoil(step, batch):
            factor = tf.where(step < self._stop, 1.0, np.nan)
            return {**batch, "image": batch["image"] * factor}

        return tf.data.Dataset.zip(steps, self._inner.dataset(start, stop)).map(spoil)


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_checkpoint_before(killed, whole):
    with pytest.raises(errors.UserError, match="not finite at step 8:") as refusal:
        _fit(killed, _SpoiltBatches(_batches(), 7), checkpoint_seconds=0)
    assert "--learning_rate" in str(refusal.value)
    assert _kept(killed)[-1] == 7
    _assert_same_end(*_fit(killed), whole)


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_validation_loss_that_is_not_finite_is_refused_before_it_is_recorded(killed, whole, loss):
    with pytest.raises(errors.UserError, match="not finite at step 8:") as refusal:
        _fit(killed, at_epoch_end=lambda: {"val_loss": loss, "val_accuracy": 0.3}, checkpoint_seconds=60)
    assert "val_loss" in str(refusal.value)
    assert [row["epoch"] for row in history.read(killed / "history.csv", EPOCHS)] == [1]
    assert _kept(killed)[-1] == KILLED_AT
    _assert_same_end(*_fit(killed), whole)


@pytest.mark.parametrize(("look_seconds", "steps_per_execution"), [(0, 1), (60, 1), (60, 4)])
def test_the_first_step_after_which_a_loss_is_not_finite_is_named_whenever_that_is_seen(
    tmp_path, monkeypatch, look_seconds, steps_per_execution
):
    monkeypatch.setattr(watch, "LOOK_SECONDS", look_seconds)
    spoilt = _SpoiltBatches(_batches(), 5)
    with pytest.raises(errors.UserError, match="not finite at step 6: the loss"):
        _fit(tmp_path, spoilt, checkpoint_seconds=60, steps_per_execution=steps_per_execution)


class _AskToStop(keras.callbacks.Callback):
    """Sends this process a signal when an epoch begins."""

    def __init__(self, epoch, signum):
        super().__init__()
        self._epoch, self._signum = epoch, signum

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            signal.raise_signal(self._signum)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_run_asked_to_stop_finishes_its_step_and_ends_later_in_the_same_bits(
    tmp_path, whole, signals, signum
):
    with pytest.raises(stopping.Stopped, match=r"step 5 of 12, is saved") as stop:
        _fit(tmp_path, callbacks=[_AskToStop(1, signum)], checkpoint_seconds=60)
    assert stop.value.signum == signum
    assert _kept(tmp_path) == [5]
    signals()
    _assert_same_end(*_fit(tmp_path), whole)


def _with_dropout():
    keras.utils.set_random_seed(0)
    backbone = tiny.make_backbone().model
    dropped = keras.layers.Dropout(0.5, seed=4)(backbone.get_layer("out2").output)
    return keras.Model(backbone.input, keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(dropped)))


def test_random_numbers_of_a_network_go_on_where_they_were(tmp_path, whole):
    uninterrupted = _fit(tmp_path / "whole", network=_with_dropout())
    with pytest.raises(tf.errors.OutOfRangeError):
        _fit(tmp_path, tiny.CutBatches(_batches(), 6), network=_with_dropout(), checkpoint_seconds=0)
    model, rows = _fit(tmp_path, network=_with_dropout())
    _assert_same_end(model, rows, uninterrupted)
    seeds = [variable for variable in model.variables if "seed" in variable.path]
    assert len(seeds) == 1


def test_checkpoints_come_every_so_many_steps(tmp_path, whole):
    saved = []
    save = checkpoint.Checkpointer.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            checkpoint.Checkpointer, "save", lambda self, step: saved.append(step) or save(self, step)
        )
        # Steps in one call are cut short where a checkpoint is due.
        model, rows = _fit(tmp_path, checkpoint_steps=5, steps_per_execution=3)
    assert saved == [5, 10, 12]
    _assert_same_end(model, rows, whole)


def test_several_steps_in_one_call_give_the_same_bits(tmp_path, whole):
    # 3 does not divide the epoch's 4 steps.
    _assert_same_end(*_fit(tmp_path, steps_per_execution=3), whole)


def test_a_finished_run_is_restored_without_a_step(whole):
    batches = tiny.CutBatches(_batches(), 0)
    batches.dataset = None
    _assert_same_end(*_fit(whole[2], batches), whole)


def test_callbacks_and_the_epoch_s_own_figures_are_called_and_recorded(tmp_path):
    class Record(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.events = []

        def on_train_begin(self, logs=None):
            self.events.append("train begins")

        def on_epoch_begin(self, epoch, logs=None):
            self.events.append(("begin", epoch))

        def on_epoch_end(self, epoch, logs=None):
            self.events.append(("end", epoch, logs["val_accuracy"], self.model.metrics_names != []))

        def on_train_end(self, logs=None):
            self.events.append("train ends")

    record, figures = Record(), iter([0.25, 0.5, 0.75])
    _, rows = _fit(tmp_path, callbacks=[record], at_epoch_end=lambda: {"val_accuracy": next(figures)})
    assert record.events == [
        "train begins",
        *(("begin", 0), ("end", 0, 0.25, True)),
        *(("begin", 1), ("end", 1, 0.5, True)),
        *(("begin", 2), ("end", 2, 0.75, True)),
        "train ends",
    ]
    assert [row["val_accuracy"] for row in rows] == [0.25, 0.5, 0.75]


def test_only_the_last_two_checkpoints_are_kept(killed_folder):
    assert _kept(killed_folder) == [5, 6]


def test_keras_fit_gives_the_weights_of_the_loop(whole):
    model = _model()
    model.compile(jit_compile=False)
    model.fit(
        _batches().dataset(0, STEPS), epochs=EPOCHS, steps_per_epoch=PER_EPOCH, shuffle=False, verbose=0
    )
    for mine, theirs in zip(model.network.weights, whole[0].network.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)


def test_logits_that_cannot_be_read_any_more_end_in_the_reader_s_own_words(tmp_path):
    def gone(rows, views):
        raise errors.UserError("shard.f16: cannot be read any more")

    stored = tiny.make_batches(DATA.train, 8, teacher_logits=gone)
    with pytest.raises(errors.UserError, match=r"^shard\.f16: cannot be read any more$"):
        _fit(tmp_path, stored)


def _fit_in_float16(folder, change):
    """A training in float16 whose model is changed before it begins."""
    keras.utils.set_random_seed(0)
    network = batch_norm.fused_copy(tiny.make_backbone().model, compute="float16")
    rate = optimizers.scaling(optimizers.sgd(0.1, "cosine", STEPS), "float16")
    model = classifier.Classifier(network, objective.Objective("ce"), rate, weight_decay=1e-3)
    before = tiny.values(model.trainable_variables)
    change(model)
    rows = loop.fit(model, _batches(), epochs=EPOCHS, folder=folder, title="", checkpoint_seconds=0)
    return model, rows, before


def test_steps_that_overflow_until_the_scale_is_found_are_no_failure(tmp_path):
    model, rows, before = _fit_in_float16(
        tmp_path, lambda model: model.weight_optimizer.dynamic_scale.assign(2.0**20)
    )
    assert rows[0]["weights/loss_scale"] < 2.0**20
    assert rows[-1]["weights/loss_scale"] > 2.0**8
    assert any(tiny.moved(before, model.trainable_variables))
    assert int(model.weight_optimizer.iterations) == STEPS


@pytest.mark.slow
def test_gradients_too_large_for_float16_at_any_scale_end_the_training_by_name(tmp_path):
    class Huge(objective.Objective):
        def __call__(self, *arguments):
            return 1e30 * super().__call__(*arguments)

    def change(model):
        model.objective = Huge("ce")
        model.weight_optimizer.dynamic_scale.assign(4.0)

    with pytest.raises(
        errors.UserError, match=r"^--precision: at step 2 the gradients of the weights .*bfloat16"
    ):
        _fit_in_float16(tmp_path, change)
