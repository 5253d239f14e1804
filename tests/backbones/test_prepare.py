"""What becomes of a user's model when it is made a backbone."""

import branched
import keras
import numpy as np
import pytest

from okd_tf import errors
from okd_tf.backbones import prepare

SHAPE, CLASSES, MEAN, STD = (8, 8, 1), 3, (100.0,), (50.0,)


@pytest.fixture
def prepared(tmp_path):
    """Saves a model and prepares the file."""

    def make(model, shape=SHAPE):
        model.save(tmp_path / "mine.keras")
        return prepare.read(tmp_path / "mine.keras", shape, CLASSES, MEAN, STD)

    return make


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, *SHAPE)).astype(np.float32)


def _through(*layers, shape=SHAPE):
    """A model of these layers, a convolution and a dense layer."""
    layers = [*layers, keras.layers.Conv2D(4, 3, name="conv"), keras.layers.GlobalMaxPooling2D()]
    inputs = outputs = keras.Input(shape, name="image")
    for layer in [*layers, keras.layers.Dense(CLASSES, name="head")]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def _with_weights_of(model, other):
    model.set_weights(other.get_weights())
    return model


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_with_the_user_s_weights_it_computes_what_the_user_s_model_does_on_normalised_pixels(
    prepared, pixels
):
    mine = branched.make()
    model = _with_weights_of(prepared(mine), mine)
    logits = model(pixels).numpy()
    np.testing.assert_allclose(_softmax(logits), mine((pixels - 100) / 50), rtol=1e-4, atol=1e-5)
    # Before the softmax, whatever the weights: these are drawn anew each time.
    before = _with_weights_of(branched.make(softmax=False), mine)
    np.testing.assert_allclose(logits, before((pixels - 100) / 50), rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in model.layers if layer.name != "normalize"] == [
        layer.name for layer in mine.layers
    ]


def test_layers_are_freshly_initialised(prepared):
    mine = branched.make()
    for layer in mine.layers:
        layer.set_weights([np.full_like(weight, 7.0) for weight in layer.get_weights()])
    model = prepared(mine)
    assert not any(np.any(weight == 7.0) for weight in model.get_weights())
    assert len(model.get_weights()) == len(mine.get_weights())


def test_nothing_stays_frozen(prepared, pixels):
    inputs = keras.Input(SHAPE)
    features = keras.layers.Conv2D(4, 3, trainable=False)(inputs)
    features = keras.layers.BatchNormalization(name="bn")(features, training=False)
    mine = keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(features)))
    mine.get_layer("bn").trainable = False
    model = prepared(mine)
    assert len(model.trainable_weights) == 6
    model(pixels, training=True)
    assert np.any(model.get_layer("bn").moving_mean.numpy() != 0)


@pytest.mark.parametrize(
    "front",
    [
        [keras.layers.Rescaling(1 / 127.5, -1.0)],
        [keras.layers.RandomFlip("horizontal"), keras.layers.Rescaling(1 / 255)],
        [lambda x: x / 255.0],
        [lambda x: x - 100.0],
    ],
)
def test_a_model_that_scales_pixels_itself_is_left_to_it(prepared, pixels, front):
    mine = _through(*front)
    model = _with_weights_of(prepared(mine), mine)
    assert not [layer for layer in model.layers if layer.name == "normalize"]
    expected = mine(pixels, training=False)
    np.testing.assert_allclose(model(pixels, training=False), expected, rtol=1e-4, atol=1e-4)


def test_scaling_after_the_first_convolution_is_not_that_of_the_pixels(prepared):
    model = prepared(_through(keras.layers.Conv2D(2, 3), keras.layers.Rescaling(0.1, name="later")))
    assert model.layers[1].name == "normalize"


def test_a_name_that_is_taken_is_not_used_for_the_normalisation(prepared, pixels):
    model = prepared(_through(keras.layers.Conv2D(2, 3, name="normalize")))
    assert model.layers[1].name == "normalize_1"
    np.testing.assert_allclose(model.layers[1](pixels), (pixels - 100) / 50, rtol=1e-5, atol=1e-5)


def test_an_adapted_normalisation_keeps_what_it_adapted_to(prepared, pixels):
    adapted = keras.layers.Normalization(name="adapted")
    adapted.adapt(pixels * 3 + 1)
    mine = _through(adapted)
    model = prepared(mine)
    for weight, theirs in zip(model.get_layer("adapted").weights, adapted.weights, strict=True):
        np.testing.assert_array_equal(weight, theirs)
    np.testing.assert_allclose(model.get_layer("adapted")(pixels), adapted(pixels), rtol=1e-5)
    assert np.any(model.get_layer("conv").get_weights()[0] != mine.get_layer("conv").get_weights()[0])


def test_a_sequential_model_of_unknown_size_becomes_functional_with_the_dataset_s_size(prepared, pixels):
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(CLASSES)]
    mine = keras.Sequential([keras.Input((None, None, 1)), *layers])
    model = _with_weights_of(prepared(mine), mine)
    assert type(model).__name__ == "Functional"
    assert model.input_shape == (None, *SHAPE)
    np.testing.assert_allclose(model(pixels), mine((pixels - 100) / 50), rtol=1e-4, atol=1e-5)


def test_models_within_the_model_are_opened(prepared, pixels):
    body = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.ReLU()],
        name="body",
    )
    inner = keras.Input((6, 6, 4))
    neck = keras.Model(inner, keras.layers.Conv2D(4, 3, name="conv")(inner + inner), name="neck")
    inputs = keras.Input(SHAPE)
    features = neck(body(keras.layers.Conv2D(1, 3, padding="same", name="conv")(inputs)), training=False)
    features = keras.layers.GlobalMaxPooling2D()(features + features)
    mine = keras.Model(inputs, keras.layers.Dense(CLASSES)(features))
    model = _with_weights_of(prepared(mine), mine)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    names = [operation.name for operation in model.operations]
    assert [name for name in names if name.startswith("conv")] == ["conv", "conv_1", "conv_2"]
    assert len([name for name in names if name.startswith("add")]) == 2
    assert not [name for name in names if "convert" in name]
    np.testing.assert_allclose(model(pixels), mine((pixels - 100) / 50), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "end",
    [
        keras.layers.Softmax(),
        keras.layers.Activation("softmax"),
        keras.layers.Dense(CLASSES, activation="softmax"),
        keras.ops.softmax,
    ],
)
def test_a_softmax_at_the_end_is_left_out(prepared, pixels, end):
    inner = _through()
    mine = keras.Model(inner.input, end(inner.output))
    model = _with_weights_of(prepared(mine), mine)
    logits = model(pixels).numpy()
    assert not np.allclose(logits.sum(axis=-1), 1, atol=1e-2)
    np.testing.assert_allclose(_softmax(logits), mine((pixels - 100) / 50), rtol=1e-4, atol=1e-5)


@keras.saving.register_keras_serializable("tests")
class _Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(CLASSES)

    def call(self, inputs):
        return self.dense(self.flatten(inputs))


def _subclassed():
    model = _Subclassed()
    model(np.zeros((1, *SHAPE)))
    return model


def test_what_is_declared_of_its_pixels_takes_the_place_of_the_dataset_s_normalisation(tmp_path, pixels):
    mine = _through()
    mine.save(tmp_path / "mine.keras")
    arguments = (SHAPE, CLASSES, MEAN, STD)
    model = prepare.read(tmp_path / "mine.keras", *arguments, scaling=(1 / 127.5, -1.0))
    _with_weights_of(model, mine)
    np.testing.assert_allclose(model(pixels), mine(pixels / 127.5 - 1.0), atol=1e-5)


def test_of_several_outputs_the_one_that_is_named_is_the_backbone_s(tmp_path, pixels):
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    outputs = {"class": keras.layers.Dense(CLASSES, name="class")(flat), "size": keras.layers.Dense(1)(flat)}
    keras.Model(inputs, outputs).save(tmp_path / "mine.keras")
    arguments = (tmp_path / "mine.keras", SHAPE, CLASSES, MEAN, STD)
    with pytest.raises(errors.UserError, match=r"has 2 outputs; name the one that says"):
        prepare.read(*arguments)
    model = prepare.read(*arguments, output="class")
    assert model.output_names == ["class"]
    assert model(pixels).shape == (len(pixels), CLASSES)


def _ending_in(layer):
    inner = _through()
    return keras.Model(inner.input, layer(inner.output))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_subclassed, "a subclassed model"),
        (lambda: _ending_in(keras.layers.Dense(CLASSES, activation="sigmoid")), "which gives sigmoid where"),
        (lambda: _ending_in(keras.layers.ReLU(name="end")), "ends in layer 'end', which gives relu where"),
        (
            lambda: keras.Model((mine := branched.make()).input, keras.layers.Reshape((3,))(mine.output)),
            "which gives probabilities where logits are needed",
        ),
        (lambda: _through(keras.layers.MaxPooling2D(2), shape=(16, 16, 1)), "takes images of shape"),
        (lambda: _through(*[keras.layers.MaxPooling2D()] * 2, shape=(None, None, 1)), "cannot be rebuilt"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused_in_one_line(prepared, tmp_path, make, said):
    with pytest.raises(errors.UserError) as refusal:
        prepared(make())
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'mine.keras'}: ")
    assert said in message
    assert "\n" not in message


def test_the_order_of_calls_is_that_of_the_user_s_model(prepared):
    names = [layer.name for layer in prepared(branched.make()).layers]
    assert [name for name in names if name in branched.POINTS] == list(branched.POINTS)
