"""Reading teachers from files, and asking several as one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.teachers import ensemble


def _read(path):
    return ensemble.read_network(path, tiny.SHAPE, tiny.CLASSES)


def _refusal(path):
    with pytest.raises(errors.UserError) as refusal:
        _read(path)
    message = str(refusal.value)
    assert str(path) in message
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


def test_paths_are_the_files_and_the_folders_files_in_order_of_name(tmp_path):
    for name in ("b.keras", "a.keras", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "other").mkdir()
    single = tmp_path / "other" / "z.keras"
    single.write_text("")
    assert ensemble.paths([str(single), str(tmp_path)]) == [
        single,
        tmp_path / "a.keras",
        tmp_path / "b.keras",
    ]
    assert ensemble.paths([]) == []


def test_paths_that_lead_nowhere_are_refused_by_name(tmp_path):
    with pytest.raises(errors.UserError, match=r"--teachers: .*missing\.keras: no such file"):
        ensemble.paths([str(tmp_path / "missing.keras")])
    with pytest.raises(errors.UserError, match=f"--teachers: {tmp_path}: no .keras file in it"):
        ensemble.paths([str(tmp_path)])


def test_paths_of_other_files_are_refused(tmp_path):
    for name in ("teacher.h5", "teacher"):
        (tmp_path / name).write_text("")
        with pytest.raises(errors.UserError, match=f"^--teachers: {tmp_path / name}: not a .keras file"):
            ensemble.paths([str(tmp_path / name)])


def test_what_a_killed_process_was_still_writing_is_no_teacher(tmp_path):
    for name in (".partial-b.keras", "a.keras"):
        (tmp_path / name).write_text("")
    assert ensemble.paths([str(tmp_path)]) == [tmp_path / "a.keras"]
    (tmp_path / "a.keras").unlink()
    with pytest.raises(errors.UserError, match=r"no \.keras file in it"):
        ensemble.paths([str(tmp_path)])


def test_a_saved_model_is_refused_as_one(tmp_path):
    (tmp_path / "saved_model.pb").write_text("")
    (tmp_path / "a.keras").write_text("")
    with pytest.raises(errors.UserError, match=f"^--teachers: {tmp_path}: a SavedModel; save the model as"):
        ensemble.paths([str(tmp_path)])


def test_a_network_is_read_back_as_it_was_saved(tmp_path, networks, data):
    networks[0].save(tmp_path / "teacher.keras")
    pixels = data.val.images.astype(np.float32)
    np.testing.assert_array_equal(_read(tmp_path / "teacher.keras")(pixels), networks[0](pixels))


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in _refusal(tmp_path / "missing.keras")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path, networks, kept):
    path = tmp_path / "teacher.keras"
    networks[0].save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert "cut short" in _refusal(path)


def test_a_network_of_other_classes_is_refused_with_both_numbers(tmp_path):
    _linear(classes=7).save(tmp_path / "teacher.keras")
    message = _refusal(tmp_path / "teacher.keras")
    assert "(7,)" in message
    assert "3 classes" in message


@pytest.mark.parametrize("shape", [(5, 4, 1), (4, 4, 3), (16,)])
def test_a_network_of_other_images_is_refused_with_both_shapes(tmp_path, shape):
    _linear(shape).save(tmp_path / "teacher.keras")
    message = _refusal(tmp_path / "teacher.keras")
    assert str(shape) in message
    assert str(tiny.SHAPE) in message


def test_a_network_of_any_image_size_is_accepted(tmp_path):
    inputs = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(pooled)).save(tmp_path / "teacher.keras")
    assert _read(tmp_path / "teacher.keras").count_params() == 6


def test_a_network_of_custom_code_is_refused(tmp_path):
    model = _Subclassed()
    model(np.zeros((1, *tiny.SHAPE), np.float32))
    model.save(tmp_path / "teacher.keras")
    assert "_Subclassed" in _refusal(tmp_path / "teacher.keras")


def test_a_network_of_two_outputs_is_refused(tmp_path):
    model = _linear()
    keras.Model(model.input, [model.output, model.output]).save(tmp_path / "teacher.keras")
    assert "one input and one output, got 1 and 2" in _refusal(tmp_path / "teacher.keras")


def test_logits_are_every_teacher_s_own_in_order(networks, data):
    asked = ensemble.Ensemble(networks, data.val.images)
    pixels = data.val.images.astype(np.float32)
    logits = asked.logits(data.val.images)
    assert logits.shape == (2, len(data.val), tiny.CLASSES)
    for index, network in enumerate(networks):
        np.testing.assert_allclose(logits[index], network(pixels, training=False), rtol=1e-4, atol=1e-4)
    assert asked.params() == [network.count_params() for network in networks]
    assert len(asked) == 2


def test_live_teachers_say_what_they_say_of_arrays(networks, data):
    asked = ensemble.Ensemble(networks, data.val.images)
    live = tf.function(asked.live)(tf.cast(data.val.images, tf.float32))
    np.testing.assert_allclose(live, np.swapaxes(asked.logits(data.val.images), 0, 1), rtol=1e-5, atol=1e-5)


def test_probabilities_are_noticed_and_turned_into_logits(networks, data):
    softmax = keras.Model(networks[0].input, keras.layers.Softmax()(networks[0].output))
    asked = ensemble.Ensemble([softmax, networks[0]], data.val.images)
    from_probabilities, logits = asked.logits(data.val.images)
    assert from_probabilities.min() < 0
    np.testing.assert_allclose(tf.nn.softmax(from_probabilities), tf.nn.softmax(logits), atol=1e-6)
    live = asked.live(tf.cast(data.val.images, tf.float32))
    np.testing.assert_allclose(live[:, 0], from_probabilities, rtol=1e-4, atol=1e-4)


def test_a_sequential_teacher_is_asked_like_any_other(data):
    model = keras.Sequential(
        [keras.Input(tiny.SHAPE), keras.layers.Flatten(), keras.layers.Dense(tiny.CLASSES)]
    )
    asked = ensemble.Ensemble([model], data.val.images)
    expected = model(data.val.images.astype(np.float32))
    np.testing.assert_allclose(asked.one(0, data.val.images), expected, rtol=1e-4, atol=1e-3)


def test_a_teacher_keeps_what_its_normalization_has_adapted_to(tmp_path, data):
    pixels = data.val.images.astype(np.float32)
    normalization = keras.layers.Normalization()
    normalization.adapt(data.train.images.astype(np.float32))
    inputs = keras.Input(tiny.SHAPE)
    features = keras.layers.Conv2D(4, 3, use_bias=False)(normalization(inputs))
    # One that is replaced by its fused twin, so that the network is truly made again.
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(features))
    keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(features)).save(tmp_path / "teacher.keras")
    network = _read(tmp_path / "teacher.keras")
    expected = network(pixels, training=False).numpy()
    assert np.ptp(expected) > 0.1
    asked = ensemble.Ensemble([network], data.val.images)
    np.testing.assert_allclose(asked.one(0, data.val.images), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(asked.live(tf.constant(pixels))[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_logits_are_float32_whatever_a_teacher_computes_in(data):
    inputs = keras.Input(tiny.SHAPE)
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    half = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES, dtype="mixed_bfloat16")(features))
    assert half.output.dtype == "bfloat16"
    asked = ensemble.Ensemble([half, _linear()], data.val.images)
    pixels = tf.cast(data.val.images, tf.float32)
    assert asked.live(pixels).dtype == tf.float32
    assert asked.one(0, data.val.images).dtype == np.float32
    np.testing.assert_allclose(
        asked.live(pixels)[:, 0], tf.cast(half(pixels), tf.float32), rtol=1e-2, atol=1e-2
    )


def test_a_network_of_logits_stays_itself(networks, data):
    assert ensemble.as_logits(networks[0], data.val.images) is networks[0]


def test_certain_probabilities_become_finite_logits_whose_softmax_they_are(data):
    inputs = keras.Input(tiny.SHAPE)
    dense = keras.layers.Dense(tiny.CLASSES, activation="softmax")
    network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([np.zeros((16, tiny.CLASSES)), np.array([500.0, 0.0, 0.0])])
    logits = ensemble.as_logits(network, data.val.images)(data.val.images[:2].astype(np.float32)).numpy()
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(tf.nn.softmax(logits), [[1, 0, 0]] * 2, atol=1e-6)
