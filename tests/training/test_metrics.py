"""metrics.json, read back: figures of what was kept."""

import json

import pytest

from okd_tf import errors
from okd_tf.training import metrics

LAST = {"accuracy": 0.5, "loss": 1.0, "epoch": 4}
KEPT = {"how": "best", "accuracy": 0.75, "loss": 0.5, "epoch": 2}
FIGURES = {"params": 3, "epochs": 4, "val": {"last": LAST, "best": {**LAST, "epoch": 2}}}


def _write(tmp_path, kept, peer=False):
    val = {**FIGURES["val"], "kept": kept}
    found = {**FIGURES, "peer": {"val": val}} if peer else {**FIGURES, "val": val}
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize("peer", [False, True])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"how": "luckiest"}, 'kept.how: expected "last" or "best" or "average", got "luckiest"'),
        ({"how": 1}, "kept.how: expected"),
        ({"accuracy": 1.5}, "kept.accuracy: expected a finite number from 0 to 1, got 1.5"),
        ({"loss": None}, "kept.loss: expected a finite number"),
        ({"epoch": 0}, "kept.epoch: expected an integer >= 1, got 0"),
        ({"epoch": 5}, "kept.epoch: later than the last of 4"),
    ],
)
def test_nonsense_about_what_was_kept_is_refused_by_its_name(tmp_path, peer, wrong, said):
    assert metrics.read(_write(tmp_path, KEPT, peer))
    path = _write(tmp_path, {**KEPT, **wrong}, peer)
    with pytest.raises(errors.UserError) as refusal:
        metrics.read(path)
    assert f"{path}: {'peer.' if peer else ''}val.{said}" in str(refusal.value)


def test_the_validation_accuracy_is_that_of_what_was_kept(tmp_path):
    assert metrics.of_validation(_write(tmp_path, KEPT)) == 0.75


def test_of_a_file_that_does_not_say_the_last_weights_were_kept(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(FIGURES))
    assert metrics.of_validation(path) == 0.5
    assert metrics.keeps_last(metrics.read(path)["val"])
