"""What a search is doing, epoch by epoch: what it would choose, how sure it is, whether it has collapsed.

Differentiable searches are known to drift to operations without parameters, which train faster than the
others at first (Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020).
"""

import dataclasses

import numpy as np
import tensorflow as tf

from okd_tf import errors
from okd_tf.search import alphas
from okd_tf.training import progress

COLLAPSED = 0.9  # share of living add-on layers, in expectation, whose operation has no parameters


@dataclasses.dataclass(frozen=True)
class Expectation:
    """What a distribution over architectures says on average.

    Attributes:
        layers: how many add-on layers live.
        params: of the student, backbone included.
        flops: of one image through it.
        shares: per operation, its share of the living layers.
        parameter_free: the share of all operations without parameters.
        entropies: per layer, of its operation and gates, in nats.
    """

    layers: float
    params: float
    flops: float
    shares: np.ndarray
    parameter_free: float
    entropies: list[float]


def expect(search_space, distributions):
    """The `Expectation` of distributions as `SearchModel.distributions` gives them."""
    tensors = [tuple(tf.constant(part, tf.float32) for part in one) for one in distributions]
    alive = [float(probability) for probability in alphas.alive_probabilities(tensors)]
    params, flops = alphas.expected_cost(search_space, tensors)
    living = [p * operations for p, (operations, _, _) in zip(alive, distributions, strict=True)]
    shares = np.sum(living, axis=0) / max(1e-12, sum(alive))
    free = [
        sum(share for share, cost in zip(layer, costs, strict=True) if not cost.params)
        for layer, costs in zip(living, search_space.op_costs, strict=True)
    ]
    return Expectation(
        layers=sum(alive),
        params=search_space.base.params + float(params),
        flops=search_space.base.flops + float(flops),
        shares=shares,
        parameter_free=float(sum(free)) / max(1e-12, sum(alive)),
        entropies=[
            _entropy(operations) + sum(_entropy(np.array([p, 1 - p])) for p in gates)
            for operations, *gates in distributions
        ],
    )


class Telemetry:
    """Looks at a search after each epoch."""

    def __init__(self, model, search_space, ranker, stop_on_collapse=False):
        """Takes what to look at.

        Args:
            model: a `SearchModel`.
            search_space: its space.
            ranker: a `Ranker` for its supernet.
            stop_on_collapse: whether a collapse ends the search.
        """
        self._model = model
        self._space = search_space
        self._ranker = ranker
        self._stop = stop_on_collapse
        self._warned = False

    def look(self):
        """What to record of the search as it is now.

        Returns:
            A dict of numbers: per layer the probability of each operation and gate and the entropy, expected
            parameters and FLOPs, shares of operations, and for a search that learns the validation figures of
            what it would choose now.

        Raises:
            UserError: the search has collapsed, and is to stop then.
        """
        distributions = self._model.distributions()
        expected = expect(self._space, distributions)
        record = {
            "expected_params": expected.params,
            "expected/flops": expected.flops,
            "expected/layers": expected.layers,
            "entropy": float(np.mean(expected.entropies)),
            "parameter_free": expected.parameter_free,
        }
        if self._model.learns:
            best = self._model.propose(1, self._model.options.seed)[0]
            scores = self._ranker.evaluate(best)
            record["argmax_val_accuracy"] = scores["accuracy"]
            record["argmax/val_loss"] = scores["loss"]
            record["argmax/params"] = self._space.cost(best).params
        for name, share in zip(self._space.ops, expected.shares, strict=True):
            record[f"share/{name}"] = float(share)
        for index, (operations, chain, feed_back) in enumerate(distributions):
            for name, probability in zip(self._space.ops, operations, strict=True):
                record[f"addon{index + 1}/{name}"] = float(probability)
            record[f"addon{index + 1}/chain"] = float(chain)
            record[f"addon{index + 1}/feed_back"] = float(feed_back)
            record[f"addon{index + 1}/entropy"] = expected.entropies[index]
        self._warn_of_collapse(expected)
        return record

    def _warn_of_collapse(self, expected):
        # Of a space without parameters there is nothing else to choose.
        possible = any(cost.params for costs in self._space.op_costs for cost in costs)
        # Not "<": what is not a number is no collapse, and the training loop says what it is.
        collapsed = expected.parameter_free >= COLLAPSED
        if not (self._model.learns and possible and collapsed):
            return
        what = (
            f"{expected.parameter_free:.0%} of the add-on layers that the search would choose have no "
            "parameters: it has collapsed"
        )
        mend = (
            "a longer --search_warmup_epochs, a lower --alpha_learning_rate or --budget_weight, more "
            "--max_params, --ops without some of them, or another --strategy may help"
        )
        if self._stop:
            raise errors.UserError(f"--stop_on_collapse: {what}; {mend}")
        if not self._warned:
            progress.say(f"warning: {what}; {mend}")
        self._warned = True


def _entropy(probabilities):
    """In nats; 0 log 0 is 0."""
    return float(-np.sum(probabilities * np.log(np.maximum(probabilities, 1e-30))))
