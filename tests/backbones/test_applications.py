"""Networks of keras.applications: their preprocessing, their weights, and what is refused of them."""

import re
import sys
import warnings

import keras
import numpy as np
import pytest

from okd_tf import backbones, errors, settings
from okd_tf.arch import build, space, spec
from okd_tf.backbones import application_weights, applications, attach, stored
from okd_tf.ops import batch_norm

NAMES = settings.choices.APPLICATIONS
MODULES = {  # whose preprocess_input is a member's
    "caffe": "resnet50",
    "tf": "mobilenet_v2",
    "torch": "densenet",
    "inside": "efficientnet",
}


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (2, 6, 6, 3)).astype(np.float32)


def _tiny(name="tiny", channels=4, bias=True, more=False):
    """A network of three channels, as an application without its top is one."""
    inputs = keras.Input((6, 6, 3))
    features = keras.layers.Conv2D(channels, 3, use_bias=bias, name="first")(inputs)
    features = keras.layers.BatchNormalization(name="bn")(features)
    if more:
        features = keras.layers.GlobalAveragePooling2D()(features)
        features = keras.layers.Dense(5, name="top")(features)
    model = keras.Model(inputs, features, name=name)
    generator = np.random.default_rng(5)
    model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("name", NAMES)
def test_preprocessing_is_that_of_the_application_s_own_module(name, pixels):
    make = getattr(keras.applications, name)
    own = sys.modules[make.__module__].preprocess_input
    expected = own(pixels.copy())
    how = applications.family(applications.PREFIX + name).preprocessing
    if how == "caffe":
        expected = expected[..., ::-1]
    found = applications._preprocessed(keras.ops.convert_to_tensor(pixels), how)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_the_order_of_the_channels_is_reversed_by_the_first_kernel(pixels):
    model = _tiny()
    expected = model(pixels[..., ::-1])
    applications._reverse_input_channels(model)
    np.testing.assert_allclose(model(pixels), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("application", "side", "expected"),
    [
        ("VGG16", 32, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("ResNet50", 32, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("ResNet101V2", 32, "resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("InceptionV3", 75, "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("InceptionResNetV2", 75, "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("DenseNet121", 32, "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("Xception", 71, "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("MobileNet", 96, "mobilenet_1_0_224_tf_no_top.h5"),
        ("MobileNet", 160, "mobilenet_1_0_160_tf_no_top.h5"),
        ("MobileNetV2", 96, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"),
        ("MobileNetV2", 32, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
        ("MobileNetV3Small", 32, "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
        ("NASNetMobile", 32, "nasnet_mobile_no_top.h5"),
        ("EfficientNetB0", 32, "efficientnetb0_notop.h5"),
        ("EfficientNetV2B0", 32, "efficientnetv2-b0_notop.h5"),
        ("EfficientNetV2S", 32, "efficientnetv2-s_notop.h5"),
        ("ConvNeXtTiny", 32, "convnext_tiny_notop.h5"),
    ],
)
def test_files_of_imagenet_are_called_what_keras_calls_them(application, side, expected):
    assert application_weights.file_name(application, (side, side, 3)) == expected


def test_weights_that_are_not_in_the_cache_are_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(
        errors.UserError, match=r"^--weights: those of VGG16 .* are not in .*; put the file there"
    ):
        application_weights.path("VGG16", (32, 32, 3), "imagenet")
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.touch()
    assert application_weights.path("VGG16", (32, 32, 3), "imagenet") == file
    assert application_weights.path("VGG16", (32, 32, 3), "none") is None
    with pytest.raises(errors.UserError, match=r"^--weights: gone.h5: no such file"):
        application_weights.path("VGG16", (32, 32, 3), "gone.h5")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("more", [False, True])
def test_weights_of_a_file_are_loaded_whatever_its_top(tmp_path, suffix, more, pixels):
    mine, file = _tiny("other", more=more), tmp_path / f"mine{suffix}"
    (mine.save if suffix == ".keras" else mine.save_weights)(file)
    network = keras.models.clone_model(_tiny())
    application_weights.load(network, file, "Tiny")
    for one, other in zip(network.get_weights(), mine.get_weights(), strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("changes", [{"channels": 5}, {"bias": False}])
def test_weights_of_another_shape_are_refused_by_their_file(tmp_path, suffix, changes):
    mine, file = _tiny("other", **changes), tmp_path / f"mine{suffix}"
    (mine.save if suffix == ".keras" else mine.save_weights)(file)
    with pytest.raises(errors.UserError, match=f"^--weights: {re.escape(str(file))}: .*Tiny"):
        application_weights.load(_tiny(), file, "Tiny")


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    for name in ("a.weights.h5", "a.h5"):
        (tmp_path / name).write_text("nonsense")
        with pytest.raises(errors.UserError, match=r"^--weights: .*: not weights of Tiny without its top \("):
            application_weights.load(_tiny(), tmp_path / name, "Tiny")


def test_an_efficientnet_s_normalisation_is_divided_by_the_root_of_the_deviation_once_more(pixels):
    layer = keras.layers.Normalization()
    layer.build((None, 6, 6, 3))
    network = keras.Sequential([keras.Input((6, 6, 3)), layer])
    application_weights._divide_by_root_of_deviation(network)  # one that never adapted stays
    np.testing.assert_allclose(network(pixels), pixels, rtol=1e-6)
    layer.set_weights([np.full(3, 2.0), np.full(3, 4.0), *layer.get_weights()[2:]])
    layer.finalize_state()
    expected = network(pixels) / np.sqrt([0.229, 0.224, 0.225]).astype(np.float32)
    application_weights._divide_by_root_of_deviation(network)
    np.testing.assert_allclose(network(pixels), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("VGG16", (28, 28, 3), "takes images of 32x32 pixels and more, these have 28x28; .*--image_size=32,"),
        ("Xception", (64, 80, 3), "takes images of 71x71 .*--image_size=71x80,"),
        ("InceptionV3", (32, 32, 3), "takes images of 75x75"),
        ("MobileNetV2", (32, 32, 1), "takes images of 3 channels, these have 1; add --channels=3"),
    ],
)
def test_images_that_an_application_cannot_take_are_refused(name, shape, message):
    with pytest.raises(errors.UserError, match=rf"^--backbone: applications:{name} {message}"):
        backbones.check_size("--backbone", f"applications:{name}", shape)


def test_layers_are_named_alike_whatever_the_process_made_before():
    found = []
    for _ in range(2):
        inputs = keras.Input((6, 6, 3), name="pixels")
        features = keras.layers.Conv2D(4, 3, padding="same")(inputs)
        features = keras.layers.Conv2D(4, 3, padding="same", name="own")(features + features)
        network = keras.Model(inputs, keras.layers.Conv2D(4, 3)(features + features))
        found.append([one.name for one in applications._with_names_of_its_own(network).operations])
    assert found[0] == found[1] == ["pixels", "conv2d", "add", "own", "add_1", "conv2d_1"]


def _student(model, new, name, folder):
    """A student of an application, with add-ons at two of its points."""
    points = attach.select(model, applications.family(name).attach_after, name)
    backbone = backbones.Backbone(model, points, stored.kept(model, new))
    of = space.SearchSpace.around(backbone, ("conv_3x3", "max_pool_3x3"))
    architecture = tuple((index % 2, 0, int(index < 2)) for index in range(of.layers))
    stored.write(folder / stored.NAME, model)
    record = spec.ArchSpec(
        *(stored.NAME, 0, model.input_shape[1:], model.output_shape[1], (), ()),
        *(of.add_ons(architecture), of.cost(architecture)),
        attach_points=points,
        backbone_sha256=stored.fingerprint(model, new),
        keep_weights=new is not None,
        new_layers=new or (),
        folder=str(folder),
    )
    return build.student(record)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_an_application_with_weights_computes_what_it_did(tmp_path, rng, suffix):
    shape = (32, 32, 3)
    mine = keras.applications.ResNet50(include_top=False, weights=None, input_shape=shape)
    file = tmp_path / f"mine{suffix}"
    (mine.save if suffix == ".keras" else mine.save_weights)(file)
    images = rng.integers(0, 256, (2, *shape)).astype(np.float32)
    expected = mine(keras.applications.resnet.preprocess_input(images.copy()))
    model, new = applications.build("applications:ResNet50", shape, 5, str(file))
    assert new == (applications.HEAD,)
    student = _student(model, new, "applications:ResNet50", tmp_path)
    features = keras.Model(student.inputs[0], student.get_layer("pool").output)
    np.testing.assert_allclose(features(images), np.mean(expected, axis=(1, 2)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_application_with_operations_that_are_no_layers_trains_in_sixteen_bits(tmp_path, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, new = applications.build("applications:MobileNetV3Small", (32, 32, 3), 5)
    assert new is None
    student = _student(model, new, "applications:MobileNetV3Small", tmp_path)
    twin = batch_norm.fused_copy(student, compute="bfloat16")
    images = rng.integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    assert np.all(np.isfinite(twin(images, training=True)))
    assert {layer.compute_dtype for layer in batch_norm.stock_copy(twin).layers} == {"float32"}
