"""A distilled student and its baseline leave files that anyone can read."""

import json

import keras
import numpy as np
import pytest
import tiny

from okd_tf import backbones, json_file
from okd_tf.arch import cost, space, spec
from okd_tf.student import distill
from okd_tf.training import history, objective

DATA = tiny.make_splits()
ARGUMENTS = ("resnet8", 2, tiny.SHAPE, tiny.CLASSES, DATA.mean, DATA.std)
EPOCHS = 2


@pytest.fixture(scope="module")
def architecture():
    of = space.SearchSpace.around(backbones.build(*ARGUMENTS))
    choices = ((1, 0, 1), (4, 0, 1), space.DEAD)
    return spec.ArchSpec(*ARGUMENTS, of.add_ons(choices), of.cost(choices))


def _teachers(rows, views):
    """Two teachers, the second of which is always wrong."""
    labels = DATA.train.labels[rows]
    return np.stack([4 * np.eye(3)[labels], 4 * np.eye(3)[(labels + 1) % 3]], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, architecture):
    found = tmp_path_factory.mktemp("run")
    arguments = {"epochs": EPOCHS, "seed": 0, "how": tiny.make_recipe()}
    stored = tiny.make_batches(DATA.train, 9, teacher_logits=_teachers)
    distill.distill(
        architecture,
        objective.Objective("oracle"),
        DATA,
        stored,
        folder=found / "student",
        logs=found / "logs",
        **arguments,
    )
    distill.train_baseline(
        architecture,
        DATA,
        tiny.make_batches(DATA.train, 9),
        folder=found / "baseline",
        logs=found / "logs",
        **arguments,
    )
    return found


def _metrics(folder, name):
    return json.loads((folder / name / "metrics.json").read_text())


@pytest.fixture(scope="module")
def together(tmp_path_factory, architecture):
    """The folder of a student that learnt with a peer, no teacher at hand."""
    found = tmp_path_factory.mktemp("together")
    distill.distill(
        architecture,
        objective.Objective("mutual"),
        DATA,
        tiny.make_batches(DATA.train, 9),
        epochs=EPOCHS,
        seed=0,
        how=tiny.make_recipe(),
        folder=found / "student",
        logs=found / "logs",
    )
    return found


def _val_accuracy(path):
    model = keras.saving.load_model(path)
    logits = model(DATA.val.images.astype(np.float32), training=False).numpy()
    return np.mean(logits.argmax(axis=1) == DATA.val.labels)


@pytest.mark.slow
def test_of_two_that_learn_together_both_are_kept_with_their_figures_and_the_first_is_the_student(together):
    folder = together / "student"
    names = {path.name for path in folder.iterdir()}
    assert names == {"history.csv", "metrics.json", "student.keras", "peer.keras"}
    rows, metrics = history.read(folder / "history.csv", EPOCHS), _metrics(together, "student")
    assert set(metrics) == {"val", "epochs", "params", "peer"}
    assert set(metrics["peer"]) == {"val"}
    for prefix, val, file in (
        ("", metrics["val"], "student.keras"),
        ("peer_", metrics["peer"]["val"], "peer.keras"),
    ):
        last, best = rows[-1], max(rows, key=lambda row: row[f"{prefix}val_accuracy"])
        for which, row in (("last", last), ("best", best)):
            accuracy, loss = (row[f"{prefix}val_{what}"] for what in ("accuracy", "loss"))
            assert val[which] == {"accuracy": accuracy, "loss": loss, "epoch": row["epoch"]}
        assert val["last"]["accuracy"] == pytest.approx(_val_accuracy(folder / file), abs=1e-6)


@pytest.mark.slow
def test_two_that_learn_together_are_of_one_architecture_and_other_weights(together, architecture):
    student, peer = (
        keras.saving.load_model(together / "student" / name) for name in ("student.keras", "peer.keras")
    )
    assert student.count_params() == peer.count_params() == architecture.cost.params
    assert [layer.name for layer in student.layers] == [layer.name for layer in peer.layers]
    assert any(np.any(mine != theirs) for mine, theirs in zip(student.weights, peer.weights, strict=True))


def test_the_student_s_file_holds_stock_layers_only_and_the_architecture(folder, architecture):
    model = keras.saving.load_model(folder / "student" / "student.keras")
    assert all(type(layer) is getattr(keras.layers, type(layer).__name__) for layer in model.layers)
    assert model.count_params() == architecture.cost.params == _metrics(folder, "student")["params"]
    assert {"addon1_conv_3x3_conv", "addon2_sep_conv_5x5_depthwise"} <= {layer.name for layer in model.layers}


def test_the_baseline_is_the_bare_backbone(folder, architecture):
    model = keras.saving.load_model(folder / "baseline" / "baseline.keras")
    assert cost.of_model(model) == cost.of_model(backbones.build(*ARGUMENTS).model)
    assert model.count_params() < architecture.cost.params


@pytest.mark.parametrize("name", ["student", "baseline"])
def test_metrics_are_the_last_and_the_best_epoch_of_the_history(folder, name):
    rows, metrics = history.read(folder / name / "history.csv", EPOCHS), _metrics(folder, name)
    assert metrics["epochs"] == len(rows) == EPOCHS
    best = max(rows, key=lambda row: row["val_accuracy"])
    for which, row in (("last", rows[-1]), ("best", best)):
        assert metrics["val"][which] == {
            "accuracy": row["val_accuracy"],
            "loss": row["val_loss"],
            "epoch": row["epoch"],
        }
    assert "test" not in metrics


def test_the_last_epoch_is_the_one_that_is_kept(folder):
    model = keras.saving.load_model(folder / "student" / "student.keras")
    logits = model(DATA.val.images.astype(np.float32), training=False).numpy()
    accuracy = np.mean(logits.argmax(axis=1) == DATA.val.labels)
    assert _metrics(folder, "student")["val"]["last"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_checkpoints_are_gone_when_the_file_is_there(folder):
    names = {path.name for path in (folder / "student").iterdir()}
    assert names == {"history.csv", "metrics.json", "student.keras"}


def test_killed_before_its_figures_are_written_it_goes_on_from_its_checkpoints(
    folder, tmp_path, architecture, monkeypatch
):
    def baseline():
        distill.train_baseline(
            architecture,
            DATA,
            tiny.make_batches(DATA.train, 9),
            folder=tmp_path / "baseline",
            logs=tmp_path / "logs",
            epochs=EPOCHS,
            seed=0,
            how=tiny.make_recipe(),
        )

    def killed(path, value):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(json_file, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            baseline()
    assert list((tmp_path / "baseline" / "checkpoints").glob("step_*"))
    rows = (tmp_path / "baseline" / "history.csv").read_text()
    baseline()
    # Nothing was trained again: not even the times in the history are new.
    assert (tmp_path / "baseline" / "history.csv").read_text() == rows
    assert _metrics(tmp_path, "baseline") == _metrics(folder, "baseline")
    assert not (tmp_path / "baseline" / "checkpoints").exists()
