"""The controller of `reinforce`: an LSTM that samples an architecture, decision by decision.

For each add-on layer in turn it decides the operation, chain, and feed back, each from a softmax over the
LSTM's output, and each fed back as the next input (Zoph and Le, "Neural Architecture Search with
Reinforcement Learning", ICLR 2017). Logits are 2.5 tanh of the heads' outputs, so that every choice keeps
some probability early in the search, as in Pham et al., "Efficient Neural Architecture Search via Parameter
Sharing" (ENAS, ICML 2018).
"""

import keras
import tensorflow as tf

LOGIT_BOUND = 2.5
INITIAL_SCALE = 0.1  # of the uniform initial weights, as in ENAS


class Controller(keras.layers.Layer):
    """A policy over the choices (op, chain, feed back) of all add-on layers."""

    def __init__(self, num_ops, chainable, units=64, **kwargs):
        """Create the layer.

        Args:
            num_ops: number of operations.
            chainable: per add-on layer, whether it can chain.
            units: size of the LSTM.
            **kwargs: arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.chainable = chainable
        self._sizes = (num_ops, 2, 2)
        self._lstm = keras.layers.LSTMCell(units, kernel_initializer=_initial(), name="lstm")
        self._heads = [
            keras.layers.Dense(size, kernel_initializer=_initial(), name=f"head{kind}")
            for kind, size in enumerate(self._sizes)
        ]
        self._units = units

    def build(self, input_shape=None):
        """Create the weights."""
        # One row a decision that can come before, and one for none.
        rows = 1 + sum(self._sizes)
        self._embeddings = self.add_weight((rows, self._units), _initial(), name="embeddings")
        self._lstm.build((None, self._units))
        for head in self._heads:
            head.build((None, self._units))
        self.built = True

    def sample(self, count, seed):
        """Return architectures drawn from the policy.

        Args:
            count: how many.
            seed: int [2]; the same seed gives the same architectures on every replica.

        Returns:
            Choices int32 [count, layers, 3] as in a `SearchSpace`, but not canonical.
        """
        shape = [len(self.chainable), 3, count, max(self._sizes)]
        uniform = tf.random.stateless_uniform(shape, seed, minval=1e-6, maxval=1.0 - 1e-6)
        gumbel = -tf.math.log(-tf.math.log(uniform))

        def choose(layer, kind, logits):
            noise = gumbel[layer, kind, :, : self._sizes[kind]]
            return tf.argmax(logits + noise, axis=-1, output_type=tf.int32)

        return self._write(count, choose)[0]

    def score(self, choices):
        """Return the log-probability and the entropy of each decision of architectures under the policy.

        Args:
            choices: int32 [architectures, layers, 3].

        Returns:
            Log-probabilities and entropies in nats, both float32 [architectures, layers, 3] and
            differentiable; 0 for the chain of a layer that cannot chain.
        """
        choices = tf.convert_to_tensor(choices)
        _, log_probabilities, entropies = self._write(
            tf.shape(choices)[0], lambda layer, kind, logits: choices[:, layer, kind]
        )
        return log_probabilities, entropies

    def most_probable(self):
        """Return the most probable decision at each turn, given those before: int32 [1, layers, 3]."""
        return self._write(1, lambda layer, kind, logits: tf.argmax(logits, axis=-1, output_type=tf.int32))[0]

    def _write(self, count, choose):
        """Return choices, log-probabilities and entropies of all decisions, each [count, layers, 3].

        `choose` makes each decision: (layer, kind, logits [count, n]) -> [count].
        """
        state = [tf.zeros([count, self._units]), tf.zeros([count, self._units])]
        before = tf.zeros([count], tf.int32)
        embeddings = tf.convert_to_tensor(self._embeddings)
        nothing = tf.zeros([count])
        choices, log_probabilities, entropies = [], [], []
        for layer, chainable in enumerate(self.chainable):
            for kind in range(3):
                if kind == 1 and not chainable:
                    choices.append(tf.zeros([count], tf.int32))
                    log_probabilities.append(nothing)
                    entropies.append(nothing)
                    continue
                output, state = self._lstm(tf.gather(embeddings, before), state)
                logits = LOGIT_BOUND * tf.tanh(self._heads[kind](output))
                chosen = choose(layer, kind, logits)
                log_softmax = tf.nn.log_softmax(logits)
                choices.append(chosen)
                log_probabilities.append(tf.gather(log_softmax, chosen, batch_dims=1))
                entropies.append(-tf.reduce_sum(tf.exp(log_softmax) * log_softmax, axis=-1))
                before = 1 + sum(self._sizes[:kind]) + chosen
        shape = [count, len(self.chainable), 3]
        return tuple(
            tf.reshape(tf.stack(parts, axis=1), shape) for parts in (choices, log_probabilities, entropies)
        )


def _initial():
    return keras.initializers.RandomUniform(-INITIAL_SCALE, INITIAL_SCALE)
