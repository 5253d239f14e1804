"""What can be measured: for each case a step, ready to run, and the arithmetic it cannot do without.

A case is one function (Setup) -> Case and one line in CASES.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from okd_tf import backbones, search
from okd_tf.arch import cost, space, spec
from okd_tf.ops import batch_norm
from okd_tf.search import options, supernet
from okd_tf.training import classifier, objective, optimizers

TEACHERS = 3  # whose logits come with a batch


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all cases have in common.

    Attributes:
        backbone: a registered name.
        width: channels of its first stage.
        batch_size: images per step; a bilevel step takes as many validation images beside them.
        image_size: height and width of an image of three channels.
        classes: number of logits.
        ops: candidate operations.
    """

    backbone: str
    width: int
    batch_size: int
    image_size: int
    classes: int
    ops: tuple[str, ...]

    @property
    def shape(self):
        """Of an image."""
        return (self.image_size, self.image_size, 3)

    def make_backbone(self):
        """The bare backbone: `Backbone`."""
        return backbones.build(self.backbone, self.width, self.shape, self.classes, (127.0,) * 3, (64.0,) * 3)

    def make_batch(self, seed):
        """A batch of noise, as `okd_tf.data.batches` makes them."""
        generator = np.random.default_rng(seed)
        return {
            "image": tf.constant(generator.integers(0, 256, (self.batch_size, *self.shape)), tf.float32),
            "label": tf.constant(generator.integers(0, self.classes, self.batch_size), tf.int32),
            "teacher_logits": tf.constant(
                generator.normal(size=(self.batch_size, TEACHERS, self.classes)), tf.float32
            ),
        }


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        step: runs one step; traced at its first call.
        flops: multiply-adds times two of convolutions and dense layers in a step, per training image, on
            average over what the step samples.
    """

    step: Callable[[], None]
    flops: float


def ce(setup: Setup) -> Case:
    """A training step of the bare backbone with the cross-entropy."""
    backbone = setup.make_backbone()
    network = batch_norm.fused_copy(backbone.model)
    model = classifier.Classifier(network, objective.Objective("ce"), _sgd())
    batch = setup.make_batch(0)
    # Forward, and backward to the activations and to the weights.
    return Case(_traced(lambda: model.train_step(batch)), 3.0 * cost.of_model(backbone.model).flops)


def search_step(setup: Setup, strategy: str, unrolled: bool = False) -> Case:
    """A step of a search: of reinforce and random, of the shared weights alone.

    What reinforce does between epochs is not in it: updates times networks forward passes of a batch.
    """
    backbone = setup.make_backbone()
    search_space = space.SearchSpace.around(backbone, setup.ops)
    chosen = search.STRATEGIES[strategy]
    model = chosen(
        supernet.make(backbone, search_space, chosen.cell),
        search_space,
        spec.Budget(),
        objective.Objective("oracle"),
        _sgd(),
        options.SearchOptions(
            weight_decay=5e-4,
            alpha_learning_rate=0.0,  # so that it samples from what it starts with all along
            steps=1_000_000,
            warmup_steps=0,
            sharpness=1.0,
            budget_weight=1.0,
            seed=0,
            unrolled=unrolled,
        ),
    )
    training, validation = setup.make_batch(0), setup.make_batch(1)
    data = (training, validation) if model.bilevel else training
    flops = _search_flops(model, search_space, strategy, unrolled)
    return Case(_traced(lambda: model.train_step(data)), flops)


CASES: dict[str, Callable[[Setup], Case]] = {
    "ce": ce,
    **{f"search_{name}": functools.partial(search_step, strategy=name) for name in search.STRATEGIES},
    "search_darts_unrolled": functools.partial(search_step, strategy="darts", unrolled=True),
}


def _search_flops(model, search_space, strategy, unrolled):
    """FLOPs of a step, per training image: of a weight step and, if there is one, of an alpha step."""
    base = search_space.base.flops
    every = sum(op.flops for costs in search_space.op_costs for op in costs)
    sampled = model.expectation().flops - base
    of_weights = 3.0 * (base + (every if strategy == "darts" else sampled))
    if not model.bilevel:
        return of_weights
    # Nothing is computed for the weights. Gumbel runs one operation in every layer, dead ones included.
    of_alphas = 2.0 * (base + (every if strategy == "darts" else every / len(search_space.ops)))
    if unrolled:  # gradients of the weights on both batches, and of the alphas at two sides
        of_alphas = (3.0 + 3.0 + 2.0 + 2.0) * (base + every)
    return of_weights + of_alphas


def _sgd():
    return optimizers.sgd(0.01, "cosine", 1_000_000)


def _traced(step):
    keras.utils.set_random_seed(0)
    function = tf.function(step, jit_compile=False)

    def run():
        function()

    return run
