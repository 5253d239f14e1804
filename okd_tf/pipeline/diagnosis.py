"""Diagnosis of a run's teachers, in their folder: diagnosis.json, and diagnosis.md and .png made from it."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from okd_tf import errors, files, json_file, kept, progress, seeds
from okd_tf.data import splits
from okd_tf.pipeline import leaks
from okd_tf.report import diagnosis as page
from okd_tf.settings import plan
from okd_tf.teachers import diagnosis, doubts, ensemble, folds, regime, remedies, teacher
from okd_tf.training import scalars

MOST_VIEWED = 5000  # training examples that are also shown augmented


def write(context):
    """Write the missing ones of the three files, and print their content."""
    found = read(context)
    if found is None:
        # Of many images and large teachers this takes minutes: a kill costs what one says of one part.
        of = [context.split_record, context.settings.seed]
        said = kept.Kept(context.workdir / "teachers" / ".kept", of)
        found = _measured(context, said)
        json_file.write(_path(context, "json"), found)
        said.forget()
    files.write_text(_path(context, "md"), page.markdown(found))
    page.plot(found, _path(context, "png"))
    show(context)


def show(context):
    """Print the diagnosis and the path of its page."""
    progress.say(f"\n{page.screen(read(context))}\n\ndiagnosis: {_path(context, 'md')}\n")


def is_there(context):
    """Return whether all three files exist and belong to the current teachers."""
    pages = _path(context, "md"), _path(context, "png")
    return all(path.exists() for path in pages) and read(context) is not None


def read(context):
    """Return the content of diagnosis.json; None if it is missing, damaged or of other teachers."""
    path = _path(context, "json")
    there = [(file.name, teacher.content_hash(file)) for file in context.teaching.teacher_paths()]
    if not there or not path.exists():
        return None
    try:
        found = diagnosis.read(path)
    except errors.UserError:
        return None  # cut short or of another form: it is made again
    return found if there == [(entry["file"], entry["sha256"]) for entry in found["teachers"]] else None


def _path(context, suffix):
    return context.workdir / "teachers" / f"diagnosis.{suffix}"


def _measured(context, said):
    parts = {
        "train": context.data.train,
        "train_views": _viewed(context.data, context.settings.seed),
        "val": context.data.val,
        "test": context.data.test,
    }
    teaching = context.teaching
    found, examples = {}, {name: len(split) for name, split in parts.items()}
    for name, split in parts.items():
        progress.say(f"teachers: diagnosis on {page.TITLES[name]}, {len(split):,} images")
        logits = _logits(context, said, name, split.images)
        teaching.ensemble.refuse_what_is_not_finite(logits, split.ids, f"{page.TITLES[name]} example")
        found[name] = diagnosis.diagnose(logits, split.labels)
        scalars.write(
            context.workdir / "logs" / "teachers" / "ensemble",
            {f"{name}_{who}": found[name][who] for who in ("mean", "vote", "oracle")},
        )
        if name == "train" and not teaching.seen.all():
            found["held_out"] = folds.accuracies(logits, split.labels, teaching.seen)
        if name == "val":
            warnings = doubts.doubts(logits, split.labels, mend=functools.partial(_mended, context))
    carved = leaks.suspects(context)
    if carved:
        found["carved"] = carved
        warnings += leaks.warnings(context, found)
    found["teachers"] = [
        {
            "file": path.name,
            "sha256": teacher.content_hash(path),
            "params": params,
            **_backbone(context, index),
        }
        for index, (path, params) in enumerate(
            zip(teaching.teacher_paths(), teaching.ensemble.params(), strict=True)
        )
    ]
    return {
        **found,
        "examples": examples,
        "regime": dataclasses.asdict(regime.of(found["train_views"], _steps(context))),
        "warnings": warnings,
    }


def _mended(context, index, doubted):
    """Return advice on what to declare about a given teacher; "" if trained here or its source is gone."""
    try:
        given = ensemble.paths(context.settings.teachers)
    except errors.UserError:
        return ""  # they were copied, and what they were copied from is gone
    if not given:
        return ""
    return remedies.advice(context.teaching.ensemble.teachers[index], context.data, given[index], doubted)


def _backbone(context, index):
    """Return {"backbone": name} of a teacher trained here, else {}."""
    chosen = context.settings
    return {} if chosen.teachers else {"backbone": chosen.teacher_network(index)}


def _steps(context):
    """Return the training steps of each teacher trained here; 0 for given teachers."""
    chosen = context.settings
    return 0 if chosen.teachers else plan.training(chosen, len(context.data.train), "teachers").steps


def _logits(context, said, part, images):
    """Return the teachers' logits of a part's images, [teachers, examples, classes]; cached by teacher."""
    logits = []
    for index, path in enumerate(context.teaching.teacher_paths()):
        ask = functools.partial(context.teaching.ensemble.one, index, images)
        logits.append(said.array(f"{part} {teacher.content_hash(path)}", ask))
    return np.stack(logits)


def _viewed(data: splits.Splits, view_seed):
    """Return some training examples in the first view of those that the bank stores."""
    chosen = data.train.take(splits.order(data.train.ids, view_seed, "diagnosis")[:MOST_VIEWED])
    views = data.augmentation.apply(
        tf.constant(chosen.images[:]),
        tf.constant(chosen.ids),
        tf.zeros([len(chosen)], tf.int64),
        seeds.derive(view_seed, "views"),
    )
    return dataclasses.replace(chosen, images=np.asarray(views))
