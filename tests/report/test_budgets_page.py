"""Accuracy against size of the students of several budgets, as report.md has it."""

import pytest

from okd_tf import json_file
from okd_tf.report import budgets, page

OPPONENT = {"name": "same_size", "title": "same-size plain network", "loss": "oracle", "params": 80}


def _metrics(params, accuracy):
    last = {"accuracy": accuracy / 2, "loss": 1.0, "epoch": 3}
    test = {"accuracy": accuracy, "loss": 1.0}
    return {"params": params, "epochs": 3, "val": {"last": last, "best": last}, "test": test}


@pytest.fixture
def run(tmp_path):
    for most, params, accuracy in ((100, 90, 0.25), (20, 20, 0.125)):
        json_file.write(
            tmp_path / "budgets" / str(most) / "student" / "metrics.json", _metrics(params, accuracy)
        )
    json_file.write(tmp_path / "student" / "metrics.json", _metrics(150, 0.5))
    json_file.write(tmp_path / "baseline" / "metrics.json", _metrics(10, 0.375))
    json_file.write(tmp_path / "opponents" / "same_size" / "metrics.json", _metrics(80, 0.4375))
    json_file.write(tmp_path / "opponents" / "opponents.json", {"opponents": [OPPONENT], "left_out": []})
    return tmp_path


def test_students_are_shown_by_rising_budget_with_the_run_s_own_as_the_last(run):
    own = _metrics(150, 0.5)
    rows = budgets.students(run, own, 200)
    assert [(row["most"], row["params"], row["val"], row["test"]) for row in rows] == [
        (20, 20, 0.0625, 0.125),
        (100, 90, 0.125, 0.25),
        (200, 150, 0.25, 0.5),
    ]
    text = "\n".join(budgets.lines(rows))
    assert "| 20 | 20 | 6.25 % | 12.50 % |\n| 100 | 90 | 12.50 % | 25.00 % |\n| 200 | 150 |" in text
    assert "![Test accuracy against parameters](budgets/accuracy.png)" in text


def test_the_table_has_a_row_of_each(run):
    rows = page.table(run, {"student", "evaluate", "budgets"})
    assert rows == [
        ["student", "150", "50.00 %"],
        ["student of at most 20 parameters", "20", "12.50 %"],
        ["student of at most 100 parameters", "90", "25.00 %"],
    ]


def test_the_plot_is_a_picture_only_where_students_are_evaluated(run):
    budgets.draw(run, {"student", "budgets"}, 200)
    assert not (run / budgets.PLOT).exists()
    budgets.draw(run, {"student", "budgets", "evaluate", "baseline", "opponents"}, 200)
    assert (run / budgets.PLOT).read_bytes().startswith(b"\x89PNG")
