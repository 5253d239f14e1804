"""What is wrong with prepared data that cannot be read, in one line."""

import re
from types import TracebackType

from okd_tf import errors, memory, quiet


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
        return unreadable(self._what, error, damaged(self._paths))


def unreadable(what: str, error: Exception, found: str = "") -> errors.UserError:
    """The error for prepared data that cannot be read."""
    return errors.UserError(
        f"--data_dir: {what} cannot be read ({found or reason(error)}); is it cut short? Delete that "
        "folder, and copy or prepare it again, as --download does"
    )


def damaged(paths: list[str]) -> str:
    """Which of some TFRecord files is damaged, and how; "" if none shows it by itself."""
    import tensorflow as tf

    for path in paths:
        try:
            if not tf.io.gfile.stat(path).length:
                return f"{path} is empty"
            for _ in tf.data.TFRecordDataset(path):
                pass
        except tf.errors.OpError as error:
            return f"{path}: {reason(error)}"
    return ""


def reason(error: Exception) -> str:
    """What an error says in one line, without TensorFlow's names of nodes."""
    said = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error)).strip()
    return (said.splitlines() or [type(error).__name__])[0][:200]
