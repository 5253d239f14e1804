"""A training by the student's recipe, of another length, loss or architecture, which it is compared with.

Recipe, seed of initial weights, views and the order of images are the student's; the schedule is whole, and
as long as the training. One that is done is not trained again, and one under way goes on from its checkpoint.
"""

import dataclasses
import functools
import gc
import pathlib

from okd_tf import seeds
from okd_tf.arch import spec
from okd_tf.pipeline import lessons
from okd_tf.student import distill
from okd_tf.training import history, metrics, recipe


@dataclasses.dataclass(frozen=True)
class StudentTraining:
    """One training.

    Attributes:
        stage: name of the stage that it is part of.
        name: its folder, below that of the stage.
        architecture: what is trained.
        loss: name of the loss.
        epochs: how long.
        title: what to call it on screen.
        links: number of assistants, of which the last one teaches; 0: the teachers do.
    """

    stage: str
    name: str
    architecture: spec.ArchSpec
    loss: str
    epochs: int
    title: str
    links: int = 0

    def folder(self, context) -> pathlib.Path:
        """Return where its files are: student.keras, metrics.json, history.csv."""
        return context.workdir / self.stage / self.name

    def is_done(self, context) -> bool:
        """Return whether it has left its files, and no checkpoints; all workers are told the same."""
        return context.crew.agree(functools.partial(_is_done, self.folder(context)))

    def complete(self, context):
        """Train, unless that is done."""
        if self.is_done(context):
            return
        distill.distill(
            self.architecture,
            lessons.objective(context, self.loss, self.links),
            context.data,
            lessons.training_batches(context, self.loss, "student training", self.links),
            epochs=self.epochs,
            seed=seeds.derive(context.trial_seed, "student"),
            how=self._recipe(context),
            folder=self.folder(context),
            logs=context.workdir / "logs" / self.stage / self.name,
            title=self.title,
        )
        # Networks and their traced functions refer to each other in circles; many are trained in turn.
        gc.collect()

    def figures(self, context):
        """Return {"accuracy", "loss"} of the kept weights on validation images, and {"epochs", "seconds"}."""
        found = metrics.read(self.folder(context) / "metrics.json")
        val = metrics.kept_of(found["val"])
        rows = history.finished(self.folder(context) / "history.csv", found["epochs"])
        return {
            "accuracy": val["accuracy"],
            "loss": val["loss"],
            "epochs": found["epochs"],
            "seconds": round(sum(row["seconds"] for row in rows), 1),
        }

    def _recipe(self, context):
        """The student's recipe; weights that are frozen at first are so for the same share of the epochs."""
        how, whole = context.recipe_of(self.stage), context.settings.student_epochs
        return dataclasses.replace(how, frozen_epochs=how.frozen_epochs * self.epochs // whole)


def _is_done(folder):
    left = all((folder / name).exists() for name in ("student.keras", "metrics.json"))
    return left and recipe.is_finished(folder)
