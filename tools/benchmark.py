"""Times training steps and what they are made of: `python tools/benchmark.py --what=gemm,ce,bank,live`.

All that is measured takes turns, round after round, so that a noisy machine is the same for each; figures are
medians. Each case runs in a process of its own, whose memory is told. Teachers are untrained and stored
logits random, which time does not depend on.

    gemm        a product of two 2048 x 2048 matrices: what the machine can do at best
    ce          a training step of the backbone with labels, augmented input included
    bank        the same with the oracle loss, teachers' logits read from a view bank on the disk
    live        the same with teachers asked in each step
    inference   one teacher's forward pass of a batch
    input       augmented batches with stored logits, without a step
    input_randaugment   the same with two of RandAugment's operations in each view
    input_mixed         the same with all views mixed with others, by CutMix or mixup
    bank_read   the stored logits of a batch alone, from all over the bank
    search_...  a step of a search, with the oracle loss from the bank
    ..._mirrored    of ce and search_darts: the same batch over all GPUs, or over the processor as two devices
    ..._checkpoint  of ce and search_darts: a checkpoint of that training, and none of its steps
    ..._streamed    of ce and input: images are read from the disk, and decoded, as they are wanted

A number of teachers may follow some: --what=bank:1,bank:10.
"""

import contextlib
import dataclasses
import tempfile

from absl import flags

from okd_tf import cli, errors, files, json_file, progress, settings
from okd_tf.benchmark import measure, processes
from okd_tf.benchmark.setup import NOISE, Setup
from okd_tf.cli import command_line

_SHARED = (
    *("backbone", "backbone_width", "batch_size", "num_teachers", "views", "ops"),
    *("data_dir", "train_examples", "precision"),
)
_STORED = ("bank", "input", "bank_read")  # read a bank, as searches do
_SEARCHES = tuple(f"search_{name}" for name in settings.STRATEGIES)
_DEFAULT = ("gemm", "ce", "bank", "live", "inference", "input", "bank_read", *_SEARCHES)
_OF_TWO = (
    *(f"{case}_{what}" for what in ("mirrored", "checkpoint") for case in ("ce", "search_darts")),
    *("ce_streamed", "input_streamed", "input_randaugment", "input_mixed"),
)
_DEFAULTS = {
    "backbone": "resnet8",
    "backbone_width": 16,
    "batch_size": 128,
    "views": 8,
}  # of flags that a run may leave to the data
_CASES = (*_DEFAULT, "search_darts_unrolled", *_OF_TWO)
_COUNTED = (*_STORED, "live")  # a number of teachers may follow

_WHAT = flags.DEFINE_list(
    "what",
    list(_DEFAULT),
    f"what to time, of {', '.join(_CASES)}; ratios are to ce, shares of gemm; bank:10 is bank with ten "
    f"teachers in place of --num_teachers, and so with {', '.join(_COUNTED[1:])}",
)
_JSON = flags.DEFINE_string("json", "", "file to write the results to, as a JSON list")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "how often each takes its turn", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "how long a turn is", lower_bound=0.0)
_DATASET = flags.DEFINE_string(
    "dataset", NOISE, "digits, cifar10, cifar100, or noise: 5000 random examples, or --train_examples"
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "noise: height and width of an image", lower_bound=1)
_CLASSES = flags.DEFINE_integer("classes", 100, "noise: number of classes", lower_bound=2)
_TEACHER_BACKBONE = flags.DEFINE_string(
    "teacher_backbone", "", "network of the teachers (default: the backbone)"
)
_TEACHER_WIDTH = flags.DEFINE_integer(
    "teacher_width", 0, "its width, as --backbone_width (default: the backbone's)", lower_bound=0
)
_BANK_DIR = flags.DEFINE_string(
    "bank_dir", "", "folder for examples and banks while this runs (default: the system's temporary one)"
)


def main():
    """Measures, and shows and writes the results."""
    chosen = settings.Settings(workdir="none", **{name: command_line.value(name) for name in _SHARED})
    banks = _banks(chosen)
    _check(chosen)
    if _JSON.value:
        files.refuse_unwritable(_JSON.value, "--json")
    with _folder() as folder:
        cli.import_tensorflow()
        results = _measured(chosen, banks, folder)
    print(measure.table(results))
    if _JSON.value:
        json_file.write(_JSON.value, [dataclasses.asdict(result) for result in results])
        print(f"results: {_JSON.value}")


def _measured(chosen, banks, folder):
    # After the flags are known to be good: these imports take seconds.
    from okd_tf import backbones
    from okd_tf.benchmark import stored

    teacher = _TEACHER_BACKBONE.value or chosen.backbone
    networks = (("--backbone", chosen.backbone), ("--teacher_backbone", teacher))
    for flag, name in networks:
        if name not in backbones.BACKBONES:
            raise errors.unknown(flag, name, backbones.BACKBONES)
    progress.say("benchmark: writing examples and banks")
    data = stored.load(
        _DATASET.value,
        chosen.data_dir,
        chosen.train_examples,
        chosen.batch_size,
        _IMAGE_SIZE.value,
        _CLASSES.value,
    )
    for flag, name in networks:
        backbones.check_size(flag, name, data.image_shape)
    stored.write(folder, data, chosen.views, banks)
    setup = Setup(
        folder=folder,
        backbone=chosen.backbone,
        width=chosen.backbone_width,
        teacher_backbone=teacher,
        teacher_width=_TEACHER_WIDTH.value or chosen.backbone_width,
        teachers=chosen.num_teachers,
        views=chosen.views,
        batch_size=chosen.batch_size,
        ops=chosen.ops,
        precision=chosen.precision,
    )
    with processes.running(_WHAT.value, setup, cli.import_tensorflow, progress.say) as runners:
        return measure.interleaved(runners, _ROUNDS.value, _SECONDS.value, progress.say)


def _banks(chosen):
    """The numbers of teachers that banks are wanted of; refuses names that are no cases."""
    if not _WHAT.value:
        raise errors.UserError(f"--what: nothing to time; name some of {','.join(_CASES)}")
    found = set()
    for given in _WHAT.value:
        name, colon, count = given.partition(":")
        if name not in _CASES:
            raise errors.unknown("--what", name, _CASES)
        if colon and (name not in _COUNTED or not count.isdecimal() or int(count) < 1):
            raise errors.UserError(
                f"--what: '{given}': a number of teachers, from 1, goes with {', '.join(_COUNTED)} alone, as "
                "in bank:10"
            )
        if name in _STORED or name.startswith(("search", "input_")):
            found.add(int(count) if colon else chosen.num_teachers)
    return found


def _check(chosen):
    """Refuses flags that do not go together, or that leave open what is to be measured."""
    for name in ("batch_size", "backbone_width"):
        if getattr(chosen, name) < 1:
            raise errors.UserError(
                f"--{name}: 0 leaves it to the data, and no data is trained on here; give one"
            )
    if chosen.views < 1:
        raise errors.UserError(
            f"--views: {chosen.views} leaves nothing to store; at least 1 (the case live asks teachers)"
        )
    if len(set(_WHAT.value)) < len(_WHAT.value):
        raise errors.UserError(f"--what: {','.join(_WHAT.value)} names one twice; name each once")
    for flag in (_IMAGE_SIZE, _CLASSES):
        if _DATASET.value != NOISE and flag.present:
            raise errors.UserError(
                f"--{flag.name} requires --dataset={NOISE} (got {_DATASET.value}); leave one of the two out"
            )


@contextlib.contextmanager
def _folder():
    """A folder for what the cases read, that is gone in the end."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="okd_tf_benchmark_", dir=_BANK_DIR.value or None)
    except OSError as error:
        raise errors.UserError(
            f"--bank_dir: {_BANK_DIR.value or tempfile.gettempdir()}: {error.strerror}; name a folder that "
            "is there and can be written to"
        ) from None
    with folder as path:
        yield path


if __name__ == "__main__":
    cli.define(_SHARED, _DEFAULTS)
    cli.start(main, stopped="nothing was written")
