"""The settings of a run, as the library takes them and as a flagfile says them."""

import dataclasses

import keras
import pytest

from okd_tf import errors, losses, search, settings, sources
from okd_tf.backbones import BACKBONES, application_weights, applications, keras_file
from okd_tf.data import DATASETS, imbalance, views
from okd_tf.ops import OPS, precision
from okd_tf.search import reinforce
from okd_tf.settings import plan
from okd_tf.sources import request
from okd_tf.training import distribution, optimizers


def test_defaults_need_a_workdir_and_nothing_else():
    chosen = settings.Settings(workdir="runs/a")
    for name, field in settings.FIELDS.items():
        assert getattr(chosen, name) == ("runs/a" if name == "workdir" else settings.default(field))
    with pytest.raises(errors.UserError, match=r"^--workdir: "):
        settings.Settings()


def test_default_names_are_registered():
    chosen = settings.Settings(workdir="a")
    assert chosen.dataset in DATASETS
    assert {*plan.SMALL_NETWORKS, *plan.LARGE_NETWORKS, *plan.FEW_NETWORKS} <= set(BACKBONES)
    assert chosen.strategy in search.STRATEGIES
    assert {chosen.search_loss, chosen.train_loss} <= set(losses.KD_LOSSES)
    assert chosen.schedule in optimizers.SCHEDULES
    assert chosen.distribution in distribution.DISTRIBUTIONS


@pytest.mark.parametrize(
    ("name", "minimum"),
    [
        (name, field.metadata["minimum"])
        for name, field in settings.FIELDS.items()
        if field.metadata["minimum"] is not None
    ],
)
def test_the_least_value_is_accepted_and_less_is_refused_by_its_flag(name, minimum):
    # What depends on another setting is given room.
    room = {"search_warmup_epochs": 0} if name != "search_warmup_epochs" else {}
    if name == "kd_weight":
        room["ce_weight"] = 0.5
    if name.startswith("augmentation"):
        room["augmentation"] = ("crop", "randaugment")
    if name.startswith("mix"):
        room["mix"] = "cutmix"
    if name == "warm_rate":
        room |= {"keep_weights": True, "backbone": "a.keras"}
    assert getattr(settings.Settings(workdir="a", **{**room, name: minimum}), name) == minimum
    less = minimum - 1 if isinstance(minimum, int) else minimum / 2
    with pytest.raises(errors.UserError, match=f"^--{name}: {less} is too small; at least {minimum}$"):
        settings.Settings(workdir="a", **{**room, name: less})


NUMBERS = [name for name, field in settings.FIELDS.items() if type(settings.default(field)) in (int, float)]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_not_a_finite_number_is_refused_by_its_flag(name, value):
    with pytest.raises(errors.UserError, match=f"^--{name}: {value} is not a finite number"):
        settings.Settings(workdir="a", **{name: float(value)})


def test_every_number_has_a_least_value():
    for name, field in settings.FIELDS.items():
        default = settings.default(field)
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert field.metadata["minimum"] is not None, name


def test_a_share_above_one_is_refused():
    assert settings.Settings(workdir="a", ce_weight=1.0).ce_weight == 1.0
    with pytest.raises(errors.UserError, match=r"^--ce_weight: 1\.5 is too large"):
        settings.Settings(workdir="a", ce_weight=1.5)


def test_the_shares_that_the_rate_falls_after_are_of_the_step_schedule_ascending_and_within_a_training():
    chosen = settings.Settings(workdir="a", schedule="step", schedule_steps=("0.625", "0.75", "0.875"))
    assert chosen.drops == (0.625, 0.75, 0.875)
    assert settings.Settings(workdir="a").drops == optimizers.DROPS
    for wrong in (("0.5", "0.5"), ("0.7", "0.5"), ("0",), ("1",), ("150",), ("half",)):
        with pytest.raises(errors.UserError, match=r"^--schedule_steps: "):
            settings.Settings(workdir="a", schedule="step", schedule_steps=wrong)
    with pytest.raises(errors.UserError, match=r"^--schedule_steps requires --schedule=step \(got cosine\)"):
        settings.Settings(workdir="a", schedule_steps=("0.625",))


@pytest.mark.parametrize(
    ("text", "size"), [("", None), ("64", (64, 64)), ("48x64", (48, 64)), ("1x4096", (1, 4096))]
)
def test_an_image_size_is_one_number_or_height_and_width(text, size):
    assert settings.Settings(workdir="a", image_size=text).size == size


@pytest.mark.parametrize("text", ["0", "-1", "64x", "x64", "64x64x3", "4097", "big", "6 4", "1e2"])
def test_what_is_no_image_size_is_refused(text):
    with pytest.raises(errors.UserError, match=r"^--image_size: '.*' is not a size of 1 to 4096 pixels"):
        settings.Settings(workdir="a", image_size=text)


def test_mean_and_deviation_are_given_together_for_each_channel():
    chosen = settings.Settings(workdir="a", pixel_mean=("1", "2.5", "3"), pixel_std=("4", "5", "6"))
    assert chosen.statistics == ((1.0, 2.5, 3.0), (4.0, 5.0, 6.0))
    assert settings.Settings(workdir="a").statistics is None
    for mean, std in ((("1",), ()), ((), ("1",)), (("1", "2"), ("1",)), (("a",), ("1",)), (("1",), ("0",))):
        with pytest.raises(errors.UserError, match=r"^--pixel_"):
            settings.Settings(workdir="a", pixel_mean=mean, pixel_std=std)


def test_other_channels_than_grey_and_rgb_are_refused():
    with pytest.raises(errors.UserError, match=r"^--channels: 2 is not 0, 1 \(grey\) or 3 \(RGB\)"):
        settings.Settings(workdir="a", channels=2)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"resize": "pad"}, {"image_size": "64"}),
        ({"augmentation_ops": 1}, {"augmentation": ("none", "rotate")}),
        ({"augmentation_magnitude": 5}, {"augmentation": ("crop", "randaugment")}),
        ({"mix_probability": 0.7}, {"mix": "cutmix"}),
        ({"mix_probability": 1.0}, {"teacher_mix": "both"}),
        ({"keep_weights": True}, {"backbone": "a.keras"}),
        ({"warm_rate": 0.1}, {"backbone": "a.keras", "keep_weights": True}),
        ({"frozen_epochs": 1}, {"backbone": "applications:VGG16", "weights": "imagenet"}),
        ({"frozen_epochs": 2}, {"teacher_backbones": ("applications:VGG16",), "weights": "a.weights.h5"}),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused(given, needed):
    (name,) = given
    given = {"workdir": "a", "mix": "none", "teacher_mix": "none", **given}
    assert settings.Settings(**{**given, **needed})
    with pytest.raises(errors.UserError, match=f"^--{name}[: ].*leave it out$"):
        settings.Settings(**given)


def test_no_more_than_all_views_are_mixed():
    assert settings.Settings(workdir="a", mix="cutmix", mix_probability=1.0).mix_probability == 1
    with pytest.raises(errors.UserError, match=r"^--mix_probability: 1.5 is too large; at most 1"):
        settings.Settings(workdir="a", mix="cutmix", mix_probability=1.5)


def test_teachers_of_one_s_own_are_not_trained_on_mixed_images():
    assert settings.Settings(workdir="a", mix="both", teachers=("a.keras",)).mix == "both"
    with pytest.raises(errors.UserError, match=r"^--teacher_mix: both given, and --teachers are not trained"):
        settings.Settings(workdir="a", teacher_mix="both", teachers=("a.keras",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"momentum": 1.0}, "--momentum: 1.0 is too large; give less than 1"),
        ({"label_smoothing": 1.0}, "--label_smoothing: 1.0 is too large; give less than 1"),
        ({"teacher_label_smoothing": 2.0}, "--teacher_label_smoothing: 2.0 is too large; give less than 1"),
        (
            {"student_learning_rate": -0.5},
            "--student_learning_rate: -0.5 is too small; at least 0, or -1 for",
        ),
        ({"teacher_weight_decay": -0.5}, "--teacher_weight_decay: -0.5 is too small; at least 0, or -1 for"),
        ({"keep": "averge"}, "--keep: unknown name 'averge'; did you mean average"),
        ({"average_decay": 0.9}, "--average_decay requires --keep=average (got last); leave one of the two"),
        ({"keep": "average", "average_decay": 1.0}, "--average_decay: 1.0 is not between 0 and 1"),
        ({"keep": "average", "average_decay": 0.0}, "--average_decay: 0.0 is not between 0 and 1"),
        (
            {"label_smoothing": 0.1, "baseline": False, "opponents": "bare"},
            "--label_smoothing requires a training whose",
        ),
        (
            {"teacher_label_smoothing": 0.1, "teachers": ("a.keras",)},
            "--teacher_label_smoothing requires teachers",
        ),
    ],
)
def test_a_recipe_that_cannot_be_or_would_do_nothing_is_refused(given, said):
    with pytest.raises(errors.UserError) as refusal:
        settings.Settings(workdir="a", **given)
    assert str(refusal.value).startswith(said)


@pytest.mark.parametrize("loss", ["train_loss", "search_loss"])
def test_labels_can_be_smoothed_wherever_something_learns_from_them_alone(loss):
    assert settings.Settings(workdir="a", label_smoothing=0.1, baseline=False, **{loss: "ce"})


def test_a_role_s_own_setting_decides_where_it_is_given():
    chosen = settings.Settings(workdir="a", student_weight_decay=0.0, teacher_learning_rate=0.2)
    decides = {stage: chosen.deciding("weight_decay", stage) for stage in settings.choices.TRAINING}
    of_students = ("choice", "finals", "student", "budgets", "baseline", "opponents", "trials")
    own = dict.fromkeys(("assistant", *of_students), "student_weight_decay")
    assert decides == {**own, "teachers": "weight_decay", "search": "weight_decay"}
    rates = {stage: chosen.deciding("learning_rate", stage) for stage in settings.choices.TRAINING}
    assert rates.pop("teachers") == "teacher_learning_rate"
    assert set(rates.values()) == {"learning_rate"}


def test_networks_and_schedules_are_those_that_are_registered():
    assert tuple(BACKBONES) == settings.choices.BACKBONES
    assert settings.choices.NETWORK_SUFFIX == keras_file.SUFFIX
    assert settings.choices.APPLICATION_PREFIX == applications.PREFIX
    assert (settings.choices.NO_WEIGHTS, settings.choices.IMAGENET) == application_weights.NAMES
    there = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(settings.choices.APPLICATIONS) == there
    assert settings.choices.SCHEDULES == optimizers.SCHEDULES
    assert settings.choices.DROPS == optimizers.DROPS


def test_every_kind_of_dataset_can_be_read():
    assert tuple(DATASETS) == tuple(sources.KINDS)


def test_a_dataset_is_asked_for_by_default_as_without_settings():
    usual, chosen = request.Request("digits"), settings.Settings(workdir="a")
    for field in dataclasses.fields(request.Request):
        mine = chosen.size if field.name == "image_size" else getattr(chosen, field.name, "digits")
        assert mine == getattr(usual, field.name), field.name


@pytest.mark.parametrize(
    ("search_loss", "train_loss"), [("ce", "mean"), ("masked", "confidence"), ("dkd", "ce")]
)
def test_what_teaches_where_none_is_right_is_of_losses_that_choose_the_right(search_loss, train_loss):
    arguments = {"workdir": "a", "search_loss": search_loss, "train_loss": train_loss}
    assert settings.Settings(**arguments).none_right == "label"
    message = (
        "^--none_right: both requires a loss that chooses the right teachers, oracle, oracle_dkd, and "
        f"--search_loss={search_loss}, --train_loss={train_loss} do not; take one of these, or leave it out$"
    )
    with pytest.raises(errors.UserError, match=message):
        settings.Settings(**arguments, none_right="both")
    for gated in ("oracle", "oracle_dkd"):
        assert settings.Settings(**{**arguments, "train_loss": gated}, none_right="both").none_right == "both"
        assert (
            settings.Settings(**{**arguments, "search_loss": gated}, none_right="mean").none_right == "mean"
        )


@pytest.mark.parametrize("loss", sorted(losses.KD_LOSSES))
def test_a_distillation_of_no_weight_without_the_label_is_refused(loss):
    arguments = {"workdir": "a", "search_loss": "ce", "train_loss": loss, "kd_weight": 0.0}
    assert settings.Settings(**arguments, ce_weight=0.5).kd_weight == 0.0
    if loss in losses.NEEDS_TEACHERS:
        with pytest.raises(errors.UserError, match=r"^--kd_weight, --ce_weight: both are 0"):
            settings.Settings(**arguments)
    else:
        assert settings.Settings(**arguments).kd_weight == 0.0


def test_a_decoupled_loss_of_nothing_is_refused():
    settings.Settings(workdir="a", dkd_alpha=0.0)
    settings.Settings(workdir="a", dkd_beta=0.0)
    with pytest.raises(errors.UserError, match=r"^--dkd_alpha, --dkd_beta: both are 0"):
        settings.Settings(workdir="a", dkd_alpha=0.0, dkd_beta=0.0)


def test_a_warm_up_that_is_the_whole_search_is_refused_by_both_flags():
    settings.Settings(workdir="a", search_epochs=3, search_warmup_epochs=2)
    with pytest.raises(errors.UserError, match=r"^--search_warmup_epochs: 3 .*--search_epochs=3"):
        settings.Settings(workdir="a", search_epochs=3, search_warmup_epochs=3)


@pytest.mark.parametrize("strategy", sorted(search.STRATEGIES))
def test_a_warm_up_that_is_the_whole_search_is_refused_for_what_learns(strategy):
    arguments = {"workdir": "a", "strategy": strategy, "search_epochs": 1, "search_warmup_epochs": 1}
    if search.STRATEGIES[strategy].learns:
        with pytest.raises(errors.UserError, match=r"^--search_warmup_epochs: 1 "):
            settings.Settings(**arguments)
    else:
        assert settings.Settings(**arguments).search_epochs == 1


def test_names_that_settings_know_without_tensorflow_are_the_registered_ones():
    assert set(settings.STRATEGIES) == set(search.STRATEGIES)
    assert set(settings.LOSSES) == set(losses.KD_LOSSES)
    assert set(settings.choices.TEACHERS_LOSSES) == losses.NEEDS_TEACHERS
    assert set(settings.SEARCH_LOSSES) == set(losses.KD_LOSSES) - losses.NEEDS_PEERS
    assert set(settings.REWARDS) == set(reinforce.REWARDS)
    assert settings.PRECISIONS == precision.PRECISIONS
    assert settings.choices.BALANCES == imbalance.BALANCES
    assert tuple(views.BASES) == settings.AUGMENTATIONS
    assert tuple(views.OPERATIONS) == settings.choices.AUGMENTATION_OPS
    assert settings.ALL_AUGMENTATION_OPS == views.ALL_OPERATIONS
    assert settings.MOST_MAGNITUDE == views.LARGEST_MAGNITUDE
    # Costs, figures and tests list operations in this order.
    assert tuple(OPS) == settings.OPS


@pytest.mark.parametrize("strategy", sorted(set(search.STRATEGIES) - {"darts"}))
def test_second_order_is_of_darts_alone(strategy):
    assert settings.Settings(workdir="a", strategy="darts", unrolled=True).unrolled
    with pytest.raises(errors.UserError, match=rf"^--unrolled requires --strategy=darts \(got {strategy}\)"):
        settings.Settings(workdir="a", strategy=strategy, unrolled=True)


@pytest.mark.parametrize("loss", sorted(losses.KD_LOSSES))
def test_assistants_need_a_loss_that_hears_teachers(loss):
    arguments = {"workdir": "a", "assistant": ("resnet14", "resnet8"), "train_loss": loss}
    if loss in losses.NEEDS_TEACHERS:
        assert settings.Settings(**arguments).assistant == ("resnet14", "resnet8")
    else:
        message = (
            f"^--assistant: .* --train_loss={loss} hears none; train with one of mean, .*leave --assistant"
        )
        with pytest.raises(errors.UserError, match=message):
            settings.Settings(**arguments)


def test_a_student_s_loss_may_be_left_to_student_trainings():
    chosen = settings.Settings(workdir="a", train_loss="auto", search_loss="ce", none_right="both")
    assert chosen.train_losses == settings.AUTO_LOSSES
    assert settings.AUTO_LOSSES[0] == "ce"
    assert set(settings.AUTO_LOSSES) <= set(settings.SEARCH_LOSSES)
    assert settings.Settings(workdir="a", train_loss="mean").train_losses == ("mean",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_loss": "auto"}, "^--search_loss: auto is for --train_loss only, .* give one of ce, mean, "),
        (
            {"train_loss": "auto", "assistant": ("resnet14",)},
            "^--assistant: is taught by --train_loss before auto can choose one; name a loss .* leave",
        ),
        ({"train_loss": "auto", "kd_weight": 0.0}, "^--kd_weight, --ce_weight: both are 0"),
    ],
)
def test_a_loss_that_is_left_open_is_refused_where_it_must_be_known(changes, message):
    with pytest.raises(errors.UserError, match=message):
        settings.Settings(workdir="a", **changes)


@pytest.mark.parametrize("loss", sorted(losses.NEEDS_PEERS))
def test_a_loss_of_peers_trains_students_and_no_search(loss):
    assert settings.Settings(workdir="a", train_loss=loss).train_loss == loss
    message = (
        f"^--search_loss: {loss} needs two students .* give it as --train_loss, and here one of ce, mean"
    )
    with pytest.raises(errors.UserError, match=message):
        settings.Settings(workdir="a", search_loss=loss)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "dart"}, "^--strategy: unknown name 'dart'; did you mean darts"),
        ({"precision": "bfloat61"}, "^--precision: unknown name 'bfloat61'; did you mean bfloat16"),
        ({"balance": "weight"}, "^--balance: unknown name 'weight'; did you mean weights"),
        (
            {"augmentation": ("crop_flop",)},
            "^--augmentation: unknown name 'crop_flop'; did you mean crop_flip",
        ),
        ({"augmentation": ("rotate",)}, "^--augmentation: rotate does not begin with the one of crop_flip, "),
        ({"augmentation": ("rotate", "crop")}, "^--augmentation: rotate,crop does not begin with "),
        ({"augmentation": ("crop", "flip")}, "^--augmentation: crop,flip does not begin with .* no other"),
        ({"augmentation": ("crop", "rotate", "rotate")}, "^--augmentation: .* names an operation twice"),
        (
            {"augmentation": ("crop", "randaugment", "rotate")},
            "^--augmentation: .*randaugment is all of them",
        ),
        (
            {"augmentation": ("flip",), "crop_padding": 2},
            "^--crop_padding: --augmentation=flip crops nothing",
        ),
        ({"augmentation_ops": 5}, "^--augmentation_ops: 5 is too large; at most 4"),
        ({"augmentation_magnitude": 31}, "^--augmentation_magnitude: 31 is too large; at most 30"),
        ({"none_right": "labels"}, "^--none_right: unknown name 'labels'; did you mean label"),
        ({"reward": "los"}, "^--reward: unknown name 'los'; did you mean loss"),
        ({"search_loss": "orcale"}, "^--search_loss: unknown name 'orcale'; did you mean oracle"),
        ({"train_loss": "oracle-dkd"}, "^--train_loss: unknown name 'oracle-dkd'; did you mean oracle_dkd"),
        ({"ops": ("conv_3x3", "conv3x3")}, "^--ops: unknown name 'conv3x3'; did you mean conv_3x3"),
        ({"ops": ()}, "^--ops: none given; name some of identity,conv_3x3,"),
        ({"ops": ("identity", "conv_3x3", "identity")}, "^--ops: .* names one twice"),
    ],
)
def test_names_that_there_are_not_are_refused_by_their_flag(changes, message):
    with pytest.raises(errors.UserError, match=message):
        settings.Settings(workdir="a", **changes)


def test_some_operations_in_any_order_are_accepted():
    assert settings.Settings(workdir="a", ops=("max_pool_3x3", "identity")).ops == (
        "max_pool_3x3",
        "identity",
    )


def test_a_name_that_ends_in_a_space_is_refused_since_flag_files_do_not_keep_it():
    with pytest.raises(errors.UserError, match=r"^--workdir: 'runs/first ' ends in a space"):
        settings.Settings(workdir="runs/first ")
    with pytest.raises(errors.UserError, match=r"^--teachers: 'b "):
        settings.Settings(workdir="runs/first", teachers=("a", "b "))


@pytest.mark.parametrize("name", ["efficientnet_b0", "EfficientNet-B0", "mobilenet_v3_small", "resnet50"])
@pytest.mark.parametrize("flag", ["backbone", "teacher_backbones"])
def test_a_network_of_keras_is_suggested_by_any_spelling(flag, name):
    meant = {
        "efficientnetb0": "EfficientNetB0",
        "mobilenetv3small": "MobileNetV3Small",
        "resnet50": "ResNet50",
    }
    meant = meant[name.lower().replace("_", "").replace("-", "")]
    with pytest.raises(errors.UserError, match=rf"did you mean applications:{meant}\?$"):
        settings.Settings(workdir="a", **{flag: name if flag == "backbone" else (name,)})


def test_a_folder_or_a_file_of_arrays_for_a_dataset_is_said_to_be_one(tmp_path):
    with pytest.raises(errors.UserError, match=f"give --dataset=folder and --data_dir={tmp_path}$"):
        settings.Settings(workdir="a", dataset=str(tmp_path))
    with pytest.raises(errors.UserError, match=r"give --dataset=npz:a\.npz$"):
        settings.Settings(workdir="a", dataset="a.npz")


def test_no_stage_at_all_is_refused():
    with pytest.raises(errors.UserError, match=r"^--stages: none given; name some of teachers,bank,"):
        settings.Settings(workdir="a", stages=())


def test_an_unknown_stage_is_refused_with_the_nearest_name():
    with pytest.raises(errors.UserError, match=r"^--stages: unknown name 'serach'; did you mean search"):
        settings.Settings(workdir="a", stages=("teachers", "serach"))


def _parsed(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.startswith("--") for line in lines)
    return dict(line[2:].split("=", 1) for line in lines)


def test_a_flagfile_says_every_setting_but_those_of_one_call():
    chosen = settings.Settings(
        workdir="runs/a",
        seed=4,
        baseline=False,
        teachers=("a.keras", "b.keras"),
        learning_rate=0.05,
        views=8,
        redo=True,
        student="mine.keras",
        stages=("search",),
        download=True,
    )
    said = _parsed(settings.flagfile(chosen))
    assert set(settings.FIELDS) - set(said) == {
        *("stages", "redo", "download", "student", "check_bank", "join"),
    }
    assert set(said) < set(settings.FIELDS)
    given = {
        "workdir": "runs/a",
        "seed": "4",
        "baseline": "false",
        "teachers": "a.keras,b.keras",
        "learning_rate": "0.05",
        "views": "8",
    }
    # What was not given stands there too: another version's defaults do not change the run.
    defaults = {"arch": "", "distribution": "none", "weight_decay": "0.0005", "strategy": "darts"}
    for name, value in {**given, **defaults}.items():
        assert said[name] == value


def test_settings_are_values():
    chosen = settings.Settings(workdir="a")
    assert dataclasses.replace(chosen, seed=1) == settings.Settings(workdir="a", seed=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        chosen.seed = 2


def test_a_single_fold_is_refused():
    with pytest.raises(errors.UserError, match=r"^--teacher_folds: 1 part is all examples"):
        settings.Settings(workdir="a", teacher_folds=1)


def test_hearing_held_out_teachers_only_needs_folds_or_teachers_of_one_s_own():
    with pytest.raises(errors.UserError, match=r"^--held_out_only: all teachers train on all examples"):
        settings.Settings(workdir="a", held_out_only=True)
    assert settings.Settings(workdir="a", held_out_only=True, teacher_folds=2).held_out_only
    assert settings.Settings(workdir="a", held_out_only=True, teachers=("mine",)).held_out_only


def test_teachers_are_of_the_named_networks_in_turn():
    def networks(**changes):
        chosen = settings.Settings(workdir="a", **changes)
        return [chosen.teacher_network(index) for index in range(chosen.num_teachers)]

    assert networks(num_teachers=2, teacher_backbone="vgg8") == ["vgg8", "vgg8"]
    several = ("resnet32", "wrn16_2", "vgg8")
    assert networks(num_teachers=3, teacher_backbones=several) == list(several)
    assert networks(num_teachers=5, teacher_backbones=several) == [*several, "resnet32", "wrn16_2"]


def test_more_networks_than_teachers_are_refused():
    several = ("resnet8", "wrn16_1", "vgg8")
    with pytest.raises(
        errors.UserError,
        match=r"^--teacher_backbones: resnet8,wrn16_1,vgg8 are networks of 3 teachers, and --num_teachers=2;",
    ):
        settings.Settings(workdir="a", num_teachers=2, teacher_backbones=several)
    # Those that are given are of the networks that they are of.
    settings.Settings(workdir="a", num_teachers=2, teacher_backbones=several, teachers=("mine.keras",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"backbone": "applications:MobilNetV2"},
            "--backbone, of applications: unknown name 'MobilNetV2'; did you",
        ),
        ({"teacher_backbone": "applications:resnet50"}, "--teacher_backbone, of applications: unknown name"),
        (
            {"backbone": "applications:VGG16", "keep_weights": True},
            "--keep_weights: applications:VGG16 begins wi",
        ),
        (
            {"backbone": "applications:VGG16", "weights": "noisy"},
            "--weights: 'noisy' is not none, imagenet or th",
        ),
        (
            {"weights": "imagenet"},
            "--weights requires a network of keras.applications, and none is one; ask",
        ),
        (
            {"keep_weights": True, "backbone": "a.keras", "warm_rate": 1.5},
            "--warm_rate: 1.5 is too large; at mo",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_network_asked_for_are_refused(given, message):
    with pytest.raises(errors.UserError) as refusal:
        settings.Settings(workdir="a", **given)
    assert str(refusal.value).startswith(message)


def test_weights_of_an_application_are_kept_without_being_asked():
    chosen = settings.Settings(workdir="a", backbone="applications:VGG16", weights="imagenet")
    assert chosen.keeps_weights
    assert not chosen.teachers_keep_weights
    of_teachers = settings.Settings(
        workdir="a", teacher_backbones=("vgg8", "applications:VGG16"), weights="imagenet"
    )
    assert of_teachers.teachers_keep_weights
    assert not of_teachers.keeps_weights


def test_trials_are_counted_from_0_and_one_of_them_is_not_named_beside():
    assert settings.Settings(workdir="a").trials == 1
    with pytest.raises(errors.UserError, match=r"^--trial: 2 is one trial, and --trials=3 counts them from"):
        settings.Settings(workdir="a", trial=2, trials=3)
    with pytest.raises(errors.UserError, match=r"^--trials: 0 is too small; at least 1"):
        settings.Settings(workdir="a", trials=0)
