"""Reading .keras files: what cannot be used is one line that names it. Writing: bytes of content alone."""

import json
import zipfile

import keras
import numpy as np
import pytest

from okd_tf import errors
from okd_tf.backbones import keras_file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    inputs = keras.Input((8, None, 1))
    features = keras.layers.GlobalAveragePooling2D()(inputs)
    path = tmp_path_factory.mktemp("files") / "mine.keras"
    keras.Model(inputs, keras.layers.Dense(3)(features)).save(path)
    return path


def _refusal(path):
    with pytest.raises(errors.UserError) as refusal:
        keras_file.load(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in _refusal(tmp_path / "none.keras")


def test_a_file_cut_short_is_refused(path, tmp_path):
    (tmp_path / "cut.keras").write_bytes(path.read_bytes()[:2000])
    assert "is it cut short" in _refusal(tmp_path / "cut.keras")


def test_code_in_a_file_is_not_run(tmp_path):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(tmp_path / "code.keras")
    message = _refusal(tmp_path / "code.keras")
    assert "it is of custom code" in message
    assert "model.export('code')" in message


def test_weights_alone_are_said_to_be_so(tmp_path):
    message = _refusal(_empty(tmp_path / "mine.weights.h5"))
    assert "holds weights and no network" in message
    assert "model.save('mine.keras')" in message
    assert "load_model('mine.h5'" in _refusal(_empty(tmp_path / "mine.h5"))


def _empty(path):
    path.touch()
    return path


def test_a_network_that_fits_passes(path):
    keras_file.check_fits(path, keras_file.load(path), (8, 5, 1), 3)


@pytest.mark.parametrize(
    ("image_shape", "classes", "said"),
    [
        ((9, 8, 1), 3, "takes images of shape (8, None, 1), the dataset's are (9, 8, 1)"),
        ((8, 8, 3), 3, "takes images of shape (8, None, 1), the dataset's are (8, 8, 3)"),
        ((8, 8, 1), 4, "gives outputs of shape (3,), the dataset has 4 classes"),
    ],
)
def test_a_network_for_other_data_is_refused(path, image_shape, classes, said):
    with pytest.raises(errors.UserError) as refusal:
        keras_file.check_fits(path, keras_file.load(path), image_shape, classes)
    assert str(refusal.value).startswith(f"{path}: {said}")


def test_channels_first_and_one_output_for_two_classes_are_told_how_to_fit():
    inputs = keras.Input((3, 8, 8))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    with pytest.raises(errors.UserError, match=r"channels come first: build the same .*'channels_last'"):
        keras_file.check_fits("mine.keras", model, (8, 8, 3), 2)
    with pytest.raises(errors.UserError, match="end it in a Dense layer of two"):
        keras_file.check_fits("mine.keras", model, (3, 8, 8), 2)


def test_two_inputs_are_refused():
    inputs = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    features = keras.layers.Flatten()(keras.layers.Add()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(features))
    with pytest.raises(errors.UserError, match="one input and one output, got 2 and 1"):
        keras_file.check_fits("mine.keras", model, (8, 8, 1), 3)


def _network():
    policy = keras.DTypePolicy("float32")  # shared by two layers: Keras writes its address
    inputs = keras.Input((8, 8, 1), name="pixels")
    features = keras.layers.GlobalAveragePooling2D(name="pool", dtype=policy)(inputs)
    logits = keras.layers.Dense(3, kernel_initializer="ones", name="logits", dtype=policy)(features)
    return keras.Model(inputs, logits, name="mine")


def test_the_same_network_gives_the_same_bytes_whenever_and_wherever_in_memory_it_is(tmp_path):
    networks = [_network(), _network()]
    paths = [tmp_path / name / "mine.keras" for name in ("first", "second")]
    for network, path in zip(networks, paths, strict=True):
        keras_file.save(path, network)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as file:
        assert {member.date_time[:3] for member in file.infolist()} == {(1980, 1, 1)}
        assert b"1980-01-01" in file.read("metadata.json")


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path):
    keras_file.save(tmp_path / "mine.keras", _network())
    again = keras_file.load(tmp_path / "mine.keras")
    np.testing.assert_array_equal(again.get_layer("logits").kernel, np.ones((1, 3)))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.keras"]


def test_a_file_of_keras_2_is_said_to_be_one(tmp_path):
    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        written.writestr("config.json", json.dumps({"module": "keras.src.engine.functional"}))
    assert "was saved by Keras 2.15.0, which Keras 3 does not read" in _refusal(path)
    assert "save it as a SavedModel (model.export('mine'))" in _refusal(path)


def test_of_an_hdf5_file_it_is_said_how_to_make_a_keras_file_of_it(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(b"")
    assert "load_model('mine.h5', compile=False).save('mine.keras')" in _refusal(path)
