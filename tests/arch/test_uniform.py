"""Samples within a budget: each architecture that fits with the same probability, however tight it is."""

import collections
import itertools
import random

import pytest

from okd_tf import errors
from okd_tf.arch import space, spec, uniform

BASE = spec.Cost(params=1000, flops=5000)
PER_ARCHITECTURE = 60


def _space(chainable, costs):
    """`costs` are per layer the (params, flops) of each operation."""
    return space.SearchSpace(
        attach_points=tuple(f"point{layer}" for layer in range(len(chainable))),
        ops=tuple(f"op{op}" for op in range(len(costs[0]))),
        chainable=tuple(chainable),
        base=BASE,
        op_costs=tuple(tuple(spec.Cost(*cost) for cost in layer) for layer in costs),
    )


def _chained():
    """Three layers, the last two of which can chain; costs of no common grid, some of them equal."""
    return _space((False, True, True), [[(0, 3), (7, 20)], [(5, 11), (7, 20)], [(13, 2), (13, 31)]])


def _fitting(of, budget):
    """Every different architecture within a budget, by listing all choices."""
    choices = list(itertools.product(range(len(of.ops)), (0, 1), (0, 1)))
    everything = {of.canonical(one) for one in itertools.product(choices, repeat=of.layers)}
    return {one for one in everything if budget.admits(of.cost(one))}


def _assert_uniform(of, budget, sampler):
    fitting, generator = _fitting(of, budget), random.Random(5)
    assert len(fitting) > 10
    counts = collections.Counter(sampler.sample(generator) for _ in range(PER_ARCHITECTURE * len(fitting)))
    assert set(counts) == fitting
    chi_square = sum((count - PER_ARCHITECTURE) ** 2 / PER_ARCHITECTURE for count in counts.values())
    # Its mean is the degrees of freedom and its variance twice that: four standard deviations.
    freedom = len(fitting) - 1
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


BUDGETS = [
    spec.Budget(),
    spec.Budget(max_params=BASE.params + 17),
    spec.Budget(max_flops=BASE.flops + 41),
    spec.Budget(BASE.params + 20, BASE.flops + 34),
    # The one bound leaves everything, the other little.
    spec.Budget(BASE.params + 10**6, BASE.flops + 30),
]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_every_architecture_that_fits_is_as_likely(budget):
    of = _chained()
    if budget != spec.Budget():
        assert len(_fitting(of, budget)) < of.size()
    _assert_uniform(of, budget, uniform.UniformSampler(of, budget))


@pytest.mark.parametrize("budget", BUDGETS[1:4], ids=str)
def test_a_coarse_grid_is_made_good_by_drawing_again(budget, monkeypatch):
    monkeypatch.setattr(uniform, "CELLS", 3)
    monkeypatch.setattr(uniform, "CELLS_OF_TWO", 3)
    of = _chained()
    sampler = uniform.UniformSampler(of, budget)
    drawn = []
    draw = sampler._draw
    monkeypatch.setattr(sampler, "_draw", lambda generator: drawn.append(draw(generator)) or drawn[-1])
    _assert_uniform(of, budget, sampler)
    # It has really been coarse: some of what it drew does not fit.
    over = sum(not budget.admits(of.cost(architecture)) for architecture in drawn)
    assert over > 0.05 * len(drawn)


def test_a_grid_that_draws_next_to_nothing_that_fits_is_refined(monkeypatch):
    monkeypatch.setattr(uniform, "CELLS", 1)
    # All costs are rounded to nothing, and all but the bare backbone are over the budget.
    of = _space((False,) * 6, [[(50 + op, 1) for op in range(4)]] * 6)
    budget = spec.Budget(max_params=BASE.params + 101)
    counted = []
    count = uniform.UniformSampler._count
    monkeypatch.setattr(
        uniform.UniformSampler, "_count", lambda self, cells: counted.append(cells) or count(self, cells)
    )
    sampler = uniform.UniformSampler(of, budget)
    generator = random.Random(0)
    assert all(budget.admits(of.cost(sampler.sample(generator))) for _ in range(50))
    assert counted[0] == 1
    assert counted == [2**power for power in range(len(counted))]


def test_refining_leaves_the_samples_uniform(monkeypatch):
    monkeypatch.setattr(uniform, "CELLS", 2)
    monkeypatch.setattr(uniform, "REFINE_AFTER", 1)
    of = _chained()
    sampler = uniform.UniformSampler(of, BUDGETS[1])
    _assert_uniform(of, BUDGETS[1], sampler)
    assert sampler._cells > 2


def test_counts_are_those_of_the_architectures_that_fit_where_the_grid_is_exact():
    of, budget = _chained(), BUDGETS[1]
    sampler = uniform.UniformSampler(of, budget)
    assert sum(sampler._counts[-1][False].values()) == len(_fitting(of, budget))
    unbounded = uniform.UniformSampler(of, spec.Budget())
    assert sum(unbounded._counts[-1][False].values()) == of.size()


def test_samples_are_canonical_and_those_of_the_seed():
    of, budget = _chained(), BUDGETS[3]
    drawn = []
    for seed in (1, 1, 2):
        generator = random.Random(seed)
        sampler = uniform.UniformSampler(of, budget)
        drawn.append([sampler.sample(generator) for _ in range(40)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(of.canonical(architecture) == architecture for architecture in drawn[0])


def test_where_nothing_else_fits_it_is_the_bare_backbone():
    of = _space((False, True), [[(10, 10), (20, 10)]] * 2)
    for budget in (
        spec.Budget(max_params=BASE.params + 9),
        spec.Budget(max_params=BASE.params),
        spec.Budget(10**6, BASE.flops + 9),
    ):
        sampler, generator = uniform.UniformSampler(of, budget), random.Random(0)
        assert {sampler.sample(generator) for _ in range(20)} == {(space.DEAD,) * 2}


@pytest.mark.parametrize("budget", [spec.Budget(BASE.params - 1), spec.Budget(0, BASE.flops - 1)])
def test_a_budget_below_the_bare_backbone_is_refused(budget):
    with pytest.raises(errors.UserError, match="below the bare backbone"):
        uniform.UniformSampler(_chained(), budget)


def _deep():
    """A space like that of ResNet-110: three stages of eighteen blocks, seven operations."""
    costs = []
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        params = [0, 9 * channels**2 + 2 * channels, 25 * channels**2 + 2 * channels]
        params += [channels**2 + 11 * channels, channels**2 + 27 * channels, 0, 0]
        flops = [side**2 * (2 * own + 9 * channels) for own in params]
        costs += [list(zip(params, flops, strict=True))] * 18
    return _space([index % 18 > 0 for index in range(54)], costs)


@pytest.mark.parametrize(
    ("params", "flops"),
    [(20_000, 0), (600_000, 0), (0, 30_000_000), pytest.param(200_000, 60_000_000, marks=pytest.mark.slow)],
)
def test_a_deep_space_gives_different_samples_that_fit(params, flops):
    of = _deep()
    budget = spec.Budget(BASE.params + params if params else 0, BASE.flops + flops if flops else 0)
    sampler, generator = uniform.UniformSampler(of, budget), random.Random(0)
    drawn = [sampler.sample(generator) for _ in range(20)]
    assert all(budget.admits(of.cost(architecture)) for architecture in drawn)
    assert all(of.canonical(architecture) == architecture for architecture in drawn)
    assert len(set(drawn)) == 20
    # The most there are cost nearly what is allowed.
    spent = max(
        max(
            (cost.params - BASE.params) / params if params else 0,
            (cost.flops - BASE.flops) / flops if flops else 0,
        )
        for cost in map(of.cost, drawn)
    )
    assert spent > 0.8
