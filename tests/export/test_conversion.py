"""The converter's process: what happens to it does not happen to the one that asks."""

import io

import numpy as np
import pytest
import tensorflow as tf

from okd_tf.export import conversion, converter


@pytest.fixture
def folder(tmp_path):
    """A SavedModel of pixels [1, 2, 2, 1] -> their doubles, and images."""

    @tf.function(input_signature=[tf.TensorSpec([1, 2, 2, 1], tf.float32, name="pixels")])
    def serve(pixels):
        return {"logits": tf.reshape(2.0 * pixels, [1, 4])}

    served = tf.Module()
    served.serve = serve
    tf.saved_model.save(served, str(tmp_path / converter.SAVED_MODEL), signatures={"serve": serve})
    np.save(tmp_path / converter.IMAGES, np.arange(0, 256, 8, dtype=np.uint8).reshape(8, 2, 2, 1))
    return tmp_path


@pytest.mark.slow
def test_its_end_is_an_error_that_names_the_signal_and_the_next_request_starts_another(folder):
    content, refused = conversion.convert(folder, "serve", int8=False)
    assert refused == ""
    first = conversion._Worker.process
    # It reads its requests one after another, and ends in the middle of this one.
    first.send_signal(11)
    first.wait()
    with pytest.raises(conversion.FailedError, match="its process ended by signal SIGSEGV") as caught:
        _of_a_process_that_is_gone(folder, first)
    assert caught.value.crashed
    assert conversion.convert(folder, "serve", int8=False) == (content, "")
    assert conversion._Worker.process is not first


def _of_a_process_that_is_gone(folder, process):
    poll, process.poll = process.poll, lambda: None
    try:
        conversion.convert(folder, "serve", int8=False)
    finally:
        process.poll = poll


def test_what_the_converter_says_is_the_error_and_the_process_goes_on(folder):
    with pytest.raises(conversion.FailedError, match="other") as caught:
        conversion.convert(folder, "other", int8=False)
    assert not caught.value.crashed
    process = conversion._Worker.process
    assert conversion.convert(folder, "serve", int8=True)
    assert conversion._Worker.process is process


@pytest.mark.slow
def test_one_that_left_for_want_of_work_is_started_again(folder):
    conversion.convert(folder, "serve", int8=False)
    process = conversion._Worker.process
    process.stdin.close()
    assert process.wait() == 0
    # As between a look at it and a request, when nobody knows yet.
    process.stdin, process.poll = io.BytesIO(), lambda: None
    assert conversion.convert(folder, "serve", int8=False)
    assert conversion._Worker.process is not process
