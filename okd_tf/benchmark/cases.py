"""What can be measured: for each case a step, ready to run, and the arithmetic it cannot do without.

Training steps, of searches too, take their batches as a run's do: from `Batches`, which augments them and
reads stored logits in the background, so that their input is in their time. A case is one function
(Workload) -> Case and one line in CASES.
"""

import dataclasses
import functools
import itertools
import pathlib
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from okd_tf import search
from okd_tf.arch import cost
from okd_tf.benchmark import search_steps, workload
from okd_tf.benchmark.setup import Setup
from okd_tf.benchmark.workload import Workload
from okd_tf.training import checkpoint, loop, objective, recipe

GEMM = 2048  # rows and columns of the matrices
MIRRORED = "_mirrored"  # ends the names of cases that run over devices
CHECKPOINT = "_checkpoint"  # ends the names of cases that save what others train
STREAMED = "_streamed"  # ends the names of cases whose images are read from the disk


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        step: runs one step; traced at its first call.
        images: training images in a step; None if it is not of images.
        flops: multiply-adds times two of matrix products, convolutions and dense layers in a step, on average
            over what the step samples; None if it has none of them.
        model: what the step trains, if it does.
    """

    step: Callable[[], object]
    images: int | None
    flops: float | None
    model: keras.Model | None = None


def gemm(given: Workload) -> Case:
    """A product of two square matrices: what this machine can do at best."""
    generator = np.random.default_rng(0)
    dtype = given.setup.precision
    a, b = (tf.cast(generator.normal(size=(GEMM, GEMM)), dtype) for _ in range(2))
    return Case(_traced(lambda: tf.matmul(a, b)), None, 2.0 * GEMM**3)


def ce(given: Workload) -> Case:
    """A training step of the bare backbone with the cross-entropy."""
    return _training(given, objective.Objective("ce"), given.training_batches())


def bank(given: Workload) -> Case:
    """A training step with the oracle loss, teachers' logits from the bank."""
    return _training(given, objective.Objective("oracle"), given.training_batches(with_logits=True))


def live(given: Workload) -> Case:
    """A training step with the oracle loss, teachers asked in each step."""
    teachers = given.ensemble(given.setup.teachers)
    asked = objective.Objective("oracle", live_teachers=teachers.live)
    return _training(
        given, asked, given.training_batches(), given.setup.teachers * _forward(given.teacher_model())
    )


def inference(given: Workload) -> Case:
    """One teacher's forward pass, of a batch in memory."""
    teacher = given.ensemble(1)
    batch = next(workload.endless(given.training_batches()))
    images = given.setup.batch_size
    return Case(
        _traced(lambda: teacher.live(batch["image"])), images, float(images * _forward(given.teacher_model()))
    )


def input_alone(given: Workload) -> Case:
    """Batches with augmentation and stored logits, one after the other, and no step that uses them."""
    batches = workload.endless(given.training_batches(with_logits=True))
    return Case(_traced(batches.get_next), given.setup.batch_size, None)


def bank_read(given: Workload) -> Case:
    """A batch's stored logits read back, and nothing else: of any rows, from one view to the next.

    A training shows all examples in one view before it comes to the next; this is all over the bank at once.
    """
    read, generator = given.bank.reader("train"), np.random.default_rng(0)
    count, images = len(given.data.train), given.setup.batch_size
    views = itertools.cycle(range(given.setup.views))

    def run():
        return read(generator.integers(0, count, images), np.full(images, next(views)))

    return Case(run, images, None)


def checkpointed(given: Workload, case: Callable[[Workload], Case]) -> Case:
    """A checkpoint of what another case trains, written and flushed to the disk; none of its steps."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=given.setup.folder))
    checkpointer = checkpoint.Checkpointer(folder, loop.state(case(given).model))
    steps = itertools.count(1)
    return Case(lambda: checkpointer.save(next(steps)), given.setup.batch_size, None)


def over_devices(given: Workload, case: Callable[[Workload], Case]) -> Case:
    """Another case on all local devices, each with its part of the batch; see `prepare`."""
    return case(Workload(given.setup, "mirrored"))


def streamed(given: Workload, case: Callable[[Workload], Case]) -> Case:
    """Another case, whose images are read from ArrayRecord files and decoded from PNG as they are wanted."""
    return case(Workload(given.setup, streams=True))


def input_randaugment(given: Workload) -> Case:
    """As `input_alone`, of views that have two of RandAugment's operations each."""
    return input_alone(Workload(given.setup, randaugment=True))


def input_mixed(given: Workload) -> Case:
    """As `input_alone`, of views that are all mixed with those of other examples."""
    return input_alone(Workload(given.setup, mixed=True))


def search_step(given: Workload, strategy: str, unrolled: bool = False) -> Case:
    """A step of a search: of reinforce and random, of the shared weights alone.

    What reinforce does between epochs is not in it: updates times networks forward passes of a batch.
    """
    model, batches, flops = search_steps.make(given, strategy, unrolled)
    images = given.setup.batch_size
    return Case(_fed(given, model, batches), images, images * flops, model)


CASES: dict[str, Callable[[Workload], Case]] = {
    "gemm": gemm,
    "ce": ce,
    "bank": bank,
    "live": live,
    "inference": inference,
    "input": input_alone,
    "input_randaugment": input_randaugment,
    "input_mixed": input_mixed,
    "bank_read": bank_read,
    **{f"search_{name}": functools.partial(search_step, strategy=name) for name in search.STRATEGIES},
    "search_darts_unrolled": functools.partial(search_step, strategy="darts", unrolled=True),
}
for _name in ("ce", "search_darts"):
    CASES[f"{_name}{MIRRORED}"] = functools.partial(over_devices, case=CASES[_name])
    CASES[f"{_name}{CHECKPOINT}"] = functools.partial(checkpointed, case=CASES[_name])
for _name in ("ce", "input"):
    CASES[f"{_name}{STREAMED}"] = functools.partial(streamed, case=CASES[_name])


def prepare(name: str):
    """Splits the processor into two devices, if a case is to be run over devices and there are no others.

    To be called before the first tensor is made.
    """
    if name.endswith(MIRRORED) and not tf.config.list_physical_devices("GPU"):
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


def make(name: str, setup: Setup) -> Case:
    """A case by its name, which ends in ":" and a number if that is how many teachers it has."""
    name, _, teachers = name.partition(":")
    if teachers:
        setup = dataclasses.replace(setup, teachers=int(teachers))
    keras.utils.set_random_seed(0)
    return CASES[name](Workload(setup))


def _training(given, asked, batches, teacher_flops=0):
    # Forward, and backward to the activations and to the weights.
    flops = 3.0 * _forward(given.backbone().model) + teacher_flops
    trained = recipe.make_classifier(
        lambda: given.backbone().model, asked, batches, epochs=workload.EPOCHS, seed=0, recipe=given.recipe
    )
    images = given.setup.batch_size
    return Case(_fed(given, trained, batches), images, images * flops, trained)


def _forward(model):
    return cost.of_model(model).flops


def _fed(given, model, batches):
    strategy = given.recipe.strategy
    iterator = workload.endless(batches, strategy)
    return _traced(lambda: strategy.run(model.train_step, args=(next(iterator),)))


def _traced(step):
    return tf.function(step, jit_compile=False, autograph=False)
