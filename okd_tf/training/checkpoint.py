"""Checkpoints: the state of a training as one flat list of variables, saved with its step.

    checkpoints/step_0000000120/
        variables.index, variables.data-...   written by tf.train.Checkpoint
        manifest.json                         the step, and the SHA-256 of each file

The list is flat because object-based checkpoints silently omit layers held in Python lists. A folder gets its
name only once all its files are on the disk, the manifest last. So a kill leaves complete checkpoints only,
and later damage on the disk is detected by the checksums.
"""

import json
import pathlib
import re

import tensorflow as tf

from okd_tf import errors, fields, files, memory, progress
from okd_tf.training import crew

FORMAT = 1
KEPT = 2
MANIFEST = "manifest.json"
_VARIABLES = "variables"
_NAME = re.compile(r"step_(\d{10})")


class Checkpointer:
    """Reader and writer of the last two checkpoints of a training in a folder."""

    def __init__(self, folder, variables, workers=None):
        """Create the checkpointer.

        Args:
            folder: folder of the checkpoints.
            variables: every variable of the training: model, metrics, optimizers.
            workers: the worker group that trains; its chief reads and writes. None: this process alone.
        """
        self._folder = pathlib.Path(folder)
        self._workers = workers or crew.Alone()
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        unique = {id(variable): variable for variable in variables}
        self._state = [variable.value for variable in unique.values()]
        self._kept = self._workers.copies(self._state)
        self._checkpoint = tf.train.Checkpoint(step=self._step, state=self._kept)

    def restore(self):
        """Restore the newest readable checkpoint; return its step, or 0 if there is none.

        Skip unreadable checkpoints with a warning. Errors of exhausted memory are raised as they came.
        """
        step = self._workers.agree(self._read)
        if step and self._kept is not self._state:
            self._workers.share(self._kept)
            for variable, kept in zip(self._state, self._kept, strict=True):
                variable.assign(kept.numpy())
        return step

    def _read(self):
        files.remove_unfinished(self._folder)
        for step in reversed(steps(self._folder)):
            path = path_of(self._folder, step)
            try:
                verify(path)
                with files.literal(path) as folder:
                    self._checkpoint.read(f"{folder}/{_VARIABLES}").assert_consumed()
            except errors.UserError as error:
                reason = str(error)
            except Exception as error:  # TensorFlow raises many types for what does not fit
                if memory.line(error):
                    raise
                reason = f"{path}: {(str(error).splitlines() or [type(error).__name__])[0]}"
            else:
                return step
            progress.say(f"warning: checkpoint left out: {reason}; the one before is taken, if there is one")
        return 0

    def save(self, step):
        """Save the state as that of `step`; keep an intact checkpoint of the same step.

        Raises:
            UserError: the file system refuses; earlier checkpoints are unchanged.
        """
        if self._kept is not self._state:
            # What replicas hold parts of, such as metrics, all workers must read.
            for variable, kept in zip(self._state, self._kept, strict=True):
                kept.assign(variable.numpy())
        self._workers.lead(lambda: self._save(step))

    def _save(self, step):
        path = path_of(self._folder, step)
        if not _is_sound(path):
            self._step.assign(step)
            with files.replacing(path) as temporary:
                temporary.mkdir()
                self._write(temporary)
        there = steps(self._folder)
        # One of a later step is one that could not be read.
        for other in [*there[: there.index(step) + 1][:-KEPT], *there[there.index(step) + 1 :]]:
            files.remove(path_of(self._folder, other))

    def _write(self, folder):
        with files.literal(folder) as name:
            self._checkpoint.write(f"{name}/{_VARIABLES}")
        sums = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
        manifest = {"format": FORMAT, "step": int(self._step), "files": sums}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def path_of(folder, step):
    """Return the folder of the checkpoint of a step."""
    return pathlib.Path(folder) / f"step_{step:010}"


def steps(folder):
    """Return the steps of the checkpoints in a folder, ascending, without verifying the checkpoints."""
    folder = pathlib.Path(folder)
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(name[1]) for name in names if name)


def verify(path):
    """Verify that a checkpoint is complete and unchanged since it was written; return its manifest.

    Raises:
        UserError: it is not; the message names the file.
    """
    path = pathlib.Path(path)
    manifest = fields.read(path / MANIFEST, mend="delete its folder")
    if manifest["format"].whole() != FORMAT:
        raise manifest["format"].refusal(f"not a checkpoint of format {FORMAT}")
    if str(manifest["step"].whole(1)) != path.name.removeprefix("step_").lstrip("0"):
        raise manifest["step"].refusal("not that of its folder")
    sums = manifest["files"].entries()
    if set(sums) != {file.name for file in path.iterdir()} - {MANIFEST}:
        raise manifest["files"].refusal("not those that lie beside it")
    for name, digest in sums.items():
        if files.sha256(path / name) != digest.text():
            raise errors.UserError(f"{path / name}: damaged, its checksum is not the one in {MANIFEST}")
    return manifest.value


def _is_sound(path):
    try:
        verify(path)
    except errors.UserError:
        return False
    return True
