"""The page of arms over trials, from made-up results."""

import copy
import json
import struct

import pytest

from okd_tf import errors
from okd_tf.report import arm_searches, arms, arms_pages, trials


def _trial(seed, val, test, loss, params=1000):
    return {
        "seed": seed,
        "params": params,
        "val_accuracy": val,
        "val_loss": 1.5,
        "test_accuracy": test,
        "test_loss": loss,
        "epochs": 2,
        "train_accuracy": 0.75,
        "seconds": 90.0,
        "commit": "ab12",
        "processor": "a CPU",
    }


RESULTS = {
    "arms": {
        "labels": {
            "params": 1000,
            "flags": {"train_loss": "ce"},
            "trials": [_trial(0, 0.5, 0.40, 2.0), _trial(1, 0.6, 0.44, 2.2), _trial(2, 0.7, 0.42, 2.4)],
        },
        "mean": {
            "params": 1234567,
            "flags": {"train_loss": "mean", "held_out_only": True},
            "trials": [_trial(0, 0.5, 0.43, 1.0), _trial(1, 0.5, 0.46, 1.3), _trial(2, 0.5, 0.45, 1.6)],
        },
        "half": {"params": 1000, "flags": {}, "trials": [_trial(1, 0.5, 0.45, 2.0)]},
        "none": {"params": None, "flags": {"views": 4}, "trials": []},
    },
    "missing": [["half", 0], ["none", 0], ["none", 1]],
    "reference": "labels",
    "teachers": {
        "per_teacher": [0.4, 0.5],
        "mean": 0.55,
        "vote": 0.525,
        "oracle": 0.625,
        "params": [1000, 2000],
        "loss": {"per_teacher": [2.0, 1.5], "mean": 1.25},
        "val": {"per_teacher": [0.3, 0.4], "mean": 0.45, "vote": 0.5, "oracle": 0.6},
        "sha256": ["ab", "cd"],
    },
    "common": {"dataset": "digits", "batch_size": 64},
    "commit": "ab12",
    "command": "python tools/compare.py --arms=some.arms",
    "precision": "float32",
    "processor": "a CPU",
}


@pytest.fixture
def found():
    return copy.deepcopy(RESULTS)


def test_the_standard_error_is_the_standard_deviation_of_n_minus_1_over_the_root_of_n():
    # Of 1, 2, 6: mean 3, squares 4 + 1 + 9 = 14, variance 7, over 3.
    assert trials.mean_and_error([1, 2, 6]) == (3, pytest.approx((7 / 3) ** 0.5))
    assert trials.mean_and_error([5]) == (5, None)


def test_differences_are_of_the_trials_that_both_have():
    assert trials.paired({0: 5, 1: 7, 3: 1}, {3: 4, 1: 5, 2: 0}) == [2, -3]


@pytest.mark.parametrize(
    ("count", "quantile"),
    # Of Student's t at 95 %, as tables print it.
    [(2, 6.314), (3, 2.920), (5, 2.132), (10, 1.833), (31, 1.697)],
)
def test_a_verdict_is_that_of_the_t_test_with_one_degree_of_freedom_less_than_trials(count, quantile):
    assert trials.verdict(1.001 * quantile, 1.0, count) == "better"
    assert trials.verdict(-1.001 * quantile, 1.0, count) == "worse"
    assert trials.verdict(0.999 * quantile, 1.0, count) == "no difference"
    assert trials.verdict(-0.999 * quantile, 1.0, count) == "no difference"


def test_a_difference_is_said_with_its_error_trials_and_verdict():
    # 0.6, 1.3, 2.0: standard deviation 0.7, over the root of 3: 0.4.
    assert trials.difference([0.6, 1.3, 2.0], 1, "points") == "+1.3 ± 0.4 points over 3 trials: better"
    assert trials.difference([0.6, 1.3, 2.0], 1, lower_is_better=True) == "+1.3 ± 0.4 over 3 trials: worse"
    assert trials.difference([0.5], 1, "points") == "+0.5 points, one trial: no verdict"
    assert trials.difference([0.0, 0.0], 1) == "+0.0 ± 0.0 over 2 trials: no difference"
    assert trials.difference([0.5, 0.5], 1) == "+0.5 ± 0.0 over 2 trials: better"


def test_a_row_gives_means_standard_errors_and_paired_differences(found):
    labels, mean, half, none = arms.table(found)
    # 40, 44, 42: standard deviation 2, over the root of 3: 1.1547; 2.0, 2.2, 2.4: 0.2, so 0.1155.
    # 50, 60, 70: 10, so 5.77.
    assert labels == (
        *("labels", "1,000", "3", "60.00 ± 5.77", "42.00 ± 1.15", "-"),
        *("1.5000 ± 0.0000", "2.2000 ± 0.1155", "-"),
    )
    # Differences 3, 2, 3: mean 2.667, standard deviation 0.577, so 0.333.
    # Of losses -1, -0.9, -0.8: 0.1, so 0.058.
    assert mean[:3] == ("mean", "1,234,567", "3")
    assert mean[5] == "+2.67 ± 0.33 over 3 trials: better"
    assert mean[8] == "-0.9000 ± 0.0577 over 3 trials: better"
    assert half == (
        *("half", "1,000", "1", "50.00", "45.00", "+1.00, one trial: no verdict"),
        *("1.5000", "2.0000", "-0.2000, one trial: no verdict"),
    )
    assert none == ("none", "-", "0", "-", "-", "-", "-", "-", "-")


def test_against_another_reference_the_differences_turn(found):
    turned = arms.with_reference(found, "mean")
    assert arms.table(turned)[0][5] == "-2.67 ± 0.33 over 3 trials: worse"
    assert arms.table(turned)[0][8] == "+0.9000 ± 0.0577 over 3 trials: worse"
    assert arms.table(turned)[1][5] == "-"
    with pytest.raises(errors.UserError, match=r"^--reference: unknown name 'meen'; did you mean mean\? "):
        arms.with_reference(found, "meen")


def test_a_difference_within_its_error_is_none(found):
    # Differences 0, 2, 4: mean 2, standard deviation 2, so 1.1547.
    for row, test in zip(found["arms"]["mean"]["trials"], (0.40, 0.46, 0.46), strict=True):
        row["test_accuracy"] = test
    assert arms.table(found)[1][5] == "+2.00 ± 1.15 over 3 trials: no difference"


def test_a_difference_over_fewer_trials_than_the_arm_has_says_how_many(found):
    found["arms"]["labels"]["trials"].pop()
    assert arms.table(found)[1][5] == "+2.50 ± 0.50 over 2 trials: no difference"


def test_the_page_says_the_command_the_flags_the_teachers_and_what_is_missing(found):
    text = arms.markdown(found)
    for line in (
        "`python tools/compare.py --arms=some.arms`",
        "| mean | 1,234,567 | 3 | 50.00 ± 0.00 | 44.67 ± 0.88 | +2.67 ± 0.33 over 3 trials: better |",
        "Not trained yet: half, trial 0; none, trial 0, 1.",
        "| teacher 2 | 2,000 | 40.00 | 50.00 |",
        "| mean | 3,000 | 45.00 | 55.00 |",
        "| oracle | 3,000 | 60.00 | 62.50 |",
        "- all: `--dataset=digits --batch_size=64`",
        "- mean: `--train_loss=mean --held_out_only=true`",
        "Commit ab12; a CPU, 1 min 30 s a student.",
    ):
        assert line in text, line
    assert "half, trial 0; none, trial 0, 1" in arms.screen(found)


def test_searches_have_a_table_of_their_cost_and_of_how_they_rank(found):
    assert "## Searches" not in arms.markdown(found)
    for row, images, shared, tau in zip(
        found["arms"]["mean"]["trials"],
        (59904, 59904, 59904),
        (0.25, 0.5, 0.75),
        (0.5, None, 0.0),
        strict=True,
    ):
        row |= {"search_images": images, "search_seconds": 60.0, "shared_val_accuracy": shared}
        row |= {"kendall_tau": tau, "add_ons": ["conv_3x3 feed_back"] if tau else []}
    # 25, 50, 75: standard deviation 25, over the root of 3; half of the difference of 0.5 and 0.
    cells = ("mean", "50.00 ± 14.43", "59,904", "1 min 00 s", "0.25 ± 0.25")
    assert arm_searches.table(found) == [cells]
    text = arms.markdown(found)
    assert f"| {' | '.join(cells)} |" in text
    assert "- mean, trial 0: conv_3x3 feed_back\n- mean, trial 1: no add-on layer\n" in text
    assert "59,904" in arms.screen(found)


def test_page_and_plot_are_made_of_the_file_alone(found, tmp_path):
    path = tmp_path / "some.results.json"
    path.write_text(json.dumps(found))
    arms_pages.write(arms.read(path), path)
    assert (tmp_path / "some.results.md").read_text(encoding="utf-8") == arms.markdown(found)
    content = (tmp_path / "some.results.png").read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG")
    assert width > 800
    assert height > 300


def test_without_teachers_and_with_nothing_trained_there_is_a_page_and_a_plot(found, tmp_path):
    found = {**found, "teachers": None, "reference": "none", "arms": {"none": found["arms"]["none"]}}
    arms_pages.write(found, tmp_path / "some.json")
    assert "## Teachers" not in (tmp_path / "some.md").read_text(encoding="utf-8")
    assert (tmp_path / "some.png").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda found: found.update(arms={}), "arms: expected at least one arm"),
        (lambda found: found.update(reference="other"), "reference: expected "),
        (lambda found: found.pop("teachers"), "the whole file: missing field teachers"),
        (lambda found: found["arms"]["mean"].pop("params"), "arms.mean: missing field params"),
        (
            lambda found: found["arms"]["mean"]["trials"][1].update(test_accuracy=43),
            "arms.mean.trials[1].test_accuracy: expected a finite number from 0 to 1, got 43",
        ),
        (lambda found: found["teachers"]["params"].pop(), "teachers.params"),
        (
            lambda found: found["arms"]["mean"]["trials"][1].update(kendall_tau=2),
            "arms.mean.trials[1].kendall_tau: expected",
        ),
    ],
)
def test_another_form_is_refused_by_its_place(found, tmp_path, change, expected):
    change(found)
    path = tmp_path / "some.json"
    path.write_text(json.dumps(found))
    with pytest.raises(errors.UserError) as refusal:
        arms.read(path)
    assert str(refusal.value).startswith(f"{path}: {expected}")
