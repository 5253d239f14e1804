"""The files candidates.json and scored.json of a search: their entries, and both read with types checked."""

from typing import Any

from okd_tf import fields, files
from okd_tf.arch import spec


def entry(ranked: spec.ArchSpec) -> dict[str, Any]:
    """Return the JSON of a ranked architecture: its spec, its cost, its figures with shared weights."""
    return {
        "spec": ranked.to_json(),
        "params": ranked.cost.params,
        "flops": ranked.cost.flops,
        "val_accuracy": ranked.provenance["val"]["accuracy"],
        "val_loss": ranked.provenance["val"]["loss"],
    }


def read(path: files.PathLike) -> list[dict[str, Any]]:
    """Return all ranked architectures in a candidates.json.

    Raises:
        UserError: the file has another form; names the file and the field.
    """
    document = fields.read(path, mend="delete it, and the search stage runs again")
    for entry in document.items():
        entry["spec"]["provenance"]["strategy"].text()
        entry["params"].whole()
        entry["val_accuracy"].share()
        entry["chosen"].flag()
    return document.value


def chosen(path: files.PathLike) -> dict[str, Any]:
    """Return the entry that became arch.json.

    Raises:
        UserError: raised by `read`, or there is not exactly one such entry.
    """
    found = [entry for entry in read(path) if entry["chosen"]]
    if len(found) != 1:
        raise fields.Field(path, None, mend="delete it, and the search stage runs again").refusal(
            f"expected one entry that is chosen, got {len(found)}"
        )
    return found[0]


def read_scores(path: files.PathLike, count: int) -> list[float]:
    """Return the validation accuracies of `count` architectures in a scored.json; raise as `read`."""
    document = fields.read(path, mend="delete it, and the search stage runs again")
    return [entry["accuracy"].share() for entry in document.items(count)]
