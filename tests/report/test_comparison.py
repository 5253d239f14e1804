"""The page of a comparison, from made-up results."""

import struct

import pytest

from okd_tf.report import comparison


def _row(who, trial, test, **more):
    return {
        "who": who,
        "trial": trial,
        "params": 1000 + 500 * trial,
        "add_ons": ["conv_3x3 feed_back"] if trial else [],
        "val_accuracy": 0.5,
        "test_accuracy": test,
        **more,
    }


def _searched(who, trial, test, tau):
    return _row(
        *(who, trial, test),
        shared_val_accuracy=0.25 + 0.5 * trial,
        search_images=2000,
        search_seconds=60.0 * (trial + 1),
        sample_shared_val_accuracy=[0.1, 0.2],
        kendall_tau=tau,
    )


@pytest.fixture
def found():
    return {
        "sample": [_row("uniform", 0, None), _row("uniform", 0, None)],
        "results": [
            _searched("darts", 0, 0.70, 1.0),
            _searched("random", 0, 0.60, None),
            _row("bare backbone", 0, 0.55),
            _searched("darts", 1, 0.80, 0.0),
            _searched("random", 1, 0.80, 0.5),
            _row("bare backbone", 1, 0.65),
        ],
    }


def test_a_row_gives_means_and_standard_deviations_over_trials(found):
    darts, random, bare = comparison.table(found)
    # Standard deviations with n - 1: of 25 and 75, 35.36; of 70 and 80, 7.07; of 1000 and 1500, 354.
    assert darts == (
        *("darts", "50.00 ± 35.36", "50.00 ± 0.00", "75.00 ± 7.07", "1,250 ± 354"),
        *("2,000", "1 min 30 s", "0.50 ± 0.71"),
    )
    assert random[-1] == "0.50"
    assert bare[1] == bare[-1] == bare[-2] == "-"


@pytest.mark.parametrize(
    ("darts", "expected"),
    [
        # Random search has 60 and 80. The standard error of two gains is half their difference.
        ((0.70, 0.80), "- darts: +5.00 ± 5.00, no clear difference"),
        ((0.70, 0.91), "- darts: +10.50 ± 0.50, better"),
        ((0.50, 0.69), "- darts: -10.50 ± 0.50, worse"),
    ],
)
def test_the_verdict_weighs_the_gain_over_random_search_against_its_error(found, darts, expected):
    for row, accuracy in zip(found["results"][::3], darts, strict=True):
        row["test_accuracy"] = accuracy
    assert expected in comparison.markdown(found)
    assert expected in comparison.screen(found)
    assert "- bare backbone: -10.00 ± 5.00, no clear difference" in comparison.markdown(found)


def test_of_one_trial_the_verdict_says_that_it_is_one(found):
    found["results"] = found["results"][:3]
    assert "- darts: +10.00; one trial says nothing of the spread" in comparison.markdown(found)


def test_the_page_names_what_every_trial_found(found):
    text = comparison.markdown(found)
    assert "- darts, trial 0: no add-on layer\n" in text
    assert "- darts, trial 1: conv_3x3 feed_back\n" in text


def test_the_plot_is_a_picture(found, tmp_path):
    path = tmp_path / "comparison.png"
    comparison.plot(found, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1000
    assert height > 400


def test_without_a_sample_the_plot_is_still_drawn(found, tmp_path):
    for row in found["results"]:
        row.pop("sample_shared_val_accuracy", None)
    comparison.plot({**found, "sample": []}, tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").exists()
