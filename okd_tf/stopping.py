"""Stopping on SIGTERM, Ctrl-C or a closed terminal, at a point where nothing is lost.

A signal stops the program at once, unless it is in a section that must be finished first: a training step
with its checkpoint, or the renaming of a file. Then it stops at the end of the section; a second signal does
not wait. Nothing changes in a program that does not call `install`.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Request to end the program now, by the user or the system.

    Attributes:
        signum: number of the signal.
        where: the interrupted work, whose progress is saved, in a few words; or "".
    """

    def __init__(self, signum: int, where: str = ""):
        """Create the exception from the signal's number and what was interrupted."""
        super().__init__(signum, where)
        self.signum = signum
        self.where = where

    @property
    def exit_code(self) -> int:
        """Return the shell's exit code of a process ended by this signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum

    def __str__(self) -> str:
        """Return the message for the user."""
        by = "Ctrl-C" if self.signum == signal.SIGINT else signal.Signals(self.signum).name
        return f"stopped by {by}" + (f": {self.where}" if self.where else "")


class _State:
    """State of the process, as signals are per process."""

    asked = 0
    depth = 0


def install() -> None:
    """Install the signal handlers described in the module's docstring; clear an earlier stop request.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored.
    """
    _State.asked = 0
    for signum in SIGNALS:
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, _on_signal)


def _on_signal(signum: int, frame: FrameType | None) -> None:
    del frame
    again, _State.asked = _State.asked, signum
    if again or not _State.depth:
        raise Stopped(signum)


def asked() -> int:
    """Return the signal of a pending stop request, or 0."""
    return _State.asked


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Delay signals until the end of the block.

    Raises:
        Stopped: at the end of the outermost block, if a signal came.
    """
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if _State.asked and not _State.depth:
        raise Stopped(_State.asked)
