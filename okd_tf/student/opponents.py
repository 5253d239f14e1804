"""opponents/opponents.json: the plain networks that a run's student is compared with.

    {"opponents": [{"name", "title", "loss", "params"}, ..], "left_out": [text, ..]}

"name" is the folder of its training, beside the file; "left_out" lists the opponents that were not trained,
and the reasons.
"""

from collections.abc import Sequence
from typing import Any

from okd_tf import fields, files

NAME = "opponents.json"
NETWORK = "student.keras"  # in the folder of each, as in a student's
MEND = "delete it, and the opponents stage makes it again"

NAMES = ("bare", "same_size_labels", "same_size")  # of the last with the student's loss, as of the first


def document(opponents: Sequence[dict[str, Any]], left_out: Sequence[str]) -> dict[str, Any]:
    """Return the content of opponents.json."""
    return {"opponents": list(opponents), "left_out": list(left_out)}


def read(path: files.PathLike) -> dict[str, Any]:
    """Return the content of opponents.json; raise UserError naming the file and the field that is wrong."""
    found = fields.read(path, mend=MEND)
    for one in found["opponents"].items():
        one["name"].text(NAMES), one["title"].label(), one["loss"].label(), one["params"].whole()
    for text in found["left_out"].items():
        text.label()
    return found.value
