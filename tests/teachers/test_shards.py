"""Shards are written whole, summed and checked; a killed fill goes on, a damaged bank is refused."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from scipy import special

from okd_tf import errors, json_file
from okd_tf.teachers import shards, store

PLAN = shards.Plan(
    key={"the dataset": "digits", "teacher 1": "a", "teacher 2": "b"},
    rows={"train": 10, "val": 3},
    views={"train": 2, "val": 1},
    teachers=2,
    classes=3,
)
ROWS = 4  # of a shard: the last of a view is shorter
SEEN = np.arange(20).reshape(2, 10) % 3 == 0


def _logits(part, view, start, stop):
    """A number of its own for every logit but the first, which is the largest, at 0."""
    rows = np.arange(start, stop)[:, None, None]
    own = rows + 0.5 * np.arange(2)[:, None] + 0.125 * np.arange(3)
    own += 16.0 * view + (64.0 if part == "val" else 0.0)
    return own * [0, -1, -1]


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", ROWS)


@pytest.fixture
def bank(tmp_path):
    shards.fill(tmp_path / "bank", PLAN, _logits, SEEN)
    return tmp_path / "bank"


def _names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_row_of_every_view_is_read_back(bank):
    stored = store.read(bank, PLAN.key, PLAN.views)
    for part, rows in PLAN.rows.items():
        for view in range(PLAN.views[part]):
            given = np.random.default_rng(view).permutation(rows)
            read = stored.reader(part)(given, np.full(rows, view))
            np.testing.assert_array_equal(read, _logits(part, view, 0, rows)[given])
            assert read.dtype == np.float32


def test_rows_of_one_batch_may_be_of_different_views(bank):
    read = store.read(bank, PLAN.key, PLAN.views).reader("train")
    rows, views = np.array([9, 0, 9, 5]), np.array([0, 1, 1, 0])
    expected = [_logits("train", view, row, row + 1)[0] for row, view in zip(rows, views, strict=True)]
    np.testing.assert_array_equal(read(rows, views), expected)


def test_few_files_open_at_a_time_read_the_same(bank, monkeypatch):
    monkeypatch.setattr(store, "OPEN", 1)
    test_every_row_of_every_view_is_read_back(bank)


def test_a_shard_that_is_cut_short_under_its_reader_is_named(bank):
    read = store.read(bank, PLAN.key, PLAN.views).reader("train")
    name = "train/view_001_rows_0000004.f16"
    os.truncate(bank / name, 30)
    with pytest.raises(errors.UserError, match=f"{name}: cannot be read any more: it was cut short"):
        read(np.array([7]), np.array([1]))


def test_who_saw_what_is_read_back(bank):
    np.testing.assert_array_equal(store.read(bank, PLAN.key, PLAN.views).seen(), SEEN)


def test_files_are_as_documented_and_known_programs_read_them(bank):
    assert _names(bank) == [
        "bank.json",
        "seen.u8",
        "shards.sha256",
        *(f"train/view_00{view}_rows_000000{row}.f16" for view in (0, 1) for row in (0, 4, 8)),
        "val/view_000_rows_0000000.f16",
    ]
    last = np.memmap(bank / "train/view_001_rows_0000008.f16", "<f2", "r", shape=(2, 2, 3))
    np.testing.assert_array_equal(last, _logits("train", 1, 8, 10))
    assert sum((bank / name).stat().st_size for name in _names(bank)[3:]) == PLAN.size_bytes
    subprocess.run(["sha256sum", "--check", "--strict", "shards.sha256"], cwd=bank, check=True, stdout=-3)


@pytest.mark.parametrize("killed_at", range(7))
def test_a_killed_fill_asks_for_the_missing_shards_only_and_ends_the_same(bank, tmp_path, killed_at):
    asked = []

    def dying(*shard):
        if len(asked) == killed_at:
            raise KeyboardInterrupt
        asked.append(shard)
        return _logits(*shard)

    with pytest.raises(KeyboardInterrupt):
        shards.fill(tmp_path / "killed", PLAN, dying, SEEN)
    assert not shards.complete(tmp_path / "killed")
    before = list(asked)
    killed_at = None
    shards.fill(tmp_path / "killed", PLAN, dying, SEEN)
    assert len(asked) == 7
    assert not set(before) & set(asked[len(before) :])
    assert _names(tmp_path / "killed") == _names(bank)
    for name in _names(bank):
        assert (tmp_path / "killed" / name).read_bytes() == (bank / name).read_bytes()


def test_a_line_that_a_kill_cut_short_counts_as_a_missing_shard(bank):
    sums = bank / "shards.sha256"
    content = sums.read_bytes()
    lines = content.splitlines(keepends=True)
    sums.write_bytes(b"".join(lines[:-2]) + lines[-2][:30])
    assert not shards.complete(bank)
    shards.fill(bank, PLAN, _logits, SEEN)
    assert store.read(bank, PLAN.key, PLAN.views)


def test_sums_are_the_same_bytes_whatever_kills_and_repairs_came_before(bank):
    whole = (bank / "shards.sha256").read_bytes()
    (bank / "shards.sha256").write_bytes(whole[:200])
    next(bank.rglob("view_000_*")).unlink()
    shards.fill(bank, PLAN, _logits, SEEN)
    assert (bank / "shards.sha256").read_bytes() == whole


@pytest.mark.parametrize("name", ["train/view_001_rows_0000004.f16", "seen.u8"])
def test_a_flipped_bit_is_refused_by_name_and_nothing_is_overwritten(bank, name):
    content = bytearray((bank / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bank / name).write_bytes(content)
    before = {path: (bank / path).read_bytes() for path in _names(bank)}
    for use in (
        lambda: store.read(bank, PLAN.key, PLAN.views),
        lambda: shards.fill(bank, PLAN, _logits, SEEN),
    ):
        with pytest.raises(errors.UserError, match=rf"{name}: damaged, .*; delete this file"):
            use()
    assert {path: (bank / path).read_bytes() for path in _names(bank)} == before
    (bank / name).unlink()
    assert not shards.complete(bank)
    shards.fill(bank, PLAN, _logits, SEEN)
    assert store.read(bank, PLAN.key, PLAN.views)


@pytest.mark.parametrize("name", ["train/view_001_rows_0000004.f16", "seen.u8"])
def test_a_missing_file_is_named(bank, name):
    (bank / name).unlink()
    with pytest.raises(errors.UserError, match=f"{name}: missing"):
        store.read(bank, PLAN.key, PLAN.views)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teacher 2": "c"}, "teacher 2 is not the same"),
        ({"teacher 3": "c"}, "teacher 3 is not the same"),
        ({"the dataset": "cifar10", "teacher 1": "c"}, "teacher 1 and the dataset are not the same"),
    ],
)
def test_a_bank_of_something_else_is_refused_and_says_what_differs(bank, change, said):
    other = {**PLAN.key, **change}
    before = {name: (bank / name).read_bytes() for name in _names(bank)}
    for use in (
        lambda: store.read(bank, other, PLAN.views),
        lambda: shards.fill(bank, dataclasses.replace(PLAN, key=other), _logits, SEEN),
    ):
        with pytest.raises(errors.UserError, match=said):
            use()
    assert {name: (bank / name).read_bytes() for name in _names(bank)} == before


def test_a_bank_of_more_views_serves_and_one_of_fewer_does_not(bank):
    assert store.read(bank, PLAN.key, {"train": 1, "val": 1})
    with pytest.raises(errors.UserError, match="holds 2 views of each train example, 3 are asked"):
        store.read(bank, PLAN.key, {"train": 3, "val": 1})


def test_shards_without_their_description_are_not_adopted(bank):
    (bank / "bank.json").unlink()
    with pytest.raises(errors.UserError, match=r"bank\.json is missing"):
        shards.fill(bank, PLAN, _logits, SEEN)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ([], "the whole file"),
        ({"format": 1}, "not a view bank"),
        ({"format": 2}, "not a view bank"),
        ({"rows": {"train": 10}}, "rows: missing field val"),
        ({"rows": {"train": -1, "val": 3}}, "rows.train"),
        ({"rows": {"train": 10, "val": 3, "../val": 3}}, "rows: unknown field ../val"),
        ({"rows": {"train": 2**62, "val": 3}}, "rows.train"),
        ({"views": [2, 1]}, "views"),
        ({"teachers": True}, "teachers"),
        ({"key": "a"}, "key"),
    ],
)
def test_a_description_of_another_form_is_one_line_that_names_its_field(bank, broken, named):
    stored = json.loads((bank / "bank.json").read_text())
    if isinstance(broken, dict) and "format" not in broken:
        broken = {**stored, **broken}
    json_file.write(bank / "bank.json", broken)
    with pytest.raises(errors.UserError, match=rf"bank\.json: {named}[;: ].*delete the folder"):
        store.read(bank, PLAN.key, PLAN.views)


def _stored(folder, logits):
    """Logits [rows, 2, 3] as they come back from a bank."""
    plan = dataclasses.replace(PLAN, rows={"train": len(logits), "val": 1}, views={"train": 1, "val": 1})
    seen = np.ones((2, len(logits)), bool)
    shards.fill(folder, plan, lambda part, view, start, stop: logits[start:stop], seen)
    rows = np.arange(len(logits))
    return store.read(folder, plan.key, plan.views).reader("train")(rows, 0 * rows)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5, 1e9])
def test_whoever_is_right_stays_so_and_targets_stay_whatever_the_size_of_logits(tmp_path, scale, rng):
    logits = (scale * rng.normal(size=(50, 2, 3))).astype(np.float32)
    # Two in each row are as near as two numbers can be.
    logits[:, :, 2] = np.nextafter(logits.max(axis=-1), np.float32(np.inf))
    logits = logits[..., rng.permutation(3)]
    stored = _stored(tmp_path, logits)
    np.testing.assert_array_equal(stored.argmax(axis=-1), logits.argmax(axis=-1))
    targets = special.softmax(logits.astype(np.float64) / 4, axis=-1)
    np.testing.assert_allclose(special.softmax(stored / 4, axis=-1), targets, atol=1e-3)


def test_equal_logits_stay_equal_and_none_is_infinite(tmp_path):
    logits = np.array([[[5, 5, 1], [0, -1e9, 0]]] * 4, np.float32)
    stored = _stored(tmp_path, logits)
    limit = np.finfo(np.float16).min
    np.testing.assert_array_equal(stored, [[[0, 0, -4], [0, limit, 0]]] * 4)


def _disk(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(free, 0, free))


def test_the_disk_is_checked_for_what_is_missing_before_anything_is_asked(tmp_path, bank, monkeypatch):
    _disk(monkeypatch, PLAN.size_bytes - 1)
    with pytest.raises(errors.UserError, match="the view bank needs"):
        shards.fill(tmp_path / "new", PLAN, None, SEEN)
    assert not (tmp_path / "new").exists()
    name = "train/view_001_rows_0000008.f16"
    _disk(monkeypatch, (bank / name).stat().st_size)
    (bank / name).unlink()
    shards.fill(bank, PLAN, _logits, SEEN)
    assert shards.complete(bank)


def test_the_sum_of_a_shard_is_of_its_bytes(bank):
    lines = dict(reversed(line.split()) for line in (bank / "shards.sha256").read_text().splitlines())
    for name in set(_names(bank)) - {"bank.json", "shards.sha256"}:
        assert lines[name] == hashlib.sha256((bank / name).read_bytes()).hexdigest()
