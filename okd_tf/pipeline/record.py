"""Records of a run in its workdir.

They are: the complete stages and their inputs (stages.json); the settings (flags.cfg); versions, machine and
commands (run.json).
"""

import json
import pathlib
import platform
import socket
import sys
import time
from importlib import metadata

from okd_tf import claims, errors, fields, files, json_file, progress, stages_file, version
from okd_tf import settings as all_settings
from okd_tf.teachers import teacher

MISSING = "missing"  # in a key, for a file that is not there

NOT_RUN = "has not run"
OTHER_INPUTS = "ran with other inputs"

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "ai-edge-litert")


def complete(context, stage):
    """Run a stage unless it is complete for its current inputs; the chief decides this for all workers.

    Raises:
        UserError: a required stage is not complete, or the stage's work raises it.
    """
    key = context.crew.agree(lambda: _begin(context, stage))
    started = time.monotonic()
    if key is not None:
        if stage.together:
            stage.work(context)
        else:
            context.crew.lead(lambda: stage.work(context))
    context.crew.lead(
        lambda: key is None or _end(context, stage, key, time.monotonic() - started),
        shows=context.workdir / stage.folder if stage.folder else None,
    )


def _begin(context, stage):
    """Prepare a stage that is going to run, and return its key; None if it is complete or not needed."""
    needless = stage.needless(context)
    if needless:
        progress.say(f"{stage.name}: not needed ({needless})")
        return None
    require(context, stage, stage.needs(context))
    if not outdated(context, stage):
        progress.say(f"{stage.name}: complete, not run again")
        return None
    key, before = _key(context, stage), _stored(context).get(stage.name)
    anew = before is None or before["key"] != key
    if anew:
        if before is not None:
            changed = ", ".join(_changed(before["key"], key))
            progress.say(f"{stage.name}: redone, since these changed: {changed}")
        _set_aside(context, stage)
    # What the page says of this stage is no longer so; the report stage writes it again.
    files.remove(context.workdir / "report.md")
    _store(context, stage, {"key": key, "complete": False, "seconds": 0.0})
    if anew and stage.folder:
        # Nor does anybody go on who has come there since, before the new inputs were known.
        claims.remove(context.workdir / stage.folder / claims.FOLDER)
    return key


def _end(context, stage, key, seconds):
    """Record that a stage is complete."""
    seconds = round(seconds, 1)
    _store(context, stage, {"key": key, "complete": True, "seconds": seconds})
    progress.say(f"{stage.name}: complete, {progress.duration(seconds)} in this call")


def require(context, stage, needed):
    """Raise UserError unless each required stage is complete for its current inputs, or not needed."""
    for other in needed:
        why = "" if other.needless(context) else outdated(context, other)
        mend = f"run it first, as with tools/search.py --stages={other.name},{stage.name}"
        if why.startswith(OTHER_INPUTS) or (not why and not _holds(context, other)):
            why = why or f"rests on a stage that {OTHER_INPUTS}"
            mend = (
                "run tools/search.py without --stages to redo all that changed, or use another --workdir and "
                "give it what is to stay by --teachers and --arch"
            )
        if why:
            raise errors.UserError(
                f"{stage.name}: needs the {other.name} stage, which {why} in {context.workdir}; {mend}"
            )


def outdated(context, stage):
    """Return the reason why a stage's files are not its current result, or ""."""
    entry = _stored(context).get(stage.name)
    if entry is None:
        return NOT_RUN
    changed = list(_changed(entry["key"], _known_key(context, stage, entry)))
    if changed:
        return f"{OTHER_INPUTS} ({', '.join(changed)})"
    if not entry["complete"]:
        return "is not finished"
    return "" if stage.leaves(context) else "has lost some of its files"


def of_other_data(context):
    """Return the names of the stages that ran with other splits than the current ones."""
    now = json.loads(json.dumps(context.split_record))
    return [name for name, entry in _stored(context).items() if entry["key"]["splits"] != now]


def is_underway(context, stage):
    """Return whether a stage has started but is not complete, with the same inputs as here."""
    entry = _stored(context).get(stage.name)
    return entry is not None and not entry["complete"] and entry["key"] == _key(context, stage)


def current(context, stages):
    """Return the names of the stages whose results are valid, as are those of all stages they require."""
    return {
        stage.name
        for stage in stages
        if not stage.needless(context)
        and not outdated(context, stage)
        and all(_holds(context, other) for other in stage.needs(context))
    }


def _holds(context, stage):
    """Return whether a stage and all that it requires ran with the current inputs; its files may be gone."""
    if stage.needless(context):
        return True
    entry = _stored(context).get(stage.name)
    if entry is None or not entry["complete"]:
        return False
    changed = any(_changed(entry["key"], _known_key(context, stage, entry)))
    return not changed and all(_holds(context, other) for other in stage.needs(context))


def describe(context):
    """Write flags.cfg, in which open settings stay open, and run.json.

    run.json has versions, seeds, splits, the plan, teachers, and each command with its host.
    """
    commands = _commands(context)
    files.write_text(context.workdir / all_settings.FLAGFILE, all_settings.flagfile(context.requested))
    command = {
        "arguments": sys.argv,
        "host": socket.gethostname(),
        "machine": platform.platform(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    _write_description(context, [*commands, command])


def describe_teachers(context):
    """Update the teachers' hashes in run.json."""
    _write_description(context, _commands(context))


def replicas(workdir):
    """Return the number of devices over which a workdir's run last split its batches; None if unknown."""
    try:
        return fields.read(workdir / "run.json")["plan"]["replicas"].whole(1)
    except errors.UserError:
        return None  # not there, not whole, or of a version without a plan


def _commands(context):
    """Return the commands of earlier calls from run.json."""
    path = context.workdir / "run.json"
    if not path.exists():
        return []
    described = fields.read(path, mend="delete it, and it is written again")
    return [command.value for command in described["commands"].items()]


def _write_description(context, commands):
    paths = context.teaching.teacher_paths()
    teachers = [{"file": path.name, "sha256": teacher.content_hash(path)} for path in paths]
    json_file.write(
        context.workdir / "run.json", {**description(context), "teachers": teachers, "commands": commands}
    )


def description(context):
    """Return run.json's entries that depend on no file: versions, seed, splits, plan; as JSON values."""
    described = {
        "okd_tf": version.VERSION,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "seed": context.settings.seed,
        "split": context.split_record,
        "plan": context.plan_record,
    }
    return json.loads(json.dumps(described))


def _stored(context):
    return stages_file.read(context.workdir / all_settings.STAGES_FILE)


def _store(context, stage, entry):
    # Read again: another tool may have recorded a stage since.
    json_file.write(context.workdir / all_settings.STAGES_FILE, {**_stored(context), stage.name: entry})


def _set_aside(context, stage):
    """Rename the existing folders of a stage that starts from scratch."""
    if not stage.folder:
        return
    # Who is at work there with the inputs from before stops when they are gone.
    claims.remove(context.workdir / stage.folder / claims.FOLDER)
    for folder in (context.workdir / stage.folder, context.workdir / "logs" / stage.folder):
        if folder.exists():
            progress.say(f"{stage.name}: what was in {folder} is now in {files.set_aside(folder)}")


def _key(context, stage):
    """Return all inputs that a stage's result depends on, as read back from JSON."""
    values = {name: all_settings.text(getattr(context.settings, name)) for name in stage.settings(context)}
    contents = {label: _content(what) for label, what in stage.reads(context).items()}
    key = {"splits": context.split_record, "settings": values, "files": contents}
    return json.loads(json.dumps(key))


def _known_key(context, stage, entry):
    """Return the key, in which an input file deleted since the stage was complete counts as unchanged."""
    key = _key(context, stage)
    for label, content in key["files"].items():
        if content == MISSING and entry["complete"]:
            key["files"][label] = entry["key"]["files"].get(label, content)
    return key


def _content(what):
    if isinstance(what, pathlib.Path):
        return files.sha256(what) if what.exists() else MISSING
    return what


def _changed(before, now):
    for part in ("splits", "settings", "files"):
        for name in sorted({*before[part], *now[part]}):
            if before[part].get(name) != now[part].get(name):
                yield f"--{name}" if part == "settings" else name
