"""The parts of cases: backbone, teachers and batches, made as the stages of a run make them."""

import dataclasses
import functools

import tensorflow as tf

from okd_tf import backbones
from okd_tf.benchmark import stored
from okd_tf.benchmark.setup import Setup
from okd_tf.data import batches, mixing, views
from okd_tf.teachers import ensemble, formats, manifest, teacher
from okd_tf.training import distribution, loop, recipe

EPOCHS = 100_000  # so long that what is timed is the start of a training


class Workload:
    """A `Setup`, read and built."""

    def __init__(self, setup: Setup, devices="none", streams=False, randaugment=False, mixed=False):
        """Create the workload.

        Args:
            setup: the settings common to all cases.
            devices: a name in `DISTRIBUTIONS`.
            streams: whether images stay on the disk.
            randaugment: whether views have RandAugment's operations, with the default number and magnitude.
            mixed: whether all views are mixed with others, half of them by CutMix and half by mixup.
        """
        self.setup = setup
        self._streams = streams
        self._randaugment = randaugment
        self._mixing = mixing.Mixing(mixing.BOTH, 1.0) if mixed else None
        self.recipe = recipe.Recipe(
            learning_rate=0.01,
            schedule="cosine",
            weight_decay=0.0,
            steps_per_execution=1,
            checkpoint_seconds=60.0,
            checkpoint_steps=0,
            strategy=distribution.make(devices, setup.batch_size),
            compute=setup.precision,
        )

    @functools.cached_property
    def data(self):
        """Return the examples: `Splits`."""
        held = stored.read_splits(self.setup.folder)
        if self._randaugment:
            names = ("crop_flip", views.ALL_OPERATIONS)
            made = views.make(held.augmentation, held.image_shape, names)
            held = dataclasses.replace(held, augmentation=made)
        return stored.streamed(self.setup.folder, held) if self._streams else held

    def backbone(self):
        """Return the bare backbone: `Backbone`."""
        return self._build(self.setup.backbone, self.setup.width)

    def teacher_model(self):
        """Return a teacher's Functional model, untrained, since time does not depend on its weights."""
        return self._build(self.setup.teacher_backbone, self.setup.teacher_width).model

    def ensemble(self, count):
        """Return `count` teachers: `Ensemble`."""
        name = f"{self.setup.teacher_backbone}.keras"  # for what is said of it; there is no file
        own = manifest.Manifest(outputs=manifest.LOGITS)
        networks = [formats.of_model(name, self.teacher_model()) for _ in range(count)]
        return ensemble.Ensemble(teacher.Teacher(name, network, own, self.data) for network in networks)

    def training_batches(self, with_logits=False):
        """Return augmented batches of the training split, with logits from the bank or without."""
        return batches.Batches(
            self.data.train,
            self.setup.batch_size,
            0,
            self.data.augmentation,
            num_views=self.setup.views,
            teacher_logits=self.bank.reader("train") if with_logits else None,
            mixing_of_views=self._mixing,
        )

    def validation_batches(self):
        """Return batches of the validation split as it is, with logits from the bank."""
        return batches.Batches(
            self.data.val, self.setup.batch_size, 0, teacher_logits=self.bank.reader("val")
        )

    @functools.cached_property
    def bank(self):
        """Return the stored logits: `Store`."""
        return stored.open_bank(self.setup.folder, self.setup.teachers, self.setup.views)

    def _build(self, name, width):
        data = self.data
        return backbones.build(name, width, data.image_shape, data.classes, data.mean, data.std)


def endless(source, strategy=None):
    """Return an iterator over all steps of `Batches` or `Bilevel`, each for all replicas of a strategy."""
    steps = 0, tf.int64.max
    return iter(loop.distribute(source, *steps, strategy) if strategy else source.dataset(*steps))
