"""Settings of a run: the flags given now, and for all others those that its workdir has recorded."""

import os
import pathlib

from absl import flags

from okd_tf import errors, settings, sources, stages_file
from okd_tf.cli import command_line


def resolve():
    """Return the `Settings` of the flags given now and, for the others, of the workdir's flags.cfg."""
    workdir = flags.FLAGS["workdir"].value
    path = pathlib.Path(workdir) / settings.FLAGFILE
    recorded = bool(workdir) and _is_there(path)
    contradicts = ""
    if workdir and flags.FLAGS["join"].value:
        _join(path)
    elif recorded:
        contradicts = _adopt(path)
    elif workdir and _used(path.parent / settings.STAGES_FILE) and not flags.FLAGS["redo"].value:
        raise errors.UserError(
            f"{path}: no such file, but the workdir holds results; write the flags they were made with "
            "into it again, or add --redo with all flags of the run"
        )
    try:
        chosen = settings.Settings(**{name: _given(name) for name in settings.FIELDS})
    except errors.UserError as error:
        raise errors.UserError(f"{error}{f' (or mend {path})' if recorded else ''}") from None
    # Not before: nobody is to accept with --redo what is then refused.
    if contradicts:
        raise errors.UserError(contradicts)
    refuse_missing(chosen)
    return chosen


def refuse_missing(chosen):
    """Raise UserError naming an input that is missing, before the seconds that TensorFlow takes to import.

    Data is always needed. A workdir with results may not need some other inputs any more; there the stage
    that reads them raises the error.
    """
    sources.look(chosen.request)
    if _used(pathlib.Path(chosen.workdir) / settings.STAGES_FILE):
        return
    for name in sorted(command_line.INPUTS):
        given = getattr(chosen, name)
        for path in given if isinstance(given, tuple) else [given]:
            if command_line.is_path(name, path):
                _refuse_missing_path(name, path, given)


def _refuse_missing_path(name, path, given):
    if path and "://" not in path and not os.path.exists(path):
        several = isinstance(given, tuple) and len(given) > 1
        mend = "mend the path"
        if set(path) & set("*?["):
            mend += " (patterns are not filled in; a folder stands for the networks in it)"
        mend += " (a comma begins another path, and cannot be in one)" if several else ""
        raise errors.UserError(f"--{name}: {path}: no such file or folder; {mend}")


def _given(name):
    """Return the value of a setting's flag, with absolute paths."""
    return command_line.absolute(name, command_line.value(name))


def _is_there(path):
    try:
        return path.exists()
    except OSError as error:
        raise errors.UserError(
            f"--workdir: {str(path.parent)[:200]}: {error.strerror}; name another folder"
        ) from None


def _adopt(path):
    """Set flags not given now from the workdir's record; return in words those given that contradict it.

    A setting that no stage of the workdir has used yet may still change.
    """
    used = _used(path.parent / settings.STAGES_FILE)
    differences = _take_over(path, used) if used else []
    if not differences or flags.FLAGS["redo"].value:
        return ""
    return (
        f"--workdir: {path.parent} holds a run with other flags: {'; '.join(differences)}. Use another "
        "--workdir, or add --redo to change this run (stages that depend on them run again)"
    )


def _join(path):
    """Set flags from the record of the run to join; refuse flags that would give other results."""
    if not path.exists():
        raise errors.UserError(
            f"--join: {path.parent} holds no run to help ({path.name} is not there); start one there without "
            "--join first, or name its folder by --workdir"
        )
    decide = {name for name, field in settings.FIELDS.items() if field.metadata["kind"] == settings.RESULT}
    for name in ("redo", "student", "check_bank"):
        if flags.FLAGS[name].value:
            raise errors.UserError(f"--{name}: is for the run itself, which --join only helps; leave it out")
    differences = _take_over(path, decide)
    if differences:
        raise errors.UserError(
            f"--join: the run in {path.parent} has other flags: {'; '.join(differences)}. Leave them out"
        )


def _take_over(path, decisive):
    """Set flags not given now from a workdir's record; return those of `decisive` that contradict it."""
    recorded = _read_flagfile(path)
    differences = []
    for name, field in settings.FIELDS.items():
        if field.metadata["kind"] == settings.ONCE or name == "workdir" or name not in recorded:
            continue
        there, here = recorded[name], settings.text(_given(name))
        if not flags.FLAGS[name].present:
            try:
                flags.FLAGS[name].parse(there)
            except flags.Error:
                raise errors.UserError(
                    f"{path}: --{name}={there} is not a value of this flag; mend it"
                ) from None
        elif there != here and name in decisive:
            differences.append(f"--{name} is {_said(name, there)} there, {_said(name, here)} here")
    return differences


def _said(name, text):
    """Return a flag with its value, for a message."""
    is_open = name in settings.OPEN and text == settings.text(settings.OPEN[name])
    return f"{text} (left to the data)" if is_open else text or "empty"


def _used(path):
    """Return the settings that the results in a workdir depend on, from its record of stages."""
    stored = stages_file.read(path)
    names = {name for entry in stored.values() for name in entry["key"]["settings"]}
    inputs = {"teachers"} & set(stored)
    if {"search", "student", "baseline"} & set(stored):
        inputs.add("arch")
    if names & set(settings.OPEN):
        inputs.add("effort")
    return names | settings.SPLIT | inputs if stored else set()


def _read_flagfile(path):
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"{path}: cannot be read ({error}); mend it") from None
    recorded = {}
    for line in lines:
        name, equals, value = line.removeprefix("--").partition("=")
        if line.startswith("--") and equals and name in settings.FIELDS:
            recorded[name] = value
        elif line and not line.startswith("#"):
            raise errors.UserError(
                f"{path}: '{line[:60]}' is not a flag as a run records it, --name=value; mend it"
            )
    return recorded
