"""A run writes its bank, reads its own or another's, and refuses one of something else."""

import shutil

import keras
import pytest
import tiny

from okd_tf import errors, settings
from okd_tf.pipeline import check, lessons, stages, work
from okd_tf.pipeline.context import Context

DATA = tiny.make_splits()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The paths of two teachers."""
    folder = tmp_path_factory.mktemp("given")
    for index in (0, 1):
        keras.utils.set_random_seed(index)
        tiny.make_backbone().model.save(folder / f"{index}.keras")
    return (str(folder),)


def _context(workdir, given, **changes):
    chosen = {"teachers": given, "views": 3, "batch_size": 9, "max_params": 0, **changes}
    context = Context(settings.Settings(workdir=str(workdir), **chosen))
    context.data = DATA
    return context


def _complete(context):
    for name in ("teachers", "bank"):
        stages.complete(context, name)
    return context


@pytest.fixture(scope="module")
def finished(tmp_path_factory, given):
    return _complete(_context(tmp_path_factory.mktemp("run"), given)).workdir


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied")


def test_the_bank_of_another_run_is_read_in_place_and_none_is_written(finished, given, tmp_path):
    context = _context(tmp_path / "other", given, bank=str(finished / "bank"), views=2)
    check.check(context, ("teachers", "bank"))
    _complete(context)
    assert not (tmp_path / "other" / "bank").exists()
    batch = next(iter(lessons.training_batches(context, "oracle", "any").dataset(0, 1)))
    assert batch["teacher_logits"].shape == (9, 2, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "the seed of views is not the same"),
        ({"views": 4}, "holds 3 views of each train example, 4 are asked for"),
        ({"teachers": ()}, "--bank: holds what its own teachers say; give them by --teachers"),
    ],
)
def test_a_bank_of_something_else_is_refused_before_any_work(finished, given, tmp_path, changes, said):
    changes = {"bank": str(finished / "bank"), **changes}
    context = _context(tmp_path / "other", changes.pop("teachers", given), **changes)
    with pytest.raises(errors.UserError, match=said):
        check.check(context, ("teachers", "bank", "search"))
    assert not (tmp_path / "other").exists()


def _break_off(bank):
    (bank / "train/view_001_rows_0000000.f16").unlink()


def _flip_a_bit(bank):
    shard = bank / "train/view_001_rows_0000000.f16"
    content = bytearray(shard.read_bytes())
    content[7] ^= 4
    shard.write_bytes(content)


@pytest.mark.parametrize(("damage", "said"), [(_break_off, "missing or cut short"), (_flip_a_bit, "damaged")])
def test_a_bank_that_cannot_be_read_is_refused_before_any_work(copied, given, tmp_path, damage, said):
    damage(copied / "bank")
    context = _context(tmp_path / "other", given, bank=str(copied / "bank"))
    with pytest.raises(errors.UserError, match=f"view_001_rows_0000000.f16: {said}"):
        check.check(context, ("teachers", "bank", "search"))


def test_a_bank_and_teachers_that_nothing_has_to_read_any_more_may_be_gone(copied, given, tmp_path):
    mine = shutil.copytree(given[0], tmp_path / "mine")
    context = _context(tmp_path / "other", (str(mine),), bank=str(copied / "bank"))
    _complete(context)
    shutil.rmtree(copied / "bank")
    shutil.rmtree(mine)
    check.check(context, ("teachers", "bank", "report"))
    with pytest.raises(errors.UserError, match="no view bank there"):
        check.check(context, ("teachers", "bank", "search"))


def test_another_bank_put_in_the_place_of_the_run_s_own_is_refused_when_read(copied, given, tmp_path):
    other = _complete(_context(tmp_path / "other", given, seed=1))
    shutil.rmtree(copied / "bank")
    shutil.copytree(other.workdir / "bank", copied / "bank")
    context = _context(copied, given)
    with pytest.raises(errors.UserError, match="bank: a view bank of something else: the seed of views is"):
        lessons.training_batches(context, "oracle", "any")


def test_a_flipped_bit_is_found_before_anything_is_trained_on_it(copied, given):
    shard = copied / "bank/train/view_001_rows_0000000.f16"
    _flip_a_bit(copied / "bank")
    with pytest.raises(errors.UserError, match=f"{shard.name}: damaged"):
        lessons.training_batches(_context(copied, given), "oracle", "any")
    shard.unlink()
    lessons.training_batches(_complete(_context(copied, given)), "oracle", "any")


def test_stored_rows_are_compared_with_the_teachers_on_request(finished, given, capsys):
    context = _context(finished, given, check_bank=8)
    check.check(context, ("teachers", "bank"))
    work.check_bank(context)
    assert "8 rows asked again, the largest difference of a logit is " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        (("teachers", "search"), {}),
        (settings.STAGES, {"views": 0}),
        (settings.STAGES, {"search_loss": "ce", "train_loss": "ce"}),
    ],
)
def test_a_check_of_what_is_not_stored_is_refused(given, tmp_path, names, changes):
    context = _context(tmp_path, given, check_bank=8, **changes)
    with pytest.raises(errors.UserError, match="--check_bank: nothing is stored here"):
        check.check(context, names)


BYTES = 2 * 3 * (3 * 36 + 18)  # of what one teacher says


@pytest.fixture
def disk(monkeypatch):
    """Sets how many bytes are free."""

    def free(count):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(count, 0, count))

    return free


def test_a_disk_too_small_for_the_bank_is_refused_before_teachers_are_trained(tmp_path, disk):
    disk(7 * BYTES - 1)
    check.check(_context(tmp_path / "run", (), num_teachers=6), ("teachers", "bank"))
    with pytest.raises(errors.UserError, match="the view bank needs"):
        check.check(_context(tmp_path / "run", (), num_teachers=7), ("teachers", "bank"))
    assert not (tmp_path / "run").exists()


def test_a_bank_that_is_there_needs_no_room_and_one_of_other_inputs_all_of_it(copied, given, disk):
    disk(0)
    names = ("teachers", "bank")
    check.check(_context(copied, given), names)
    disk(2 * BYTES - 1)
    for changes in ({"seed": 1}, {"teachers": (given[0] + "/1.keras", given[0] + "/0.keras")}):
        with pytest.raises(errors.UserError, match="the view bank needs"):
            check.check(_context(copied, changes.pop("teachers", given), **changes), names)
    _break_off(copied / "bank")
    disk(2 * 36 * 2 * 3)
    check.check(_context(copied, given), names)


def test_room_is_needed_for_what_assistants_say(copied, given, disk):
    names = ("teachers", "bank", "assistant", "student")
    context = _context(copied, given, assistant=("resnet8", "resnet8"))
    disk(2 * BYTES)
    assert check._to_be_stored(context, names, 2) == 2 * BYTES
    disk(2 * BYTES - 1)
    with pytest.raises(errors.UserError, match="the view bank needs"):
        check._check_bank(context, names, [])
