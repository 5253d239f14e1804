"""How many images searches see, by strategy, and that the arms of strategies.arms see the same number."""

import pathlib

import pytest

from okd_tf import search, settings
from okd_tf.pipeline import arm_searches
from okd_tf.settings import arms

ROOT = pathlib.Path(__file__).parents[2]


def _images(strategy, epochs, warmup=0, batch=64, train=128, val=64, **changes):
    chosen = settings.Settings(workdir="a", strategy=strategy, batch_size=batch, **changes)
    learns = [epoch >= warmup for epoch in range(epochs)]
    updates = [chosen.controller_updates if one else 1 for one in learns]
    rows = [{"step": (epoch + 1) * (train // batch)} for epoch in range(epochs)]
    if strategy == "reinforce":
        rows = [{**row, "controller/updates": count} for row, count in zip(rows, updates, strict=True)]
    return arm_searches.images(chosen, rows, val)


def test_a_step_takes_a_training_batch_and_of_bilevel_strategies_one_of_validation():
    assert _images("random", epochs=2) == 2 * 2 * 64
    for strategy in ("darts", "gumbel"):
        assert search.STRATEGIES[strategy].bilevel
        assert _images(strategy, epochs=2) == 2 * 2 * 2 * 64
        # Of fewer validation images than a batch all are taken.
        assert _images(strategy, epochs=2, val=32) == 2 * 2 * (64 + 32)
    # In each of two epochs an update of two networks on a batch of 64.
    updates = {"controller_updates": 1, "controller_children": 2}
    assert _images("reinforce", epochs=2, **updates) == 2 * 2 * 64 + 2 * 2 * 64


def test_the_strategies_that_are_compared_see_as_many_images_up_to_two_percent():
    seen = {}
    for name, lines in arms.read(str(ROOT / "configs" / "results" / "strategies.arms")):
        flags = dict(line.removeprefix("--").partition("=")[::2] for line in lines)
        if flags["strategy"] != settings.NO_SEARCH:
            epochs, warmup = int(flags["search_epochs"]), int(flags["search_warmup_epochs"])
            seen[name] = _images(flags["strategy"], epochs, warmup, 128, 15000, 5000)
    assert len(seen) == 5
    assert seen == dict.fromkeys(seen, pytest.approx(seen["random"], rel=0.02))
