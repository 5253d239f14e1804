"""The student beside its opponents, over one trial and several, from made-up files."""

import numpy as np
import pytest

from okd_tf import json_file
from okd_tf.report import opponents, page
from okd_tf.training import quality

CURRENT = {"baseline", "opponents", "student", "trials", "evaluate"}
NAMES = ("bare", "same_size_labels", "same_size")
LABELS = np.zeros(20, int)


def _write(path, right, val, params=1500):
    """The figures of a network that recognises these of 20 images, all of the first of two classes."""
    logits = np.stack([np.isin(np.arange(20), right), ~np.isin(np.arange(20), right)], axis=1).astype(float)
    last = {"accuracy": val, "loss": 1.0, "epoch": 1}
    test = {**quality.figures(logits, LABELS, ("a", "b")), "accuracy": len(right) / 20, "loss": 1.0}
    found = {"params": params, "epochs": 1, "val": {"last": last, "best": last}, "test": test}
    json_file.write(path / "metrics.json", found)


def _trial(folder, student, same_size, val=0.5, width=9):
    for name in ("baseline", "opponents/bare", "opponents/same_size_labels"):
        _write(folder / name, range(10), 0.5, 900)
    _write(folder / "opponents" / "same_size", same_size, 0.5, 1400)
    _write(folder / "student", student, val)
    entries = [
        {
            "name": name,
            "title": "bare backbone" if name == "bare" else f"same-size plain network (width {width})",
            "loss": "ce" if name == "same_size_labels" else "mean",
            "params": 900,
        }
        for name in NAMES
    ]
    json_file.write(folder / "opponents" / "opponents.json", {"opponents": entries, "left_out": []})


@pytest.fixture
def run(tmp_path):
    """Three trials: the student has 15, 16 and 14 of 20 images, the same-size network 14, 14 and 13."""
    _trial(tmp_path, range(15), range(14))
    _trial(tmp_path / "trials" / "1", range(16), range(14), val=0.75, width=10)
    _trial(tmp_path / "trials" / "2", range(14), range(13))
    return tmp_path


def test_differences_are_paired_over_trials_with_a_verdict_in_words(run):
    assert opponents.screen(run, CURRENT, 3) == [
        # 25, 30 and 20 points more: standard deviation 5, over the root of 3.
        "student - bare backbone, labels: +25.00 ± 2.89 points over 3 trials: better",
        "student - bare backbone, same loss: +25.00 ± 2.89 points over 3 trials: better",
        "student - same-size plain network, labels: +25.00 ± 2.89 points over 3 trials: better",
        # 5, 10 and 5: standard deviation 2.89.
        "student - same-size plain network, same loss: +6.67 ± 1.67 points over 3 trials: better",
        "The student of trial 1 is the one to export: the best of 3 on validation (75.00 %).",
    ]


def test_a_small_difference_is_called_none(run):
    _write(run / "student", range(13), 0.5)
    # -5, 10 and 5.
    said = "student - same-size plain network, same loss: +3.33 ± 4.41 points over 3 trials: no difference"
    assert said in opponents.screen(run, CURRENT, 3)


def test_one_trial_has_the_error_of_the_test_images_and_no_verdict(run):
    _write(run / "student", [0, *range(6, 20)], 0.5)
    # Images 10 to 19 are right in the student alone, 1 to 5 in the bare backbone alone:
    # variance (15 - 25 / 20) / 400 = 0.034375.
    lines = opponents.screen(run, CURRENT, 1)
    assert lines[0] == "student - bare backbone, labels: +25.00 ± 18.54 points, one trial: no verdict"
    assert len(lines) == 4
    assert "McNemar" in "\n".join(opponents.section(run, CURRENT))


def test_figures_that_do_not_say_which_images_are_right_give_the_difference_alone(run):
    path = run / "student" / "metrics.json"
    found = json_file.read(path)
    del found["test"]["right"]
    json_file.write(path, found)
    said = "student - bare backbone, labels: +25.00 points, one trial: no verdict"
    assert opponents.screen(run, CURRENT, 1)[0] == said


def test_the_table_has_means_and_standard_errors_and_names_no_width_where_trials_differ(run):
    assert page.table(run, CURRENT, 3) == [
        ["bare backbone, cross-entropy", "900", "50.00 ± 0.00 %"],
        ["bare backbone, mean", "900", "50.00 ± 0.00 %"],
        ["same-size plain network, labels", "900", "50.00 ± 0.00 %"],
        ["same-size plain network, same loss", "1,400", "68.33 ± 1.67 %"],
        ["student", "1,500", "75.00 ± 2.89 %"],
    ]
    one = page.table(run, CURRENT)
    assert one[2] == ["same-size plain network (width 9), cross-entropy", "900", "50.00 %"]
    assert one[4] == ["student", "1,500", "75.00 %"]


def test_the_page_says_which_student_is_exported(run):
    text = "\n".join(opponents.section(run, CURRENT, 3))
    assert "The student of trial 1 is the one to export: the best of 3 on validation (75.00 %)." in text
    assert "| 0 | 1,500 | 50.00 % | 75.00 % |\n| 1, to export | 1,500 | 75.00 % | 80.00 % |\n| 2 |" in text
    assert "Student's t-test" in text


def test_trials_that_are_not_of_the_run_as_it_is_now_are_not_shown(run):
    assert page.table(run, CURRENT - {"trials"}, 3) == page.table(run, CURRENT)
    lines = opponents.screen(run, CURRENT - {"trials"}, 3)
    assert all(line.endswith("one trial: no verdict") for line in lines)
    assert opponents.section(run, CURRENT - {"evaluate"}, 3) == []


def test_without_opponents_there_is_nothing_to_say_of_one_trial(run):
    assert opponents.section(run, {"student", "evaluate"}) == []
    assert len(opponents.screen(run, {"student", "trials", "evaluate"}, 3)) == 1


def test_an_opponent_that_a_trial_does_not_have_is_compared_in_the_others(run):
    path = run / "trials" / "2" / "opponents"
    found = json_file.read(path / "opponents.json")
    json_file.write(path / "opponents.json", {**found, "opponents": found["opponents"][:2]})
    (path / "same_size" / "metrics.json").unlink()
    said = opponents.screen(run, CURRENT, 3)[3]
    assert (
        said
        == "student - same-size plain network, same loss: +7.50 ± 2.50 points over 2 trials: no difference"
    )
