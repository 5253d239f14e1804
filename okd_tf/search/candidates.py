"""candidates.json and scored.json of a search: entries, and both files read back with their types checked."""

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
    """All that were ranked, as `search.loop` writes them.

    Raises:
        UserError: of another form; names the file and the field.
    """
    document = fields.read(path, mend="delete it, and the search stage runs again")
    for entry in document.items():
        entry["spec"]["provenance"]["strategy"].text()
        entry["params"].whole()
        entry["val_accuracy"].share()
        entry["chosen"].flag()
    return document.value


def chosen(path: files.PathLike) -> dict[str, Any]:
    """The one that became arch.json; errors as those of `read`, also when there is none."""
    found = [entry for entry in read(path) if entry["chosen"]]
    if len(found) != 1:
        raise fields.Field(path, None, mend="delete it, and the search stage runs again").refusal(
            f"expected one entry that is chosen, got {len(found)}"
        )
    return found[0]


def read_scores(path: files.PathLike, count: int) -> list[float]:
    """The validation accuracies in a scored.json, of so many architectures; errors as those of `read`."""
    document = fields.read(path, mend="delete it, and the search stage runs again")
    return [entry["accuracy"].share() for entry in document.items(count)]
