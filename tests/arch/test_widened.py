"""The same-size plain network: the widest backbone that has no more parameters than a student."""

import dataclasses

import pytest
import tiny

from okd_tf import backbones
from okd_tf.arch import build, cost, spec, widened
from okd_tf.backbones import stored

SHAPE, CLASSES = (32, 32, 3), 7


def _student(backbone, width, more):
    """A spec around a backbone whose student is said to have so many parameters more."""
    mean, std = (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)
    own = cost.of_model(backbones.build(backbone, width, SHAPE, CLASSES, mean, std).model)
    add_ons = (spec.AddOn("stage1_block1_out", "conv_3x3", False, True),)
    grown = dataclasses.replace(own, params=own.params + more)
    return spec.ArchSpec(backbone, width, SHAPE, CLASSES, mean, std, add_ons, grown, spec.Budget(10**9))


def _params(architecture, width):
    arguments = (SHAPE, CLASSES, architecture.mean, architecture.std)
    return backbones.build(architecture.backbone, width, *arguments).model.count_params()


@pytest.mark.parametrize(
    ("backbone", "width", "more"),
    [
        ("resnet8", 4, 9_000),
        ("vgg8", 2, 90_000),
        ("wrn16_1", 4, 20_000),
    ],
)
def test_it_is_the_widest_that_has_no_more_parameters(backbone, width, more):
    student = _student(backbone, width, more)
    found = widened.same_size(student)
    assert found.width > width
    assert found.cost.params == _params(student, found.width) <= student.cost.params
    assert _params(student, found.width + 1) > student.cost.params
    assert build.student(found).count_params() == found.cost.params
    assert (found.add_ons, found.backbone, found.mean) == ((), backbone, student.mean)


def test_a_student_that_is_hardly_larger_than_its_backbone_has_none():
    assert widened.same_size(_student("resnet8", 8, 0)) is None
    assert widened.same_size(_student("resnet8", 8, 10)) is None


def test_a_file_has_no_width_and_its_bare_backbone_is_itself(tmp_path):
    backbone = tiny.make_backbone()
    backbone.model.save(tmp_path / "mine.keras")
    of = tiny.make_space(backbone)
    grown = ((1, 0, 1), (0, 0, 1))
    student = dataclasses.replace(
        tiny.make_template(backbone, spec.Budget()),
        backbone="mine.keras",
        width=0,
        mean=(),
        std=(),
        add_ons=of.add_ons(grown),
        cost=of.cost(grown),
        attach_points=backbone.attach_points,
        backbone_sha256=stored.fingerprint(backbone.model),
        folder=str(tmp_path),
    )
    assert widened.same_size(student) is None
    bare = widened.bare(student)
    assert build.student(bare).count_params() == bare.cost.params == of.base.params < student.cost.params


def test_the_bare_backbone_of_a_registered_one_has_its_width():
    student = _student("resnet8", 8, 5000)
    bare = widened.bare(student)
    assert (bare.width, bare.add_ons) == (8, ())
    assert build.student(bare).count_params() == student.cost.params - 5000
