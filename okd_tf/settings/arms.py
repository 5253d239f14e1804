"""Arms of a comparison: the settings that each arm changes, and those that no arm may change.

An arms file is text of paragraphs, each a name in brackets and flags that differ from the common ones:

    # Lines that begin with # are comments.
    [resnet8 mean mixed]
    --train_loss=mean
    --mix=cutmix
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from okd_tf import errors, settings
from okd_tf.settings import choices

_OF_TEACHERS = (
    *("teachers", "num_teachers", "teacher_backbone", "teacher_backbones", "teacher_width"),
    *("teacher_epochs", "teacher_folds", "teacher_mix"),
)
_AN_ARM = (
    f"make the bare backbone an arm, by --strategy={choices.NO_SEARCH} and --train_loss=ce; leave it out"
)
_HINTS = {
    **dict.fromkeys(("trial", "trials"), "--trials of the command line says how many each arm has"),
    "baseline": _AN_ARM,
    "opponents": _AN_ARM,
}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm of a comparison.

    Attributes:
        name: its name in tables.
        changes: values of settings that replace the common ones, by name.
        flags: the same as JSON values, with paths as they were given.
    """

    name: str
    changes: dict[str, Any]
    flags: dict[str, Any]

    @property
    def folder(self) -> str:
        """Return the name of its folder: its name, with _ for all but letters, digits, dots and dashes."""
        return re.sub(r"[^\w.-]+", "_", self.name)

    def of(self, common: Any, **more: Any) -> Any:
        """Return the `Settings` of this arm: the common ones with its changes.

        Raises:
            UserError: its flags cannot be used with the common ones; names the arm.
        """
        try:
            return dataclasses.replace(common, **{**self.changes, **more})
        except errors.UserError as error:
            raise errors.UserError(f"--arms: arm '{self.name}': {error}") from None


def refuse_shared(name: str) -> None:
    """Raise UserError if a setting is one that all arms share, or that belongs to the command as a whole."""
    field = settings.FIELDS[name]
    if hint := _HINTS.get(name):
        raise errors.UserError(f"--{name}: an arm cannot set it; {hint}")
    if name in settings.SPLIT or name == "seed":
        why = "changes the data or its views, which all arms share"
    elif name in _OF_TEACHERS or name.startswith("teacher_"):
        why = "changes the teachers, which all arms share"
    elif field.metadata["kind"] != settings.RESULT:
        why = "concerns the whole command, and changes nothing that an arm gives"
    else:
        return
    raise errors.UserError(f"--{name}: {why}; give it outside of --arms")


def read(path: str) -> list[tuple[str, list[str]]]:
    """Return the arms of a file in order: the name of each, and its lines without comments.

    Raises:
        UserError: not readable, no arms, an arm twice, or a line outside any arm; names the file and line.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise errors.UserError(f"--arms: {path}: {error.strerror}; name a file of arms") from None
    except UnicodeDecodeError:
        raise errors.UserError(f"--arms: {path}: is not text in UTF-8; name a file of arms") from None
    found: list[tuple[str, list[str]]] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        place = f"--arms: {path}, line {number}"
        if line.startswith("["):
            found.append((_name(line, place), []))
        elif not found:
            raise errors.UserError(f"{place}: '{line[:60]}' stands in no arm; put [NAME] above it")
        elif not line.startswith("--"):
            raise errors.UserError(f"{place}: '{line[:60]}' is not a flag; write --name=value")
        else:
            found[-1][1].append(line)
    if not found:
        raise errors.UserError(f"--arms: {path}: has no arms; write [NAME], and below it its flags")
    _refuse_twice([name for name, _ in found], path)
    return found


def _name(line: str, place: str) -> str:
    name = line[1:-1].strip() if line.endswith("]") else ""
    if not re.search(r"\w", name) or set("[]|") & set(name) or len(name) > 80 or not name.isprintable():
        raise errors.UserError(
            f"{place}: '{line[:60]}' is not [NAME] with at most 80 letters, digits, spaces and signs other "
            "than brackets and |; mend it"
        )
    return " ".join(name.split())


def _refuse_twice(names: Sequence[str], path: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(Arm(name, {}, {}).folder.lower(), name)
        if names.count(name) > 1:
            raise errors.UserError(f"--arms: {path}: arm '{name}' is there twice; name each once")
        if other is not name:
            raise errors.UserError(
                f"--arms: {path}: arms '{other}' and '{name}' would have the same folder; name one otherwise"
            )
