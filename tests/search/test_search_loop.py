"""A search from start to files."""

import dataclasses
import json

import keras
import pytest
import tiny

from okd_tf import backbones, errors
from okd_tf.arch import build, cost, space, spec
from okd_tf.search import loop
from okd_tf.training import history, objective

ARGUMENTS = ("resnet8", 2, tiny.SHAPE, tiny.CLASSES)
OPS = ("identity", "conv_3x3", "avg_pool_3x3")
CANDIDATES, ROOM = 3, 500
DATA = tiny.make_splits()


def _run(folder, strategy="darts", room=ROOM):
    keras.utils.set_random_seed(0)
    backbone = backbones.build(*ARGUMENTS, DATA.mean, DATA.std)
    base = cost.of_model(backbone.model)
    budget = spec.Budget(base.params + room)
    template = spec.ArchSpec(*ARGUMENTS, DATA.mean, DATA.std, (), base, budget)
    return loop.run(
        backbone,
        space.SearchSpace.around(backbone, OPS),
        template,
        DATA,
        tiny.make_batches(DATA.train, 9, augmentation=DATA.augmentation),
        tiny.make_batches(DATA.val, 9),
        strategy=strategy,
        objective=objective.Objective("ce"),
        epochs=2,
        recipe=tiny.make_recipe(),
        options=tiny.make_options(),
        candidates=CANDIDATES,
        folder=folder / "search",
        logs=folder / "logs",
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """(chosen spec, folder)."""
    folder = tmp_path_factory.mktemp("run")
    return _run(folder), folder


def test_the_chosen_architecture_is_written_fits_and_can_be_built(found):
    chosen, folder = found
    assert spec.read(folder / "search" / "arch.json") == chosen
    assert chosen.budget.admits(chosen.cost)
    assert build.student(chosen).count_params() == chosen.cost.params
    assert chosen.provenance["strategy"] == "darts"
    assert chosen.provenance["seed"] == tiny.make_options().seed


def test_candidates_are_different_within_the_budget_and_sorted_best_first(found):
    chosen, folder = found
    candidates = json.loads((folder / "search" / "candidates.json").read_text())
    assert len(candidates) == CANDIDATES
    assert [candidate["chosen"] for candidate in candidates] == [True, False, False]
    specs = [spec.ArchSpec.from_json(candidate["spec"]) for candidate in candidates]
    assert specs[0] == chosen
    assert len({item.add_ons for item in specs}) == CANDIDATES
    assert all(item.budget.admits(item.cost) for item in specs)
    order = [(-candidate["val_accuracy"], candidate["val_loss"]) for candidate in candidates]
    assert order == sorted(order)
    for candidate, item in zip(candidates, specs, strict=True):
        assert (candidate["params"], candidate["flops"]) == dataclasses.astuple(item.cost)
        assert candidate["val_accuracy"] == item.provenance["val"]["accuracy"]
    assert sorted(item.provenance["proposed"] for item in specs) == [1, 2, 3]


def test_history_records_every_probability_and_checkpoints_are_gone(found):
    rows = history.read(found[1] / "search" / "history.csv", 2)
    assert [row["epoch"] for row in rows] == [1, 2]
    for layer in (1, 2, 3):
        operations = [rows[-1][f"addon{layer}/{name}"] for name in OPS]
        assert sum(operations) == pytest.approx(1)
        assert 0 < rows[-1][f"addon{layer}/feed_back"] < 1
    assert rows[0]["addon1/conv_3x3"] != rows[1]["addon1/conv_3x3"]
    assert not (found[1] / "search" / "checkpoints").exists()
    assert list((found[1] / "logs").glob("events.out.tfevents.*"))


def test_a_budget_below_the_backbone_is_refused_before_any_training(tmp_path):
    with pytest.raises(errors.UserError, match="--max_params"):
        _run(tmp_path, room=-1)
    assert list(tmp_path.iterdir()) == []
