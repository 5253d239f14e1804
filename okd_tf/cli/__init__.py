"""The command line: a flag for each setting, flagfiles, flags recorded in workdirs, one-line errors.

`command_line` defines the flags, `recorded` reads those that a workdir has recorded; this module starts and
ends a tool. A tool that runs pipeline stages calls `cli.main(stages)`, whose work is in `okd_tf.pipeline`;
any other tool calls `cli.start(work)`.
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
    """Run a pipeline tool: parse the command line, then run `stages`; None means those of --stages."""
    define(settings.FIELDS)
    start(lambda: _run_stages(stages))


def start(work, stopped=GOES_ON):
    """Run a tool: parse the command line, call `work()`, and end user errors in one line.

    `define` and the tool's own flags must be called before.

    Args:
        work: the tool's work.
        stopped: message shown on interruption: how to resume.
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
    """Hold the workdir's lock while these stages run; with several workers only the chief holds it.

    Raises:
        UserError: another run holds it; or TF_CONFIG does not name the workers.
    """
    spread = chosen.distribution == "multi_worker" and set(names) & set(settings.choices.TRAINING)
    if spread and cluster.read().number:
        yield
        return
    with lock.holding(chosen.workdir):
        yield


def refuse_workers(chosen, what, why):
    """Raise UserError if several workers are configured for work that a single process does."""
    if chosen.distribution == "multi_worker":
        raise errors.UserError(f"{what}: {why}; add --distribution=none, or mirrored")


def refuse_stages():
    """Raise UserError if --stages is given to a tool with fixed stages."""
    if flags.FLAGS["stages"].present:
        raise errors.UserError("--stages: this tool has stages of its own; use tools/search.py to choose")


def refuse_join():
    """Raise UserError if --join is given to a tool whose work cannot be shared."""
    if flags.FLAGS["join"].value:
        raise errors.UserError(
            "--join: nothing is shared of what is done here; tools/search.py and train_teachers.py take it"
        )


def _refuse_without_teachers(chosen):
    """Raise UserError if, as known without reading data, --join has no teachers to train."""
    stage = stages_file.read(pathlib.Path(chosen.workdir) / settings.STAGES_FILE).get("teachers")
    why = "is complete" if stage and stage["complete"] else "" if stage else "has not begun yet"
    if why:
        raise errors.UserError(
            f"--join: nothing to do in {chosen.workdir}: the teachers stage of its run {why}, and that alone "
            "is shared; leave --join out to go on with the run"
        )


def import_tensorflow():
    """Import TensorFlow, without the lines it prints about the machine."""
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
