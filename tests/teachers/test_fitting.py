"""A network and its manifest held against a dataset, by hand-computed numbers."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors
from okd_tf.teachers import fitting, formats, manifest

PATH = pathlib.Path("models/mine.keras")


@pytest.fixture(scope="module")
def data():
    return tiny.make_splits(train=6, val=6, test=3)


def _network(takes=tiny.SHAPE, gives=tiny.CLASSES, dtype=tf.float32):
    return formats.Network(call=None, takes=takes, gives=gives, dtype=dtype, params=0)


def _refusal(function, network, data, **declared):
    with pytest.raises(errors.UserError) as refusal:
        function(PATH, network, manifest.Manifest(**declared), data)
    message = str(refusal.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("takes", [tiny.SHAPE, (None, None, 1), (4, None, None)])
def test_images_are_shown_in_the_dataset_s_size_where_the_network_takes_it(data, takes):
    assert fitting.size(PATH, _network(takes), manifest.Manifest(), data) == (4, 4)


@pytest.mark.parametrize("takes", [(8, 6, 1), (None, 6, 1), (None, None, None)])
def test_images_are_shown_in_the_size_that_is_declared(data, takes):
    assert fitting.size(PATH, _network(takes), manifest.Manifest(input_size=(8, 6)), data) == (8, 6)


@pytest.mark.parametrize(
    ("takes", "wanted"), [((8, 6, 1), "[8, 6]"), ((None, 6, 1), "[4, 6]"), ((8, None, None), "[8, 4]")]
)
def test_another_size_is_refused_with_what_to_declare(data, takes, wanted):
    assert _refusal(fitting.size, _network(takes), data) == (
        f"models/mine.keras: takes images of shape {takes}, the dataset's are (4, 4, 1); to have them "
        f'resized, declare "input_size": {wanted} in models/mine.json'
    )


def test_a_declared_size_that_the_network_does_not_take_is_refused_by_the_manifest(data):
    message = _refusal(fitting.size, _network((8, 6, 1)), data, input_size=(6, 8))
    assert message.startswith(
        "models/mine.json: input_size: [6, 8] declared, mine.keras takes images of shape"
    )


@pytest.mark.parametrize("takes", [(4, 4, 3), (16,), (4, 4, 4, 1)])
def test_other_channels_or_no_images_are_refused_whatever_is_declared(data, takes):
    for declared in ({}, {"input_size": (4, 4)}):
        message = _refusal(fitting.size, _network(takes), data, **declared)
        assert message == (
            f"models/mine.keras: takes images of shape {takes}, the dataset's are (4, 4, 1); use a network "
            "for images of 1 channel"
        )


@pytest.mark.parametrize(
    ("declared", "black", "grey", "white"),
    [
        ({}, 0, 51, 255),
        ({"value_range": (0, 1)}, 0, 0.2, 1),
        ({"value_range": (-1, 1)}, -1, -0.6, 1),
        ({"value_range": (255, 0)}, 255, 204, 0),
        ({"mean": (51,), "std": (2,)}, -25.5, 0, 102),
        ({"mean": (51,)}, -51, 0, 204),
        ({"std": (51,)}, 0, 1, 5),
        # As in (x / 255 - 0.2) / 0.5.
        ({"value_range": (0, 1), "mean": (0.2,), "std": (0.5,)}, -0.4, 0, 1.6),
    ],
)
def test_pixel_values_are_mapped_to_the_range_and_then_normalised(data, declared, black, grey, white):
    factor, offset = fitting.scaling(PATH, _network(), manifest.Manifest(**declared), data)
    found = np.array([0, 51, 255], np.float32) * factor + offset
    np.testing.assert_allclose(found, [black, grey, white], rtol=1e-6, atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("key", ["mean", "std"])
def test_figures_of_other_channels_are_refused_with_both_counts(data, key):
    message = _refusal(fitting.scaling, _network(), data, **{key: (1.0, 2.0, 3.0)})
    assert message == f"models/mine.json: {key}: expected 1 numbers, one per channel, got 3"


def test_bytes_are_not_scaled(data):
    fitting.scaling(PATH, _network(dtype=tf.uint8), manifest.Manifest(), data)
    for declared in ({"value_range": (0, 1)}, {"mean": (1.0,)}, {"std": (2.0,)}):
        message = _refusal(fitting.scaling, _network(dtype=tf.uint8), data, **declared)
        assert message.startswith("models/mine.json: mine.keras takes pixel values as uint8, which cannot be")


def test_outputs_are_taken_in_the_order_of_the_dataset_s_classes(data):
    names = ("bright", "dark", "grey")
    assert fitting.order(PATH, _network(), manifest.Manifest(class_names=names), data) == [1, 2, 0]
    for same in ((), data.class_names):
        assert fitting.order(PATH, _network(), manifest.Manifest(class_names=same), data) is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("dark", "grey"), "missing: bright; name"),
        (("dark", "grey", "bright", "red"), "not in the dataset: red; name"),
        (("dark", "grey", "Bright"), "missing: bright; not in the dataset: Bright; name"),
        (("dark", "grey", "bright", "grey"), "named twice: grey; name"),
        (tuple("abcdefg"), "missing: dark, grey, bright; not in the dataset: a, b, c, d, e and 2 more; name"),
    ],
)
def test_other_classes_are_refused_by_name(data, names, said):
    message = _refusal(fitting.order, _network(), data, class_names=names)
    assert message.startswith(
        f"models/mine.json: class_names: {said} each class of 'tiny' once, in the order"
    )


def test_another_number_of_classes_is_refused_with_both(data):
    message = _refusal(fitting.order, _network(gives=7), data)
    assert message.startswith("models/mine.keras: gives 7 classes, the dataset has 3 classes")
    wider = dataclasses.replace(data, class_names=("a", "b"))
    assert "gives 3 classes, the dataset has 2 classes" in _refusal(fitting.order, _network(), wider)


PROBABILITIES = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
LOGITS = np.array([[0.2, 0.3, 0.6], [1.0, 0.0, -4.0]])


@pytest.mark.parametrize(("outputs", "kind"), [(PROBABILITIES, "probabilities"), (LOGITS, "logits")])
def test_outputs_are_what_they_look_like_and_may_be_declared_so(outputs, kind):
    for declared in ("", kind):
        assert fitting.kind(PATH, manifest.Manifest(outputs=declared), outputs) == kind


def test_sigmoids_are_neither_unless_they_are_declared():
    sigmoids = np.array([[0.2, 0.3, 0.9], [1.0, 0.0, 0.4]])
    with pytest.raises(errors.UserError) as refusal:
        fitting.kind(PATH, manifest.Manifest(), sigmoids)
    assert str(refusal.value).startswith("models/mine.keras: gives numbers from 0 to 1 whose rows do not sum")
    assert str(refusal.value).endswith(
        'to take them for logits, declare "outputs": "logits" in models/mine.json'
    )
    assert 'declare "outputs": "sigmoids" in models/mine.json' in str(refusal.value)
    for declared in ("logits", "sigmoids"):
        assert fitting.kind(PATH, manifest.Manifest(outputs=declared), sigmoids) == declared
    # Of a graph that ends in a layer with weights alone it is known that they are logits.
    assert fitting.kind(PATH, manifest.Manifest(), sigmoids, "linear") == "logits"
    # What nothing has been learnt by says nothing of its kind.
    assert fitting.kind(PATH, manifest.Manifest(), np.zeros([2, 3])) == "logits"


@pytest.mark.parametrize(
    ("outputs", "declared", "said"),
    [
        (PROBABILITIES, "logits", "are non-negative and sum to one; declare"),
        (LOGITS, "probabilities", "reach from -4 to 1 and sum to -3 to 1.1; declare"),
        (2 * PROBABILITIES, "probabilities", "reach from 0 to 2 and sum to 2 to 2; declare"),
    ],
)
def test_a_wrong_declaration_is_refused_with_what_was_seen(outputs, declared, said):
    with pytest.raises(errors.UserError) as refusal:
        fitting.kind(PATH, manifest.Manifest(outputs=declared), outputs)
    assert str(refusal.value).startswith(
        f'models/mine.json: outputs: "{declared}" declared, but the rows that mine.keras gives {said}'
    )


@pytest.mark.parametrize(
    ("outputs", "declared", "ends_in", "kind"),
    [
        ([[0.2], [0.9]], "", "sigmoid", "probabilities"),
        ([[0.2], [0.9]], "", "", "probabilities"),
        ([[0.2], [0.9]], "", "linear", "logits"),
        ([[0.2], [0.9]], "logits", "", "logits"),
        ([[-3.0], [0.9]], "", "", "logits"),
        ([[0.2], [0.9]], "probabilities", "linear", "probabilities"),
    ],
)
def test_one_number_for_two_classes_is_a_probability_or_its_logit(outputs, declared, ends_in, kind):
    assert fitting.kind(PATH, manifest.Manifest(outputs=declared), np.array(outputs), ends_in) == kind


def test_one_number_beyond_one_is_no_probability():
    with pytest.raises(errors.UserError, match=r'reach from -3 to 0\.9; declare "logits"'):
        fitting.kind(PATH, manifest.Manifest(outputs="probabilities"), np.array([[-3.0], [0.9]]))


def test_channels_first_is_said_by_name(data):
    with pytest.raises(errors.UserError, match="its channels come first: build the same"):
        fitting.size(PATH, _network((1, 4, 4)), manifest.Manifest(), data)


def test_class_names_are_compared_in_one_unicode_form(data):
    there = dataclasses.replace(data, class_names=("caf\u00e9", "tea", "water"))
    declared = manifest.Manifest(class_names=("tea", "cafe\u0301", "water"))
    assert fitting.order(PATH, _network((4, 4, 1)), declared, there) == [1, 0, 2]
