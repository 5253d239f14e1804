"""What settings that are left to the data become, computed by hand and as properties of any data."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies

from okd_tf import errors, settings
from okd_tf.settings import plan

CROPS_AND_MIRRORS = 162  # views of an image that is padded by 4 pixels
KINDS = ("teachers", "search", "assistants", "student")


def _resolve(
    images, classes=10, side=32, views=CROPS_AND_MIRRORS, teachers=3, replicas=1, bank_views=None, **changes
):
    facts = plan.Facts(images, classes, side, views, teachers, replicas, bank_views)
    return plan.resolve(settings.Settings(workdir="a", **changes), facts)


def _steps(found, images):
    return {kind: plan.training(found, images, kind).steps for kind in KINDS}


def test_what_can_be_left_open_is_open_by_default_and_has_no_smaller_value():
    for name, value in settings.OPEN.items():
        field = settings.FIELDS[name]
        assert settings.default(field) == value
        assert value in (field.metadata["minimum"], "")
        assert type(settings.default(field)) is type(value)
    assert plan.is_open(settings.Settings(workdir="a"))


# By hand: the power of two at or below images / 30, between 16 and 128; 60 epochs, or as many as 3,000 steps
# take (20 and 1,500 of search), or 200,000 allow; a quarter of the epochs as views, from 4 to 64; a rate of
# 0.1 at 128, and half of it at 32.
@pytest.mark.parametrize(
    ("images", "batch", "rate", "epochs", "search", "warmup", "views"),
    [
        (100, 16, 0.1 / 8**0.5, 500, 250, 50, 64),  # 6 steps an epoch
        (480, 16, 0.1 / 8**0.5, 100, 50, 10, 25),  # 30
        (1_437, 32, 0.05, 69, 35, 7, 18),  # 44
        (15_000, 128, 0.1, 60, 20, 4, 15),  # 117
        (45_000, 128, 0.1, 60, 20, 4, 15),  # 351
        (1_200_000, 128, 0.1, 21, 20, 4, 6),  # 9,375
    ],
)
def test_the_plan_at_usual_effort_is_that_computed_by_hand(
    images, batch, rate, epochs, search, warmup, views
):
    found = _resolve(images)
    assert {name: getattr(found, name) for name in settings.OPEN} == {
        "backbone": "resnet8",
        "backbone_width": 16,
        "teacher_backbone": "resnet14",
        "mix": "none",
        "teacher_mix": "none",
        "batch_size": batch,
        "learning_rate": pytest.approx(rate, rel=1e-12),
        "teacher_epochs": epochs,
        "search_epochs": search,
        "search_warmup_epochs": warmup,
        "assistant_epochs": epochs,
        "student_epochs": epochs,
        "views": views,
    }


@pytest.mark.parametrize(
    ("effort", "epochs", "search", "views"), [("quick", 20, 8, 5), ("thorough", 200, 60, 50)]
)
def test_other_efforts_move_the_plan_of_a_set_like_cifar_100(effort, epochs, search, views):
    found = _resolve(45_000, classes=100, effort=effort)
    assert (found.teacher_epochs, found.student_epochs, found.assistant_epochs) == (epochs,) * 3
    assert (found.search_epochs, found.views, found.batch_size) == (search, views, 128)


ANY_DATA = {
    "images": strategies.integers(10, 10**6),
    "classes": strategies.integers(1, 1000),
    "side": strategies.integers(8, 300),
    "views": strategies.integers(1, 5000),
    "folds": strategies.sampled_from([0, 2, 3, 10]),
    "replicas": strategies.sampled_from([1, 2, 3, 4, 8]),
}


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(**ANY_DATA)
def test_any_network_is_trained_long_enough_on_batches_that_there_are(
    images, classes, side, views, folds, replicas
):
    found = _resolve(images, classes, side, views, replicas=replicas, teacher_folds=folds)
    assert not plan.is_open(found)
    assert min(_steps(found, images).values()) >= 1_500
    assert not any(plan.training(found, images, kind).warning() for kind in KINDS)
    assert found.batch_size % replicas == 0
    left = images - -(-images // folds) if folds else images
    assert found.batch_size <= max(left, replicas)
    assert found.batch_size <= 128
    assert 0 <= found.search_warmup_epochs < found.search_epochs
    assert 0 <= found.views <= min(views, 64)
    assert found.views * images * 3 * classes * 2 <= 2 * 2**30
    # The same data gives the same plan, and a plan is a plan.
    assert found == _resolve(images, classes, side, views, replicas=replicas, teacher_folds=folds)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(images=strategies.integers(1, 10**7))
def test_more_effort_trains_longer_and_less_shorter(images):
    quick, normal, thorough = (_resolve(images, effort=effort) for effort in settings.EFFORTS)
    for name in settings.OPEN:
        assert getattr(quick, name) <= getattr(normal, name) <= getattr(thorough, name), name
    for kind in KINDS:
        lengths = [plan.training(found, images, kind).steps for found in (quick, normal, thorough)]
        assert lengths == sorted(set(lengths)), kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("batch_size", 7), ("learning_rate", 0.3), ("teacher_epochs", 3), ("search_epochs", 9)),
        *(("search_warmup_epochs", 0), ("assistant_epochs", 2), ("student_epochs", 5), ("views", 0)),
    ],
)
def test_a_flag_that_is_given_wins_and_the_others_follow_it(name, value):
    usual, found = _resolve(480), _resolve(480, **{name: value})
    assert getattr(found, name) == value
    follow = {  # by hand: what else is made of that one
        "batch_size": {  # 68 steps an epoch
            "learning_rate": 0.1 * (7 / 128) ** 0.5,
            "search_epochs": 23,
            "search_warmup_epochs": 4,
            **dict.fromkeys(("teacher_epochs", "assistant_epochs", "student_epochs"), 60),
            "views": 15,
        },
        "search_epochs": {"search_warmup_epochs": 1},
    }
    assert found == dataclasses.replace(usual, **{name: value}, **follow.get(name, {}))


def test_nothing_open_is_left_as_it_is():
    given = dict.fromkeys(settings.OPEN, 5)
    given |= {"search_warmup_epochs": 1, "backbone": "vgg8", "teacher_backbone": "wrn16_2"}
    given |= {"mix": "both", "teacher_mix": "mixup"}
    chosen = settings.Settings(workdir="a", **given)
    assert not plan.is_open(chosen)
    assert plan.resolve(chosen, plan.Facts(480, 4, 64, 162, 3)) == chosen


# By hand: images of 48 pixels and more have networks of their own, fewer than 10,000 of them plain ones and
# mixed views, unless there is one image a class.
@pytest.mark.parametrize(
    ("images", "side", "backbone", "teacher", "mix"),
    [
        (480, 47, "resnet8", "resnet14", "none"),
        (10, 48, "conv5", "conv5", "none"),
        (11, 48, "conv5", "conv5", "cutmix"),
        (9_999, 48, "conv5", "conv5", "cutmix"),
        (10_000, 48, "resnet8_s2", "resnet14_s2", "none"),
    ],
)
def test_networks_and_mixed_views_follow_the_size_and_the_number_of_images(
    images, side, backbone, teacher, mix
):
    found = _resolve(images, side=side)
    assert (found.backbone, found.teacher_backbone) == (backbone, teacher)
    assert (found.mix, found.teacher_mix) == (mix, mix)


# By hand: operations are for the same few large images, of one channel or three.
@pytest.mark.parametrize(
    ("images", "side", "channels", "flip", "names"),
    [
        (480, 47, 3, True, ()),
        (480, 48, 3, True, ("crop_flip", "randaugment")),
        (480, 48, 1, False, ("crop", "randaugment")),
        (480, 48, 4, True, ()),
        (4, 48, 3, True, ()),
        (10_000, 48, 3, True, ()),
    ],
)
def test_few_large_images_are_shown_after_operations(images, side, channels, flip, names):
    assert plan.augmentation(images, 4, side, channels, flip) == names


def test_an_augmentation_that_is_given_goes_before_the_usual_one_of_the_data():
    facts = plan.Facts(480, 4, 64, 162, 3, augmentation=("crop_flip", "randaugment"))
    found = plan.resolve(settings.Settings(workdir="a"), facts)
    assert found.augmentation == ("crop_flip", "randaugment")
    assert ", randaugment, 50% cutmix" in plan.in_words(found, 480, ("student",))
    found = plan.resolve(settings.Settings(workdir="a", augmentation=("flip",)), facts)
    assert found.augmentation == ("flip",)
    assert "randaugment" not in plan.in_words(found, 480, ("student",))


def test_the_student_has_half_the_width_of_its_teachers_where_the_data_chooses_plain_networks():
    found = _resolve(480, side=64)
    assert (found.backbone_width, found.teacher_width) == (8, 16)
    assert _resolve(480, side=64, backbone_width=4).backbone_width == 4
    assert _resolve(480, side=64, backbone="conv5").backbone_width == 16
    assert _resolve(10_000, side=64).backbone_width == 16


def test_teachers_that_are_given_are_not_trained_on_mixed_views():
    given = settings.Settings(workdir="a", teachers=("a.keras",))
    found = plan.resolve(given, plan.Facts(480, 4, 64, CROPS_AND_MIRRORS, teachers=1))
    assert (found.mix, found.teacher_mix) == ("cutmix", "none")
    found = _resolve(480, side=64, teacher_mix="mixup")
    assert (found.mix, found.teacher_mix) == ("cutmix", "mixup")


def test_a_share_of_mixed_views_is_refused_where_the_data_leaves_them_as_they_are():
    assert _resolve(480, side=64, mix_probability=0.7).mix_probability == 0.7
    with pytest.raises(errors.UserError, match=r"^--mix_probability: 0\.7 given, and nothing is mixed; add"):
        _resolve(480, mix_probability=0.7)


def test_the_batch_is_what_folds_leave_and_splits_over_devices():
    assert _resolve(12, teacher_folds=2).batch_size == 4  # 6 images are left to a teacher
    assert _resolve(12).batch_size == 8
    assert _resolve(45_000, replicas=3).batch_size == 126
    assert _resolve(100, replicas=16).batch_size == 16


def test_views_are_those_an_image_has_and_that_the_disk_holds():
    assert _resolve(480, views=9).views == 9
    assert _resolve(480, views=1).views == 1
    # A view of 300,000 images, 1,000 classes and 3 teachers takes 1.8 GB: fewer than 4 are worth nothing.
    assert _resolve(300_000, classes=1000).views == 0
    # Of 100,000 images, 600 MB: three fit, and an image has two.
    assert _resolve(100_000, classes=1000).views == 0
    assert _resolve(100_000, classes=1000, views=2).views == 2
    # 36 MB; 59 fit.
    assert _resolve(6_000, classes=1000, effort="thorough").views == 55
    assert _resolve(6_000, classes=1000, teachers=6, effort="thorough").views == 29
    # A bank that is there is read as it is.
    assert _resolve(480, bank_views=7).views == 7


def test_a_plan_in_words_says_once_what_networks_share():
    found = _resolve(480)
    words = plan.in_words(found, 480, ("teachers", "search", "student"))
    assert words == (
        "480 images: teachers resnet14, backbone resnet8, batch 16, 100 epochs, 3,000 steps a network "
        "(search: 50 epochs, 1,500 steps), 25 views"
    )
    assert plan.in_words(found, 480, ("search",)) == (
        "480 images: backbone resnet8, batch 16, 50 epochs, 1,500 steps of search, 25 views"
    )
    found = _resolve(480, teacher_epochs=7, views=0)
    assert plan.in_words(found, 480, ("teachers", "student")) == (
        "480 images: teachers resnet14, backbone resnet8, batch 16, 100 epochs, 3,000 steps a network "
        "(teachers: 7 epochs, 210 steps)"
    )


def test_a_plan_in_words_says_widths_that_are_not_the_published_ones():
    found = _resolve(480, side=64)
    assert plan.in_words(found, 480, ("teachers", "student")).startswith(
        "480 images: teachers conv5, backbone conv5 of width 8, batch 16, "
    )
    found = _resolve(480, backbone="a/mine.keras", teacher_width=32)
    assert plan.in_words(found, 480, ("teachers", "student")).startswith(
        "480 images: teachers resnet14 of width 32, backbone mine.keras, batch 16, "
    )


def test_a_plan_in_words_says_which_views_are_mixed():
    found = _resolve(480, side=64, mix_probability=0.25)
    assert plan.in_words(found, 480, ("teachers", "student")).endswith(
        "views, 25% cutmix (teachers and student)"
    )
    assert plan.in_words(found, 480, ("teachers",)).endswith("views, 25% cutmix (teachers)")
    found = dataclasses.replace(found, mix="mixup")
    assert plan.in_words(found, 480, ("teachers", "search")).endswith(
        "views, 25% cutmix (teachers), 25% mixup (student)"
    )


def test_a_training_too_short_to_work_is_warned_of_by_its_flag():
    # What once were defaults: three steps an epoch.
    found = _resolve(480, batch_size=128, teacher_epochs=20, student_epochs=30, search_epochs=50)
    assert plan.training(found, 480, "student").warning() == (
        "warning: the student trains 90 steps (--student_epochs=30, 3 steps an epoch): train longer or lower "
        "--batch_size"
    )
    assert plan.training(found, 480, "teachers").warning() == (
        "warning: the teachers train 60 steps each (--teacher_epochs=20, 3 steps an epoch): train longer or "
        "lower --batch_size"
    )
    assert plan.training(found, 480, "search").warning() == ""  # 150


def test_a_warm_up_that_is_longer_than_the_search_of_the_plan_is_refused():
    with pytest.raises(errors.UserError, match=r"^--search_warmup_epochs: 20 leaves nothing of --search_ep"):
        _resolve(45_000, search_warmup_epochs=20)


def test_an_effort_that_decides_nothing_is_refused():
    given = {"teacher_epochs": 3, "search_epochs": 3, "student_epochs": 3}
    with pytest.raises(
        errors.UserError,
        match=r"^--effort: quick decides .*, and --teacher_epochs, --search_epochs, --student_epochs say so",
    ):
        settings.Settings(workdir="a", effort="quick", **given)
    settings.Settings(workdir="a", **given)
    settings.Settings(workdir="a", effort="quick", **{**given, "search_epochs": 0})
    settings.Settings(workdir="a", effort="quick", **given, assistant=("resnet8",))
    with pytest.raises(errors.UserError, match=r"and --student_epochs say so already"):
        settings.Settings(
            workdir="a", effort="quick", student_epochs=3, teachers=("mine.keras",), strategy="none"
        )
    with pytest.raises(errors.UserError, match=r"^--effort: unknown name 'toroug'; did you mean thorough"):
        settings.Settings(workdir="a", effort="toroug")
