"""Networks as their files have them: .keras, and SavedModels with signatures of all kinds."""

import functools
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.export import network, saved_model
from okd_tf.teachers import formats, manifest, teacher

DEFAULT = manifest.Manifest()


def _refusal(path, **declared):
    with pytest.raises(errors.UserError) as refusal:
        formats.read(path, manifest.Manifest(**declared))
    message = str(refusal.value)
    assert "\n" not in message
    return message


def _linear(shape=tiny.SHAPE, classes=tiny.CLASSES):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))


class _Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(tiny.CLASSES)

    def call(self, inputs):
        return self.dense(keras.ops.reshape(inputs, (-1, 16)))


def test_a_keras_file_is_read_back_as_it_was_saved(tmp_path, networks, data):
    networks[0].save(tmp_path / "mine.keras")
    found = formats.read(tmp_path / "mine.keras", DEFAULT)
    pixels = data.val.images.astype(np.float32)
    expected = networks[0](pixels, training=False)
    np.testing.assert_allclose(found.call(pixels), expected, rtol=1e-4, atol=1e-4)
    assert (found.takes, found.gives, found.dtype) == (tiny.SHAPE, tiny.CLASSES, tf.float32)
    assert found.params == networks[0].count_params()


def test_a_missing_file_is_refused(tmp_path):
    assert _refusal(tmp_path / "missing.keras") == f"{tmp_path / 'missing.keras'}: no such file"


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path, networks, kept):
    path = tmp_path / "mine.keras"
    networks[0].save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    message = _refusal(path)
    assert message.startswith(f"{path}: not a readable .keras file")
    assert "cut short" in message


def test_a_network_of_custom_code_is_refused(tmp_path):
    model = _Subclassed()
    model(np.zeros((1, *tiny.SHAPE), np.float32))
    model.save(tmp_path / "mine.keras")
    assert "_Subclassed" in _refusal(tmp_path / "mine.keras")


def test_a_network_of_any_image_size_says_so(tmp_path):
    inputs = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(5)(pooled)).save(tmp_path / "mine.keras")
    found = formats.read(tmp_path / "mine.keras", DEFAULT)
    assert (found.takes, found.gives, found.params) == ((None, None, 1), 5, 10)


def _of_outputs(structure):
    """A model that gives [batch, 3] and twice that, in a structure of both."""
    model = _linear()
    doubled = keras.layers.Rescaling(2.0, name="doubled")(model.output)
    return model, keras.Model(model.input, structure(model.output, doubled))


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        (lambda one, two: [one, two], ("dense", "doubled")),
        (lambda one, two: {"class": one, "other": two}, ("class", "other")),
        (lambda one, two: {"z": one, "a": two}, ("z", "a")),
    ],
)
def test_of_several_outputs_the_one_that_is_named_is_asked(tmp_path, rng, structure, names):
    model, several = _of_outputs(structure)
    path = tmp_path / "mine.keras"
    several.save(path)
    images = rng.integers(0, 256, (5, *tiny.SHAPE)).astype(np.float32)
    names = [name if name != "dense" else model.layers[-1].name for name in names]
    for name, factor in zip(names, (1, 2), strict=True):
        found = formats.read(path, manifest.Manifest(output=name))
        np.testing.assert_allclose(found.call(images), factor * model(images).numpy(), rtol=1e-5)
    message = _refusal(path)
    assert message.startswith(f"{path}: has 2 outputs; name the one that says the class, one of ")
    assert message.endswith(f'as "output" in {tmp_path / "mine.json"}')
    assert "output: unknown name 'none'" in _refusal(path, output="none")


@pytest.mark.parametrize("structure", [lambda one, two: {"logits": one}, lambda one, two: [one]])
def test_a_single_output_may_come_in_a_dictionary_or_a_list(tmp_path, rng, structure):
    model, wrapped = _of_outputs(structure)
    wrapped.save(tmp_path / "mine.keras")
    images = rng.integers(0, 256, (5, *tiny.SHAPE)).astype(np.float32)
    found = formats.read(tmp_path / "mine.keras", DEFAULT)
    np.testing.assert_allclose(found.call(images), model(images).numpy(), rtol=1e-5)


def test_a_network_of_maps_is_refused(tmp_path):
    inputs = keras.Input(tiny.SHAPE)
    keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs)).save(tmp_path / "mine.keras")
    assert f"{tmp_path / 'mine.keras'}: gives outputs of shape (4, 4, 3)" in _refusal(tmp_path / "mine.keras")


def test_what_is_of_saved_models_is_refused_of_a_keras_file(tmp_path):
    _linear().save(tmp_path / "mine.keras")
    message = _refusal(tmp_path / "mine.keras", signature="serve")
    assert message.startswith(f"{tmp_path / 'mine.json'}: signature: only SavedModels have")


def _images(dtype=tf.float32, batch=None):
    return tf.TensorSpec([batch, *tiny.SHAPE], dtype, name="images")


class _Signatures(tf.Module):
    """Ways in which a program may export a network; all but three are of no use here."""

    def __init__(self):
        super().__init__()
        generator = np.random.default_rng(0)
        self.weights = tf.Variable(generator.normal(size=(16, tiny.CLASSES)).astype(np.float32))

    def logits(self, images):
        return tf.reshape(tf.cast(images, tf.float32), [-1, 16]) @ self.weights

    def signatures(self):
        unknown = tf.TensorSpec(None, tf.float32, name="images")
        switch = tf.TensorSpec([], tf.bool, name="training")
        return {
            "serving_default": self._of(lambda images: {"logits": self.logits(images)}, _images(tf.uint8)),
            "half": self._of(lambda images: {"logits": self.logits(images)}, _images(tf.float16)),
            "two_outputs": self._of(
                lambda images: {"logits": self.logits(images), "maps": images}, _images()
            ),
            "one_image": self._of(lambda images: {"logits": self.logits(images)}, _images(batch=1)),
            "integers": self._of(lambda images: {"logits": self.logits(images)}, _images(tf.int32)),
            "unknown": self._of(lambda images: {"logits": self.logits(images)}, unknown),
            "two_inputs": self._of(
                lambda images, training: {"logits": self.logits(images), "is": training}, _images(), switch
            ),
            "classes": self._of(lambda images: {"class": tf.argmax(self.logits(images), 1)}, _images()),
        }

    def _of(self, function, *specs):
        return tf.function(function).get_concrete_function(*specs)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(folder, module) of a SavedModel with many signatures."""
    module = _Signatures()
    path = tmp_path_factory.mktemp("saved") / "mine"
    tf.saved_model.save(module, str(path), signatures=module.signatures())
    return path, module


@pytest.mark.parametrize(
    ("declared", "dtype"),
    [
        ({}, tf.uint8),
        ({"signature": "half"}, tf.float16),
        ({"signature": "two_outputs", "output": "logits"}, tf.float32),
    ],
)
def test_a_signature_is_asked_as_it_was_exported(exported, data, declared, dtype):
    path, module = exported
    found = formats.read(path, manifest.Manifest(**declared))
    assert (found.takes, found.gives, found.dtype) == (tiny.SHAPE, tiny.CLASSES, dtype)
    assert found.params == 16 * tiny.CLASSES
    images = tf.cast(data.val.images, dtype)
    np.testing.assert_allclose(found.call(images), module.logits(images), rtol=1e-5)
    traced = tf.function(found.call)(images)
    np.testing.assert_allclose(traced, module.logits(images), rtol=1e-5)


@pytest.mark.parametrize("name", ["one_image", "integers", "unknown", "two_inputs"])
def test_a_signature_that_does_not_take_images_is_refused_with_all_there_are(exported, name):
    path, _ = exported
    message = _refusal(path, signature=name)
    assert message.startswith(f"{path}: signature '{name}' does not take images alone, one input ")
    assert "serving_default(images uint8 [any, 4, 4, 1]) -> logits float32 [any, 3]" in message
    assert "one_image(images float32 [1, 4, 4, 1])" in message
    assert "unknown(images float32 of any shape)" in message
    assert f'name another as "signature" in {path}.json' in message


def test_a_signature_that_is_not_there_is_refused_with_those_that_are(exported):
    path, _ = exported
    message = _refusal(path, signature="serve")
    assert message.startswith(f"{path}: has no signature 'serve', but ")
    assert "half(images float16 [any, 4, 4, 1]) -> logits float32 [any, 3]" in message


def test_of_several_outputs_one_must_be_named(exported):
    path, _ = exported
    message = _refusal(path, signature="two_outputs")
    assert message.startswith(f"{path}: signature 'two_outputs' has 2 outputs; name one of logits, maps as ")
    assert message.endswith(f'"output" in {path}.json')
    message = _refusal(path, signature="two_outputs", output="logit")
    assert message.startswith(f"{path}.json: output: unknown name 'logit'; did you mean logits?")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"signature": "two_outputs", "output": "maps"}, "output 'maps' is float32 [any, 4, 4, 1], not"),
        ({"signature": "classes"}, "output 'class' is int64 [any], not"),
    ],
)
def test_an_output_without_a_number_for_each_class_is_refused(exported, declared, said):
    path, _ = exported
    assert f"{path}: {said}" in _refusal(path, **declared)


def test_a_saved_model_without_signatures_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "mine"))
    assert "a SavedModel without signatures" in _refusal(tmp_path / "mine")


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_saved_model_cut_short_is_refused_and_nothing_else_is_said(exported, tmp_path, file, capfd):
    path = shutil.copytree(exported[0], tmp_path / "mine")
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])
    message = _refusal(path)
    assert message.startswith(f"{path}: not a readable SavedModel (")
    assert capfd.readouterr() == ("", "")


@functools.cache
def _keras_model():
    return tiny.make_backbone().model


@pytest.mark.parametrize("export", ["ours", "of Keras"])
def test_exports_of_networks_are_networks_again(tmp_path, data, export):
    model = _keras_model()
    pixels = data.val.images.astype(np.float32)
    expected = model(pixels, training=False)
    if export == "ours":
        saved_model.write(network.of_model(model), tmp_path / "mine")
        expected = tf.nn.softmax(expected)
    else:
        model.export(tmp_path / "mine", verbose=False)
    found = formats.read(tmp_path / "mine", DEFAULT)
    assert found.dtype == (tf.uint8 if export == "ours" else tf.float32)
    assert found.params == model.count_params()
    np.testing.assert_allclose(found.call(tf.cast(pixels, found.dtype)), expected, rtol=1e-4, atol=1e-4)


def test_a_network_for_so_many_images_at_once_is_asked_or_refused_by_that(tmp_path, data, rng):
    inputs = keras.Input(tiny.SHAPE, batch_size=1)
    outputs = keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "any.keras")
    found = formats.read(tmp_path / "any.keras", DEFAULT)
    assert found.call(rng.random((5, *tiny.SHAPE)).astype(np.float32)).shape == (5, tiny.CLASSES)
    flat = keras.ops.reshape(inputs, (1, 16))
    keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(flat)).save(tmp_path / "one.keras")
    with pytest.raises(errors.UserError, match="it was made for 1 at once; build it without batch_size"):
        teacher.read(tmp_path / "one.keras", data)
