"""What every backbone must do."""

import functools

import keras
import numpy as np
import pytest

from okd_tf import backbones, errors
from okd_tf.backbones import attach

# Of those that are one function called with another number, the deepest are left to a day with more time.
DEEP = {
    *("preact_resnet56", "preact_resnet110", "resnet32x4", "wrn28_10", "wrn40_1", "wrn40_4"),
    *("densenet100_12", "vgg16"),
}
LATER = (pytest.mark.slow, pytest.mark.exhaustive)

pytestmark = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LATER if name in DEEP else ()) for name in backbones.BACKBONES]
)

WIDTH, CLASSES = 2, 3


def _shape(name):
    return (max(8, backbones.BACKBONES[name].least),) * 2 + (1,)


@functools.cache
def _backbone(name):
    return backbones.build(name, WIDTH, _shape(name), CLASSES, (100.0,), (50.0,))


def test_takes_pixels_and_gives_finite_logits_of_every_class(name):
    model = _backbone(name).model
    assert model.input_shape == (None, *_shape(name))
    assert model.output_shape == (None, CLASSES)
    assert model.output.dtype == "float32"
    pixels = np.random.default_rng(0).integers(0, 256, (2, *_shape(name))).astype(np.float32)
    logits = model(pixels).numpy()
    assert logits.shape == (2, CLASSES)
    assert np.all(np.isfinite(logits))
    assert np.any(logits[0] != logits[1])


def test_first_layer_is_the_normalisation(name):
    first = _backbone(name).model.layers[1]
    assert type(first) is keras.layers.Rescaling
    np.testing.assert_allclose(
        first(np.array([[[[100.0]], [[150.0]]]])).numpy().ravel(), [0.0, 1.0], atol=1e-6
    )


def test_attach_points_are_different_layers_in_the_order_of_the_network(name):
    backbone = _backbone(name)
    names = [layer.name for layer in backbone.model.layers]
    places = [names.index(point) for point in backbone.attach_points]
    assert places
    assert places == sorted(set(places))
    assert all(len(backbone.model.get_layer(point).output.shape) == 4 for point in backbone.attach_points)


def test_its_own_attach_points_can_be_chosen_by_their_names(name):
    backbone = _backbone(name)
    pattern = "|".join(reversed(backbone.attach_points))
    assert attach.select(backbone.model, pattern, name) == backbone.attach_points


def test_is_made_of_stock_layers(name):
    for layer in _backbone(name).model.layers:
        assert type(layer) is getattr(keras.layers, type(layer).__name__)


def test_every_trainable_weight_belongs_to_a_layer_named_once(name):
    paths = [weight.path for weight in _backbone(name).model.trainable_weights]
    assert len(set(paths)) == len(paths) > 0


def test_its_model_is_called_as_it_is_registered(name):
    assert _backbone(name).model.name == name


def test_of_the_least_image_one_pixel_is_left_and_a_smaller_one_is_refused_in_one_line(name):
    least = backbones.BACKBONES[name].least
    with pytest.raises(errors.UserError) as refusal:
        backbones.build(name, WIDTH, (least, least - 1, 1), CLASSES, (100.0,), (50.0,))
    assert str(refusal.value) == (
        f"backbone: {name} takes images of {least}x{least} pixels and more, these have {least}x{least - 1}; "
        f"enlarge them by --image_size={least}, or use another network"
    )
    backbone = _backbone(name)
    last = backbone.model.get_layer("pool").input.shape[1:3]
    assert last == (_shape(name)[0] // least,) * 2
