"""The page of a run, from made-up files of the other stages."""

import json

import numpy as np
import pytest

from okd_tf import json_file
from okd_tf.report import page
from okd_tf.teachers import diagnosis

SPLIT = {"dataset": "digits", "train": 1294, "val": 143, "test": 360, "sha256": "ab"}
DIAGNOSIS = {
    **{
        part: {
            **diagnosis.diagnose(np.zeros((2, 4, 3)), np.zeros(4, int)),
            "per_teacher": [0.5, 0.75],
            "mean": 0.8,
            "vote": 0.7,
            "oracle": 0.9,
            "k_of_n": [0.1, 0.55, 0.35],
        }
        for part in diagnosis.PARTS
    },
    "regime": {"name": "disagreeing", "says": "The gate acts."},
    "warnings": ["teacher 2 is odd"],
    "teachers": [
        {"file": "teacher_00.keras", "sha256": "ab", "params": 1000},
        {"file": "teacher_01.keras", "sha256": "cd", "params": 2345, "backbone": "wrn16_2"},
    ],
    "examples": dict.fromkeys(diagnosis.PARTS, 4),
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
    "format_version": 2,
    "backbone": "resnet8",
    "width": 8,
    "input_shape": [8, 8, 1],
    "classes": 10,
    "mean": [100.0],
    "std": [50.0],
    "attach_points": [],
    "backbone_sha256": "",
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
            "integer_share": 0.75,
            "float_operations": ["ELU in layer 'elu'"],
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


ALL = {"teachers", "search", "assistant", "baseline", "student", "evaluate", "export"}


def _markdown(folder, settings_text="--seed=0", current=ALL):
    return page.markdown(folder, SPLIT, settings_text, folder / "search" / "arch.json", current)


def _write(folder, names=tuple(FILES), **replaced):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(replaced.get(path.parent.name, FILES[name])))
    return folder


def test_the_table_has_a_row_for_all_that_was_evaluated(tmp_path):
    assert page.table(_write(tmp_path), ALL) == [
        ["teacher 1", "1,000", "50.00 %"],
        ["teacher 2 (wrn16_2)", "2,345", "75.00 %"],
        ["teachers, mean", "3,345", "80.00 %"],
        ["teachers, vote", "3,345", "70.00 %"],
        ["teachers, oracle (knows the label)", "3,345", "90.00 %"],
        ["bare backbone, cross-entropy", "900", "80.00 %"],
        ["student", "1,500", "87.50 %"],
        ["export student_int8.tflite", "54,321 bytes", "87.00 %"],
    ]


def test_assistants_stand_between_the_teachers_and_what_was_trained(tmp_path):
    chain = {
        "assistant_00": {"backbone": "resnet20", "params": 2000, "test": {"accuracy": 0.85, "loss": 0.5}},
        "assistant_01": {"backbone": "resnet14", "params": 1750, "test": {"accuracy": 0.84, "loss": 0.5}},
        "assistant_02": {"backbone": "resnet8", "params": 1600},  # not evaluated yet
    }
    json_file.write(_write(tmp_path) / "assistant" / "metrics.json", chain)
    rows = page.table(tmp_path, ALL)
    names = [row[0] for row in rows]
    assert names.index("assistant 1 (resnet20)") == names.index("teachers, oracle (knows the label)") + 1
    assert rows[5:7] == [
        ["assistant 1 (resnet20)", "2,000", "85.00 %"],
        ["assistant 2 (resnet14)", "1,750", "84.00 %"],
    ]
    assert names[7] == "bare backbone, cross-entropy"
    for left_out in ("assistant", "evaluate"):
        assert not any("assistant" in row[0] for row in page.table(tmp_path, ALL - {left_out}))


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (
            {"how": "last", "accuracy": 0.86, "loss": 0.5, "epoch": 20},
            "86.00 % at the last epoch, which is the",
        ),
        (
            {"how": "best", "accuracy": 0.89, "loss": 0.45, "epoch": 17},
            "kept: the weights of epoch 17, 89.00 % on validation; the last epoch has 86.00 %; best 89.00 %",
        ),
        (
            {"how": "average", "accuracy": 0.9, "loss": 0.4, "epoch": 20},
            "kept: the average of weights, 90.00 % on validation; the last epoch has 86.00 %; best 89.00 %",
        ),
    ],
)
def test_which_weights_were_kept_is_said_of_the_student_and_of_its_peer(tmp_path, kept, said):
    val = {**METRICS["val"], "kept": kept}
    text = _markdown(_write(tmp_path, student={**METRICS, "val": val, "peer": {"val": val}}))
    assert said in text
    assert ("with a peer, of which is kept: " in text) == (kept["how"] != "last")


def test_a_student_with_a_peer_is_shown_with_it(tmp_path):
    peer = {"val": {"last": {"accuracy": 0.81, "loss": 0.5, "epoch": 20}}}
    text = _markdown(_write(tmp_path, student={**METRICS, "peer": peer}))
    assert "with a peer, whose validation accuracy ended at 81.00 %" in text
    assert "peer" not in _markdown(_write(tmp_path))


def test_a_student_s_classes_and_confidence_are_said_in_words_where_they_are_known(tmp_path):
    test = {
        **METRICS["test"],
        "top5_accuracy": 0.99,
        "expected_calibration_error": 0.0725,
        "class_names": ["cat", "dog", "emu", "1"],
        "per_class_accuracy": [0.75, 0.5, 1.0, None],
        "confusion": [[3, 1, 0, 0], [700, 2000, 1300, 0], [0, 0, 4, 0], [0, 0, 0, 0]],
    }
    text = _markdown(_write(tmp_path, student={**METRICS, "test": test}))
    assert (
        "Student on the test images: the label is among its five likeliest classes for 99.00 % of the "
        "images; "
        "its confidence is off its accuracy by 7.25 % (expected calibration error); with all classes "
        "counting the same it is right on 75.00 %; no image shows `1`; it recognises least `dog` (50.00 %), "
        "`cat` (75.00 %); its most frequent mistake is `emu` for `dog`, 1,300 of 4,000 images.\n"
    ) in text
    none = {**test, "class_names": list("abcdef"), "per_class_accuracy": [1.0, *[None] * 5]}
    none["confusion"] = np.diag([4, 0, 0, 0, 0, 0]).tolist()
    text = _markdown(_write(tmp_path, student={**METRICS, "epochs": 1, "test": none}))
    assert "on 100.00 %; no image shows `b`, `c`, `d` and 2 more.\n" in text
    assert "Student after 1 epoch: " in text
    assert "Student on the test images" not in _markdown(tmp_path, current=ALL - {"evaluate"})
    assert "Student on the test images" not in _markdown(_write(tmp_path))


@pytest.mark.parametrize("missing", FILES)
def test_a_part_whose_file_is_missing_is_left_out(tmp_path, missing):
    whole = page.table(_write(tmp_path / "whole"), ALL)
    part = page.table(_write(tmp_path / "part", [name for name in FILES if name != missing]), ALL)
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
        text = _markdown(tmp_path / folder)
        for name, heading in headings.items():
            assert (heading in text) == (folder == "whole" or name != missing)


@pytest.mark.parametrize(
    ("stage", "rows", "heading"),
    [
        ("teachers", slice(0, 5), "## Teachers"),
        ("baseline", slice(5, 6), "bare backbone, cross-entropy"),
        ("evaluate", slice(5, 7), "| student |"),
        ("export", slice(7, 8), "## Exports"),
        ("student", slice(0, 0), "Student after"),
        ("search", slice(0, 0), "## Architecture"),
    ],
)
def test_figures_of_a_stage_that_is_not_current_are_left_out(tmp_path, stage, rows, heading):
    whole = page.table(_write(tmp_path), ALL)
    left = [row for row in whole if row not in whole[rows]]
    assert page.table(tmp_path, ALL - {stage}) == left
    assert page.screen(tmp_path, ALL - {stage}).count("\n") == len(left)
    assert heading in _markdown(tmp_path)
    assert heading not in _markdown(tmp_path, current=ALL - {stage})


def test_the_architecture_is_the_one_that_was_trained(tmp_path):
    _write(tmp_path)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**ARCH, "backbone": "resnet14"}))
    text = page.markdown(tmp_path, SPLIT, "", path, ALL)
    assert "resnet14, width 8" in text
    assert "resnet8, width 8" not in text


def test_a_network_not_yet_evaluated_has_no_row(tmp_path):
    trained = {key: value for key, value in METRICS.items() if key != "test"}
    _write(tmp_path, ["student/metrics.json"], student=trained)
    assert page.table(tmp_path, ALL) == []


def test_an_empty_workdir_has_an_empty_table(tmp_path):
    assert page.table(tmp_path, ALL) == []
    text = _markdown(tmp_path, "--seed=3\n")
    assert "digits: 1,294 training, 143 validation and 360 test images." in text
    assert "```\n--seed=3\n```" in text


def test_the_page_says_what_was_found_and_measured(tmp_path):
    text = _markdown(_write(tmp_path))
    assert "| student | 1,500 | 87.50 % |" in text
    assert "resnet8, width 8, with 1 add-on layers: 1,500 parameters, 123,456 FLOPs an image." in text
    assert "Budget: params at most 2,000. Strategy: darts." in text
    assert "| stage1_block1_out | conv_5x5 | no | yes |" in text
    assert "validation accuracy 86.00 % at the last epoch" in text
    assert "best 89.00 % at epoch 17." in text
    assert "| test | 10.00 % | 55.00 % | 35.00 % |" in text
    assert "- disagreeing: The gate acts.\n- warning: teacher 2 is odd\n" in text
    assert "[teachers/diagnosis.md](teachers/diagnosis.md)" in text
    assert "| student_int8.tflite | 54,321 | 99.75 % | 0.25 | 87.00 % | 0.125 |" in text


def test_a_search_without_a_budget_says_none(tmp_path):
    free = {**ARCH, "budget": {"max_params": 0, "max_flops": 0}}
    text = _markdown(_write(tmp_path, ["search/arch.json"], search=free))
    assert "Budget: none." in text


def test_the_screen_aligns_every_row(tmp_path):
    lines = page.screen(_write(tmp_path), ALL).splitlines()
    assert len(lines) == 1 + 8
    assert len({len(line) for line in lines}) == 1
    assert lines[0].startswith("network")


def test_the_page_says_what_came_close_and_what_random_architectures_did(tmp_path):
    search = tmp_path / "search"
    provenance = {
        "strategy": "darts",
        "seed": 0,
        "proposed": 1,
        "val": {"accuracy": 0.75, "loss": 1.0},
        "best_random": {"accuracy": 0.5, "loss": 1.5},
    }
    json_file.write(search / "arch.json", {**ARCH, "provenance": provenance})
    entries = [("darts", 0.75, True), ("darts", 0.7, False), ("random", 0.5, False)]
    json_file.write(
        search / "candidates.json",
        [
            {
                "spec": {"provenance": {"strategy": who}},
                "params": 1234,
                "val_accuracy": value,
                "chosen": chosen,
            }
            for who, value, chosen in entries
        ],
    )
    text = page.markdown(tmp_path, SPLIT, "--seed=0", search / "arch.json", {"search"})
    assert "with the search's shared weights: 75.00 %." in text
    assert "That is more than the 50.00 % of the best of as many random ones (losses 1.0000, 1.5000)." in text
    assert "Next among its candidates: 70.00 % (1,234 parameters)." in text


def test_what_is_computed_in_float_is_named_beside_an_export(tmp_path):
    said = "student_int8.tflite computes 75.00 % of its operations in integers; in float, for which the"
    assert f"\n\n{said} runtime has none, are ELU in layer 'elu'.\n" in _markdown(_write(tmp_path))


def test_figures_of_teachers_that_may_be_of_memory_are_marked_and_explained(tmp_path):
    leaky = {**DIAGNOSIS, "carved": {"test": [False, True]}, "warnings": ["(!) may be of memory", "odd"]}
    _write(tmp_path, teachers=leaky)
    marked = {row[0] for row in page.table(tmp_path, ALL) if row[2].endswith("% (!)")}
    together = {"teachers, mean", "teachers, vote", "teachers, oracle (knows the label)"}
    assert marked == {"teacher 2 (wrn16_2)", *together}
    assert "\n\n(!) may be of memory\n" in _markdown(tmp_path)
    assert page.screen(tmp_path, ALL).endswith("\n\n(!) may be of memory")
    _write(tmp_path)
    assert "(!)" not in page.screen(tmp_path, ALL)
