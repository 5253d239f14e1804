"""The command line: a flag for each setting, flagfiles, workdirs that remember their flags, one-line errors.

A tool of the spine is `cli.main(stages)`, and what it does is in `okd_tf.pipeline`; any other tool is
`cli.start(work)`.
"""

import contextlib
import os
import pathlib
import sys

from absl import app, flags, logging

from okd_tf import errors, lock, memory, quiet, settings, stages_file, stopping
from okd_tf.training import cluster

INPUTS = settings.INPUTS | {"student", "bank", "backbone"}  # what must be there when it is named
_PLACES = {"workdir", "data_dir", "cache_dir", "tiny_imagenet_zip"}  # other paths
_NPZ = "npz:"  # what --dataset begins with where it names a file
EXIT_USER_ERROR = 2
EXIT_LOST_WORKER = 75  # of a failure that is not the program's, and that another try may mend (sysexits.h)
GOES_ON = "the same command goes on where it stopped"


def main(stages=None):
    """Runs a tool of the spine: parses the command line, then runs `stages`; None is what --stages names."""
    define(settings.FIELDS)
    start(lambda: _run_stages(stages))


def start(work, stopped=GOES_ON):
    """Runs a tool: parses the command line, then `work()`; what the user can mend ends in one line.

    `define` and the tool's own flags come before. `stopped` is said to who stops it, of how to go on.
    """
    app.run(lambda argv: _run(work, stopped), flags_parser=_parse)


def _run(work, stopped=GOES_ON):
    stopping.install()
    try:
        work()
    except errors.LostWorkerError as error:
        _fail(error, EXIT_LOST_WORKER)
    except errors.UserError as error:
        _fail(error)
    except Exception as error:
        why = memory.line(error)
        if not why:
            raise
        _fail(f"{why}; {stopped}")
    except stopping.Stopped as stop:
        print(f"{stop}; {stopped}", file=sys.stderr)
        sys.exit(stop.exit_code)


def _run_stages(stages):
    if stages is not None:
        refuse_stages()
    chosen = resolve()
    names = chosen.stages if stages is None else stages(chosen)
    if chosen.join:
        if "teachers" not in names:
            refuse_join()
        refuse_workers(chosen, "--join", "who joins helps alone")
        _refuse_without_teachers(chosen)
        import_tensorflow()
        from okd_tf import pipeline

        pipeline.join(chosen)
        return
    with _holding_workdir(chosen, names):
        import_tensorflow()
        # After the flags are known to be good: these imports take seconds.
        from okd_tf import pipeline

        pipeline.run(chosen, names)


@contextlib.contextmanager
def _holding_workdir(chosen, names):
    """Keeps other runs out of the workdir while these stages run; of many workers the chief does, for all.

    Raises:
        UserError: another run holds it; or TF_CONFIG does not say who the workers are.
    """
    spread = chosen.distribution == "multi_worker" and set(names) & set(settings.choices.TRAINING)
    if spread and cluster.read().number:
        yield
        return
    with lock.holding(chosen.workdir):
        yield


def refuse_workers(chosen, what, why):
    """Raises UserError if what is asked for is to be done by many workers together, which it is not."""
    if chosen.distribution == "multi_worker":
        raise errors.UserError(f"{what}: {why}; add --distribution=none, or mirrored")


def refuse_stages():
    """Raises UserError if --stages is given, to a tool that does not ask which."""
    if flags.FLAGS["stages"].present:
        raise errors.UserError("--stages: this tool has stages of its own; use tools/search.py to choose")


def refuse_join():
    """Raises UserError if --join is given, to a tool whose work is not shared."""
    if flags.FLAGS["join"].value:
        raise errors.UserError(
            "--join: nothing is shared of what is done here; tools/search.py, train_teachers.py and "
            "compare_strategies.py take it"
        )


def _refuse_without_teachers(chosen):
    """Raises UserError where it is known without reading data that --join has no teachers to train."""
    stage = stages_file.read(pathlib.Path(chosen.workdir) / settings.STAGES_FILE).get("teachers")
    why = "is complete" if stage and stage["complete"] else "" if stage else "has not begun yet"
    if why:
        raise errors.UserError(
            f"--join: nothing to do in {chosen.workdir}: the teachers stage of its run {why}, and that alone "
            "is shared; leave --join out to go on with the run"
        )


def refuse_missing(chosen):
    """Raises UserError naming an input that is not there, before the seconds that TensorFlow takes to import.

    A workdir with results may need it no more; there, the stage that takes it says so. Data is always needed.
    """
    _refuse_missing_data(chosen)
    if _used(pathlib.Path(chosen.workdir) / settings.STAGES_FILE):
        return
    for name in sorted(INPUTS):
        given = getattr(chosen, name)
        for path in given if isinstance(given, tuple) else [given]:
            if _is_path(name, path) and not os.path.exists(path):
                raise errors.UserError(f"--{name}: {path}: no such file or folder; mend the path")


def _refuse_missing_data(chosen):
    file = chosen.dataset.removeprefix(_NPZ) if chosen.dataset.startswith(_NPZ) else ""
    for name, path in (
        ("dataset", file),
        ("data_dir", chosen.data_dir if chosen.dataset == "folder" else ""),
        ("tiny_imagenet_zip", chosen.tiny_imagenet_zip),
    ):
        if path and not os.path.exists(path):
            raise errors.UserError(f"--{name}: {path}: no such file or folder; mend the path")


def _fail(error, exit_code=EXIT_USER_ERROR):
    print(f"error: {errors.one_line(str(error))}", file=sys.stderr)
    sys.exit(exit_code)


def define(names):
    """Defines the flags of these settings."""
    parsers = {
        int: (flags.IntegerParser, flags.ArgumentSerializer),
        float: (flags.FloatParser, flags.ArgumentSerializer),
        str: (flags.ArgumentParser, flags.ArgumentSerializer),
        tuple: (flags.ListParser, lambda: flags.CsvListSerializer(",")),
    }
    for name in names:
        field = settings.FIELDS[name]
        default = settings.default(field)
        if isinstance(default, bool):
            flag = flags.BooleanFlag(name, default, field.metadata["meaning"])
        else:
            parser, serializer = parsers[type(default)]
            default = list(default) if isinstance(default, tuple) else default
            flag = flags.Flag(parser(), serializer(), name, default, field.metadata["meaning"])
        # As flags of the tool that was started, so that --help lists them.
        flags.DEFINE_flag(flag, module_name=sys.argv[0])


def _parse(argv):
    try:
        rest = flags.FLAGS(argv)
    # Not UTF-8; and what absl raises while it looks for flags like one of a thousand letters.
    except (flags.Error, ValueError, RecursionError) as error:
        return _fail(f"{' '.join(str(error).split())[:400]}{_or_in_a_flagfile(argv)}")
    if rest[1:]:
        _fail(
            f"'{rest[1][:60]}' is not a flag; flags begin with two dashes, as in --workdir=runs/first"
            f"{_or_in_a_flagfile(argv)}"
        )
    return rest


def _or_in_a_flagfile(argv):
    """Where else than on the command line a wrong flag may stand, in words."""
    given = [
        after if each.lstrip("-") == "flagfile" else each.partition("=")[2]
        for each, after in zip(argv, [*argv[1:], ""], strict=True)
        if each.lstrip("-").partition("=")[0] == "flagfile"
    ]
    return f" (on the command line, or in {', '.join(given)})" if given else ""


def resolve():
    """The `Settings` that the flags given now and, for the others, the workdir's own flags.cfg say."""
    workdir = flags.FLAGS["workdir"].value
    path = pathlib.Path(workdir) / settings.FLAGFILE
    recorded = bool(workdir) and _is_there(path)
    if workdir and flags.FLAGS["join"].value:
        _join(path)
    elif recorded:
        _adopt(path)
    elif workdir and _used(path.parent / settings.STAGES_FILE) and not flags.FLAGS["redo"].value:
        raise errors.UserError(
            f"{path}: no such file, but the workdir holds results; write the flags they were made with "
            "into it again, or add --redo with all flags of the run"
        )
    try:
        chosen = settings.Settings(**{name: _absolute(name, value(name)) for name in settings.FIELDS})
    except errors.UserError as error:
        raise errors.UserError(f"{error}{f' (or mend {path})' if recorded else ''}") from None
    refuse_missing(chosen)
    return chosen


def _is_there(path):
    try:
        return path.exists()
    except OSError as error:
        raise errors.UserError(
            f"--workdir: {str(path.parent)[:200]}: {error.strerror}; name another folder"
        ) from None


def _adopt(path):
    """Takes what the workdir's run was told for flags not given now; refuses what contradicts it.

    What no stage of the workdir has used yet may still change.
    """
    used = _used(path.parent / settings.STAGES_FILE)
    if not used:
        return
    differences = _take_over(path, used)
    if differences and not flags.FLAGS["redo"].value:
        raise errors.UserError(
            f"--workdir: {path.parent} holds a run with other flags: {'; '.join(differences)}. Use another "
            "--workdir, or add --redo to change this run (stages that depend on them run again)"
        )


def _join(path):
    """Takes what the run that is to be helped was told; refuses what would give other results."""
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
    """Takes a workdir's own flags for those not given now; gives those of `decisive` that contradict it."""
    recorded = _read_flagfile(path)
    differences = []
    for name, field in settings.FIELDS.items():
        if field.metadata["kind"] == settings.ONCE or name == "workdir" or name not in recorded:
            continue
        there, here = recorded[name], settings.text(_absolute(name, value(name)))
        if not flags.FLAGS[name].present:
            try:
                flags.FLAGS[name].parse(there)
            except flags.Error:
                raise errors.UserError(
                    f"{path}: --{name}={there} is not a value of this flag; mend it"
                ) from None
        elif there != here and name in decisive:
            differences.append(f"--{name} is {there or 'empty'} there, {here or 'empty'} here")
    return differences


def _used(path):
    """The settings that the results in a workdir depend on, from its record of stages."""
    stored = stages_file.read(path)
    names = {name for entry in stored.values() for name in entry["key"]["settings"]}
    inputs = {"teachers"} & set(stored)
    if {"search", "student", "baseline"} & set(stored):
        inputs.add("arch")
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


def value(name):
    """The value of a setting's flag."""
    given = flags.FLAGS[name].value
    return tuple(given) if isinstance(given, list) else given


def _absolute(name, value):
    """Paths of inputs as they are from any working directory, since the workdir keeps them."""
    if isinstance(value, tuple) and name in settings.INPUTS:
        return tuple(_absolute(name, path) for path in value)
    if name == "dataset" and value.startswith(_NPZ) and value != _NPZ:
        return f"{_NPZ}{os.path.abspath(os.path.expanduser(value.removeprefix(_NPZ)))}"
    return os.path.abspath(os.path.expanduser(value)) if _is_path(name, value) else value


def _is_path(name, value):
    named = name in (INPUTS - {"backbone"}) | _PLACES
    return bool(value) and (named or (name == "backbone" and value.endswith(".keras"))) and "://" not in value


def import_tensorflow():
    """Imports TensorFlow without the lines it prints of the machine, which say nothing about the run."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet.output_held_back():
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
    logging.set_verbosity(logging.WARNING)
    if keras.backend.backend() != "tensorflow":
        raise errors.UserError(
            f"KERAS_BACKEND: okd_tf needs tensorflow, got {keras.backend.backend()}; unset it"
        )
