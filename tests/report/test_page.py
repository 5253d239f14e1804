"""The page of a run, from made-up files of the other stages."""

import json

import pytest

from okd_tf.report import page

SPLIT = {"dataset": "digits", "train": 1294, "val": 143, "test": 360, "sha256": "ab"}
DIAGNOSIS = {
    **{
        part: {
            "per_teacher": [0.5, 0.75],
            "mean": 0.8,
            "vote": 0.7,
            "oracle": 0.9,
            "k_of_n": [0.1, 0.55, 0.35],
        }
        for part in ("train", "val", "test")
    },
    "teachers": [{"file": "teacher_00.keras", "params": 1000}, {"file": "teacher_01.keras", "params": 2345}],
}
METRICS = {
    "test": {"accuracy": 0.875, "loss": 0.4},
    "val": {
        "last": {"accuracy": 0.86, "loss": 0.5, "epoch": 20},
        "best": {"accuracy": 0.89, "loss": 0.45, "epoch": 17},
    },
    "epochs": 20,
    "params": 1500,
}
ARCH = {
    "backbone": "resnet8",
    "width": 8,
    "add_ons": [{"after": "stage1_block1_out", "op": "conv_5x5", "chain": False, "feed_back": True}],
    "cost": {"params": 1500, "flops": 123456},
    "budget": {"max_params": 2000, "max_flops": 0},
    "provenance": {"strategy": "darts"},
}
EXPORT = {
    "examples": 360,
    "files": {
        "student_int8.tflite": {
            "bytes": 54321,
            "max_abs_diff": 0.25,
            "agreement": 0.9975,
            "accuracy": 0.87,
            "latency_ms": 0.125,
        }
    },
}
FILES = {
    "teachers/diagnosis.json": DIAGNOSIS,
    "student/metrics.json": METRICS,
    "baseline/metrics.json": {**METRICS, "test": {"accuracy": 0.8, "loss": 0.6}, "params": 900},
    "search/arch.json": ARCH,
    "export/report.json": EXPORT,
}


def _write(folder, names=tuple(FILES), **replaced):
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(replaced.get(path.parent.name, FILES[name])))
    return folder


def test_the_table_has_a_row_for_all_that_was_evaluated(tmp_path):
    assert page.table(_write(tmp_path)) == [
        ["teacher 1", "1,000", "50.00 %"],
        ["teacher 2", "2,345", "75.00 %"],
        ["teachers, mean", "3,345", "80.00 %"],
        ["teachers, vote", "3,345", "70.00 %"],
        ["teachers, oracle (knows the label)", "3,345", "90.00 %"],
        ["bare backbone, cross-entropy", "900", "80.00 %"],
        ["student", "1,500", "87.50 %"],
        ["export student_int8.tflite", "54,321 bytes", "87.00 %"],
    ]


@pytest.mark.parametrize("missing", FILES)
def test_a_part_whose_file_is_missing_is_left_out(tmp_path, missing):
    whole = page.table(_write(tmp_path / "whole")) if (tmp_path / "whole").mkdir() is None else None
    (tmp_path / "part").mkdir()
    part = page.table(_write(tmp_path / "part", [name for name in FILES if name != missing]))
    of_each = {
        "teachers/diagnosis.json": whole[:5],
        "baseline/metrics.json": whole[5:6],
        "student/metrics.json": whole[6:7],
        "export/report.json": whole[7:],
        "search/arch.json": [],
    }
    assert part == [row for row in whole if row not in of_each[missing]]
    headings = {
        "teachers/diagnosis.json": "## Teachers",
        "search/arch.json": "## Architecture",
        "export/report.json": "## Exports",
        "student/metrics.json": "Student after",
        "baseline/metrics.json": "bare backbone, cross-entropy",
    }
    for folder in ("whole", "part"):
        text = page.markdown(tmp_path / folder, SPLIT, "--seed=0")
        for name, heading in headings.items():
            assert (heading in text) == (folder == "whole" or name != missing)


def test_a_network_not_yet_evaluated_has_no_row(tmp_path):
    trained = {key: value for key, value in METRICS.items() if key != "test"}
    _write(tmp_path, ["student/metrics.json"], student=trained)
    assert page.table(tmp_path) == []


def test_an_empty_workdir_has_an_empty_table(tmp_path):
    assert page.table(tmp_path) == []
    text = page.markdown(tmp_path, SPLIT, "--seed=3\n")
    assert "digits: 1,294 training, 143 validation and 360 test images." in text
    assert "```\n--seed=3\n```" in text


def test_the_page_says_what_was_found_and_measured(tmp_path):
    text = page.markdown(_write(tmp_path), SPLIT, "--seed=0")
    assert "| student | 1,500 | 87.50 % |" in text
    assert "resnet8, width 8, with 1 add-on layers: 1,500 parameters, 123,456 FLOPs an image." in text
    assert "Budget: params at most 2,000. Strategy: darts." in text
    assert "| stage1_block1_out | conv_5x5 | no | yes |" in text
    assert "validation accuracy 86.00 % at the last epoch" in text
    assert "best 89.00 % at epoch 17." in text
    assert "| test | 10.00 % | 55.00 % | 35.00 % |" in text
    assert "| student_int8.tflite | 54,321 | 99.75 % | 0.25 | 87.00 % | 0.125 |" in text


def test_a_search_without_a_budget_says_none(tmp_path):
    free = {**ARCH, "budget": {"max_params": 0, "max_flops": 0}}
    text = page.markdown(_write(tmp_path, ["search/arch.json"], search=free), SPLIT, "")
    assert "Budget: none." in text


def test_the_screen_aligns_every_row(tmp_path):
    lines = page.screen(_write(tmp_path)).splitlines()
    assert len(lines) == 1 + 8
    assert len({len(line) for line in lines}) == 1
    assert lines[0].startswith("network")
