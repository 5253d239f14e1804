"""Whatever a file holds, its reader takes it or refuses it in one line that names the file."""

import hashlib
import json
import pathlib
import types

import hypothesis
import mutation
import numpy as np
import pytest
from hypothesis import strategies as st

from okd_tf import errors, json_file, stages_file
from okd_tf.arch import spec
from okd_tf.pipeline import record
from okd_tf.report import arms, page
from okd_tf.report import finals as finals_page
from okd_tf.search import candidates, finalists
from okd_tf.student import choice, finals, opponents
from okd_tf.teachers import diagnosis, folds, manifest, shards, store
from okd_tf.training import checkpoint, history, metrics

EXAMPLES, SLOW_EXAMPLES = 40, 400

ARCH = spec.ArchSpec(
    backbone="backbone.keras",
    width=0,
    input_shape=(8, 8, 1),
    classes=10,
    mean=(),
    std=(),
    add_ons=(spec.AddOn("a", "identity", False, True), spec.AddOn("b", "conv_3x3", True, True)),
    cost=spec.Cost(100, 200),
    budget=spec.Budget(1000, 0),
    attach_points=("a", "b"),
    backbone_sha256="0" * 64,
    provenance={"strategy": "darts", "seed": 0, "val": {"accuracy": 0.5, "loss": 1.25}},
).to_json()
KEPT = {**ARCH, "keep_weights": True, "new_layers": ["logits"]}
NAMED = {**ARCH, "backbone": "resnet8", "width": 8, "mean": [127.5], "std": [64]}
MANIFEST = {
    "outputs": "logits",
    "input_size": [16, 12],
    "value_range": [-1, 1],
    "mean": [0.5, 0, -0.5],
    "std": [0.25, 1, 2],
    "class_names": ["cat", "dog"],
    "signature": "serve",
    "output": "logits",
    "held_out": {"folds": 3, "part": 1, "seed": 7, "split": "ab12"},
}
STAGES = {
    "teachers": {
        "key": {
            "splits": {"dataset": "digits", "train": 10, "sha256": "ab"},
            "settings": {"seed": "0", "views": "16"},
            "files": {"given teacher 1": "cd", "given teacher 2": "missing"},
        },
        "complete": True,
        "seconds": 3.5,
    }
}
PART = diagnosis.diagnose(np.eye(3)[np.array([[0, 1, 2], [0, 0, 2]])], np.arange(3))
DIAGNOSIS = {
    **dict.fromkeys(diagnosis.PARTS, PART),
    "teachers": [
        {"file": "teacher_00.keras", "sha256": "ab", "params": 7},
        {"file": "teacher_01.keras", "sha256": "cd", "params": 7, "backbone": "vgg8"},
    ],
    "examples": dict.fromkeys(diagnosis.PARTS, 4),
    "regime": {"name": "disagreeing", "says": "The gate acts."},
    "warnings": ["teacher 2 is odd"],
    "held_out": {"per_teacher": [0.5, None], "seen": [None, 0.25]},
}
LAST = {"accuracy": 0.86, "loss": 0.5, "epoch": 20}
METRICS = {
    "test": {
        "accuracy": 0.875,
        "loss": 0.4,
        "top5_accuracy": 1.0,
        "expected_calibration_error": 0.125,
        "class_names": ["cat", "dog"],
        "per_class_accuracy": [0.75, None],
        "confusion": [[3, 1], [0, 0]],
    },
    "val": {"last": LAST, "best": {**LAST, "epoch": 17}, "kept": {"how": "best", **LAST}},
    "peer": {"val": {"last": LAST, "best": LAST, "kept": {"how": "average", **LAST}}},
    "epochs": 20,
    "params": 1500,
}
CHAIN = {"assistant_00": {**METRICS, "backbone": "resnet20", "width": 16, "sha256": "ab", "taught_by": ""}}
CANDIDATES = [
    {"spec": ARCH, "params": 3, "flops": 4, "val_accuracy": 0.5, "val_loss": 1.5, "chosen": chosen}
    for chosen in (True, False)
]
SCORED = [{"accuracy": 0.25, "loss": 1.5}, {"accuracy": 0.5, "loss": 1}]
CHOICE = {
    "taken": "mean",
    "why": "mean is better than labels",
    "examples": 50,
    "candidates": {
        name: {
            "accuracy": 0.5,
            "log_loss": 1.5,
            "temperature": 0.75,
            "accuracy_gain": gain,
            "accuracy_error": 0.01,
            "log_loss_gain": gain,
            "log_loss_error": 0.25,
            "epochs": 7,
            "seconds": 12.5,
        }
        for name, gain in (("ce", 0.0), ("mean", 0.125))
    },
}
FINALISTS = [
    {
        "spec": ARCH,
        "params": 123,
        "flops": 4567,
        "val_accuracy": accuracy,
        "val_loss": 1.5,
        "random": is_random,
    }
    for accuracy, is_random in ((0.5, False), (0.25, True))
]
FINALS = {
    "rounds": [{"finalists": 2, "epochs": 3}],
    "student_epochs": 6,
    "winner": 1,
    "finalists": [
        {
            "strategy": strategy,
            "random": strategy == "random",
            "params": 123,
            "flops": 4567,
            "spec": ARCH,
            "shared_weights": {"accuracy": 0.5, "loss": 1.5},
            "rounds": [{"accuracy": accuracy, "loss": 2.5, "epochs": 3, "seconds": 1.5}],
        }
        for strategy, accuracy in (("darts", 0.25), ("random", 0.5))
    ],
}
OPPONENTS = {
    "opponents": [
        {"name": "bare", "title": "bare backbone", "loss": "oracle", "params": 7},
        {"name": "same_size_labels", "title": "same-size plain network", "loss": "ce", "params": 12},
    ],
    "left_out": ["another: it cannot be made"],
}
PLAN = {
    "format": shards.FORMAT,
    "key": {"the dataset": "tiny", "the seed of views": 3},
    "rows": {"train": 5, "val": 3},
    "views": {"train": 2, "val": 1},
    "teachers": 2,
    "classes": 3,
}
HISTORY = b"epoch,step,seconds,loss,val_accuracy\n1,10,0.5,2.5,0.25\n2,20,0.5,1.25,0.5\n3,30,0.25,1e-05,1\n"


def _manifest(path):
    teacher = path.with_suffix(".keras")
    manifest.read(teacher), folds.recorded(teacher)


def _checkpoint(path):
    beside = path.parent / "variables.index"
    beside.write_bytes(b"weights")
    try:
        checkpoint.verify(path.parent)
    except errors.UserError as error:
        if not str(error).startswith(f"{beside}: damaged"):  # as is said where the sum is another
            raise


def _export(path):
    page.table(path.parents[1], {"export"})


def _finals(path):
    finals_page.lines(finals.read(path))


def _opponents(path):
    opponents.read(path)
    page.table(path.parents[1], {"opponents"})


def _student(path):
    split = {"dataset": "tiny", "train": 9, "val": 9, "test": 9}
    page.markdown(path.parents[1], split, "", path.parents[1] / "none.json", {"evaluate"})


def _arms(path):
    arms.markdown(arms.read(path))


def _search(path):
    page.markdown(path.parents[1], {"dataset": "tiny", "train": 9, "val": 9, "test": 9}, "", path, {"search"})


CHECKPOINT = {
    "format": checkpoint.FORMAT,
    "step": 4,
    "files": {"variables.index": hashlib.sha256(b"weights").hexdigest()},
}
EXPORT = {
    "examples": 360,
    "keras_accuracy": 0.5,
    "files": {
        "saved_model": {
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
ARMS = {
    "arms": {
        "labels": {
            "params": 7,
            "flags": {"train_loss": "ce", "views": 4, "held_out_only": True},
            "trials": [
                {
                    "seed": seed,
                    "params": 7,
                    "val_accuracy": 0.5,
                    "val_loss": 1.5,
                    "epochs": 2,
                    "test_accuracy": 0.25,
                    "test_loss": 2,
                    "train_accuracy": None,
                    "seconds": 3.5,
                    "commit": "ab12",
                    "processor": "a CPU",
                }
                for seed in (0, 1)
            ],
        },
        "mean": {"params": None, "flags": {}, "trials": []},
    },
    "missing": [["mean", 0]],
    "reference": "labels",
    "teachers": {
        "per_teacher": [0.5, 0.25],
        "mean": 0.5,
        "vote": 0.5,
        "oracle": 0.75,
        "params": [7, 7],
        "val": {"per_teacher": [0.5, 0.25], "mean": 0.5, "vote": 0.5, "oracle": 0.75},
        "sha256": ["ab", "cd"],
    },
    "common": {"dataset": "digits"},
    "commit": "ab12",
    "command": "python tools/compare.py",
    "precision": "float32",
    "processor": "a CPU",
}
RUN = {"okd_tf": "0.1", "seed": 0, "commands": [{"arguments": ["search.py"], "host": "here"}]}

# What reads a file of a name, and a file that it takes.
READERS = {
    "arch.json": (spec.read, ARCH),
    "named_arch.json": (spec.read, NAMED),
    "kept_arch.json": (spec.read, KEPT),
    "mine.json": (_manifest, MANIFEST),
    "stages.json": (stages_file.read, STAGES),
    "diagnosis.json": (diagnosis.read, DIAGNOSIS),
    "metrics.json": (metrics.read, METRICS),
    "old_metrics.json": (metrics.read, {**METRICS, "test": {"accuracy": 0.875, "loss": 0.4}}),
    "student/metrics.json": (_student, METRICS),
    "chain_metrics.json": (metrics.read_chain, CHAIN),
    "candidates.json": (candidates.chosen, CANDIDATES),
    "choice.json": (choice.read, CHOICE),
    "finalists.json": (finalists.read, FINALISTS),
    "finals.json": (_finals, FINALS),
    "opponents/opponents.json": (_opponents, OPPONENTS),
    "scored.json": (lambda path: candidates.read_scores(path, 2), SCORED),
    "bank.json": (lambda path: shards.read_plan(path.parent), PLAN),
    "step_0000000004/manifest.json": (_checkpoint, CHECKPOINT),
    "export/report.json": (_export, EXPORT),
    "search/arch.json": (_search, NAMED),
    "arms.json": (_arms, ARMS),
    "run.json": (lambda path: record._commands(types.SimpleNamespace(workdir=path.parent)), RUN),
    "history.csv": (lambda path: history.finished(path, 2), HISTORY),
}


def _content(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def _refusal(read, named):
    """The message of what is refused, one line with what it must name; "" if nothing is."""
    try:
        read()
    except errors.UserError as error:
        message = str(error)
    else:
        return ""
    assert named in message
    assert len(message.splitlines()) == 1
    assert message.encode()  # any terminal can show it
    assert len(message) < 1200
    return message


def _try(read, path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return _refusal(lambda: read(path), str(path))


def _fuzz(name, folder, examples):
    read, document = READERS[name]
    content = _content(document)
    mutations = mutation.of(content, None if isinstance(document, bytes) else document)
    refused = set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(mutations)
    def fuzz(mutated):
        refused.add(bool(_try(read, folder / name, mutated)))

    fuzz()
    assert True in refused  # else the mutations are too tame to say anything


@pytest.mark.parametrize("name", READERS)
def test_what_was_not_mutated_is_taken(name, tmp_path):
    read, document = READERS[name]
    assert _try(read, tmp_path / name, _content(document)) == ""


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_file_is_taken_or_refused_in_one_line_that_names_it(name, tmp_path):
    _fuzz(name, tmp_path, EXAMPLES)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_mutated_files_are_taken_or_refused_in_one_line_that_names_them(name, tmp_path):
    _fuzz(name, tmp_path, SLOW_EXAMPLES)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe{}", b"[" * 100_000, b"null", b'"\\ud800"', b"9" * 5000, b"-Infinity", None]
)
def test_what_is_nothing_like_it_or_a_folder_is_refused(name, content, tmp_path):
    read, _ = READERS[name]
    path = tmp_path / name
    if content is None:
        path.mkdir(parents=True)
        with pytest.raises(errors.UserError) as refusal:
            read(path)
        assert str(refusal.value).startswith(f"{path}: cannot be read: Is a directory")
    else:
        assert _try(read, path, content).startswith(f"{path}: ")


def test_what_was_taken_can_be_written_again(tmp_path):
    @hypothesis.settings(max_examples=EXAMPLES)
    @hypothesis.given(mutation.of(_content(MANIFEST), MANIFEST))
    def fuzz(mutated):
        path = tmp_path / "mine.json"
        if not _try(_manifest, path, mutated):
            found = manifest.read(tmp_path / "mine.keras")
            json_file.write(path, found.to_json())
            assert manifest.read(tmp_path / "mine.keras") == found

    fuzz()


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("banks") / "bank"
    plan = shards.read_plan(_written(folder, "bank.json", _content(PLAN)))
    (folder / "bank.json").unlink()
    shards.fill(
        folder, plan, lambda part, view, start, stop: np.zeros((stop - start, 2, 3)), np.ones((2, 5), bool)
    )
    return folder


def _written(folder: pathlib.Path, name, content):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


def _fuzz_bank(bank, examples):
    """Mutates one of the files that are read before any shard."""
    original = {name: (bank / name).read_bytes() for name in ("bank.json", "shards.sha256", "seen.u8")}
    plan = shards.read_plan(bank)

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(
        st.one_of(
            *(
                st.tuples(st.just(name), mutation.of(content, PLAN if name == "bank.json" else None))
                for name, content in original.items()
            )
        )
    )
    def fuzz(mutated):
        name, content = mutated
        _written(bank, name, content)

        def read():
            found = store.read(bank, plan.key, plan.views)
            # What is taken can be read to its end.
            assert found.seen().shape == (found.plan.teachers, found.plan.rows["train"])
            assert found.reader("train")(np.arange(5), np.ones(5, int)).shape == (5, 2, 3)

        try:
            _refusal(read, str(bank))
        finally:
            _written(bank, name, original[name])

    fuzz()


def test_a_mutated_bank_is_taken_or_refused_in_one_line_that_names_it(bank):
    _fuzz_bank(bank, EXAMPLES)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_many_mutated_banks_are_taken_or_refused_in_one_line_that_names_them(bank):
    _fuzz_bank(bank, SLOW_EXAMPLES)
