"""A terminal that stays clean while TensorFlow converts.

The converter is C++ that writes to file descriptor 2 past Python's streams and logging levels, so the
descriptors themselves are pointed elsewhere for a while. What was written is shown if the work fails.
"""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import BinaryIO

from okd_tf import errors


@contextlib.contextmanager
def output_held_back() -> Iterator[None]:
    """Holds back what anything in this process prints, warnings included.

    A UserError says all that its reader needs; after any other exception what was held back goes to
    standard error. Not for two threads at once: descriptors belong to the process.
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
    """Points descriptors 1 and 2 at a file, and Python's streams, which in a notebook are not these."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Each callback runs even if an earlier one fails, so the terminal always comes back.
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for descriptor in (1, 2):
            original = os.dup(descriptor)
            stack.callback(os.close, original)
            stack.callback(os.dup2, original, descriptor)
            os.dup2(file.fileno(), descriptor)
        stream = stack.enter_context(open(file.fileno(), "w", buffering=1, closefd=False))
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        yield
