"""A hash of integers: what makes splits, views and orders pure functions of an id and a seed."""

import tensorflow as tf


def splitmix64(values: tf.Tensor, seed: int) -> tf.Tensor:
    """Hashes values int64 [...] under a seed -> uint64 [...] (Steele et al., "SplittableRandom", 2014)."""
    mixed = tf.cast(values, tf.uint64) + _word(seed) * _word(0x9E3779B97F4A7C15)
    mixed = (mixed ^ _shift(mixed, 30)) * _word(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ _shift(mixed, 27)) * _word(0x94D049BB133111EB)
    return mixed ^ _shift(mixed, 31)


def halves(hashes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The low and the high 32 bits of hashes uint64 [...], each int64 [...] in [0, 2**32)."""
    return tf.cast(hashes & _word(0xFFFFFFFF), tf.int64), tf.cast(_shift(hashes, 32), tf.int64)


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)


def _shift(values: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(values, _word(bits))
