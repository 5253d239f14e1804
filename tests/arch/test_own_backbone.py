"""A user's own model through space, spec and student."""

import dataclasses
import itertools
import random
import shutil

import branched
import hypothesis
import keras
import numpy as np
import pytest
import tiny
from hypothesis import strategies as st

from okd_tf import backbones, errors
from okd_tf.arch import build, cost, space, spec
from okd_tf.backbones import attach, prepare, stored

MEAN, STD = (100.0,), (50.0,)
OPS = ("identity", "conv_3x3", "sep_conv_3x3", "max_pool_3x3")


class _Own:
    """A user's model, prepared and stored in a folder, and the space around some of its layers."""

    def __init__(self, model, pattern, folder, ops=OPS):
        model.save(folder / "mine.keras")
        self.shape, self.classes, self.folder = model.input_shape[1:], model.output_shape[1], folder
        channels = self.shape[-1]
        arguments = (self.shape, self.classes, MEAN * channels, STD * channels)
        prepared = prepare.read(folder / "mine.keras", *arguments)
        self.backbone = backbones.Backbone(prepared, attach.select(prepared, pattern, "mine.keras"))
        self.space = space.SearchSpace.around(self.backbone, ops)
        self.sha256 = stored.fingerprint(prepared)
        stored.write(folder / stored.NAME, prepared)

    def spec(self, architecture):
        return spec.ArchSpec(
            backbone=stored.NAME,
            width=0,
            input_shape=self.shape,
            classes=self.classes,
            mean=(),
            std=(),
            add_ons=self.space.add_ons(architecture),
            cost=self.space.cost(architecture),
            attach_points=self.space.attach_points,
            backbone_sha256=self.sha256,
            folder=str(self.folder),
        )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return _Own(branched.make(), branched.PATTERN, tmp_path_factory.mktemp("own"))


def _architecture(own, **choices):
    """DEAD but for point=(op, chain, feed_back), ..."""
    return tuple(
        (OPS.index(choices[point][0]), *choices[point][1:]) if point in choices else space.DEAD
        for point in own.space.attach_points
    )


def test_layers_of_equal_shape_that_follow_each_other_can_chain_across_branches(own):
    assert own.space.attach_points == branched.POINTS
    # 8x8x4 three times, 8x8x8 once, 4x4x8 twice.
    assert own.space.chainable == (False, True, True, False, False, True)
    assert own.space.base.params == own.backbone.model.count_params()


@hypothesis.given(seed=st.integers(0, 2**32))
@hypothesis.settings(max_examples=10)
def test_the_built_student_costs_what_the_space_says(own, seed):
    architecture = tiny.draw(own.space, random.Random(seed))
    model = build.student(own.spec(architecture))
    assert model.count_params() == own.space.cost(architecture).params
    assert cost.of_model(model) == own.space.cost(architecture)


@hypothesis.given(seed=st.integers(0, 2**32))
@hypothesis.settings(max_examples=10)
def test_a_record_read_from_its_folder_is_the_one_written(own, tmp_path_factory, seed):
    found = own.spec(tiny.draw(own.space, random.Random(seed)))
    path = tmp_path_factory.mktemp("record") / "arch.json"
    spec.write(path, found)
    assert spec.read(path) == found
    assert spec.read(path).backbone_path == path.parent / stored.NAME


def test_the_size_is_that_of_all_students_listed(tmp_path):
    small = _Own(branched.make(), "left|right|out", tmp_path, ops=("identity", "max_pool_3x3"))
    choices = list(itertools.product(range(2), (0, 1), (0, 1)))
    everything = itertools.product(choices, repeat=3)
    assert small.space.size() == len({small.space.add_ons(architecture) for architecture in everything})


def test_dead_layers_cost_nothing_and_are_not_built(own):
    architecture = _architecture(
        own, stem=("conv_3x3", 0, 0), right=("conv_3x3", 1, 0), out=("identity", 0, 0)
    )
    assert own.space.cost(architecture) == own.space.base
    model = build.student(own.spec(architecture))
    assert [layer.name for layer in model.layers] == [layer.name for layer in own.backbone.model.layers]


def test_students_are_of_stock_layers(own):
    architecture = tuple((op % len(OPS), 1, 1) for op in range(own.space.layers))
    for layer in build.student(own.spec(architecture)).layers:
        assert type(layer) is getattr(keras.layers, type(layer).__name__)


def _features(model, pixels, point):
    return keras.Model(model.input, model.get_layer(point).output)(pixels).numpy()


def test_identity_with_feed_back_doubles_the_stream_without_a_parameter(own, rng):
    model = build.student(own.spec(_architecture(own, join=("identity", 0, 1))))
    assert model.count_params() == own.backbone.model.count_params()
    model.set_weights(own.backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, *branched.SHAPE)).astype(np.float32)
    h = _features(own.backbone.model, pixels, "join")
    np.testing.assert_allclose(_features(model, pixels, "addon4_feed_back"), 2 * h, rtol=1e-4, atol=1e-5)


def test_what_one_branch_s_layer_makes_is_read_in_the_other(own, rng):
    model = build.student(own.spec(_architecture(own, left=("max_pool_3x3", 0, 0), right=("identity", 1, 1))))
    model.set_weights(own.backbone.model.get_weights())
    pixels = rng.integers(0, 256, (3, *branched.SHAPE)).astype(np.float32)
    left, right = (_features(own.backbone.model, pixels, point) for point in ("left", "right"))
    pooled = keras.layers.MaxPooling2D(3, 1, padding="same")(left)
    join = _features(model, pixels, "join")
    np.testing.assert_allclose(join[..., :4], left, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(join[..., 4:], 2 * right + pooled, rtol=1e-4, atol=1e-4)


def test_initial_weights_are_those_of_the_seed_and_not_of_the_file(own):
    found = own.spec(_architecture(own, join=("conv_3x3", 0, 1)))

    def kernels(make, seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([weight.ravel() for weight in make(found).get_weights()])

    for make in (build.student, lambda record: build.bare_backbone(record).model):
        np.testing.assert_array_equal(kernels(make, 1), kernels(make, 1))
        assert np.any(kernels(make, 1) != kernels(make, 2))
    in_file = keras.saving.load_model(own.folder / stored.NAME).get_layer("stem").get_weights()[0]
    assert np.all(build.bare_backbone(found).model.get_layer("stem").get_weights()[0] != in_file)


def test_an_adapted_normalisation_is_in_the_student_as_it_was(tmp_path, rng):
    pixels = rng.integers(0, 256, (9, *branched.SHAPE)).astype(np.float32)
    adapted = keras.layers.Normalization(name="adapted")
    adapted.adapt(pixels)
    inputs = keras.Input(branched.SHAPE)
    features = keras.layers.Conv2D(4, 3, name="conv")(adapted(inputs))
    outputs = keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(features))
    own = _Own(keras.Model(inputs, outputs), "conv", tmp_path)
    for model in (
        build.student(own.spec(((1, 0, 1),))),
        build.bare_backbone(own.spec(((1, 0, 1),))).model,
    ):
        np.testing.assert_allclose(model.get_layer("adapted")(pixels), adapted(pixels), rtol=1e-5)


def test_names_of_add_on_layers_do_not_clash_with_the_user_s(tmp_path, own):
    first = build.student(own.spec(_architecture(own, out=("conv_3x3", 0, 1))))
    again = _Own(first, "addon6_feed_back|out", tmp_path)
    model = build.student(again.spec(((1, 0, 1), (1, 1, 1))))
    names = [layer.name for layer in model.layers]
    assert {"addon6_feed_back", "new_addon1_feed_back", "new_addon2_feed_back"} <= set(names)
    assert len(set(names)) == len(names)
    assert model.count_params() == again.space.cost(((1, 0, 1), (1, 1, 1))).params


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone_sha256": "0" * 64}, "is another backbone than the architecture was found on"),
        ({"folder": "/nowhere"}, "/nowhere/backbone.keras: no such file; it belongs to the architecture"),
        ({"attach_points": ("stem", "nowhere")}, "no add-on layer can come after 'nowhere'"),
        ({"attach_points": ("head",)}, "no add-on layer can come after 'head'"),
        ({"attach_points": ("out", "stem")}, "the order in backbone.keras is stem, out"),
        ({"attach_points": ("stem",)}, "attach point of backbone.keras: unknown name 'join'"),
    ],
)
def test_a_record_of_another_backbone_is_refused_in_one_line(own, change, said):
    found = own.spec(_architecture(own, join=("identity", 0, 1)))
    with pytest.raises(errors.UserError) as refusal:
        build.student(dataclasses.replace(found, **change))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_record_and_backbone_move_together(own, tmp_path):
    found = own.spec(_architecture(own, join=("conv_3x3", 0, 1)))
    spec.write(tmp_path / "one" / "arch.json", found)
    shutil.move(tmp_path / "one", tmp_path / "other")
    assert build.student(spec.read(tmp_path / "other" / "arch.json")).count_params() == found.cost.params


def test_points_chosen_on_a_registered_backbone_are_built_there():
    arguments = ("resnet8", 4, (8, 8, 1), 5, MEAN, STD)
    built = backbones.build(*arguments)
    points = attach.select(built.model, "stem_out|.*_add", "resnet8")
    assert points == ("stem_out", "stage1_block1_add", "stage2_block1_add", "stage3_block1_add")
    of = space.SearchSpace.around(backbones.Backbone(built.model, points), OPS)
    architecture = ((1, 0, 1), (2, 1, 1), space.DEAD, (1, 0, 1))
    found = spec.ArchSpec(*arguments, of.add_ons(architecture), of.cost(architecture), attach_points=points)
    model = build.student(found)
    assert model.count_params() == found.cost.params
    assert {"addon1_feed_back", "addon2_chain"} <= {layer.name for layer in model.layers}


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        pytest.param(
            lambda **of: keras.applications.MobileNetV2(alpha=0.35, **of),
            "block_[2457]_add",
            marks=pytest.mark.slow,
        ),
        pytest.param(keras.applications.ResNet50V2, "conv3_block[12]_out", marks=pytest.mark.slow),
        pytest.param(keras.applications.EfficientNetB0, "block[23]b_add", marks=pytest.mark.slow),
    ],
    ids=["MobileNetV2", "ResNet50V2", "EfficientNetB0"],
)
def test_networks_of_keras_applications_grow_students(make, pattern, tmp_path, rng):
    own = _Own(make(input_shape=(32, 32, 3), classes=10, weights=None), pattern, tmp_path)
    architecture = tiny.draw(own.space, random.Random(3))
    found = own.spec(architecture)
    assert found.add_ons
    assert not cost.uncounted(own.backbone.model)
    model = build.student(found)  # which compares parameters and FLOPs with the record's
    assert model.count_params() == found.cost.params
    logits = model(rng.integers(0, 256, (2, 32, 32, 3)).astype(np.float32)).numpy()
    assert logits.shape == (2, 10)
    assert np.all(np.isfinite(logits))
