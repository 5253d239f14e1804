"""Which regime a distillation is in, from who is right on the views that the student will hear of.

Oracle distillation differs from that of the mean where some teachers are wrong; and soft targets help only
if whoever gives them knows the data. Both can be read from the teachers before anything is trained.
"""

import dataclasses
from typing import Any

import numpy as np

from okd_tf.settings import plan

# Distillation cost accuracy where the teachers had 51 % of their training images and none was right on 32 %,
# and gained where they had 76 %; nothing was measured between.
UNDERFIT_ACCURACY = 0.6
UNDERFIT_NONE_RIGHT = 0.3
# Above the 86.9 % of CIFAR-100 that all five teachers of Kang et al. (2020) get right, with whom the gate
# still made a difference.
SATURATED_ALL_RIGHT = 0.95

SEEN = "seen on CIFAR-100 at 16x16 pixels"


@dataclasses.dataclass(frozen=True)
class Regime:
    """A regime: `name`, and in `says` what it means for this ensemble, as sentences."""

    name: str
    says: str


def of(part: dict[str, Any], steps: int = 0) -> Regime:
    """The regime of an ensemble.

    Args:
        part: what `diagnosis.diagnose` gives of augmented training examples.
        steps: how many training steps each teacher had; 0 if that is not known.

    Returns:
        underfit: the teachers do not know what they are to teach; whatever else is so.
        saturated: all are right nearly everywhere, so that the oracle's targets are the mean's.
        single: one teacher, which the oracle gates.
        disagreeing: else; here the oracle chooses.
    """
    accuracy = float(np.mean(part["per_teacher"]))
    none, all_right = part["k_of_n"][0], part["k_of_n"][-1]
    single = len(part["per_teacher"]) == 1
    if accuracy < UNDERFIT_ACCURACY or none >= UNDERFIT_NONE_RIGHT:
        return Regime("underfit", _underfit(accuracy, none, single, steps))
    if all_right >= SATURATED_ALL_RIGHT:
        return Regime("saturated", _saturated(all_right, single))
    if single:
        return Regime("single", _single(accuracy, none))
    return Regime("disagreeing", _disagreeing(none, all_right))


def _single(accuracy: float, none: float) -> str:
    return (
        f"There is one teacher, and the oracle gates it: it teaches the {_percent(accuracy)} of the "
        f"augmented training images that it gets right, the label teaches the other {_percent(none)}."
    )


def _disagreeing(none: float, all_right: float) -> str:
    return (
        f"The oracle's gate acts on {_percent(1 - all_right)} of the augmented training images: on "
        f"{_percent(1 - none - all_right)} only some teachers are right and teach, on {_percent(none)} none "
        "is and the label teaches. Where teachers fit their data, distillation gained 1 point over the "
        f"cross-entropy ({SEEN}: 76 % of the training images right, all teachers right on 61 %)."
    )


def _underfit(accuracy: float, none: float, single: bool, steps: int) -> str:
    who = (
        f"The teacher underfits: it is right on {_percent(accuracy)} of the augmented training images."
        if single
        else f"The teachers underfit: on augmented training images they are right on {_percent(accuracy)} in "
        f"the mean, and on {_percent(none)} none is, so that the label teaches."
    )
    if 0 < steps < plan.FEW_STEPS:
        # What is wrong is not the ensemble, and no loss mends it.
        return (
            f"{who} {'It was' if single else 'Each was'} trained {steps:,} steps: train longer "
            "(--teacher_epochs) or lower --batch_size."
        )
    return (
        f"{who} Distillation at temperature 4 cost 2 to 4 points against the cross-entropy where teachers "
        f"had 51 % of the training images and none was right on 32 % ({SEEN}); train them longer or take "
        "larger ones, or let --train_loss=auto compare with labels first."
    )


def _saturated(all_right: float, single: bool) -> str:
    who = (
        f"The teacher is right on {_percent(all_right)}"
        if single
        else f"All teachers are right on {_percent(all_right)}"
    )
    return (
        f"{who} of the augmented training images: there the oracle's targets are those of --train_loss=mean, "
        "and oracle distillation cannot gain on it. It needs teachers that err on what they teach: fewer "
        "epochs (--teacher_epochs), or teachers held out from the images they teach (--teacher_folds; your "
        "own: trained on other images). Whether soft targets gain on labels at all, --train_loss=auto tells."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
