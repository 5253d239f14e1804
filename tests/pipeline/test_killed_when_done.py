"""A training that was killed between its last file and the record of that is not done again."""

import types

import pytest

from okd_tf import settings
from okd_tf.arch import spec
from okd_tf.pipeline import work
from okd_tf.training import crew

DONE = {
    "search": (work.search_architecture, ("arch.json", "candidates.json")),
    "student": (work.train_student, ("student.keras", "metrics.json")),
    "mutual": (work.train_student, ("student.keras", "peer.keras", "metrics.json")),
    "baseline": (work.train_baseline, ("baseline.keras", "metrics.json")),
}


class _WorkedError(Exception):
    """The stage asked for what it needs to do its work."""


class _Context(types.SimpleNamespace):
    def __getattr__(self, name):
        raise _WorkedError(name)


@pytest.fixture(params=DONE)
def left(request, tmp_path):
    """(work, its context, the folder) after all has been written."""
    do, names = DONE[request.param]
    loss = "mutual" if request.param == "mutual" else "oracle"
    folder = tmp_path / ("student" if request.param == "mutual" else request.param)
    folder.mkdir()
    for name in names:
        (folder / name).write_text("")
    chosen = settings.Settings(workdir=str(tmp_path), train_loss=loss)
    there = {"settings": chosen, "workdir": tmp_path, "crew": crew.Alone(), "budgets": (spec.Budget(),)}
    return do, _Context(**there), folder


def test_where_all_is_there_nothing_is_done(left):
    do, context, _ = left
    do(context)


def test_where_a_file_is_missing_or_checkpoints_are_there_it_is_done(left):
    do, context, folder = left
    (folder / "checkpoints").mkdir()
    with pytest.raises(_WorkedError):
        do(context)
    (folder / "checkpoints").rmdir()
    for path in list(folder.iterdir()):
        path.rename(folder / "away")
        with pytest.raises(_WorkedError):
            do(context)
        (folder / "away").rename(path)
