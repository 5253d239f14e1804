"""Resolution of a run's open settings once its data is read, by `settings.plan`.

A run that resumes with another number of devices keeps its plan where possible, so that finished trainings
stay valid.
"""

import contextlib
import dataclasses
import pathlib
from typing import NamedTuple

from okd_tf import errors
from okd_tf import settings as all_settings
from okd_tf.data import split_views, views
from okd_tf.pipeline import record
from okd_tf.settings import plan
from okd_tf.teachers import ensemble, shards


class Planned(NamedTuple):
    """Resolved `settings`, and the number of `replicas` over which the plan splits a batch."""

    settings: all_settings.Settings
    replicas: int


def resolve(context):
    """Return the settings of a `Context` with all open values resolved: `Planned`.

    Reads the run's data if any value is open.

    Raises:
        UserError: a given value leaves no room for the others.
    """
    requested, here = context.requested, context.strategy.num_replicas_in_sync
    if not plan.is_open(requested):
        return Planned(requested, here)
    facts, began = _facts(context), record.replicas(context.workdir)
    if began:
        kept = plan.resolve(requested, dataclasses.replace(facts, replicas=began))
        if kept.batch_size % here == 0:
            return Planned(kept, began)
    return Planned(plan.resolve(requested, dataclasses.replace(facts, replicas=here)), here)


def mixes(context):
    """Return the resolved --mix and --teacher_mix of a `Context`, by setting."""
    requested = context.requested
    given = {name: getattr(requested, name) for name in ("mix", "teacher_mix")}
    if all(given.values()):
        return given  # and the data need not be read
    data = context.data
    return plan.mixes(requested, len(data.train), data.classes, min(data.image_shape[:2]))


def augmentation(context, found):
    """Return the names of a `Context`'s augmentations; () is the dataset's own augmentation.

    Args:
        context: the run.
        found: its `Splits`, with the dataset's own augmentation or the run's.
    """
    height, width, channels = found.image_shape
    own = found.augmentation.base if isinstance(found.augmentation, views.Operated) else found.augmentation
    return context.requested.augmentation or plan.augmentation(
        len(found.train), found.classes, min(height, width), channels, own.flip
    )


def _facts(context):
    """Return the `Facts` that the plan depends on, except the number of devices."""
    data = context.data
    return plan.Facts(
        images=len(data.train),
        classes=data.classes,
        side=min(data.image_shape[:2]),
        views=split_views.count(data.augmentation, context.mixing),
        teachers=max(1, _number_of_teachers(context)),
        bank_views=_stored_views(context.requested.bank),
        augmentation=augmentation(context, data),
    )


def _number_of_teachers(context):
    given = context.requested.teachers
    if not given:
        return context.requested.num_teachers
    try:
        return len(ensemble.paths(given))
    except errors.UserError:
        # They are gone; what was taken over of them counts.
        return len(context.teaching.teacher_paths())


def _stored_views(bank):
    """Return the views per example in the bank that --bank names; None without a readable one."""
    if bank:
        with contextlib.suppress(errors.UserError):  # the check says what is wrong with it
            return shards.read_plan(pathlib.Path(bank)).views["train"]
    return None
