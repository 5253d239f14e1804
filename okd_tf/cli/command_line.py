"""Flags: one for each setting, read from the command line and from flagfiles, with one-line errors."""

import os
import sys

from absl import flags

from okd_tf import errors, settings
from okd_tf.cli import flagfiles
from okd_tf.settings import budgets, numbers

INPUTS = settings.INPUTS | {"student", "bank", "backbone", "weights"}  # what must be there when it is named
NPZ = "npz:"  # what --dataset begins with where it names a file
EXIT_USER_ERROR = 2

# What other programs call things, that absl finds no near flag of.
_ELSEWHERE = {
    **dict.fromkeys(("lr", "eta", "learning-rate"), ("learning_rate",)),
    **dict.fromkeys(("batch", "bs", "batch-size", "batchsize"), ("batch_size",)),
    **dict.fromkeys(("out", "output", "output_dir", "outdir", "logdir", "log_dir", "save_dir"), ("workdir",)),
    **dict.fromkeys(("data", "root", "path", "input", "images"), ("dataset", "data_dir")),
    **dict.fromkeys(("model", "arch_name", "net"), ("backbone", "teachers", "student")),
    **dict.fromkeys(("wd", "l2"), ("weight_decay",)),
    **dict.fromkeys(("tau", "T", "kd_temperature"), ("temperature",)),
    **dict.fromkeys(("size", "imgsz", "img_size", "input_size"), ("image_size",)),
    **dict.fromkeys(("params", "budget"), ("max_params",)),
    **dict.fromkeys(("gpus", "devices"), ("distribution",)),
}
_NAMES_TOO = {"backbone", "weights"}  # inputs that may be a name in place of a file
_FILES = (".keras", ".h5")  # how those files end
_PLACES = {"workdir", "data_dir", "cache_dir", "tiny_imagenet_zip"}  # other paths


class _WholeNumbers(flags.IntegerParser):
    """Flag parser of integers, which may be written as 50k, 1.5M or 1e6."""

    def convert(self, argument):
        """Return the integer of a text, as absl requires; raise as absl does if it is none."""
        return super().convert(numbers.plain(argument) if isinstance(argument, str) else argument)


def define(names, defaults=None):
    """Define the flags of these settings; `defaults`, by name, replace the settings' own."""
    parsers = {
        int: (_WholeNumbers, flags.ArgumentSerializer),
        float: (flags.FloatParser, flags.ArgumentSerializer),
        str: (flags.ArgumentParser, flags.ArgumentSerializer),
        tuple: (flags.ListParser, lambda: flags.CsvListSerializer(",")),
    }
    for name in names:
        field = settings.FIELDS[name]
        default = (defaults or {}).get(name, settings.default(field))
        if isinstance(default, bool):
            flag = flags.BooleanFlag(name, default, field.metadata["meaning"])
        else:
            parser, serializer = parsers[type(default)]
            default = list(default) if isinstance(default, tuple) else default
            flag = flags.Flag(parser(), serializer(), name, default, field.metadata["meaning"])
        # As flags of the tool that was started, so that --help lists them.
        flags.DEFINE_flag(flag, module_name=sys.argv[0])


def parse(argv):
    """Parse the flags, as the parser of `app.run`; an unknown flag ends the process with one line."""
    readable = flagfiles.Readable(argv)
    try:
        rest = flags.FLAGS(readable.argv)
    except flags.UnrecognizedFlagError as error:
        return fail(f"{_unknown(error)}{_or_in_a_flagfile(argv)}")
    # Not UTF-8; and what absl raises while it looks for flags like one of a thousand letters.
    except (flags.Error, ValueError, RecursionError) as error:
        return fail(f"{' '.join(str(error).split())[:400]}{_or_in_a_flagfile(argv)}")
    finally:
        readable.close()
    if rest[1:]:
        fail(
            f"'{rest[1][:60]}' is not a flag; flags begin with two dashes, as in --workdir=runs/first"
            f"{_or_in_a_flagfile(argv)}"
        )
    return rest


def _unknown(error):
    """Return absl's message for an unknown flag; without a suggestion, add known flags of similar meaning."""
    said = " ".join(str(error).split())[:400]
    ending = sorted(name for name in settings.FIELDS if name.endswith(f"_{error.flagname}"))
    ending = [name for name in _ELSEWHERE.get(error.flagname, ending) if name in flags.FLAGS]
    if "Did you mean" in said or not ending:
        return said
    are = "are" if len(ending) > 1 else "is"
    return f"{said}; there {are} {', '.join(f'--{name}' for name in ending)}"


def _or_in_a_flagfile(argv):
    """Return in words that a wrong flag may also be in a flagfile, if there are any."""
    given = [
        after if each.lstrip("-") == "flagfile" else each.partition("=")[2]
        for each, after in zip(argv, [*argv[1:], ""], strict=True)
        if each.lstrip("-").partition("=")[0] == "flagfile"
    ]
    return f" (on the command line, or in {', '.join(given)})" if given else ""


def value(name):
    """Return the value of a setting's flag."""
    given = flags.FLAGS[name].value
    return tuple(given) if isinstance(given, list) else given


def absolute(name, value):
    """Return a setting's value with absolute paths, since the workdir records it for any working folder."""
    if isinstance(value, tuple) and name in settings.INPUTS:
        return tuple(absolute(name, path) for path in value)
    if name == "max_params":
        return budgets.normal(value)
    if name == "dataset" and value.startswith(NPZ) and value != NPZ:
        return f"{NPZ}{os.path.abspath(os.path.expanduser(value.removeprefix(NPZ)))}"
    return os.path.abspath(os.path.expanduser(value)) if is_path(name, value) else value


def is_path(name, value):
    """Return whether a setting's value is the path of a file or folder of this host."""
    named = name in (INPUTS - _NAMES_TOO) | _PLACES
    return bool(value) and (named or (name in _NAMES_TOO and value.endswith(_FILES))) and "://" not in value


def fail(error, exit_code=EXIT_USER_ERROR):
    """End the process with one line on standard error."""
    print(f"error: {errors.one_line(str(error))}", file=sys.stderr)
    sys.exit(exit_code)
