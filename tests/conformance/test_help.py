"""Every registered name is in the help of its flag."""

import pytest

from okd_tf import backbones, data, losses, search, settings


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("dataset", data.DATASETS),
        ("backbone", backbones.BACKBONES),
        ("strategy", search.STRATEGIES),
        ("search_loss", set(losses.KD_LOSSES) - losses.NEEDS_PEERS),
        ("train_loss", losses.KD_LOSSES),
    ],
)
def test_help_names_all_that_can_be_given(flag, names):
    words = settings.FIELDS[flag].metadata["meaning"].replace(",", " ").replace(":", " ").split()
    assert set(names) <= set(words)
