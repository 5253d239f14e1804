"""Uniform samples of the architectures within a budget: each that fits has the same probability.

Counting the architectures by cost, from the first layer to the last, gives exact probabilities for drawing
one from the last layer to the first. If there are too many different costs to count, costs are first rounded
down to a grid; that admits some architectures over the budget, which are rejected and drawn again. So the
result is exactly uniform in any case (the rounding of Dyer, "Approximate counting by dynamic programming",
STOC 2003).
"""

import bisect
import itertools
import random
from collections import defaultdict
from typing import NamedTuple

from okd_tf import errors
from okd_tf.arch import space, spec

CELLS = 512  # of the grid, if one cost is bounded
CELLS_OF_TWO = 64  # of each side of it, if both are
REFINE_AFTER = 100  # draws over the budget in a row

_Counts = dict[tuple[int, ...], int]


class _Option(NamedTuple):
    """A state of a layer: its gates, and operations of equal (rounded) cost; no operations if it is dead."""

    chain: int
    feed_back: int
    ops: list[int]
    cost: tuple[int, ...]

    @property
    def ways(self) -> int:
        """Return the number of choices in this option."""
        return max(1, len(self.ops))


class UniformSampler:
    """A sampler of architectures of a space that fit a budget."""

    def __init__(self, search_space: space.SearchSpace, budget: spec.Budget):
        """Create the sampler and count architectures; well under a second for spaces of tens of layers.

        Raises:
            UserError: the bare backbone is over the budget.
        """
        if not budget.admits(search_space.base):
            raise errors.UserError(
                f"budget {budget} is below the bare backbone's {search_space.base}; "
                "allow more, or use a smaller backbone"
            )
        self._space = search_space
        self._budget = budget
        self._bounded = [name for name in ("params", "flops") if getattr(budget, f"max_{name}")]
        self._room = [
            getattr(budget, f"max_{name}") - getattr(search_space.base, name) for name in self._bounded
        ]
        self._count(CELLS if len(self._bounded) < 2 else CELLS_OF_TWO)

    def sample(self, generator: random.Random) -> space.Architecture:
        """Return one canonical architecture, each of those that fit with the same probability."""
        over = 0
        while True:
            architecture = self._draw(generator)
            if self._budget.admits(self._space.cost(architecture)):
                return architecture
            over += 1
            if over % REFINE_AFTER == 0:
                self._count(2 * self._cells)

    def different(self, count: int, seed: int) -> list[space.Architecture]:
        """Return `count` different architectures; fewer if 16 times as many draws do not hold so many."""
        generator = random.Random(seed)
        drawn = dict.fromkeys(self.sample(generator) for _ in range(16 * count))
        return list(drawn)[:count]

    def _count(self, cells: int) -> None:
        """Set `_counts[layers][read]`: number of choices of the first layers by rounded cost.

        `read` is whether the layer after them reads the last of them.
        """
        self._cells = cells
        self._units = [max(1, room // cells) for room in self._room]
        self._costs = [
            [
                tuple(
                    getattr(cost, name) // unit for name, unit in zip(self._bounded, self._units, strict=True)
                )
                for cost in costs
            ]
            for costs in self._space.op_costs
        ]
        self._limit = [room // unit for room, unit in zip(self._room, self._units, strict=True)]
        nothing = tuple(0 for _ in self._bounded)
        self._counts: list[dict[bool, _Counts]] = [{False: {nothing: 1}, True: {nothing: 1}}]
        for layer in range(self._space.layers):
            counts: dict[bool, _Counts] = {}
            for read in (False, True):
                found: _Counts = defaultdict(int)
                for option in self._options(layer, read):
                    for cost, count in self._counts[layer][bool(option.chain)].items():
                        total = tuple(a + b for a, b in zip(cost, option.cost, strict=True))
                        if all(a <= b for a, b in zip(total, self._limit, strict=True)):
                            found[total] += option.ways * count
                counts[read] = dict(found)
            self._counts.append(counts)

    def _options(self, layer: int, read: bool) -> list[_Option]:
        """Return the possible states of a layer, given whether it is read."""
        options = []
        by_cost: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for op, cost in enumerate(self._costs[layer]):
            by_cost[cost].append(op)
        for chain, feed_back, alive in self._space.gates(layer, read):
            if not alive:
                options.append(_Option(0, 0, [], tuple(0 for _ in self._bounded)))
                continue
            for cost, ops in by_cost.items():
                options.append(_Option(chain, feed_back, ops, cost))
        return options

    def _draw(self, generator: random.Random) -> space.Architecture:
        choices: list[space.Choice] = []
        totals = self._counts[-1][False]
        # All costs within the limit count alike: draw one of all architectures, then follow its cost down.
        cost = _weighted(generator, list(totals.items()))
        read = False
        for layer in reversed(range(self._space.layers)):
            weighted = []
            for option in self._options(layer, read):
                before = tuple(a - b for a, b in zip(cost, option.cost, strict=True))
                count = self._counts[layer][bool(option.chain)].get(before, 0)
                if count:
                    weighted.append(((option, before), option.ways * count))
            option, cost = _weighted(generator, weighted)
            choices.append(
                (generator.choice(option.ops), option.chain, option.feed_back) if option.ops else space.DEAD
            )
            read = bool(option.chain)
        return tuple(reversed(choices))


def _weighted(generator, weighted):  # type: ignore[no-untyped-def]
    """Return one of [(value, integer weight)], drawn in proportion to the weights."""
    totals = list(itertools.accumulate(weight for _, weight in weighted))
    # randrange over exact integers: weights can be beyond what a float holds.
    return weighted[bisect.bisect(totals, generator.randrange(totals[-1]))][0]
