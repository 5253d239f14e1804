"""How a run is asked to stop, by SIGTERM, Ctrl-C or a terminal that closes, and when it does.

A signal stops the program where it is, unless it is in the middle of something that must be finished first: a
training step with its checkpoint, a file that takes another's place. There it stops at the end; a second
signal does not wait. Nothing changes in a program that does not call `install`.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The user, or the system in their name, wants the program to end now.

    Attributes:
        signum: the signal.
        where: what was going on and is safe, in a few words, or "".
    """

    def __init__(self, signum: int, where: str = ""):
        """Takes the signal's number and what was stopped."""
        super().__init__(signum, where)
        self.signum = signum
        self.where = where

    @property
    def exit_code(self) -> int:
        """What a shell gives for a process that ended by this signal: 130 of Ctrl-C, 143 of SIGTERM."""
        return 128 + self.signum

    def __str__(self) -> str:
        """As a user reads it."""
        by = "Ctrl-C" if self.signum == signal.SIGINT else signal.Signals(self.signum).name
        return f"stopped by {by}" + (f": {self.where}" if self.where else "")


class _State:
    """One a process, as signals are."""

    asked = 0
    depth = 0


def install() -> None:
    """From now on signals stop this program as the module says; forgets what was asked before.

    One that is ignored, as SIGHUP is under nohup, stays so.
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
    """The signal that wants this program to stop, or 0."""
    return _State.asked


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """What is done within is finished before a signal stops the program.

    Raises:
        Stopped: at the end of the outermost, if a signal came.
    """
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if _State.asked and not _State.depth:
        raise Stopped(_State.asked)
