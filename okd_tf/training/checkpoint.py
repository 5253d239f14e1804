"""The state of a training as one flat list of variables, saved and restored with its step.

A flat list, because object-based checkpoints omit layers held in Python lists without saying so.
"""

import logging
import pathlib

import tensorflow as tf


class Checkpointer:
    """Keeps the last two checkpoints of a training in a folder."""

    def __init__(self, folder, variables):
        """Takes the folder and every variable of the training: model, metrics, optimizers."""
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        unique = {id(variable): variable for variable in variables}
        state = [variable.value for variable in unique.values()]
        self._checkpoint = tf.train.Checkpoint(step=self._step, state=state)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    def restore(self):
        """Restores the newest checkpoint that can be read; returns its step, or 0 when there is none."""
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_consumed()
            except Exception as error:  # TensorFlow raises many types for a damaged file
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                logging.warning("checkpoint %s is damaged (%s); trying the one before", path, reason)
                continue
            return int(self._step)
        return 0

    def save(self, step):
        """Saves the state as that of `step`; saving the same step again does nothing."""
        if self._manager.latest_checkpoint and int(self._step) == step:
            return
        self._step.assign(step)
        pathlib.Path(self._manager.directory).mkdir(parents=True, exist_ok=True)
        self._manager.save(checkpoint_number=step)
