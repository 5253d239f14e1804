"""Checkpoints are whole or not there, and say so when they are damaged."""

import errno
import json

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors
from okd_tf.training import checkpoint


class _Held:
    """What a Keras variable looks like to a checkpoint."""

    def __init__(self, value):
        self.value = tf.Variable(value)


def _variables(fill=0.0):
    return [_Held(np.full(3, fill, np.float32)), _Held(np.int64(fill))]


def _saved(folder, *steps):
    """Checkpoints whose variables hold their step."""
    variables = _variables()
    checkpointer = checkpoint.Checkpointer(folder, variables)
    for step in steps:
        for variable in variables:
            variable.value.assign(tf.cast(tf.fill(variable.value.shape, step), variable.value.dtype))
        checkpointer.save(step)


def _restored(folder):
    """(step, what its variables hold) for a new process."""
    variables = _variables(-1.0)
    step = checkpoint.Checkpointer(folder, variables).restore()
    return step, [variable.value.numpy().tolist() for variable in variables]


def test_what_is_restored_is_what_was_saved(tmp_path):
    _saved(tmp_path, 4)
    assert _restored(tmp_path) == (4, [[4.0] * 3, 4])


@pytest.mark.parametrize("name", ["a[v1]", "a\\b", "a*b", "a?b", "100%s 'q' \"ü\" 🐱 "])
def test_a_name_that_could_be_a_pattern_is_taken_for_what_it_is(tmp_path, name):
    # What a pattern of this name would match as well.
    for other in ("av", "a-b"):
        _saved(tmp_path / other, 4)
    _saved(tmp_path / name, 5)
    assert _restored(tmp_path / name) == (5, [[5.0] * 3, 5])


def test_without_a_checkpoint_nothing_is_changed(tmp_path):
    assert _restored(tmp_path / "missing") == (0, [[-1.0] * 3, -1])


def test_the_last_two_are_kept(tmp_path):
    _saved(tmp_path, 4, 8, 12)
    assert checkpoint.steps(tmp_path) == [8, 12]


def _spoil(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _claim(folder, **what):
    (folder / "manifest.json").write_text(json.dumps({"format": 1, **what}))


def _without(name):
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: _spoil(folder / "variables.data-00000-of-00001"), "variables.data-00000-of-00001"),
        (lambda folder: _spoil(folder / "variables.index"), "variables.index"),
        (_without("variables.index"), "manifest.json: files: "),
        (_without("manifest.json"), "manifest.json: no such file"),
        (lambda folder: (folder / "manifest.json").write_text(""), "manifest.json: not valid JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json"),
        (lambda folder: _claim(folder, step=8, files=["variables.index"]), "files: "),
        (lambda folder: _claim(folder, step=4, files={}), "step: "),
    ],
)
def test_a_damaged_one_is_named_and_the_one_before_taken(tmp_path, capsys, damage, named):
    _saved(tmp_path, 4, 8)
    damage(checkpoint.path_of(tmp_path, 8))
    assert _restored(tmp_path) == (4, [[4.0] * 3, 4])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: checkpoint left out: {checkpoint.path_of(tmp_path, 8)}")
    assert named in line


def test_one_of_another_step_than_its_name_says_is_left_out(tmp_path, capsys):
    _saved(tmp_path, 4, 8)
    checkpoint.path_of(tmp_path, 8).rename(checkpoint.path_of(tmp_path, 9))
    assert _restored(tmp_path)[0] == 4
    assert "step: " in capsys.readouterr().out


def test_one_of_other_variables_is_left_out(tmp_path, capsys):
    _saved(tmp_path, 4)
    other = [_Held(np.zeros(5, np.float32))]
    assert checkpoint.Checkpointer(tmp_path, other).restore() == 0
    assert "warning: checkpoint left out" in capsys.readouterr().out


def test_damaged_ones_of_later_steps_give_way_to_the_first_that_is_saved(tmp_path):
    _saved(tmp_path, 4, 8)
    _spoil(checkpoint.path_of(tmp_path, 8) / "variables.index")
    _saved(tmp_path, 6)
    assert checkpoint.steps(tmp_path) == [4, 6]


def test_a_damaged_one_is_written_again(tmp_path):
    _saved(tmp_path, 4)
    _spoil(checkpoint.path_of(tmp_path, 4) / "variables.index")
    _saved(tmp_path, 4)
    assert _restored(tmp_path)[0] == 4


def test_what_a_kill_left_half_written_is_removed(tmp_path):
    _saved(tmp_path, 4)
    left = tmp_path / f".partial-{checkpoint.path_of(tmp_path, 8).name}"
    left.mkdir()
    (left / "variables.index").write_text("")
    assert _restored(tmp_path)[0] == 4
    assert not left.exists()


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "a.data; No space left on device"), "free some space"),
        (tf.errors.UnknownError(None, None, "a.data; Input/output error"), "Input/output error"),
        (tf.errors.OutOfRangeError(None, None, "a.data; File too large [Op:SaveV2]"), "ulimit -f"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
    ],
)
def test_a_disk_that_is_full_or_broken_is_one_line_and_keeps_what_is_there(
    tmp_path, monkeypatch, raised, said
):
    _saved(tmp_path, 4)

    def fail(self, path):
        raise raised

    monkeypatch.setattr(tf.train.Checkpoint, "write", fail)
    with pytest.raises(errors.UserError, match=said) as refusal:
        _saved(tmp_path, 8)
    assert str(checkpoint.path_of(tmp_path, 8)) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.path_of(tmp_path, 4).name]


def test_the_manifest_has_the_sum_of_each_file(tmp_path):
    _saved(tmp_path, 4)
    folder = checkpoint.path_of(tmp_path, 4)
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    names = {path.name for path in folder.iterdir()} - {checkpoint.MANIFEST}
    assert manifest["step"] == 4
    assert manifest["files"] == {name: checkpoint.files.sha256(folder / name) for name in names}
