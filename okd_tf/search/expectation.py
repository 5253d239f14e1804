"""What a search would choose on average: how many layers, at what cost, of which operations."""

import dataclasses

import numpy as np
import tensorflow as tf

from okd_tf.search import alphas, derive


@dataclasses.dataclass(frozen=True)
class Expectation:
    """Averages over the architectures that a search would choose now.

    Attributes:
        distributions: per layer the probabilities of the operations [ops], of chain [], of feed back [].
        layers: how many add-on layers live.
        params: of the student, backbone included.
        flops: of one image through it.
        shares: per operation, its share of the living layers.
        parameter_free: the share of all operations without parameters.
    """

    distributions: list
    layers: float
    params: float
    flops: float
    shares: np.ndarray
    parameter_free: float

    @property
    def entropies(self):
        """Per layer, of its operation and gates, in nats."""
        return [
            _entropy(operations) + sum(_entropy(np.array([p, 1 - p])) for p in gates)
            for operations, *gates in self.distributions
        ]


def of_distributions(search_space, distributions):
    """The averages where all choices are independent, as those of alphas are."""
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
    """The averages over architectures that were drawn, however their choices depend on each other."""
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
    """Takes `living` [layers, ops], the probability that a layer lives with an operation."""
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
    """In nats; 0 log 0 is 0."""
    return float(-np.sum(probabilities * np.log(np.maximum(probabilities, 1e-30))))
