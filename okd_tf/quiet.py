"""Suppression of TensorFlow's console output while it converts models.

The converter is C++ that writes to file descriptor 2 past Python's streams and logging levels, so the
descriptors themselves are redirected for a while. The output is shown if the work fails.
"""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import BinaryIO, TextIO

from okd_tf import errors

_DESCRIPTORS = (1, 2)


class _Screen:
    """State of the process: the real standard output (stream, descriptor) during a redirection, or None."""

    held_back: "tuple[TextIO, int] | None" = None


def say(text: str) -> None:
    """Print text on standard output immediately, even while other output is held back."""
    if _Screen.held_back is None:
        print(text, end="", flush=True)
        return
    stream, descriptor = _Screen.held_back
    try:
        own = stream.fileno() in _DESCRIPTORS
    except (OSError, ValueError):
        own = False
    if own:
        os.write(descriptor, text.encode(errors="replace"))
    else:
        stream.write(text)
        stream.flush()


@contextlib.contextmanager
def output_held_back() -> Iterator[None]:
    """Hold back all output of this process inside the block, warnings included.

    After a UserError the output is dropped, since the message says enough; after any other exception it goes
    to standard error. Not thread-safe: descriptors belong to the process.
    """
    with tempfile.TemporaryFile() as held_back:
        try:
            with _redirected_to(held_back):
                yield
        except errors.UserError:
            raise
        except Exception:
            held_back.seek(0)
            sys.stderr.write(held_back.read().decode(errors="replace"))
            raise


@contextlib.contextmanager
def _redirected_to(file: BinaryIO) -> Iterator[None]:
    """Redirect descriptors 1 and 2 to a file, and Python's streams, which differ from them in a notebook."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Each callback runs even if an earlier one fails, so the terminal always comes back.
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for descriptor in _DESCRIPTORS:
            original = os.dup(descriptor)
            if descriptor == 1:
                stack.callback(setattr, _Screen, "held_back", _Screen.held_back)
                _Screen.held_back = _Screen.held_back or (sys.stdout, original)
            stack.callback(os.close, original)
            stack.callback(os.dup2, original, descriptor)
            os.dup2(file.fileno(), descriptor)
        stream = stack.enter_context(open(file.fileno(), "w", buffering=1, closefd=False))
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        yield
