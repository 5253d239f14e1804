"""Which training examples each teacher holds out, and the file that says so."""

import json

import numpy as np
import pytest

from okd_tf import errors
from okd_tf.teachers import folds

IDS = np.arange(50) * 7 + 3


@pytest.mark.parametrize(("count", "cut"), [(50, 2), (50, 3), (49, 7), (5, 5), (3, 8)])
def test_parts_are_equal_within_one(count, cut):
    found = folds.parts(IDS[:count], cut, seed=1)
    sizes = np.bincount(found, minlength=cut)
    assert len(sizes) == cut
    assert sizes.sum() == count
    assert np.ptp(sizes) <= 1


def test_an_example_s_part_depends_on_its_id_and_the_seed_and_not_on_the_order(rng):
    found = folds.parts(IDS, 3, seed=1)
    shuffled = rng.permutation(len(IDS))
    np.testing.assert_array_equal(folds.parts(IDS[shuffled], 3, seed=1), found[shuffled])
    # A third is the same by chance.
    assert np.mean(folds.parts(IDS, 3, seed=2) == found) < 0.7


def test_the_fingerprint_is_of_which_ids_there_are(rng):
    found = folds.fingerprint(IDS)
    assert folds.fingerprint(rng.permutation(IDS)) == found
    assert folds.fingerprint(IDS.astype(np.int32)) == found
    assert folds.fingerprint(IDS[1:]) != found
    assert folds.fingerprint(IDS + 1) != found


@pytest.mark.parametrize(("teachers", "cut"), [(2, 2), (3, 3), (5, 2), (7, 3)])
def test_with_as_many_teachers_as_folds_or_more_every_example_is_held_out_by_some(teachers, cut):
    seen = folds.seen(IDS, folds.assigned(IDS, teachers, cut, seed=0))
    assert seen.shape == (teachers, len(IDS))
    in_turn = [folds.parts(IDS, cut, seed=0) != index % cut for index in range(teachers)]
    np.testing.assert_array_equal(seen, in_turn)
    held_out = (~seen).sum(axis=0)
    assert held_out.min() == teachers // cut
    assert held_out.max() == -(-teachers // cut)


def test_with_fewer_teachers_than_folds_the_parts_left_over_are_held_out_by_none():
    seen = folds.seen(IDS, folds.assigned(IDS, 2, 5, seed=0))
    assert seen.all(axis=0).sum() == 30


def test_without_folds_or_a_record_all_have_seen_all():
    assert folds.assigned(IDS, 3, 0, seed=0) == [None, None, None]
    assert folds.seen(IDS, [None, None]).tolist() == [[True] * len(IDS)] * 2


def test_a_record_of_other_training_examples_counts_as_all_seen():
    (held_out,) = folds.assigned(IDS[1:], 1, 2, seed=0)
    assert folds.is_foreign(IDS, held_out)
    assert folds.seen(IDS, [held_out]).all()
    assert not folds.is_foreign(IDS[1:], held_out)
    assert not folds.seen(IDS[1:], [held_out]).all()
    assert not folds.is_foreign(IDS, None)


def test_what_is_left_to_a_teacher_must_be_a_batch():
    folds.check_batch(10, 3, batch_size=6)  # parts of 4, 3 and 3
    with pytest.raises(errors.UserError, match=r"^--teacher_folds: 3 leave a teacher 6 of 10 .*batch_size=7"):
        folds.check_batch(10, 3, batch_size=7)
    with pytest.raises(errors.UserError, match=r"^--teacher_folds: 11 parts of 10 .* leave some empty"):
        folds.check_batch(10, 11, batch_size=1)


def test_what_was_written_beside_a_teacher_is_read_back(tmp_path):
    (held_out,) = folds.assigned(IDS, 1, 2, seed=4)
    path = tmp_path / "teacher_00.keras"
    assert folds.recorded(path) is None
    folds.write(path, held_out)
    assert json.loads((tmp_path / "teacher_00.json").read_text()) == {
        "held_out": {"folds": 2, "part": 0, "seed": 4, "split": folds.fingerprint(IDS)}
    }
    assert folds.recorded(path) == held_out


@pytest.mark.parametrize("described", [{}, {"outputs": "logits"}])
def test_a_manifest_that_says_nothing_of_it_is_no_record(tmp_path, described):
    (tmp_path / "mine.json").write_text(json.dumps(described))
    assert folds.recorded(tmp_path / "mine.keras") is None


@pytest.mark.parametrize(
    "change",
    [{"part": 2}, {"part": -1}, {"folds": 1}, {"seed": "0"}, {"split": 5}, {"more": 1}, {"folds": None}],
)
def test_a_record_that_cannot_be_is_refused_by_its_file(tmp_path, change):
    record = {"folds": 2, "part": 0, "seed": 0, "split": "ab", **change}
    (tmp_path / "mine.json").write_text(json.dumps({"held_out": record}))
    with pytest.raises(errors.UserError) as refused:
        folds.recorded(tmp_path / "mine.keras")
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'mine.json'}: held_out")
    assert "\n" not in message


def test_accuracies_on_held_out_and_on_seen_examples_by_hand():
    # Both say class 1 of all; the second has seen all.
    logits = np.tile([0.0, 1.0], (2, 4, 1))
    labels = np.array([1, 0, 0, 1])
    seen = np.array([[False, False, False, True], [True] * 4])
    found = folds.accuracies(logits, labels, seen)
    assert found == {"per_teacher": [pytest.approx(1 / 3), None], "seen": [1.0, 0.5]}
