"""What is said of data that cannot be read, in one line."""

import re

from okd_tf import errors


def unreadable(what: str, error: Exception, found: str = "") -> errors.UserError:
    """The error for prepared data that cannot be read."""
    return errors.UserError(
        f"--data_dir: {what} cannot be read ({found or reason(error)}); is it cut short? Delete that "
        "folder, and copy or prepare it again, as --download does"
    )


def reason(error: Exception) -> str:
    """What an error says in one line, without TensorFlow's names of nodes."""
    said = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error)).strip()
    return (said.splitlines() or [type(error).__name__])[0][:200]
