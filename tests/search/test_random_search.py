"""Random search: the baseline stays within the budget, while it trains and when it proposes."""

import random

import keras
import numpy as np
import pytest
import tiny

from okd_tf import seeds
from okd_tf.arch import spec
from okd_tf.search import random_search, supernet
from okd_tf.training import objective

ROOM = 40


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    backbone = tiny.make_backbone()
    of = tiny.make_space(backbone)
    return random_search.RandomSearch(
        supernet.make(backbone, of, supernet.PathCell),
        of,
        spec.Budget(of.base.params + ROOM),
        objective.Objective("ce"),
        keras.optimizers.SGD(0.1),
        tiny.make_options(),
    )


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
        model.space.cost(model.space.sample(generator)).params > model.budget.max_params for _ in range(20)
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
    drawn = []
    while len(drawn) < 5:
        architecture = model.space.sample_within(generator, model.budget)
        if architecture not in drawn:
            drawn.append(architecture)
    assert proposed == drawn
    assert model.propose(5, seed=10) != proposed


def test_it_proposes_no_more_than_there_are(model, monkeypatch):
    monkeypatch.setattr(model, "budget", spec.Budget(model.space.base.params))
    proposed = model.propose(100, seed=0)
    assert len(set(proposed)) == len(proposed) < model.space.size()
    assert {model.space.cost(architecture).params for architecture in proposed} == {model.space.base.params}


def test_a_step_moves_the_weights_of_the_chosen_operation_and_no_gradient_reaches_others(model):
    data = tiny.make_splits().train
    of = model.space
    conv, separable = of.ops.index("conv_3x3"), of.ops.index("sep_conv_3x3")
    for cell, row in zip(model.supernet.cells, supernet.choices(of, ((conv, 0, 1), (0, 0, 0))), strict=True):
        cell.choose(row)
    seen = {}
    model.weight_optimizer.apply = lambda gradients, weights: seen.update(
        (id(weight), gradient) for gradient, weight in zip(gradients, weights, strict=True)
    )
    options = model.options
    model.options = tiny.make_options(weight_decay=0.0)
    batch = {"image": data.images[:9].astype(np.float32), "label": data.labels[:9]}
    model.weight_step(batch)
    model.options = options
    first, second = (cell.candidates for cell in model.supernet.cells)

    def reached(candidate):
        return [bool(np.any(seen[id(weight)])) for weight in candidate.trainable_variables]

    assert all(reached(first[conv]))
    for other in (first[separable], second[conv], second[separable]):
        assert not any(reached(other))
