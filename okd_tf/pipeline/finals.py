"""Finals, --finals: proposals of a search are trained from scratch before one of them becomes the student.

All finalists of a round train with the student's loss and recipe, from the same stored logits, each with a
whole short schedule (`student_training`); the best on validation images advance to the next round, which is
longer, and the best of the last round is written as finals/arch.json. A round costs at most one training of
the student (successive halving, Jamieson and Talwalkar, 2016, but with whole schedules instead of a truncated
one).
"""

import dataclasses
import functools

from okd_tf import errors, json_file, progress
from okd_tf.arch import spec
from okd_tf.pipeline import student_training, work
from okd_tf.search import finalists
from okd_tf.settings import finals as rounds_of
from okd_tf.student import finals


def hold(context):
    """Train the finalists of the search round by round; write finals.json, and the winner as arch.json.

    Raises:
        UserError: finalists.json is missing, of another form, or has another number of finalists.
    """
    chosen, path = context.settings, context.finalists_path
    entries = finalists.read(path)
    if len(entries) != chosen.rounds[0]:
        raise errors.UserError(
            f"{path}: {len(entries)} finalists, expected {chosen.rounds[0]} of --finals; {finalists.MEND}"
        )
    work.store_what_is_said(context, len(chosen.assistant))
    rounds = [(count, rounds_of.epochs_of_each(chosen.student_epochs, count)) for count in chosen.rounds]
    figures = [[] for _ in entries]
    going_on = list(range(len(entries)))
    for number, (count, epochs) in enumerate(rounds, 1):
        going_on = going_on[:count]
        trainings = _trainings(context, entries, going_on, number, epochs)
        _say_round(context, number, rounds)
        for position, one in enumerate(trainings):
            one.complete(context)
            own = context.crew.agree(functools.partial(one.figures, context))
            figures[going_on[position]].append(own)
            context.crew.lead(
                functools.partial(_say_finalist, entries, figures, rounds, number, position, going_on)
            )
        order = finals.best_first([figures[index][-1] for index in going_on])
        going_on = [going_on[place] for place in order]
    context.crew.lead(functools.partial(_write, context, entries, rounds, figures, going_on[0]))


def _trainings(context, entries, indices, number, epochs):
    """Return the short trainings of a round, in the order of finalists' indices."""
    chosen = context.settings
    return [
        student_training.StudentTraining(
            stage="finals",
            name=f"round_{number}/{index + 1:02}",
            architecture=entries[index]["spec"],
            loss=context.train_loss,
            epochs=epochs,
            title=f"finals {number}/{len(chosen.rounds)}, {position}/{len(indices)}",
            links=len(chosen.assistant),
        )
        for position, index in enumerate(indices, 1)
    ]


def _say_round(context, number, rounds):
    count, epochs = rounds[number - 1]
    context.crew.lead(
        lambda: progress.say(
            f"finals: round {number} of {len(rounds)}: {count} finalists, {epochs} epochs of each"
        )
    )


def _say_finalist(entries, figures, rounds, number, position, going_on):
    """Print the figures of a round's finalist at this position, and the remaining time of all rounds."""
    entry, own = entries[going_on[position]], figures[going_on[position]][-1]
    done = [each for of_one in figures for each in of_one]
    epochs = sum(each["epochs"] for each in done)
    left = sum(count * length for count, length in rounds) - epochs
    seconds = sum(each["seconds"] for each in done) / epochs * left
    progress.say(
        f"finals: round {number}, {position + 1} of {len(going_on)}: {_named(entry)}: "
        f"val accuracy {own['accuracy']:.4f}"
        + (f"; {progress.duration(seconds)} left in all" if left else "")
    )


def _write(context, entries, rounds, figures, winner):
    """Write finals.json and arch.json; the stage is complete with both."""
    entry, folder = entries[winner], context.finals_path.parent
    found = finals.document(entries, rounds, context.settings.student_epochs, figures, winner)
    json_file.write(context.finals_path, found)
    # Not how long they took: the file is to be the same whenever it is written.
    of_rounds = [{name: each[name] for name in ("accuracy", "loss", "epochs")} for each in figures[winner]]
    provenance = {**entry["spec"].provenance, "finals": of_rounds}
    spec.write(folder / "arch.json", dataclasses.replace(entry["spec"], provenance=provenance))
    others = f"{len(entries) - 1} others" if len(entries) > 2 else "the other"
    progress.say(
        f"finals: the student is finalist {winner + 1}, {_named(entry)}, chosen before {others} at the cost "
        f"of {finals.cost(found):.1f} trainings of the student"
    )


def _named(entry):
    strategy = entry["spec"].provenance["strategy"]
    origin = "drawn at random" if entry["random"] else f"of the search by {strategy}"
    return f"{entry['params']:,} parameters, {origin}"
