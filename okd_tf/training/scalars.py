"""TensorBoard scalars: each epoch's logs, and the figures of stages without epochs."""

import keras
import tensorflow as tf

from okd_tf import files


class ScalarWriter(keras.callbacks.Callback):
    """A Keras callback that writes each epoch's logs; the horizontal axis counts finished epochs."""

    def __init__(self, folder):
        """Create the callback, given the folder of this training's events."""
        super().__init__()
        self._folder = str(folder)
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        """Write the logs of an epoch."""
        with files.telling(self._folder):
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(self._folder)
            with self._writer.as_default(step=epoch + 1):
                for name, value in (logs or {}).items():
                    tf.summary.scalar(name, value)
            self._writer.flush()

    def on_train_end(self, logs=None):
        """Close the file."""
        if self._writer is not None:
            with files.telling(self._folder):
                self._writer.close()


def write(folder, values):
    """Write the figures of a stage without epochs: a dict of numbers."""
    with files.telling(folder), tf.summary.create_file_writer(str(folder)).as_default(step=0):
        for name, value in values.items():
            tf.summary.scalar(name, value)
