"""All settings of a run in one place: name, type, default and meaning.

The command line makes one flag of each field; the library takes a `Settings`. Nothing here imports
TensorFlow, so a wrong value is refused at once.
"""

import dataclasses
from typing import Any

from okd_tf.settings import budgets, checks, finals
from okd_tf.settings.choices import (
    ALL_AUGMENTATION_OPS,
    APPLICATION_PREFIX,
    AUGMENTATIONS,
    AUTO,
    AUTO_LOSSES,
    EFFORT,
    EFFORTS,
    EXPORT_FORMATS,
    GATED_LOSSES,
    KEEP,
    LOSSES,
    MIXES,
    MOST_MAGNITUDE,
    NO_SEARCH,
    NO_WEIGHTS,
    NONE_RIGHT,
    OPEN,
    OPPONENTS,
    OPS,
    PRECISIONS,
    REWARDS,
    ROLES,
    SEARCH_LOSSES,
    STAGES,
    STRATEGIES,
    USUAL_AUGMENTATION_OPS,
    USUAL_MAGNITUDE,
    USUAL_MIX_PROBABILITY,
)
from okd_tf.sources import request

FLAGFILE = "flags.cfg"  # in the workdir
STAGES_FILE = "stages.json"  # in the workdir

DATA = (  # what a dataset is asked for
    *("dataset", "image_size", "resize", "channels", "image_key", "label_key", "id_key"),
    *("train_split", "val_split", "test_split", "max_unreadable"),
)
SPLIT = {  # what splits depend on
    *DATA,
    *("train_examples", "val_examples", "test_examples", "split_seed", "drop_duplicates"),
    *("pixel_mean", "pixel_std"),
    *("augmentation", "augmentation_ops", "augmentation_magnitude", "crop_padding"),
}
INPUTS = {"teachers", "arch"}  # files of the user that a run depends on

RESULT = "result"  # decides what the run gives; kept in its workdir and compared with it
MANNER = "manner"  # changes how the run goes but not what it gives; kept, and free to change
ONCE = "once"  # says what this call is to do; not kept


def _option(default: Any, meaning: str, *, minimum: float | None = None, kind: str = RESULT) -> Any:
    metadata = {"meaning": meaning, "minimum": minimum, "kind": kind}
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a run; each is a flag of the same name."""

    workdir: str = _option("", "folder of this run: every stage reads and writes here", kind=MANNER)
    seed: int = _option(0, "of views, initial weights and all sampling", minimum=0)
    trial: int = _option(
        0, "number of this repetition: other seeds of search and student, same teachers and views", minimum=0
    )
    stages: tuple[str, ...] = _option(STAGES, f"which stages to run, of {','.join(STAGES)}", kind=ONCE)
    redo: bool = _option(
        False, "accept changed flags in a workdir: stages that depend on them run again", kind=ONCE
    )
    join: bool = _option(
        False,
        "help the run that is going on in --workdir, here or on another host: do what nobody does yet of the "
        "teachers to train and the networks to compare, and leave",
        kind=ONCE,
    )

    dataset: str = _option(
        "digits",
        "digits, cifar10, cifar100, tiny_imagenet; folder (your images, in --data_dir); tfds:NAME or "
        "tfds:NAME/CONFIG; or npz:FILE",
    )
    data_dir: str = _option(
        "",
        "prepared TFDS folder (default: TFDS's own); of --dataset=folder, the folder of images",
        kind=MANNER,
    )
    download: bool = _option(
        False,
        "allow TFDS to download a dataset that is not there, and Keras the weights of --weights=imagenet",
        kind=ONCE,
    )
    tiny_imagenet_zip: str = _option(
        "", "prepare tiny_imagenet from its original archive, or from a cut of that", kind=MANNER
    )
    cache_dir: str = _option(
        "", "where prepared forms of data are kept (default: okd_tf in ~/.cache)", kind=MANNER
    )
    cache_bytes: int = _option(
        request.CACHE_BYTES,
        "images of up to so many bytes are held in memory; others are streamed",
        minimum=0,
        kind=MANNER,
    )
    image_size: str = _option(
        "", "bring images to this size, as 64 or 48x64 (height x width); default: as they are"
    )
    resize: str = _option(
        "crop",
        "how: crop (the shorter side fits, the middle is taken), stretch, or pad (the longer side fits)",
    )
    channels: int = _option(0, "bring images to 1 (grey) or 3 (RGB) channels; 0: as they are", minimum=0)
    image_key: str = _option("", "of tfds and npz: where the images are (default: 'image', or the only ones)")
    label_key: str = _option(
        "",
        "of tfds, cifar and npz: where the labels are, such as coarse_label (default: 'label', or the only "
        "ones)",
    )
    id_key: str = _option(
        "",
        "of tfds and npz: where the examples' own numbers or names are (default: 'id', if there); of tfds, "
        "none: tell them apart by what they show",
    )
    train_split: str = _option("", "of tfds: what to train on (default: train)")
    val_split: str = _option("", "of tfds: what to choose by (default: carved from what is trained on)")
    test_split: str = _option("", "of tfds: what to test on (default: test, or validation, or carved)")
    max_unreadable: int = _option(
        10, "of folder: so many files may be unreadable, and are left out", minimum=0
    )
    pixel_mean: tuple[str, ...] = _option(
        (), "normalise by this mean of each channel, on the scale 0..255 (default: the training split's)"
    )
    pixel_std: tuple[str, ...] = _option((), "and by this standard deviation (default: the training split's)")
    train_examples: int = _option(0, "train on this many examples only; 0: all", minimum=0)
    split_seed: int = _option(
        0,
        "of the validation split, and of the test split where the dataset has none; keep it when runs share "
        "teachers, who must not have seen them",
        minimum=0,
    )
    val_examples: int = _option(
        0, "validation examples, carved from training data; 0: a tenth, or the dataset's own", minimum=0
    )
    test_examples: int = _option(
        0, "test examples, carved from training data where the dataset has none; 0: a tenth", minimum=0
    )
    drop_duplicates: bool = _option(
        False,
        "leave training images out that are copies of test or validation images, and validation images that "
        "are copies of test images; exact and near copies",
    )
    augmentation: tuple[str, ...] = _option(
        (),
        f"views of a training image: one of {', '.join(AUGMENTATIONS)}; operations may follow, such as "
        f"rotate,brightness, or {ALL_AUGMENTATION_OPS} for all (default: the dataset's own; operations where "
        "the plan of few large images has them)",
    )
    crop_padding: int = _option(
        -1,
        "pixels that images are padded by before they are cropped; -1: an eighth of their height, or the "
        "dataset's own",
        minimum=-1,
    )
    augmentation_ops: int = _option(
        USUAL_AUGMENTATION_OPS, "how many of the named operations make a view", minimum=1
    )
    augmentation_magnitude: int = _option(
        USUAL_MAGNITUDE, f"how much each of them does, up to {MOST_MAGNITUDE}", minimum=0
    )
    mix: str = _option(
        OPEN["mix"],
        f"Mix views of training images with views of other ones, labels in proportion: {', '.join(MIXES)} "
        "(cutmix: a box of the other image; mixup: both blended; both: one of the two; default: from the "
        "size and number of images). For the search, the student, the baseline and assistants; the bank "
        "stores what teachers say of the mixed images.",
    )
    mix_probability: float = _option(
        USUAL_MIX_PROBABILITY,
        "Share of the views that --mix and --teacher_mix mix, at most 1.",
        minimum=1e-3,
    )
    teacher_mix: str = _option(
        OPEN["teacher_mix"],
        "Mix the images that teachers are trained on, as --mix does (default: from the data).",
    )
    effort: str = _option(
        EFFORT,
        f"how long networks are trained where their epochs are left to the data: {', '.join(EFFORTS)}",
    )
    batch_size: int = _option(
        OPEN["batch_size"],
        "examples per step, over all devices together; 0: from the data, so that an epoch has steps enough",
        minimum=0,
    )

    teachers: tuple[str, ...] = _option(
        (),
        "your own teachers: .keras files, SavedModel folders, or folders of them; NAME.json beside one says "
        "what it takes and gives where that is not what the dataset has",
    )
    num_teachers: int = _option(3, "teachers to train, if none are given", minimum=1)
    teacher_backbone: str = _option(
        OPEN["teacher_backbone"],
        "network of the trained teachers, of the same names as --backbone, or as applications:ResNet50 "
        "(default: from the data)",
    )
    teacher_backbones: tuple[str, ...] = _option(
        (),
        "networks of the trained teachers where they are not all the same, in place of --teacher_backbone: "
        "the first is of the first name, and so on, and after the last name again from the first",
    )
    teacher_width: int = _option(16, "width of their networks, as --backbone_width", minimum=1)
    teacher_epochs: int = _option(
        OPEN["teacher_epochs"],
        "epochs each teacher is trained; 0: from the data and --effort",
        minimum=0,
    )
    teacher_folds: int = _option(
        0,
        "if teachers are trained: of so many parts of the training examples, each teacher leaves one out, in "
        "turn, and what it says of it is no memory; 0: all train on all",
        minimum=0,
    )

    views: int = _option(
        OPEN["views"],
        "augmented views of each example whose teacher logits are stored; 0: ask teachers live, of new "
        "views; -1: from the data and --effort",
        minimum=-1,
    )
    bank: str = _option(
        "",
        "read stored logits here: the bank of another run with the same data, seed and teachers",
        kind=MANNER,
    )
    check_bank: int = _option(
        0, "ask the teachers again about this many stored rows and compare", minimum=0, kind=ONCE
    )

    backbone: str = _option(
        OPEN["backbone"],
        "network that the student grows from (default: from the size and number of images; resnet8/14 are "
        "resnet8 and resnet14): conv5, resnet8/14/20/32/44/56/"
        "62/110, resnet8x4/32x4, resnet8_s2/14_s2/20_s2, resnet18, preact_resnet20/32/56/110, wrn16_1/16_2/"
        "16_4/28_10/40_1/40_2/40_4, densenet40_12/100_12, vgg8/13/16, mobilenet_v2, shufflenet_v2; one of "
        "keras.applications, as applications:MobileNetV2; or the path of a .keras file",
    )
    backbone_width: int = _option(
        OPEN["backbone_width"],
        "16: the network as it was published; other widths scale all its channels in proportion (of CIFAR "
        "ResNets it is the first stage's channels); not of a file; 0: 8 where the data chooses conv5, or 16",
        minimum=0,
    )
    attach_after: str = _option(
        "",
        "regular expression: an add-on layer may come after each layer whose whole name it matches "
        "(default: after every block, or convolution of a VGG; a .keras file needs it)",
    )
    weights: str = _option(
        NO_WEIGHTS,
        "what networks of keras.applications begin from: none; imagenet (in Keras's cache, or with "
        "--download); or a .weights.h5, .h5 or .keras file of the application; as with --keep_weights",
    )
    keep_weights: bool = _option(
        False,
        "of a --backbone that is a .keras file: student, baseline and search begin from its weights, and "
        "add-on layers as nothing; the head is replaced if it is for another number of classes",
    )
    warm_rate: float = _option(
        1.0, "factor of --learning_rate for layers that begin with kept weights", minimum=0
    )
    frozen_epochs: int = _option(
        0,
        "epochs of a training in which layers that begin with kept weights, and the statistics of their "
        "batch norms, do not move at first",
        minimum=0,
    )
    ops: tuple[str, ...] = _option(OPS, "candidate operations of the add-on layers")
    strategy: str = _option(
        "darts", f"how to search: {', '.join(STRATEGIES)}; or {NO_SEARCH}: the student is the bare backbone"
    )
    search_loss: str = _option("oracle", f"loss of the search: {', '.join(SEARCH_LOSSES)}")
    search_epochs: int = _option(
        OPEN["search_epochs"], "epochs of the search; 0: from the data and --effort", minimum=0
    )
    search_warmup_epochs: int = _option(
        OPEN["search_warmup_epochs"],
        "epochs in which only the weights learn; -1: a fifth of the search",
        minimum=-1,
    )
    search_sharpness: float = _option(
        5.0, "darts: alphas are multiplied by up to this at the end of the search; 1: not", minimum=1
    )
    unrolled: bool = _option(
        False,
        "darts: second order, the alphas look one step of the weights ahead; costs 2.5 times as much, and is "
        "rough on networks with ReLU",
    )
    alpha_learning_rate: float = _option(0.01, "Adam's rate for the alphas", minimum=0)
    alpha_weight_decay: float = _option(0.0, "L2 factor on the alphas", minimum=0)
    gumbel_temperature: float = _option(5.0, "gumbel: of the samples, after the warm-up", minimum=1e-3)
    gumbel_temperature_end: float = _option(0.5, "gumbel: of the samples, at the end", minimum=1e-3)
    controller_updates: int = _option(
        10, "reinforce: updates of the controller after each epoch (ENAS: 50)", minimum=1
    )
    controller_children: int = _option(
        10, "reinforce: networks sampled for each update (ENAS: 20)", minimum=1
    )
    controller_learning_rate: float = _option(0.01, "reinforce: Adam's rate for the controller", minimum=0)
    controller_entropy: float = _option(0.01, "reinforce: factor of the entropy bonus", minimum=0)
    reward: str = _option("accuracy", f"reinforce: what a network is rewarded for, {' or '.join(REWARDS)}")
    budget_weight: float = _option(
        1.0, "factor of the differentiable budget term; reinforce: exponent of the memory term", minimum=0
    )
    stop_on_collapse: bool = _option(
        False, "end a search that has turned to operations without parameters", kind=MANNER
    )
    candidates: int = _option(8, "architectures to rank on validation", minimum=1)
    finals: tuple[str, ...] = _option(
        (),
        f"numbers of finalists of one or two rounds, as {finals.EXAMPLE}: so many architectures, half of "
        "them of the search and half random, share the epochs of one student and train from scratch, each "
        "with a whole schedule; the best on validation go on, and the last is the student; none: the best "
        "with shared weights is the student",
    )
    max_params: tuple[str, ...] = _option(
        budgets.UNBOUNDED,
        f"most parameters the student may have; 0: no bound; several, as {budgets.EXAMPLE}: one search, and "
        "a student for each, of which that of the last is the run's own",
    )
    max_flops: int = _option(0, "most FLOPs per image it may take; 0: no bound", minimum=0)

    assistant: tuple[str, ...] = _option(
        (),
        "chain of teacher assistants, of the same names as --backbone: the teachers teach the first with "
        "--train_loss, each the next, and the last the student",
    )
    assistant_width: int = _option(16, "width of their networks, as --backbone_width", minimum=1)
    assistant_epochs: int = _option(
        OPEN["assistant_epochs"],
        "epochs each assistant is trained; 0: from the data and --effort",
        minimum=0,
    )

    arch: str = _option("", "train this arch.json in place of the workdir's own")
    student: str = _option(
        "",
        "evaluate or export this .keras file or SavedModel folder in place of the workdir's own; what a JSON "
        "file beside it declares counts as of a teacher",
        kind=ONCE,
    )
    export_formats: tuple[str, ...] = _option(
        EXPORT_FORMATS, f"what is exported, of {', '.join(EXPORT_FORMATS)}"
    )
    min_integer_share: float = _option(
        0.0,
        "smallest share of the operations of student_int8.tflite that must compute in integers, for the "
        "export not to fail; 1: all",
        minimum=0,
    )
    train_loss: str = _option(
        "oracle",
        f"loss of the student's training: {', '.join(LOSSES)}; or {AUTO}: whichever of "
        f"{', '.join(AUTO_LOSSES)} is best on validation after a short training with each",
    )
    temperature: float = _option(
        4.0, "of the soft targets, in search and training (mutual in its paper: 1)", minimum=1e-3
    )
    ce_weight: float = _option(0.0, "share of the label's cross-entropy in a distillation loss", minimum=0)
    kd_weight: float = _option(
        -1.0,
        "factor of what is learnt from teachers, or peers, in a distillation loss; -1: a 25th of the number "
        "of classes, at least 1; of dkd, oracle_dkd and mutual 1",
        minimum=-1,
    )
    none_right: str = _option(
        NONE_RIGHT[0],
        f"{', '.join(GATED_LOSSES)}: what teaches an example that no teacher gets right: label, mean (of all "
        "teachers), or both (half of each)",
    )
    standardize_logits: bool = _option(
        False, "losses with teachers: distil from logits of mean 0 and deviation 1, of teachers and student"
    )
    held_out_only: bool = _option(
        False, "losses with teachers: of an example, hear only the teachers that did not train on it"
    )
    dkd_alpha: float = _option(1.0, "dkd, oracle_dkd: factor of what is said of the label", minimum=0)
    dkd_beta: float = _option(8.0, "dkd, oracle_dkd: factor of what is said of other classes", minimum=0)
    student_epochs: int = _option(
        OPEN["student_epochs"],
        "epochs of the student and of the baseline; 0: from the data and --effort",
        minimum=0,
    )
    baseline: bool = _option(True, "also train the bare backbone with the cross-entropy")
    opponents: str = _option(
        OPPONENTS[2],
        "plain networks to train beside the baseline, by the student's recipe: none; bare: the bare backbone "
        "with the student's loss; all: also the backbone as wide as the student's number of parameters "
        "allows, with labels and with the student's loss",
    )
    trials: int = _option(
        1,
        "how often search, student, baseline and opponents are repeated from other seeds with the same "
        "teachers; the report then has means and paired differences, and the student that is best on "
        "validation is exported",
        minimum=1,
    )

    balance: str = _option(
        "none",
        "of classes of unequal size, wherever networks are trained: none; weights: an example's loss is "
        "multiplied by examples / (classes * examples of its class); sampling: all classes are shown equally "
        "often",
    )
    learning_rate: float = _option(
        OPEN["learning_rate"],
        "highest rate of SGD with momentum, for all weights; of the whole batch, and not scaled by how many "
        "devices share that; 0: 0.1 times the square root of batch / 128",
        minimum=0,
    )
    schedule: str = _option("cosine", "of the rate: cosine, or step")
    schedule_steps: tuple[str, ...] = _option(
        ("0.5", "0.75"), "step: the rate is divided by 10 after each of these shares of a training"
    )
    momentum: float = _option(0.9, "of SGD; less than 1", minimum=0)
    nesterov: bool = _option(True, "whether that is Nesterov's")
    weight_decay: float = _option(5e-4, "L2 factor on all weights", minimum=0)
    student_learning_rate: float = _option(
        -1.0, "of the student, baseline and assistants; -1: as --learning_rate", minimum=-1
    )
    student_weight_decay: float = _option(
        -1.0, "of the student, baseline and assistants; -1: as --weight_decay", minimum=-1
    )
    teacher_learning_rate: float = _option(-1.0, "of trained teachers; -1: as --learning_rate", minimum=-1)
    teacher_weight_decay: float = _option(-1.0, "of trained teachers; -1: as --weight_decay", minimum=-1)
    label_smoothing: float = _option(
        0.0,
        "share of the label that goes to all classes alike, less than 1, in trainings whose loss is ce: the "
        "baseline's, and what --train_loss=ce or --search_loss=ce trains",
        minimum=0,
    )
    teacher_label_smoothing: float = _option(0.0, "the same, of trained teachers", minimum=0)
    keep: str = _option(
        KEEP[0],
        "weights that trained networks are left with (not the search's): last; best: of the epoch with the "
        "highest validation accuracy; or average: an exponential moving average over the training's steps",
    )
    average_decay: float = _option(
        -1.0,
        "of --keep=average, between 0 and 1; -1: 1 - 20 / steps of the training, a window of a twentieth of "
        "it",
        minimum=-1,
    )
    clip_norm: float = _option(
        0.0,
        "largest norm of the weights' gradients in a step, of the whole batch and before L2; 0: any",
        minimum=0,
    )
    precision: str = _option(
        "float32",
        f"what training steps compute in: {', '.join(PRECISIONS)}; weights, losses and saved networks are "
        "float32 in each",
    )

    distribution: str = _option(
        "none",
        "none; mirrored: all local devices share each batch; or multi_worker: those of all hosts that the "
        "variable TF_CONFIG names, which run the same command",
        kind=MANNER,
    )
    workers_wait_seconds: float = _option(
        600.0, "multi_worker: how long to wait for all workers to start", minimum=0, kind=MANNER
    )
    steps_per_execution: int = _option(1, "training steps in one traced call", minimum=1, kind=MANNER)
    checkpoint_seconds: float = _option(
        60.0, "at most this much of a training is lost by a kill", minimum=0, kind=MANNER
    )
    checkpoint_steps: int = _option(
        0, "at most so many steps of it are lost; 0: as many as fit in that time", minimum=0, kind=MANNER
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_params", budgets.normal(self.max_params))
        checks.check(self)

    @property
    def searches(self) -> bool:
        """Return whether an architecture is to be searched for."""
        return self.strategy != NO_SEARCH and not self.arch

    @property
    def keeps_weights(self) -> bool:
        """Return whether the backbone of a search keeps its pretrained weights."""
        return self.keep_weights or self.has_weights(self.backbone)

    @property
    def teachers_keep_weights(self) -> bool:
        """Return whether some of the teachers trained here keep pretrained weights."""
        names = map(self.teacher_network, range(self.num_teachers))
        return not self.teachers and any(map(self.has_weights, names))

    def has_weights(self, network: str) -> bool:
        """Return whether the network of this name gets pretrained weights by --weights."""
        return network.startswith(APPLICATION_PREFIX) and self.weights != NO_WEIGHTS

    @property
    def train_losses(self) -> tuple[str, ...]:
        """Return the losses that may train the student: --train_loss, or all that `auto` chooses from."""
        return AUTO_LOSSES if self.train_loss == AUTO else (self.train_loss,)

    @property
    def drops(self) -> tuple[float, ...]:
        """Return the numbers of --schedule_steps."""
        return checks.drops(self.schedule_steps)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Return the parameter budgets of --max_params, rising; (0,) is no bound."""
        return budgets.parse(self.max_params)

    @property
    def rounds(self) -> tuple[int, ...]:
        """Return the number of finalists in each round of the finals; empty without finals."""
        return finals.rounds(self.finals)

    @property
    def size(self) -> tuple[int, int] | None:
        """Return the (height, width) of --image_size, or None."""
        return checks.size(self.image_size)

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return the channel statistics of --pixel_mean and --pixel_std, or None."""
        return checks.statistics(self.pixel_mean, self.pixel_std)

    @property
    def request(self) -> request.Request:
        """Return the request for the dataset."""
        told = {field.name for field in dataclasses.fields(request.Request)} & set(FIELDS)
        how = {name: getattr(self, name) for name in told}
        return request.Request(self.dataset, **{**how, "image_size": self.size})

    def deciding(self, name: str, stage: str) -> str:
        """Return the name of the setting that decides `name` for the networks of a stage.

        This is the setting of their role if it is given, such as student_learning_rate, else `name` itself.
        """
        own = f"{ROLES[stage]}_{name}" if stage in ROLES else name
        return own if getattr(self, own) >= 0 else name

    def teacher_network(self, index: int) -> str:
        """Return the name of the network of teacher `index` (from 0), if teachers are trained."""
        names = self.teacher_backbones or (self.teacher_backbone,)
        return names[index % len(names)]


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def default(field: Any) -> Any:
    """Return the default value of a setting."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def text(value: Any) -> str:
    """Return a setting's value as its flag has it."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def flagfile(settings: Settings) -> str:
    """Return the text of a flagfile with these settings, without those of a single invocation."""
    lines = ["# The flags of this run: --flagfile with this file repeats it."]
    for name, field in FIELDS.items():
        value = getattr(settings, name)
        if field.metadata["kind"] != ONCE:
            lines.append(f"--{name}={text(value)}")
    return "\n".join(lines) + "\n"
