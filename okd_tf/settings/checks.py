"""Checks of settings that need no data and no TensorFlow."""

import dataclasses
import math
import os
from collections.abc import Iterable
from typing import Any

from okd_tf import errors, sources
from okd_tf.settings import budgets, choices, finals


def check(settings: Any) -> None:
    """Raise UserError, naming a flag, unless the `Settings` can be used."""
    _check_fields(settings)
    _check_names(settings)
    _check_data(settings)
    _check_augmentation(settings)
    _check_mixing(settings)
    _check_training(settings)
    _check_effort(settings)
    _check_recipe(settings)
    _check_weights(settings)
    budgets.check(settings)
    finals.check(settings)


def _check_fields(settings: Any) -> None:
    for field in dataclasses.fields(settings):
        value, minimum = getattr(settings, field.name), field.metadata["minimum"]
        for text in value if isinstance(value, tuple) else [value]:
            # flags.cfg has one flag a line, as UTF-8.
            if isinstance(text, str) and errors.one_line(text) != text:
                raise errors.UserError(
                    f"--{field.name}: {text} has control characters, or is not UTF-8; use another name"
                )
            if isinstance(text, str) and text != text.rstrip():
                raise errors.UserError(
                    f"--{field.name}: '{text}' ends in a space, which flag files do not keep; use another "
                    "name"
                )
        if isinstance(value, int) and value > choices.MOST:
            raise errors.UserError(f"--{field.name}: {str(value)[:30]} is too large; at most {choices.MOST}")
        if minimum is None:
            continue
        if not math.isfinite(value):
            raise errors.UserError(f"--{field.name}: {value} is not a finite number; give one")
        if value < minimum:
            raise errors.UserError(f"--{field.name}: {value} is too small; at least {minimum}")


def _check_names(settings: Any) -> None:
    if settings.search_loss == choices.AUTO:
        raise errors.UserError(
            f"--search_loss: {choices.AUTO} is for --train_loss only, since students can be trained and "
            f"compared; give one of {', '.join(choices.SEARCH_LOSSES)}"
        )
    if settings.search_loss in choices.LOSSES and settings.search_loss not in choices.SEARCH_LOSSES:
        raise errors.UserError(
            f"--search_loss: {settings.search_loss} needs two students that train together, and a search has "
            f"one network; give it as --train_loss, and here one of {', '.join(choices.SEARCH_LOSSES)}"
        )
    for flag, names, valid in (
        ("--stages", settings.stages, choices.STAGES),
        ("--ops", settings.ops, choices.OPS),
        ("--strategy", [settings.strategy], (*choices.STRATEGIES, choices.NO_SEARCH)),
        ("--search_loss", [settings.search_loss], choices.SEARCH_LOSSES),
        ("--train_loss", [settings.train_loss], choices.TRAIN_LOSSES),
        ("--none_right", [settings.none_right], choices.NONE_RIGHT),
        ("--reward", [settings.reward], choices.REWARDS),
        ("--balance", [settings.balance], choices.BALANCES),
        ("--precision", [settings.precision], choices.PRECISIONS),
        ("--mix", {settings.mix} - {choices.OPEN["mix"]}, choices.MIXES),
        ("--teacher_mix", {settings.teacher_mix} - {choices.OPEN["teacher_mix"]}, choices.MIXES),
        ("--resize", [settings.resize], choices.RESIZE),
        ("--schedule", [settings.schedule], choices.SCHEDULES),
        ("--effort", [settings.effort], choices.EFFORTS),
        ("--keep", [settings.keep], choices.KEEP),
        ("--opponents", [settings.opponents], choices.OPPONENTS),
        ("--export_formats", settings.export_formats, choices.EXPORT_FORMATS),
        ("--assistant", settings.assistant, choices.BACKBONES),
    ):
        for name in names:
            if name not in valid:
                raise errors.unknown(flag, name, valid)
    for flag, name in (
        ("--teacher_backbone", settings.teacher_backbone),
        *(("--teacher_backbones", name) for name in settings.teacher_backbones),
        ("--backbone", settings.backbone),
    ):
        if name and (flag != "--backbone" or not name.endswith(choices.NETWORK_SUFFIX)):
            _check_network(flag, name)


def refuse_student(settings: Any, names: Iterable[str]) -> None:
    """Raise UserError if --student names a finished network and some of these stages do not accept one."""
    if settings.student and not set(names) <= {"evaluate", "export", "report"}:
        raise errors.UserError(
            "--student: names a finished network, which tools/evaluate.py and tools/export.py take; "
            "leave it out here"
        )


def _check_network(flag: str, name: str) -> None:
    if name.startswith(choices.APPLICATION_PREFIX):
        own = name.removeprefix(choices.APPLICATION_PREFIX)
        if own not in choices.APPLICATIONS:
            raise errors.unknown(f"{flag}, of applications", own, choices.APPLICATIONS)
    elif name not in choices.BACKBONES:
        meant = [one for one in choices.APPLICATIONS if _plain(one) == _plain(name)]
        if meant:
            raise errors.UserError(
                f"{flag}: unknown name '{name}'; did you mean {choices.APPLICATION_PREFIX}{meant[0]}?"
            )
        if os.path.exists(os.path.expanduser(name)) and flag == "--backbone":
            what = "is a folder" if os.path.isdir(os.path.expanduser(name)) else "is no network"
            raise errors.UserError(
                f"{flag}: {name} {what}; a backbone is a {choices.NETWORK_SUFFIX} file, as "
                f"model.save('mine{choices.NETWORK_SUFFIX}') writes it: its layers are taken, which a "
                "SavedModel or weights alone do not have"
            )
        unknown = errors.unknown(flag, name, choices.BACKBONES)
        file = f", or the path of a {choices.NETWORK_SUFFIX} file" if flag == "--backbone" else ""
        raise errors.UserError(
            f"{unknown}; or give one of keras.applications, as {choices.APPLICATION_PREFIX}MobileNetV2{file}"
        )


def _plain(name: str) -> str:
    """Return a normalised name: spellings such as efficientnet_b0 and EfficientNetB0 become equal."""
    return name.lower().replace("_", "").replace("-", "")


def _check_data(settings: Any) -> None:
    # One may say what it is of after a colon.
    kind = settings.dataset.partition(":")[0]
    if kind not in choices.DATASETS:
        if os.path.isdir(os.path.expanduser(settings.dataset)):
            raise errors.UserError(
                f"--dataset: {settings.dataset} is a folder; give --dataset=folder and "
                f"--data_dir={settings.dataset}"
            )
        if settings.dataset.endswith(".npz"):
            raise errors.UserError(
                f"--dataset: {settings.dataset} is a file of arrays; give --dataset=npz:{settings.dataset}"
            )
        raise errors.unknown("--dataset", kind, sources.KINDS)
    if settings.channels not in (0, 1, 3):
        raise errors.UserError(
            f"--channels: {settings.channels} is not 0, 1 (grey) or 3 (RGB); give one of these"
        )
    size, _ = settings.size, settings.statistics
    if settings.resize != choices.RESIZE[0] and not size:
        raise errors.UserError(
            f"--resize: {settings.resize} is how images come to a size, and none is given; add --image_size, "
            "or leave it out"
        )


def _check_augmentation(settings: Any) -> None:
    names, ops = settings.augmentation, (*choices.AUGMENTATION_OPS, choices.ALL_AUGMENTATION_OPS)
    for name in names:
        if name not in (*choices.AUGMENTATIONS, *ops):
            raise errors.unknown("--augmentation", name, (*choices.AUGMENTATIONS, *ops))
    given, bases = ",".join(names), [name for name in names if name in choices.AUGMENTATIONS]
    if names and (len(bases) != 1 or names[0] not in choices.AUGMENTATIONS):
        raise errors.UserError(
            f"--augmentation: {given} does not begin with the one of {', '.join(choices.AUGMENTATIONS)} that "
            "all else is applied after; put one there, and no other"
        )
    if len(set(names)) < len(names) or (choices.ALL_AUGMENTATION_OPS in names and len(names) > 2):
        raise errors.UserError(
            f"--augmentation: {given} names an operation twice ({choices.ALL_AUGMENTATION_OPS} is all of "
            "them); name each once"
        )
    if settings.crop_padding >= 0 and bases and "crop" not in bases[0]:
        raise errors.UserError(
            f"--crop_padding: --augmentation={given} crops nothing; leave one of the two out"
        )
    number, magnitude = settings.augmentation_ops, settings.augmentation_magnitude
    for flag, value, usual, most in (
        ("--augmentation_ops", number, choices.USUAL_AUGMENTATION_OPS, choices.MOST_AUGMENTATION_OPS),
        ("--augmentation_magnitude", magnitude, choices.USUAL_MAGNITUDE, choices.MOST_MAGNITUDE),
    ):
        if value > most:
            raise errors.UserError(f"{flag}: {value} is too large; at most {most}")
        if value != usual and len(names) < 2:
            raise errors.UserError(
                f"{flag} requires operations, and --augmentation names none; name some, as in "
                f"--augmentation=crop_flip,{choices.ALL_AUGMENTATION_OPS}, or leave it out"
            )


def _check_mixing(settings: Any) -> None:
    if settings.mix_probability > 1:
        raise errors.UserError(f"--mix_probability: {settings.mix_probability} is too large; at most 1")
    check_mix_probability(settings.mix_probability, {settings.mix, settings.teacher_mix})
    if settings.teacher_mix not in ("none", choices.OPEN["teacher_mix"]) and settings.teachers:
        raise errors.UserError(
            f"--teacher_mix: {settings.teacher_mix} given, and --teachers are not trained here; leave one "
            "of the two out"
        )


def check_mix_probability(probability: float, mixes: set[str]) -> None:
    """Raise UserError if a probability is given but none of these settings mixes views."""
    if probability != choices.USUAL_MIX_PROBABILITY and mixes == {"none"}:
        raise errors.UserError(
            f"--mix_probability: {probability} given, and nothing is mixed; add --mix=cutmix, or leave it out"
        )


def _check_training(settings: Any) -> None:
    if settings.ce_weight > 1:
        raise errors.UserError(f"--ce_weight: {settings.ce_weight} is too large; at most 1")
    chosen = (settings.search_loss, settings.train_loss)
    possible = {settings.search_loss, *settings.train_losses}
    if settings.kd_weight == settings.ce_weight == 0 and possible & set(choices.TEACHERS_LOSSES):
        raise errors.UserError("--kd_weight, --ce_weight: both are 0, which teaches nothing; raise one")
    if settings.none_right != choices.NONE_RIGHT[0] and not possible & set(choices.GATED_LOSSES):
        raise errors.UserError(
            f"--none_right: {settings.none_right} requires a loss that chooses the right teachers, "
            f"{', '.join(choices.GATED_LOSSES)}, and --search_loss={chosen[0]}, --train_loss={chosen[1]} do "
            "not; take one of these, or leave it out"
        )
    if settings.assistant and settings.train_loss == choices.AUTO:
        raise errors.UserError(
            f"--assistant: is taught by --train_loss before {choices.AUTO} can choose one; name a loss that "
            f"has teachers, one of {', '.join(choices.TEACHERS_LOSSES)}, or leave --assistant out"
        )
    if settings.assistant and settings.train_loss not in choices.TEACHERS_LOSSES:
        raise errors.UserError(
            f"--assistant: passes on what teachers say, and --train_loss={settings.train_loss} hears none; "
            f"train with one of {', '.join(choices.TEACHERS_LOSSES)}, or leave --assistant out"
        )
    if settings.dkd_alpha == settings.dkd_beta == 0:
        raise errors.UserError("--dkd_alpha, --dkd_beta: both are 0, which teaches nothing; raise one")
    if settings.teacher_folds == 1:
        raise errors.UserError(
            "--teacher_folds: 1 part is all examples, which leaves none to train on; at least 2, or 0"
        )
    if len(settings.teacher_backbones) > settings.num_teachers and not settings.teachers:
        raise errors.UserError(
            f"--teacher_backbones: {','.join(settings.teacher_backbones)} are networks of "
            f"{len(settings.teacher_backbones)} teachers, and --num_teachers={settings.num_teachers}; raise "
            "that, or name fewer"
        )
    if settings.held_out_only and not settings.teacher_folds and not settings.teachers:
        raise errors.UserError(
            "--held_out_only: all teachers train on all examples; add --teacher_folds, or leave it out"
        )
    if not settings.ops:
        raise errors.UserError(f"--ops: none given; name some of {','.join(choices.OPS)}")
    if len(set(settings.ops)) < len(settings.ops):
        raise errors.UserError(f"--ops: {','.join(settings.ops)} names one twice; name each once")
    if not settings.stages:
        raise errors.UserError(f"--stages: none given; name some of {','.join(choices.STAGES)}")
    if settings.trial and settings.trials > 1:
        raise errors.UserError(
            f"--trial: {settings.trial} is one trial, and --trials={settings.trials} counts them from 0; "
            "leave one of the two out"
        )
    if not settings.workdir:
        raise errors.UserError("--workdir: give the folder of this run, for example --workdir=runs/first")
    if settings.unrolled and settings.strategy != "darts":
        raise errors.UserError(
            f"--unrolled requires --strategy=darts (got {settings.strategy}); leave one of the two out"
        )
    drops_asked = settings.drops
    if settings.schedule != "step" and drops_asked != choices.DROPS:
        raise errors.UserError(
            f"--schedule_steps requires --schedule=step (got {settings.schedule}); leave one of the two out"
        )
    learns = settings.strategy not in ("random", choices.NO_SEARCH)
    told = settings.search_epochs != choices.OPEN["search_epochs"]
    if learns and told and settings.search_warmup_epochs >= settings.search_epochs:
        raise errors.UserError(
            f"--search_warmup_epochs: {settings.search_warmup_epochs} leaves nothing of --search_epochs="
            f"{settings.search_epochs} to learn an architecture in; use fewer"
        )


def _check_effort(settings: Any) -> None:
    """Raise UserError if another effort than the default is given and no setting is left open for it."""
    decided = [
        *([] if settings.teachers else ["teacher_epochs"]),
        *(["search_epochs"] if settings.searches else []),
        *(["assistant_epochs"] if settings.assistant else []),
        "student_epochs",
    ]
    given = [f"--{name}" for name in decided if getattr(settings, name) != choices.OPEN[name]]
    if settings.effort != choices.EFFORT and len(given) == len(decided):
        raise errors.UserError(
            f"--effort: {settings.effort} decides how many epochs networks are trained, and "
            f"{', '.join(given)} say so already; leave --effort out, or one of these"
        )


def _check_recipe(settings: Any) -> None:
    for name in ("momentum", "label_smoothing", "teacher_label_smoothing"):
        if getattr(settings, name) >= 1:
            raise errors.UserError(f"--{name}: {getattr(settings, name)} is too large; give less than 1")
    for role in sorted(set(choices.ROLES.values())):
        for name in ("learning_rate", "weight_decay"):
            value = getattr(settings, f"{role}_{name}")
            if value < 0 and value != -1:
                raise errors.UserError(
                    f"--{role}_{name}: {value} is too small; at least 0, or -1 for that of --{name}"
                )
    if settings.teacher_label_smoothing and settings.teachers:
        raise errors.UserError(
            "--teacher_label_smoothing requires teachers that are trained, and --teachers gives them; leave "
            "one of the two out"
        )
    learnt = {*settings.train_losses, *([settings.search_loss] if settings.searches else [])}
    from_labels = settings.baseline or settings.opponents == choices.OPPONENTS[2] or "ce" in learnt
    if settings.label_smoothing and not from_labels:
        raise errors.UserError(
            "--label_smoothing requires a training whose loss is ce, and there is none with --nobaseline and "
            f"--opponents={settings.opponents}; leave it out, or train the baseline"
        )
    if settings.average_decay != -1:
        if not 0 < settings.average_decay < 1:
            raise errors.UserError(
                f"--average_decay: {settings.average_decay} is not between 0 and 1; give such a number, or "
                "-1 for one that follows from the length of a training"
            )
        if settings.keep != "average":
            raise errors.UserError(
                f"--average_decay requires --keep=average (got {settings.keep}); leave one of the two out"
            )


def _check_weights(settings: Any) -> None:
    application = settings.backbone.startswith(choices.APPLICATION_PREFIX)
    asked = [settings.backbone, settings.teacher_backbone, *settings.teacher_backbones]
    if settings.weights not in (choices.NO_WEIGHTS, choices.IMAGENET) and not settings.weights.endswith(
        choices.WEIGHTS_SUFFIXES
    ):
        raise errors.UserError(
            f"--weights: '{settings.weights}' is not {choices.NO_WEIGHTS}, {choices.IMAGENET} or the path of "
            "a .weights.h5, .h5 or .keras file; give one of these"
        )
    if settings.weights != choices.NO_WEIGHTS and not any(
        name.startswith(choices.APPLICATION_PREFIX) for name in asked
    ):
        raise errors.UserError(
            "--weights requires a network of keras.applications, and none is one; ask for one, as "
            "--backbone=applications:MobileNetV2, or keep a file's by --keep_weights"
        )
    if settings.keep_weights and application and settings.weights == choices.NO_WEIGHTS:
        raise errors.UserError(
            f"--keep_weights: {settings.backbone} begins with no weights; add --weights=imagenet or "
            "--weights=FILE, or leave it out"
        )
    if settings.keep_weights and not application and not settings.backbone.endswith(choices.NETWORK_SUFFIX):
        raise errors.UserError(
            f"--keep_weights: {settings.backbone or 'the backbone'} is built here and has no weights to "
            "keep; give a network that is trained, as --backbone=FILE.keras, or leave it out"
        )
    if settings.warm_rate > 1:
        raise errors.UserError(f"--warm_rate: {settings.warm_rate} is too large; at most 1")
    for flag, given in (
        ("--warm_rate", settings.warm_rate != 1),
        ("--frozen_epochs", settings.frozen_epochs),
    ):
        if given and not (settings.keeps_weights or settings.teachers_keep_weights or settings.arch):
            raise errors.UserError(
                f"{flag} requires layers that keep their weights, and none do; add --keep_weights and "
                "--backbone=FILE.keras, or leave it out"
            )


def size(image_size: str) -> tuple[int, int] | None:
    """Return the (height, width) of a text such as 64 or 48x64; None for an empty one."""
    if not image_size:
        return None
    height, both, width = image_size.partition("x")
    try:
        size = int(height), int(width if both else height)
    except ValueError:
        size = 0, 0
    if not 1 <= min(size) <= max(size) <= choices.LARGEST_IMAGE:
        raise errors.UserError(
            f"--image_size: '{image_size[:40]}' is not a size of 1 to {choices.LARGEST_IMAGE} pixels; give "
            "one as 64, or as 48x64 for 48 rows of 64"
        )
    return size


def drops(schedule_steps: tuple[str, ...]) -> tuple[float, ...]:
    """Return the shares of a training at which the learning rate drops, from texts."""
    shares = _numbers("schedule_steps", schedule_steps)
    if list(shares) != sorted(set(shares)) or not all(0 < share < 1 for share in shares):
        raise errors.UserError(
            f"--schedule_steps: {','.join(schedule_steps)[:60]} are not shares of a training, ascending and "
            "between 0 and 1; give them as 0.5,0.75"
        )
    return shares


def statistics(
    pixel_mean: tuple[str, ...], pixel_std: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the mean and standard deviation of each channel, from texts; None for empty ones."""
    if not pixel_mean and not pixel_std:
        return None
    mean, std = _numbers("pixel_mean", pixel_mean), _numbers("pixel_std", pixel_std)
    if len(mean) != len(std):
        raise errors.UserError(
            f"--pixel_mean, --pixel_std: {len(mean)} and {len(std)} numbers; give one of each "
            "for each channel"
        )
    if min(std) <= 0:
        raise errors.UserError(f"--pixel_std: {min(std)} is too small; each is divided by, and more than 0")
    return mean, std


def _numbers(name: str, texts: tuple[str, ...]) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, texts))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise errors.UserError(f"--{name}: '{','.join(texts)[:60]}' are not all numbers; mend it")
    return numbers
