"""The benchmark's cases: for each a step, ready to run, and the FLOPs that it needs.

Training steps, those of searches included, take their batches as a run does: from `Batches`, which augments
them and reads stored logits in the background, so their time includes their input. A case is one function
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
    """One step to measure.

    Attributes:
        step: runs one step; traced at its first call.
        images: training images in a step; None if it processes none.
        flops: FLOPs, 2 per multiply-add, of matrix products, convolutions and dense layers in a step, on
            average over what the step samples; None if it has none of them.
        model: the model that the step trains, or None.
    """

    step: Callable[[], object]
    images: int | None
    flops: float | None
    model: keras.Model | None = None


def gemm(given: Workload) -> Case:
    """Return the case of a product of two square matrices: this machine's peak."""
    generator = np.random.default_rng(0)
    dtype = given.setup.precision
    a, b = (tf.cast(generator.normal(size=(GEMM, GEMM)), dtype) for _ in range(2))
    return Case(_traced(lambda: tf.matmul(a, b)), None, 2.0 * GEMM**3)


def ce(given: Workload) -> Case:
    """Return the case of a training step of the bare backbone with the cross-entropy."""
    return _training(given, objective.Objective("ce"), given.training_batches())


def bank(given: Workload) -> Case:
    """Return the case of a training step with the oracle loss, teachers' logits from the bank."""
    return _training(given, objective.Objective("oracle"), given.training_batches(with_logits=True))


def live(given: Workload) -> Case:
    """Return the case of a training step with the oracle loss, whose teachers run in each step."""
    teachers = given.ensemble(given.setup.teachers)
    asked = objective.Objective("oracle", live_teachers=teachers.live)
    return _training(
        given, asked, given.training_batches(), given.setup.teachers * _forward(given.teacher_model())
    )


def inference(given: Workload) -> Case:
    """Return the case of one teacher's forward pass on a batch in memory."""
    teacher = given.ensemble(1)
    batch = next(workload.endless(given.training_batches()))
    images = given.setup.batch_size
    return Case(
        _traced(lambda: teacher.live(batch["image"])), images, float(images * _forward(given.teacher_model()))
    )


def input_alone(given: Workload) -> Case:
    """Return the case of input alone: batches with augmentation and stored logits, which no step uses."""
    batches = workload.endless(given.training_batches(with_logits=True))
    return Case(_traced(batches.get_next), given.setup.batch_size, None)


def bank_read(given: Workload) -> Case:
    """Return the case of reading a batch's stored logits alone, for random rows, in another view each time.

    A training shows all examples in one view before it comes to the next; this reads all over the bank.
    """
    read, generator = given.bank.reader("train"), np.random.default_rng(0)
    count, images = len(given.data.train), given.setup.batch_size
    views = itertools.cycle(range(given.setup.views))

    def run():
        return read(generator.integers(0, count, images), np.full(images, next(views)))

    return Case(run, images, None)


def checkpointed(given: Workload, case: Callable[[Workload], Case]) -> Case:
    """Return the case of writing a checkpoint of another case's model, flushed to the disk, without steps."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=given.setup.folder))
    checkpointer = checkpoint.Checkpointer(folder, loop.state(case(given).model))
    steps = itertools.count(1)
    return Case(lambda: checkpointer.save(next(steps)), given.setup.batch_size, None)


def over_devices(given: Workload, case: Callable[[Workload], Case]) -> Case:
    """Return another case on all local devices, each with its part of the batch; see `prepare`."""
    return case(Workload(given.setup, "mirrored"))


def streamed(given: Workload, case: Callable[[Workload], Case]) -> Case:
    """Return another case with images read from ArrayRecord files and decoded from PNG on demand."""
    return case(Workload(given.setup, streams=True))


def input_randaugment(given: Workload) -> Case:
    """Return the case `input_alone` with views that have two of RandAugment's operations each."""
    return input_alone(Workload(given.setup, randaugment=True))


def input_mixed(given: Workload) -> Case:
    """Return the case `input_alone` with views that are all mixed with those of other examples."""
    return input_alone(Workload(given.setup, mixed=True))


def search_step(given: Workload, strategy: str, unrolled: bool = False) -> Case:
    """Return the case of a step of a search; for reinforce and random, a step of the shared weights.

    The work of reinforce between epochs is not included: updates times networks forward passes of a batch.
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
    """Split the processor into two devices if a case runs over devices and there is no GPU.

    Call it before the first tensor is made.
    """
    if name.endswith(MIRRORED) and not tf.config.list_physical_devices("GPU"):
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


def make(name: str, setup: Setup) -> Case:
    """Return a case by its name, which may end in ":" and the number of teachers."""
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
