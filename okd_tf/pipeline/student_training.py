"""A training by the student's recipe with another length, loss or architecture, to compare with the student.

Recipe, seed of initial weights, views and the order of images are the student's; the schedule is a whole one
over the training's length. A finished training is not repeated, and an interrupted one resumes from its
checkpoint.
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
    """A training to compare with the student's.

    Attributes:
        stage: name of the stage that it is part of.
        name: its folder, below that of the stage.
        architecture: the network to train.
        loss: name of the loss.
        epochs: length of the training.
        title: name of the training on screen.
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
        """Return the folder of its files: student.keras, metrics.json, history.csv."""
        return context.workdir / self.stage / self.name

    def is_done(self, context) -> bool:
        """Return whether its files exist and its checkpoints are gone; the chief's answer, on all workers."""
        return context.crew.agree(functools.partial(_is_done, self.folder(context)))

    def complete(self, context):
        """Train, unless the training is done."""
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
        """Return the student's recipe; pretrained weights are frozen for the same share of the epochs."""
        how, whole = context.recipe_of(self.stage), context.settings.student_epochs
        return dataclasses.replace(how, frozen_epochs=how.frozen_epochs * self.epochs // whole)


def _is_done(folder):
    left = all((folder / name).exists() for name in ("student.keras", "metrics.json"))
    return left and recipe.is_finished(folder)
