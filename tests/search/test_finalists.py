"""Who takes part in finals: proposals spread over the budget, and as many random architectures."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import tiny

from okd_tf import errors
from okd_tf.arch import space, spec
from okd_tf.search import derive, finalists

OF = tiny.priced_space()  # operations of 0, 90, 30, 0 parameters, times 1, 2, 3 by layer
CHOICES = list(itertools.product(range(len(OF.ops)), (0, 1), (0, 1)))
EVERYTHING = {OF.canonical(one) for one in itertools.product(CHOICES, repeat=OF.layers)}
# Nearly sure of operations without parameters, as a search that has collapsed is.
COLLAPSED = [(np.array([0.98, 0.004, 0.006, 0.01]), chain, 0.9) for chain in (0.0, 0.2, 0.2)]


def _params(architectures):
    return [OF.cost(architecture).params - OF.base.params for architecture in architectures]


@pytest.mark.parametrize("room", [60, 200, 400, 0])
def test_proposals_reach_from_the_likeliest_to_the_largest_that_fits(room):
    budget = spec.Budget(OF.base.params + room if room else 0)
    found = derive.front(OF, COLLAPSED, budget, 10)
    assert len(set(found)) == len(found) == 10
    assert all(budget.admits(OF.cost(architecture)) for architecture in found)
    assert found[0] == derive.most_probable(OF, COLLAPSED, budget, 1)[0]
    assert _params(found[:1]) == [0]
    fitting = [architecture for architecture in EVERYTHING if budget.admits(OF.cost(architecture))]
    assert max(_params(found)) == max(_params(fitting))


def _log_probability(wanted):
    """Of an architecture, by listing all choices that build it."""
    total = 0.0
    for choices in itertools.product(CHOICES, repeat=OF.layers):
        if OF.canonical(choices) == wanted:
            total += np.prod(
                [
                    p_op[op] * (p_chain if chain else 1 - p_chain) * (p_feed if feed_back else 1 - p_feed)
                    for (op, chain, feed_back), (p_op, p_chain, p_feed) in zip(
                        choices, COLLAPSED, strict=True
                    )
                ]
            )
    return np.log(total)


def test_what_is_proposed_is_the_likeliest_but_for_a_bonus_on_parameters():
    room = 200
    found = derive.front(OF, COLLAPSED, spec.Budget(OF.base.params + room), len(derive.TILTS))
    generator = np.random.default_rng(0)
    everything = sorted(EVERYTHING)
    sample = {everything[index] for index in generator.integers(0, len(everything), 30)} | set(found)
    fitting = [architecture for architecture in sample if _params([architecture])[0] <= room]
    likelihood = {architecture: _log_probability(architecture) for architecture in fitting}
    for tilt in derive.TILTS:
        value = {one: likelihood[one] + tilt * _params([one])[0] / room for one in fitting}
        assert max(value, key=value.__getitem__) in found


def test_where_few_fit_all_are_proposed():
    budget = spec.Budget(OF.base.params + 10)
    fitting = {architecture for architecture in EVERYTHING if budget.admits(OF.cost(architecture))}
    assert set(derive.front(OF, COLLAPSED, budget, 1000)) == fitting


def _spec(params, accuracy=0.5, loss=1.0):
    add_ons = (spec.AddOn("a", f"op{params}", False, True),)
    return spec.ArchSpec(
        *("tiny", 8, tiny.SHAPE, tiny.CLASSES, (1.0,), (1.0,), add_ons, spec.Cost(params, 9)),
        provenance={"val": {"accuracy": accuracy, "loss": loss}},
    )


def test_the_best_of_each_range_of_parameters_is_taken():
    # Best first: without ranges the three small ones would be taken.
    ranked = [_spec(params) for params in (100, 110, 120, 400, 250, 260, 390)]
    assert [item.cost.params for item in finalists.spread(ranked, 3)] == [100, 400, 250]
    # Nothing lies between: the second best of all takes the place.
    ranked = [_spec(params) for params in (100, 110, 400)]
    assert [item.cost.params for item in finalists.spread(ranked, 3)] == [100, 110, 400]
    assert [item.cost.params for item in finalists.spread(ranked, 9)] == [100, 110, 400]
    assert finalists.spread([], 3) == finalists.spread(ranked, 0) == []


class _Model:
    """A search that has ended, and proposes these."""

    def __init__(self, proposals):
        self.space, self._proposals = OF, proposals

    def front(self, count, seed):
        return self._proposals[:count]


def _template():
    return spec.ArchSpec("tiny", 8, tiny.SHAPE, tiny.CLASSES, (1.0,), (1.0,), (), OF.base)


def _rank(architectures, is_random):
    """Specs whose accuracy falls with their place."""
    return [
        dataclasses.replace(
            _template(),
            add_ons=OF.add_ons(architecture),
            cost=OF.cost(architecture),
            provenance={
                "strategy": "random" if is_random else "darts",
                "val": {"accuracy": 1 / (1 + place), "loss": 0.5},
            },
        )
        for place, architecture in enumerate(architectures)
    ]


@pytest.mark.parametrize("count", [2, 5, 8, 16])
def test_half_are_of_the_search_with_its_choice_and_half_are_random_and_none_is_there_twice(count):
    budget = spec.Budget(OF.base.params + 300)
    model = _Model(derive.front(OF, COLLAPSED, budget, 40))
    chosen = _rank(model.front(1, 0), False)[0]
    own, drawn = finalists.choose(model, chosen, budget, count, 3, _rank)
    assert own[0] is chosen
    assert (len(own), len(drawn)) == (count - count // 2, count // 2)
    assert len({item.add_ons for item in [*own, *drawn]}) == count
    assert all(budget.admits(item.cost) for item in [*own, *drawn])
    assert {item.provenance["strategy"] for item in own} == {"darts"}
    assert {item.provenance["strategy"] for item in drawn} == {"random"}
    again = finalists.choose(model, chosen, budget, count, 3, _rank)
    assert again == (own, drawn)


def test_where_a_search_proposes_one_architecture_random_ones_take_the_other_places():
    budget = spec.Budget(OF.base.params + 300)
    model = _Model(derive.most_probable(OF, COLLAPSED, budget, 1))
    own, drawn = finalists.choose(model, _rank(model.front(1, 0), False)[0], budget, 6, 3, _rank)
    assert (len(own), len(drawn)) == (1, 5)


def test_more_finalists_than_there_are_architectures_are_refused():
    small = space.SearchSpace(("a",), ("identity", "conv_3x3"), (False,), OF.base, (OF.op_costs[0][:2],))
    finalists.check(small, spec.Budget(), 3)  # the bare backbone and two more
    with pytest.raises(errors.UserError, match=r"^--finals: 4 finalists, and only 3 different architectures"):
        finalists.check(small, spec.Budget(), 4)
    with pytest.raises(errors.UserError, match=r"^--finals: 3 finalists, and only 2 different architectures"):
        finalists.check(small, spec.Budget(OF.base.params + 10), 3)


def test_finalists_are_read_as_they_were_written(tmp_path):
    ranked = _rank(derive.most_probable(OF, COLLAPSED, spec.Budget(), 3), False)
    path = tmp_path / finalists.NAME
    path.write_text(json.dumps(finalists.document(ranked[:2], ranked[2:])))
    found = finalists.read(path)
    assert [entry["spec"] for entry in found] == ranked
    assert [entry["random"] for entry in found] == [False, False, True]
    assert [entry["val_accuracy"] for entry in found] == [1, 1 / 2, 1 / 3]
