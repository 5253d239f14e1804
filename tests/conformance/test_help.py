"""Every registered name is in the help of its flag."""

import re

import pytest

from okd_tf import backbones, data, losses, search, settings


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("dataset", data.DATASETS),
        ("backbone", backbones.BACKBONES),
        ("strategy", search.STRATEGIES),
        ("search_loss", set(losses.KD_LOSSES) - losses.NEEDS_PEERS),
        ("train_loss", [*losses.KD_LOSSES, settings.AUTO]),
    ],
)
def test_help_names_all_that_can_be_given(flag, names):
    words = re.sub("[,:;]", " ", settings.FIELDS[flag].metadata["meaning"]).split()
    named = {name for word in words for name in _names(word)}
    assert set(names) <= named


def _names(word):
    """Those that one word stands for: vgg8/13 are vgg8 and vgg13."""
    first, *others = word.split("/")
    family = re.match(r"[a-z_]*", first)[0]
    return [first, *(family + other for other in others)]


def test_names_said_together_are_told_apart():
    assert _names("wrn16_1/40_2") == ["wrn16_1", "wrn40_2"]
    assert _names("mobilenet_v2") == ["mobilenet_v2"]
