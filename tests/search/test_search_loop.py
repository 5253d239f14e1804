"""A search from start to files."""

import dataclasses
import itertools
import json

import keras
import pytest
import tiny

from okd_tf import backbones, errors, kept
from okd_tf.arch import build, cost, space, spec
from okd_tf.search import finalists, loop, ranking, telemetry
from okd_tf.training import history, objective

ARGUMENTS = ("resnet8", 2, tiny.SHAPE, tiny.CLASSES)
OPS = ("identity", "conv_3x3", "avg_pool_3x3")
CANDIDATES, ROOM = 3, 500
DATA = tiny.make_splits()


# Every architecture: layers of different stages do not chain.
EVERYTHING = list(itertools.product([(0, 0, 0), (0, 0, 1), (1, 0, 1), (2, 0, 1)], repeat=3))


def _run(folder, strategy="darts", room=ROOM, epochs=2, **arguments):
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
        epochs=epochs,
        recipe=tiny.make_recipe(),
        options=tiny.make_options(),
        candidates=CANDIDATES,
        folder=folder / "search",
        logs=folder / "logs",
        **arguments,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """(chosen spec, folder)."""
    folder = tmp_path_factory.mktemp("run")
    return _run(folder, also_score=EVERYTHING, finalists_wanted=6, smaller=_smaller()), folder


def _candidates(folder):
    """(the strategy's own, the random ones) of candidates.json, each with its spec."""
    entries = json.loads((folder / "search" / "candidates.json").read_text())
    pairs = [(entry, spec.ArchSpec.from_json(entry["spec"])) for entry in entries]
    own = [pair for pair in pairs if pair[1].provenance["strategy"] != "random"]
    drawn = [pair for pair in pairs if pair[1].provenance["strategy"] == "random"]
    # First all of its own.
    assert pairs == own + drawn
    return own, drawn


def test_the_chosen_architecture_is_written_fits_and_can_be_built(found):
    chosen, folder = found
    assert spec.read(folder / "search" / "arch.json") == chosen
    assert chosen.budget.admits(chosen.cost)
    assert build.student(chosen).count_params() == chosen.cost.params
    assert chosen.provenance["strategy"] == "darts"
    assert chosen.provenance["seed"] == tiny.make_options().seed


def test_candidates_are_different_within_the_budget_and_sorted_best_first(found):
    chosen, folder = found
    own, drawn = _candidates(folder)
    assert len(own) == CANDIDATES
    assert 0 < len(drawn) <= CANDIDATES
    for pairs, strategy in ((own, "darts"), (drawn, "random")):
        candidates, specs = zip(*pairs, strict=True)
        assert len({item.add_ons for item in specs}) == len(specs)
        assert all(item.budget.admits(item.cost) for item in specs)
        order = [(-candidate["val_accuracy"], candidate["val_loss"]) for candidate in candidates]
        assert order == sorted(order)
        for candidate, item in pairs:
            assert (candidate["params"], candidate["flops"]) == dataclasses.astuple(item.cost)
            assert candidate["val_accuracy"] == item.provenance["val"]["accuracy"]
            assert item.provenance["strategy"] == strategy
        assert sorted(item.provenance["proposed"] for item in specs) == list(range(1, len(specs) + 1))
    assert own[0][1] == chosen


def test_the_best_of_its_own_candidates_is_chosen_and_no_random_one(found):
    own, drawn = _candidates(found[1])
    assert [candidate["chosen"] for candidate, _ in [*own, *drawn]] == [True] + [False] * (
        len(own) + len(drawn) - 1
    )


def test_finalists_are_the_chosen_one_other_proposals_and_as_many_random_ones_with_their_figures(found):
    chosen, folder = found
    entries = finalists.read(folder / "search" / "finalists.json")
    assert [entry["random"] for entry in entries] == [False] * 3 + [True] * 3
    assert entries[0]["spec"] == chosen
    assert len({entry["spec"].add_ons for entry in entries}) == 6
    scored = json.loads((folder / "search" / "scored.json").read_text())
    of = space.SearchSpace.around(backbones.build(*ARGUMENTS, DATA.mean, DATA.std), OPS)
    by_add_ons = {of.add_ons(one): figures for one, figures in zip(EVERYTHING, scored, strict=True)}
    for entry in entries:
        assert chosen.budget.admits(entry["spec"].cost)
        figures = {"accuracy": entry["val_accuracy"], "loss": entry["val_loss"]}
        assert figures == by_add_ons[entry["spec"].add_ons]


def _assert_fits_smaller_budgets(folder, strategy):
    """What a search has found within each of `_smaller()` is in a folder of its own."""
    for budget in _smaller():
        own = loop.folder_of(folder / "search", budget)
        found = spec.read(own / "arch.json")
        assert found.budget == budget
        assert found.provenance["strategy"] == strategy
        entries = json.loads((own / "candidates.json").read_text())
        assert entries[0]["spec"] == found.to_json()
        assert all(entry["params"] <= budget.max_params for entry in entries)
        assert build.student(found).count_params() <= budget.max_params


def _smaller():
    base = cost.of_model(backbones.build(*ARGUMENTS, DATA.mean, DATA.std).model).params
    return [spec.Budget(base + 30), spec.Budget(base + 200)]


def test_one_search_proposes_within_each_of_several_budgets(found):
    chosen, folder = found
    assert all(budget.max_params < chosen.budget.max_params for budget in _smaller())
    _assert_fits_smaller_budgets(folder, "darts")
    for budget in _smaller():
        entries = finalists.read(loop.folder_of(folder / "search", budget) / "finalists.json")
        assert len(entries) == 6
        assert all(entry["params"] <= budget.max_params for entry in entries)


def test_other_architectures_are_scored_as_candidates_are(found):
    folder = found[1]
    scored = json.loads((folder / "search" / "scored.json").read_text())
    assert len(scored) == len(EVERYTHING)
    assert len({figures["loss"] for figures in scored}) > len(EVERYTHING) / 2
    of = space.SearchSpace.around(backbones.build(*ARGUMENTS, DATA.mean, DATA.std), OPS)
    by_add_ons = {
        of.add_ons(architecture): figures for architecture, figures in zip(EVERYTHING, scored, strict=True)
    }
    for candidate, item in [pair for pairs in _candidates(folder) for pair in pairs]:
        figures = by_add_ons[item.add_ons]
        assert (candidate["val_accuracy"], candidate["val_loss"]) == (figures["accuracy"], figures["loss"])


def test_random_search_needs_no_random_candidates_beside_its_own(tmp_path):
    chosen = _run(tmp_path, "random", epochs=1, smaller=_smaller())
    own, drawn = _candidates(tmp_path)
    # All are of the strategy "random", proposed one after the other.
    assert own == []
    assert sorted(item.provenance["proposed"] for _, item in drawn) == [1, 2, 3]
    assert [candidate["chosen"] for candidate, _ in drawn] == [True, False, False]
    assert drawn[0][1] == chosen
    assert not (tmp_path / "search" / "scored.json").exists()
    assert not (tmp_path / "search" / "finalists.json").exists()
    _assert_fits_smaller_budgets(tmp_path, "random")


@pytest.mark.parametrize(
    ("own", "drawn", "said"),
    [
        ((0.5, 1.0), (0.25, 0.5), "is better"),
        ((0.5, 1.0), (0.75, 2.0), "is NOT better"),
        ((0.5, 1.0), (0.5, 2.0), "is better"),  # of equal accuracy, the loss decides
        ((0.5, 1.0), (0.5, 1.0), "is NOT better"),
    ],
)
def test_it_says_whether_random_architectures_were_beaten(own, drawn, said, capsys):
    backbone = tiny.make_backbone()
    specs = [
        dataclasses.replace(
            tiny.make_template(backbone, spec.Budget()), provenance={"val": {"accuracy": one, "loss": other}}
        )
        for one, other in (own, drawn)
    ]
    compared = loop._compared(*specs)
    assert f"what was found {said} on validation" in capsys.readouterr().out
    assert compared.provenance["best_random"] == {"accuracy": drawn[0], "loss": drawn[1]}


@pytest.mark.slow
def test_a_collapse_ends_the_search_if_that_is_asked(tmp_path, monkeypatch):
    # Any share at all is then a collapse.
    monkeypatch.setattr(telemetry, "COLLAPSED", 0.0)
    with pytest.raises(errors.UserError, match="--stop_on_collapse"):
        _run(tmp_path, stop_on_collapse=True)
    assert not (tmp_path / "search" / "arch.json").exists()


def test_history_records_every_probability_and_checkpoints_are_gone(found):
    rows = history.read(found[1] / "search" / "history.csv", 2)
    assert [row["epoch"] for row in rows] == [1, 2]
    for layer in (1, 2, 3):
        operations = [rows[-1][f"addon{layer}/{name}"] for name in OPS]
        assert sum(operations) == pytest.approx(1)
        assert 0 < rows[-1][f"addon{layer}/feed_back"] < 1
    assert rows[0]["addon1/conv_3x3"] != rows[1]["addon1/conv_3x3"]
    base = cost.of_model(backbones.build(*ARGUMENTS, DATA.mean, DATA.std).model).params
    for row in rows:
        assert sum(row[f"share/{name}"] for name in OPS) == pytest.approx(1)
        assert 0 < row["expected/layers"] < 3
        assert row["expected_params"] > base
        assert 0 < row["parameter_free"] < 1
        assert 0 < row["entropy"] < 3
        assert base <= row["argmax/params"] <= base + ROOM
        assert 0 <= row["argmax_val_accuracy"] <= 1
        assert row["alpha/learning_rate"] > 0
    assert not (found[1] / "search" / "checkpoints").exists()
    assert not (found[1] / "search" / ".ranked").exists()
    assert list((found[1] / "logs").glob("events.out.tfevents.*"))


class _Asked:
    """A ranker that dies at the network after so many."""

    def __init__(self, die_after):
        self.asked, self._die_after = [], die_after

    def evaluate(self, architecture):
        if len(self.asked) == self._die_after:
            raise KeyboardInterrupt
        self.asked.append(architecture)
        return {
            "accuracy": 1 / (1 + EVERYTHING.index(architecture)),
            "loss": 0.1 + EVERYTHING.index(architecture),
        }


def test_of_networks_that_were_ranked_before_a_kill_none_is_asked_again(tmp_path):
    backbone = backbones.build(*ARGUMENTS, DATA.mean, DATA.std)
    of = space.SearchSpace.around(backbone, OPS)
    template = tiny.make_template(backbone, spec.Budget())

    def rank(ranker, folder, step=8):
        scores = loop._Scores(ranker, of, kept.Kept(folder, step))
        return loop._rank(scores, of, template, EVERYTHING[:5], {"strategy": "darts"})

    dying, next_one, whole = _Asked(3), _Asked(9), _Asked(9)
    with pytest.raises(KeyboardInterrupt):
        rank(dying, tmp_path / "killed")
    assert rank(next_one, tmp_path / "killed") == rank(whole, tmp_path / "whole")
    assert dying.asked + next_one.asked == whole.asked == EVERYTHING[:5]
    # Of shared weights that were trained for longer, nothing is known.
    longer = _Asked(9)
    rank(longer, tmp_path / "killed", step=9)
    assert longer.asked == EVERYTHING[:5]


@pytest.mark.slow
def test_a_search_killed_while_it_ranks_asks_again_of_no_network(tmp_path, monkeypatch):
    evaluate, asked = ranking.Ranker.evaluate, {}

    def evaluate_or_die(ranker, architecture, examples=None):
        figures = evaluate(ranker, architecture, examples)
        if examples is None:
            if len(asked) == 4:
                raise KeyboardInterrupt
            asked[architecture] = figures
        return figures

    def evaluate_others(ranker, architecture, examples=None):
        assert architecture not in asked
        if examples is None:
            # As in one process alone, these are what is asked for again.
            assert all(evaluate(ranker, other) == figures for other, figures in asked.items())
            after.append(architecture)
        return evaluate(ranker, architecture, examples)

    after, others = [], EVERYTHING[:4]
    monkeypatch.setattr(ranking.Ranker, "evaluate", evaluate_or_die)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, "random", epochs=1, also_score=others)
    monkeypatch.setattr(ranking.Ranker, "evaluate", evaluate_others)
    _run(tmp_path, "random", epochs=1, also_score=others)
    assert after
    scored = json.loads((tmp_path / "search" / "scored.json").read_text())
    # Three candidates came before.
    assert scored[0] == asked[others[0]]
    assert not (tmp_path / "search" / ".ranked").exists()


def test_a_budget_below_the_backbone_is_refused_before_any_training(tmp_path):
    with pytest.raises(errors.UserError, match="--max_params"):
        _run(tmp_path, room=-1)
    assert list(tmp_path.iterdir()) == []
