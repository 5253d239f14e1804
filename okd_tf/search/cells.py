"""Search cells: add-on layers during the search, each with all candidate operations in it.

A cell computes, for stream h_l and previous add-on output a_(l-1),

    u_l = h_l + c_l a_(l-1);    a_l = sum_i w_i op_i(u_l);    h'_l = h_l + f_l a_l.

Cells differ in the source of w, c and f. `MixedCell` relaxes them to softmax and sigmoids of trainable alphas
(Liu et al., "DARTS", 2019, eq. 2). `GumbelCell` samples them, one operation at a time, so that alphas still
have a gradient (Jang, Gu, Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017; as a search:
Dong and Yang, "GDAS", 2019). `PathCell` is given them. In the last two, only the chosen operation runs.

Inputs are [stream] or, where a cell can chain, [stream, previous]: each [batch, height, width, channels].
Outputs are the stream that the backbone goes on with and the add-on layer's own output, both of that shape.
"""

import abc

import keras
import tensorflow as tf

from okd_tf.ops import OPS, ordered


class Cell(keras.layers.Layer, abc.ABC):
    """An add-on layer with all its candidates; the module describes inputs and outputs.

    Once built it has `alphas`, its architecture variables, and `controls`, variables that a strategy sets.
    """

    def __init__(self, ops, chainable, synchronized=False, begins_at_zero=False, **kwargs):
        """Create the layer.

        Args:
            ops: names of the candidates.
            chainable: whether there is a previous add-on layer to read.
            synchronized: whether batch statistics are shared over the replicas of a strategy.
            begins_at_zero: whether the candidates' initial outputs are zero; see `ops.base`.
            **kwargs: arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.chainable = chainable
        self.synchronized = synchronized
        self.candidates = [
            OPS[name](synchronized, begins_at_zero, name=f"{self.name}_{name}", dtype=self.dtype_policy)
            for name in ops
        ]

    @abc.abstractmethod
    def running(self):
        """Return 1 for each candidate that runs, 0 for the others: float32 [ops]."""

    def compute_output_shape(self, input_shape):
        """Return the shape of the stream, twice."""
        return input_shape[0], input_shape[0]


class MixedCell(Cell):
    """An add-on layer as a weighted sum of all candidates."""

    def build(self, input_shape):
        """Create the alphas and the candidates' weights."""
        for candidate in self.candidates:
            candidate.build(input_shape[0])
        self.alphas = _alphas(self)
        self.sharpness = _control(self, (), "ones", "float32", "sharpness")
        self.controls = [self.sharpness]

    def probabilities(self):
        """Return (probabilities of operations [ops], of chain [], of feed back []), differentiable."""
        op, chain, feed_back = (self.sharpness * alpha for alpha in self.alphas)
        return tf.nn.softmax(op), tf.sigmoid(chain) if self.chainable else tf.zeros([]), tf.sigmoid(feed_back)

    def running(self):
        """Return 1 for each operation, since all run: float32 [ops]."""
        return tf.ones([len(self.candidates)])

    def call(self, inputs, training=None):
        """Return the new stream and the add-on output; see the module."""
        stream = inputs[0]
        weights, chain, feed_back = self.probabilities()
        read = _read(inputs, chain, self.chainable)
        return _results(stream, feed_back, _weighted_sum(self.candidates, weights, read, training))


class GumbelCell(Cell):
    """An add-on layer of which one sampled candidate runs; its sample's coefficients carry gradients.

    The sample is argmax(log softmax(alpha) + noise). Each coefficient has the value 0 or 1 of the sample, and
    the gradient of the softmax (for gates the sigmoid) at `temperature`: a straight-through estimator.
    """

    def build(self, input_shape):
        """Create the alphas, the variables of the sample, and the candidates' weights."""
        for candidate in self.candidates:
            candidate.build(input_shape[0])
        self.alphas = _alphas(self)
        self.noise = _control(self, (len(self.candidates) + 2,), "zeros", "float32", "noise")
        self.temperature = _control(self, (), "ones", "float32", "temperature")
        self.alive = _control(self, (), "ones", "int32", "alive")
        self.controls = [self.noise, self.temperature, self.alive]

    def probabilities(self):
        """Return (probabilities of operations [ops], of chain [], of feed back []), differentiable."""
        op, chain, feed_back = map(tf.convert_to_tensor, self.alphas)
        return tf.nn.softmax(op), tf.sigmoid(chain) if self.chainable else tf.zeros([]), tf.sigmoid(feed_back)

    def sample(self):
        """Return (operation int32 [], chain [], feed back []); gates are 0 or 1, with gradients."""
        op, chain, feed_back = map(tf.convert_to_tensor, self.alphas)
        noise = tf.convert_to_tensor(self.noise)
        index = tf.argmax(tf.nn.log_softmax(op) + noise[:-2], output_type=tf.int32)
        chain = self._gate(chain + noise[-2]) if self.chainable else tf.zeros([])
        return index, chain, self._gate(feed_back + noise[-1])

    def coefficients(self):
        """Return each operation's coefficient if sampled, [ops]: 1, with gradients to the alphas."""
        logits = tf.nn.log_softmax(tf.convert_to_tensor(self.alphas[0])) + self.noise[:-2]
        soft = tf.nn.softmax(logits / self.temperature)
        # In this order the value is 1 to the bit.
        return 1.0 + (soft - tf.stop_gradient(soft))

    def running(self):
        """Return 1 for the operation that runs, 0 for all others: float32 [ops]."""
        return _one_running(self.sample()[0], self.alive, len(self.candidates))

    def call(self, inputs, training=None):
        """Return the new stream and the add-on output; see the module."""
        op, chain, feed_back = self.sample()
        read = _read(inputs, chain, self.chainable)
        outputs = _run_one(self.candidates, op, self.alive, read, training, self.synchronized)
        coefficient = tf.cast(tf.gather(self.coefficients(), op), outputs.dtype)
        return _results(inputs[0], feed_back, coefficient * outputs)

    def _gate(self, logit):
        soft = tf.sigmoid(logit / self.temperature)
        return tf.cast(logit > 0, tf.float32) + (soft - tf.stop_gradient(soft))


class PathCell(Cell):
    """An add-on layer of which at most one candidate runs: the one set by `choose`."""

    def build(self, input_shape):
        """Create the choice and the candidates' weights."""
        for candidate in self.candidates:
            candidate.build(input_shape[0])
        self.alphas = []
        self.choice = _control(self, (4,), "zeros", "int32", "choice")
        self.controls = [self.choice]

    def choose(self, row):
        """Set the choice, int32 [4]: index of the operation, chain, feed back, alive."""
        self.choice.assign(row)

    def running(self):
        """Return 1 for the operation that runs, 0 for all others: float32 [ops]."""
        op, _, _, alive = tf.unstack(tf.convert_to_tensor(self.choice))
        return _one_running(op, alive, len(self.candidates))

    def call(self, inputs, training=None):
        """Return the new stream and the add-on output; see the module."""
        op, chain, feed_back, alive = tf.unstack(tf.convert_to_tensor(self.choice))
        read = _read(inputs, chain, self.chainable)
        outputs = _run_one(self.candidates, op, alive, read, training, self.synchronized)
        return _results(inputs[0], feed_back, outputs)


def _alphas(cell):
    """Return new alphas of the operations [ops], of chain [], of feed back []."""
    # Of float32 whatever the cell computes in, and read as such. Small random values: with equal ones, max
    # and average pooling could not part.
    noise = keras.initializers.RandomNormal(stddev=1e-3)
    return [
        cell.add_weight((len(cell.candidates),), noise, "float32", autocast=False, name="alpha_op"),
        cell.add_weight((), "zeros", "float32", autocast=False, name="alpha_chain"),
        cell.add_weight((), "zeros", "float32", autocast=False, name="alpha_feed_back"),
    ]


def _control(cell, shape, initial, dtype, name):
    """Return a new variable that a strategy sets."""
    return cell.add_weight(
        *(shape, initial, dtype),
        trainable=False,
        autocast=False,
        aggregation="only_first_replica",
        name=name,
    )


def _read(inputs, chain, chainable):
    stream = inputs[0]
    return stream + tf.cast(chain, stream.dtype) * inputs[1] if chainable else stream


def _results(stream, feed_back, outputs):
    return stream + tf.cast(feed_back, stream.dtype) * outputs, outputs


def _weighted_sum(candidates, weights, read, training):
    inputs = ordered.fan_out(read, len(candidates))
    outputs = [
        candidate(value, training=training) for candidate, value in zip(candidates, inputs, strict=True)
    ]
    weights = tf.cast(weights, read.dtype)
    # Flat, so that graph optimisation takes it for no part of another sum. The first term's memory is read by
    # nothing else, so `AddN` always begins with it.
    terms = [
        tf.reshape(weight * output, [-1]) for weight, output in zip(tf.unstack(weights), outputs, strict=True)
    ]
    return tf.ensure_shape(tf.reshape(tf.add_n(terms), tf.shape(read)), read.shape)


def _one_running(op, alive, count):
    return tf.one_hot(tf.where(tf.equal(alive, 1), op, -1), count)


def _run_one(candidates, op, alive, read, training, synchronized):
    """Return the output of one candidate, or zeros if the layer is not alive; nothing else runs."""
    if synchronized:
        # Replicas cannot exchange batch statistics from within a branch: all candidates run, one counts.
        return _weighted_sum(candidates, _one_running(op, alive, len(candidates)), read, training)
    branches = [lambda candidate=candidate: candidate(read, training=training) for candidate in candidates]
    branches.append(lambda: tf.zeros_like(read))
    outputs = tf.switch_case(tf.where(tf.equal(alive, 1), op, len(candidates)), branches)
    return tf.ensure_shape(outputs, read.shape)
