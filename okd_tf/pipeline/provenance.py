"""Provenance of a published result: commit, command and processor, without paths of this machine."""

import os
import pathlib
import platform
import subprocess

import okd_tf

_CHANGES = "+changes"  # after a commit whose code is not what ran
_CODE = ("okd_tf", "tools")


def commit():
    """Return the Git commit of this code's checkout, with "+changes" if the code differs from it; or ""."""
    root = pathlib.Path(okd_tf.__file__).resolve().parents[1]
    found = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    if not found:
        return ""
    changed = _git(root, "status", "--porcelain", "--", *_CODE)
    return f"{found.strip()}{_CHANGES if changed else ''}"


def _git(root, *arguments):
    """Return git's output; None if it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def processor():
    """Return the model name of the CPU, or the platform's name for it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def command(tool, arguments, without=(), as_given=("data_dir",)):
    """Return a command line with short paths: relative to the working directory, or the name alone.

    Args:
        tool: path of the tool as shown in the command.
        arguments: arguments of the command line, after the tool.
        without: names of flags to leave out, with their values.
        as_given: names of flags whose paths are not shortened.
    """
    shown, waiting = [], None
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        name = flag.lstrip("-") if argument.startswith("-") else None
        if name is not None and (name in without or name.removeprefix("no") in without):
            waiting = None if equals else name
            continue
        if name is None and waiting in without:
            waiting = None  # the value of a flag that is left out
            continue
        if name is None:
            shown.append(argument if waiting in as_given else _short(argument))
            waiting = None
            continue
        waiting = None if equals else name
        shown.append(f"{flag}={value if name in as_given else _short(value)}" if equals else flag)
    return " ".join(["python", tool, *(f"'{one}'" if " " in one else one for one in shown)])


def _short(value):
    """Return a value with each absolute path in it shortened (several are separated by commas)."""
    return ",".join(map(_short_path, value.split(",")))


def _short_path(path):
    if not os.path.isabs(path):
        return path
    inside = os.path.relpath(path)
    return inside if not inside.startswith(os.pardir) else os.path.basename(path.rstrip("/"))
