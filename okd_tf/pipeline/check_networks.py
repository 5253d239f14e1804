"""Checks that networks can be made for the dataset's images with the requested weights, before any work."""

from okd_tf import backbones, errors
from okd_tf.arch import cost
from okd_tf.backbones import application_weights, applications


def _networks(chosen):
    """Return (flag, name) of the networks that are trained by name: teachers and assistants."""
    teachers = [("--teacher_backbones", name) for name in chosen.teacher_backbones]
    return [
        *(teachers or [("--teacher_backbone", chosen.teacher_backbone)]),
        *(("--assistant", name) for name in chosen.assistant),
    ]


def check_made(context, names, will_run):
    """Refuse networks that cannot take such images, or whose weights are missing.

    Args:
        context: the run.
        names: names of the stages to run.
        will_run: function (name of a stage) -> whether it may find work to do.

    Raises:
        UserError: one line naming the flag.
    """
    chosen = context.settings
    made = []
    if will_run("teachers") and not chosen.teachers:
        made += [one for one in _networks(chosen) if one[0] != "--assistant"]
    if will_run("assistant"):
        made += [one for one in _networks(chosen) if one[0] == "--assistant"]
    if "search" in names and not chosen.arch and not backbones.is_file(chosen.backbone):
        made.append(("--backbone", chosen.backbone))
    shape, classes = context.data.image_shape, context.data.classes
    for flag, name in dict.fromkeys(made):
        backbones.check_size(flag, name, shape)
        if not chosen.has_weights(name):
            continue
        if chosen.download and chosen.weights == application_weights.IMAGENET:
            application_weights.fetch(name.removeprefix(applications.PREFIX), shape)
        if flag != "--backbone":  # which is made further below
            applications.build(name, shape, classes, chosen.weights)


def check_backbone(context):
    """Read the backbone; raise UserError if --max_flops is given and the FLOPs of some layer are unknown."""
    unknown = cost.uncounted(context.backbone.model) if context.settings.max_flops else ()
    if unknown:
        raise errors.UserError(
            f"--max_flops: the FLOPs of layer '{unknown[0]}' of {context.settings.backbone} cannot be "
            "counted; leave --max_flops out, and bound --max_params"
        )


def check_keeps(chosen, architecture):
    """Refuse settings of pretrained weights with a given architecture that keeps none."""
    if architecture.keep_weights or chosen.teachers_keep_weights:
        return
    for flag, given in (("--warm_rate", chosen.warm_rate != 1), ("--frozen_epochs", chosen.frozen_epochs)):
        if given:
            raise errors.UserError(
                f"{flag} requires layers that keep their weights, and {chosen.arch} keeps none; leave it "
                "out, or search with --keep_weights"
            )
