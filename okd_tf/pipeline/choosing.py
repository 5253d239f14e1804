"""Choice of the student's loss, --train_loss=auto: a short training of the student with each candidate.

Each is the student's own training but for its length (`student_training`): a whole schedule over a share of
the epochs, so that all of them together cost at most one student. The networks' predictions on the validation
images decide (`student.decision`).
"""

import functools

from okd_tf import errors, json_file, progress
from okd_tf.backbones import keras_file
from okd_tf.pipeline import student_training
from okd_tf.settings import choices, plan
from okd_tf.student import choice, decision
from okd_tf.training import inference

FEW_STEPS = 100  # below which a training says little of what a loss is worth


def epochs_of_each(student_epochs):
    """Return the epochs of each candidate, at least 1: all together cost no more than one student."""
    return max(1, student_epochs // len(choices.AUTO_LOSSES))


def taken(context):
    """Return the chosen loss; "" without a readable choice.json."""
    try:
        return choice.read(context.choice_path)["taken"]
    except errors.UserError:
        return ""


def choose_loss(context):
    """Train the found network for a short time with each candidate loss; write choice.json.

    Finished trainings are not repeated, and one that was killed resumes.
    """
    trainings = _trainings(context)
    for number, one in enumerate(trainings, 1):
        if one.is_done(context):
            continue
        if number == 1:
            _say_what_is_tried(context, one.epochs)
        one.complete(context)
        context.crew.lead(functools.partial(_say_what_is_left, context, trainings, number))
    context.crew.lead(functools.partial(_decide, context, trainings))


def _trainings(context):
    """Return the short trainings, one for each candidate loss."""
    names = choices.AUTO_LOSSES
    epochs = epochs_of_each(context.settings.student_epochs)
    architecture = context.architecture(context.found_path)
    return [
        student_training.StudentTraining(
            "choice", loss, architecture, loss, epochs, f"choice {number}/{len(names)}"
        )
        for number, loss in enumerate(names, 1)
    ]


def _say_what_is_tried(context, epochs):
    steps = epochs * plan.training(context.settings, len(context.data.train), "student").steps_per_epoch
    progress.say(f"choice: {', '.join(choices.AUTO_LOSSES)}, {steps:,} steps ({epochs} epochs) of each")
    if steps < FEW_STEPS:
        progress.say(
            f"warning: --train_loss=auto: {steps:,} steps of each say little of what a loss is worth after a "
            "whole training; raise --student_epochs, or name a loss"
        )


def _trained(context, one):
    """Return {"epochs", "seconds"} of a candidate's training."""
    found = one.figures(context)
    return {name: found[name] for name in ("epochs", "seconds")}


def _say_what_is_left(context, trainings, done):
    seconds = [_trained(context, one)["seconds"] for one in trainings[:done]]
    left = sum(seconds) / done * (len(trainings) - done)
    if done < len(trainings):
        progress.say(f"choice: {done} of {len(trainings)} losses tried, {progress.duration(left)} left")


def _decide(context, trainings):
    """Write choice.json from the trained candidates."""
    val = context.data.val
    logits = {}
    for one in trainings:
        network = keras_file.load(one.folder(context) / "student.keras")
        logits[one.loss] = inference.Predictor(network).logits(val.images)
    found = decision.decide(logits, val.labels)
    trained = {one.loss: _trained(context, one) for one in trainings}
    json_file.write(context.choice_path, choice.document(found, len(val), trained))
    progress.say(f"choice: auto takes {found.taken}: {found.why}")
