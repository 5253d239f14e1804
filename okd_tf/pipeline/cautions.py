"""Warnings before training about data on which distillation, a choice or a figure can mislead."""

import math

import numpy as np

from okd_tf import errors, fields, json_file, progress
from okd_tf.data import duplicates as copies
from okd_tf.pipeline import check, split_file
from okd_tf.settings import choices

FEW_OF_A_CLASS = 10  # training images
FEW_TO_CHOOSE_BY = 50  # validation images
NAME = "duplicates.json"  # in the workdir
_MEND = "remove the copies, or leave them out by --drop_duplicates"


def say(context, names):
    """Print the warnings about the run's data, if one of these stages is going to train.

    Args:
        context: the run, checked.
        names: names of the stages.
    """
    if not any(check.will_run(context, name, names) for name in choices.TRAINING):
        return
    data = context.data
    found = of(len(data.train), data.classes, len(data.val), context.settings.train_loss)
    for caution in [*found, *known_duplicates(context)]:
        progress.say(f"warning: {caution}")


def known_duplicates(context):
    """Return the warnings of `duplicates`, computed once for each state of the data and kept in the workdir.

    Args:
        context: the run.
    """
    path = context.workdir / NAME
    sha256 = context.split_record["sha256"]
    found = read(path) if path.exists() else None
    if found is None or found["split"] != sha256:
        found = {"split": sha256, "cautions": duplicates(context.data, split_file.namer(context))}
        json_file.write(path, found)
    return found["cautions"]


def read(path):
    """Return the content of a duplicates.json, or None if it is damaged and must be made again.

    Args:
        path: the file.
    """
    try:
        document = fields.read(path)
        document["split"].text()
        for caution in document["cautions"].items():
            caution.text()
    except errors.UserError:
        return None
    return document.value


def duplicates(data, name=None):
    """Return a warning for each pair of splits that share images, exactly or nearly.

    Figures on such a split partly measure memorisation.

    Args:
        data: `Splits`.
        name: function (split, example id) -> name of an image; by default its id.
    """
    name = name or (lambda split, example_id: f"id {example_id}")
    parts = {"training": data.train, "validation": data.val, "test": data.test}
    keys = {"training": "train", "validation": "val", "test": "test"}
    found = []
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        same = copies.exact(parts[other], parts[one])
        nearest = copies.near(parts[other], parts[one])
        near = (nearest >= 0) & ~same
        called = [name(keys[other], each) for each in parts[other].ids[same][: errors.NAMED].tolist()]
        if called:
            found.append(
                f"{same.sum():,} of the {len(same):,} {other} images ({_some(called, same.sum())}) are {one} "
                "images as well, pixel by pixel, so that figures on them are in part of memory; "
                f"{_MEND}"
            )
        pairs = [
            f"{name(keys[other], parts[other].ids[row])} of {name(keys[one], parts[one].ids[nearest[row]])}"
            for row in np.flatnonzero(near)[: errors.NAMED]
        ]
        if pairs:
            found.append(
                f"{near.sum():,} of the {len(near):,} {other} images seem to be near copies of {one} images "
                f"({_some(pairs, near.sum())}): the same picture saved anew, resized or brightened; {_MEND}"
            )
    return found


def _some(names, count):
    """Return the first names, and the number of the others."""
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    return ", ".join(names) + more


def of(train, classes, val, train_loss):
    """Return the warnings about small data, one line each; [] if the data is large enough.

    Args:
        train: number of training images.
        classes: number of classes.
        val: number of validation images.
        train_loss: the setting.
    """
    found = []
    if train < FEW_OF_A_CLASS * classes:
        mend = "add images"
        if train_loss != choices.AUTO:
            mend += f", or let --train_loss={choices.AUTO} try labels alone beside it"
        found.append(
            f"{train:,} training images are {train / classes:.1f} a class: teachers learn so few by heart, "
            "and what they say of them is hardly more than the label, so distillation may gain nothing; "
            f"{mend}"
        )
    if val < FEW_TO_CHOOSE_BY:
        error = 100 * 0.5 / math.sqrt(val)
        found.append(
            f"{val:,} validation images: an accuracy on them is uncertain by up to {error:.0f} points (one "
            "standard error), and so is all that is chosen by it; raise --val_examples or add images"
        )
    return found
