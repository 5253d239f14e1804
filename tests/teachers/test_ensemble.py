"""Which networks are meant, and asking several as one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.teachers import ensemble


def _linear():
    inputs = keras.Input(tiny.SHAPE)
    return keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(inputs)))


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
    (tmp_path / "a folder").mkdir()
    with pytest.raises(errors.UserError, match=f"--teachers: {tmp_path}: no .keras file or SavedModel in it"):
        ensemble.paths([str(tmp_path)])


def test_saved_models_are_named_by_their_folder_or_found_in_one_beside_files(tmp_path):
    for name in ("b.keras", "b.json", "diagnosis.json"):
        (tmp_path / name).write_text("")
    for name in ("a", "c", ".partial-d", "history_00"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("history.csv" if name == "history_00" else "saved_model.pb")).write_text("")
    # What lies in a SavedModel is part of it.
    (tmp_path / "c" / "e.keras").write_text("")
    assert ensemble.paths([str(tmp_path)]) == [tmp_path / "a", tmp_path / "b.keras", tmp_path / "c"]
    assert ensemble.paths([f"{tmp_path}/c/"]) == [tmp_path / "c"]


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
    with pytest.raises(errors.UserError, match=r"no \.keras file or SavedModel in it"):
        ensemble.paths([str(tmp_path)])


def test_logits_are_every_teacher_s_own_in_order(networks, data):
    asked = tiny.make_ensemble(networks, data)
    pixels = data.val.images.astype(np.float32)
    logits = asked.logits(data.val.images)
    assert logits.shape == (2, len(data.val), tiny.CLASSES)
    for index, network in enumerate(networks):
        np.testing.assert_allclose(logits[index], network(pixels, training=False), rtol=1e-4, atol=1e-4)
    assert asked.params() == [network.count_params() for network in networks]
    assert len(asked) == 2


def test_live_teachers_say_what_they_say_of_arrays(networks, data):
    asked = tiny.make_ensemble(networks, data)
    live = tf.function(asked.live)(tf.cast(data.val.images, tf.float32))
    np.testing.assert_allclose(live, np.swapaxes(asked.logits(data.val.images), 0, 1), rtol=1e-5, atol=1e-5)


def test_probabilities_are_noticed_and_turned_into_logits(networks, data):
    softmax = keras.Model(networks[0].input, keras.layers.Softmax()(networks[0].output))
    asked = tiny.make_ensemble([softmax, networks[0]], data)
    from_probabilities, logits = asked.logits(data.val.images)
    assert from_probabilities.min() < 0
    np.testing.assert_allclose(tf.nn.softmax(from_probabilities), tf.nn.softmax(logits), atol=1e-6)
    live = asked.live(tf.cast(data.val.images, tf.float32))
    np.testing.assert_allclose(live[:, 0], from_probabilities, rtol=1e-4, atol=1e-4)


def test_a_sequential_teacher_is_asked_like_any_other(data):
    model = keras.Sequential(
        [keras.Input(tiny.SHAPE), keras.layers.Flatten(), keras.layers.Dense(tiny.CLASSES)]
    )
    asked = tiny.make_ensemble([model], data)
    expected = model(data.val.images.astype(np.float32))
    np.testing.assert_allclose(asked.one(0, data.val.images), expected, rtol=1e-4, atol=1e-3)


def test_a_teacher_keeps_what_its_normalization_has_adapted_to(data):
    pixels = data.val.images.astype(np.float32)
    normalization = keras.layers.Normalization()
    normalization.adapt(data.train.images.astype(np.float32))
    inputs = keras.Input(tiny.SHAPE)
    features = keras.layers.Conv2D(4, 3, use_bias=False)(normalization(inputs))
    # One that is replaced by its fused twin, so that the network is truly made again.
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(features))
    network = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(features))
    expected = network(pixels, training=False).numpy()
    assert np.ptp(expected) > 0.1
    asked = tiny.make_ensemble([network], data)
    np.testing.assert_allclose(asked.one(0, data.val.images), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(asked.live(tf.constant(pixels))[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_logits_are_float32_whatever_a_teacher_computes_in(data):
    inputs = keras.Input(tiny.SHAPE)
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    half = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES, dtype="mixed_bfloat16")(features))
    assert half.output.dtype == "bfloat16"
    asked = tiny.make_ensemble([half, _linear()], data)
    pixels = tf.cast(data.val.images, tf.float32)
    assert asked.live(pixels).dtype == tf.float32
    assert asked.one(0, data.val.images).dtype == np.float32
    np.testing.assert_allclose(
        asked.live(pixels)[:, 0], tf.cast(half(pixels), tf.float32), rtol=1e-2, atol=1e-2
    )
