"""A small run, stage by stage: what its workdir is before and after each, when nothing happens to it.

Every scene plays in the same folder `run`, since a workdir's path is in some of its files.
"""

import dataclasses
import json
import shutil
import time

import bits
import keras
import runs

_FLAGS = (
    *("--dataset=digits", "--train_examples=64", "--val_examples=32", "--batch_size=16", "--views=2"),
    *("--attach_after=out.", "--ops=identity,conv_3x3", "--search_epochs=2", "--candidates=1"),
    *("--controller_updates=2", "--controller_children=2", "--student_epochs=2", "--checkpoint_steps=1"),
    "--opponents=none",
)
_OBSERVED = ("keep:remove:checkpoints", "count:touch:*")
_GIVEN = ("--teachers={backbone}", "--strategy=random")
_ASSISTANT = ("--assistant=resnet8", "--assistant_width=8", "--assistant_epochs=2")


@dataclasses.dataclass(frozen=True)
class Scene:
    """A stage of a run, or some of its stages.

    Attributes:
        name: of the scene.
        stages: of the spine.
        after: the scene before, whose workdir this one begins with; "" is none.
        flags: what is asked beside `_FLAGS` and what was asked before.
    """

    name: str
    stages: str
    after: str
    flags: tuple[str, ...] = ()


SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            *("teachers", "teachers", ""),
            ("--num_teachers=2", "--teacher_backbone=resnet8", "--teacher_width=8", "--teacher_epochs=2"),
        ),
        Scene("bank", "bank", "teachers"),
        Scene("darts", "search", "bank"),
        Scene("gumbel", "search", "bank", ("--strategy=gumbel",)),
        Scene("reinforce", "search", "bank", ("--strategy=reinforce",)),
        Scene("random", "search", "bank", ("--strategy=random",)),
        Scene("assistant", "assistant", "darts", _ASSISTANT),
        Scene("choice", "choice", "darts", ("--train_loss=auto",)),
        Scene("finals_search", "search", "bank", ("--strategy=random", "--finals=2")),
        Scene("finals", "finals", "finals_search"),
        Scene("budgets_search", "search", "bank", ("--strategy=random", "--max_params=1000,5000")),
        Scene("budgets", "budgets", "budgets_search"),
        Scene("student", "student", "assistant"),
        Scene("mutual", "student", "darts", ("--train_loss=mutual",)),
        Scene("baseline", "baseline", "student"),
        # Of a student that is more than its backbone.
        Scene("opponents", "opponents", "random", ("--opponents=all",)),
        Scene("trials", "trials", "random", ("--trials=2",)),
        Scene("evaluate", "evaluate", "baseline"),
        Scene("export", "export", "evaluate"),
        Scene("report", "report", "export"),
        # Of a given teacher and the cheapest strategy: from the bank to the exports in seconds.
        Scene("short", "teachers,bank,search,student", "", _GIVEN),
        Scene("short_search", "teachers,bank,search", "", _GIVEN),
        Scene("short_student", "student", "short_search"),
        Scene("short_pair", "student", "short_search", ("--train_loss=mutual",)),
        Scene("short_export", "export", "short_student"),
        Scene("short_report", "report", "short_student"),
    )
}


def write_backbone(path):
    """A network of two small convolutions; of fewer than eight channels, oneDNN's do not always repeat."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 1))
    features = keras.layers.Rescaling(1 / 64, -2.0)(pixels)
    for index in (1, 2):
        features = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name=f"conv{index}")(features)
        features = keras.layers.BatchNormalization(name=f"bn{index}")(features)
        features = keras.layers.ReLU(name=f"out{index}")(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    keras.Model(pixels, keras.layers.Dense(10, name="logits")(features)).save(path)


class Stages:
    """The uninterrupted run, each scene of which is run when first asked for, and a folder to play in."""

    def __init__(self, folder):
        """Takes an empty folder."""
        self.workdir = folder / "run"
        self._folder, self._kept = folder, folder / "kept"
        self._backbone = folder / "backbone.keras"
        write_backbone(self._backbone)
        self._known = {}  # by scene: (seconds, touches)
        self._record_before = 0

    def before(self, name):
        """Makes the folder what it is before a scene."""
        after = SCENES[name].after
        if after:
            self.measured(after)
        for folder in (self.workdir, self._kept):
            shutil.rmtree(folder, ignore_errors=True)
        if after:
            shutil.copytree(self._end(after), self.workdir)

    def flags(self, name):
        """The command line of a scene."""
        scene = SCENES[name]
        own = (flag.format(backbone=self._backbone) for flag in scene.flags)
        return [
            *(f"--workdir={self.workdir}", f"--backbone={self._backbone}", f"--stages={scene.stages}"),
            *(*_FLAGS, *own),
        ]

    def start(self, name, *faults, flags=()):
        """Starts a scene on the folder as it is."""
        self._record_before = self._record_time()
        return runs.Attempt([*faults, *_OBSERVED], [*self.flags(name), *flags], self._folder)

    def measured(self, name):
        """(seconds that it took, how often it touched a file): of the uninterrupted run."""
        if name not in self._known:
            self.before(name)
            attempt = self.start(name)
            self.wait_until_begun(name, attempt)
            started = time.monotonic()
            assert attempt.wait() == 0, attempt.output + attempt.errors
            seconds = time.monotonic() - started
            touches = int(attempt.output.rsplit("counted: ", 1)[1])
            shutil.copytree(self.workdir, self._end(name))
            if self._kept.exists():
                shutil.copytree(self._kept, self._end(name, "kept"))
            self._known[name] = seconds, touches
        return self._known[name]

    def wait_until_begun(self, name, attempt):
        """Waits until a process has recorded that the stage has begun; whether it lives."""
        while attempt.alive():
            if self._record_time() != self._record_before and self.unfinished(name):
                return True
            time.sleep(0.002)
        return False

    def _record_time(self):
        record = self.workdir / "stages.json"
        return record.stat().st_mtime_ns if record.exists() else 0

    def unfinished(self, name):
        """The stage of a scene that is recorded as begun and not complete, or ""."""
        record = json.loads((self.workdir / "stages.json").read_text())
        stages = SCENES[name].stages.split(",")
        return next((stage for stage in stages if stage in record and not record[stage]["complete"]), "")

    def differences(self, name, checkpoints=True):
        """What is not as after the uninterrupted scene, the last checkpoints of each training included."""
        found = bits.differences(self.workdir, self._end(name))
        if checkpoints and self._end(name, "kept").exists():
            found += bits.differences(self._kept, self._end(name, "kept"))
        return found

    def _end(self, name, what="end"):
        return self._folder / f"{name}_{what}"
