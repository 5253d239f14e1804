"""One link of a chain of teacher assistants."""

import keras
import numpy as np
import pytest
import tiny

from okd_tf import json_file
from okd_tf.teachers import assistant
from okd_tf.training import history, objective

EPOCHS = 2
pytestmark = pytest.mark.slow


def _teacher(rows, views):
    """One teacher, always right and sure of it."""
    return 4 * np.eye(tiny.CLASSES, dtype=np.float32)[tiny.make_splits().train.labels[rows]][:, np.newaxis]


def _train(folder, data, index):
    assistant.train(
        data,
        tiny.make_batches(data.train, 9, teacher_logits=_teacher),
        objective.Objective("oracle"),
        index=index,
        backbone="resnet8",
        width=2,
        epochs=EPOCHS,
        seed=index,
        how=tiny.make_recipe(),
        folder=folder,
        logs=folder / "logs",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    found = tmp_path_factory.mktemp("assistant")
    assert not assistant.is_trained(found, 0)
    _train(found, data, 0)
    return found


def test_a_link_is_a_file_of_stock_layers_with_figures_of_its_own(folder):
    assert assistant.is_trained(folder, 0)
    assert not assistant.is_trained(folder, 1)
    model = keras.saving.load_model(folder / "assistant_00.keras")
    assert all(type(layer) is getattr(keras.layers, type(layer).__name__) for layer in model.layers)
    rows = history.read(folder / "history_00" / "history.csv", EPOCHS)
    (entry,) = json_file.read(folder / "metrics.json").values()
    assert (entry["backbone"], entry["width"], entry["epochs"]) == ("resnet8", 2, EPOCHS)
    assert entry["params"] == model.count_params()
    assert entry["val"]["last"]["accuracy"] == rows[-1]["val_accuracy"]
    assert not (folder / "history_00" / "checkpoints").exists()


def test_a_link_killed_before_its_figures_are_written_is_not_done_and_goes_on_from_its_checkpoints(
    folder, data, monkeypatch
):
    def killed(path, value):
        raise KeyboardInterrupt

    before = json_file.read(folder / "metrics.json")
    with monkeypatch.context() as patch:
        patch.setattr(json_file, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            _train(folder, data, 1)
    assert (folder / "assistant_01.keras").exists()
    assert not assistant.is_trained(folder, 1)
    rows = (folder / "history_01" / "history.csv").read_text()
    _train(folder, data, 1)
    # Nothing was trained again: not even the times in the history are new.
    assert (folder / "history_01" / "history.csv").read_text() == rows
    assert assistant.is_trained(folder, 1)
    after = json_file.read(folder / "metrics.json")
    assert list(after) == ["assistant_00", "assistant_01"]
    assert after["assistant_00"] == before["assistant_00"]
    # Another network in its place is not the one that was trained, nor the one whose word was stored.
    (folder / "assistant_01.keras").write_bytes((folder / "assistant_00.keras").read_bytes())
    assert not assistant.is_trained(folder, 1)
