"""What every search strategy must do."""

import functools
import json
import math
import tempfile
from pathlib import Path

import keras
import pytest
import tensorflow as tf
import tiny

from okd_tf import search
from okd_tf.arch import space, spec
from okd_tf.search import base, loop
from okd_tf.training import history, objective

pytestmark = pytest.mark.parametrize("name", search.STRATEGIES)

OPS = ("identity", "sep_conv_3x3", "max_pool_3x3")
ROOM, EPOCHS, CANDIDATES = 168, 2, 4
DATA = tiny.make_splits(train=27)  # three steps an epoch
CUT = 4  # in the second epoch


def _run(name, folder, cut=None):
    keras.utils.set_random_seed(0)
    backbone = tiny.make_backbone()
    base_params = backbone.model.count_params()
    training = tiny.make_batches(DATA.train, 9, augmentation=DATA.augmentation)
    return loop.run(
        backbone,
        space.SearchSpace.around(backbone, OPS),
        tiny.make_template(backbone, spec.Budget(base_params + ROOM)),
        DATA,
        tiny.CutBatches(training, cut) if cut else training,
        tiny.make_batches(DATA.val, 9),
        strategy=name,
        objective=objective.Objective("ce"),
        epochs=EPOCHS,
        recipe=tiny.make_recipe(),
        options=tiny.make_options(),
        candidates=CANDIDATES,
        folder=folder,
        logs=folder / "logs",
    )


@functools.cache
def _whole(name):
    """What an uninterrupted search leaves: (arch.json, candidates.json, history)."""
    with tempfile.TemporaryDirectory() as folder:
        _run(name, Path(folder))
        return _left(Path(folder))


def _left(folder):
    rows = history.read(folder / "history.csv", EPOCHS)
    return (
        json.loads((folder / "arch.json").read_text()),
        json.loads((folder / "candidates.json").read_text()),
        [{column: value for column, value in row.items() if column != "seconds"} for row in rows],
    )


def test_is_a_search_model_that_says_what_it_needs(name):
    strategy = search.STRATEGIES[name]
    assert issubclass(strategy, base.SearchModel)
    assert strategy.bilevel in (True, False)
    assert issubclass(strategy.cell, keras.layers.Layer)


def test_no_candidate_is_over_the_budget(name):
    chosen, candidates, _ = _whole(name)
    limit = chosen["budget"]["max_params"]
    assert 0 < len(candidates) <= CANDIDATES
    assert all(candidate["params"] <= limit for candidate in candidates)
    assert chosen["cost"]["params"] <= limit


def test_records_finite_figures_of_every_epoch(name):
    _, candidates, rows = _whole(name)
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert {"loss", "accuracy", "learning_rate"} <= set(rows[0])
    figures = [value for row in rows for value in row.values()]
    figures += [candidate[key] for candidate in candidates for key in ("val_accuracy", "val_loss")]
    assert all(math.isfinite(value) for value in figures)


def test_a_killed_search_goes_on_to_what_the_same_seed_finds_uninterrupted(name, tmp_path):
    with pytest.raises(tf.errors.OutOfRangeError):
        _run(name, tmp_path, cut=CUT)
    assert not (tmp_path / "arch.json").exists()
    _run(name, tmp_path)
    # Validation losses of all candidates included: the shared weights are the same to the bit.
    assert _left(tmp_path) == _whole(name)
