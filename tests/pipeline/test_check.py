"""What cannot be used is refused before any work, in one line that names the flag or the file."""

import dataclasses
import functools
import json
import pathlib
import types

import keras
import numpy as np
import pytest

from okd_tf import backbones, errors, pipeline, settings
from okd_tf.arch import space, spec
from okd_tf.pipeline import check
from okd_tf.pipeline.context import Context
from okd_tf.teachers import folds

ALL = settings.STAGES


@pytest.fixture(scope="module")
def digits_splits(splits):
    return splits


@pytest.fixture
def run(tmp_path, splits):
    """Checks settings against the digits, split once for all tests."""

    def checked(names=ALL, splits_given=True, **changes):
        context = Context(settings.Settings(workdir=str(tmp_path / "run"), **changes))
        if splits_given:
            context.data = splits
        check.check(context, names)

    return checked


def _refusal(run, **changes):
    with pytest.raises(errors.UserError) as refusal:
        run(**changes)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_defaults_pass(run):
    run()


def test_data_that_has_changed_since_stages_ran_is_refused_unless_they_may_run_again(run, splits, tmp_path):
    stages = tmp_path / "run" / settings.STAGES_FILE
    stages.parent.mkdir()
    key = {"splits": json.loads(json.dumps(splits.record())), "settings": {}, "files": {}}
    stages.write_text(json.dumps({"bank": {"key": key, "complete": True, "seconds": 1.0}}))
    run()
    key["splits"]["sha256"] = "another"
    stages.write_text(json.dumps({"bank": {"key": key, "complete": True, "seconds": 1.0}}))
    message = _refusal(run)
    assert message.startswith("--dataset: digits is not what it was when these stages ran in ")
    assert ": bank (" in message
    run(redo=True)


@pytest.mark.parametrize("flag", ["mix", "teacher_mix"])
def test_mixing_images_that_are_one_of_each_class_is_refused(tmp_path, splits, flag):
    _, first = np.unique(splits.train.labels, return_index=True)
    few = dataclasses.replace(splits, train=splits.train.take(first))
    context = Context(settings.Settings(workdir=str(tmp_path), batch_size=5, **{flag: "cutmix"}))
    context.data = few
    with pytest.raises(errors.UserError, match=rf"^--{flag}: the 10 training images are one of each class"):
        check.check(context, ALL)


@pytest.mark.parametrize(
    ("flag", "given", "nearest"),
    [
        ("mix", "cutmx", "cutmix"),
        ("teacher_mix", "mxup", "mixup"),
        ("dataset", "cifar101", "cifar10"),
        ("backbone", "resnet9", "resnet8"),
        ("teacher_backbone", "resnt14", "resnet14"),
        ("teacher_backbones", ("vgg8", "resnt8"), "resnet8"),
        ("assistant", ("resnet14", "resnt8"), "resnet8"),
        ("strategy", "drats", "darts"),
        ("search_loss", "orcale", "oracle"),
        ("train_loss", "oracel", "oracle"),
        ("schedule", "cosin", "cosine"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(run, flag, given, nearest):
    message = _refusal(run, **{flag: given})
    unknown = given[-1] if isinstance(given, tuple) else given
    assert message.startswith(f"--{flag}: unknown name '{unknown}'; did you mean ")
    assert nearest in message.split("valid:")[0]


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("backbone", "mobilenet_v2"),
        ("teacher_backbone", "mobilenet_v2"),
        ("teacher_backbones", ("vgg8", "mobilenet_v2")),
        ("assistant", ("resnet8", "mobilenet_v2")),
    ],
)
def test_images_too_small_for_a_network_are_refused_by_its_flag(run, flag, given):
    assert _refusal(run, **{flag: given}) == (
        f"--{flag}: mobilenet_v2 takes images of 16x16 pixels and more, these have 8x8; enlarge them by "
        "--image_size=16, or use another network"
    )


def test_a_network_that_is_not_made_may_need_larger_images(run, arch):
    run(names=("teachers",), backbone="mobilenet_v2")
    run(names=("search",), teacher_backbone="mobilenet_v2", search_loss="ce", train_loss="ce")
    run(teacher_backbone="mobilenet_v2", teacher_backbones=("vgg8",))
    run(backbone="mobilenet_v2", arch=str(arch[0]))


@pytest.mark.parametrize("flag", ["max_params", "max_flops"])
def test_a_budget_below_the_backbone_is_refused_unless_nothing_is_searched(run, flag):
    assert _refusal(run, **{flag: 10}).startswith(f"--{flag}: 10 is below the bare backbone's own ")
    run(names=("teachers",), **{flag: 10})


@pytest.fixture(scope="module")
def residual(tmp_path_factory):
    """A file with a small residual network for the digits that gives probabilities."""
    inputs = keras.Input((8, 8, 1), name="image")
    first = keras.layers.Conv2D(8, 3, padding="same", name="first")(inputs)
    second = keras.layers.Conv2D(8, 3, padding="same", name="second")(first)
    features = keras.layers.Add(name="first_add")([first, second])
    features = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    outputs = keras.layers.Dense(10, activation="softmax", name="head")(features)
    path = tmp_path_factory.mktemp("own") / "mine.keras"
    keras.Model(inputs, outputs).save(path)
    return str(path)


def test_an_own_backbone_passes(run, residual):
    run(backbone=residual, attach_after=".*_add")
    run(backbone=residual, attach_after="first|second", ops=("identity", "conv_3x3"), max_flops=10**9)


def test_attach_points_of_a_registered_backbone_can_be_chosen(run):
    run(attach_after="stem_out|.*_add")
    message = _refusal(run, attach_after=".*_ad")
    assert message.startswith("--attach_after: '.*_ad' matches no layer of resnet8; an add-on layer can come")
    assert "stage1_block1_add" in message


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "does not say where add-on layers may come"),
        ("(", "'(' is not a regular expression"),
        (".*_ad", "'.*_ad' matches no layer of "),
        ("head", "matches layer 'head' of "),
        ("first_add|pool", "matches layer 'pool' of "),
    ],
)
def test_an_expression_that_names_no_possible_place_is_refused(run, residual, pattern, said):
    message = _refusal(run, backbone=residual, attach_after=pattern)
    assert message.startswith("--attach_after: ")
    assert said in message


def test_an_own_backbone_that_is_not_there_is_refused_only_where_it_is_searched_around(run, tmp_path, arch):
    path = str(tmp_path / "none.keras")
    assert _refusal(run, backbone=path, attach_after=".*") == f"{path}: no such file"
    run(names=("teachers", "bank"), backbone=path, attach_after=".*")
    run(backbone=path, attach_after=".*", arch=str(arch[0]))


@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 7), ((9, 8, 1), 10)])
def test_an_own_backbone_made_for_other_data_is_refused_by_its_file(run, tmp_path, shape, classes):
    path = str(tmp_path / "mine.keras")
    _network(shape, classes).save(path)
    assert _refusal(run, backbone=path, attach_after=".*").startswith(f"{path}: ")


@keras.saving.register_keras_serializable("tests")
class _Unconnected(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)

    def call(self, inputs):
        return self.dense(self.flatten(inputs))


def test_a_subclassed_backbone_is_refused_by_its_file(run, tmp_path):
    path = str(tmp_path / "mine.keras")
    model = _Unconnected()
    model(keras.ops.zeros((1, 8, 8, 1)))
    model.save(path)
    message = _refusal(run, backbone=path, attach_after=".*")
    assert message.startswith(f"{path}: is a _Unconnected, a subclassed model")


def _weights_of(path):
    return keras.saving.load_model(path).get_layer("first").kernel.numpy()


def test_an_own_backbone_with_kept_weights_says_what_it_keeps_and_what_it_assumes(
    tmp_path, splits, residual, capsys
):
    def made(**declared):
        path = tmp_path / "mine.keras"
        path.write_bytes(pathlib.Path(residual).read_bytes())
        if declared:
            path.with_suffix(".json").write_text(json.dumps(declared))
        chosen = settings.Settings(
            workdir=str(tmp_path / "run"), backbone=str(path), attach_after=".*_add", keep_weights=True
        )
        context = Context(chosen)
        context.data = splits
        template = context.template
        return context.backbone.model, template, capsys.readouterr().out

    model, template, said = made()
    np.testing.assert_array_equal(model.get_layer("first").kernel, _weights_of(residual))
    assert (template.keep_weights, template.new_layers) == (True, ())
    assert "mine.keras keeps the weights of 3 layers (first to head); nothing in it is new" in said
    assert "warning: " in said
    assert "taken to have been trained on values 0..255 as they are; if it was not, declare" in said
    model, template, said = made(value_range=[-1, 1], class_names=[str(digit) for digit in range(10)][::-1])
    assert "warning" not in said
    assert "new is the head head, for 10 classes" in said
    assert template.new_layers == ("head",)
    scaled = keras.Model(model.inputs[0], model.layers[1].output)(np.full((1, 8, 8, 1), 255.0))
    np.testing.assert_allclose(scaled, 1.0, rtol=1e-6)
    with pytest.raises(
        errors.UserError, match=r"mine.json: input_size: \[9, 9\] declared, .*--image_size=9x9"
    ):
        made(input_size=[9, 9])
    with pytest.raises(errors.UserError, match=r"mine.json: mean: expected 1 numbers"):
        made(mean=[1.0, 2.0])


def test_what_is_declared_of_an_own_backbone_is_read_without_its_weights_too(tmp_path, splits, residual):
    def made(**declared):
        path = tmp_path / "mine.keras"
        path.write_bytes(pathlib.Path(residual).read_bytes())
        path.with_suffix(".json").write_text(json.dumps(declared))
        chosen = settings.Settings(workdir=str(tmp_path / "run"), backbone=str(path), attach_after=".*_add")
        context = Context(chosen)
        context.data = splits
        return context.backbone.model

    model = made(value_range=[-1, 1])
    scaled = keras.Model(model.inputs[0], model.layers[1].output)(np.full((1, 8, 8, 1), 255.0))
    np.testing.assert_allclose(scaled, 1.0, rtol=1e-6)
    for declared, said in (
        ({"value_rang": [0, 1]}, "unknown name 'value_rang'"),
        ({"input_size": [9, 9]}, r"mine.json: input_size: \[9, 9\] declared, .*--image_size=9x9"),
        ({"signature": "serve"}, "mine.json: signature: only SavedModels have"),
        ({"output": "none"}, "output: unknown name 'none'"),
    ):
        with pytest.raises(errors.UserError, match=said):
            made(**declared)


def test_applications_that_cannot_be_made_are_refused_by_their_flag(run, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    small = "applications:VGG16 takes images of 3 channels, these have 1; add --channels=3"
    for flag, given in (
        ("backbone", "applications:VGG16"),
        ("teacher_backbone", "applications:VGG16"),
        ("teacher_backbones", ("applications:VGG16",)),
    ):
        assert _refusal(run, **{flag: given}) == f"--{flag}: {small}"
    # Not of stages that make none.
    run(names=("teachers",), backbone="applications:VGG16")


@pytest.mark.parametrize("changes", [{"warm_rate": 0.1}, {"frozen_epochs": 1}])
def test_how_kept_weights_move_is_refused_of_an_architecture_that_keeps_none(run, arch, changes):
    (flag,) = changes
    message = _refusal(run, arch=str(arch[0]), **changes)
    assert message.startswith(f"--{flag} requires layers that keep their weights, and {arch[0]} keeps none")


def test_flops_that_cannot_be_counted_cannot_be_bounded(run, tmp_path):
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    features = keras.layers.EinsumDense("abcd,de->abce", (6, 6, 5), name="einsum")(features)
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(features))
    path = str(tmp_path / "mine.keras")
    keras.Model(inputs, outputs).save(path)
    run(backbone=path, attach_after="conv", max_params=10**6)
    message = _refusal(run, backbone=path, attach_after="conv", max_flops=10**9)
    assert message.startswith(f"--max_flops: the FLOPs of layer 'einsum' of {path} cannot be counted")


def test_an_own_backbone_that_a_wanted_stage_may_replace_is_refused(run, tmp_path, residual):
    path = tmp_path / "run" / "student" / "student.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(pathlib.Path(residual).read_bytes())
    message = _refusal(run, backbone=str(path), attach_after=".*_add")
    assert message.startswith(f"{path}: lies in {path.parent}, which the student stage may replace")


@pytest.mark.parametrize(
    ("ops", "said"),
    [
        ((), "--ops: none given"),
        (("conv_9x9",), "--ops: unknown name 'conv_9x9'"),
        (("identity", "identity"), "--ops: identity,identity names one twice"),
    ],
)
def test_operations_that_are_none_are_refused(run, ops, said):
    assert _refusal(run, ops=ops).startswith(said)


@pytest.fixture
def own_arch(tmp_path, splits, residual):
    """The path of an arch.json found on an own backbone, with the backbone beside it."""
    chosen = settings.Settings(workdir=str(tmp_path / "found"), backbone=residual, attach_after=".*_add")
    context = Context(chosen)
    context.data = splits
    context.keep_backbone(tmp_path / "found" / "search")
    path = tmp_path / "found" / "search" / "arch.json"
    spec.write(path, context.template)
    return path


def test_an_architecture_on_an_own_backbone_passes_wherever_both_files_are(run, tmp_path, own_arch):
    run(arch=str(own_arch))
    (tmp_path / "found").rename(tmp_path / "moved")
    run(arch=str(tmp_path / "moved" / "search" / "arch.json"))


def test_an_architecture_without_its_backbone_is_refused(run, tmp_path, own_arch):
    (tmp_path / "arch.json").write_text(own_arch.read_text())
    path = tmp_path / "arch.json"
    assert f"{tmp_path / 'backbone.keras'}: no such file" in _refusal(run, arch=str(path))
    _network((8, 8, 1), 10).save(tmp_path / "backbone.keras")
    message = _refusal(run, arch=str(path))
    assert message.startswith(f"{path}: ")
    assert "backbone.keras: is another backbone than the architecture was found on" in message


def test_data_that_is_not_there_is_refused(run, tmp_path):
    message = _refusal(run, splits_given=False, dataset="cifar100", data_dir=str(tmp_path))
    assert message.startswith("--data_dir: no prepared 'cifar100'")


def test_more_views_than_there_are_is_refused(run):
    assert _refusal(run, views=10).startswith("--views: 10 asked, an image of 'digits' has 9 views")


def test_of_images_shown_as_they_are_one_view_can_be_stored(run):
    run(splits_given=False, views=1, augmentation=("none",))
    message = _refusal(run, splits_given=False, views=2, augmentation=("none",))
    assert message == (
        "--views: 2 asked, an image of 'digits' has one view, the image itself; ask for 1, or change "
        "--augmentation"
    )


def test_a_batch_larger_than_the_training_split_is_refused(run):
    assert _refusal(run, batch_size=5000).startswith("--batch_size: 5000 is more than the ")


def test_an_unknown_distribution_is_refused(run):
    assert _refusal(run, distribution="miror").startswith(
        "--distribution: unknown name 'miror'; did you mean mirrored"
    )


def test_a_teacher_that_is_not_there_is_refused(run, tmp_path):
    message = _refusal(run, teachers=(str(tmp_path / "mine.keras"),))
    assert message.startswith(f"--teachers: {tmp_path / 'mine.keras'}: no such file")


@functools.cache
def _network(shape, classes):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize("flag", ["teachers", "student"])
@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 7), ((9, 8, 1), 10)])
def test_a_network_made_for_other_data_is_refused_by_its_file(run, tmp_path, flag, shape, classes):
    path = tmp_path / "mine.keras"
    _network(shape, classes).save(path)
    names, given = (ALL, (str(path),)) if flag == "teachers" else (("evaluate",), str(path))
    assert _refusal(run, names=names, **{flag: given}).startswith(f"{path}: ")


def test_networks_made_for_the_data_pass(run, tmp_path):
    path = tmp_path / "mine.keras"
    _network((8, 8, 1), 10).save(path)
    run(teachers=(str(path),))
    run(names=("evaluate", "export", "report"), student=str(path))


@pytest.mark.parametrize("name", ["teachers", "bank", "search", "student", "baseline"])
def test_a_student_is_refused_where_something_else_than_its_figures_is_wanted(run, tmp_path, name):
    path = tmp_path / "mine.keras"
    _network((8, 8, 1), 10).save(path)
    for names in ((name,), (name, "evaluate"), ALL):
        message = _refusal(run, names=names, student=str(path))
        assert message.startswith("--student: names a finished network, which tools/evaluate.py and ")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"input_sise": [8, 8]}, "unknown name 'input_sise'; did you mean input_size"),
        ({"outputs": "probabilities"}, 'outputs: "probabilities" declared, but the rows that mine.keras'),
        ({"class_names": ["0"]}, "class_names: missing: 1, 2, 3, 4, 5 and 4 more; name each class of"),
    ],
)
def test_a_manifest_that_does_not_fit_its_teacher_is_refused_by_its_file(run, tmp_path, declared, said):
    _network((8, 8, 1), 10).save(tmp_path / "mine.keras")
    (tmp_path / "mine.json").write_text(json.dumps(declared))
    message = _refusal(run, teachers=(str(tmp_path / "mine.keras"),))
    assert message.startswith(f"{tmp_path / 'mine.json'}: ")
    assert said in message


@pytest.mark.parametrize("names", [("search",), ("search", "student", "baseline", "export"), ("report",)])
def test_teachers_are_looked_at_only_when_they_are_wanted(run, tmp_path, names):
    given = {"teachers": (str(tmp_path / "none.keras"),), "search_loss": "ce", "train_loss": "ce"}
    run(names=names, **given)
    message = _refusal(run, names=("teachers", *names), **given)
    assert message.startswith(f"--teachers: {tmp_path / 'none.keras'}: no such file")


@pytest.fixture
def arch(tmp_path, splits):
    """(path, spec) of an arch.json for the digits."""
    arguments = ("resnet8", 2, splits.image_shape, splits.classes, splits.mean, splits.std)
    of = space.SearchSpace.around(backbones.build(*arguments))
    found = spec.ArchSpec(*arguments, (), of.base)
    spec.write(tmp_path / "arch.json", found)
    return tmp_path / "arch.json", found


@pytest.mark.parametrize("flag", ["max_params", "max_flops"])
def test_an_architecture_within_the_budget_passes_and_one_over_it_is_refused(run, arch, flag):
    path, found = arch
    own = found.cost.params if flag == "max_params" else found.cost.flops
    run(arch=str(path), **{flag: own})
    message = _refusal(run, arch=str(path), **{flag: own - 1})
    assert message.startswith(
        f"{path}: costs {found.cost.params:,} parameters and {found.cost.flops:,} FLOPs, over "
    )
    assert f"--{flag}={own - 1}" in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backbone": "resnet9"}, "resnet9"),
        ({"add_ons": (spec.AddOn("nowhere", "identity", False, True),)}, "nowhere"),
        ({"add_ons": (spec.AddOn("stage1_block1_out", "conv_9x9", False, True),)}, "conv_9x9"),
        ({"width": 3}, "params"),
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused_by_its_file(run, arch, change, named):
    path, found = arch
    spec.write(path, dataclasses.replace(found, **change))
    message = _refusal(run, arch=str(path))
    assert message.startswith(f"{path}: ")
    assert named in message


def test_an_architecture_of_other_classes_is_refused_by_its_file(run, arch):
    path, found = arch
    spec.write(path, dataclasses.replace(found, classes=7))
    assert _refusal(run, arch=str(path)).startswith(f"{path}: classes is 7, 'digits' has 10")


def test_an_architecture_for_other_images_is_refused_by_its_file(run, arch):
    path, found = arch
    spec.write(path, dataclasses.replace(found, input_shape=(9, 8, 1)))
    assert _refusal(run, arch=str(path)).startswith(
        f"{path}: input_shape is (9, 8, 1), 'digits' has (8, 8, 1)"
    )


def test_an_architecture_cut_short_is_refused_by_its_file(run, arch):
    path, _ = arch
    path.write_text(path.read_text()[:100])
    message = _refusal(run, arch=str(path))
    assert message.startswith(f"{path}: not valid JSON")
    assert "cut short" in message


def test_a_missing_architecture_is_refused_by_its_file(run, tmp_path):
    path = tmp_path / "none.json"
    assert _refusal(run, arch=str(path)) == f"{path}: no such file"
    for name in ("student", "baseline"):
        assert _refusal(run, names=(name,), arch=str(path)) == f"{path}: no such file"
    # Nothing else reads it.
    run(names=("teachers", "bank", "search", "report"), arch=str(path))


def test_a_refused_run_leaves_no_workdir(tmp_path):
    chosen = settings.Settings(workdir=str(tmp_path / "run"), label_key="shape")
    with pytest.raises(errors.UserError, match="--label_key"):
        pipeline.run(chosen, ALL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stage", "needed"),
    [
        ("bank", "teachers"),
        ("search", "teachers"),
        ("student", "search"),
        ("assistant", "teachers"),
        ("baseline", "search"),
        ("evaluate", "student"),
        ("export", "student"),
    ],
)
def test_a_stage_whose_inputs_are_not_there_names_the_one_to_run_first(run, tmp_path, stage, needed):
    assert _refusal(run, names=(stage,), assistant=("resnet8",)) == (
        f"{stage}: needs the {needed} stage, which has not run in {tmp_path / 'run'}; run it first, as with "
        f"tools/search.py --stages={needed},{stage}"
    )


def test_what_is_made_in_the_same_call_or_given_by_the_user_is_not_missed(run, tmp_path, arch):
    path = tmp_path / "mine.keras"
    _network((8, 8, 1), 10).save(path)
    run(names=("teachers", "bank"))
    run(names=("search",), search_loss="ce")
    for loss in ("ce", "mutual"):
        run(names=("student", "baseline"), arch=str(arch[0]), train_loss=loss)
    run(names=("evaluate", "export", "report"), student=str(path))
    assert "which has not run" in _refusal(run, names=("evaluate",))


def test_a_student_of_assistants_needs_them_and_not_the_teachers(run, arch):
    chain = {"assistant": ("resnet14", "resnet8"), "arch": str(arch[0])}
    message = _refusal(run, names=("student",), **chain)
    assert message.startswith("student: needs the assistant stage, which has not run in ")
    message = _refusal(run, names=("assistant", "student"), **chain)
    assert message.startswith("assistant: needs the teachers stage, which has not run in ")
    run(names=("teachers", "bank", "assistant", "student"), **chain)


def test_the_report_needs_nothing(run):
    run(names=("report",))


def test_a_missing_student_is_refused_by_its_file(run, tmp_path):
    path = tmp_path / "none.keras"
    assert _refusal(run, names=("evaluate",), student=str(path)) == f"{path}: no such file"


def test_any_student_is_refused_in_a_workdir_with_one_of_its_own(run, tmp_path):
    own, other = tmp_path / "run" / "student" / "student.keras", tmp_path / "mine.keras"
    own.parent.mkdir(parents=True)
    for path in (own, other):
        _network((8, 8, 1), 10).save(path)
    for given in (own, other):
        for name in ("evaluate", "export", "report"):
            message = _refusal(run, names=(name,), student=str(given))
            assert message.startswith(f"--student: {tmp_path / 'run'} has a student of its own")
    own.unlink()
    run(names=("evaluate",), student=str(other))


def test_teachers_that_a_wanted_stage_may_replace_are_refused(run, tmp_path):
    folder = tmp_path / "run" / "teachers"
    folder.mkdir(parents=True)
    _network((8, 8, 1), 10).save(folder / "mine.keras")
    # By whatever name: where the files are is what counts.
    for given in (folder / "mine.keras", folder, folder / ".." / "teachers"):
        message = _refusal(run, teachers=(str(given),))
        assert f"lies in {folder}, which the teachers stage may replace" in message
    (tmp_path / "link.keras").symlink_to(folder / "mine.keras")
    assert "which the teachers stage may replace" in _refusal(run, teachers=(str(tmp_path / "link.keras"),))
    run(names=("search",), search_loss="ce", teachers=(str(folder),))


@pytest.mark.parametrize("name", ["teachers.old", "teachers.old1", "teachers.old12"])
def test_teachers_that_were_set_aside_are_refused_until_they_are_copied(run, tmp_path, name):
    folder = tmp_path / "run" / name
    folder.mkdir(parents=True)
    _network((8, 8, 1), 10).save(folder / "mine.keras")
    for given in (folder, folder / "mine.keras"):
        message = _refusal(run, teachers=(str(given),))
        assert f"lies in {folder}, which the teachers stage may replace; copy it elsewhere first" in message
    folder.rename(tmp_path / "run" / "mine")
    run(teachers=(str(tmp_path / "run" / "mine"),))


@pytest.mark.parametrize("suffix", ["", ".old", ".old2"])
def test_an_architecture_in_the_folder_of_a_needless_stage_passes(run, tmp_path, arch, suffix):
    for stage, refused in (("search", False), ("baseline", True)):
        path = tmp_path / "run" / f"{stage}{suffix}" / "arch.json"
        path.parent.mkdir(parents=True)
        path.write_text(arch[0].read_text())
        wanted = {"names": ("search", "baseline"), "arch": str(path)}
        if refused:
            assert f"lies in {path.parent}, which the {stage} stage" in _refusal(run, **wanted)
            run(**wanted, baseline=False)
        else:
            run(**wanted)


def test_an_architecture_that_a_wanted_stage_may_replace_is_refused(run, tmp_path, arch):
    path = tmp_path / "run" / "student" / "arch.json"
    path.parent.mkdir(parents=True)
    path.write_text(arch[0].read_text())
    message = _refusal(run, names=("student",), arch=str(path), train_loss="ce")
    assert message.startswith(f"{path}: lies in {path.parent}, which the student stage may replace")
    run(names=("baseline",), arch=str(path))


def test_a_part_that_leaves_no_batch_is_refused_where_teachers_are_trained(run, splits):
    left = len(splits.train) - -(-len(splits.train) // 2)
    run(teacher_folds=2, batch_size=left)
    chosen = {"teacher_folds": 2, "batch_size": left + 1}
    assert _refusal(run, **chosen).startswith(f"--teacher_folds: 2 leave a teacher {left} of ")
    run(names=("report",), **chosen)


def _own_teachers(folder, held_out):
    """Teachers for the digits with these records beside them."""
    for index, one in enumerate(held_out):
        path = folder / f"{index}.keras"
        path.parent.mkdir(exist_ok=True)
        _network((8, 8, 1), 10).save(path)
        if one:
            folds.write(path, one)
    return (str(folder),)


def test_given_teachers_that_held_nothing_out_here_cannot_be_the_only_ones_heard(
    run, tmp_path, splits, capsys
):
    ids = splits.train.ids
    here, elsewhere = (folds.assigned(of, 2, 2, seed=0) for of in (ids, ids[1:]))
    run(teachers=_own_teachers(tmp_path / "here", here), held_out_only=True)
    assert capsys.readouterr().out == ""
    for name, held_out in (("none", [None, None]), ("elsewhere", elsewhere)):
        given = _own_teachers(tmp_path / name, held_out)
        run(teachers=given)
        message = _refusal(run, teachers=given, held_out_only=True)
        assert message.startswith("--held_out_only: beside no teacher is a record that it held out any of ")
    warned = [line for line in capsys.readouterr().out.splitlines() if "the same network" not in line]
    assert len(warned) == 4  # two teachers, twice
    assert warned[0].startswith(
        f"warning: {tmp_path / 'elsewhere' / '0.keras'} held out some of other training"
    )


def test_a_record_beside_a_given_teacher_that_cannot_be_is_refused(run, tmp_path):
    given = _own_teachers(tmp_path / "mine", [{"folds": 0}])
    assert _refusal(run, teachers=given).startswith(f"{tmp_path / 'mine' / '0.json'}: held_out: ")


def test_examples_that_no_teacher_holds_out_are_said_in_one_line(run, tmp_path, splits, capsys):
    def said(**changes):
        run(names=("teachers",), num_teachers=2, held_out_only=True, **changes)
        return capsys.readouterr().out

    left_over = np.mean(folds.parts(splits.train.ids, 4, seed=0) >= 2)
    line = (
        f"warning: {left_over:.1%} of the training examples are held out by no teacher; with --held_out_only "
    )
    assert said(teacher_folds=2) == ""
    assert said(teacher_folds=4) == f"{line}they are learnt from their labels\n"
    run(names=("teachers",), num_teachers=2, teacher_folds=4)
    assert capsys.readouterr().out == ""
    given = _own_teachers(tmp_path / "mine", folds.assigned(splits.train.ids, 2, 4, seed=0))
    assert said(teachers=given).startswith(line)


def test_a_worker_of_other_data_than_the_lead_s_is_refused(tmp_path, splits, monkeypatch):
    def checked(of_lead, batch_size=32):
        context = Context(settings.Settings(workdir=str(tmp_path / "run")))
        context.data = splits
        # As a lead's words come to another worker.
        plan = {**context.plan_record, "batch_size": batch_size}
        said = json.loads(json.dumps([of_lead.record(), plan]))
        crew = types.SimpleNamespace(agree=lambda decide: said)
        monkeypatch.setattr(Context, "crew", crew)
        check.check_workers(context)

    checked(splits)
    with pytest.raises(errors.UserError, match=r"^--data_dir: 'digits' is not the same here as at worker"):
        checked(dataclasses.replace(splits, train=splits.train.take(np.arange(100))))
    # One that does not see how the run began may come to another plan.
    with pytest.raises(
        errors.UserError, match=r"^--workdir: .*run does not show here what it shows at worker"
    ):
        checked(splits, batch_size=30)
