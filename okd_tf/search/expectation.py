"""Averages over the architectures that a search would choose: number of layers, cost, operations."""

import dataclasses

import numpy as np
import tensorflow as tf

from okd_tf.search import alphas, derive


@dataclasses.dataclass(frozen=True)
class Expectation:
    """Averages over the architectures that a search would choose now.

    Attributes:
        distributions: per layer the probabilities of the operations [ops], of chain [], of feed back [].
        layers: number of alive add-on layers.
        params: parameters of the student, backbone included.
        flops: FLOPs of the student for one image.
        shares: [ops], share of each operation in the alive layers.
        parameter_free: share of operations without parameters in the alive layers.
    """

    distributions: list
    layers: float
    params: float
    flops: float
    shares: np.ndarray
    parameter_free: float

    @property
    def entropies(self):
        """Return per layer the entropy of its operation and gates, in nats."""
        return [
            _entropy(operations) + sum(_entropy(np.array([p, 1 - p])) for p in gates)
            for operations, *gates in self.distributions
        ]


def of_distributions(search_space, distributions):
    """Return the averages where all choices are independent, as those of alphas are."""
    tensors = [tuple(tf.constant(part, tf.float32) for part in one) for one in distributions]
    alive = np.array([float(probability) for probability in alphas.alive_probabilities(tensors)])
    params, flops = alphas.expected_cost(search_space, tensors)
    living = alive[:, np.newaxis] * np.array([operations for operations, _, _ in distributions])
    return _expectation(
        search_space,
        distributions,
        living,
        search_space.base.params + float(params),
        search_space.base.flops + float(flops),
    )


def of_samples(search_space, architectures):
    """Return the averages over sampled architectures, however their choices depend on each other."""
    costs = [search_space.cost(architecture) for architecture in architectures]
    living = np.zeros([search_space.layers, len(search_space.ops)])
    for architecture in architectures:
        for layer, alive in enumerate(search_space.alive(architecture)):
            living[layer, architecture[layer][0]] += alive / len(architectures)
    return _expectation(
        search_space,
        derive.frequencies(search_space, architectures),
        living,
        float(np.mean([cost.params for cost in costs])),
        float(np.mean([cost.flops for cost in costs])),
    )


def _expectation(search_space, distributions, living, params, flops):
    """Return the `Expectation`, given `living` [layers, ops]: probabilities to be alive with an operation."""
    layers = float(living.sum())
    free = np.array([[not cost.params for cost in costs] for costs in search_space.op_costs])
    return Expectation(
        distributions=distributions,
        layers=layers,
        params=params,
        flops=flops,
        shares=living.sum(axis=0) / max(1e-12, layers),
        parameter_free=float((living * free).sum()) / max(1e-12, layers),
    )


def _entropy(probabilities):
    """Return the entropy in nats; 0 log 0 is 0."""
    return float(-np.sum(probabilities * np.log(np.maximum(probabilities, 1e-30))))
