"""The choice of the student's loss, --train_loss=auto: a short training of the student with each candidate.

Each is the student's own training in all but its length: architecture, recipe, initial weights, views and
the order of images. It has a whole schedule of a share of the epochs, so that all of them together cost at
most one student. What the networks say of the validation images decides (`student.decision`).
"""

import dataclasses
import functools

from okd_tf import errors, json_file, progress, seeds
from okd_tf.backbones import keras_file
from okd_tf.pipeline import lessons
from okd_tf.settings import choices
from okd_tf.student import choice, decision, distill
from okd_tf.training import history, inference, metrics, recipe

FEW_STEPS = 100  # below which a training says little of what a loss is worth


def epochs_of_each(student_epochs):
    """How long each candidate trains, so that all of them cost no more than a student; at least one epoch."""
    return max(1, student_epochs // len(choices.AUTO_LOSSES))


def taken(context):
    """The loss that was taken; "" while there is none, or no choice.json that can be read."""
    try:
        return choice.read(context.choice_path)["taken"]
    except errors.UserError:
        return ""


def choose_loss(context):
    """Train the network of arch.json shortly with each candidate loss; write choice.json.

    A candidate that is trained is not trained again, so a kill costs what it costs in any other training.
    """
    chosen, names = context.settings, choices.AUTO_LOSSES
    epochs = epochs_of_each(chosen.student_epochs)
    for number, loss in enumerate(names, 1):
        folder = context.workdir / "choice" / loss
        if context.crew.agree(functools.partial(_is_trained, folder)):
            continue
        training = lessons.training_batches(context, loss, "student training")
        if number == 1:
            _say_what_is_tried(epochs, training.steps_per_epoch)
        distill.distill(
            context.architecture(),
            lessons.objective(context, loss),
            context.data,
            training,
            epochs=epochs,
            seed=seeds.derive(context.trial_seed, "student"),
            how=_recipe(context, epochs),
            folder=folder,
            logs=context.workdir / "logs" / "choice" / loss,
            title=f"choice {number}/{len(names)}",
        )
        context.crew.lead(functools.partial(_say_what_is_left, context, number))
    context.crew.lead(functools.partial(_decide, context))


def _recipe(context, epochs):
    """The student's recipe; weights that are frozen at first are so for the same share of the epochs."""
    how, whole = context.recipe_of("choice"), context.settings.student_epochs
    return dataclasses.replace(how, frozen_epochs=how.frozen_epochs * epochs // whole)


def _is_trained(folder):
    """Return whether a candidate's training has left its files, and no checkpoints."""
    left = all((folder / name).exists() for name in ("student.keras", "metrics.json"))
    return left and recipe.is_finished(folder)


def _say_what_is_tried(epochs, steps_per_epoch):
    steps = epochs * steps_per_epoch
    progress.say(f"choice: {', '.join(choices.AUTO_LOSSES)}, {steps:,} steps ({epochs} epochs) of each")
    if steps < FEW_STEPS:
        progress.say(
            f"warning: --train_loss=auto: {steps:,} steps of each say little of what a loss is worth after a "
            "whole training; raise --student_epochs, or name a loss"
        )


def _trained(context, loss):
    """{"epochs", "seconds"} of a candidate's training."""
    folder = context.workdir / "choice" / loss
    epochs = metrics.read(folder / "metrics.json")["epochs"]
    rows = history.finished(folder / "history.csv", epochs)
    return {"epochs": epochs, "seconds": round(sum(row["seconds"] for row in rows), 1)}


def _say_what_is_left(context, done):
    names = choices.AUTO_LOSSES
    seconds = [_trained(context, loss)["seconds"] for loss in names[:done]]
    left = sum(seconds) / done * (len(names) - done)
    if done < len(names):
        progress.say(f"choice: {done} of {len(names)} losses tried, {progress.duration(left)} left")


def _decide(context):
    """Write choice.json from the trained candidates."""
    val, folder = context.data.val, context.workdir / "choice"
    logits = {}
    for loss in choices.AUTO_LOSSES:
        network = keras_file.load(folder / loss / "student.keras")
        logits[loss] = inference.Predictor(network).logits(val.images)
    found = decision.decide(logits, val.labels)
    trained = {loss: _trained(context, loss) for loss in choices.AUTO_LOSSES}
    json_file.write(folder / choice.NAME, choice.document(found, len(val), trained))
    progress.say(f"choice: auto takes {found.taken}: {found.why}")
