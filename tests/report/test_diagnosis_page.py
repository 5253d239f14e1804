"""The page, the lines and the plot of a diagnosis, from logits made by hand."""

import dataclasses
import struct

import numpy as np
import pytest

from okd_tf.report import diagnosis as page
from okd_tf.teachers import diagnosis, regime

LABELS = np.array([0, 1, 2, 0])


def _found(predictions, warnings=()):
    """What diagnosis.json holds of teachers that say these classes, [teachers, 4], on every part."""
    logits = 3.0 * np.eye(3)[np.array(predictions)]
    part = diagnosis.diagnose(logits, LABELS)
    return {
        **dict.fromkeys(diagnosis.PARTS, part),
        "teachers": [
            {"file": f"teacher_{index:02}.keras", "sha256": "ab", "params": 1000 + index}
            for index in range(len(predictions))
        ],
        "examples": {**dict.fromkeys(diagnosis.PARTS, 1234), "train_views": 4567},
        "regime": dataclasses.asdict(regime.of(part)),
        "warnings": list(warnings),
    }


# The first is right on three, the second on two, the third says what the first does.
SEVERAL = [[0, 1, 2, 1], [0, 0, 1, 0], [0, 1, 2, 1]]


def test_a_row_gives_a_teachers_size_and_its_accuracy_on_each_part():
    found = _found(SEVERAL)
    found["test"] = {**found["test"], "per_teacher": [0.125, 0.5, 0.5], "oracle": 0.875}
    rows = page.table(found)
    assert rows[0] == ["teacher 1", "1,000", "75.00 %", "75.00 %", "75.00 %", "12.50 %"]
    assert [row[0] for row in rows] == ["teacher 1", "teacher 2", "teacher 3", "mean", "vote", "oracle"]
    assert rows[-1] == ["oracle", "3,003", "100.00 %", "100.00 %", "100.00 %", "87.50 %"]


def test_a_teacher_that_was_trained_is_called_by_its_backbone_as_well():
    found = _found(SEVERAL)
    found["teachers"][1]["backbone"] = "vgg8"
    assert [row[0] for row in page.table(found)][:3] == ["teacher 1", "teacher 2 (vgg8)", "teacher 3"]
    assert "| teacher 2 (vgg8) | 1,001 |" in page.markdown(found)


def test_the_page_has_all_that_was_measured():
    text = page.markdown(_found(SEVERAL, ["teacher 2 is odd"]))
    says = regime.of(_found(SEVERAL)["train_views"])
    for expected in (
        f"- {says.name}: {says.says}\n- warning: teacher 2 is odd\n",
        "(diagnosis.png)",
        "one augmented view of each of 4,567 training images",
        "| accuracy | parameters | train | train, augmented | val | test |\n|---|---:|---:|---:|---:|---:|\n",
        "| teacher 2 | 1,001 | 50.00 % | 50.00 % | 50.00 % | 50.00 % |",
        "| oracle | 3,003 | 100.00 % |",
        # Right at once: all on the first, two on the next two, one on the last.
        "| split | k = 0 | k = 1 | k = 2 | k = 3 |",
        "| train, augmented | 0.00 % | 25.00 % | 50.00 % | 25.00 % |",
        "75.00 % (train, augmented)",
        # Probabilities e^3 / (e^3 + 2) = 0.9094 and 0.0453; right on three quarters: 0.1594, and a loss of
        # 0.75 * 0.0949 + 0.25 * 3.0949 = 0.845.
        "| teacher 1 | 15.94 % | 15.94 % | 0.845 | 0.845 |",
        # Without the first the second and third decide: on a tie the first class wins.
        "| none | 75.00 % | 100.00 % |  |",
        "| teacher 2 | 75.00 % | 75.00 % | yes |",
        "|  | teacher 1 | teacher 2 | teacher 3 |",
        "| teacher 3 | 100.00 % | 25.00 % | 100.00 % |",
    ):
        assert expected in text, expected
    assert text.endswith("|\n")


def test_who_adds_nothing_is_named_in_words_and_in_the_table():
    found = _found([SEVERAL[0]] * 3)
    text = "adds nothing that validation shows: teacher 1, teacher 2, teacher 3 (left out alone"
    assert page.words(found)[-1].startswith(text)
    assert "| teacher 2 | 75.00 % | 75.00 % | no |" in page.markdown(found)
    assert not any("adds nothing" in line for line in page.words(_found([[0, 0, 0, 0], [1, 1, 2, 1]])))


def test_the_screen_aligns_the_table_and_ends_in_the_words():
    found = _found(SEVERAL, ["teacher 2 is odd"])
    head, *lines = page.screen(found).split("\n")
    assert head.startswith("accuracy")
    assert {len(line) for line in lines[:6]} == {len(head)}
    assert lines[6] == ""
    assert lines[7:] == page.words(found)
    assert "warning: teacher 2 is odd" in lines


def test_of_one_teacher_there_is_nothing_together():
    found = _found(SEVERAL[:1])
    assert [row[0] for row in page.table(found)] == ["teacher 1"]
    text = page.markdown(found)
    assert "| mean |" not in text
    assert "Who adds what" not in text
    assert "| val | 25.00 % | 75.00 % |" in text


@pytest.mark.parametrize("teachers", [1, 10])
def test_the_plot_is_a_picture_of_any_number_of_teachers(tmp_path, teachers):
    path = tmp_path / "diagnosis.png"
    page.plot(_found((SEVERAL * 4)[:teachers]), path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1000
    assert height > 400


def test_the_plot_shows_every_share_and_agreement():
    # What is drawn, read back from the axes.
    import matplotlib as mpl
    from matplotlib import figure

    found = _found(SEVERAL)
    bars, grid = figure.Figure().subplots(1, 2)
    page._draw_right_at_once(bars, found, mpl.colormaps["Blues"])
    val = [patch for patch in bars.patches if round(patch.get_y() + patch.get_height() / 2) == 2]
    assert [patch.get_width() for patch in val] == [0, 25, 50, 25]
    assert [patch.get_x() for patch in val] == [0, 0, 25, 75]
    page._draw_agreement(grid, found, mpl.colormaps["Blues"])
    numbers = {text.get_position(): text.get_text() for text in grid.texts}
    assert numbers == {(1, 0): "25", (2, 0): "100", (0, 1): "25", (2, 1): "25", (0, 2): "100", (1, 2): "25"}
