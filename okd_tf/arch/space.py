"""The search space: all students that a backbone and add-on layers can form.

For each attach point there is a *choice* (op, chain, feed_back), all integers: op indexes the candidate
operations, chain and feed_back are 0 or 1. An add-on layer that neither feeds back nor is read by an alive
later one is dead: it is not built, costs nothing, and its canonical choice is DEAD. Two choices that differ
only in dead layers are one architecture.
"""

import dataclasses
import functools
import random
from collections.abc import Sequence

from okd_tf import backbones
from okd_tf.arch import cost, spec
from okd_tf.backbones import attach
from okd_tf.ops import OPS

Choice = tuple[int, int, int]
Architecture = tuple[Choice, ...]
DEAD: Choice = (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """All architectures of one backbone.

    Attributes:
        attach_points: names of the backbone's outputs, in order.
        ops: names of the candidate operations.
        chainable: per layer, whether it can read the previous add-on layer (there is one, of equal shape).
        base: the cost of the bare backbone.
        op_costs: [layers][ops], the cost of each operation in each layer.
        begins_at_zero: whether operations begin at zero, as for a backbone with kept weights; see `ops.base`.
    """

    attach_points: tuple[str, ...]
    ops: tuple[str, ...]
    chainable: tuple[bool, ...]
    base: spec.Cost
    op_costs: tuple[tuple[spec.Cost, ...], ...]
    begins_at_zero: bool = False

    @classmethod
    def around(cls, backbone: backbones.Backbone, ops: Sequence[str] = tuple(OPS)) -> "SearchSpace":
        """Return the space of add-on layers after a backbone's attach points."""
        shape_after = attach.shapes(backbone.model)
        shapes = [shape_after[name] for name in backbone.attach_points]
        at_zero = bool(backbone.kept)
        by_shape = {
            shape: tuple(cost.of_operation(OPS[name], shape, at_zero) for name in ops)
            for shape in set(shapes)
        }
        return cls(
            attach_points=backbone.attach_points,
            ops=tuple(ops),
            chainable=tuple(index > 0 and shapes[index - 1] == shape for index, shape in enumerate(shapes)),
            base=cost.of_model(backbone.model),
            op_costs=tuple(by_shape[shape] for shape in shapes),
            begins_at_zero=at_zero,
        )

    @property
    def layers(self) -> int:
        """Return the number of attach points."""
        return len(self.attach_points)

    def alive(self, architecture: Architecture) -> list[bool]:
        """Return per layer whether it feeds back or is read by an alive later one."""
        alive = [False] * self.layers
        read = False
        for layer in reversed(range(self.layers)):
            _, chain, feed_back = architecture[layer]
            alive[layer] = bool(feed_back) or read
            read = alive[layer] and bool(chain) and self.chainable[layer]
        return alive

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the one representative of all choices that build the same layers."""
        return tuple(
            (op, chain if chainable else 0, feed_back) if alive else DEAD
            for (op, chain, feed_back), chainable, alive in zip(
                architecture, self.chainable, self.alive(architecture), strict=True
            )
        )

    def cost(self, architecture: Architecture) -> spec.Cost:
        """Return the cost of the student: the backbone's and that of the alive layers."""
        living = [
            self.op_costs[layer][architecture[layer][0]]
            for layer, alive in enumerate(self.alive(architecture))
            if alive
        ]
        return spec.Cost(
            params=self.base.params + sum(item.params for item in living),
            flops=self.base.flops + sum(item.flops for item in living),
        )

    def add_ons(self, architecture: Architecture) -> tuple[spec.AddOn, ...]:
        """Return the alive layers as entries of a spec."""
        canonical = self.canonical(architecture)
        return tuple(
            spec.AddOn(after, self.ops[op], bool(chain), bool(feed_back))
            for after, (op, chain, feed_back), alive in zip(
                self.attach_points, canonical, self.alive(canonical), strict=True
            )
            if alive
        )

    def size(self) -> int:
        """Return the number of different architectures, the bare backbone included."""
        return self._count(self.layers, False)

    def gates(self, layer: int, read: bool) -> list[tuple[int, int, bool]]:
        """Return the possible gates of a layer as (chain, feed_back, alive), given whether it is read."""
        found = []
        for feed_back in (0, 1):
            alive = bool(feed_back) or read
            for chain in (0, 1) if alive and self.chainable[layer] else (0,):
                found.append((chain, feed_back, alive))
        return found

    def thinned(
        self, architecture: Architecture, generator: random.Random, budget: spec.Budget
    ) -> Architecture:
        """Return the canonical architecture with alive layers removed at random until it fits the budget.

        The bare backbone must fit.
        """
        architecture = self.canonical(architecture)
        while not budget.admits(self.cost(architecture)):
            living = [layer for layer, alive in enumerate(self.alive(architecture)) if alive]
            removed = generator.choice(living)
            # Its reader's chain is cut too, or the layer would stay alive.
            architecture = self.canonical(
                tuple(
                    DEAD if layer == removed else (op, 0 if layer == removed + 1 else chain, feed_back)
                    for layer, (op, chain, feed_back) in enumerate(architecture)
                )
            )
        return architecture

    @functools.cache  # noqa: B019 - spaces are few and live as long as the run
    def _count(self, layers: int, read: bool) -> int:
        """Return the number of architectures of the first `layers` layers, given whether the last is read."""
        if layers == 0:
            return 1
        return sum(
            self._count(layers - 1, alive and bool(chain)) * (len(self.ops) if alive else 1)
            for chain, _, alive in self.gates(layers - 1, read)
        )
