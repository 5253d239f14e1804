"""The supernet: a backbone with a search cell after each attach point, all candidates sharing its weights.

A cell computes, for stream h_l and previous add-on output a_(l-1),

    u_l = h_l + c_l a_(l-1);    a_l = sum_i w_i op_i(u_l);    h'_l = h_l + f_l a_l.

Cells differ in where w, c and f come from: `MixedCell` relaxes them to softmax and sigmoids of trainable
alphas (Liu et al., "DARTS", 2019, eq. 2); `PathCell` is told one operation and runs nothing else.
"""

import dataclasses

import keras
import tensorflow as tf

from okd_tf import backbones
from okd_tf.arch import build, space
from okd_tf.ops import OPS, batch_norm


class MixedCell(keras.layers.Layer):
    """An add-on layer as a weighted sum of all candidates.

    Inputs [stream] or, where it can chain, [stream, previous]: each [batch, height, width, channels].
    Outputs (what the backbone goes on with, the add-on layer's own output), of the same shape.
    """

    def __init__(self, ops, chainable, synchronized=False, **kwargs):
        """Takes the names of the candidates and whether there is a previous add-on layer to read."""
        super().__init__(**kwargs)
        self.chainable = chainable
        self.candidates = [OPS[name](synchronized, name=f"{self.name}_{name}") for name in ops]

    def build(self, input_shape):
        """Makes the alphas and the candidates' weights."""
        for candidate in self.candidates:
            candidate.build(input_shape[0])
        # Small random values: with equal ones, max and average pooling could not part.
        noise = keras.initializers.RandomNormal(stddev=1e-3)
        self.alpha_op = self.add_weight((len(self.candidates),), noise, "float32", name="alpha_op")
        self.alpha_chain = self.add_weight((), "zeros", "float32", name="alpha_chain")
        self.alpha_feed_back = self.add_weight((), "zeros", "float32", name="alpha_feed_back")
        self.sharpness = self.add_weight(
            (), "ones", "float32", trainable=False, aggregation="only_first_replica", name="sharpness"
        )

    def probabilities(self):
        """(of each operation [ops], of chain [], of feed back []), differentiable in the alphas."""
        sharpness = tf.convert_to_tensor(self.sharpness)
        chain = tf.sigmoid(sharpness * self.alpha_chain) if self.chainable else tf.zeros([])
        return tf.nn.softmax(sharpness * self.alpha_op), chain, tf.sigmoid(sharpness * self.alpha_feed_back)

    def call(self, inputs, training=None):
        """See the class."""
        stream = inputs[0]
        weights, chain, feed_back = self.probabilities()
        read = stream + tf.cast(chain, stream.dtype) * inputs[1] if self.chainable else stream
        weights = tf.cast(weights, stream.dtype)
        outputs = tf.add_n(
            [
                weights[index] * candidate(read, training=training)
                for index, candidate in enumerate(self.candidates)
            ]
        )
        return stream + tf.cast(feed_back, stream.dtype) * outputs, outputs

    def compute_output_shape(self, input_shape):
        """The shape of the stream, twice."""
        return input_shape[0], input_shape[0]


class PathCell(keras.layers.Layer):
    """An add-on layer of which one candidate at most runs; inputs and outputs as those of `MixedCell`."""

    def __init__(self, ops, chainable, synchronized=False, **kwargs):
        """Takes the names of the candidates and whether there is a previous add-on layer to read."""
        super().__init__(**kwargs)
        self.chainable = chainable
        self.synchronized = synchronized
        self.candidates = [OPS[name](synchronized, name=f"{self.name}_{name}") for name in ops]

    def build(self, input_shape):
        """Makes the choice and the candidates' weights."""
        for candidate in self.candidates:
            candidate.build(input_shape[0])
        self.choice = self.add_weight(
            (4,), "zeros", "int32", trainable=False, aggregation="only_first_replica", name="choice"
        )

    def choose(self, row):
        """Takes int32 [4]: index of the operation, chain, feed back, alive."""
        self.choice.assign(row)

    def call(self, inputs, training=None):
        """See the class."""
        stream = inputs[0]
        op, chain, feed_back, alive = tf.unstack(tf.convert_to_tensor(self.choice))
        read = stream + tf.cast(chain, stream.dtype) * inputs[1] if self.chainable else stream
        if self.synchronized:
            outputs = self._masked(read, training)
        else:
            outputs = self._branch(read, op, alive, training)
        return stream + tf.cast(feed_back, stream.dtype) * outputs, outputs

    def running(self):
        """1 for the operation that runs, 0 for all others: float32 [ops]."""
        op, _, _, alive = tf.unstack(tf.convert_to_tensor(self.choice))
        return tf.one_hot(tf.where(alive == 1, op, -1), len(self.candidates))

    def _branch(self, read, op, alive, training):
        branches = [
            lambda candidate=candidate: candidate(read, training=training) for candidate in self.candidates
        ]
        branches.append(lambda: tf.zeros_like(read))
        outputs = tf.switch_case(tf.where(alive == 1, op, len(self.candidates)), branches)
        return tf.ensure_shape(outputs, read.shape)

    def _masked(self, read, training):
        # Replicas cannot exchange batch statistics from within a branch: all candidates run, one counts.
        weights = tf.cast(self.running(), read.dtype)
        return tf.add_n(
            [
                weights[index] * candidate(read, training=training)
                for index, candidate in enumerate(self.candidates)
            ]
        )

    def compute_output_shape(self, input_shape):
        """The shape of the stream, twice."""
        return input_shape[0], input_shape[0]


@dataclasses.dataclass(frozen=True)
class Supernet:
    """A network pixels -> logits and the cells in it, in the order of the attach points."""

    network: keras.Model
    cells: tuple

    def alphas(self):
        """The trainable architecture variables, if there are any."""
        return [variable for variable in self.network.trainable_variables if _is_alpha(variable)]

    def weights(self):
        """The trainable variables that are not alphas."""
        return [variable for variable in self.network.trainable_variables if not _is_alpha(variable)]

    def shared(self):
        """Every variable that supernets of one space have in common, in one order."""
        return [
            variable
            for variable in self.network.variables
            if not _is_alpha(variable) and variable.name not in ("choice", "sharpness")
        ]

    def batch_norms(self):
        """All fused batch norms, of the backbone and of the candidates."""
        layers = [*self.network.layers]
        for cell in self.cells:
            for candidate in cell.candidates:
                layers.extend(candidate.chain)
        return [layer for layer in layers if isinstance(layer, batch_norm.FusedBatchNormalization)]


def make(backbone: backbones.Backbone, search_space: space.SearchSpace, cell, synchronized=False) -> Supernet:
    """Builds a supernet, freshly initialised.

    Args:
        backbone: what to search around.
        search_space: its space.
        cell: MixedCell or PathCell.
        synchronized: whether batch statistics are shared over replicas.
    """
    cells = []
    previous = None

    def attach(after, stream):
        nonlocal previous
        index = search_space.attach_points.index(after)
        chainable = search_space.chainable[index]
        layer = cell(search_space.ops, chainable, synchronized, name=f"addon{index + 1}")
        cells.append(layer)
        stream, previous = layer([stream, previous] if chainable else [stream])
        return stream

    network = build.insert(
        backbone, attach, clone_function=lambda layer: batch_norm.fused_clone(layer, synchronized)
    )
    return Supernet(network, tuple(cells))


def choices(search_space: space.SearchSpace, architecture: space.Architecture):
    """What to tell the cells of a path supernet: int rows [layers][4]."""
    canonical = search_space.canonical(architecture)
    return [
        [*choice, int(alive)] for choice, alive in zip(canonical, search_space.alive(canonical), strict=True)
    ]


def _is_alpha(variable):
    return variable.name.startswith("alpha_")
