"""A chain of assistants: who hears whom, and what is done once."""

import shutil

import keras
import numpy as np
import pytest
import tiny

from okd_tf import settings
from okd_tf.pipeline import work
from okd_tf.pipeline.context import Context
from okd_tf.student import distill
from okd_tf.teachers import assistant, shards

DATA = tiny.make_splits()
CHAIN = ("resnet14", "resnet8")


def _network(seed):
    """A linear network that says what no other says."""
    inputs = keras.Input(tiny.SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(keras.layers.Flatten()(inputs)))
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(scale=0.01, size=weight.shape) for weight in model.get_weights()])
    return model


def _save(seed, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    _network(seed).save(path)


def _assert_heard(heard, said):
    """Stored as float16, or not stored."""
    np.testing.assert_allclose(shards.relative(heard), shards.relative(said), rtol=2e-3, atol=2e-3)


class _Trainings:
    """In the place of training: what each would have learnt from, and a network that was not trained."""

    def __init__(self):
        self.heard = {}
        self.seeds = {}
        self.weights = 10  # seed of the first assistant's

    def assistant(self, data, training, loss, *, index, backbone, seed, folder, **arguments):
        self._note(f"assistant {index} {backbone}", training, loss, seed)
        _save(self.weights + index, assistant.path(folder, index))
        assistant.record(folder, index, params=1)

    def student(self, architecture, loss, data, training, *, seed, **arguments):
        self._note("student", training, loss, seed)

    def _note(self, who, training, loss, seed):
        batch = training.batch(np.int64(0))
        self.heard[who] = (batch, loss.teacher_logits(batch).numpy())
        self.seeds[who] = (seed, tuple(batch["id"].numpy()))


@pytest.fixture
def trainings(monkeypatch):
    found = _Trainings()
    monkeypatch.setattr(assistant, "train", found.assistant)
    monkeypatch.setattr(distill, "distill", found.student)
    monkeypatch.setattr(Context, "architecture", lambda context: None)
    return found


def _run(workdir, *works, origin=None, **changes):
    chosen = {"views": 2, "batch_size": 9, "assistant": CHAIN, **changes}
    context = Context(settings.Settings(workdir=str(workdir), **chosen), origin=origin)
    context.data = DATA
    for each in works:
        each(context)
    return context


@pytest.fixture
def workdir(tmp_path):
    for index in (0, 1):
        _save(index, tmp_path / "run" / "teachers" / f"teacher_{index:02}.keras")
    return tmp_path / "run"


@pytest.mark.parametrize("views", [2, 0])
def test_the_teachers_teach_the_first_link_it_the_second_and_the_last_the_student(workdir, trainings, views):
    stages = (work.fill_bank,) * bool(views) + (work.train_assistants, work.train_student)
    _run(workdir, *stages, views=views)
    assert (workdir / "assistant" / "bank_01").exists() == bool(views)
    expected = {"assistant 0 resnet14": (0, 1), "assistant 1 resnet8": (10,), "student": (11,)}
    assert list(trainings.heard) == list(expected)
    for who, networks in expected.items():
        batch, heard = trainings.heard[who]
        said = [_network(seed)(batch["image"]).numpy() for seed in networks]
        _assert_heard(heard, np.stack(said, axis=1))


@pytest.mark.slow
def test_a_link_that_is_there_is_not_trained_again_and_comes_out_the_same_in_every_trial(workdir, trainings):
    _run(workdir, work.fill_bank, work.train_assistants, work.train_student)
    before = dict(trainings.seeds)
    first, second = (name for name in before if name != "student")
    assert before[first] != before[second]
    trainings.seeds.clear()
    assistant.path(workdir / "assistant", 1).unlink()
    _run(workdir, work.train_assistants, work.train_student, trial=1)
    assert list(trainings.seeds) == [second, "student"]
    assert trainings.seeds[second] == before[second] != before["student"]
    assert trainings.seeds["student"] != before["student"]


def test_a_lost_link_that_comes_out_otherwise_is_heard_as_it_is_and_the_next_learns_again(workdir, trainings):
    _run(workdir, work.fill_bank, work.train_assistants, work.train_student)
    trainings.heard.clear()
    assistant.path(workdir / "assistant", 0).unlink()
    trainings.weights = 20
    _run(workdir, work.train_assistants, work.train_student)
    expected = {"assistant 0 resnet14": (0, 1), "assistant 1 resnet8": (20,), "student": (21,)}
    assert list(trainings.heard) == list(expected)
    for who, networks in expected.items():
        batch, heard = trainings.heard[who]
        _assert_heard(heard, np.stack([_network(seed)(batch["image"]).numpy() for seed in networks], axis=1))


def _stored(workdir):
    """The files of all assistants' banks."""
    banks = (workdir / "assistant").glob("bank_*")
    return [path for bank in banks for path in sorted(bank.rglob("*")) if path.is_file()]


def test_what_an_assistant_says_is_stored_once_and_again_if_it_was_deleted(workdir, trainings):
    _run(workdir, work.fill_bank, work.train_assistants, work.train_student)
    stored = _stored(workdir)
    before = {path: path.read_bytes() for path in stored}
    times = {path: path.stat().st_mtime_ns for path in stored}
    _run(workdir, work.train_assistants, work.train_student)
    assert times == {path: path.stat().st_mtime_ns for path in stored}
    shutil.rmtree(workdir / "assistant" / "bank_00")
    shutil.rmtree(workdir / "assistant" / "bank_01")
    _run(workdir, work.train_assistants, work.train_student)
    # Of those who are heard: the first has said what it had to say.
    there = _stored(workdir)
    assert {path.relative_to(workdir / "assistant").parts[0] for path in there} == {"bank_01"}
    assert all(path.read_bytes() == before[path] for path in there)


def test_without_a_chain_the_teachers_teach_the_student(workdir, trainings):
    _run(workdir, work.fill_bank, work.train_student, assistant=())
    batch, heard = trainings.heard["student"]
    assert heard.shape == (9, 2, tiny.CLASSES)
    said = np.stack([_network(seed)(batch["image"]).numpy() for seed in (0, 1)], axis=1)
    _assert_heard(heard, said)


@pytest.mark.slow
def test_a_run_that_borrows_teachers_borrows_their_assistants_and_leaves_their_figures(
    workdir, tmp_path, trainings
):
    origin = _run(workdir, work.fill_bank, work.train_assistants)
    trainings.heard.clear()
    borrowing = _run(tmp_path / "other", work.train_student, origin=origin)
    assert list(trainings.heard) == ["student"]
    batch, heard = trainings.heard["student"]
    expected = _network(11)(batch["image"]).numpy()[:, np.newaxis]
    _assert_heard(heard, expected)
    assert not any("assistant" in str(path) for path, *_ in work.evaluated(borrowing))
    assert [name for *_, name in work.evaluated(origin)] == ["", "", "assistant_00", "assistant_01"]
