"""Leases by files: they give each job to one of the processes that share a folder, without a server.

A claim (lease) is a file that names its owner. The owner touches it every few seconds; a claim that was not
touched for `SECONDS`, or whose process on this host has ended, is expired, and another process may replace
it. An owner that was suspended for that long finds that it has lost the claim. Times are those of the file
system, so the clocks of the hosts need not agree.

Claims are made and removed under a lock of the operating system, so that a claim cannot change between the
check and the action that follows it.
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
    """Loss of a claim to another process, which does the job now."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """The owner of a claim.

    Attributes:
        host: name of the host.
        pid: process id.
        machine: distinguishes hosts of the same name, and a host from itself before its last boot.
        started: start time of the process in the system's own count; distinguishes it from a later process of
            the same id.
        token: unique to this claim.
    """

    host: str
    pid: int
    machine: str
    started: str
    token: str

    def __str__(self) -> str:
        """Return the owner in words, for messages."""
        return f"process {self.pid} on {self.host[:80]}" if self.pid else "another process"

    @property
    def is_dead(self) -> bool:
        """Return whether the process is known to have ended; False for other hosts, where this is unknown."""
        return bool(self.machine) and self.machine == _machine() and not _runs(self.pid, self.started)


_NOBODY_KNOWN = Holder("", 0, "", "", "")


class Claims:
    """The claims in one folder; each is the file of one job."""

    def __init__(self, folder: files.PathLike, seconds: float = SECONDS):
        """Create the claims of a folder.

        Args:
            folder: folder of the claim files, created when first needed.
            seconds: time without a touch after which a claim is expired.
        """
        self._folder = pathlib.Path(folder)
        self._seconds = seconds

    def take(self, job: str) -> "Claim | None":
        """Return a claim of this process to a job; None if another owns it, or the folder's parent is gone.

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
        """Return the owner of a job's claim; None if the job is free."""
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
    """Remove a folder with all its claims, which ends them.

    Raises:
        UserError: the file system refuses.
    """
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
    """A claim of this process: a context manager that touches it inside the block and releases it on exit.

    Attributes:
        before: owner of the expired claim that this one replaced, or None.
    """

    def __init__(self, path: pathlib.Path, own: Holder, before: Holder | None, interval: float):
        """Create the claim from what `Claims.take` has written; `interval` is the seconds between touches."""
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
        """Raise LostError unless this process still owns the claim; UserError if the file cannot be read."""
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
    """Keep other processes and threads from making or removing claims in an existing folder.

    Raises:
        FileNotFoundError: the folder does not exist.
        Timeout: of filelock; another process holds the lock for too long.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    with filelock.FileLock(folder / _LOCK, timeout=_TURN_SECONDS, poll_interval=0.01):
        yield


def _write(path: pathlib.Path, own: Holder) -> None:
    """Write a new claim file; remove it again if the file system refuses its content.

    Raises:
        OSError: the file exists already, or the file system refuses.
    """
    with path.open("x", encoding="utf-8") as file:
        try:
            file.write(json.dumps(dataclasses.asdict(own)))
            file.flush()
        except OSError:
            path.unlink()
            raise


def _read(path: pathlib.Path) -> tuple[Holder, float] | None:
    """Return the owner of a claim and the time of its last touch; None if there is no claim."""
    try:
        # Opened first: of an open file the time is the file system's, and not what this host remembers.
        with path.open("rb") as file:
            return _holder(file.read()), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None


def _holder(content: bytes) -> Holder:
    """Return the owner in a claim's content; `_NOBODY_KNOWN` if it was cut short by a kill."""
    try:
        said: Any = json.loads(content)
        texts = (str(said[name]) for name in ("machine", "started", "token"))
        return Holder(str(said["host"]), int(said["pid"]), *texts)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return _NOBODY_KNOWN


def _now(folder: pathlib.Path) -> float:
    """Return the time by the clock of the folder's file system."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
        os.utime(file.name)
        return os.fstat(file.fileno()).st_mtime


def _this_process() -> Holder:
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, _machine(), _started(pid), secrets.token_hex(8))


@functools.cache
def _machine() -> str:
    """Return an id of this boot and process namespace, in which process ids are unique; "" if unknown."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _runs(pid: int, started: str) -> bool:
    """Return whether the process of this id on this host runs and has this start time."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return _started(pid) == started


def _started(pid: int) -> str:
    """Return the start time of a process in its system's own count; "dead" for a zombie, "" if unknown."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # After its name in parentheses: the state, and as the 20th the time.
    fields = stat.rpartition(")")[2].split()
    return "dead" if fields[0] in "ZX" else fields[19]
