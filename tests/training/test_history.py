"""history.csv: what is written is read back, what is wrong is named by row and column."""

import pytest

from okd_tf import errors
from okd_tf.training import history

ROWS = [
    {"epoch": 1, "step": 10, "seconds": 0.5, "loss": 2.5},
    {"epoch": 2, "step": 20, "seconds": 0.25, "loss": 1e-05},
    {"epoch": 3, "step": 30, "seconds": 0.25, "loss": 0.0},
]


@pytest.fixture
def path(tmp_path):
    history.write(tmp_path / "history.csv", ROWS)
    return tmp_path / "history.csv"


def test_rows_are_read_back_up_to_an_epoch(path):
    assert history.read(path, 3) == history.finished(path, 3) == history.read(path, 9) == ROWS
    assert history.read(path) == ROWS
    assert history.read(path, 2) == history.finished(path, 2) == ROWS[:2]
    assert history.read(path, 0) == history.finished(path, 0) == []


def test_a_history_not_there_is_one_of_no_epochs(tmp_path):
    assert history.read(tmp_path / "none.csv", 3) == history.finished(tmp_path / "none.csv", 0) == []
    with pytest.raises(errors.UserError, match=r"none\.csv: holds 0 of 3 finished epochs"):
        history.finished(tmp_path / "none.csv", 3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.25,1e-05", "0.25,1e-0x5", "row 2: loss: expected a finite number, got '1e-0x5'"),
        ("0.25,1e-05", "0.25,nan", "row 2: loss: expected a finite number, got 'nan'"),
        ("0.25,1e-05", "0.25,-inf", "row 2: loss: expected a finite number, got '-inf'"),
        ("0.25,1e-05", "0.25", "row 2: expected 4 numbers, got 3"),
        ("0.25,1e-05", "0.25,1,2", "row 2: expected 4 numbers, got 5"),
        ("2,20", "3,20", "row 2: epoch: expected 2, got '3'"),
        ("epoch,step", "epoch,stop", "no column step"),
        ("seconds,loss", "seconds,step", "a column is there twice"),
        ("1,10", '"1,10', "not a table of numbers"),
        ("1,10", "\udcff", "not a table of numbers"),
    ],
)
def test_a_damaged_history_is_refused_by_row_and_column(path, old, new, said):
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new).encode(errors="surrogateescape"))
    with pytest.raises(errors.UserError) as refusal:
        history.read(path, 3)
    message = str(refusal.value)
    assert message.startswith(f"{path}: {said}")
    assert message.endswith("and this training starts again")


def test_rows_of_other_columns_than_those_before_are_refused(path):
    rows = [*history.read(path, 2), {**ROWS[2], "val_loss": 1.0}]
    with pytest.raises(errors.UserError, match=r"not all the same columns \(val_loss\)"):
        history.write(path, rows)
    assert history.read(path, 3) == ROWS
