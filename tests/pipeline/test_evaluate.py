"""The evaluation: the figures of the network that is there now, and of no other."""

import keras
import numpy as np
import pytest
import tiny

from okd_tf import json_file, settings
from okd_tf.pipeline import stages
from okd_tf.pipeline.context import Context
from okd_tf.training import inference, quality

DATA = tiny.make_splits(test=30)
VAL = {"last": {"accuracy": 0.5, "loss": 1.0, "epoch": 2}, "best": {"accuracy": 0.5, "loss": 1.0, "epoch": 2}}


def _network(path, known):
    """A network that says one class of everything; gives what evaluating it must say."""
    inputs = keras.Input(tiny.SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(inputs)))
    model.set_weights([np.zeros((16, tiny.CLASSES)), 9.0 * np.eye(tiny.CLASSES)[known] * (known + 1)])
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    logits = inference.Predictor(model).logits(DATA.test.images)
    return {
        **inference.figures(logits, DATA.test.labels),
        **quality.figures(logits, DATA.test.labels, DATA.class_names),
    }


def _evaluate(workdir, **changes):
    context = Context(settings.Settings(workdir=str(workdir), **changes))
    context.data = DATA
    stages.STAGES["evaluate"].work(context)
    return json_file.read(workdir / "student" / "metrics.json")


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def expected(workdir):
    """What evaluating the workdir's own student must say."""
    test = _network(workdir / "student" / "student.keras", 0)
    json_file.write(workdir / "student" / "metrics.json", {"val": VAL, "epochs": 2, "params": 51})
    return {"test": test, "val": VAL, "epochs": 2, "params": 51}


def test_it_adds_the_test_figures_to_what_training_recorded(workdir, expected):
    assert _evaluate(workdir, baseline=False) == expected


def test_of_a_network_that_says_one_class_the_figures_are_known(workdir, expected):
    found = _evaluate(workdir, baseline=False)["test"]
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["class_names"] == ["dark", "grey", "bright"]
    assert found["confusion"] == [[10, 0, 0], [10, 0, 0], [10, 0, 0]]
    assert found["per_class_accuracy"] == [1.0, 0.0, 0.0]
    # exp(9) to 1 and 1, and right in a third.
    sure = np.exp(9) / (np.exp(9) + 2)
    assert found["expected_calibration_error"] == pytest.approx(sure - 1 / 3, rel=1e-5)


def test_a_second_evaluation_is_of_the_network_there_is_now(workdir, expected):
    _evaluate(workdir, baseline=False)
    replaced = _network(workdir / "student" / "student.keras", 1)
    assert replaced["loss"] != expected["test"]["loss"]
    assert _evaluate(workdir, baseline=False) == {**expected, "test": replaced}


def test_the_baseline_is_evaluated_beside_the_student(workdir, expected):
    baseline = _network(workdir / "baseline" / "baseline.keras", 2)
    json_file.write(workdir / "baseline" / "metrics.json", {"params": 51})
    assert _evaluate(workdir) == expected
    assert json_file.read(workdir / "baseline" / "metrics.json") == {"test": baseline, "params": 51}


@pytest.mark.parametrize("unasked", ["--nobaseline", "--student"])
def test_the_baseline_is_left_alone_unless_it_was_asked_for(workdir, expected, unasked):
    _network(workdir / "baseline" / "baseline.keras", 2)
    json_file.write(workdir / "baseline" / "metrics.json", {"params": 51})
    student = str(workdir / "student" / "student.keras")
    _evaluate(workdir, **({"baseline": False} if unasked == "--nobaseline" else {"student": student}))
    assert json_file.read(workdir / "baseline" / "metrics.json") == {"params": 51}


def test_assistants_are_evaluated_into_the_metrics_that_they_share(workdir, expected):
    folder = workdir / "assistant"
    tests = [_network(folder / f"assistant_{index:02}.keras", index + 1) for index in (0, 1)]
    json_file.write(folder / "metrics.json", {f"assistant_{index:02}": {"params": 51} for index in (0, 1)})
    chain = {"baseline": False, "assistant": ("resnet14", "resnet8")}
    assert _evaluate(workdir, **chain) == expected
    found = json_file.read(folder / "metrics.json")
    assert found == {f"assistant_{index:02}": {"params": 51, "test": tests[index]} for index in (0, 1)}
    # A network of the user has nothing to do with the chain.
    json_file.write(folder / "metrics.json", {})
    _evaluate(workdir, **chain, student=str(workdir / "student" / "student.keras"))
    assert json_file.read(folder / "metrics.json") == {}


def test_a_network_that_gives_probabilities_has_the_figures_of_its_logits(workdir, tmp_path):
    logits = _network(tmp_path / "other.keras", 1)
    network = keras.saving.load_model(tmp_path / "other.keras")
    keras.Model(network.inputs, keras.layers.Softmax()(network.outputs[0])).save(tmp_path / "other.keras")
    found = _evaluate(workdir, student=str(tmp_path / "other.keras"))["test"]
    assert found["accuracy"] == logits["accuracy"]
    assert found["loss"] == pytest.approx(logits["loss"], rel=1e-5)


def test_a_network_of_the_user_is_evaluated_without_a_training(workdir, tmp_path):
    other = _network(tmp_path / "other.keras", 1)
    assert _evaluate(workdir, student=str(tmp_path / "other.keras")) == {"test": other, "params": 51}
