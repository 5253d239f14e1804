"""A teacher takes the dataset's pixels and gives logits in its order, whatever its network does."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors, files, json_file
from okd_tf.export import network, saved_model
from okd_tf.teachers import formats, manifest, teacher
from okd_tf.training import inference


@pytest.fixture(scope="module")
def pixels(data):
    return tf.cast(data.val.images, tf.float32)


class _Recorded:
    """A network that keeps what it is shown and gives set outputs."""

    def __init__(self, outputs=(4.0, 5.0, 7.0), takes=(None, None, 1), dtype=tf.float32):
        self.outputs = np.asarray(outputs, np.float32)
        self.shown = None
        self.network = formats.Network(self._call, takes, tiny.CLASSES, dtype, params=1234)

    def _call(self, images):
        self.shown = images
        return tf.tile(self.outputs[None], [len(images), 1])


def _teacher(recorded, data, **declared):
    return teacher.Teacher("mine.keras", recorded.network, manifest.Manifest(**declared), data)


def _refusal(function, *arguments, **declared):
    with pytest.raises(errors.UserError) as refusal:
        function(*arguments, **declared)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_undeclared_the_network_sees_the_pixels_themselves(data, pixels):
    recorded = _Recorded()
    one = _teacher(recorded, data)
    np.testing.assert_array_equal(one(pixels)[0], [4, 5, 7])
    np.testing.assert_array_equal(recorded.shown, pixels)
    assert one.description() == "1,234 parameters, gives logits"


def test_values_are_scaled_after_the_images_are_resized(data):
    recorded = _Recorded()
    one = _teacher(recorded, data, input_size=(2, 4), value_range=(0, 1), mean=(0.2,), std=(0.5,))
    # Rows 0, 102, 51, 255; twice smaller with antialiasing is the mean under a triangle of twice the width:
    # of weights 3, 3, 1 for the first row and its mirror image for the second.
    column = np.array([0, 102, 51, 255], np.float32)
    one(np.tile(column[None, :, None, None], [1, 1, 4, 1]))
    resized = np.array([(3 * 102 + 51) / 7, (102 + 3 * 51 + 3 * 255) / 7])
    assert recorded.shown.shape == (1, 2, 4, 1)
    np.testing.assert_allclose(recorded.shown[0, :, 1, 0], (resized / 255 - 0.2) / 0.5, atol=1e-6)
    assert one.description() == ("1,234 parameters, gives logits, images resized to 2x4, pixel values scaled")


def test_bytes_are_rounded_and_not_cut_off(data):
    recorded = _Recorded(dtype=tf.uint8)
    one = _teacher(recorded, data, input_size=(2, 2))
    one(np.full((1, *tiny.SHAPE), 100, np.float32) + np.arange(4)[None, :, None, None].astype(np.float32))
    assert recorded.shown.dtype == tf.uint8
    # (3 * 100 + 3 * 101 + 102) / 7 = 100.71, and 102.29.
    np.testing.assert_array_equal(recorded.shown[0, :, 0, 0], [101, 102])


def test_logits_come_in_the_dataset_s_order_of_classes(data, pixels):
    one = _teacher(_Recorded(), data, class_names=("bright", "dark", "grey"))
    np.testing.assert_array_equal(one(pixels)[0], [5, 7, 4])
    assert one.description().endswith("classes put in the dataset's order")


def test_probabilities_become_logits_whose_softmax_they_are_in_the_order_of_the_classes(data, pixels):
    for declared in ({}, {"outputs": "probabilities"}):
        one = _teacher(_Recorded([0.5, 0.5, 0.0]), data, class_names=("bright", "dark", "grey"), **declared)
        logits = one(pixels)
        assert one.outputs == "probabilities"
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(tf.nn.softmax(logits)[0], [0.5, 0, 0.5], atol=1e-6)


def test_declarations_that_its_outputs_contradict_are_refused(data):
    message = _refusal(_teacher, _Recorded([0.5, 0.5, 0.0]), data, outputs="logits")
    assert message.startswith('mine.json: outputs: "logits" declared, but the rows that mine.keras gives are')
    message = _refusal(_teacher, _Recorded(), data, outputs="probabilities")
    assert message.startswith('mine.json: outputs: "probabilities" declared, but the rows that mine.keras')


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_no_numbers_are_refused_by_the_file(data, value):
    message = _refusal(_teacher, _Recorded([0.0, value, 1.0]), data)
    assert message.startswith("mine.keras: gives NaN or infinite outputs on 18 of 18 validation images")


def test_it_is_tried_on_at_most_64_validation_images():
    recorded = _Recorded()
    _teacher(recorded, tiny.make_splits(val=100))
    assert len(recorded.shown) == 64


@pytest.mark.parametrize(
    ("shape", "said"), [((18, 4), "gives 4 classes"), ((18, 2, 3), "(2, 3)"), ((), "()")]
)
def test_a_number_of_classes_that_only_a_call_shows_is_refused_with_both(data, shape, said):
    recorded = _Recorded()
    recorded.network = dataclasses.replace(recorded.network, call=lambda images: tf.zeros(shape), gives=None)
    message = _refusal(_teacher, recorded, data)
    assert message.startswith("mine.keras: gives ")
    assert said in message
    assert "the dataset has 3 classes" in message


def test_a_network_that_gives_other_rows_than_images_is_refused_with_both_counts(data):
    recorded = _Recorded()
    # As one does that flattens whatever comes to rows of a larger image.
    recorded.network = dataclasses.replace(recorded.network, call=lambda images: tf.zeros([6, tiny.CLASSES]))
    message = _refusal(_teacher, recorded, data)
    assert message.startswith(
        "mine.keras: gives 6 rows for 18 images of shape (4, 4, 1); if it takes another"
    )


def test_the_reason_of_a_failure_in_a_graph_is_what_failed_and_not_where(data):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, None], tf.float32)])
    def call(images):
        return tf.reshape(images, [tf.shape(images)[0], 7])

    recorded = _Recorded()
    recorded.network = dataclasses.replace(recorded.network, call=call)
    assert "(Input to reshape is a tensor with 288 values, but" in _refusal(_teacher, recorded, data)


def test_a_network_that_fails_on_the_images_is_refused_with_its_reason(data):
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.AveragePooling2D(8),
            keras.layers.Reshape((1,)),
            keras.layers.Dense(tiny.CLASSES),
        ]
    )
    message = _refusal(tiny.make_teacher, model, data)
    assert message.startswith("mine.keras: fails on 18 images of shape (4, 4, 1) (")
    assert message.endswith('if it takes another size, declare "input_size": [height, width] in mine.json')
    one = tiny.make_teacher(model, data, input_size=(8, 8))
    assert one(tf.zeros([5, *tiny.SHAPE])).shape == (5, tiny.CLASSES)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, networks):
    """A folder with one network as a .keras file and as this project's SavedModel."""
    folder = tmp_path_factory.mktemp("given")
    networks[0].save(folder / "a.keras")
    saved_model.write(network.of_model(networks[0]), folder / "saved")
    return folder


def test_a_saved_model_teaches_what_its_keras_model_does(exported, networks, data, pixels):
    logits, served = (teacher.read(exported / name, data) for name in ("a.keras", "saved"))
    assert (logits.outputs, served.outputs) == ("logits", "probabilities")
    assert logits.params == served.params == networks[0].count_params()
    expected = tf.nn.softmax(networks[0](pixels, training=False))
    for one in (logits, served):
        traced = tf.function(one)(pixels)
        np.testing.assert_allclose(tf.nn.softmax(traced), expected, rtol=1e-3, atol=1e-5)
        asked = inference.Predictor(one, image_shape=one.image_shape).logits(data.val.images)
        np.testing.assert_allclose(asked, traced, rtol=1e-3, atol=1e-3)


def test_a_network_of_another_size_teaches_once_its_size_is_declared(tmp_path, data, pixels):
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(inputs))).save(
        tmp_path / "big.keras"
    )
    message = _refusal(teacher.read, tmp_path / "big.keras", data)
    assert message.endswith(f'declare "input_size": [8, 8] in {tmp_path / "big.json"}')
    (tmp_path / "big.json").write_text('{"input_size": [8, 8], "held_out": {"part": 1}}')
    one = teacher.read(tmp_path / "big.keras", data)
    assert one(pixels).shape == (18, tiny.CLASSES)
    assert one.manifest.held_out == {"part": 1}


def test_a_network_with_a_weight_that_is_nan_is_refused(tmp_path, networks, data):
    model = keras.models.clone_model(networks[0])
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    model.save(tmp_path / "mine.keras")
    assert _refusal(teacher.read, tmp_path / "mine.keras", data).startswith(
        f"{tmp_path / 'mine.keras'}: gives NaN or infinite outputs on 18 of 18 "
    )


def test_the_hash_of_a_file_without_a_manifest_is_the_file_s(exported):
    assert teacher.content_hash(exported / "a.keras") == files.sha256(exported / "a.keras")


@pytest.mark.parametrize("name", ["a.keras", "saved"])
def test_the_hash_is_of_the_network_and_of_its_manifest_wherever_they_lie(exported, tmp_path, name):
    found = []
    for folder, declared in (("one", {}), ("other", {}), ("third", {"outputs": "logits"}), ("last", None)):
        teacher.copy(exported / name, tmp_path / folder / "teacher_07.keras")
        (path,) = formats.inside(tmp_path / folder)
        assert path.name == ("teacher_07.keras" if name == "a.keras" else "teacher_07")
        if declared is not None:
            json_file.write(manifest.path(path), declared)
        found.append(teacher.content_hash(path))
    assert found[0] == found[1]
    assert len(set(found)) == 3
    assert found[3] == teacher.content_hash(exported / name)


@pytest.mark.parametrize("name", ["a.keras", "saved"])
def test_a_copy_teaches_the_same_with_the_same_manifest(exported, tmp_path, name, data):
    given = tmp_path / name
    (shutil.copytree if name == "saved" else shutil.copy)(exported / name, given)
    json_file.write(manifest.path(given), {"class_names": ["grey", "dark", "bright"]})
    for _ in range(2):
        teacher.copy(given, tmp_path / "run" / "teacher_00.keras")
        (path,) = formats.inside(tmp_path / "run", "teacher_*")
        assert json.loads((tmp_path / "run" / "teacher_00.json").read_text()) == {
            "class_names": ["grey", "dark", "bright"]
        }
        assert teacher.content_hash(path) == teacher.content_hash(given)
    assert teacher.read(path, data).manifest.class_names == ("grey", "dark", "bright")
    manifest.path(given).unlink()
    teacher.copy(given, tmp_path / "run" / "teacher_00.keras")
    assert sorted(one.name for one in (tmp_path / "run").iterdir()) == [path.name]
