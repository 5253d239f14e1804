"""What a program that loads the SavedModel relies on."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.export import network, saved_model
from okd_tf.teachers import formats, manifest

# What a user's program does; that it can do without them, it says by making their imports fail.
SERVE_ELSEWHERE = """
import sys
sys.modules["okd_tf"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
np.save(sys.argv[3], serve(images=tf.constant(np.load(sys.argv[2])))["probabilities"].numpy())
"""


@pytest.fixture(scope="module")
def written(random_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "saved_model"
    saved_model.write(network.of_model(random_model), path)
    return path


def softmax_of(model, images):
    return keras.ops.convert_to_numpy(
        keras.ops.softmax(model(images.astype(np.float32), training=False), axis=-1)
    )


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_any_batch_gives_the_softmax_of_the_keras_logits(written, random_model, images, batch):
    images = images[:batch]
    probabilities = saved_model.read(written)(images=tf.constant(images))["probabilities"].numpy()
    np.testing.assert_allclose(probabilities, softmax_of(random_model, images), atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(batch), atol=1e-6)


def test_signature_is_uint8_images_to_float32_probabilities(written):
    signature = saved_model.read(written)
    (inputs,) = signature.structured_input_signature[1].values()
    assert (inputs.name, inputs.dtype, inputs.shape.as_list()) == ("images", tf.uint8, [None, 8, 8, 1])
    outputs = signature.structured_outputs["probabilities"]
    assert (outputs.dtype, outputs.shape.as_list()) == (tf.float32, [None, 10])


def test_loads_in_a_fresh_process_without_keras_or_okd_tf(written, random_model, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    arguments = [written, tmp_path / "images.npy", tmp_path / "probabilities.npy"]
    command = [sys.executable, "-c", SERVE_ELSEWHERE, *map(str, arguments)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    probabilities = np.load(tmp_path / "probabilities.npy")
    np.testing.assert_allclose(probabilities, softmax_of(random_model, images), atol=1e-6)


def test_stores_each_weight_once(written, random_model):
    stored = tf.train.list_variables(str(written / "variables" / "variables"))
    weights = sum(int(np.prod(shape)) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    assert weights == random_model.count_params()


def test_writing_again_replaces_the_folder(random_model, tmp_path):
    path = tmp_path / "saved_model"
    path.mkdir()
    (path / "stale").touch()
    saved_model.write(network.of_model(random_model), path)
    assert not (path / "stale").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved_model"]


@pytest.mark.parametrize("name", ["a[v1]", "a\\b", "a*b?"])
def test_a_folder_whose_name_could_be_a_pattern_is_written_and_read(random_model, images, tmp_path, name):
    path = tmp_path / name / "saved_model"
    saved_model.write(network.of_model(random_model), path)
    assert formats.is_saved_model(path)
    saved_model.check(path, images, softmax_of(random_model, images))
    asked = formats.read(path, manifest.Manifest())
    np.testing.assert_allclose(asked.call(tf.constant(images)), softmax_of(random_model, images), atol=1e-6)


def test_check_refuses_other_probabilities(written, random_model, images):
    expected = softmax_of(random_model, images)
    saved_model.check(written, images, expected)
    with pytest.raises(RuntimeError, match="differ"):
        saved_model.check(written, images, np.roll(expected, 1, axis=1))
    with pytest.raises(RuntimeError, match="differ"):
        saved_model.check(written, images, np.full_like(expected, np.nan))
