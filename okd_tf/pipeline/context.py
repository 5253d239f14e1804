"""What a run is: its settings, its workdir, and what is made of them when first asked for.

Who teaches in it is `teaching`, what its networks learn from `lessons`.
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
    """One run. Making it reads nothing."""

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
        """Takes the settings.

        Args:
            chosen: the settings, which may leave some to the data.
            names: of the stages that are to run; if none trains, nothing is spread over devices or hosts.
            origin: a run of the same dataset, views and seed, whose data and `teaching` are this one's too.
            also_score: architectures that the search gives figures of beside its own.
            source: the dataset, in place of the one that the settings name.
            searched: a folder with what a search has found for this run, in place of one of its own.
            owns: of the stages "bank" and "assistant", those that a run with an `origin` makes itself.
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
        """The settings, with what `requested` leaves to the data resolved; reads the data if it leaves any.

        Raises:
            UserError: what is given leaves no room for the rest.
        """
        return self._planned.settings

    @functools.cached_property
    def _planned(self):
        return planning.resolve(self)

    @functools.cached_property
    def data(self):
        """The dataset, split: `Splits`."""
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
        """How the views that students and the search learn from are mixed: `Mixing`, or None."""
        return self._mixing("mix")

    @property
    def teacher_mixing(self):
        """How the views that teachers are trained on are mixed: `Mixing`, or None."""
        return self._mixing("teacher_mix")

    def _mixing(self, setting):
        kind = planning.mixes(self)[setting]
        if kind == mixing.NONE:
            return None
        balanced = self.requested.balance == imbalance.SAMPLING
        return mixing.Mixing(kind, self.requested.mix_probability, balanced)

    @functools.cached_property
    def split_record(self):
        """Sizes and hash of the splits."""
        return self.origin.split_record if self.origin else self.data.record()

    @property
    def plan_record(self):
        """What the settings that can be left to the data are, and what they follow: JSON values by name."""
        return {
            **{name: getattr(self.settings, name) for name in settings.OPEN},
            "train_examples": len(self.data.train),
            "replicas": self._planned.replicas,
        }

    def recipe_of(self, stage):
        """How the networks of a stage are trained: `Recipe`; "search" is of the shared weights."""
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
        """Over which devices trainings are spread: a tf.distribute.Strategy. Making it reads no data."""
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
        """Who teaches here: `Teaching`."""
        return self.origin.teaching if self.origin and not self.owns else teaching.Teaching(self)

    def maker_of(self, stage):
        """Return the run whose workdir holds what a stage leaves: this one, or the origin that makes it."""
        return self.origin.maker_of(stage) if self.origin and stage not in self.owns else self

    @property
    def crew(self):
        """The workers that run this together."""
        return crew.of(self.strategy)

    @functools.cached_property
    def backbone(self):
        """The bare backbone of the search, with the attach points that are asked for: `Backbone`."""
        return self._backbone[0]

    @property
    def _new_layers(self):
        """Names of the backbone's layers that are initialised anew; None where no weights are kept."""
        return self._backbone[1]

    @functools.cached_property
    def _backbone(self):
        return backbone.of(self.settings, self.data)

    def keep_backbone(self, folder):
        """Writes a backbone that is no registered one, prepared, to where arch.json will be; else nothing."""
        if backbones.is_stored(self.settings.backbone):
            stored.write(folder / stored.NAME, self.backbone.model)

    @functools.cached_property
    def space(self):
        """What the backbone can grow into: `SearchSpace`."""
        return space.SearchSpace.around(self.backbone, self.settings.ops)

    @functools.cached_property
    def template(self):
        """The bare backbone as a spec, with the budget: what the search adds to."""
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
        """The seed of search and student."""
        chosen = self.requested
        return seeds.derive(chosen.seed, "trial", chosen.trial) if chosen.trial else chosen.seed

    @property
    def budget(self):
        """What a student may cost: `Budget`."""
        return self.budgets[-1]

    @property
    def budgets(self):
        """The `Budget`s of all students of one search, rising; the last is that of the run's own."""
        return tuple(spec.Budget(most, self.requested.max_flops) for most in self.requested.budgets)

    @property
    def search_folder(self):
        """Where what the search has found is."""
        return pathlib.Path(self.searched or self.workdir / "search")

    @property
    def found_path(self):
        """The arch.json that the search has found, or that --arch names."""
        return pathlib.Path(self.requested.arch or self.search_folder / "arch.json")

    @property
    def arch_path(self):
        """The arch.json to train: the one that was found, or with --finals the one that won them."""
        return self.finals_path.with_name("arch.json") if self.requested.finals else self.found_path

    @property
    def finalists_path(self):
        """Where the search writes who takes part in the finals."""
        return self.search_folder / finalists.NAME

    @property
    def finals_path(self):
        """Where the figures of the finals are; the winner's arch.json lies beside it."""
        return self.workdir / "finals" / finals.NAME

    @property
    def choice_path(self):
        """Where the choice of the student's loss is written and read."""
        return self.workdir / "choice" / choice.NAME

    @property
    def opponents_path(self):
        """Where it is written which opponents there are; their trainings lie beside it."""
        return self.workdir / "opponents" / opponents.NAME

    @property
    def train_loss(self):
        """The loss of the student: --train_loss, or what `auto` took.

        Raises:
            UserError: nothing has been chosen yet, or choice.json cannot be read.
        """
        named = self.settings.train_loss
        return choice.read(self.choice_path)["taken"] if named == settings.choices.AUTO else named

    @property
    def student_path(self):
        """The student to evaluate: the run's own, or that of --student."""
        return pathlib.Path(self.requested.student or self.workdir / "student" / "student.keras")

    @property
    def exported_path(self):
        """The student to export: of several trials the best one on validation, or that of --student."""
        if self.requested.student:
            return self.student_path
        won = trials.winner(self.workdir, self.requested.trials)
        return trials.folder(self.workdir, won) / "student" / "student.keras"

    def architecture(self, path=None):
        """The spec in an arch.json, by default in `arch_path`, checked against the dataset.

        Raises:
            UserError: unreadable, for other images or classes, or not buildable.
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
        """What the bare backbone of the architecture is, as text; "" while there is no architecture."""
        if not self.found_path.exists():
            return ""
        found = spec.read(self.found_path)
        return json.dumps([found.backbone, found.width, found.mean, found.std, found.backbone_sha256])

    @functools.cached_property
    def foreign_student(self):
        """The network that --student names, held against the dataset as a teacher is: `Teacher`."""
        return teacher.read(self.student_path, self.data, exact=True)

    def classifier(self, path):
        """A network that takes this dataset's pixels and gives logits: of the workdir, or of --student."""
        if self.settings.student and path == self.student_path:
            return self.foreign_student
        network = keras_file.load(path)
        keras_file.check_fits(path, network, self.data.image_shape, self.data.classes)
        return inference.as_logits(network, self.data.val.images)


def _in_words(found, source):
    """What images a run has, and which of its parts are carved."""
    height, width, channels = found.image_shape
    parts = {
        "train": found.train,
        "val" if source.val else "val (carved)": found.val,
        "test" if source.test else "test (carved)": found.test,
    }
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in parts.items())
    return f"{found.classes} classes, images {height}x{width}x{channels}: {sizes}"
