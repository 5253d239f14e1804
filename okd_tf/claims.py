"""Claims: which of the processes that share a folder does which job, with no server between them.

A claim is a file that says who made it. Its holder touches it every few seconds; one that nobody has touched
for `SECONDS`, or whose process on this host is gone, is over, and whoever comes next may put their own in its
place. A holder that was away for so long, as a suspended machine is, finds that its claim is not its own any
more. Times are the file system's own, so the clocks of the hosts need not agree.

Claims are made and removed in turns, by a lock of the operating system: what one saw of a claim still holds
when it acts on it.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import filelock

from okd_tf import files

FOLDER = ".claims"
SECONDS = 60.0
_BEATS = 12  # touches within that time
_TURN_SECONDS = 10.0
_LOCK = ".lock"


class LostError(Exception):
    """A claim is not its holder's any more; whoever has it now does the job."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who made a claim.

    Attributes:
        host: its name.
        pid: the process.
        machine: tells a host from others of its name, and from itself before it was booted again.
        started: when the process was, as its system says it; tells it from a later one of the same number.
        token: of this claim alone.
    """

    host: str
    pid: int
    machine: str
    started: str
    token: str

    def __str__(self) -> str:
        """As a user reads it."""
        return f"process {self.pid} on {self.host[:80]}" if self.pid else "another process"

    @property
    def is_dead(self) -> bool:
        """Whether it is known to be gone; of other hosts that is not known."""
        return bool(self.machine) and self.machine == _machine() and not _runs(self.pid, self.started)


_NOBODY_KNOWN = Holder("", 0, "", "", "")


class Claims:
    """The claims in one folder, each the file of a job."""

    def __init__(self, folder: files.PathLike, seconds: float = SECONDS):
        """Takes the folder, which is made when it is needed, and after how long a claim is over."""
        self._folder = pathlib.Path(folder)
        self._seconds = seconds

    def take(self, job: str) -> "Claim | None":
        """A claim of this process to a job; None if another holds it, or the folder's own folder is gone.

        Raises:
            UserError: the file system refuses.
        """
        path = self._path(job)
        own = _this_process()
        try:
            self._folder.mkdir(exist_ok=True)
            with _turn(self._folder):
                there = _read(path)
                if there is not None:
                    if not self._is_over(*there):
                        return None
                    path.unlink()
                _write(path, own)
        except (FileNotFoundError, filelock.Timeout):
            return None
        except OSError as error:
            # The folder may go after it was found there, and before it is looked at.
            if isinstance(error, FileExistsError) and (self._folder.is_dir() or not self._folder.exists()):
                return None
            raise files.write_error(path, error) from error
        return Claim(path, own, there[0] if there else None, self._seconds / _BEATS)

    def holder(self, job: str) -> Holder | None:
        """Who holds a job; None if it is free."""
        try:
            there = _read(self._path(job))
            return None if there is None or self._is_over(*there) else there[0]
        except FileNotFoundError:  # the folder is gone
            return None

    def _path(self, job: str) -> pathlib.Path:
        return self._folder / re.sub(r"[^\w.-]", "_", job)

    def _is_over(self, holder: Holder, touched: float) -> bool:
        return holder.is_dead or _now(self._folder) - touched > self._seconds


def remove(folder: files.PathLike) -> None:
    """Ends all claims in a folder, and removes it."""
    folder = pathlib.Path(folder)
    # Out of the way at once: others may be about to put something there.
    aside = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.write_error(folder, error) from error
    shutil.rmtree(aside, ignore_errors=True)


class Claim:
    """A claim of this process, kept alive while it is entered and released on the way out.

    Attributes:
        before: whose claim it took the place of, or None.
    """

    def __init__(self, path: pathlib.Path, own: Holder, before: Holder | None, interval: float):
        """Takes what `Claims.take` has made, and how often it is touched, in seconds."""
        self.before = before
        self._path = path
        self._own = own
        self._interval = interval
        self._lost = False
        self._ended = threading.Event()
        # A daemon: a process that ends in any way takes its heartbeat with it.
        self._thread = threading.Thread(target=self._beat, name=f"claim {path.name}", daemon=True)

    def __enter__(self) -> "Claim":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError, filelock.Timeout), _turn(self._path.parent):
            if self._is_own():
                self._path.unlink()

    def check(self) -> None:
        """Raises LostError unless the claim is this process's still; UserError if that cannot be known."""
        try:
            if self._lost or not self._is_own():
                raise LostError("another process has taken over, since this one was not heard of for long")
        except OSError as error:
            raise files.write_error(self._path, error) from error

    def _is_own(self) -> bool:
        there = _read(self._path)
        return there is not None and there[0] == self._own

    def _beat(self) -> None:
        while not self._ended.wait(self._interval):
            # What the file system refuses now it may allow the next time.
            with contextlib.suppress(OSError):
                if not self._is_own():
                    self._lost = True
                    return
                os.utime(self._path)


@contextlib.contextmanager
def _turn(folder: pathlib.Path) -> Iterator[None]:
    """Keeps all other processes and threads from making and removing claims in a folder that is there.

    Raises:
        Timeout: of filelock, since somebody takes long.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    with filelock.FileLock(folder / _LOCK, timeout=_TURN_SECONDS, poll_interval=0.01):
        yield


def _write(path: pathlib.Path, own: Holder) -> None:
    """Makes a claim that is not there; it is not there either if the file system refuses what is in it."""
    with path.open("x", encoding="utf-8") as file:
        try:
            file.write(json.dumps(dataclasses.asdict(own)))
            file.flush()
        except OSError:
            path.unlink()
            raise


def _read(path: pathlib.Path) -> tuple[Holder, float] | None:
    """Who made a claim, and when it was touched last; None if there is none."""
    try:
        # Opened first: of an open file the time is the file system's, and not what this host remembers.
        with path.open("rb") as file:
            return _holder(file.read()), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None


def _holder(content: bytes) -> Holder:
    """What a claim says; it may be cut short, if its process was killed while it wrote it."""
    try:
        said: Any = json.loads(content)
        texts = (str(said[name]) for name in ("machine", "started", "token"))
        return Holder(str(said["host"]), int(said["pid"]), *texts)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return _NOBODY_KNOWN


def _now(folder: pathlib.Path) -> float:
    """The time by the clock of the folder's file system."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
        os.utime(file.name)
        return os.fstat(file.fileno()).st_mtime


def _this_process() -> Holder:
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, _machine(), _started(pid), secrets.token_hex(8))


@functools.cache
def _machine() -> str:
    """Names the host, since it was booted, where process numbers mean the same; "" if it cannot be told."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _runs(pid: int, started: str) -> bool:
    """Whether a process of this host is the one that was started then, and not dead."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return _started(pid) == started


def _started(pid: int) -> str:
    """When a process was started, in its system's own count; "dead" of one that only waits to be buried."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # After its name in parentheses: the state, and as the 20th the time.
    fields = stat.rpartition(")")[2].split()
    return "dead" if fields[0] in "ZX" else fields[19]
