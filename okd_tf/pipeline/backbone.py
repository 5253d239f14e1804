"""The bare backbone of a run: built by its name or read from a file, with its weights or without."""

import pathlib

import keras

from okd_tf import backbones, errors, fields, progress, seeds, settings
from okd_tf.backbones import application_weights, applications, attach, prepare, pretrained, stored
from okd_tf.teachers import fitting, manifest

WARM = ("warm_rate", "frozen_epochs")  # the settings that say how weights that are kept move
_SCALING = {"value_range", "mean", "std"}  # what is declared of it


def of(chosen, data):
    """Return the backbone with the requested attach points, and the names of its new layers.

    Args:
        chosen: the settings.
        data: `Splits`.

    Returns:
        A `Backbone`, and the names of its layers that do not keep weights; None if no layer keeps any.

    Raises:
        UserError: the backbone cannot be read, or does not accept such images.
    """
    if not backbones.is_stored(chosen.backbone):
        arguments = (data.image_shape, data.classes, data.mean, data.std)
        built = backbones.build(chosen.backbone, chosen.backbone_width, *arguments)
        if not chosen.attach_after:
            return built, None
        points = attach.select(built.model, chosen.attach_after, chosen.backbone)
        return backbones.Backbone(built.model, points), None
    # Initial weights that are not kept mean nothing, but a file has them: the same bytes whenever it is read.
    keras.utils.set_random_seed(seeds.derive(chosen.seed, "backbone"))
    application = applications.is_application(chosen.backbone)
    model, new = (_application if application else _from_file)(chosen, data)
    points, pattern = (), chosen.attach_after
    if chosen.searches and application:
        pattern = pattern or applications.family(chosen.backbone).attach_after
    if chosen.searches or pattern:
        points = attach.select(model, pattern, chosen.backbone)
    return backbones.Backbone(model, points, stored.kept(model, new)), new


def _from_file(chosen, data):
    path = chosen.backbone
    own = manifest.read(path)
    if own.signature != manifest.Manifest.signature:
        raise errors.UserError(
            f"{manifest.path(path)}: signature: only SavedModels have one; for a .keras file leave it out"
        )
    if own.input_size not in (None, data.image_shape[:2]):
        raise errors.UserError(
            f"{manifest.path(path)}: input_size: {list(own.input_size)} declared, but backbones' images are "
            f"not resized; bring the dataset's to that by --image_size={'x'.join(map(str, own.input_size))}"
        )
    if chosen.keeps_weights and own.channel_order != manifest.RGB:
        raise errors.UserError(
            f'{manifest.path(path)}: channel_order: "{own.channel_order}" declared, but backbones are shown '
            "red, green, blue; reverse the input channels of its first layer's weights, and leave it out"
        )
    declared = manifest.path(path).exists() and _SCALING & set(fields.read(manifest.path(path)).entries())
    scaling = fitting.declared_scaling(path, own, data.image_shape[2]) if declared else None
    if not chosen.keeps_weights:
        arguments = (data.image_shape, data.classes, data.mean, data.std, scaling, own.output)
        return prepare.read(path, *arguments), None
    other_order = bool(own.class_names) and own.class_names != tuple(data.class_names)
    read = pretrained.read(path, data.image_shape, data.classes, scaling, other_order, own.output)
    if not read.scales:
        progress.say(
            f"warning: {path} does not scale its pixels: taken to have been trained on values 0..255 as "
            f"they are; if it was not, declare value_range, mean or std in {manifest.path(path)}"
        )
    _say_kept(chosen, data, read.model, read.new)
    return read.model, read.new


def _application(chosen, data):
    model, new = applications.build(chosen.backbone, data.image_shape, data.classes, chosen.weights)
    if new is not None:
        _say_kept(chosen, data, model, new)
    return model, new


def _say_kept(chosen, data, model, new):
    kept = stored.kept(model, new)
    layers = f"{len(kept)} layers ({kept[0]} to {kept[-1]})" if len(kept) > 1 else f"layer {kept[0]}"
    said = f"new is the head {new[0]}, for {data.classes} classes" if new else "nothing in it is new"
    progress.say(f"backbone: {chosen.backbone} keeps the weights of {layers}; {said}")


def inputs(chosen) -> dict[str, pathlib.Path]:
    """Return the user's files that the backbone of a search is made of, by their role."""
    if chosen.has_weights(chosen.backbone):
        return weights_input(chosen)
    if not backbones.is_file(chosen.backbone):
        return {}
    declared = manifest.path(chosen.backbone)
    found = {"what is declared of it": declared} if declared.exists() else {}
    return {"the backbone's file": pathlib.Path(chosen.backbone), **found}


def weights_input(chosen) -> dict[str, pathlib.Path]:
    """Return the file that --weights names, by its role; {} if --weights is not a file."""
    named = chosen.weights in application_weights.NAMES
    return {} if named else {"the weights' file": pathlib.Path(chosen.weights)}


def warm_settings(chosen) -> tuple[str, ...]:
    """Return the names of the settings that decide the training of pretrained weights; () without these."""
    if chosen.keeps_weights:
        named = ("weights",) if chosen.has_weights(chosen.backbone) else ()
        return ("keep_weights", *named, *WARM)
    # An architecture that is given may keep some.
    usual = all(getattr(chosen, name) == settings.default(settings.FIELDS[name]) for name in WARM)
    return () if usual else WARM
