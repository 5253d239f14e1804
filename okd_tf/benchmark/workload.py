"""What the cases are made of: backbone, teachers, batches, as the stages of a run make them."""

import functools

import keras
import tensorflow as tf

from okd_tf import backbones
from okd_tf.benchmark import stored
from okd_tf.benchmark.setup import Setup
from okd_tf.data import batches
from okd_tf.ops import batch_norm
from okd_tf.teachers import ensemble, formats, manifest, teacher


class Workload:
    """A `Setup`, read and built."""

    def __init__(self, setup: Setup):
        """Takes what is measured."""
        self.setup = setup

    @functools.cached_property
    def data(self):
        """The examples: `Splits`."""
        return stored.read_splits(self.setup.folder)

    def backbone(self):
        """The bare backbone: `Backbone`."""
        return self._build(self.setup.backbone, self.setup.width)

    def teacher_model(self):
        """What a teacher is, a Functional model: untrained, since time does not depend on what it knows."""
        return self._build(self.setup.teacher_backbone, self.setup.teacher_width).model

    def ensemble(self, count):
        """So many teachers: `Ensemble`."""
        name = f"{self.setup.teacher_backbone}.keras"  # for what is said of it; there is no file
        own = manifest.Manifest(outputs=manifest.LOGITS)
        networks = [formats.of_model(name, self.teacher_model()) for _ in range(count)]
        return ensemble.Ensemble(teacher.Teacher(name, network, own, self.data) for network in networks)

    def training_batches(self, with_logits=False):
        """Augmented batches of the training split, with logits from the bank or without."""
        return batches.Batches(
            self.data.train,
            self.setup.batch_size,
            0,
            self.data.augmentation,
            num_views=self.setup.views,
            teacher_logits=self.bank.reader("train") if with_logits else None,
        )

    def validation_batches(self):
        """Batches of the validation split as it is, with logits from the bank."""
        return batches.Batches(
            self.data.val, self.setup.batch_size, 0, teacher_logits=self.bank.reader("val")
        )

    @functools.cached_property
    def bank(self):
        """The stored logits: `Store`."""
        return stored.open_bank(self.setup.folder, self.setup.teachers, self.setup.views)

    def _build(self, name, width):
        data = self.data
        return backbones.build(name, width, data.image_shape, data.classes, data.mean, data.std)


def training_twin(model):
    """The network that trains: fused batch norms, and logits of float32 whatever it computes in."""
    network = batch_norm.fused_copy(model)
    logits = network.outputs[0]
    if logits.dtype == "float32":
        return network
    return keras.Model(
        network.inputs[0], keras.layers.Activation("linear", dtype="float32", name="float32")(logits)
    )


def endless(source):
    """An iterator over all steps of `Batches` or `Bilevel`."""
    return iter(source.dataset(0, tf.int64.max))
