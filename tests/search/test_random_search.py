"""Random search: the baseline stays within the budget, while it trains and when it proposes."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors, seeds
from okd_tf.arch import spec, uniform
from okd_tf.search import cells, random_search, supernet
from okd_tf.training import objective

ROOM = 200


def _make(room, momentum=0.0):
    keras.utils.set_random_seed(0)
    backbone = tiny.make_backbone()
    of = tiny.make_space(backbone)
    return random_search.RandomSearch(
        supernet.make(backbone, of, cells.PathCell),
        of,
        spec.Budget(of.base.params + room),
        objective.Objective("ce"),
        keras.optimizers.SGD(0.1, momentum=momentum),
        tiny.make_options(),
    )


@pytest.fixture(scope="module")
def model():
    return _make(ROOM)


def _choose(model, *architecture):
    for cell, row in zip(model.supernet.cells, supernet.choices(model.space, architecture), strict=True):
        cell.choose(row)


def _trained(model, monkeypatch, steps):
    """The architectures that so many steps choose, their work left out."""
    monkeypatch.setattr(model, "weight_step", lambda batch: model.weight_optimizer.iterations.assign_add(1))
    chosen = []
    for _ in range(steps):
        model.train_step(None)
        rows = [cell.choice.numpy().tolist() for cell in model.supernet.cells]
        architecture = tuple(tuple(row[:3]) for row in rows)
        # "alive", by which a cell decides, agrees with the gates.
        assert [bool(row[3]) for row in rows] == model.space.alive(architecture)
        chosen.append(architecture)
    return chosen


def test_every_step_trains_an_architecture_within_the_budget(model, monkeypatch):
    model.weight_optimizer.iterations.assign(0)
    chosen = _trained(model, monkeypatch, 150)
    costs = {model.space.cost(architecture).params - model.space.base.params for architecture in chosen}
    assert max(costs) <= ROOM
    # The budget binds: there are dearer architectures, and near ones are met.
    generator = random.Random(0)
    assert any(
        model.space.cost(tiny.draw(model.space, generator)).params > model.budget.max_params
        for _ in range(20)
    )
    assert len(set(chosen)) > 20
    assert max(costs) > ROOM / 2


def test_a_step_s_architecture_depends_on_the_step_alone(model, monkeypatch):
    model.weight_optimizer.iterations.assign(0)
    chosen = _trained(model, monkeypatch, 6)
    model.weight_optimizer.iterations.assign(4)
    assert _trained(model, monkeypatch, 2) == chosen[4:]


def test_proposals_are_the_first_different_ones_of_a_uniform_draw(model):
    proposed = model.propose(5, seed=9)
    generator = random.Random(seeds.derive(9, "candidates"))
    sampler = uniform.UniformSampler(model.space, model.budget)
    drawn = []
    while len(drawn) < 5:
        architecture = sampler.sample(generator)
        if architecture not in drawn:
            drawn.append(architecture)
    assert proposed == drawn
    assert model.propose(5, seed=10) != proposed


def test_it_proposes_no_more_than_there_are():
    model = _make(1)
    proposed = model.propose(100, seed=0)
    assert 1 < len(set(proposed)) == len(proposed) < model.space.size()
    # Identity and pooling cost nothing.
    assert {model.space.cost(architecture).params for architecture in proposed} == {model.space.base.params}


def test_a_budget_below_the_backbone_is_refused_by_its_flag():
    with pytest.raises(errors.UserError, match=r"^--max_params: "):
        _make(-1)


def test_distributions_are_how_often_each_choice_is_trained(model):
    """By hand over what the steps choose, which go through all that was drawn."""
    rows = model._drawn
    assert len(rows) == random_search.LEAST_DRAWN
    for layer, (operations, chain, feed_back) in enumerate(model.expectation().distributions):
        living = rows[rows[:, layer, 3] == 1, layer]
        for op, probability in enumerate(operations):
            assert probability == pytest.approx(np.mean(living[:, 0] == op))
        assert float(chain) == pytest.approx(np.mean(living[:, 1]))
        assert float(feed_back) == pytest.approx(np.mean(rows[:, layer, 2]))


def _batch():
    data = tiny.make_splits().train
    return {"image": data.images[:9].astype(np.float32), "label": data.labels[:9]}


def test_no_gradient_reaches_the_operations_off_the_path(model, monkeypatch):
    of = model.space
    conv, separable = of.ops.index("conv_3x3"), of.ops.index("sep_conv_3x3")
    _choose(model, (conv, 0, 1), (0, 0, 0))
    seen = {}

    def apply(gradients, weights):
        seen.update((id(weight), gradient) for gradient, weight in zip(gradients, weights, strict=True))

    monkeypatch.setattr(model.weight_optimizer, "apply", apply)
    monkeypatch.setattr(model, "options", tiny.make_options(weight_decay=0.0))
    model.weight_step(_batch())
    first, second = (cell.candidates for cell in model.supernet.cells)

    def reached(candidate):
        return [bool(np.any(seen[id(weight)])) for weight in candidate.trainable_variables]

    assert all(reached(first[conv]))
    for other in (first[separable], second[conv], second[separable]):
        assert not any(reached(other))


def test_decay_is_of_the_backbone_and_the_path_alone(model, monkeypatch):
    conv, separable = (model.space.ops.index(name) for name in ("conv_3x3", "sep_conv_3x3"))
    # The first layer lives by being read alone; the second feeds back.
    _choose(model, (conv, 0, 0), (separable, 1, 1))
    applied = []
    monkeypatch.setattr(model.weight_optimizer, "apply", lambda gradients, _: applied.append(gradients))
    for decay in (0.0, 0.5):
        monkeypatch.setattr(model, "options", tiny.make_options(weight_decay=decay))
        model.weight_step(_batch())
    on_path = {
        id(weight)
        for cell, op in zip(model.supernet.cells, (conv, separable), strict=True)
        for weight in cell.candidates[op].trainable_variables
    }
    in_cells = {id(weight) for cell in model.supernet.cells for weight in cell.trainable_variables}
    weights = model.supernet.weights()
    decayed = [id(weight) in on_path or id(weight) not in in_cells for weight in weights]
    assert 0 < sum(decayed) < len(weights)
    for weight, plain, with_decay, own in zip(weights, *applied, decayed, strict=True):
        expected = 0.5 * weight.numpy() if own else np.zeros(weight.shape)
        np.testing.assert_allclose(with_decay - plain, expected, atol=1e-4)


def test_a_first_step_leaves_the_operations_off_the_path_to_the_bit():
    model = _make(10**6, momentum=0.9)
    before = [variable.numpy() for variable in model.network.variables]
    tf.function(model.train_step)(_batch())
    moved = {
        id(variable)
        for variable, old in zip(model.network.variables, before, strict=True)
        if np.any(variable.numpy() != old)
    }
    running = 0
    for cell in model.supernet.cells:
        op, _, _, alive = cell.choice.numpy()
        for index, candidate in enumerate(cell.candidates):
            on_path = bool(alive) and index == op
            running += on_path
            # Moving statistics included: what does not run sees nothing.
            for variable in candidate.trainable_variables if on_path else candidate.variables:
                assert (id(variable) in moved) == on_path, variable.path
    assert running
    in_cells = {id(variable) for cell in model.supernet.cells for variable in cell.variables}
    backbone = [weight for weight in model.supernet.weights() if id(weight) not in in_cells]
    assert all(id(weight) in moved for weight in backbone)
