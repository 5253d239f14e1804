"""Prepared data that turns out to be damaged while it is read: told in one line, which names the file."""

from types import TracebackType

import tensorflow as tf

from okd_tf import errors, memory, quiet
from okd_tf.sources import damage


class Reading:
    """Turns what TFDS and TensorFlow raise, which is of many types, into one line; TFDS is kept quiet."""

    def __init__(self, what: str, paths: list[str]):
        """Takes what is read, for the line, and the TFRecord files to look for damage in."""
        self._what, self._paths = what, paths
        self._quiet = quiet.output_held_back()

    def __enter__(self) -> None:
        self._quiet.__enter__()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._quiet.__exit__(None, None, None)
        if not isinstance(error, Exception) or isinstance(error, errors.UserError) or memory.line(error):
            return
        raise self.unreadable(error) from None

    def unreadable(self, error: Exception) -> errors.UserError:
        """The error that it raises for another."""
        return damage.unreadable(self._what, error, _where(self._paths))


def _where(paths: list[str]) -> str:
    """Which of some TFRecord files is damaged, and how; "" if none shows it by itself."""
    for path in paths:
        try:
            if not tf.io.gfile.stat(path).length:
                return f"{path} is empty"
            for _ in tf.data.TFRecordDataset(path):
                pass
        except tf.errors.OpError as error:
            return f"{path}: {damage.reason(error)}"
    return ""
