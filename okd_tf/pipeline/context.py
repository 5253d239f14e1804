"""The run of a pipeline: its settings, its workdir, and the objects made from them when first used.

`teaching` provides the run's teachers and assistants, `lessons` the training inputs of its networks.
"""

import dataclasses
import functools
import json
import pathlib

from okd_tf import backbones, data, errors, progress, seeds, settings
from okd_tf.arch import build, cost, space, spec
from okd_tf.backbones import keras_file, stored
from okd_tf.data import imbalance, mixing, splits, views
from okd_tf.pipeline import backbone, planning, teaching
from okd_tf.search import finalists
from okd_tf.student import choice, finals, opponents, trials
from okd_tf.teachers import teacher
from okd_tf.training import crew, distribution, inference, recipe

_OF_A_HOST = (  # may differ from host to host
    *("data_dir", "download", "tiny_imagenet_zip", "cache_dir", "cache_bytes"),
    *("bank", "workers_wait_seconds"),
)


class Context:
    """A run. Creating it reads nothing."""

    def __init__(
        self,
        chosen: settings.Settings,
        names=settings.STAGES,
        origin: "Context | None" = None,
        also_score=(),
        source: data.Source | None = None,
        owns=(),
        searched="",
    ):
        """Create the run.

        Args:
            chosen: the settings, of which some may be left open.
            names: names of the stages to run; if none trains, nothing is distributed over devices or hosts.
            origin: a run of the same dataset, views and seed, whose data and `teaching` this run shares.
            also_score: extra architectures that the search evaluates beside its own candidates.
            source: the dataset, in place of the one that the settings name.
            owns: of the stages "bank" and "assistant", those that a run with an `origin` executes itself.
            searched: a folder with search results for this run, in place of a search of its own.
        """
        self.requested = chosen
        self.workdir = pathlib.Path(chosen.workdir)
        self.names = tuple(names)
        self.origin = origin
        self.also_score = also_score
        self.source = source
        self.owns = frozenset(owns)
        self.searched = searched

    @functools.cached_property
    def settings(self):
        """Return the settings with all open values resolved; reads the data if there are any.

        Raises:
            UserError: a given value leaves no room for the others.
        """
        return self._planned.settings

    @functools.cached_property
    def _planned(self):
        return planning.resolve(self)

    @functools.cached_property
    def data(self):
        """Return the dataset with its splits: `Splits`."""
        if self.origin:
            return self.origin.data
        chosen = self.requested
        source = data.given(self.source, chosen.request) if self.source else data.read(chosen.request)
        found = splits.carve(
            source,
            chosen.split_seed,
            chosen.val_examples,
            chosen.train_examples,
            chosen.test_examples,
            chosen.statistics,
            chosen.drop_duplicates,
        )
        shown = views.make(
            found.augmentation,
            found.image_shape,
            planning.augmentation(self, found),
            padding=chosen.crop_padding,
            number=chosen.augmentation_ops,
            magnitude=chosen.augmentation_magnitude,
        )
        progress.say(f"data: {found.name}: {_in_words(found, source)}")
        return dataclasses.replace(found, augmentation=shown)

    @property
    def mixing(self):
        """Return the mixing of the views for the search and students: `Mixing`, or None."""
        return self._mixing("mix")

    @property
    def teacher_mixing(self):
        """Return the mixing of the views that teachers are trained on: `Mixing`, or None."""
        return self._mixing("teacher_mix")

    def _mixing(self, setting):
        kind = planning.mixes(self)[setting]
        if kind == mixing.NONE:
            return None
        balanced = self.requested.balance == imbalance.SAMPLING
        return mixing.Mixing(kind, self.requested.mix_probability, balanced)

    @functools.cached_property
    def split_record(self):
        """Return sizes and hash of the splits."""
        return self.origin.split_record if self.origin else self.data.record()

    @property
    def plan_record(self):
        """Return the resolved values of open settings and the facts they depend on: JSON values by name."""
        return {
            **{name: getattr(self.settings, name) for name in settings.OPEN},
            "train_examples": len(self.data.train),
            "replicas": self._planned.replicas,
        }

    def recipe_of(self, stage):
        """Return the `Recipe` of a stage's networks; for "search" that of the shared weights."""
        chosen = self.settings
        return recipe.Recipe(
            learning_rate=getattr(chosen, chosen.deciding("learning_rate", stage)),
            schedule=chosen.schedule,
            weight_decay=getattr(chosen, chosen.deciding("weight_decay", stage)),
            steps_per_execution=chosen.steps_per_execution,
            checkpoint_seconds=chosen.checkpoint_seconds,
            checkpoint_steps=chosen.checkpoint_steps,
            strategy=self.strategy,
            clip_norm=chosen.clip_norm,
            compute=chosen.precision,
            drops=chosen.drops,
            momentum=chosen.momentum,
            nesterov=chosen.nesterov,
            keep=chosen.keep,
            average_decay=chosen.average_decay,
            warm_rate=chosen.warm_rate,
            frozen_epochs=chosen.frozen_epochs,
        )

    @functools.cached_property
    def strategy(self):
        """Return the tf.distribute.Strategy of the trainings; reads no data."""
        chosen = self.requested
        if self.origin:
            return self.origin.strategy
        if not set(self.names) & set(settings.choices.TRAINING):
            return distribution.make("none", chosen.batch_size)
        told = {
            name: settings.text(getattr(chosen, name)) for name in settings.FIELDS if name not in _OF_A_HOST
        }
        told["stages"] = ",".join(self.names)
        return distribution.make(chosen.distribution, chosen.batch_size, told, chosen.workers_wait_seconds)

    @functools.cached_property
    def teaching(self):
        """Return the run's teachers and assistants: `Teaching`."""
        return self.origin.teaching if self.origin and not self.owns else teaching.Teaching(self)

    def maker_of(self, stage):
        """Return the run whose workdir holds a stage's results: this one, or the origin that makes them."""
        return self.origin.maker_of(stage) if self.origin and stage not in self.owns else self

    @property
    def crew(self):
        """Return the group of workers that execute this run."""
        return crew.of(self.strategy)

    @functools.cached_property
    def backbone(self):
        """Return the bare backbone of the search with the requested attach points: `Backbone`."""
        return self._backbone[0]

    @property
    def _new_layers(self):
        """Return the names of the backbone's newly initialised layers; None if no layer keeps weights."""
        return self._backbone[1]

    @functools.cached_property
    def _backbone(self):
        return backbone.of(self.settings, self.data)

    def keep_backbone(self, folder):
        """Write the prepared backbone to the folder of arch.json, unless it is a registered one."""
        if backbones.is_stored(self.settings.backbone):
            stored.write(folder / stored.NAME, self.backbone.model)

    @functools.cached_property
    def space(self):
        """Return the `SearchSpace` around the backbone."""
        return space.SearchSpace.around(self.backbone, self.settings.ops)

    @functools.cached_property
    def template(self):
        """Return the spec of the bare backbone with the budget, to which the search adds layers."""
        chosen = self.settings
        file = backbones.is_stored(chosen.backbone)
        return spec.ArchSpec(
            backbone=stored.NAME if file else chosen.backbone,
            width=0 if file else chosen.backbone_width,
            input_shape=self.data.image_shape,
            classes=self.data.classes,
            mean=() if file else self.data.mean,
            std=() if file else self.data.std,
            add_ons=(),
            cost=cost.of_model(self.backbone.model),
            budget=self.budget,
            attach_points=self.backbone.attach_points,
            backbone_sha256=stored.fingerprint(self.backbone.model, self._new_layers) if file else "",
            keep_weights=self._new_layers is not None,
            new_layers=self._new_layers or (),
            folder=str(self.workdir / "search"),
        )

    @property
    def trial_seed(self):
        """Return the seed of search and student."""
        chosen = self.requested
        return seeds.derive(chosen.seed, "trial", chosen.trial) if chosen.trial else chosen.seed

    @property
    def budget(self):
        """Return the `Budget` of the run's student."""
        return self.budgets[-1]

    @property
    def budgets(self):
        """Return the `Budget`s of all students of one search, rising; the last is that of the run's own."""
        return tuple(spec.Budget(most, self.requested.max_flops) for most in self.requested.budgets)

    @property
    def search_folder(self):
        """Return the folder of the search's results."""
        return pathlib.Path(self.searched or self.workdir / "search")

    @property
    def found_path(self):
        """Return the path of the arch.json of the search, or the one that --arch names."""
        return pathlib.Path(self.requested.arch or self.search_folder / "arch.json")

    @property
    def arch_path(self):
        """Return the path of the arch.json to train: the search's, or with --finals the winner's."""
        return self.finals_path.with_name("arch.json") if self.requested.finals else self.found_path

    @property
    def finalists_path(self):
        """Return the path of the file in which the search lists the finalists."""
        return self.search_folder / finalists.NAME

    @property
    def finals_path(self):
        """Return the path of finals.json; the winner's arch.json lies beside it."""
        return self.workdir / "finals" / finals.NAME

    @property
    def choice_path(self):
        """Return the path of choice.json, with the choice of the student's loss."""
        return self.workdir / "choice" / choice.NAME

    @property
    def opponents_path(self):
        """Return the path of opponents.json; the opponents' trainings lie beside it."""
        return self.workdir / "opponents" / opponents.NAME

    @property
    def train_loss(self):
        """Return the loss of the student: --train_loss, or the one that `auto` chose.

        Raises:
            UserError: no loss has been chosen yet, or choice.json cannot be read.
        """
        named = self.settings.train_loss
        return choice.read(self.choice_path)["taken"] if named == settings.choices.AUTO else named

    @property
    def student_path(self):
        """Return the path of the student to evaluate: the run's own, or that of --student."""
        return pathlib.Path(self.requested.student or self.workdir / "student" / "student.keras")

    @property
    def exported_path(self):
        """Return the path of the student to export: the best trial's on validation, or that of --student."""
        if self.requested.student:
            return self.student_path
        won = trials.winner(self.workdir, self.requested.trials)
        return trials.folder(self.workdir, won) / "student" / "student.keras"

    def architecture(self, path=None):
        """Return the spec in an arch.json, by default `arch_path`, checked against the dataset.

        Raises:
            UserError: unreadable, for other images or classes, over the budget, or not buildable.
        """
        path = path or self.arch_path
        found = spec.read(path)
        for what, theirs, ours in (
            ("classes", found.classes, self.data.classes),
            ("input_shape", found.input_shape, self.data.image_shape),
        ):
            if theirs != ours:
                raise errors.UserError(
                    f"{path}: {what} is {theirs}, '{self.data.name}' has {ours}; "
                    "use an architecture found for this dataset"
                )
        if not self.budget.admits(found.cost):
            raise errors.UserError(
                f"{path}: costs {found.cost.params:,} parameters and {found.cost.flops:,} FLOPs, "
                f"over --max_params={self.budget.max_params} or --max_flops={self.budget.max_flops}; "
                "search again, or raise the budget"
            )
        try:
            build.student(found)
        except errors.UserError as error:
            raise errors.UserError(f"{path}: {error}") from None
        return found

    def described_backbone(self):
        """Return a text that identifies the architecture's bare backbone; "" while there is no arch.json."""
        if not self.found_path.exists():
            return ""
        found = spec.read(self.found_path)
        return json.dumps([found.backbone, found.width, found.mean, found.std, found.backbone_sha256])

    @functools.cached_property
    def foreign_student(self):
        """Return the network that --student names, checked against the dataset as a teacher is: `Teacher`.

        Raises:
            UserError: it cannot be read, or does not fit the dataset.
        """
        return teacher.read(self.student_path, self.data, exact=True)

    def classifier(self, path):
        """Return a network of the workdir, or of --student, that maps this dataset's pixels to logits.

        Raises:
            UserError: it cannot be read, or does not fit the dataset.
        """
        if self.settings.student and path == self.student_path:
            return self.foreign_student
        network = keras_file.load(path)
        keras_file.check_fits(path, network, self.data.image_shape, self.data.classes)
        return inference.as_logits(network, self.data.val.images)


def _in_words(found, source):
    """Return in words the classes, image shape and split sizes of a run, and which splits were carved."""
    height, width, channels = found.image_shape
    parts = {
        "train": found.train,
        "val" if source.val else "val (carved)": found.val,
        "test" if source.test else "test (carved)": found.test,
    }
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in parts.items())
    return f"{found.classes} classes, images {height}x{width}x{channels}: {sizes}"
