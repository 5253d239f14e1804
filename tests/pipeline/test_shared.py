"""What the stages of a run share."""

from okd_tf import data, settings
from okd_tf.pipeline import shared


def test_runs_of_two_seeds_share_their_splits(monkeypatch, digits):
    monkeypatch.setattr(data, "load", lambda *arguments: digits)

    def split(**changes):
        return shared.Context(settings.Settings(workdir="a", **changes)).split_record

    assert split(seed=1) == split(seed=0)
    assert split(split_seed=1)["sha256"] != split()["sha256"]
    assert split(split_seed=1)["val"] == split()["val"]
