"""The diagnosis of a run: two small teachers in a workdir, asked about tiny splits."""

import json
import types

import numpy as np
import pytest
import tiny

from okd_tf import errors, settings
from okd_tf.pipeline import diagnosis as diagnosing
from okd_tf.pipeline.context import Context
from okd_tf.teachers import bank, diagnosis, ensemble, store


class _Made(ensemble.Ensemble):
    """Teachers as they are asked: logits that depend on the pixels, in a class order of their own."""

    def __init__(self, orders):
        self._orders = orders
        self.teachers = [
            types.SimpleNamespace(params=7, path=f"teacher_{index:02}") for index in range(len(orders))
        ]
        self.asked, self.dies_at = 0, None

    def one(self, index, images):
        self.asked += 1
        if self.asked == self.dies_at:
            raise KeyboardInterrupt
        # Brighter images are of higher classes; the border that a view may have darkens it.
        brightness = images.reshape(len(images), -1).mean(axis=1)
        centres = np.array([50.0, 110.0, 170.0]) - 5 * index
        return (-np.abs(brightness[:, np.newaxis] - centres) / 20)[:, self._orders[index]].astype(np.float32)


def _context(workdir, orders=((0, 1, 2), (0, 1, 2)), data=None, **changes):
    context = Context(settings.Settings(workdir=str(workdir), **changes))
    context.data = data or tiny.make_splits(val=90)
    context.teaching.ensemble = _Made([list(order) for order in orders])
    (workdir / "teachers").mkdir(parents=True, exist_ok=True)
    for index in range(len(orders)):
        (workdir / "teachers" / f"teacher_{index:02}.keras").write_text(f"network {index}")
    return context


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory):
    context = _context(tmp_path_factory.mktemp("run"), seed=3)
    diagnosing.write(context)
    return context


def _read(context, name):
    return (context.workdir / "teachers" / name).read_text()


def test_figures_are_those_of_each_split(diagnosed):
    found = json.loads(_read(diagnosed, "diagnosis.json"))
    assert diagnosis.read(diagnosed.workdir / "teachers" / "diagnosis.json") == found
    for part in ("train", "val", "test"):
        split = getattr(diagnosed.data, part)
        logits = diagnosed.teaching.ensemble.logits(split.images)
        assert found[part] == diagnosis.diagnose(logits, split.labels)
        assert found["examples"][part] == len(split)
    assert found["teachers"][1]["file"] == "teacher_01.keras"
    assert found["teachers"][1]["params"] == 7
    assert found["regime"]["says"] in _read(diagnosed, "diagnosis.md")
    assert found["warnings"] == []


def test_views_are_the_first_of_those_that_the_bank_holds(diagnosed, tmp_path):
    data, seed = diagnosed.data, diagnosed.settings.seed
    of, rows = bank.key(data, seed, ["a", "b"]), np.arange(len(data.train))
    bank.write(tmp_path, diagnosed.teaching.ensemble, data, 1, seed, of, np.ones((2, len(rows)), bool))
    stored = store.read(tmp_path, of, bank.views(1)).reader("train")(rows, 0 * rows).transpose(1, 0, 2)
    found, expected = diagnosing.read(diagnosed)["train_views"], diagnosis.diagnose(stored, data.train.labels)
    assert found["k_of_n"] == expected["k_of_n"]
    assert found["loss"]["mean"] == pytest.approx(expected["loss"]["mean"], abs=1e-3)
    assert found["loss"]["mean"] != pytest.approx(
        diagnosing.read(diagnosed)["train"]["loss"]["mean"], abs=0.1
    )


def test_of_many_training_images_some_are_shown_augmented_and_always_the_same(diagnosed, monkeypatch):
    monkeypatch.setattr(diagnosing, "MOST_VIEWED", 12)
    data = diagnosed.data
    first, again, other = (diagnosing._viewed(data, seed) for seed in (0, 0, 1))
    assert len(first) == 12
    np.testing.assert_array_equal(first.images, again.images)
    assert set(first.ids) != set(other.ids)
    # Not one class only, as evenly spread positions would give where classes take turns.
    assert set(first.labels) == {0, 1, 2}
    rows = np.searchsorted(data.train.ids, first.ids)
    np.testing.assert_array_equal(first.labels, data.train.labels[rows])


@pytest.mark.parametrize("lost", ["diagnosis.md", "diagnosis.png", "diagnosis.json"])
def test_what_is_missing_is_made_again_and_teachers_are_asked_for_figures_alone(diagnosed, lost, monkeypatch):
    monkeypatch.setattr(diagnosing.page, "plot", lambda found, path: path.touch())
    before = {name: _read(diagnosed, name) for name in ("diagnosis.md", "diagnosis.json")}
    assert diagnosing.is_there(diagnosed)
    (diagnosed.workdir / "teachers" / lost).unlink()
    assert not diagnosing.is_there(diagnosed)
    diagnosed.teaching.ensemble.asked = 0
    diagnosing.write(diagnosed)
    assert diagnosing.is_there(diagnosed)
    assert {name: _read(diagnosed, name) for name in before} == before
    assert (diagnosed.teaching.ensemble.asked > 0) == (lost == "diagnosis.json")


def test_a_diagnosis_cut_short_or_of_other_teachers_is_not_read(tmp_path, diagnosed):
    text = _read(diagnosed, "diagnosis.json")
    context = _context(tmp_path)
    path = tmp_path / "teachers" / "diagnosis.json"
    for content in (text[:100], "[]", "{}", json.dumps({"teachers": [1]})):
        path.write_text(content)
        assert diagnosing.read(context) is None
    path.write_text(text)
    assert diagnosing.read(context) == json.loads(text)
    (tmp_path / "teachers" / "teacher_01.keras").write_text("another")
    assert diagnosing.read(context) is None


def test_doubts_regime_and_page_are_said_on_screen_and_on_the_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(diagnosing.page, "plot", lambda found, path: None)
    context = _context(tmp_path, orders=((0, 1, 2), (1, 2, 0)))
    diagnosing.write(context)
    printed, page = capsys.readouterr().out, _read(context, "diagnosis.md")
    found = diagnosing.read(context)
    (warning,) = found["warnings"]
    assert warning.startswith("teacher 2 is right on")
    assert "classes seem to be in another order" in warning
    for text in (f"warning: {warning}", f"{found['regime']['name']}: {found['regime']['says']}"):
        assert text in printed
        assert text in page
    assert f"diagnosis: {tmp_path / 'teachers' / 'diagnosis.md'}" in printed


def test_a_logit_that_is_not_finite_names_the_teacher_and_the_image_and_nothing_is_written(
    tmp_path, monkeypatch
):
    context = _context(tmp_path)
    asked, last = context.teaching.ensemble.one, context.data.test.images[-1]

    def broken(index, images):
        logits = asked(index, images)
        if index == 1:
            logits[(images == last).all(axis=(1, 2, 3)), 2] = np.inf
        return logits

    monkeypatch.setattr(context.teaching.ensemble, "one", broken)
    said = f"teacher 2 .teacher_01.: logit 2 of test example {context.data.test.ids[-1]} is inf"
    with pytest.raises(errors.UserError, match=said):
        diagnosing.write(context)
    assert not list((tmp_path / "teachers").glob("diagnosis*"))


def test_a_kill_costs_what_one_teacher_says_of_one_part(diagnosed, tmp_path):
    context = _context(tmp_path, seed=3)
    context.teaching.ensemble.dies_at = 4  # of four parts and two teachers
    with pytest.raises(KeyboardInterrupt):
        diagnosing.write(context)
    again = _context(tmp_path, seed=3)
    diagnosing.write(again)
    assert again.teaching.ensemble.asked == 8 - 3
    assert diagnosing.read(again)["train"] == diagnosing.read(diagnosed)["train"]
    assert not (tmp_path / "teachers" / ".kept").exists()


def test_it_says_of_trained_teachers_which_networks_they_are_of(tmp_path):
    def told(folder, **changes):
        context = _context(tmp_path / folder, **changes)
        diagnosing.write(context)
        return [teacher.get("backbone") for teacher in diagnosing.read(context)["teachers"]]

    assert told("same") == ["resnet14", "resnet14"]
    assert told("several", teacher_backbones=("vgg8", "wrn16_2")) == ["vgg8", "wrn16_2"]
    assert told("given", teachers=("a.keras", "b.keras")) == [None, None]
    assert "| teacher 2 (wrn16_2) | 7 |" in (tmp_path / "several/teachers/diagnosis.md").read_text()
