"""The plan of a run: values of the settings that are left open, from the size of the data.

A setting is left open by the value in `choices.OPEN`. Each is resolved separately: a setting that is given
stays, and the others follow it. The plan is a pure function of settings and `Facts`: the same data gives the
same plan. All its numbers are in the table below.
"""

import dataclasses
import math
from typing import Any

from okd_tf.settings import checks, choices

STEPS_PER_EPOCH = 30  # the batch is the largest that gives an epoch as many
BATCHES = (16, 128)  # the smallest and the largest batch; a power of two between them

# The learning rate at that batch; in proportion to the square root of the batch (Krizhevsky, 2014). On photos
# at batch 16 the rate in proportion to the batch itself (Goyal et al., 2017) was too low.
RATE, RATE_BATCH = 0.1, 128
MOST_RATE = 0.4

# Networks of student and teachers. CIFAR's ResNets are for small images; larger ones they see at half their
# size, and where images are few, a network of plain convolutions is more accurate.
SMALL_NETWORKS = "resnet8", "resnet14"
LARGE_NETWORKS = "resnet8_s2", "resnet14_s2"
FEW_NETWORKS = "conv5", "conv5"
WIDTH = 16  # of all networks
FEW_WIDTH = 8  # but of the student's backbone where it is the first of FEW_NETWORKS
LARGE_SIDE = 48  # pixels, of the shorter side
FEW_IMAGES = 10_000
FEW_MIX = "cutmix"  # the views of those few are mixed, after operations of RandAugment

WARMUP_PART = 5  # one of so many epochs of a search

VIEW_REPEATS = 4  # how often a student of the planned length sees each stored view
VIEWS = (4, 64)  # the fewest and the most of them; where the disk holds fewer, teachers are asked live
BANK_BYTES = 2 * 2**30  # the most that stored logits may take


@dataclasses.dataclass(frozen=True)
class Effort:
    """Lengths of trainings.

    Attributes:
        teachers, search, assistants, student: epochs of each for data that is neither small nor large.
        least_steps: steps that each network gets at least; small data is trained on for more epochs.
        least_search_steps: the same for a search, whose steps cost several steps of another training.
        most_steps: steps after which a network has had enough; large data is trained on for fewer epochs.
    """

    teachers: int
    search: int
    assistants: int
    student: int
    least_steps: int
    least_search_steps: int
    most_steps: int


EFFORTS = {
    "quick": Effort(20, 8, 20, 20, least_steps=1_000, least_search_steps=500, most_steps=50_000),
    "normal": Effort(60, 20, 60, 60, least_steps=3_000, least_search_steps=1_500, most_steps=200_000),
    "thorough": Effort(
        *(200, 60, 200, 200), least_steps=10_000, least_search_steps=5_000, most_steps=1_000_000
    ),
}

SHORT_STEPS = 150  # a training of fewer is warned of
FEW_STEPS = 1_500  # teachers trained for fewer that underfit were trained too briefly

_FLAGS = {  # what says how long each kind of network is trained
    "teachers": "teacher_epochs",
    "search": "search_epochs",
    "assistants": "assistant_epochs",
    "student": "student_epochs",
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """The facts that the plan depends on.

    Attributes:
        images: number of training examples.
        classes: number of classes of the dataset.
        side: the shorter side of an image, in pixels.
        views: number of different views of an image.
        teachers: number of teachers, given or to be trained.
        replicas: devices that each batch is split over.
        bank_views: number of views in the bank to read; None if there is none yet.
        augmentation: default way to make views: `augmentation`.
    """

    images: int
    classes: int
    side: int
    views: int
    teachers: int
    replicas: int = 1
    bank_views: int | None = None
    augmentation: tuple[str, ...] = ()


def is_open(settings: Any) -> bool:
    """Return whether `Settings` leave any value to be resolved from the data."""
    return any(getattr(settings, name) == value for name, value in choices.OPEN.items())


def resolve(settings: Any, facts: Facts) -> Any:
    """Return the `Settings` with all open values resolved, and the effort set back to its default.

    Raises:
        UserError: a given value leaves no room for the others, such as a warm-up longer than the search.
    """
    effort, found = EFFORTS[settings.effort], {}

    def fill(name: str, value: Any) -> Any:
        given = getattr(settings, name)
        found[name] = value if given == choices.OPEN[name] else given
        return found[name]

    backbone, teacher_backbone = _networks(facts)
    narrow = not settings.backbone and backbone == FEW_NETWORKS[0]
    fill("backbone", backbone)
    fill("backbone_width", FEW_WIDTH if narrow else WIDTH)
    fill("teacher_backbone", teacher_backbone)
    found["augmentation"] = settings.augmentation or facts.augmentation
    found |= mixes(settings, facts.images, facts.classes, facts.side)
    checks.check_mix_probability(settings.mix_probability, {found["mix"], found["teacher_mix"]})
    batch_size = fill("batch_size", _batch_size(facts, _folds(settings)))
    fill("learning_rate", _learning_rate(batch_size))
    epochs = {}
    for kind, flag in _FLAGS.items():
        shown = _shown(facts.images, _folds(settings, kind))
        least = effort.least_search_steps if kind == "search" else effort.least_steps
        epochs[kind] = _epochs(getattr(effort, kind), least, effort.most_steps, max(1, shown // batch_size))
        fill(flag, epochs[kind])
    fill("search_warmup_epochs", _warmup_epochs(found["search_epochs"]))
    # Not of the epochs that are given: who trains a student longer need not fill another bank.
    fill("views", _views(epochs["student"], facts))
    return dataclasses.replace(settings, effort=choices.EFFORT, **found)


def mixes(settings: Any, images: int, classes: int, side: int) -> dict[str, str]:
    """Return the resolved "mix" and "teacher_mix"; they decide how many views an image has.

    Args:
        settings: the settings as given.
        images, classes, side: as in `Facts`.
    """
    usual = FEW_MIX if _few_and_large(images, classes, side) else choices.MIXES[0]
    own = choices.MIXES[0] if settings.teachers else usual  # given teachers are not trained
    return {
        name: value if getattr(settings, name) == choices.OPEN[name] else getattr(settings, name)
        for name, value in (("mix", usual), ("teacher_mix", own))
    }


def augmentation(images: int, classes: int, side: int, channels: int, flip: bool) -> tuple[str, ...]:
    """Return the default augmentation, as names of operations; () is the dataset's own.

    Few large images get RandAugment operations after their crop.

    Args:
        images, classes, side: as in `Facts`.
        channels: of an image; the operations need 1 or 3.
        flip: whether the dataset's images may be mirrored.
    """
    if channels not in (1, 3) or not _few_and_large(images, classes, side):
        return ()
    return ("crop_flip" if flip else "crop", choices.ALL_AUGMENTATION_OPS)


def _few_and_large(images: int, classes: int, side: int) -> bool:
    return side >= LARGE_SIDE and classes < images < FEW_IMAGES


@dataclasses.dataclass(frozen=True)
class Training:
    """Length of the training of one kind of network.

    Attributes:
        kind: "teachers", "search", "assistants" or "student".
        flag: the setting of the number of epochs.
        epochs: number of epochs.
        steps_per_epoch: training steps in each.
    """

    kind: str
    flag: str
    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Return the total number of training steps."""
        return self.epochs * self.steps_per_epoch

    def warning(self) -> str:
        """Return a one-line warning if the training is too short to work, else ""."""
        if self.steps >= SHORT_STEPS:
            return ""
        who = f"the {self.kind} {'train' if self.kind.endswith('s') else 'trains'}"
        each = " each" if self.kind.endswith("s") else ""
        return (
            f"warning: {who} {self.steps:,} steps{each} (--{self.flag}={self.epochs}, "
            f"{self.steps_per_epoch:,} steps an epoch): train longer or lower --batch_size"
        )


def training(settings: Any, images: int, kind: str) -> Training:
    """Return the length of a kind of network's training on `images` examples, from resolved settings."""
    flag, shown = _FLAGS[kind], _shown(images, _folds(settings, kind))
    return Training(kind, flag, getattr(settings, flag), max(1, shown // settings.batch_size))


def in_words(settings: Any, images: int, kinds: tuple[str, ...]) -> str:
    """Return a summary of resolved settings in words, for the kinds of networks to be trained."""
    found = [training(settings, images, kind) for kind in kinds]
    # What most networks have in common is said once; a search is no network that is kept.
    usual = next((one for one in reversed(found) if one.kind != "search"), found[-1])
    others = [one for one in found if (one.epochs, one.steps) != (usual.epochs, usual.steps)]
    text = f"{images:,} images: {_named(settings, kinds)}batch {settings.batch_size}, {_length(usual)}"
    text += " a network" if usual.kind != "search" else " of search"
    if others:
        text += f" ({'; '.join(f'{one.kind}: {_length(one)}' for one in others)})"
    text += f", {settings.views} views" * (settings.views > 0)
    if choices.ALL_AUGMENTATION_OPS in settings.augmentation:
        text += f", {choices.ALL_AUGMENTATION_OPS}"
    mixes = {kind: name for kind, name in _mixed(settings, kinds).items() if name != choices.MIXES[0]}
    for name in dict.fromkeys(mixes.values()):
        whose = " and ".join(kind for kind, used in mixes.items() if used == name)
        text += f", {settings.mix_probability:.0%} {name} ({whose})"
    return text


def _named(settings: Any, kinds: tuple[str, ...]) -> str:
    """Return the names of the networks to train, each followed by a comma."""
    text = ""
    if "teachers" in kinds:
        names = [settings.teacher_network(index) for index in range(settings.num_teachers)]
        text += f"teachers {' and '.join(dict.fromkeys(names))}{_of_width(settings.teacher_width)}, "
    if kinds != ("teachers",) and not settings.arch:
        text += f"backbone {settings.backbone.rpartition('/')[-1]}{_of_width(settings.backbone_width)}, "
    return text


def _of_width(width: int) -> str:
    return f" of width {width}" if width != WIDTH else ""


def _mixed(settings: Any, kinds: tuple[str, ...]) -> dict[str, str]:
    """Return the mixing of the views of teachers and of students, by kind of network."""
    found = {"teachers": settings.teacher_mix} if "teachers" in kinds else {}
    return found | ({"student": settings.mix} if kinds != ("teachers",) else {})


def _length(one: Training) -> str:
    return f"{one.epochs:,} epochs, {one.steps:,} steps"


def _networks(facts: Facts) -> tuple[str, str]:
    """Return the names of the student's backbone and of the trained teachers' network."""
    if facts.side < LARGE_SIDE:
        return SMALL_NETWORKS
    return FEW_NETWORKS if facts.images < FEW_IMAGES else LARGE_NETWORKS


def _batch_size(facts: Facts, folds: int) -> int:
    """Return a power of two that gives enough steps, at most a teacher's images; a multiple of devices."""
    smallest, largest = BATCHES
    size = min(largest, max(smallest, _power_of_two(facts.images // STEPS_PER_EPOCH)))
    size = min(size, _power_of_two(_shown(facts.images, folds)))
    return max(1, size // facts.replicas) * facts.replicas


def _learning_rate(batch_size: int) -> float:
    return min(MOST_RATE, RATE * math.sqrt(batch_size / RATE_BATCH))


def _epochs(usual: int, least_steps: int, most_steps: int, steps_per_epoch: int) -> int:
    most = max(1, most_steps // steps_per_epoch)
    return max(min(usual, most), -(-least_steps // steps_per_epoch))


def _warmup_epochs(search_epochs: int) -> int:
    return min(search_epochs - 1, max(1, search_epochs // WARMUP_PART))


def _views(student_epochs: int, facts: Facts) -> int:
    fewest, most = VIEWS
    wanted = min(facts.views, most, max(fewest, -(-student_epochs // VIEW_REPEATS)))
    if facts.bank_views is not None:
        return min(facts.bank_views, facts.views)
    room = BANK_BYTES // max(1, 2 * facts.images * facts.teachers * facts.classes)
    return min(wanted, room) if room >= min(fewest, wanted) else 0


def _shown(images: int, folds: int) -> int:
    """Return the number of training images of the teacher that holds out the largest fold."""
    return max(1, images - -(-images // folds)) if folds else images


def _folds(settings: Any, kind: str = "teachers") -> int:
    """Return the number of folds of which a network of this kind leaves out one; 0 if it leaves out none."""
    return settings.teacher_folds if kind == "teachers" and not settings.teachers else 0


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not more than a number, and at least 1."""
    return 1 << max(1, number).bit_length() - 1
