"""Derivation of one architecture from a trained supernet: propose within the budget, rank on validation.

Proposals are within the budget by construction, so the chosen architecture is, too.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from okd_tf import errors
from okd_tf.arch import space, spec

# Nats that an architecture's log-probability gains for parameters as many as the budget has room for.
TILTS = (0.0, 4.0, 16.0, 64.0, 256.0)

# Per layer: probabilities of the operations [ops], of chain [], of feed back [].
Distribution = tuple[np.ndarray, np.ndarray | np.float64, np.ndarray | np.float64]


@dataclasses.dataclass(frozen=True)
class _Partial:
    """A choice of all layers from some layer on: log-probability, cost, and choices from last to first."""

    score: float
    cost: tuple[int, int]
    choices: tuple[space.Choice, ...]


def check_budget(base: spec.Cost, budget: spec.Budget) -> None:
    """Raise UserError if even the bare backbone, of the cost `base`, does not fit."""
    for flag, limit, own in (
        ("--max_params", budget.max_params, base.params),
        ("--max_flops", budget.max_flops, base.flops),
    ):
        if limit and limit < own:
            raise errors.UserError(
                f"{flag}: {limit} is below the bare backbone's own {own}; "
                "raise it, or choose a smaller --backbone or --backbone_width"
            )


def most_probable(
    search_space: space.SearchSpace,
    distributions: Sequence[Distribution],
    budget: spec.Budget,
    count: int,
) -> list[space.Architecture]:
    """Return the `count` most probable architectures that fit the budget, exactly, the most probable first.

    Choices of layers are independent, and an architecture's probability is that of all choices that build it:
    a dead layer contributes the probability of not feeding back. The method is dynamic programming from the
    last layer to the first; the state is whether the layer before is read. A partial architecture is dropped
    if `count` others in its state have a higher probability at no higher cost.

    Args:
        search_space: the space.
        distributions: one a layer.
        budget: the limits on the cost.
        count: largest number of architectures to return.

    Raises:
        UserError: even the bare backbone does not fit.
    """
    check_budget(search_space.base, budget)
    room = (
        budget.max_params - search_space.base.params if budget.max_params else None,
        budget.max_flops - search_space.base.flops if budget.max_flops else None,
    )
    states = {False: [_Partial(0.0, (0, 0), ())], True: []}
    for layer in reversed(range(search_space.layers)):
        following: dict[bool, list[_Partial]] = {False: [], True: []}
        for read, partials in states.items():
            for partial in partials:
                for chained, extended in _extensions(
                    search_space, layer, distributions[layer], read, partial
                ):
                    if all(
                        limit is None or own <= limit for own, limit in zip(extended.cost, room, strict=True)
                    ):
                        following[chained].append(extended)
        bounded = [axis for axis in (0, 1) if room[axis] is not None]
        states = {state: _undominated(partials, bounded, count) for state, partials in following.items()}
    # Nothing precedes the first layer, so nothing is read there.
    return [tuple(reversed(partial.choices)) for partial in states[False][:count]]


def front(
    search_space: space.SearchSpace,
    distributions: Sequence[Distribution],
    budget: spec.Budget,
    count: int,
) -> list[space.Architecture]:
    """Return up to `count` different architectures that fit, from the most probable to the largest.

    They maximise log p + tilt * params / room, with a tilt of each in TILTS in turn: points of the upper hull
    of log-probability over parameters, and the next best ones.

    Args:
        search_space: the space.
        distributions: one a layer.
        budget: the limits on the cost.
        count: largest number of architectures to return.

    Raises:
        UserError: even the bare backbone does not fit.
    """
    largest = sum(max(cost.params for cost in costs) for costs in search_space.op_costs)
    room = budget.max_params - search_space.base.params if budget.max_params else largest
    # Of each operation, the part of the room it takes; one that takes more than all does not fit.
    parts = [
        np.array([min(1.0, cost.params / max(1, room)) for cost in costs]) for costs in search_space.op_costs
    ]
    found = []
    for tilt in TILTS:
        by_layer = [
            (operations * np.exp(tilt * part), chain, feed_back)
            for (operations, chain, feed_back), part in zip(distributions, parts, strict=True)
        ]
        found.append(most_probable(search_space, by_layer, budget, count))
    # All have as many as there are, so that zip loses none.
    in_turn = [architecture for rank in zip(*found, strict=True) for architecture in rank]
    return list(dict.fromkeys(in_turn))[:count]


def frequencies(
    search_space: space.SearchSpace, architectures: Sequence[space.Architecture]
) -> list[Distribution]:
    """Return each choice's frequency; that of operations and chain where the layer is alive."""
    alive = np.array([search_space.alive(architecture) for architecture in architectures])
    found: list[Distribution] = []
    for layer in range(search_space.layers):
        op, chain, feed_back = np.array([architecture[layer] for architecture in architectures]).T
        living = alive[:, layer]
        counts = np.bincount(op[living], minlength=len(search_space.ops)).astype(float)
        operations = counts / counts.sum() if living.any() else np.full(len(counts), 1 / len(counts))
        found.append(
            (
                operations,
                np.float64(chain[living].mean() if living.any() else 0.0),
                np.float64(feed_back.mean()),
            )
        )
    return found


def _extensions(search_space, layer, distribution, read, partial):  # type: ignore[no-untyped-def]
    """Yield (whether the new layer reads its predecessor, partial) for each layer in front of a partial."""
    operations, chain, feed_back = (np.log(np.maximum(part, 1e-30)) for part in distribution)
    not_chain, not_feed_back = (np.log(np.maximum(1 - part, 1e-30)) for part in distribution[1:])
    if not read:
        yield (
            False,
            _Partial(partial.score + not_feed_back, partial.cost, (*partial.choices, space.DEAD)),
        )
    gates = [
        (chained, feeding, (chain if chained else not_chain) if search_space.chainable[layer] else 0.0)
        for chained in ((0, 1) if search_space.chainable[layer] else (0,))
        for feeding in ((0, 1) if read else (1,))
    ]
    for op, cost in enumerate(search_space.op_costs[layer]):
        total = (partial.cost[0] + cost.params, partial.cost[1] + cost.flops)
        for chained, feeding, chain_score in gates:
            score = operations[op] + chain_score + (feed_back if feeding else not_feed_back)
            yield (
                bool(chained),
                _Partial(partial.score + score, total, (*partial.choices, (op, chained, feeding))),
            )


def _undominated(partials: list[_Partial], bounded: list[int], count: int) -> list[_Partial]:
    """Return, by falling score, partials that fewer than `count` better ones match in all bounded costs."""
    kept: list[_Partial] = []
    costs = np.empty((len(partials), len(bounded)), np.int64)
    for partial in sorted(partials, key=lambda item: (-item.score, item.choices)):
        own = [partial.cost[axis] for axis in bounded]
        if np.sum(np.all(costs[: len(kept)] <= own, axis=1)) < count:
            costs[len(kept)] = own
            kept.append(partial)
    return kept
