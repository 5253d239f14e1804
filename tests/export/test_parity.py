"""The comparison itself, on numbers worked out by hand."""

import keras
import numpy as np
import pytest

from okd_tf.export import network, parity, tflite


def test_compare_counts_shares_and_the_largest_difference(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    expected = np.array([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    outputs = np.array([[2.0, 1.0], [1.0, 1.5], [0.0, 1.25], [0.0, 1.0]], np.float32)
    run = parity.Run(outputs, 0.5, {"name": "in"}, {"name": "out"})
    compared = parity.compare(path, run, expected, labels=np.array([1, 1, 1, 0]))
    assert compared == parity.Parity(5, {"name": "in"}, {"name": "out"}, 1.0, 0.75, 0.5, 0.5)


def test_size_of_a_folder_is_that_of_all_its_files(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "below" / "three").write_bytes(b"333")
    assert parity.size_bytes(tmp_path) == 4


def test_keras_logits_do_not_depend_on_batches(random_model, splits):
    images = splits.train.images[: parity.BATCH + 5]
    expected = keras.ops.convert_to_numpy(random_model(images.astype(np.float32), training=False))
    np.testing.assert_allclose(parity.logits(network.of_model(random_model), images), expected, atol=1e-5)


def test_int8_logits_are_real_numbers_within_their_resolution(tmp_path):
    # One weight per class and channel that 8 bits hold exactly, and a range of logits of exactly 0..255.
    inputs = keras.Input([1, 1, 2])
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(inputs)))
    model.set_weights([np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)])
    images = np.array([[[[0, 255]]], [[[255, 0]]], [[[17, 200]]]], np.uint8)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite.convert_int8(network.of_model(model), images))
    run = parity.run_tflite(path, images)
    np.testing.assert_allclose(run.outputs, images.reshape(3, 2), atol=0.51 * run.output["scale"])
    assert run.output["scale"] == pytest.approx(1.0, rel=0.02)
    assert run.input == {
        "name": "pixels",
        "dtype": "uint8",
        "shape": [1, 1, 1, 2],
        "scale": 1,
        "zero_point": 0,
    }
    assert run.latency_ms > 0
