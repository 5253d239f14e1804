"""choice/choice.json: the loss chosen by short trainings, and the figures of each candidate.

    {"taken": "mean", "why": "..", "examples": validation images,
     "candidates": {"ce": {"accuracy", "log_loss", "temperature", "accuracy_gain", "accuracy_error",
                           "log_loss_gain", "log_loss_error", "epochs", "seconds"}, ..}}

Gains are relative to training with labels alone ("ce"), on the same images, and errors are their standard
errors. "log_loss" is in nats at the network's best temperature: see `decision`.
"""

from collections.abc import Mapping
from typing import Any

from okd_tf import fields, files
from okd_tf.student import decision

NAME = "choice.json"
MEND = "delete it, and the choice stage decides again"


def document(
    found: decision.Decision, examples: int, trained: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the content of choice.json for a decision.

    Args:
        found: the decision.
        examples: number of validation images.
        trained: by candidate, {"epochs", "seconds"} of its training.
    """
    return {
        "taken": found.taken,
        "why": found.why,
        "examples": examples,
        "candidates": {
            name: {
                "accuracy": each.accuracy,
                "log_loss": each.log_loss,
                "temperature": each.temperature,
                "accuracy_gain": each.accuracy_gain.mean,
                "accuracy_error": each.accuracy_gain.error,
                "log_loss_gain": each.log_loss_gain.mean,
                "log_loss_error": each.log_loss_gain.error,
                **trained[name],
            }
            for name, each in found.figures.items()
        },
    }


def read(path: files.PathLike) -> dict[str, Any]:
    """Return the content of a choice.json; raise UserError naming the file and the field that is wrong."""
    found = fields.read(path, mend=MEND)
    candidates = found["candidates"].entries()
    if decision.REFERENCE not in candidates:
        raise found["candidates"].refusal(f"missing field {decision.REFERENCE}")
    found["taken"].text(list(candidates))
    found["why"].label(), found["examples"].whole(1)
    for entry in candidates.values():
        entry["accuracy"].share(), entry["epochs"].whole(1)
        entry["accuracy_gain"].number(-1, 1), entry["log_loss_gain"].number()
        for name in ("log_loss", "temperature", "accuracy_error", "log_loss_error", "seconds"):
            entry[name].number(0)
    return found.value
