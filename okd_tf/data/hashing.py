"""A hash of integers: what makes splits, views and orders pure functions of an id and a seed."""

import tensorflow as tf


def splitmix64(values: tf.Tensor, seed: int) -> tf.Tensor:
    """Hashes values int64 [...] under a seed -> uint64 [...] (Steele et al., "SplittableRandom", 2014)."""
    return mixed(tf.cast(values, tf.uint64) + _word(seed) * _word(0x9E3779B97F4A7C15))


def mixed(words: tf.Tensor) -> tf.Tensor:
    """Its last step, a bijection: uint64 [...] -> uint64 [...] of which each bit depends on all of a word."""
    words = (words ^ _shift(words, 30)) * _word(0xBF58476D1CE4E5B9)
    words = (words ^ _shift(words, 27)) * _word(0x94D049BB133111EB)
    return words ^ _shift(words, 31)


def halves(hashes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The low and the high 32 bits of hashes uint64 [...], each int64 [...] in [0, 2**32)."""
    return tf.cast(hashes & _word(0xFFFFFFFF), tf.int64), tf.cast(_shift(hashes, 32), tf.int64)


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)


def _shift(values: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(values, _word(bits))
