"""What is said before hours are spent of data on which distillation, a choice or a figure can mislead."""

import math

from okd_tf import progress
from okd_tf.pipeline import check
from okd_tf.settings import choices

FEW_OF_A_CLASS = 10  # training images
FEW_TO_CHOOSE_BY = 50  # validation images


def say(context, names):
    """Say what `of` says of the run's data, if some of these stages is to train.

    Args:
        context: the run, checked.
        names: of the stages.
    """
    if not any(check.will_run(context, name, names) for name in choices.TRAINING):
        return
    data = context.data
    found = of(len(data.train), data.classes, len(data.val), context.settings.train_loss)
    for caution in [*found, *duplicates(data)]:
        progress.say(f"warning: {caution}")


def duplicates(data):
    """Return a caution for each pair of splits that share images, pixel by pixel, and so measure memory.

    Args:
        data: `Splits`.
    """
    parts = {"training": data.train, "validation": data.val, "test": data.test}
    # Each is the hash of an image, and all images are read for them: once.
    prints = {name: list(map(bytes, part.fingerprints)) for name, part in parts.items()}
    found = []
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        there = set(prints[one])
        same = [each in there for each in prints[other]]
        if any(same):
            first = parts[other].ids[same.index(True)]
            found.append(
                f"{sum(same):,} of the {len(same):,} {other} images (the first has id {first}) are {one} "
                "images as well, pixel by pixel, so that figures on them are in part of memory; remove "
                "the copies"
            )
    return found


def of(train, classes, val, train_loss):
    """Return the cautions, texts of one line each; none of data that is large enough.

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
