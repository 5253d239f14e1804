"""Search for the preprocessing that a network was trained with: pixel range, channel order, class order.

A network that was trained on values from 0 to 1 looks untrained on values from 0 to 255, and one that gets
its channels in the wrong order loses accuracy without a sign. The usual kinds of preprocessing are few, so
that each is tried on some labelled images.
"""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.data import splits
from okd_tf.teachers import doubts, manifest, teacher

LOOKED_AT = 512  # validation images
FIRST = 64  # of those, on which a network that is no worse than it should be is tried first
PROMISING = 0.05  # what it must gain there, in accuracy, to be tried on all
GAIN = 0.1  # in accuracy, below which nothing is advised
MORE = 0.02  # in accuracy, that what is less simple must bring
BATCH = 128  # images that are asked about at once
NAMED = 30  # classes whose order is written out

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_UNDECLARED = {
    key: getattr(manifest.Manifest(), key) for key in ("value_range", "mean", "std", "channel_order")
}
# What `keras.applications` and most tutorials do to pixels, but for leaving them as they are.
WAYS = (
    {},  # as it is declared: the classes alone
    {"value_range": (0.0, 255.0)},  # of what scales them itself
    {"value_range": (0.0, 1.0)},
    {"value_range": (-1.0, 1.0)},
    {"value_range": (0.0, 1.0), **_IMAGENET},
    {"mean": (103.939, 116.779, 123.68), "channel_order": manifest.BGR},
    {"channel_order": manifest.BGR},
    {"value_range": (0.0, 1.0), "channel_order": manifest.BGR},
    {"value_range": (-1.0, 1.0), "channel_order": manifest.BGR},
)


def advice(one: teacher.Teacher, data: splits.Splits, path, doubted=True) -> str:
    """Return the declaration with which a network is far more accurate, as the end of a sentence, or "".

    Args:
        one: a network.
        data: the dataset; some validation images decide.
        path: the network's file, beside which it is to be declared.
        doubted: whether there is reason to doubt it. If so, orders of classes are tried as well, and all of
            it on all images; else what is advised must pass `doubts.far_better`.
    """
    rows = np.unique(np.linspace(0, len(data.val) - 1, LOOKED_AT).astype(int))
    images, labels = data.val.images[rows], data.val.labels[rows]
    ask = _asking(one)
    ways = [way for way in sorted(WAYS, key=lambda way: _changes(one, way)) if _declared(one, way, data)]
    if not doubted:
        some = np.unique(np.linspace(0, len(rows) - 1, FIRST).astype(int))
        ways = _promising(ask, one, ways, images[some], labels[some], data)
        if not ways:
            return ""
    right = ask(one, images) == labels
    best, chosen = float(np.mean(right)), None
    for way in ways:
        declared = _declared(one, way, data)
        predictions = ask(declared, images)
        if doubted:
            accuracy, order = _accuracy(predictions, labels, data)
        else:
            better = doubts.far_better(right, predictions == labels)
            accuracy, order = float(np.mean(predictions == labels)) if better else 0.0, None
        if accuracy > best + (MORE if chosen else GAIN):
            best, chosen = accuracy, dict(way)
            if order is not None:
                classes = order[declared.output_classes(data.classes)]
                chosen["class_names"] = tuple(data.class_names[each] for each in classes)
    if not chosen:
        return ""
    if len(chosen.get("class_names", ())) > NAMED:
        del chosen["class_names"]
    return _said(one, chosen, path, best)


def _promising(ask, one, ways, images, labels, data):
    """Return the ways that gain PROMISING on a few images, so that a right network costs little."""
    before = np.mean(ask(one, images) == labels)
    gains = [np.mean(ask(_declared(one, way, data), images) == labels) - before for way in ways if way]
    return [way for way, gain in zip(filter(None, ways), gains, strict=True) if gain >= PROMISING]


def _said(one, chosen, path, accuracy):
    own, text = manifest.path(path), json.dumps({key: _plain(value) for key, value in chosen.items()})[1:-1]
    if not text:
        return ""
    # A way is all that is declared of pixels.
    other = set(chosen) & set(_UNDECLARED) and any(
        key not in chosen and getattr(one.manifest, key) != undeclared
        for key, undeclared in _UNDECLARED.items()
    )
    place = f"in place of what {own} says of pixels" if other else f"in {own}"
    return f"with {text} {place} it is right on {100 * accuracy:.1f} %"


def _changes(one, way):
    """Return the number of pixel declarations that a way changes."""
    return (
        sum(getattr(one.manifest, key) != value for key, value in {**_UNDECLARED, **way}.items())
        if way
        else 0
    )


def _declared(one, way, data):
    """Return the network with these pixel declarations; None if impossible, or declared already."""
    if data.image_shape[2] != 3 and {"mean", "channel_order"} & set(way):
        return None
    if not way:
        return one
    own = dataclasses.replace(one.manifest, **{**_UNDECLARED, **way})
    if own == one.manifest:
        return None
    try:
        return one.declaring(own, data)
    except errors.UserError:
        return None


def _accuracy(predictions, labels, data):
    """Return (accuracy, None), or (accuracy, true class of each output) if classes are permuted."""
    reordered = doubts.in_another_order(predictions, labels, data.classes)
    if reordered:
        return reordered, doubts.best_order(predictions, labels, data.classes)
    if doubts.at_chance(predictions, labels):
        return 0.0, None
    return float(np.mean(predictions == labels)), None


def _asking(one):
    """Return a function (network, images) -> predicted classes, traced once for all declarations."""
    shape = one.shown(tf.zeros([1, *one.image_shape])).shape[1:]
    images = tf.TensorSpec([None, *shape], one.network.dtype)

    @tf.function(input_signature=[images], jit_compile=False, autograph=False)
    def outputs(images):
        return tf.cast(one.network.call(images), tf.float32)

    forward = outputs.get_concrete_function()

    def classes(declared, images):
        asked = [
            forward(declared.shown(tf.cast(images[start : start + BATCH], tf.float32)))
            for start in range(0, len(images), BATCH)
        ]
        return declared.classes(tf.concat(asked, axis=0))

    return classes


def _plain(value):
    """Return a declaration as a JSON value, with whole numbers as integers."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
