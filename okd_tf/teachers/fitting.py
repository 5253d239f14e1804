"""How a network is fitted to a dataset: size and values of the images, order and kind of the outputs.

What a manifest declares is held against the network's shapes, the dataset, and what the network says of some
images; each refusal names the file to mend.
"""

import json

import numpy as np

from okd_tf import errors
from okd_tf.backbones import ending, keras_file
from okd_tf.sources import layout
from okd_tf.teachers import manifest
from okd_tf.training import inference


def declare(path, key, value):
    """What to do where a declaration is missing."""
    return f'declare "{key}": {json.dumps(value)} in {manifest.path(path)}'


def another_size(path):
    """What to do about a network that cannot take images of the size they are shown to it in."""
    return f'if it takes another size, declare "input_size": [height, width] in {manifest.path(path)}'


def size(path, network, own, data):
    """(height, width) of the images that the network is shown."""
    takes, (*size, channels) = network.takes, data.image_shape
    if mend := keras_file.channels_last(takes, data.image_shape):
        raise errors.UserError(
            f"{path}: takes images of shape {takes}, the dataset's are {data.image_shape}; {mend}"
        )
    if len(takes) != 3 or takes[2] not in (None, channels):
        raise errors.UserError(
            f"{path}: takes images of shape {takes}, the dataset's are {data.image_shape}; use a network for "
            f"images of {channels} channel{'s' * (channels > 1)}"
        )
    wanted = tuple(takes[side] or size[side] for side in (0, 1))
    if own.input_size is None and wanted != tuple(size):
        raise errors.UserError(
            f"{path}: takes images of shape {takes}, the dataset's are {data.image_shape}; to have them "
            f"resized, {declare(path, 'input_size', list(wanted))}"
        )
    shown = own.input_size or tuple(size)
    if any(takes[side] not in (None, shown[side]) for side in (0, 1)):
        raise errors.UserError(
            f"{manifest.path(path)}: input_size: {list(shown)} declared, {path.name} takes images of shape "
            f"{takes}; declare its own size"
        )
    return shown


def scaling(path, network, own, data):
    """(factor, offset), float32 [] or [channels], that pixel values 0..255 are scaled by."""
    factor, offset = declared_scaling(path, own, data.image_shape[2])
    if network.dtype.is_integer and (np.any(factor != 1) or np.any(offset != 0)):
        raise errors.UserError(
            f"{manifest.path(path)}: {path.name} takes pixel values as {network.dtype.name}, which cannot be "
            "scaled; leave value_range, mean and std out"
        )
    return factor.astype(np.float32), offset.astype(np.float32)


def declared_scaling(path, own, channels):
    """(factor, offset), float64 [] or [channels], that a manifest says pixel values 0..255 are scaled by."""
    if own.channel_order == manifest.BGR and channels != 3:
        raise errors.UserError(
            f'{manifest.path(path)}: channel_order: "{manifest.BGR}" needs images of 3 channels, these have '
            f"{channels}; leave it out"
        )
    for key in ("mean", "std"):
        declared = getattr(own, key)
        if declared and len(declared) != channels:
            raise errors.UserError(
                f"{manifest.path(path)}: {key}: expected {channels} numbers, one per channel, "
                f"got {len(declared)}"
            )
    low, high = own.value_range
    mean = np.array(own.mean or 0.0)
    std = np.array(own.std or 1.0)
    return (high - low) / 255 / std, (low - mean) / std


def order(path, network, own, data):
    """Which of its outputs is each class of the dataset, [classes]; None if they are in that order."""
    if network.gives not in (None, data.classes) and not is_single(network.gives, data.classes):
        raise other_classes(path, (network.gives,), data.classes)
    names = tuple(map(layout.known_as, own.class_names))
    wanted = tuple(map(layout.known_as, data.class_names))
    if not names or names == wanted:
        return None
    problems = [
        f"{problem}: {', '.join(wrong[:5])}{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}"
        for problem, wrong in (
            ("missing", [name for name in wanted if name not in names]),
            ("not in the dataset", [name for name in names if name not in wanted]),
            ("named twice", [name for name in dict.fromkeys(names) if names.count(name) > 1]),
        )
        if wrong
    ]
    if problems:
        raise errors.UserError(
            f"{manifest.path(path)}: class_names: {'; '.join(problems)}; name each class of '{data.name}' "
            f"once, in the order of {path.name}'s outputs"
        )
    return [names.index(name) for name in wanted]


def is_single(gives, classes):
    """Return whether a network gives one number for two classes: of the second, as one sigmoid does."""
    return gives == 1 and classes == 2


def kind(path, own, outputs, ends_in=ending.UNKNOWN):
    """What outputs [examples, classes] are, as declared or as they look: `manifest.OUTPUTS`.

    Args:
        path: the network's file, for errors.
        own: its manifest.
        outputs: what it gives; of two classes, one number may be of the second alone.
        ends_in: what its graph ends in, as `ending.of` says it; logits of a network that knows little may
            look as sigmoids do.
    """
    from_zero_to_one = outputs.min() >= 0 and 0 < outputs.max() <= 1
    if outputs.shape[1] == 1:
        return _kind_of_single(path, own, outputs, from_zero_to_one, ends_in)
    looks = manifest.PROBABILITIES if inference.are_probabilities(outputs) else manifest.LOGITS
    if own.outputs == manifest.SIGMOIDS and from_zero_to_one and looks == manifest.LOGITS:
        return manifest.SIGMOIDS
    logits = ends_in == ending.LINEAR or not from_zero_to_one or looks != manifest.LOGITS
    if not own.outputs and not logits:
        raise errors.UserError(
            f"{path}: gives numbers from 0 to 1 whose rows do not sum to one, as sigmoids do; use a network "
            "that ends in a softmax or in logits, or to have them divided by their sum, "
            f"{declare(path, 'outputs', manifest.SIGMOIDS)}, or to take them for logits, "
            f"{declare(path, 'outputs', manifest.LOGITS)}"
        )
    if own.outputs in ("", looks):
        return looks
    seen = (
        "are non-negative and sum to one"
        if looks == manifest.PROBABILITIES
        else f"reach from {outputs.min():.4g} to {outputs.max():.4g} and sum to "
        f"{outputs.sum(axis=1).min():.4g} to {outputs.sum(axis=1).max():.4g}"
    )
    raise errors.UserError(
        f'{manifest.path(path)}: outputs: "{own.outputs}" declared, but the rows that {path.name} gives '
        f'{seen}; declare "{looks}", or leave it out'
    )


def _kind_of_single(path, own, outputs, from_zero_to_one, ends_in):
    """What the one output [examples, 1] of a network of two classes is: a probability, or its logit."""
    if own.outputs == manifest.LOGITS or (not own.outputs and ends_in == ending.LINEAR):
        return manifest.LOGITS
    if from_zero_to_one:
        return manifest.PROBABILITIES
    if not own.outputs:
        return manifest.LOGITS
    raise errors.UserError(
        f'{manifest.path(path)}: outputs: "{own.outputs}" declared, but the numbers that {path.name} gives '
        f'reach from {outputs.min():.4g} to {outputs.max():.4g}; declare "{manifest.LOGITS}", or leave it out'
    )


def other_classes(path, gives, classes):
    """The error for a network that gives, of an image, outputs of another shape than [classes]."""
    what = f"{gives[0]} classes" if len(gives) == 1 else f"outputs of shape {tuple(gives)}"
    return errors.UserError(
        f"{path}: gives {what}, the dataset has {classes} classes; use a network of the same classes"
    )
