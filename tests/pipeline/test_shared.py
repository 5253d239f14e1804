"""What the stages of a run share."""

import pytest

from okd_tf import data, losses, settings
from okd_tf.pipeline import shared


def test_runs_of_two_seeds_share_their_splits(monkeypatch, digits):
    monkeypatch.setattr(data, "load", lambda *arguments: digits)

    def split(**changes):
        return shared.Context(settings.Settings(workdir="a", **changes)).split_record

    assert split(seed=1) == split(seed=0)
    assert split(split_seed=1)["sha256"] != split()["sha256"]
    assert split(split_seed=1)["val"] == split()["val"]


@pytest.mark.parametrize("name", losses.KD_LOSSES)
def test_an_objective_has_the_settings_that_its_loss_takes(name):
    said = {"standardize_logits": True, "dkd_alpha": 0.5, "dkd_beta": 3.0}
    chosen = settings.Settings(workdir="a", temperature=2.0, ce_weight=0.25, **said)
    made = shared.Context(chosen).objective(name)
    assert (made.name, made.temperature, made.ce_weight) == (name, 2.0, 0.25)
    assert made.settings == {setting: said[setting] for setting in losses.SETTINGS[name]}
