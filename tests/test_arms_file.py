"""The file of arms: what it says, and what is refused of it in one line."""

import pytest

from okd_tf import errors, settings
from okd_tf.cli import arms
from okd_tf.settings import arms as grammar

pytestmark = pytest.mark.usefixtures("flags_of_a_tool")


@pytest.fixture
def read(tmp_path):
    """Gives the arms of a text."""

    def of(text):
        path = tmp_path / "some.arms"
        path.write_text(text, encoding="utf-8")
        return arms.read(str(path))

    return of


def test_an_arm_is_its_name_and_the_typed_values_of_its_flags(read):
    first, second = read(
        """# A comment.
        [resnet8  mean mixed]
        --train_loss=mean
        --temperature=2
        # Another.
        --views = 4
        --held_out_only

        [k=2, 50 %]
        --ops=identity, conv_3x3
        --nostandardize_logits
        """
    )
    assert first.name == "resnet8 mean mixed"
    assert first.changes == {"train_loss": "mean", "temperature": 2.0, "views": 4, "held_out_only": True}
    assert first.flags == first.changes
    assert first.folder == "resnet8_mean_mixed"
    assert second.changes == {"ops": ("identity", "conv_3x3"), "standardize_logits": False}
    assert second.flags["ops"] == "identity,conv_3x3"
    assert second.folder == "k_2_50_"


def test_an_arm_overrides_what_arms_have_in_common(read):
    (arm,) = read("[a]\n--mix=cutmix\n")
    common = settings.Settings(workdir="w", views=3, temperature=2.0)
    chosen = arm.of(common, trial=2)
    assert (chosen.mix, chosen.views, chosen.temperature, chosen.trial) == ("cutmix", 3, 2.0, 2)


def test_a_path_is_that_of_any_folder_and_is_shown_as_it_was_given(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (arm,) = read("[a]\n--arch=some/arch.json\n")
    assert arm.changes == {"arch": str(tmp_path / "some" / "arch.json")}
    assert arm.flags == {"arch": "some/arch.json"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no arms; write [NAME]"),
        ("# nothing\n", "has no arms"),
        ("--views=2\n[a]\n", "line 1: '--views=2' stands in no arm"),
        ("[a]\nviews=2\n", "line 2: 'views=2' is not a flag; write --name=value"),
        ("[a\n", "line 1: '[a' is not [NAME]"),
        ("[ ]\n", "is not [NAME]"),
        ("[a]\n[b]\n[ a ]\n", "arm 'a' is there twice"),
        ("[a b]\n[A_b]\n", "arms 'a b' and 'A_b' would have the same folder"),
        ("[a]\n--temperatur=2\n", "arm 'a': --temperatur: there is no such flag; did you mean --temperature"),
        ("[a]\n--views=two\n", "arm 'a': --views=two: "),
        ("[a]\n--views\n", "arm 'a': --views: has no value; write --views=value"),
        ("[a]\n--views=2\n--views=3\n", "arm 'a': --views: is given twice"),
        ("[a]\n--teacher_epochs=3\n", "arm 'a': --teacher_epochs: changes the teachers"),
        ("[a]\n--teachers=x.keras\n", "--teachers: changes the teachers"),
        ("[a]\n--num_teachers=5\n", "--num_teachers: changes the teachers"),
        ("[a]\n--dataset=cifar10\n", "--dataset: changes the data"),
        ("[a]\n--split_seed=1\n", "--split_seed: changes the data"),
        ("[a]\n--val_examples=1\n", "--val_examples: changes the data"),
        ("[a]\n--augmentation=none\n", "--augmentation: changes the data or its views"),
        ("[a]\n--seed=1\n", "--seed: changes the data or its views"),
        ("[a]\n--trial=1\n", "--trial: an arm cannot set it; --trials"),
        ("[a]\n--trials=2\n", "--trials: an arm cannot set it; --trials of the command line"),
        ("[a]\n--baseline\n", "--baseline: an arm cannot set it; make the bare backbone an arm"),
        ("[a]\n--workdir=w\n", "--workdir: concerns the whole command"),
        ("[a]\n--distribution=mirrored\n", "--distribution: concerns the whole command"),
        ("[a]\n--redo\n", "--redo: concerns the whole command"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_begins_with_the_flag_of_the_file(read, text, expected):
    with pytest.raises(errors.UserError) as refusal:
        read(text)
    message = str(refusal.value)
    assert message.startswith("--arms: ")
    assert expected in message
    assert len(message.splitlines()) == 1


def test_flags_of_an_arm_that_contradict_the_common_ones_are_refused_by_its_name(read):
    (arm,) = read("[a]\n--train_loss=dkdd\n")
    with pytest.raises(errors.UserError, match=r"^--arms: arm 'a': --train_loss: unknown name 'dkdd'; did"):
        arm.of(settings.Settings(workdir="w"))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(errors.UserError, match=r"^--arms: nowhere.arms: No such file or directory; "):
        arms.read("nowhere.arms")
    path = tmp_path / "binary.arms"
    path.write_bytes(b"[\xff]")
    with pytest.raises(errors.UserError, match=r"binary.arms: is not text in UTF-8"):
        arms.read(str(path))


def test_no_setting_of_the_data_or_the_teachers_or_of_the_whole_command_is_an_arms_own():
    own = set()
    for name in settings.FIELDS:
        try:
            grammar.refuse_shared(name)
            own.add(name)
        except errors.UserError as error:
            refusal = str(error)
            assert refusal.startswith(f"--{name}: ")
    assert {
        "backbone",
        "train_loss",
        "mix",
        "mix_probability",
        "views",
        "precision",
        "arch",
        "assistant",
    } < own
    assert not own & settings.SPLIT
    assert {name for name in own if "teacher" in name} == set()
    assert {settings.FIELDS[name].metadata["kind"] for name in own} == {settings.RESULT}
