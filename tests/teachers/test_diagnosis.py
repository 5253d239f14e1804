"""Who is right, on logits made by hand."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from okd_tf import errors, json_file
from okd_tf.losses import mean, oracle
from okd_tf.teachers import diagnosis
from okd_tf.training import inference

# [teachers, examples, classes]. Example 0: all say 0. Example 1: two say 1 faintly, one says 2 surely.
# Example 2: each says another class, the third most surely. Example 3: all say 1.
LOGITS = np.array(
    [
        [[5.0, 0, 0], [0, 0.1, 0], [0.1, 0, 0], [0, 5, 0]],
        [[5.0, 0, 0], [0, 0.1, 0], [0, 0.1, 0], [0, 5, 0]],
        [[5.0, 0, 0], [0, 0, 9.0], [0, 0, 5.0], [0, 5, 0]],
    ]
)
LABELS = np.array([0, 1, 2, 0])


def test_hand_made_ensemble_is_diagnosed_as_by_hand():
    found = diagnosis.diagnose(LOGITS, LABELS)
    assert {name: found[name] for name in found if name not in ("calibration", "loss")} == {
        "per_teacher": [0.5, 0.5, 0.5],
        # Example 1: the sure one outweighs the two faint ones.
        "mean": 0.5,
        # Example 1: two of three. Example 2: a tie, and the surest voter has it.
        "vote": 0.75,
        "oracle": 0.75,
        "k_of_n": [0.25, 0.25, 0.25, 0.25],
        # They say 0 1 0 1, 0 1 1 1 and 0 2 2 1.
        "agreement": [[1, 0.75, 0.5], [0.75, 1, 0.5], [0.5, 0.5, 1]],
        # All but example 0, which all get right.
        "oracle_differs": 0.75,
        # Without the third: example 1 goes to the two faint ones, example 2 to nobody who is right.
        "leave_one_out": {"mean": [0.5, 0.5, 0.5], "oracle": [0.75, 0.75, 0.5]},
    }


def test_a_single_teacher_has_no_others_to_leave_it_out_of():
    found = diagnosis.diagnose(LOGITS[:1], LABELS)
    assert found["leave_one_out"] == {"mean": [], "oracle": []}
    assert found["agreement"] == [[1.0]]
    assert diagnosis.adds_nothing(found) == []


def _drawn(rng, teachers, examples=60, classes=4):
    labels = rng.integers(0, classes, examples)
    logits = rng.normal(size=(teachers, examples, classes)) * 2
    logits[:, np.arange(examples), labels] += 1
    return logits, labels


def test_confident_noise_is_worse_calibrated_than_faint_noise(rng):
    logits, labels = _drawn(rng, 2)
    logits[1] *= 20
    faint, confident = diagnosis.diagnose(logits, labels)["calibration"]["per_teacher"]
    assert confident > faint + 0.1


def test_losses_are_cross_entropies_of_each_and_of_the_mean_probabilities(rng):
    logits, labels = _drawn(rng, 3)
    found = diagnosis.diagnose(logits, labels)["loss"]
    assert found["per_teacher"] == pytest.approx([inference.cross_entropy(each, labels) for each in logits])
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert found["mean"] == pytest.approx(-np.mean(np.log(p.mean(axis=0)[np.arange(60), labels])))


@pytest.mark.parametrize("teachers", [1, 2, 4])
def test_the_oracle_differs_where_its_loss_pulls_elsewhere_than_that_of_the_mean(rng, teachers):
    logits, labels = _drawn(rng, teachers)
    logits[:, np.arange(30), labels[:30]] += 9
    student = tf.constant(rng.normal(size=(60, 4)), tf.float32)
    given = tf.constant(logits.transpose(1, 0, 2), tf.float32)
    gradients = []
    for loss in (oracle.loss, mean.loss):
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = tf.reduce_sum(loss(tf.constant(labels), student, given, temperature=1.0))
        gradients.append(tape.gradient(value, student).numpy())
    differs = np.abs(gradients[0] - gradients[1]).max(axis=1) > 1e-4
    assert 0 < differs.mean() < 1
    assert diagnosis.diagnose(logits, labels)["oracle_differs"] == pytest.approx(differs.mean())


def test_left_out_figures_are_those_of_the_others_alone(rng):
    logits, labels = _drawn(rng, 3)
    found = diagnosis.diagnose(logits, labels)["leave_one_out"]
    for index in range(3):
        others = diagnosis.diagnose(np.delete(logits, index, 0), labels)
        assert (found["mean"][index], found["oracle"][index]) == (others["mean"], others["oracle"])


def test_a_copy_adds_nothing_and_who_alone_knows_something_does(rng):
    logits, labels = _drawn(rng, 1, examples=400)
    assert diagnosis.adds_nothing(diagnosis.diagnose(np.concatenate([logits] * 3), labels)) == [0, 1, 2]
    knows = np.where(np.arange(400)[:, np.newaxis] < 200, 9.0, 0.0) * np.eye(4)[labels]
    found = diagnosis.diagnose(np.stack([knows, 9.0 * np.eye(4)[labels] - knows]), labels)
    assert diagnosis.adds_nothing(found) == []


PART = diagnosis.diagnose(LOGITS, LABELS)
WHOLE = {
    **dict.fromkeys(diagnosis.PARTS, PART),
    "teachers": [
        {"file": f"teacher_0{index}.keras", "sha256": "ab", "params": 7, "backbone": "vgg8"}
        for index in range(3)
    ],
    "examples": dict.fromkeys(diagnosis.PARTS, 4),
    "regime": {"name": "disagreeing", "says": "The gate acts."},
    "warnings": ["teacher 2 is odd"],
    "held_out": {"per_teacher": [0.5, None, 1], "seen": [None, 0.25, 0]},
}


def test_a_whole_diagnosis_is_read_back(tmp_path):
    json_file.write(tmp_path / "diagnosis.json", WHOLE)
    assert diagnosis.read(tmp_path / "diagnosis.json") == WHOLE


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        *(
            (part, None, part)
            for part in ("train_views", "regime", "warnings", "examples", "teachers", "test")
        ),
        # Older ones had fewer figures.
        ("test", {name: PART[name] for name in ("per_teacher", "mean", "vote", "oracle")}, "test"),
        ("val", {**PART, "per_teacher": [0.5, 0.5]}, "val.per_teacher"),
        ("val", {**PART, "agreement": [[1, 1, 1], [1, 1, "1"], [1, 1, 1]]}, "val.agreement[1][2]"),
        ("train", {**PART, "oracle": 1.5}, "train.oracle"),
        ("train", {**PART, "leave_one_out": {"mean": [], "oracle": []}}, "train.leave_one_out.mean"),
        ("teachers", WHOLE["teachers"][:2], "train.per_teacher"),
        ("teachers", [{**WHOLE["teachers"][0], "backbone": 8}], "teachers[0].backbone"),
        ("held_out", {"per_teacher": [0.5, None, -1], "seen": []}, "held_out.per_teacher[2]"),
        ("warnings", [3], "warnings[0]"),
    ],
)
def test_a_diagnosis_that_is_not_whole_is_refused_by_file_and_field(tmp_path, part, value, named):
    path = tmp_path / "diagnosis.json"
    json_file.write(path, {**WHOLE, part: value})
    with pytest.raises(errors.UserError) as refusal:
        diagnosis.read(path)
    assert str(refusal.value).startswith(f"{path}: {named}: ")


@pytest.mark.parametrize("lost", [*diagnosis.PARTS, "teachers", "examples", "regime", "warnings"])
def test_a_diagnosis_without_one_of_its_parts_is_refused_by_its_name(tmp_path, lost):
    path = tmp_path / "diagnosis.json"
    json_file.write(path, {name: value for name, value in WHOLE.items() if name != lost})
    with pytest.raises(errors.UserError, match=f": missing field {lost};"):
        diagnosis.read(path)


def _slowly(logits, labels):
    """The same figures, one example at a time."""
    teachers, examples, classes = logits.shape
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    mean = vote = oracle = 0
    num_right = collections.Counter()
    for example in range(examples):
        predictions = [int(np.argmax(logits[teacher, example])) for teacher in range(teachers)]
        mean += int(np.argmax(sum(probabilities[:, example])) == labels[example])
        votes = collections.Counter(predictions)
        tied = [label for label in range(classes) if votes[label] == max(votes.values())]
        vote += int(max(tied, key=lambda label: probabilities[:, example, label].sum()) == labels[example])
        right = predictions.count(labels[example])
        oracle += right > 0
        num_right[right] += 1
    return {
        "mean": mean / examples,
        "vote": vote / examples,
        "oracle": oracle / examples,
        "k_of_n": [num_right[k] / examples for k in range(teachers + 1)],
    }


@pytest.mark.parametrize("teachers", [1, 2, 5])
def test_figures_are_those_of_one_example_at_a_time(rng, teachers):
    logits, labels = _drawn(rng, teachers)
    found = diagnosis.diagnose(logits, labels)
    for name, expected in _slowly(logits, labels).items():
        assert found[name] == pytest.approx(expected), name
    assert sum(found["k_of_n"]) == pytest.approx(1)
    assert found["oracle"] == pytest.approx(1 - found["k_of_n"][0])
    assert max(found["per_teacher"]) <= found["oracle"]
    shares = sum(k * share for k, share in enumerate(found["k_of_n"]))
    assert np.mean(found["per_teacher"]) == pytest.approx(shares / teachers)


def test_huge_logits_do_not_overflow():
    found = diagnosis.diagnose(LOGITS * 1e4, LABELS)
    assert found["oracle"] == 0.75
    assert np.isfinite(found["loss"]["per_teacher"]).all()
    assert np.isfinite(found["loss"]["mean"])
