"""What a doubted network may need: other pixel values, channels or order of classes, tried on the spot.

A network that was trained on values from 0 to 1 and is shown 0 to 255 looks as one that knows nothing. What
people train on is one of few things, so that each can be tried on some labelled images.
"""

import dataclasses
import json

import numpy as np

from okd_tf import errors
from okd_tf.data import splits
from okd_tf.teachers import doubts, manifest, teacher
from okd_tf.training import inference

LOOKED_AT = 512  # validation images
GAIN = 0.1  # in accuracy, below which nothing is advised
MORE = 0.02  # in accuracy, that what is less simple must bring
NAMED = 30  # classes whose order is written out

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# What `keras.applications` and most tutorials do to pixels, but for leaving them as they are.
WAYS = (
    {},  # the classes alone
    {"value_range": (0.0, 1.0)},
    {"value_range": (-1.0, 1.0)},
    {"value_range": (0.0, 1.0), **_IMAGENET},
    {"mean": (103.939, 116.779, 123.68), "channel_order": manifest.BGR},
    {"channel_order": manifest.BGR},
    {"value_range": (0.0, 1.0), "channel_order": manifest.BGR},
    {"value_range": (-1.0, 1.0), "channel_order": manifest.BGR},
)


def advice(one: teacher.Teacher, data: splits.Splits, path) -> str:
    """What to declare of a network for it to be far more accurate, as the end of a sentence; "" if nothing.

    Args:
        one: a network that there is reason to doubt.
        data: the dataset; some validation images decide.
        path: the network's file, beside which it is to be declared.
    """
    rows = np.unique(np.linspace(0, len(data.val) - 1, LOOKED_AT).astype(int))
    images, labels = data.val.images[rows], data.val.labels[rows]
    before = float(np.mean(_predictions(one, images) == labels))
    best, chosen = before, None
    for way in WAYS:
        declared = _declared(one, way, data)
        accuracy, order = _accuracy(declared, images, labels, data) if declared else (0.0, None)
        if accuracy > best + (MORE if chosen else GAIN):
            names = () if order is None else tuple(data.class_names[each] for each in order)
            best, chosen = accuracy, {**way, **({"class_names": names} if names else {})}
    if not chosen:
        return ""
    if len(chosen.get("class_names", ())) > NAMED:
        del chosen["class_names"]
    said = json.dumps({key: _plain(value) for key, value in chosen.items()})[1:-1]
    return f"with {said} in {manifest.path(path)} it is right on {100 * best:.1f} %" if said else ""


def _declared(one, way, data):
    """The network with more declared of it; None if that cannot be, or is declared already."""
    if any(getattr(one.manifest, key) != getattr(manifest.Manifest(), key) for key in way):
        return None
    if data.image_shape[2] != 3 and {"mean", "channel_order"} & set(way):
        return None
    try:
        return teacher.Teacher(one.path, one.network, dataclasses.replace(one.manifest, **way), data)
    except errors.UserError:
        return None


def _accuracy(one, images, labels, data):
    """(accuracy, None), or (accuracy, order of the classes) if they are in another and none is declared."""
    predictions = _predictions(one, images)
    reordered = 0.0
    if not one.manifest.class_names:
        reordered = doubts.in_another_order(predictions, labels, data.classes)
    if reordered:
        return reordered, doubts.best_order(predictions, labels, data.classes)
    if doubts.at_chance(predictions, labels):
        return 0.0, None
    return float(np.mean(predictions == labels)), None


def _predictions(one, images):
    return inference.Predictor(one, image_shape=one.image_shape).logits(images).argmax(axis=-1)


def _plain(value):
    """A declaration as JSON has it, whole numbers without a point."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
