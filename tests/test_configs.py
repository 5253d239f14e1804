"""Every flagfile in configs/ can be used, and opens as a note of what it is."""

import pathlib

import pytest
from absl import flags

from okd_tf import backbones, settings
from okd_tf.cli import command_line
from okd_tf.training import optimizers

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted([*ROOT.glob("configs/*.cfg"), *ROOT.glob("configs/results/*.cfg")])
RUNNABLE = [path for path in CONFIGS if not path.name.startswith("base_")]
FULL_SCALE = [
    path.name
    for path in RUNNABLE
    if "_cpu" not in path.name and path.name not in ("quickstart.cfg", "lab.cfg")
]
IMAGES = {"digits": (8, 8, 1), "cifar100": (32, 32, 3), "tiny_imagenet": (64, 64, 3)}

by_name = pytest.mark.parametrize("path", RUNNABLE, ids=lambda path: path.name)


pytestmark = pytest.mark.usefixtures("flags_of_a_tool")


@pytest.fixture
def chosen(path, monkeypatch):
    """The settings that a flagfile says, read from the root of the checkout as its command is."""
    monkeypatch.chdir(ROOT)
    for name in settings.FIELDS:
        flags.FLAGS[name].unparse()
    flags.FLAGS.unparse_flags()
    # Some are of several runs, each with a workdir of its own.
    command_line.parse(["tool", "--workdir=runs/one", f"--flagfile={path.relative_to(ROOT)}"])
    return settings.Settings(**{name: command_line.value(name) for name in settings.FIELDS})


@by_name
def test_its_flags_are_those_of_a_run(chosen):
    assert chosen.workdir.startswith("runs/")
    assert chosen.schedule in optimizers.SCHEDULES


@by_name
def test_it_leaves_nothing_to_the_data_that_its_stages_depend_on(chosen):
    # What was measured with it, or is said of it, must not move with the plan.
    left = {name for name, value in settings.OPEN.items() if getattr(chosen, name) == value}
    of_a_search = set() if chosen.searches else {"search_epochs", "search_warmup_epochs"}
    assert left - of_a_search == (set() if chosen.assistant else {"assistant_epochs"})


@by_name
def test_its_networks_take_the_images_and_its_budget_leaves_room_for_the_backbone(chosen):
    height, width, channels = IMAGES[chosen.dataset]
    shape = (*(chosen.size or (height, width)), channels)
    statistics = (100.0,) * channels, (50.0,) * channels
    for index in range(chosen.num_teachers):
        assert chosen.teacher_network(index) in backbones.BACKBONES
    for name in {chosen.teacher_network(index) for index in range(chosen.num_teachers)} - {chosen.backbone}:
        backbones.build(name, chosen.teacher_width, shape, 10, *statistics)
    student = backbones.build(chosen.backbone, chosen.backbone_width, shape, 100, *statistics)
    assert not chosen.budgets[0] or student.model.count_params() < chosen.budgets[0]


@by_name
def test_it_opens_with_what_it_is_and_the_command_that_runs_it(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    note = [line for line in lines if line.startswith("#")]
    assert lines[: len(note)] == note, "comments come first"
    assert max(map(len, lines)) <= 120
    if path.name != "quickstart.cfg":
        assert f"--flagfile={path.relative_to(ROOT)}" in "".join(note)


@pytest.mark.parametrize("name", FULL_SCALE)
def test_a_recipe_at_full_scale_says_its_source_hardware_hours_and_what_was_measured(name):
    note = (ROOT / "configs" / name).read_text(encoding="utf-8")
    for word in ("# Source: ", "hours", "Hardware", "# Measured: "):
        assert word in note, word
    assert "@" not in note
