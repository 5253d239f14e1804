"""finals/finals.json: the figures of a search's finalists in each round of training, and the winner.

    {"rounds": [{"finalists", "epochs"}, ..], "student_epochs", "winner": index of a finalist,
     "finalists": [{"strategy", "random", "params", "flops", "spec",
                    "shared_weights": {"accuracy", "loss"},
                    "rounds": [{"accuracy", "loss", "epochs", "seconds"}, ..]}, ..]}

Finalists are in the order of search/finalists.json; each has the figures of the rounds that it took part in.
All figures are of validation images.
"""

from collections.abc import Sequence
from typing import Any

from okd_tf import fields, files

NAME = "finals.json"
MEND = "delete it, and the finals stage decides again"


def best_first(figures: Sequence[dict[str, float]]) -> list[int]:
    """Return the indices of figures {"accuracy", "loss"}, best first: by accuracy, then loss, then order."""
    return sorted(
        range(len(figures)), key=lambda index: (-figures[index]["accuracy"], figures[index]["loss"])
    )


def document(entries, rounds, student_epochs, figures, winner) -> dict[str, Any]:
    """Return the content of finals.json.

    Args:
        entries: the finalists, as `search.finalists.read` gives them.
        rounds: (number of finalists, epochs of each) by round.
        student_epochs: epochs of the student.
        figures: by finalist, those of its trainings, one a round.
        winner: index of the finalist that is to be the student.
    """
    return {
        "rounds": [{"finalists": count, "epochs": epochs} for count, epochs in rounds],
        "student_epochs": student_epochs,
        "winner": winner,
        "finalists": [
            {
                "strategy": entry["spec"].provenance["strategy"],
                "random": entry["random"],
                "params": entry["params"],
                "flops": entry["flops"],
                "spec": entry["spec"].to_json(),
                "shared_weights": {"accuracy": entry["val_accuracy"], "loss": entry["val_loss"]},
                "rounds": own,
            }
            for entry, own in zip(entries, figures, strict=True)
        ],
    }


def read(path: files.PathLike) -> dict[str, Any]:
    """Return the content of a finals.json; raise UserError naming the file and the field that is wrong."""
    found = fields.read(path, mend=MEND)
    finalists, rounds = found["finalists"].items(), found["rounds"].items()
    found["student_epochs"].whole(1)
    winner = found["winner"].whole(0, len(finalists) - 1)
    for one in rounds:
        one["finalists"].whole(1), one["epochs"].whole(1)
    for entry in finalists:
        entry["strategy"].label(), entry["random"].flag()
        entry["params"].whole(), entry["flops"].whole()
        entry["shared_weights"]["accuracy"].share(), entry["shared_weights"]["loss"].number()
        own = entry["rounds"].items()
        if not 1 <= len(own) <= len(rounds):
            raise entry["rounds"].refusal(f"expected figures of 1 to {len(rounds)} rounds, got {len(own)}")
        for figures in own:
            figures["accuracy"].share(), figures["loss"].number()
            figures["epochs"].whole(1), figures["seconds"].number(0)
    if len(finalists[winner]["rounds"].value) != len(rounds):
        raise found["winner"].refusal("it did not take part in all rounds")
    return found.value


def cost(found: dict[str, Any]) -> float:
    """Return the cost of the finals in trainings of the student; `found` as `read` returns it."""
    epochs = sum(one["finalists"] * one["epochs"] for one in found["rounds"])
    return epochs / found["student_epochs"]


def seconds(found: dict[str, Any]) -> float:
    """Return the seconds that the epochs of all finalists took."""
    return sum(each["seconds"] for entry in found["finalists"] for each in entry["rounds"])
