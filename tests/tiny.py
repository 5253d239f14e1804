"""A dataset, a backbone and a recipe so small that a test can train with them in a second."""

import keras
import numpy as np
import tensorflow as tf

from okd_tf import backbones
from okd_tf.arch import cost, space, spec, uniform
from okd_tf.data import batches, examples, splits, views
from okd_tf.ops import batch_norm
from okd_tf.search import STRATEGIES, options, supernet
from okd_tf.teachers import ensemble, formats, manifest, teacher
from okd_tf.training import objective, recipe

SHAPE, CLASSES = (4, 4, 1), 3
OPS = ("identity", "conv_3x3", "sep_conv_3x3", "max_pool_3x3")


def make_examples(count, seed, shape=SHAPE):
    """Noise on images that are brighter the higher their class."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype(np.int32)
    noise = generator.integers(0, 100, (count, *shape))
    return examples.Examples(
        np.arange(count), (noise + 60 * labels[:, None, None, None]).astype(np.uint8), labels
    )


def make_splits(train=36, val=18, test=9, shape=SHAPE):
    return splits.Splits(
        name="tiny",
        class_names=("dark", "grey", "bright"),
        train=make_examples(train, 1, shape),
        val=make_examples(val, 2, shape),
        test=make_examples(test, 3, shape),
        augmentation=views.CropFlip(padding=1, flip=True),
        mean=(100.0,),
        std=(50.0,),
    )


def make_batches(split, batch_size=8, seed=0, **arguments):
    return batches.Batches(split, batch_size, seed, **arguments)


def make_backbone(width=8):
    """Two convolutions with an attach point after each; the second can chain.

    Of fewer than eight channels, oneDNN's convolutions do not always repeat to the same bits.
    """
    inputs = keras.Input(SHAPE)
    features = keras.layers.Rescaling(1 / 50, -2.0)(inputs)
    for index in (1, 2):
        features = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv{index}")(
            features
        )
        features = batch_norm.stock(f"bn{index}")(features)
        features = keras.layers.ReLU(name=f"out{index}")(features)
    features = keras.layers.Flatten()(features)
    logits = keras.layers.Dense(CLASSES, name="logits")(features)
    return backbones.Backbone(keras.Model(inputs, logits), ("out1", "out2"))


def make_teacher(model, data, path="mine.keras", **declared):
    """A built model as a teacher."""
    network = formats.of_model(path, model)
    return teacher.Teacher(path, network, manifest.Manifest(**declared), data)


def make_ensemble(models, data):
    """Built models as an ensemble."""
    return ensemble.Ensemble([make_teacher(model, data) for model in models])


def make_space(backbone):
    return space.SearchSpace.around(backbone, OPS)


def priced_space(params=(0, 90, 30, 0)):
    """Three layers, of which the last two can chain; operations cost more from layer to layer."""
    return space.SearchSpace(
        attach_points=("a", "b", "c"),
        ops=OPS,
        chainable=(False, True, True),
        base=spec.Cost(1000, 5000),
        op_costs=tuple(
            tuple(spec.Cost(own * (layer + 1), 7 * own + 3 * op + layer) for op, own in enumerate(params))
            for layer in range(3)
        ),
    )


def draw(of, generator):
    """Any architecture of a space."""
    return uniform.UniformSampler(of, spec.Budget()).sample(generator)


def make_template(backbone, budget):
    """The bare backbone as a spec."""
    return spec.ArchSpec(
        "tiny", 8, SHAPE, CLASSES, (100.0,), (50.0,), (), cost.of_model(backbone.model), budget
    )


def make_options(**changes):
    return options.SearchOptions(
        **{
            "weight_decay": 1e-3,
            "alpha_learning_rate": 0.1,
            "steps": 8,
            "warmup_steps": 0,
            "sharpness": 3.0,
            "budget_weight": 1.0,
            "seed": 3,
            **changes,
        }
    )


def make_search(name, room=0, loss="ce", rate=0.1, synchronized=False, ops=OPS, **changes):
    """A search of this strategy around the tiny backbone, with a budget of `room` more parameters or none."""
    keras.utils.set_random_seed(2)
    backbone = make_backbone()
    of = space.SearchSpace.around(backbone, ops)
    chosen = STRATEGIES[name]
    return chosen(
        supernet.make(backbone, of, chosen.cell, synchronized),
        of,
        spec.Budget(of.base.params + room if room else 0),
        objective.Objective(loss, temperature=2.0),
        keras.optimizers.SGD(rate, momentum=0.9),
        make_options(**changes),
    )


def scatter_alphas(model, scale=0.4):
    """Alphas that differ."""
    generator = np.random.default_rng(3)
    for alpha in model.supernet.alphas():
        alpha.assign(generator.normal(scale=scale, size=alpha.shape))
    return model


def make_batch(split, start=0, size=9):
    """A batch of these rows, with logits of two teachers."""
    logits = np.random.default_rng(start).normal(size=(size, 2, CLASSES)).astype(np.float32)
    return {
        "image": tf.constant(split.images[start : start + size], tf.float32),
        "label": tf.constant(split.labels[start : start + size]),
        "teacher_logits": tf.constant(logits),
    }


def values(variables):
    """What they hold now."""
    return [variable.numpy() for variable in variables]


def moved(before, variables):
    """Of each variable, whether it holds something else than before."""
    return [bool(np.any(old != new)) for old, new in zip(before, values(variables), strict=True)]


def make_recipe(strategy=None):
    return recipe.Recipe(
        learning_rate=0.1,
        schedule="cosine",
        weight_decay=1e-3,
        steps_per_execution=1,
        checkpoint_seconds=0.0,
        checkpoint_steps=0,
        strategy=strategy or tf.distribute.get_strategy(),
    )


def state(model):
    """Every variable of a training: model, metrics, optimizers."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [variable.numpy() for variable in [*model.variables, *metrics, *model.optimizer_variables()]]


def assert_same_state(model, other):
    """Two trainings are in the same state, to the bit."""
    for mine, theirs in zip(state(model), state(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


class CutBatches:
    """Batches that end early: at that step a training dies as if its process had been killed."""

    def __init__(self, inner, stop):
        self._inner, self._stop = inner, stop
        self.steps_per_epoch, self.batch_size = inner.steps_per_epoch, inner.batch_size
        self.failure = None

    def dataset(self, start, stop):
        return self._inner.dataset(start, min(stop, self._stop))

    def portions(self, start, stop, wanted, parts):
        return self._inner.portions(start, min(stop, self._stop), wanted, parts)
