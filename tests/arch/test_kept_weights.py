"""Students, baselines and supernets that begin from the weights of a user's file."""

import branched
import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import backbones, errors
from okd_tf.arch import build, cost, space, spec
from okd_tf.backbones import attach, pretrained, stored
from okd_tf.ops import OPS
from okd_tf.search import STRATEGIES, cells, supernet

SHAPE, CLASSES = branched.SHAPE, branched.CLASSES


class _Warm:
    """A model with weights that mean something, kept as a backbone in a folder, and the space around it."""

    def __init__(self, folder, classes=CLASSES):
        keras.utils.set_random_seed(7)
        self.mine = branched.make(softmax=False)
        generator = np.random.default_rng(0)
        for layer in self.mine.layers:
            layer.set_weights(
                [weight + 0.1 * generator.random(weight.shape) for weight in layer.get_weights()]
            )
        self.mine.save(folder / "mine.keras")
        kept = pretrained.read(folder / "mine.keras", SHAPE, classes)
        self.new, self.folder, self.classes = kept.new, folder, classes
        points = attach.select(kept.model, branched.PATTERN, "mine.keras")
        self.backbone = backbones.Backbone(kept.model, points, stored.kept(kept.model, kept.new))
        self.space = space.SearchSpace.around(self.backbone)
        stored.write(folder / stored.NAME, kept.model)

    def spec(self, architecture):
        return spec.ArchSpec(
            backbone=stored.NAME,
            width=0,
            input_shape=SHAPE,
            classes=self.classes,
            mean=(),
            std=(),
            add_ons=self.space.add_ons(architecture),
            cost=self.space.cost(architecture),
            attach_points=self.space.attach_points,
            backbone_sha256=stored.fingerprint(self.backbone.model, self.new),
            keep_weights=True,
            new_layers=self.new,
            folder=str(self.folder),
        )

    def everywhere(self, op):
        """This operation at every point, chained where it can be, all feeding back."""
        return tuple((self.space.ops.index(op), int(chain), 1) for chain in self.space.chainable)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    return _Warm(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def other_classes(tmp_path_factory):
    return _Warm(tmp_path_factory.mktemp("other"), classes=5)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (6, *SHAPE)).astype(np.float32)


def _assert_same(network, mine, pixels):
    expected = np.asarray(mine(pixels, training=False))
    assert np.abs(expected).max() > 1
    found = np.asarray(network(pixels, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("op", OPS)
def test_a_student_is_the_function_of_the_file_before_its_first_step(warm, pixels, op):
    _assert_same(build.student(warm.spec(warm.everywhere(op))), warm.mine, pixels)


def test_so_is_the_bare_backbone(warm, pixels):
    _assert_same(build.bare_backbone(warm.spec(warm.everywhere("conv_3x3"))).model, warm.mine, pixels)


@pytest.mark.parametrize("cell", [cells.MixedCell, cells.GumbelCell, cells.PathCell])
def test_so_is_a_supernet_of_any_cells(warm, pixels, cell):
    net = supernet.make(warm.backbone, warm.space, cell)
    for row, one in zip(supernet.choices(warm.space, warm.everywhere("conv_5x5")), net.cells, strict=True):
        if cell is cells.PathCell:
            one.choose(row)
        else:
            one.alphas[-1].assign(3.0)
    _assert_same(net.network, warm.mine, pixels)


def test_supernets_of_sixteen_bits_keep_the_weights_too(warm):
    net = supernet.make(warm.backbone, warm.space, cells.MixedCell, compute="bfloat16").network
    for name in warm.backbone.kept:
        for mine, theirs in zip(net.get_layer(name).weights, warm.mine.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("op", OPS)
def test_every_add_on_layer_that_feeds_back_has_a_gradient(warm, pixels, op):
    student = build.student(warm.spec(warm.everywhere(op)))
    scales = [weight for weight in student.trainable_weights if "_zero/gamma" in weight.path]
    assert len(scales) == warm.space.layers
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(student(pixels, training=True)))
    for gradient in tape.gradient(loss, [scale.value for scale in scales]):
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_add_on_layers_of_every_search_move(warm, name):
    chosen = STRATEGIES[name]
    net = supernet.make(warm.backbone, warm.space, chosen.cell)
    if chosen.cell is cells.PathCell:
        for one, row in zip(
            net.cells, supernet.choices(warm.space, warm.everywhere("conv_3x3")), strict=True
        ):
            one.choose(row)
    else:
        for one in net.cells:
            one.alphas[-1].assign(3.0)
            one.alphas[0].assign(tf.one_hot(1, len(warm.space.ops)) * 5.0)
    scales = [weight.value for weight in net.weights() if "_zero/gamma" in weight.path]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net.network(tf.ones([4, *SHAPE]), training=True)))
    found = [gradient for gradient in tape.gradient(loss, scales) if gradient is not None]
    assert np.any([np.any(gradient != 0) for gradient in found])


@pytest.mark.parametrize("op", OPS)
def test_the_batch_norm_that_begins_at_zero_is_counted(warm, op):
    architecture = warm.everywhere(op)
    student = build.student(warm.spec(architecture))
    assert cost.of_model(student) == warm.space.cost(architecture)
    plain = space.SearchSpace.around(backbones.Backbone(warm.backbone.model, warm.backbone.attach_points))
    # gamma, beta and two moving statistics for each channel, of 4, 4, 4, 8, 8 and 8.
    assert student.count_params() - plain.cost(architecture).params == 4 * (4 + 4 + 4 + 8 + 8 + 8)


def test_a_head_for_other_classes_is_new_and_drawn_by_the_seed_and_all_else_is_kept(other_classes):
    assert other_classes.new == ("head",)
    record = other_classes.spec(other_classes.everywhere("identity"))
    heads = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        student = build.student(record)
        assert student.output_shape == (None, 5)
        for name in other_classes.backbone.kept:
            for mine, theirs in zip(
                student.get_layer(name).weights, other_classes.mine.get_layer(name).weights, strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)
        heads.append(student.get_layer("head").get_weights()[0])
    np.testing.assert_array_equal(heads[0], heads[1])
    assert np.all(heads[0] != heads[2])
    assert build.kept(record) == other_classes.backbone.kept
    assert "head" not in build.kept(record)


def test_a_record_with_kept_weights_is_read_as_it_was_written(warm, other_classes, tmp_path):
    for own in (warm, other_classes):
        record = own.spec(own.everywhere("conv_3x3"))
        spec.write(tmp_path / "arch.json", record)
        assert spec.read(tmp_path / "arch.json") == record
        assert build.student(spec.read(tmp_path / "arch.json")).count_params() == record.cost.params


def test_a_record_without_kept_weights_says_nothing_of_them():
    record = tiny.make_template(tiny.make_backbone(), spec.Budget()).to_json()
    assert not {"keep_weights", "new_layers"} & set(record)
    assert not spec.ArchSpec.from_json(record).keep_weights
    with pytest.raises(errors.UserError, match=r"keep_weights: expected false"):
        spec.ArchSpec.from_json({**record, "keep_weights": True})


def test_other_weights_beside_a_record_are_refused(warm, tmp_path):
    record = warm.spec(warm.everywhere("conv_3x3"))
    spec.write(tmp_path / "arch.json", record)
    other = keras.models.clone_model(warm.backbone.model)
    stored.write(tmp_path / stored.NAME, other)
    with pytest.raises(errors.UserError, match="another backbone than the architecture was found on"):
        build.student(spec.read(tmp_path / "arch.json"))


def test_a_student_with_kept_weights_is_of_stock_layers(warm):
    student = build.student(warm.spec(warm.everywhere("sep_conv_3x3")))
    assert {type(layer).__module__.split(".")[0] for layer in student.layers} == {"keras"}
