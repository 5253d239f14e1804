"""What a network that seems to know nothing was trained on is found by trying."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from okd_tf.data import examples, splits, views
from okd_tf.teachers import doubts, formats, manifest, remedies, teacher

SHAPE, CLASSES = (4, 4, 3), 3
COLOURS = np.array([[200.0, 60, 30], [60, 60, 60], [60, 200, 200]])  # of the classes


def _examples(count, seed):
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype(np.int32)
    noise = generator.normal(scale=20, size=(count, *SHAPE))
    images = np.clip(COLOURS[labels][:, None, None, :] + noise, 0, 255).astype(np.uint8)
    return examples.Examples(np.arange(count), images, labels)


DATA = splits.Splits(
    name="colours",
    class_names=("red", "grey", "cyan"),
    train=_examples(30, 1),
    val=_examples(90, 2),
    test=_examples(30, 3),
    augmentation=views.CropFlip(padding=1, flip=True),
    mean=(100.0,) * 3,
    std=(50.0,) * 3,
)


def _trained_on(order=(0, 1, 2), **declared):
    """A network that is right on images as declared, and its classes in this order; read undeclared."""
    own = manifest.Manifest(**declared)
    low, high = own.value_range
    shown = COLOURS[:, ::-1] if own.channel_order == "bgr" else COLOURS
    shown = (shown / 255 * (high - low) + low - np.array(own.mean or [0] * 3)) / np.array(own.std or [1] * 3)
    middle, spread = float(shown.mean()), float(shown.std())
    # Values that are much too large, or all of one sign, are all the same to it.
    centres = np.tanh((shown - middle) / spread)[list(order)]
    inputs = keras.Input(SHAPE)
    seen = keras.layers.GlobalAveragePooling2D()(inputs)
    seen = keras.ops.tanh(keras.layers.Rescaling(1 / spread, -middle / spread)(seen))
    layer = keras.layers.Dense(CLASSES)
    model = keras.Model(inputs, layer(seen))
    layer.set_weights([10 * centres.T, -5 * (centres**2).sum(axis=1)])
    return teacher.Teacher("m/mine.keras", formats.of_model("m/mine.keras", model), manifest.Manifest(), DATA)


CASES = {
    "values from 0 to 1": {"value_range": (0.0, 1.0)},
    "values from -1 to 1": {"value_range": (-1.0, 1.0)},
    "ImageNet's mean and deviation": remedies.WAYS[4],
    "as Caffe": remedies.WAYS[5],
    "blue, green, red": {"channel_order": "bgr"},
}


@pytest.mark.parametrize("name", CASES)
def test_the_declaration_that_is_advised_makes_it_right(name):
    one = _trained_on(**CASES[name])
    text = remedies.advice(one, DATA, "m/mine.keras")
    said, _, rest = text.removeprefix("with ").rpartition(" in m/mine.json it is right on ")
    said = json.loads(f"{{{said}}}").items()
    declared = {key: tuple(value) if isinstance(value, list) else value for key, value in said}
    mended = teacher.Teacher(one.path, one.network, manifest.Manifest(**declared), DATA)
    accuracy = np.mean(np.argmax(mended(DATA.val.images), axis=1) == DATA.val.labels)
    assert accuracy > 0.95
    assert rest == f"{100 * accuracy:.1f} %"


def test_values_and_the_order_of_classes_are_found_together():
    one = _trained_on(order=(2, 0, 1), value_range=(-1.0, 1.0))
    text = remedies.advice(one, DATA, "m/mine.keras")
    assert '"value_range": [-1, 1], "class_names": ["cyan", "red", "grey"]' in text


def test_another_order_alone_is_advised_alone():
    text = remedies.advice(_trained_on(order=(1, 2, 0)), DATA, "m/mine.keras")
    assert text.startswith('with "class_names": ["grey", "cyan", "red"] in m/mine.json')


def test_nothing_is_advised_of_what_knows_nothing_or_is_declared_already(rng):
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
    model.set_weights([np.zeros((48, 3)), np.array([5.0, 1.0, 1.0])])
    one = teacher.Teacher("a.keras", formats.of_model("a.keras", model), manifest.Manifest(), DATA)
    assert remedies.advice(one, DATA, "a.keras") == ""
    trained = _trained_on(value_range=(0.0, 1.0))
    declared = manifest.Manifest(value_range=(0.0, 255.0), mean=(1.0,) * 3)
    network = dataclasses.replace(trained.network)
    wrong = teacher.Teacher("a.keras", network, declared, DATA)
    assert '"mean"' not in remedies.advice(wrong, DATA, "a.keras")


def test_a_doubt_ends_with_what_mends_it():
    one = _trained_on(value_range=(-1.0, 1.0))
    logits = one(DATA.val.images.astype(np.float32)).numpy()[np.newaxis]
    (text,) = doubts.doubts(logits, DATA.val.labels, mend=lambda *_: remedies.advice(one, DATA, "a.keras"))
    assert text.startswith("teacher 1 is right on ")
    assert '; with "value_range": [-1, 1] in a.json it is right on ' in text
    assert text.endswith(" %: declare that")


def test_channels_in_the_wrong_order_are_seen_in_a_network_that_is_better_than_chance():
    # It takes red for cyan and the other way, and knows grey: a third, or as many as there is grey.
    labels = np.repeat([0, 1, 2], [30, 70, 30]).astype(np.int32)
    generator = np.random.default_rng(4)
    images = np.clip(
        COLOURS[labels][:, None, None, :] + generator.normal(scale=20, size=(130, *SHAPE)), 0, 255
    )
    val = examples.Examples(np.arange(130), images.astype(np.uint8), labels)
    data = dataclasses.replace(DATA, val=val)
    one = _trained_on(channel_order="bgr")
    logits = one(val.images.astype(np.float32)).numpy()
    predictions = logits.argmax(axis=1)
    assert not doubts.at_chance(predictions, labels)
    text = remedies.advice(one, data, "a.keras", doubted=False)
    assert text == 'with "channel_order": "bgr" in a.json it is right on 100.0 %'


def test_a_network_that_is_as_it_should_be_is_asked_for_nothing():
    assert remedies.advice(_trained_on(), DATA, "a.keras", doubted=False) == ""


def test_a_wrong_declaration_of_pixels_is_replaced_by_the_right_one():
    trained = _trained_on(value_range=(0.0, 1.0), channel_order="bgr")
    declared = manifest.Manifest(value_range=(0.0, 1.0))
    one = teacher.Teacher("a.keras", trained.network, declared, DATA)
    text = remedies.advice(one, DATA, "a.keras")
    assert text.startswith('with "value_range": [0, 1], "channel_order": "bgr" in a.json it is right on')


def test_a_wrong_order_of_classes_that_is_declared_is_replaced_too():
    trained = _trained_on(order=(2, 0, 1))
    declared = manifest.Manifest(class_names=("grey", "red", "cyan"))
    one = teacher.Teacher("a.keras", trained.network, declared, DATA)
    text = remedies.advice(one, DATA, "a.keras")
    assert text.startswith('with "class_names": ["cyan", "red", "grey"] in a.json')


def test_values_that_are_scaled_twice_are_seen():
    one = teacher.Teacher(
        "a.keras", _trained_on().network, manifest.Manifest(value_range=(0.0, 1.0), mean=(0.5,) * 3), DATA
    )
    text = remedies.advice(one, DATA, "a.keras")
    assert text.startswith('with "value_range": [0, 255] in place of what a.json says of pixels it is right')
