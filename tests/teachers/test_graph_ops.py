"""A SavedModel that would write files is refused by the operation that would, and nothing is written."""

import pytest
import tensorflow as tf

from okd_tf import errors
from okd_tf.teachers import formats, manifest


def _saved(folder, act):
    """A SavedModel whose signature acts before it answers."""

    @tf.function
    def acted(logits):
        act(logits)
        return tf.identity(logits)

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 1], tf.float32)])
        def answer(self, images):
            # It acts within a function of its own, since not all of a graph lies on top.
            return acted(tf.reduce_mean(images, [1, 2]) * self.factor)

    model = Model()
    tf.saved_model.save(model, str(folder), signatures=model.answer)
    return folder


def _write(folder):
    return lambda logits: tf.raw_ops.WriteFile(filename=str(folder / "written"), contents="x")


def _print(folder):
    return lambda logits: tf.print(logits, output_stream=f"file://{folder / 'written'}")


def _call(folder):
    return lambda logits: tf.py_function(lambda value: (folder / "written").touch(), [logits], [])


def _save(folder):
    return lambda logits: tf.raw_ops.SaveV2(
        prefix=str(folder / "written"), tensor_names=["a"], shape_and_slices=[""], tensors=[logits]
    )


@pytest.mark.parametrize(
    ("act", "operation"),
    [(_write, "WriteFile"), (_print, "PrintV2"), (_call, "EagerPyFunc"), (_save, "SaveV2")],
)
def test_what_would_write_is_refused_by_its_operation(tmp_path, act, operation):
    (tmp_path / "elsewhere").mkdir()
    path = _saved(tmp_path / "mine", act(tmp_path / "elsewhere"))
    with pytest.raises(errors.UserError) as refusal:
        formats.read(path, manifest.Manifest())
    assert str(refusal.value).startswith(f"{path}: its graph writes files or runs code outside")
    assert f"operation {operation} '" in str(refusal.value)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_prints_to_the_screen_is_asked(tmp_path):
    path = _saved(tmp_path / "mine", lambda logits: tf.print("asked"))
    answer = formats.read(path, manifest.Manifest()).call(tf.ones([2, 4, 4, 1]))
    assert answer.numpy().tolist() == [[2.0], [2.0]]


def test_a_graph_in_another_file_is_not_taken_for_the_one_that_was_looked_at(tmp_path):
    path = _saved(tmp_path / "mine", lambda logits: None)
    (path / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(errors.UserError, match=r"has saved_model\.cpb, and saved_model\.pb alone is read"):
        formats.read(path, manifest.Manifest())
