"""Parsing of an arms file (--arms) with the tool's flags: typed values and absolute paths."""

import difflib

from absl import flags

from okd_tf import errors, settings
from okd_tf.cli import command_line
from okd_tf.settings import arms, budgets


def read(path):
    """Return the `settings.arms.Arm`s of a file, in order.

    Raises:
        UserError: not an arms file; or a flag of an arm that is unknown, shared by all arms, given twice or
            without a valid value; names the arm.
    """
    return [_arm(name, lines) for name, lines in arms.read(path)]


def _arm(name, lines):
    changes, shown = {}, {}
    try:
        for line in lines:
            flag, value = _flag(line)
            if flag in changes:
                raise errors.UserError(f"--{flag}: is given twice; leave one out")
            arms.refuse_shared(flag)
            changes[flag] = command_line.absolute(flag, value)
            shown[flag] = ",".join(value) if isinstance(value, tuple) else value
            if flag == "max_params":
                shown[flag] = budgets.shown(value)
    except errors.UserError as error:
        raise errors.UserError(f"--arms: arm '{name}': {error}") from None
    return arms.Arm(name, changes, shown)


def _flag(line):
    """Return (name, value) of a line --name=value; for a boolean flag also of --name or --noname."""
    name, equals, text = line.removeprefix("--").partition("=")
    name, text = name.strip(), text.strip()
    if not equals and name not in settings.FIELDS and name.removeprefix("no") in settings.FIELDS:
        name, equals, text = name.removeprefix("no"), "=", "false"
    if name not in settings.FIELDS:
        nearest = [f"--{one}" for one in difflib.get_close_matches(name, settings.FIELDS, cutoff=0.4)]
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else "mend it, or leave it out"
        raise errors.UserError(f"--{name[:60]}: there is no such flag; {hint}")
    flag = flags.FLAGS[name]
    if not equals:
        if not flag.boolean:
            raise errors.UserError(f"--{name}: has no value; write --{name}=value")
        text = "true"
    try:
        value = flag.parser.parse(text)
    except ValueError as error:  # flags.IllegalFlagValueError is one
        raise errors.UserError(f"--{name}={text[:60]}: {error}; mend the value") from None
    return name, tuple(value) if isinstance(value, list) else value
