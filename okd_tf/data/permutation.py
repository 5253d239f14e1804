"""Seeded permutations of [0, n), asked for single places: nothing of the size of n is ever made."""

import tensorflow as tf

from okd_tf.data import hashing

ROUNDS = 32


def shuffled(places: tf.Tensor, last: int, keys: tf.Tensor, seed: int) -> tf.Tensor:
    """Where places go under TensorFlow's permutations of [0, last] that keys and a seed choose.

    places and keys int64 [batch] -> int64 [batch]. Fast for many places, and slow for few: of ten it takes a
    hundred times as long as of ten thousand.
    """
    # `tf.random.experimental.index_shuffle` calls this with the same first word, and takes one key alone.
    word = tf.fill(tf.shape(keys), tf.constant(498247692, tf.int64))
    last = tf.fill(tf.shape(keys), tf.constant(last, tf.int64))
    # Twice: the orders that one shuffle gives to two epochs have runs in common.
    for one in (seed, seed + 1):
        words = tf.stack([word, *hashing.halves(hashing.splitmix64(keys, one))], axis=-1)
        places = tf.raw_ops.RandomIndexShuffle(index=places, seed=words, max_index=last, rounds=4)
    return places


def swapped(places: tf.Tensor, sizes: tf.Tensor, keys: tf.Tensor, seed: int) -> tf.Tensor:
    """Where places go under permutations of [0, size) that keys and a seed choose, each of a size of its own.

    places in [0, sizes), sizes and keys, all int64 [batch] -> int64 [batch]. Its cost does not depend on the
    sizes. In each round the places x and (o - x) mod size, of a random o, change with each other or stay, by
    a hash of the larger: Hoang, Morris, Rogaway, "An Enciphering Scheme Based on a Card Shuffle" (2012).
    """
    rounds = tf.range(ROUNDS, dtype=tf.int64)[:, tf.newaxis]
    words = hashing.splitmix64(keys * ROUNDS + rounds, seed)
    offsets = hashing.halves(words)[0] % sizes
    for offset, word in zip(tf.unstack(offsets), tf.unstack(words), strict=True):
        other = (offset - places) % sizes
        _, hashed = hashing.halves(hashing.mixed(tf.cast(tf.maximum(places, other), tf.uint64) ^ word))
        places = tf.where(hashed >= 2**31, other, places)
    return places
