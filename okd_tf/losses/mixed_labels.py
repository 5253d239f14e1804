"""Labels of images that are mixtures of two (mixup, CutMix), and the functions of them.

Everywhere in this package `labels` are either an int tensor [batch], or `Labels` where a batch may hold mixed
images. A mixed image counts like its two images, weighted by their shares:

    f(labels) = share f(first) + (1 - share) f(second).

Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization" (ICLR 2018); Yun, Han, Oh, Chun,
Choe, Yoo, "CutMix" (ICCV 2019).
"""

from typing import NamedTuple

import tensorflow as tf

from okd_tf.ops import ordered


class Labels(NamedTuple):
    """The labels of a batch of which some images may be mixed.

    Attributes:
        first: int [batch], the class of the example itself.
        second: int [batch], the class of its partner, of the same dtype; on a plain image the same class.
        share: float [batch] in (0, 1], the example's own share of the image; 1 on a plain image.
    """

    first: tf.Tensor
    second: tf.Tensor
    share: tf.Tensor


def from_batch(batch):
    """Return the labels of a batch: its "label" [batch], or `Labels` if it has "label_b" and "share" too."""
    if "share" not in batch:
        return batch["label"]
    return Labels(batch["label"], batch["label_b"], batch["share"])


def linear(function, labels, logits):
    """Return share f(first, logits) + (1 - share) f(second, logits), or f(labels, logits) of plain labels.

    Args:
        function: (labels int [batch], logits) -> [batch, ...], finite.
        labels: int [batch], or `Labels`.
        logits: [batch, ..., classes].

    Returns:
        A tensor shaped like the result of `function`. Where the share is 1 it is f(first, logits) to the bit.
    """
    if not isinstance(labels, Labels):
        return function(labels, logits)
    # A reference, and so a gradient, for each of the two; see `ops.ordered`.
    one, other = ordered.fan_out(logits, 2)
    first, second = function(labels.first, one), function(labels.second, other)
    share = _like(labels.share, first)
    # Not an addition, which graph optimisation could merge with those around it.
    return tf.reduce_sum(tf.stack([share * first, (1.0 - share) * second]), axis=0)


def cross_entropy(labels, logits):
    """Return share CE(first, softmax(logits)) + (1 - share) CE(second, softmax(logits)).

    labels int [batch] or `Labels`, logits [batch, ..., classes] -> [batch, ...]. CE(y, q) = -log q_y.
    """
    return linear(_cross_entropy, labels, logits)


def agreement(labels, predictions, dtype=tf.float32):
    """Return share [prediction = first] + (1 - share) [prediction = second].

    It is the share of the image that belongs to the predicted class: 1 or 0 on a plain image.

    Args:
        labels: int [batch], or `Labels`.
        predictions: int [batch, ...].
        dtype: dtype of the result.

    Returns:
        [batch, ...] in [0, 1].
    """
    if not isinstance(labels, Labels):
        return tf.cast(_named(labels, predictions), dtype)
    first, second = (tf.cast(_named(one, predictions), dtype) for one in (labels.first, labels.second))
    share = _like(labels.share, first)
    return share * first + (1.0 - share) * second


def _cross_entropy(labels, logits):
    if logits.shape.rank > 2:
        labels = tf.broadcast_to(_spread(labels, logits.shape.rank - 1), tf.shape(logits)[:-1])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def _named(labels, predictions):
    return _spread(labels, predictions.shape.rank) == tf.cast(predictions, labels.dtype)


def _like(share, values):
    """Return the shares [batch] in the dtype of values [batch, ...], shaped to be multiplied with them."""
    return _spread(tf.cast(share, values.dtype), values.shape.rank)


def _spread(vector, rank):
    """Return a vector [batch] as [batch, 1, ..., 1] with `rank` dimensions."""
    return vector if rank == 1 else tf.reshape(vector, [-1, *[1] * (rank - 1)])
