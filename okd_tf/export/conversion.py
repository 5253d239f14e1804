"""TFLite's converter, asked in a process of its own: whatever happens there, this one goes on."""

import atexit
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

from okd_tf import files
from okd_tf.export import converter


class FailedError(Exception):
    """A conversion that failed; the text is what the converter said, or by which signal its process ended."""

    def __init__(self, said: str, crashed: bool = False):
        """Take what was said, and whether the process ended of it."""
        super().__init__(said)
        self.crashed = crashed


class _Worker:
    """One a process: the converter's process, started when it is first wanted."""

    process: "subprocess.Popen[bytes] | None" = None


def start() -> None:
    """Start the process, which takes seconds, unless it is there; returns at once."""
    if _Worker.process is not None and _Worker.process.poll() is None:
        return
    stop()  # of one that has ended, its pipes are still open
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": "-1"}
    _Worker.process = subprocess.Popen(
        # -P: beside it lie files with names of other modules.
        [sys.executable, "-P", converter.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **quiet},
        # Ctrl-C is for this process alone, which then ends that one.
        start_new_session=True,
    )


def stop() -> None:
    """End the process, if there is one."""
    process, _Worker.process = _Worker.process, None
    if process is None:
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        # What was written when it was gone already is still to be flushed.
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


atexit.register(stop)


def convert(folder: files.PathLike, signature: str, int8: bool) -> tuple[bytes, str]:
    """Convert a SavedModel.

    Args:
        folder: of the names in `converter`: its SavedModel, and for 8 bits images; the TFLite file is
            written there as well.
        signature: which one of its functions.
        int8: whether to convert to 8 bits, else to float32.

    Returns:
        The TFLite file, and what the runtime said that cannot run it, or "".

    Raises:
        FailedError: it cannot be converted.
    """
    request = {"folder": os.path.abspath(folder), "signature": signature, "int8": int8}
    code = 0
    for _ in range(2):
        answer = _ask(json.dumps(request).encode() + b"\n")
        if answer:
            break
        code = _Worker.process.wait()
        stop()
        if code:
            break
        # It had nothing to do for long, and left at this moment.
    if not answer:
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise FailedError(f"its process ended by {ended}", crashed=True)
    found = json.loads(answer)
    if found["failed"] is not None:
        raise FailedError(found["failed"])
    return (pathlib.Path(folder) / converter.NETWORK).read_bytes(), found["refused"] or ""


def _ask(line):
    """Return what the process answers; nothing if it ends."""
    start()
    try:
        with contextlib.suppress(BrokenPipeError):
            _Worker.process.stdin.write(line)
            _Worker.process.stdin.flush()
        return _Worker.process.stdout.readline()
    except BaseException:
        stop()
        raise
