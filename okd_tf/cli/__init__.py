"""The command line: a flag for each setting, flagfiles, workdirs that remember their flags, one-line errors.

What flags there are is in `command_line`, what a workdir remembers of them in `recorded`; here is how a
tool starts and ends. A tool of the spine is `cli.main(stages)`, and what it does is in `okd_tf.pipeline`; any
other tool is `cli.start(work)`.
"""

import contextlib
import os
import pathlib
import sys

from absl import app, flags, logging

from okd_tf import errors, lock, memory, quiet, settings, stages_file, stopping
from okd_tf.cli import command_line
from okd_tf.cli.command_line import define
from okd_tf.cli.recorded import resolve
from okd_tf.training import cluster

__all__ = [
    "define",
    "import_tensorflow",
    "main",
    "refuse_join",
    "refuse_stages",
    "refuse_workers",
    "resolve",
    "start",
]

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
    app.run(lambda argv: _run(work, stopped), flags_parser=command_line.parse)


def _run(work, stopped=GOES_ON):
    stopping.install()
    try:
        work()
    except errors.LostWorkerError as error:
        command_line.fail(error, EXIT_LOST_WORKER)
    except errors.UserError as error:
        command_line.fail(error)
    except Exception as error:
        why = memory.line(error)
        if not why:
            raise
        command_line.fail(f"{why}; {stopped}")
    except stopping.Stopped as stop:
        print(f"{stop}; {stopped}", file=sys.stderr)
        sys.exit(stop.exit_code)


def _run_stages(stages):
    if stages is not None:
        refuse_stages()
    chosen = resolve()
    names = chosen.stages if stages is None else stages(chosen)
    settings.checks.refuse_student(chosen, names)
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
            "--join: nothing is shared of what is done here; tools/search.py and train_teachers.py take it"
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
