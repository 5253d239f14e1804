"""Telemetry of a search: after each epoch its expected choice, its entropy, and whether it has collapsed.

Differentiable searches are known to drift to operations without parameters, which train faster than the
others at first (Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020).
"""

import numpy as np

from okd_tf import errors, progress
from okd_tf.arch import spec

EXAMPLES = 1000  # validation images that what would be chosen is evaluated on
COLLAPSED = 0.9  # share of living add-on layers, in expectation, whose operation has no parameters


class Telemetry:
    """A recorder of a search's state after each epoch."""

    def __init__(self, model, search_space, ranker, stop_on_collapse=False):
        """Create the recorder.

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
        self._expected = None

    def look(self):
        """Return the numbers to record of the search in its current state.

        Returns:
            A dict of numbers: per layer the probability of each operation and gate and the entropy, expected
            parameters and FLOPs, shares of operations, and for a search that learns the validation figures of
            its current best proposal.
        """
        expected = self._expected = self._model.expectation()
        record = {
            "expected_params": expected.params,
            "expected/flops": expected.flops,
            "expected/layers": expected.layers,
            "entropy": float(np.mean(expected.entropies)),
            "parameter_free": expected.parameter_free,
        }
        if self._model.learns:
            best = self._model.propose(1, self._model.options.seed)[0]
            scores = self._ranker.evaluate(best, EXAMPLES)
            record["argmax_val_accuracy"] = scores["accuracy"]
            record["argmax/val_loss"] = scores["loss"]
            record["argmax/params"] = self._space.cost(best).params
        for name, share in zip(self._space.ops, expected.shares, strict=True):
            record[f"share/{name}"] = float(share)
        for index, (operations, chain, feed_back) in enumerate(expected.distributions):
            for name, probability in zip(self._space.ops, operations, strict=True):
                record[f"addon{index + 1}/{name}"] = float(probability)
            record[f"addon{index + 1}/chain"] = float(chain)
            record[f"addon{index + 1}/feed_back"] = float(feed_back)
            record[f"addon{index + 1}/entropy"] = expected.entropies[index]
        return record

    def warn_of_collapse(self):
        """Warn, once, if the search had collapsed at the last `look`.

        Raises:
            UserError: it had, and the search is to stop then.
        """
        # Not "<": what is not a number is no collapse, and the training loop says what it is.
        collapsed = self._expected.parameter_free >= COLLAPSED
        if not (self._model.learns and collapsed and self._has_a_choice()):
            return
        what = (
            f"{self._expected.parameter_free:.0%} of the add-on layers that the search would choose have no "
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

    def _has_a_choice(self):
        """Return whether an operation with parameters fits in the budget at all."""
        base = self._space.base
        return any(
            cost.params
            and self._model.budget.admits(spec.Cost(base.params + cost.params, base.flops + cost.flops))
            for costs in self._space.op_costs
            for cost in costs
        )
