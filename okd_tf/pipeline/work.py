"""The work of each stage: it collects the stage's inputs from the run and calls the package that does it."""

import dataclasses
import functools

import numpy as np

from okd_tf import claims, errors, files, json_file, losses, progress, seeds
from okd_tf.arch import spec
from okd_tf.export import student as exporting
from okd_tf.pipeline import diagnosis, lessons, sharing
from okd_tf.search import finalists, loop, options
from okd_tf.settings import choices
from okd_tf.student import distill, opponents
from okd_tf.teachers import assistant, bank, ensemble, shards, teacher
from okd_tf.teachers import train as teacher_training
from okd_tf.training import inference, metrics, quality, recipe, scalars

LEAST_AGREEMENT = 0.98  # of an exported file with the Keras model, below which the user is warned


def make_teachers(context):
    """Train the teachers, or copy the given ones; write their diagnosis."""
    chosen, folder = context.settings, context.workdir / "teachers"
    given = ensemble.paths(chosen.teachers)

    def finish():
        for index, path in enumerate(given):
            teacher.copy(path, teacher_training.path(folder, index))
        for path, one in zip(given, context.teaching.ensemble.teachers, strict=False):
            progress.say(f"teachers: {path} is {one.path.name}: {one.description()}")
        diagnosis.write(context)

    if not given:
        claimed = folder / claims.FOLDER
        _train_teachers(context, lambda jobs: sharing.complete("teachers", claimed, jobs, context.crew))
    context.crew.lead(finish)


def join_teachers(context, is_wanted):
    """Train teachers that no other process trains, as long as `is_wanted()`; return their names."""
    done = []
    claimed = context.workdir / "teachers" / claims.FOLDER
    _train_teachers(context, lambda jobs: done.extend(sharing.join("teachers", claimed, jobs, is_wanted)))
    return done


def teachers_of_others(context):
    """Return in words the teachers that other processes train, and these processes."""
    doing = []
    claimed = context.workdir / "teachers" / claims.FOLDER
    _train_teachers(context, lambda jobs: doing.append(sharing.others(claimed, jobs)))
    return doing[0]


def _train_teachers(context, share):
    """Train the missing teachers through `share`, a function of a list with one `sharing.Job` each."""
    chosen, folder = context.settings, context.workdir / "teachers"

    def spread(indices, is_done, work):
        share(
            [
                sharing.Job(
                    f"teacher {index + 1}",
                    functools.partial(is_done, index),
                    functools.partial(work, index),
                    (teacher_training.work_folder(folder, index) / "history.csv",),
                )
                for index in indices
            ]
        )

    teacher_training.train(
        context.data,
        networks=[chosen.teacher_network(index) for index in range(chosen.num_teachers)],
        width=chosen.teacher_width,
        epochs=chosen.teacher_epochs,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
        how=context.recipe_of("teachers"),
        folder=folder,
        logs=context.workdir / "logs" / "teachers",
        held_out=context.teaching.to_hold_out(),
        balance=chosen.balance,
        mixed=context.teacher_mixing,
        label_smoothing=chosen.teacher_label_smoothing,
        weights=chosen.weights,
        spread=spread,
    )


def fill_bank(context):
    """Store the teachers' logits of all views."""
    chosen, teaching = context.settings, context.teaching
    bank.write(
        *(teaching.bank_folder, teaching.ensemble, context.data),
        *(chosen.views, chosen.seed, teaching.bank_key(), teaching.seen, context.mixing),
    )


def check_bank(context):
    """Compare stored logits with newly computed ones; print the largest difference."""
    chosen, teaching = context.settings, context.teaching
    count = chosen.check_bank
    arguments = (teaching.ensemble, context.data, chosen.seed, count, chosen.seed, context.mixing)
    difference = bank.check(teaching.bank, *arguments)
    progress.say(
        f"bank: {count} rows asked again, the largest difference of a logit is {difference:.2g} (float16 "
        "keeps 11 bits)"
    )


def _is_done(context, name, *left):
    """Return whether a training has left these files and no checkpoints, but was killed before its record."""
    folder = context.workdir / name

    def look():
        return all((folder / file).exists() for file in left) and recipe.is_finished(folder)

    return context.crew.agree(look)


def search_architecture(context):
    """Search; write arch.json and candidates.json."""
    chosen = context.settings
    if not chosen.searches:
        context.crew.lead(lambda: _take_the_backbone(context))
        return
    if _is_done(context, "search", *found_by_search(context)):
        return
    how = context.recipe_of("search")
    training = lessons.training_batches(context, chosen.search_loss, "search training")
    context.crew.lead(lambda: context.keep_backbone(context.workdir / "search"))
    loop.run(
        context.backbone,
        context.space,
        context.template,
        context.data,
        training,
        lessons.validation_batches(context, chosen.search_loss, "search validation"),
        strategy=chosen.strategy,
        objective=lessons.objective(context, chosen.search_loss),
        epochs=chosen.search_epochs,
        recipe=how,
        options=options.SearchOptions(
            weight_decay=how.weight_decay,
            alpha_learning_rate=chosen.alpha_learning_rate,
            steps=chosen.search_epochs * training.steps_per_epoch,
            warmup_steps=chosen.search_warmup_epochs * training.steps_per_epoch,
            sharpness=chosen.search_sharpness,
            budget_weight=chosen.budget_weight,
            seed=context.trial_seed,
            clip_norm=chosen.clip_norm,
            compute=chosen.precision,
            alpha_weight_decay=chosen.alpha_weight_decay,
            unrolled=chosen.unrolled,
            temperatures=(chosen.gumbel_temperature, chosen.gumbel_temperature_end),
            controller_updates=chosen.controller_updates,
            controller_children=chosen.controller_children,
            controller_learning_rate=chosen.controller_learning_rate,
            controller_entropy=chosen.controller_entropy,
            reward=chosen.reward,
            warm_rate=chosen.warm_rate,
            frozen_steps=chosen.frozen_epochs * training.steps_per_epoch,
        ),
        stop_on_collapse=chosen.stop_on_collapse,
        also_score=context.also_score,
        finalists_wanted=chosen.rounds[0] if chosen.rounds else 0,
        smaller=context.budgets[:-1],
        candidates=chosen.candidates,
        folder=context.workdir / "search",
        logs=context.workdir / "logs" / "search",
    )


def found_by_search(context):
    """Return the files that a search writes, as paths below its folder; the same files for each budget."""
    names = ["arch.json", *(["candidates.json"] if context.settings.searches else [])]
    names += [finalists.NAME] if context.settings.finals else []
    smaller = (loop.folder_of("", budget) for budget in context.budgets[:-1])
    return [*names, *(str(folder / name) for folder in smaller for name in names)]


def _take_the_backbone(context):
    """Write the arch.json of the bare backbone."""
    folder = context.workdir / "search"
    context.keep_backbone(folder)
    provenance = {"strategy": context.settings.strategy, "seed": context.trial_seed}
    spec.write(folder / "arch.json", dataclasses.replace(context.template, provenance=provenance))


def train_assistants(context):
    """Train the missing assistants of the chain, each taught by the one before."""
    chosen, folder = context.settings, context.workdir / "assistant"
    for index, backbone in enumerate(chosen.assistant):
        if context.crew.agree(lambda index=index: assistant.is_trained(folder, index)):
            context.crew.lead(functools.partial(assistant.finish, folder, index))
        else:
            # As of the teachers: another trial has the same assistants.
            seed = seeds.derive(chosen.seed, "assistant", index)
            # What one that was lost has said is not what the one in its place says.
            said = context.teaching.assistant_bank_folder(index)
            context.crew.lead(functools.partial(files.remove, said))
            store_what_is_said(context, index)
            assistant.train(
                context.data,
                lessons.training_batches(context, chosen.train_loss, "assistant training", index, seed),
                lessons.objective(context, chosen.train_loss, index),
                index=index,
                backbone=backbone,
                width=chosen.assistant_width,
                epochs=chosen.assistant_epochs,
                seed=seed,
                how=context.recipe_of("assistant"),
                folder=folder,
                logs=context.workdir / "logs" / "assistant",
            )


def store_what_is_said(context, links):
    """Store the logits of the last of `links` assistants, unless they are stored or not needed."""
    chosen, teaching = context.settings, context.teaching
    if not links or not chosen.views:
        return
    folder = teaching.assistant_bank_folder(links - 1)

    def store():
        if shards.complete(folder):
            return
        progress.say(f"assistant {links}: what it says of the views")
        key, seen = teaching.assistant_bank_key(links - 1), np.ones((1, len(context.data.train)), bool)
        how = (chosen.views, chosen.seed, key, seen, context.mixing)
        bank.write(folder, teaching.assistant(links - 1), context.data, *how)

    context.crew.lead(store, shows=folder)


def train_student(context):
    """Train the network of arch.json by distillation, from the last assistant if there are any."""
    chosen = context.settings
    peer = [distill.PEER] if chosen.train_loss in losses.NEEDS_PEERS else []
    if _is_done(context, "student", "student.keras", "metrics.json", *peer):
        return
    links = len(chosen.assistant)
    store_what_is_said(context, links)
    distill.distill(
        context.architecture(),
        lessons.objective(context, context.train_loss, links),
        context.data,
        lessons.training_batches(context, context.train_loss, "student training", links),
        epochs=chosen.student_epochs,
        seed=seeds.derive(context.trial_seed, "student"),
        how=context.recipe_of("student"),
        folder=context.workdir / "student",
        logs=context.workdir / "logs" / "student",
    )


def train_baseline(context):
    """Train the architecture's bare backbone with the cross-entropy."""
    chosen = context.settings
    if _is_done(context, "baseline", "baseline.keras", "metrics.json"):
        return
    distill.train_baseline(
        context.architecture(context.found_path),
        context.data,
        # The same order and views as the student's, so that network and loss are all that differs.
        lessons.training_batches(context, "ce", "student training"),
        epochs=chosen.student_epochs,
        seed=seeds.derive(context.trial_seed, "student"),
        how=context.recipe_of("baseline"),
        folder=context.workdir / "baseline",
        logs=context.workdir / "logs" / "baseline",
        label_smoothing=chosen.label_smoothing,
    )


def evaluated(context):
    """Return (network's file, its metrics.json, its name there) of all networks to be evaluated.

    The name is "" if the file is of one network; assistants share one file.
    """
    found = [(context.student_path, context.workdir / "student" / "metrics.json", "")]
    if context.settings.student:
        return found
    if context.settings.baseline:
        folder = context.workdir / "baseline"
        found.append((folder / "baseline.keras", folder / "metrics.json", ""))
    if context.settings.opponents != choices.OPPONENTS[0] and context.opponents_path.exists():
        for one in opponents.read(context.opponents_path)["opponents"]:
            folder = context.opponents_path.parent / one["name"]
            found.append((folder / opponents.NETWORK, folder / "metrics.json", ""))
    if not context.origin:
        paths = map(context.teaching.assistant_path, range(len(context.settings.assistant)))
        found += [(path, path.with_name("metrics.json"), path.stem) for path in paths]
    return found


def own_part(found, name):
    """Return the metrics of the network of this name, as in `evaluated`, from a metrics.json's content."""
    return found.get(name, {}) if name else found


def read_metrics(path, name):
    """Return the content of a metrics.json: of one network, or with a name of several."""
    return metrics.read_chain(path) if name else metrics.read(path)


def evaluate(context):
    """Evaluate the finished networks on the test split, and add the figures to their metrics.json."""
    for path, metrics_path, name in evaluated(context):
        network = context.classifier(path)
        labels, names = context.data.test.labels, context.data.class_names
        predictor = inference.Predictor(network, image_shape=context.data.image_shape)
        logits = predictor.logits(context.data.test.images)
        test = {**inference.figures(logits, labels), **quality.figures(logits, labels, names)}
        own = name or (metrics_path.exists() and not context.settings.student)
        found = read_metrics(metrics_path, name) if own else {"params": network.count_params()}
        own_part(found, name)["test"] = test
        json_file.write(metrics_path, found)
        scalars.write(
            context.workdir / "logs" / "evaluate" / (name or metrics_path.parent.name),
            {
                f"test_{figure}": value
                for figure, value in test.items()
                if figure not in (*quality.OF_CLASSES, quality.RIGHT)
            },
        )
        progress.say(f"evaluate: {path}: test accuracy {test['accuracy']:.4f}, loss {test['loss']:.4f}")


def export_student(context):
    """Write the export files; warn of one that disagrees with the Keras model.

    Raises:
        UserError: as `student.export_student`; or the int8 file has fewer integer operations than requested.
    """
    report = exporting.export_student(
        context.classifier(context.exported_path),
        context.data,
        context.workdir / "export",
        context.settings.export_formats,
        progress=lambda message: progress.say(f"export: {message}"),
    )
    for name, entry in report["files"].items():
        if entry["agreement"] < LEAST_AGREEMENT:
            progress.say(
                f"warning: {name} gives the Keras model's class on {entry['agreement']:.1%} of the test "
                "images; look at its accuracy before it is used"
            )
        if entry["float_operations"]:
            progress.say(
                f"export: {name} computes {entry['integer_share']:.1%} of its operations in integers; in "
                f"float are {errors.some(entry['float_operations'])}, as the runtime has no integers for them"
            )
    least = context.settings.min_integer_share
    int8 = report["files"].get(exporting.file_name(exporting.INT8))
    if int8 and int8["integer_share"] < least:
        raise errors.UserError(
            f"--min_integer_share: {exporting.file_name(exporting.INT8)} computes "
            f"{int8['integer_share']:.1%} of its operations in integers, {least:.1%} are asked for; in float "
            f"are {errors.some(int8['float_operations'])}: replace these layers, or lower it"
        )
