"""The search space, on made-up spaces small enough to list."""

import itertools
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from okd_tf.arch import space, spec


def _space(chainable, ops=2):
    """Layer l's op o costs a power of two of its own, so a sum says exactly which were built."""
    layers = len(chainable)
    return space.SearchSpace(
        attach_points=tuple(f"point{layer}" for layer in range(layers)),
        ops=tuple(f"op{op}" for op in range(ops)),
        chainable=tuple(chainable),
        base=spec.Cost(params=1000, flops=5000),
        op_costs=tuple(
            tuple(spec.Cost(2 ** (layer * ops + op), 3 * 2 ** (layer * ops + op)) for op in range(ops))
            for layer in range(layers)
        ),
    )


def _everything(of):
    choices = list(itertools.product(range(len(of.ops)), (0, 1), (0, 1)))
    return itertools.product(choices, repeat=of.layers)


def _built(of, architecture):
    """What a student is made of, from the words of the definition: {(layer, op, chain, feed_back)}."""
    living = set()
    while True:
        found = {
            layer
            for layer, (_, _, feed_back) in enumerate(architecture)
            if feed_back or (layer + 1 in living and architecture[layer + 1][1] and of.chainable[layer + 1])
        }
        if found == living:
            break
        living = found
    return frozenset(
        (
            layer,
            architecture[layer][0],
            architecture[layer][1] and of.chainable[layer],
            architecture[layer][2],
        )
        for layer in living
    )


_SMALL = [
    (False,),
    (False, True),
    (False, False),
    (False, True, True),
    (False, True, False),
    (False, False, True),
    (False, True, True, True),
]
_CHAINABLE = st.lists(st.booleans(), max_size=5).map(lambda rest: (False, *rest))


@st.composite
def _space_and_architecture(draw):
    of = _space(draw(_CHAINABLE), ops=draw(st.integers(1, 4)))
    choice = st.tuples(st.integers(0, len(of.ops) - 1), st.integers(0, 1), st.integers(0, 1))
    return of, tuple(draw(choice) for _ in range(of.layers))


@pytest.mark.parametrize("chainable", _SMALL)
@pytest.mark.parametrize("ops", [1, 2, 3])
def test_size_counts_the_different_students(chainable, ops):
    if len(chainable) == 4 and ops == 3:
        ops = 2
    of = _space(chainable, ops)
    students = {_built(of, architecture) for architecture in _everything(of)}
    assert of.size() == len(students)
    assert of.size() == len({of.canonical(architecture) for architecture in _everything(of)})


def test_size_of_one_layer_is_its_ops_and_none():
    assert _space((False,), ops=7).size() == 8


def test_size_of_two_layers_by_hand():
    # Both dead 1; only the first fed back 7; second alive, not chained, first dead 7 or fed back 7 * 7;
    # second alive and chained: the first is alive, fed back or not, 2 * 7 * 7.
    assert _space((False, True), ops=7).size() == 1 + 7 + 7 + 49 + 98


def test_size_of_a_deep_space_is_exact():
    deep = _space((False,) + (True,) * 53, ops=7)
    assert 7**54 < deep.size() < 7**54 * 2**108
    assert isinstance(deep.size(), int)


@hypothesis.given(_space_and_architecture())
def test_alive_layers_are_those_the_definition_builds(pair):
    of, architecture = pair
    built = {layer for layer, *_ in _built(of, architecture)}
    assert [layer for layer, alive in enumerate(of.alive(architecture)) if alive] == sorted(built)


@hypothesis.given(_space_and_architecture())
def test_canonical_builds_the_same_student_and_is_its_own_canonical(pair):
    of, architecture = pair
    canonical = of.canonical(architecture)
    assert of.canonical(canonical) == canonical
    assert _built(of, canonical) == _built(of, architecture)
    assert of.cost(canonical) == of.cost(architecture)
    assert of.add_ons(canonical) == of.add_ons(architecture)


@hypothesis.given(_space_and_architecture())
def test_cost_is_that_of_the_backbone_and_of_the_living_layers(pair):
    of, architecture = pair
    extra = sum(2 ** (layer * len(of.ops) + op) for layer, op, *_ in _built(of, architecture))
    assert of.cost(architecture) == spec.Cost(1000 + extra, 5000 + 3 * extra)


@hypothesis.given(_space_and_architecture())
def test_add_ons_are_the_living_layers_in_order(pair):
    of, architecture = pair
    assert of.add_ons(architecture) == tuple(
        spec.AddOn(f"point{layer}", f"op{op}", bool(chain), bool(feed_back))
        for layer, op, chain, feed_back in sorted(_built(of, architecture))
    )


def test_a_layer_read_by_a_dead_one_is_dead():
    of = _space((False, True, True))
    assert of.alive(((1, 0, 0), (1, 1, 0), (1, 1, 0))) == [False, False, False]
    assert of.alive(((1, 0, 0), (1, 1, 0), (1, 1, 1))) == [True, True, True]
    assert of.alive(((1, 0, 0), (1, 0, 0), (1, 1, 1))) == [False, True, True]


@hypothesis.given(_space_and_architecture(), st.integers(0, 2**32), st.integers(0, 300), st.booleans())
@hypothesis.settings(max_examples=200)
def test_a_thinned_architecture_fits_and_is_what_it_was_without_some_layers(pair, seed, slack, by_flops):
    of, architecture = pair
    budget = spec.Budget(max_flops=5000 + slack) if by_flops else spec.Budget(max_params=1000 + slack)
    thinned = of.thinned(architecture, random.Random(seed), budget)
    assert budget.admits(of.cost(thinned))
    assert of.canonical(thinned) == thinned
    before = of.canonical(architecture)
    if budget.admits(of.cost(architecture)):
        assert thinned == before
    for own, other, alive in zip(thinned, before, of.alive(thinned), strict=True):
        if alive:
            assert (own[0], own[2]) == (other[0], other[2])
            assert own[1] <= other[1]


def test_a_budget_of_the_bare_backbone_leaves_nothing_that_costs():
    of = _space((False, True, True), ops=2)
    full = ((1, 0, 1), (1, 1, 1), (1, 1, 1))
    thinned = of.thinned(full, random.Random(0), spec.Budget(max_params=1000))
    assert of.cost(thinned).params == 1000
