"""A user's model that is made a backbone with the weights it came with."""

import branched
import keras
import numpy as np
import pytest

from okd_tf import errors
from okd_tf.backbones import pretrained, stored

SHAPE, CLASSES = branched.SHAPE, branched.CLASSES


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, *SHAPE)).astype(np.float32)


@pytest.fixture
def kept(tmp_path):
    """Saves a model and prepares the file with its weights."""

    def make(model, classes=CLASSES, **arguments):
        model.save(tmp_path / "mine.keras")
        return pretrained.read(tmp_path / "mine.keras", SHAPE, classes, **arguments)

    return make


def _moved(model, rng):
    """The model, with weights and statistics that no initialiser gives."""
    model.set_weights([weight + rng.uniform(0.1, 0.2, weight.shape) for weight in model.get_weights()])
    return model


def test_it_is_the_function_of_the_file_before_its_softmax(kept, pixels, rng):
    mine = _moved(branched.make(softmax=False), rng)
    with_softmax = branched.make()
    with_softmax.set_weights(mine.get_weights())
    found = kept(with_softmax)
    assert found.new == ()
    np.testing.assert_allclose(found.model(pixels), mine(pixels), rtol=1e-6)


@pytest.mark.parametrize("end", ["in the dense layer", "a Softmax", "an Activation", "none"])
def test_a_head_for_other_classes_is_replaced_and_the_rest_is_kept(kept, pixels, rng, end):
    inputs = keras.Input(SHAPE)
    features = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    features = keras.layers.BatchNormalization(name="bn")(features)
    features = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    outputs = keras.layers.Dense(7, "softmax" if end == "in the dense layer" else None, name="head")(features)
    if end in ("a Softmax", "an Activation"):
        outputs = {"a Softmax": keras.layers.Softmax(), "an Activation": keras.layers.Activation("softmax")}[
            end
        ](outputs)
    mine = _moved(keras.Model(inputs, outputs), rng)
    found = kept(mine, classes=2)
    assert found.new == ("head",)
    assert found.model.output_shape == (None, 2)
    before = keras.Model(mine.inputs[0], mine.get_layer("pool").output)
    after = keras.Model(found.model.inputs[0], found.model.get_layer("pool").output)
    np.testing.assert_allclose(after(pixels), before(pixels), rtol=1e-6)
    np.testing.assert_array_equal(
        found.model.get_layer("bn").moving_variance, mine.get_layer("bn").moving_variance
    )


def test_a_head_of_as_many_classes_is_replaced_where_they_are_in_another_order(kept):
    assert kept(branched.make(), new_head=True).new == ("head",)


def test_what_is_declared_of_its_pixels_is_put_in_front(kept, pixels, rng):
    mine = _moved(branched.make(softmax=False), rng)
    found = kept(mine, scaling=(np.array(2 / 255), np.array([-1.0])))
    np.testing.assert_allclose(found.model(pixels), mine(pixels * (2 / 255) - 1), rtol=1e-5, atol=1e-6)
    assert found.scales
    assert not kept(mine).scales


def test_batch_norms_keep_their_statistics_and_get_a_momentum_of_ours(kept, rng):
    inputs = keras.Input(SHAPE)
    features = keras.layers.BatchNormalization(momentum=0.999, name="bn")(inputs)
    mine = _moved(keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(features))), rng)
    bn = kept(mine).model.get_layer("bn")
    assert bn.momentum == pytest.approx(0.9)
    for one, other in zip(bn.weights, mine.get_layer("bn").weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frozen_layers_are_kept_and_can_be_trained(kept):
    mine = branched.make()
    mine.get_layer("left").trainable = False
    found = kept(mine).model
    assert len(found.trainable_weights) == len(branched.make().trainable_weights)
    for one, other in zip(found.get_layer("left").weights, mine.get_layer("left").weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_fingerprint_is_of_the_weights_that_are_kept_and_of_no_others(kept, rng):
    mine = branched.make()
    (one, new), (same, _) = ((found.model, found.new) for found in (kept(mine, 5), kept(mine, 5)))
    assert np.any(one.get_layer("head").kernel.numpy() != same.get_layer("head").kernel.numpy())
    assert stored.fingerprint(one, new) == stored.fingerprint(same, new)
    other = kept(_moved(mine, rng), 5)
    assert stored.fingerprint(other.model, other.new) != stored.fingerprint(one, new)
    assert stored.fingerprint(other.model) == stored.fingerprint(one)


def _ends_in_a_convolution():
    inputs = keras.Input(SHAPE)
    features = keras.layers.Conv2D(7, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="mean")(features))


def _linear():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.layers.Dense(7, name="head")(keras.layers.Flatten()(inputs)))


def _spoilt():
    model = branched.make()
    model.get_layer("stem").set_weights(
        [np.full(w.shape, np.nan) for w in model.get_layer("stem").get_weights()]
    )
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            _ends_in_a_convolution,
            "ends in layer 'mean', a GlobalAveragePooling2D, where only a Dense one can",
        ),
        (_linear, "has no weights to keep but those of its head, which is for 7 classes and not for 3"),
        (_spoilt, "has weights that are NaN or infinite"),
    ],
)
def test_weights_that_cannot_be_kept_are_refused_by_the_file(kept, tmp_path, model, message):
    with pytest.raises(errors.UserError, match=message) as refusal:
        kept(model())
    assert str(refusal.value).startswith(f"{tmp_path / 'mine.keras'}: ")
