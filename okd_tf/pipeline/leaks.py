"""Given teachers that may have been trained on images that the run carved out for validation or test.

Such a split is carved from the dataset's training images, on all of which a given teacher may have been
trained. Not suspected are teachers that okd_tf trained on the same split, and those that declare their
training images: `trained_on` in a teacher's JSON is the path of a splits.csv (of a run or of tools/split.py).
"""

from okd_tf import errors, settings, stages_file
from okd_tf.pipeline import split_file
from okd_tf.sources import layout, split_list
from okd_tf.teachers import diagnosis, ensemble, folds, manifest, memory

_CALLED = {"val": "validation", "test": "test"}


def suspects(context):
    """Return the teachers that may have been trained on each carved split: {split: [bool of each teacher]}.

    Splits without a suspected teacher are left out.

    Args:
        context: the run; without --teachers none is suspected.

    Raises:
        UserError: a declaration in a teacher's JSON cannot be used; names the file.
    """
    chosen, carved = context.settings, context.data.carved
    if not chosen.teachers or not carved:
        return {}
    try:
        given = ensemble.paths(chosen.teachers)
    except errors.UserError:
        # They are gone since they were taken over, and with them what they were trained on.
        return {split: [True] * len(context.teaching.teacher_paths()) for split in carved}
    known = [_trained_on(path, context) for path in given]
    found = {split: [_may_have_seen(one, split, context) for one in known] for split in carved}
    return {split: flags for split, flags in found.items() if any(flags)}


def warnings(context, found):
    """Return the sentences that explain marked figures.

    Args:
        context: the run.
        found: the diagnosis, with "carved" as `suspects` returns it.
    """
    lines = []
    data = context.data
    sizes = {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
    known = next((part for part in ("test", "val") if part not in data.carved), None)
    for split, flags in found["carved"].items():
        told = []
        for index in (index for index, flag in enumerate(flags) if flag):
            score = {part: (found[part]["per_teacher"][index], sizes[part]) for part in sizes}
            told.append(_figures(f"teacher {index + 1}", score, split, known))
        lines.append(
            f"{diagnosis.MARK} the {_CALLED[split]} images were carved from the dataset's training images, "
            "on which these teachers may have been trained, so that their figures may be of memory: "
            f"{'; '.join(told)}. "
            "Give images that they have not seen (tools/split.py sets some aside before teachers are "
            'trained), or declare in a teacher\'s JSON "trained_on": "splits.csv", a file that lists what it '
            "was trained on"
        )
    return lines


def _figures(name, score, split, known):
    """Return in words the accuracies of a suspected teacher and what they suggest."""
    train, carved = score["train"], score[split]
    text = f"{name} {_percent(carved)} here, {_percent(train)} on training images"
    if known:
        text += f", {_percent(score[known])} on the {_CALLED[known]} images that the dataset came with"
    if memory.remembers(train, carved, score[known] if known else None):
        return f"{text}: it seems to REMEMBER the {_CALLED[split]} images"
    if memory.is_higher(train, carved):
        return f"{text}: it does not know all of them by heart"
    return text if known else f"{text}, which does not tell memory from a teacher that overfits nothing"


def _trained_on(path, context):
    """Return a given teacher's training images: path of a splits.csv, True (this split), None (unknown)."""
    declared = manifest.read(path).trained_on
    if declared:
        return manifest.path(path).parent / declared
    held_out = folds.recorded(path)
    if held_out is not None and not folds.is_foreign(context.data.train.ids, held_out):
        return True
    run, is_of_run = path.parent.parent, path.parent.name == "teachers"
    entry = stages_file.read(run / settings.STAGES_FILE).get("teachers") if is_of_run else None
    if entry is None or any(name.startswith("given teacher") for name in entry["key"]["files"]):
        return None
    if entry["key"]["splits"].get("sha256") == context.split_record["sha256"]:
        return True
    listed = run / split_list.NAME
    return listed if listed.exists() else None


def _may_have_seen(known, split, context):
    if known is None or known is True:
        return known is None
    trained = {_key(row["image"], row["source"]) for row in split_list.read(known) if row["split"] == "train"}
    name, data = split_file.namer(context), context.data

    def listed(part):
        source = split_file.source_of(data, part)
        return [_key(name(part, each), source) in trained for each in getattr(data, part).ids.tolist()]

    if any(listed(split)):
        return True
    if not any(listed("train")):
        raise errors.UserError(
            f"{known}: names none of this dataset's training images as trained on, so it says nothing of a "
            "teacher here; give the splits.csv by which the teacher was trained, or leave trained_on out"
        )
    return False


def _key(image, source):
    """Return an image's key across files: a path without the folder of its split, or (id, source)."""
    if image.isdecimal():
        return image, source
    first, _, rest = image.partition("/")
    return rest if first.lower() in layout.SPLITS and "/" in rest else image


def _percent(score):
    return f"{100 * score[0]:.1f} %"
