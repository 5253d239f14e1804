"""In which order an example shows its views."""

import math

import tensorflow as tf

from okd_tf.data import hashing


def codes(count: int, ids: tf.Tensor, views: tf.Tensor, seed: int) -> tf.Tensor:
    """Which of `count` views those of these numbers are.

    ids int64 [batch], views int64 [batch] (counted modulo `count`) -> int64 [batch] in [0, count).
    The order of an example's views starts anywhere and goes in equal steps that share no factor with
    `count`, modulo `count`: so it meets each view once.
    """
    low, high = hashing.halves(hashing.splitmix64(ids, seed))
    step = _coprime(count, high)
    return (low % count + step * (views % count)) % count


def _coprime(count: int, which: tf.Tensor) -> tf.Tensor:
    """Of the numbers in [0, count) that share no factor with `count`, in order, the one with this index.

    which int64 [batch] (counted modulo how many there are) -> int64 [batch]. They repeat with the period of
    the product of the different primes in `count`, so that no more of them than those need be listed.
    """
    period = math.prod(_primes(count))
    of_period = tf.constant([one for one in range(period) if math.gcd(one, period) == 1], tf.int64)
    number = tf.size(of_period, tf.int64)
    which %= count // period * number
    return which // number * period + tf.gather(of_period, which % number)


def _primes(count: int) -> list[int]:
    """The different primes that divide a number."""
    found, factor = [], 2
    while factor * factor <= count:
        if count % factor == 0:
            found.append(factor)
            while count % factor == 0:
                count //= factor
        factor += 1
    return [*found, count] if count > 1 else found
