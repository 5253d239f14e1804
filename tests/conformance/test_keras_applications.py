"""Every family of keras.applications is a teacher, a backbone and a student, as Keras builds it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf.backbones import applications, prepare
from okd_tf.data import examples, splits, views
from okd_tf.export import parity, saved_model, student
from okd_tf.ops import batch_norm, precision
from okd_tf.teachers import teacher
from okd_tf.training import classifier, objective

CLASSES = 3
NAMES = (  # the smallest of each
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2"),
    *("InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "NASNetMobile"),
    *("ResNet50", "ResNet50V2", "VGG16", "Xception"),
)


def test_no_family_is_missing():
    assert {applications.family(name) for name in NAMES} == set(applications.FAMILIES.values())


def _examples(count, shape, seed):
    labels = (np.arange(count) % CLASSES).astype(np.int32)
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)
    return examples.Examples(np.arange(count), images, labels)


def _data(shape):
    return splits.Splits(
        name="noise",
        class_names=("a", "b", "c"),
        train=_examples(6, shape, 1),
        val=_examples(6, shape, 2),
        test=_examples(3, shape, 3),
        augmentation=views.CropFlip(padding=1, flip=True),
        mean=(100.0,) * 3,
        std=(50.0,) * 3,
    )


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_each_family_is_a_teacher_a_backbone_and_a_student(name, tmp_path):
    side = applications.LEAST.get(name, 32)
    data = _data((side, side, 3))
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    network = make(weights=None, include_top=True, classes=CLASSES, input_shape=data.image_shape)
    path = tmp_path / "mine.keras"
    network.save(path)
    pixels = tf.cast(data.test.images, tf.float32)
    expected = network(pixels, training=False).numpy()

    np.testing.assert_allclose(tf.nn.softmax(teacher.read(path, data)(pixels)), expected, atol=1e-4)

    backbone = prepare.read(path, data.image_shape, CLASSES, data.mean, data.std)
    for compute in (precision.FLOAT32, precision.BFLOAT16):
        training = batch_norm.fused_copy(backbone, compute=compute)
        model = classifier.Classifier(training, objective.Objective("ce"), keras.optimizers.SGD(1e-3))
        before = [weight.numpy() for weight in training.trainable_variables]
        found = model.train_step({"image": pixels, "label": tf.constant(data.test.labels)})
        assert np.isfinite(float(found["loss"]))
        moved = [np.any(old != new) for old, new in zip(before, training.trainable_variables, strict=True)]
        assert np.mean(moved) > 0.5

    own = teacher.read(path, data, exact=True)
    report = student.export_student(own, data, tmp_path / "export", formats=("saved_model", "float32"))
    served = saved_model.read(tmp_path / "export" / "saved_model")(images=tf.constant(data.test.images))
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-4)
    run = parity.run_tflite(tmp_path / "export" / "student_float32.tflite", data.test.images)
    np.testing.assert_allclose(tf.nn.softmax(run.outputs), expected, atol=1e-4)
    assert report["files"]["student_float32.tflite"]["agreement"] == 1.0
