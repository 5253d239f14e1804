"""Forecast of a run before it trains: its plan in one line, its approximate time, and too short trainings.

The time is that of the arithmetic: FLOPs of the networks divided by the measured speed of a matrix product
and by the share of that speed which trainings reach; plus a fixed time for each step and each network. It is
rough.
"""

import functools
import random
import threading
import time

import numpy as np
import tensorflow as tf

from okd_tf import backbones, losses, progress
from okd_tf.arch import cost, spec
from okd_tf.pipeline import check
from okd_tf.settings import choices, plan

_EFFICIENCY = {
    "float32": 0.65,
    "bfloat16": 0.25,
    "float16": 0.25,
}  # share of the product's speed that steps have
_BACKWARD = 3  # FLOPs of a training step over those of its forward pass
_SEARCH = {
    "darts": 5.3,
    "gumbel": 2.3,
    "reinforce": 1.4,
    "random": 1.4,
}  # of a search step over a plain one's
_UNROLLED = 2.5  # times the first order
_GROWN = 1.5  # FLOPs of a student that is not found yet, over those of its backbone
_STEP_SECONDS, _NETWORK_SECONDS = 0.008, 5.0  # what a step and a network cost beside arithmetic
_ROWS, _PRODUCT_SECONDS = 1024, 0.1  # of the matrices, and at least so long they are multiplied

_KINDS = {  # the kind of the networks that a stage trains; others train students
    "teachers": "teachers",
    "search": "search",
    "assistant": "assistants",
}


def say(context, names, timed=True):
    """Print the plan of a run, if any of these stages is going to train, and warn of too short trainings.

    Args:
        context: the run, checked.
        names: names of the stages.
        timed: whether to add the time; only useful if these stages are all that the run does.
    """
    chosen, images = context.settings, len(context.data.train)
    stages = [
        name for name in choices.TRAINING if check.will_run(context, name, names) and _trains(chosen, name)
    ]
    kinds = tuple(dict.fromkeys(_KINDS.get(name, "student") for name in stages))
    if not kinds:
        return
    text = plan.in_words(chosen, images, kinds)
    if timed:
        text += f"; {_about(seconds(context, names, stages))} in all"
    progress.say(f"plan: {text}")
    for kind in kinds:
        warning = plan.training(chosen, images, kind).warning()
        if warning:
            progress.say(warning)


def _trains(chosen, stage):
    """Return whether a stage that has work to do trains, and does not only copy given networks."""
    return {"teachers": not chosen.teachers, "search": chosen.searches}.get(stage, True)


def seconds(context, names, stages):
    """Return the approximate seconds of these training stages, and of the bank if it is among `names`.

    Progress of a training that was killed is not subtracted.
    """
    chosen, images = context.settings, len(context.data.train)
    flops, steps, networks = 0.0, 0, 0
    teachers = [chosen.teacher_network(index) for index in range(chosen.num_teachers)]
    # Of teachers that are given, their files would have to be read: they count as those trained here do.
    asked = sum(_flops(context, name, chosen.teacher_width) for name in teachers)
    needed = set(stages) - {"teachers", "assistant"}
    backbone, student = _of_the_student(context, names) if needed else (0, 0)

    def add(kind, forward, beside=0.0, count=1):
        nonlocal flops, steps, networks
        length = plan.training(chosen, images, kind).steps
        flops += count * length * chosen.batch_size * (_BACKWARD * forward + beside)
        steps += count * length
        networks += count

    def live(*used):
        return asked if losses.NEEDS_TEACHERS.intersection(used) and not chosen.views else 0.0

    def often(stage):
        """Return the number of trainings of a stage: in the run itself, and in its further trials."""
        needless = check.needless(context, stage) or not _trains(chosen, stage)
        further = chosen.trials - 1 if "trials" in stages and not needless else 0
        return (stage in stages) + further

    if "teachers" in stages:
        add("teachers", asked / len(teachers), count=len(teachers))
    if "assistant" in stages:
        for name in chosen.assistant:
            add("assistants", _flops(context, name, chosen.assistant_width), live(chosen.train_loss))
    distilled, pairs = live(*chosen.train_losses), 2 if chosen.train_loss in losses.NEEDS_PEERS else 1
    if times := often("search"):
        factor = _SEARCH[chosen.strategy] * (_UNROLLED if chosen.unrolled else 1)
        add("search", factor * backbone, live(chosen.search_loss), count=times)
    if times := often("choice"):
        # Short trainings that together are as long as one student's.
        add("student", student, distilled, count=times)
        networks += times * (len(chosen.train_losses) - 1)
    if times := often("finals"):
        # Each round is as long as one student's training.
        add("student", student, distilled, count=times * len(chosen.rounds) * pairs)
        networks += times * (sum(chosen.rounds) - len(chosen.rounds))
    if times := often("student"):
        add("student", student, distilled, count=times * pairs)
    if times := often("budgets"):
        trainings = (len(chosen.budgets) - 1) * pairs * (1 + len(chosen.rounds))
        add("student", student, distilled, count=times * trainings)
    if times := often("baseline"):
        add("student", backbone, count=times)
    if times := often("opponents"):
        add("student", backbone, distilled, count=times)
        if chosen.opponents == choices.OPPONENTS[2]:
            add("student", student, count=times), add("student", student, distilled, count=times)
    if check.will_run(context, "bank", names):
        flops += asked * images * chosen.views
    devices = _devices(context.strategy)
    per_second = _EFFICIENCY[chosen.precision] * _product_speed(chosen.precision) * devices
    return flops / per_second + _STEP_SECONDS * steps + _NETWORK_SECONDS * networks


def _of_the_student(context, names):
    """Return the FLOPs of an image in the bare backbone and in the student, as far as known."""
    if "search" in names and not context.settings.arch:
        # Both were made, and are held against the budget, before anything is said.
        base, room = context.template.cost.flops, context.settings.max_flops
        grown = _GROWN * base if context.settings.searches else base
        return base, min(grown, room) if room else grown
    # Before the finals are held, what the search has chosen stands for the one that will win.
    found = spec.read(context.arch_path if context.arch_path.exists() else context.found_path)
    return found.cost.flops, found.cost.flops


def _flops(context, name, width):
    data = context.data
    return _flops_of(name, width, data.image_shape, data.classes)


@functools.cache
def _flops_of(name, width, image_shape, classes):
    """Return the FLOPs of an image in a network, which is built without effect on the networks to train.

    Keras numbers layers and draws seeds by thread, so it is built in another thread; the seeds come from
    Python's generator, whose state is restored.
    """
    found = []
    statistics = (0.0,) * image_shape[-1], (1.0,) * image_shape[-1]

    def build():
        model = backbones.build(name, width, image_shape, classes, *statistics).model
        found.append(cost.of_model(model).flops)

    state = random.getstate()
    builder = threading.Thread(target=build)
    builder.start()
    builder.join()
    random.setstate(state)
    return found[0]


def _devices(strategy):
    """Return the number of devices that share the work; virtual devices of one processor count as one."""
    replicas = strategy.num_replicas_in_sync
    several_hosts = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return replicas if several_hosts or tf.config.list_physical_devices("GPU") else 1


@functools.cache
def _product_speed(precision):
    """Return the measured FLOPs per second of a product of two square matrices."""
    a, b = (tf.constant(np.full((_ROWS, _ROWS), value), precision) for value in (0.5, 0.25))
    _ = tf.matmul(a[:64, :64], b[:64, :64]).numpy()  # the first one sets things up
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < _PRODUCT_SECONDS:
        started = time.perf_counter()
        _ = tf.matmul(a, b)[0, 0].numpy()  # waits until it is done, on any device
        best = min(best, time.perf_counter() - started)
    return 2.0 * _ROWS**3 / best


def _about(seconds):
    """Return seconds in words, rounded to their precision."""
    unit, size = next(
        ((unit, size) for unit, size in (("day", 86400), ("hour", 3600)) if seconds >= 1.5 * size),
        ("minute", 60),
    )
    number = max(1, round(seconds / size))
    return f"about {number} {unit}{'s' * (number > 1)}"
