"""Teachers that a run trains are of the networks that its flags name."""

import keras
import pytest
import tiny

from okd_tf import settings
from okd_tf.backbones import keras_file
from okd_tf.pipeline import diagnosis, work
from okd_tf.pipeline.context import Context
from okd_tf.training import recipe


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"teacher_backbone": "resnet8"}, ["resnet8", "resnet8", "resnet8"]),
        ({"teacher_backbones": ("resnet8", "wrn16_1")}, ["resnet8", "wrn16_1", "resnet8"]),
    ],
)
def test_each_is_of_the_network_named_for_it_and_of_the_width_for_all(tmp_path, monkeypatch, flags, expected):
    chosen = settings.Settings(
        workdir=str(tmp_path), num_teachers=3, teacher_width=2, batch_size=9, dataset="digits", **flags
    )
    context = Context(chosen)
    context.data = tiny.make_splits()
    monkeypatch.setattr(
        recipe, "train", lambda make, *args, save_to, **others: keras_file.save(save_to, make())
    )
    monkeypatch.setattr(diagnosis, "write", lambda context: None)
    work.make_teachers(context)
    found = [keras.saving.load_model(path) for path in context.teaching.teacher_paths()]
    assert [model.name for model in found] == expected
    assert {model.get_layer("stem_conv").filters for model in found} == {2}
