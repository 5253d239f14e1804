"""A prepared backbone as a file, and its fingerprint."""

import pathlib
import subprocess
import sys

import branched
import keras
import numpy as np
import pytest

from okd_tf import errors
from okd_tf.backbones import prepare, stored


def _prepared(path, mean=100.0):
    return prepare.read(path, branched.SHAPE, branched.CLASSES, (mean,), (50.0,))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("mine") / "mine.keras"
    branched.make().save(path)
    return path


def _adapted(images):
    layer = keras.layers.Normalization()
    layer.adapt(images)
    inputs = keras.Input(branched.SHAPE, name="image")
    return keras.Model(inputs, keras.layers.Flatten(name="flat")(layer(inputs)), name="adapted")


def test_the_fingerprint_is_not_of_the_initial_weights_or_the_time(path, tmp_path):
    first, second = _prepared(path), _prepared(path)
    assert np.any(first.get_weights()[0] != second.get_weights()[0])
    assert stored.fingerprint(first) == stored.fingerprint(second)
    stored.write(tmp_path / stored.NAME, first)
    read = stored.read(tmp_path / stored.NAME, stored.fingerprint(second))
    assert stored.fingerprint(read) == stored.fingerprint(first)


@pytest.mark.slow
def test_the_fingerprint_is_the_same_in_another_process(path):
    program = (
        "import sys; from okd_tf.backbones import prepare, stored; import keras; keras.layers.Dense(3); "
        "print(stored.fingerprint(prepare.read(sys.argv[1], (8, 8, 1), 3, (100.0,), (50.0,))))"
    )
    command = [sys.executable, "-c", program, str(path)]
    root = pathlib.Path(__file__).parents[2]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert result.stdout.strip() == stored.fingerprint(_prepared(path)), result.stderr


def test_the_fingerprint_is_of_the_structure_and_of_kept_state(path, rng):
    images = rng.normal(size=(4, *branched.SHAPE))
    one, same, other = (_adapted(data) for data in (images, images, images + 1))
    for model in (one, same, other):
        model.layers[1].name = "normalization"
    assert stored.fingerprint(one) == stored.fingerprint(same) != stored.fingerprint(other)
    assert stored.fingerprint(_prepared(path)) != stored.fingerprint(_prepared(path, mean=101.0))


def test_another_backbone_and_a_missing_one_are_refused_in_one_line(path, tmp_path):
    file = tmp_path / stored.NAME
    with pytest.raises(errors.UserError, match="no such file; it belongs to the architecture"):
        stored.read(file, "0" * 64)
    stored.write(file, _prepared(path))
    with pytest.raises(errors.UserError) as refusal:
        stored.read(file, stored.fingerprint(_prepared(path, mean=101.0)))
    assert str(refusal.value).startswith(f"{file}: is another backbone than the architecture was found on")
