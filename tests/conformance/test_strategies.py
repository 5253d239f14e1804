"""What every search strategy must do."""

import dataclasses
import functools
import json
import math
import re
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from okd_tf import errors, search
from okd_tf.arch import space, spec
from okd_tf.search import base, loop
from okd_tf.training import history, objective

every_strategy = pytest.mark.parametrize("name", search.STRATEGIES)
one_fast = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "darts" else pytest.mark.slow) for name in search.STRATEGIES],
)

OPS = ("identity", "sep_conv_3x3", "max_pool_3x3")
ROOM, EPOCHS, CANDIDATES = 168, 2, 4
DATA = tiny.make_splits(train=27)  # three steps an epoch
CUT = 4  # in the second epoch
SPIKE = 1  # the step of a loss that is far too high, in the first epoch


def _run(name, folder, change=lambda batches: batches, loss=None, epochs=EPOCHS):
    """A search; `change` makes something else of its training batches, and with a loss of all."""
    backbone = tiny.make_backbone()
    return loop.run(
        backbone,
        space.SearchSpace.around(backbone, OPS),
        tiny.make_template(backbone, spec.Budget(backbone.model.count_params() + ROOM)),
        DATA,
        change(tiny.make_batches(DATA.train, 9, augmentation=DATA.augmentation)),
        change(tiny.make_batches(DATA.val, 9)) if loss else tiny.make_batches(DATA.val, 9),
        strategy=name,
        objective=loss or objective.Objective("ce"),
        epochs=epochs,
        recipe=tiny.make_recipe(),
        options=_options(),
        candidates=CANDIDATES,
        folder=folder,
        logs=folder / "logs",
    )


def _options(**changes):
    return tiny.make_options(controller_updates=2, controller_children=3, **changes)


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


@every_strategy
def test_is_a_search_model_that_says_what_it_needs(name):
    strategy = search.STRATEGIES[name]
    assert issubclass(strategy, base.SearchModel)
    assert strategy.bilevel in (True, False)
    assert issubclass(strategy.cell, keras.layers.Layer)


@one_fast
def test_nothing_that_is_proposed_is_over_the_budget(name):
    chosen, candidates, rows = _whole(name)
    limit = chosen["budget"]["max_params"]
    assert 0 < len(candidates) <= CANDIDATES * (1 + search.STRATEGIES[name].learns)
    assert all(candidate["params"] <= limit for candidate in candidates)
    assert chosen["cost"]["params"] <= limit
    assert all(row["argmax/params"] <= limit for row in rows if "argmax/params" in row)
    # There are architectures that are over it.
    assert space.SearchSpace.around(tiny.make_backbone(), OPS).cost(((1, 0, 1),) * 2).params > limit


@one_fast
def test_the_best_of_its_own_candidates_is_chosen(name):
    chosen, candidates, _ = _whole(name)
    own = [one for one in candidates if one["spec"]["provenance"]["strategy"] == name]
    assert [one["chosen"] for one in candidates] == [True] + [False] * (len(candidates) - 1)
    assert candidates[0]["spec"] == chosen
    assert own[0] == candidates[0]
    assert candidates[0]["val_accuracy"] == max(one["val_accuracy"] for one in own)


@one_fast
def test_records_finite_figures_of_every_epoch(name):
    _, candidates, rows = _whole(name)
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert {"loss", "accuracy", "learning_rate"} <= set(rows[0])
    assert _all_finite(candidates, rows)


def _all_finite(candidates, rows):
    figures = [value for row in rows for value in row.values()]
    figures += [candidate[key] for candidate in candidates for key in ("val_accuracy", "val_loss")]
    return all(math.isfinite(value) for value in figures)


@one_fast
def test_a_killed_search_goes_on_to_what_the_same_seed_finds_uninterrupted(name, tmp_path):
    with pytest.raises(tf.errors.OutOfRangeError):
        _run(name, tmp_path, lambda batches: tiny.CutBatches(batches, CUT))
    assert not (tmp_path / "arch.json").exists()
    # Only the search's own seed counts.
    keras.utils.set_random_seed(99)
    _run(name, tmp_path)
    # Validation losses of all candidates included: the shared weights are the same to the bit.
    assert _left(tmp_path) == _whole(name)


def _made(name, seed):
    backbone = tiny.make_backbone()
    return loop.make_model(
        backbone,
        space.SearchSpace.around(backbone, OPS),
        spec.Budget(),
        name,
        objective.Objective("ce"),
        tiny.make_recipe(),
        _options(seed=seed),
        EPOCHS,
        tiny.make_batches(DATA.train, 9),
    )


@every_strategy
def test_a_search_starts_from_its_seed_alone(name):
    one, again, other = (_made(name, seed) for seed in (3, 3, 4))
    tiny.assert_same_state(one, again)
    different = [
        bool(np.any(mine.numpy() != theirs.numpy()))
        for mine, theirs in zip(one.supernet.shared(), other.supernet.shared(), strict=True)
    ]
    kernels = ["kernel" in variable.name for variable in one.supernet.shared()]
    assert any(kernels)
    assert different == kernels


@every_strategy
def test_distributions_are_probabilities_of_each_layer_s_choices(name):
    model = _made(name, 3)
    distributions = model.expectation().distributions
    assert len(distributions) == model.space.layers
    for chainable, (operations, chain, feed_back) in zip(model.space.chainable, distributions, strict=True):
        assert np.sum(operations) == pytest.approx(1)
        assert len(operations) == len(OPS)
        assert np.min(operations) > 0
        assert (0 < float(chain) < 1) if chainable else (float(chain) == 0)
        assert 0 < float(feed_back) < 1


@every_strategy
@pytest.mark.slow
def test_a_step_hears_only_the_teachers_that_its_training_batch_hears(name):
    training, validation = tiny.make_batch(DATA.train), tiny.make_batch(DATA.val)
    heard = tf.constant([[True, False]] * 9)
    louder = training["teacher_logits"] * [[[1.0], [5.0]]]
    for changes in ({}, {"unrolled": True}) if name == "darts" else ({},):
        ends = []
        for batch in (
            {**training, "heard": heard},
            {**training, "heard": heard, "teacher_logits": louder},
            {**training, "teacher_logits": louder},
        ):
            model = tiny.make_search(name, loss="mean", ops=OPS, **changes)
            model.train_step((batch, validation) if model.bilevel else batch)
            ends.append(tiny.state(model))
        for one, other in zip(*ends[:2], strict=True):
            np.testing.assert_array_equal(one, other)
        assert any(np.any(one != other) for one, other in zip(*ends[1:], strict=True))


class _SpikedBatches:
    """Batches that say by what to multiply their loss: 1, but once."""

    def __init__(self, inner, factor):
        self._inner, self._factor = inner, factor
        self.steps_per_epoch, self.batch_size = inner.steps_per_epoch, inner.batch_size
        self.failure = None

    def dataset(self, start, stop):
        factors = [self._factor if step == SPIKE else 1.0 for step in range(start, stop)]
        return tf.data.Dataset.zip(
            self._inner.dataset(start, stop), tf.data.Dataset.from_tensor_slices(np.float32(factors))
        ).map(lambda batch, factor: {**batch, "factor": tf.fill(tf.shape(batch["label"]), factor)})


@dataclasses.dataclass(frozen=True)
class _SpikedLoss(objective.Objective):
    """The cross-entropy times what the batch says."""

    def teacher_logits(self, batch):
        return batch["factor"]

    def __call__(self, batch, student_logits, teacher_logits):
        return super().__call__(batch, student_logits, None) * teacher_logits[0]


def _spiked(name, folder, factor):
    """The model of a search whose loss is so many times too high for one step."""
    made = []
    make = loop.make_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_model", lambda *arguments: made.append(make(*arguments)) or made[-1])
        try:
            _run(name, folder, lambda batches: _SpikedBatches(batches, factor), _SpikedLoss("ce"), epochs=1)
        except errors.UserError as error:
            return made[0], str(error)
    return made[0], None


@every_strategy
@pytest.mark.slow
def test_a_loss_far_too_high_for_a_step_leaves_everything_finite(name, tmp_path):
    model, said = _spiked(name, tmp_path, 1e4)
    assert said is None
    assert all(np.all(np.isfinite(value)) for value in tiny.state(model))
    _, candidates, rows = _left(tmp_path)
    # The epoch's mean over three steps has the spike in it.
    assert rows[0]["loss"] > 1e3
    assert _all_finite(candidates, rows)
    assert np.all(
        np.isfinite(
            np.concatenate([np.ravel(part) for one in model.expectation().distributions for part in one])
        )
    )


@every_strategy
@pytest.mark.slow
def test_a_loss_beyond_what_floats_hold_stops_the_search_by_name(name, tmp_path):
    _, said = _spiked(name, tmp_path, 1e38)
    # At the end of the first epoch, or at a checkpoint within it.
    assert re.match(r"not finite at step [23]: .*--learning_rate", said)
    assert not (tmp_path / "arch.json").exists()
    assert not (tmp_path / "candidates.json").exists()
    # A step is checkpointed or refused: what a later run would go on from is finite.
    kept = list((tmp_path / "checkpoints").glob("step_*"))
    assert kept
    for path in kept:
        reader = tf.train.load_checkpoint(str(path / "variables"))
        values = [
            reader.get_tensor(key)
            for key, kind in reader.get_variable_to_dtype_map().items()
            if kind.is_floating
        ]
        assert len(values) > 20
        assert all(np.all(np.isfinite(value)) for value in values)
