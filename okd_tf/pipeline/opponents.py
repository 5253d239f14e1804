"""Opponents of the student, --opponents: plain networks trained by its recipe, for as many epochs.

The baseline (--baseline) is the bare backbone trained with labels. The opponents are:

    bare                the bare backbone with the student's loss: shows the gain of the added layers
    same_size_labels    the backbone as wide as the student's number of parameters allows, with labels
    same_size           the same network with the student's loss: shows the gain at equal size
"""

import dataclasses
import functools

from okd_tf import errors, json_file, progress
from okd_tf.arch import spec, widened
from okd_tf.pipeline import student_training, work
from okd_tf.settings import choices
from okd_tf.student import opponents


@dataclasses.dataclass(frozen=True)
class _Opponent:
    """An opponent: its name in `opponents.NAMES`, its title in tables, its architecture and its loss."""

    name: str
    title: str
    architecture: spec.ArchSpec
    loss: str


def train(context):
    """Train the requested opponents that can be made; write opponents.json.

    An opponent that is trained is not trained again.
    """
    found, left_out = _asked(context)
    links = len(context.settings.assistant)
    for reason in left_out:
        context.crew.lead(functools.partial(progress.say, f"opponents: left out: {reason}"))
    if any(one.loss != choices.LABELS for one in found):
        work.store_what_is_said(context, links)
    for number, one in enumerate(found, 1):
        student_training.StudentTraining(
            stage="opponents",
            name=one.name,
            architecture=one.architecture,
            loss=one.loss,
            epochs=context.settings.student_epochs,
            title=f"opponent {number}/{len(found)}, {one.title}",
            links=links if one.loss != choices.LABELS else 0,
        ).complete(context)
    entries = [
        {
            "name": one.name,
            "title": one.title,
            "loss": one.loss,
            "params": one.architecture.cost.params,
        }
        for one in found
    ]
    context.crew.lead(lambda: json_file.write(context.opponents_path, opponents.document(entries, left_out)))


def are_there(context):
    """Return whether opponents.json can be read and the networks it names exist."""
    folder = context.opponents_path.parent
    try:
        names = [one["name"] for one in opponents.read(context.opponents_path)["opponents"]]
    except errors.UserError:
        return False
    return all(
        (folder / name / file).exists() for name in names for file in (opponents.NETWORK, "metrics.json")
    )


def _asked(context):
    """Return the requested opponents, and the reasons in words why others are left out."""
    architecture, loss = context.architecture(), context.train_loss
    distils, found, left_out = loss != choices.LABELS, [], []
    if not distils:
        left_out.append(f"those with the student's loss: it is that of labels, --train_loss={loss}")
    elif architecture.add_ons:
        found.append(_Opponent("bare", "bare backbone", widened.bare(architecture), loss))
    else:
        left_out.append("the bare backbone with the student's loss: it is the student")
    if context.settings.opponents == choices.OPPONENTS[2]:
        plain = widened.same_size(architecture)
        if plain is None:
            left_out.append(f"the same-size plain network: {_why_none(architecture)}")
        else:
            title = f"same-size plain network ({plain.backbone}, width {plain.width})"
            found.append(_Opponent("same_size_labels", title, plain, choices.LABELS))
            found += [_Opponent("same_size", title, plain, loss)] if distils else []
    return found, left_out


def _why_none(architecture):
    if architecture.backbone_path is not None:
        return "the backbone is a file, which has no width"
    wider = architecture.width + 1
    return f"{architecture.backbone} of width {wider} already has more than the student's parameters"
