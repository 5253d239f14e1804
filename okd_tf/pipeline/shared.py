"""What the stages of one run share: settings, workdir, and what is made of them when first asked for."""

import dataclasses
import functools
import json
import pathlib

import keras

from okd_tf import backbones, data, errors, losses, seeds, settings
from okd_tf.arch import build, cost, space, spec
from okd_tf.backbones import attach, keras_file, prepare, stored
from okd_tf.data import batches, imbalance, splits, views
from okd_tf.teachers import assistant, bank, ensemble, folds, formats, store, teacher
from okd_tf.training import distribution, inference, objective, recipe

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
    ):
        """Takes the settings.

        Args:
            chosen: the settings.
            names: of the stages that are to run; if none trains, nothing is spread over devices or hosts.
            origin: a run of the same dataset, views and seed, whose teachers and bank this one uses.
            also_score: architectures that the search gives figures of beside its own.
            source: the dataset, in place of the one that the settings name.
        """
        self.settings = chosen
        self.workdir = pathlib.Path(chosen.workdir)
        self.names = tuple(names)
        self.origin = origin
        self.also_score = also_score
        self.source = source

    @functools.cached_property
    def data(self):
        """The dataset, split: `Splits`."""
        if self.origin:
            return self.origin.data
        chosen = self.settings
        found = splits.carve(
            data.given(self.source, chosen.request) if self.source else data.read(chosen.request),
            chosen.split_seed,
            chosen.val_examples,
            chosen.train_examples,
            chosen.test_examples,
            chosen.statistics,
        )
        shown = views.make(
            found.augmentation,
            found.image_shape,
            chosen.augmentation,
            padding=chosen.crop_padding,
            number=chosen.augmentation_ops,
            magnitude=chosen.augmentation_magnitude,
        )
        return dataclasses.replace(found, augmentation=shown)

    @functools.cached_property
    def split_record(self):
        """Sizes and hash of the splits."""
        return self.data.record()

    @functools.cached_property
    def recipe(self):
        """How networks are trained here: `Recipe`."""
        chosen = self.settings
        return recipe.Recipe(
            learning_rate=chosen.learning_rate,
            schedule=chosen.schedule,
            weight_decay=chosen.weight_decay,
            steps_per_execution=chosen.steps_per_execution,
            checkpoint_seconds=chosen.checkpoint_seconds,
            checkpoint_steps=chosen.checkpoint_steps,
            strategy=self._strategy(),
            clip_norm=chosen.clip_norm,
            compute=chosen.precision,
            drops=chosen.drops,
        )

    def _strategy(self):
        chosen = self.settings
        if self.origin:
            return self.origin.recipe.strategy
        if not set(self.names) & set(settings.choices.TRAINING):
            return distribution.make("none", chosen.batch_size)
        told = {
            name: settings.text(getattr(chosen, name)) for name in settings.FIELDS if name not in _OF_A_HOST
        }
        told["stages"] = ",".join(self.names)
        return distribution.make(chosen.distribution, chosen.batch_size, told, chosen.workers_wait_seconds)

    @property
    def crew(self):
        """The workers that run this together."""
        return self.recipe.crew

    @functools.cached_property
    def backbone(self):
        """The bare backbone of the search, with the attach points that are asked for: `Backbone`."""
        chosen = self.settings
        arguments = (self.data.image_shape, self.data.classes, self.data.mean, self.data.std)
        if backbones.is_file(chosen.backbone):
            # Its initial weights mean nothing, but its file has them: the same bytes whenever it is read.
            keras.utils.set_random_seed(seeds.derive(chosen.seed, "backbone"))
            model = prepare.read(chosen.backbone, *arguments)
            if not chosen.searches and not chosen.attach_after:
                return backbones.Backbone(model, ())
            points = attach.select(model, chosen.attach_after, chosen.backbone)
            return backbones.Backbone(model, points)
        built = backbones.build(chosen.backbone, chosen.backbone_width, *arguments)
        if not chosen.attach_after:
            return built
        points = attach.select(built.model, chosen.attach_after, chosen.backbone)
        return backbones.Backbone(built.model, points)

    def keep_backbone(self, folder):
        """Writes a user's own backbone, prepared, into the folder where arch.json will be; else nothing."""
        if backbones.is_file(self.settings.backbone):
            stored.write(folder / stored.NAME, self.backbone.model)

    @functools.cached_property
    def space(self):
        """What the backbone can grow into: `SearchSpace`."""
        return space.SearchSpace.around(self.backbone, self.settings.ops)

    @functools.cached_property
    def template(self):
        """The bare backbone as a spec, with the budget: what the search adds to."""
        chosen = self.settings
        file = backbones.is_file(chosen.backbone)
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
            backbone_sha256=stored.fingerprint(self.backbone.model) if file else "",
            folder=str(self.workdir / "search"),
        )

    @property
    def trial_seed(self):
        """The seed of search and student."""
        chosen = self.settings
        return seeds.derive(chosen.seed, "trial", chosen.trial) if chosen.trial else chosen.seed

    @property
    def _source(self):
        """The workdir of the teachers and the bank."""
        return self.origin.workdir if self.origin else self.workdir

    @property
    def budget(self):
        """What a student may cost: `Budget`."""
        return spec.Budget(self.settings.max_params, self.settings.max_flops)

    @property
    def arch_path(self):
        """The arch.json to train."""
        return pathlib.Path(self.settings.arch or self.workdir / "search" / "arch.json")

    @property
    def student_path(self):
        """The student to evaluate and export."""
        return pathlib.Path(self.settings.student or self.workdir / "student" / "student.keras")

    def architecture(self):
        """The spec to train, checked against the dataset.

        Raises:
            UserError: unreadable, for other images or classes, or not buildable.
        """
        found = spec.read(self.arch_path)
        for what, theirs, ours in (
            ("classes", found.classes, self.data.classes),
            ("input_shape", found.input_shape, self.data.image_shape),
        ):
            if theirs != ours:
                raise errors.UserError(
                    f"{self.arch_path}: {what} is {theirs}, '{self.data.name}' has {ours}; "
                    "use an architecture found for this dataset"
                )
        if not self.budget.admits(found.cost):
            raise errors.UserError(
                f"{self.arch_path}: costs {found.cost.params:,} parameters and {found.cost.flops:,} FLOPs, "
                f"over --max_params={self.settings.max_params} or --max_flops={self.settings.max_flops}; "
                "search again, or raise the budget"
            )
        try:
            build.student(found)
        except errors.UserError as error:
            raise errors.UserError(f"{self.arch_path}: {error}") from None
        return found

    def described_backbone(self):
        """What the bare backbone of the architecture is, as text; "" while there is no architecture."""
        if not self.arch_path.exists():
            return ""
        found = spec.read(self.arch_path)
        return json.dumps([found.backbone, found.width, found.mean, found.std, found.backbone_sha256])

    def classifier(self, path):
        """A .keras file as a network that takes this dataset's pixels and gives logits."""
        network = keras_file.load(path)
        keras_file.check_fits(path, network, self.data.image_shape, self.data.classes)
        return inference.as_logits(network, self.data.val.images)

    def teacher_paths(self):
        """The teachers in the workdir, .keras files and SavedModel folders, in order."""
        return formats.inside(self._source / "teachers", "teacher_*")

    @functools.cached_property
    def ensemble(self):
        """The teachers of the workdir: `Ensemble`."""
        if self.origin:
            return self.origin.ensemble
        return self._ensemble_of(self.teacher_paths())

    def assistant_paths(self):
        """The files of the chain of assistants, in order, whether they are there or not."""
        count = len(self.settings.assistant)
        return [assistant.path(self._source / "assistant", index) for index in range(count)]

    def assistant_bank(self, index):
        """The folder of what an assistant says of the views."""
        return assistant.bank_folder(self._source / "assistant", index)

    def assistant(self, index):
        """An assistant of the workdir, as an `Ensemble` of one."""
        return self._ensemble_of([self.assistant_paths()[index]])

    def _ensemble_of(self, paths):
        return ensemble.Ensemble(teacher.read(path, self.data) for path in paths)

    @property
    def bank_folder(self):
        """Where stored logits are written and read."""
        return pathlib.Path(self.settings.bank or self._source / "bank")

    def bank_key(self):
        """What the bank of the teachers that are there is of."""
        return bank.key(
            self.data, self.settings.seed, [teacher.content_hash(path) for path in self.teacher_paths()]
        )

    def assistant_key(self, index):
        """What its bank is of."""
        return bank.key(self.data, self.settings.seed, [teacher.content_hash(self.assistant_paths()[index])])

    @functools.cached_property
    def bank(self):
        """The stored logits, checked: `store.Store`.

        Raises:
            UserError: not there, damaged, or of other data, views or teachers.
        """
        if self.origin:
            return self.origin.bank
        return store.read(self.bank_folder, self.bank_key(), bank.views(self.settings.views))

    def to_hold_out(self):
        """What each of the teachers that are trained here is to hold out, as `folds.assigned` says it."""
        chosen = self.settings
        return folds.assigned(
            self.data.train.ids, chosen.num_teachers, chosen.teacher_folds, chosen.split_seed
        )

    @functools.cached_property
    def seen(self):
        """Which training examples each teacher of the workdir was trained on: bool [teachers, examples]."""
        if self.origin:
            return self.origin.seen
        held_out = [folds.recorded(path) for path in self.teacher_paths()]
        return folds.seen(self.data.train.ids, held_out)

    def needs_bank(self):
        """Whether stored logits are wanted: some loss needs teachers, and they are not asked live."""
        used = {self.settings.train_loss}
        if self.settings.searches:
            used.add(self.settings.search_loss)
        return bool(used & losses.NEEDS_TEACHERS) and self.settings.views > 0

    def objective(self, name, links=0):
        """A loss with the run's settings, with live teachers if that is how they are asked.

        Who teaches is the ensemble, or with `links` assistants of the chain before it the last of these.
        """
        live = name in losses.NEEDS_TEACHERS and self.settings.views == 0
        teaching = (self.assistant(links - 1) if links else self.ensemble) if live else None
        return objective.Objective(
            name,
            self.settings.temperature,
            self.settings.ce_weight,
            live_teachers=teaching.live if teaching else None,
            settings={setting: getattr(self.settings, setting) for setting in losses.SETTINGS[name]},
        )

    def training_batches(self, loss, purpose, links=0, seed=None):
        """Batches of the training split in this run's views, with stored logits if the loss wants them.

        Args:
            loss: its name.
            purpose: of the batches; each has an order of its own.
            links: how many assistants of the chain stand before; the logits are the last one's, or at 0 the
                teachers'.
            seed: of the order, in place of the trial's.
        """
        chosen = self.settings
        return batches.Batches(
            self.data.train,
            chosen.batch_size,
            seeds.derive(self.trial_seed if seed is None else seed, purpose),
            self.data.augmentation,
            view_seed=chosen.seed,
            num_views=chosen.views,
            teacher_logits=self._stored_logits(loss, "train", links),
            # An assistant has seen all training examples, and is heard all the same.
            heard=None if links else self._heard(loss),
            **self._balance(),
        )

    def validation_batches(self, loss, purpose):
        """Batches of the validation images as they are, with stored logits if the loss wants them.

        Classes count in them as they do in training batches: what learns from either learns the same task.
        """
        chosen = self.settings
        replicas = self.recipe.strategy.num_replicas_in_sync
        return batches.Batches(
            self.data.val,
            min(chosen.batch_size, len(self.data.val)) // replicas * replicas,
            seeds.derive(self.trial_seed, purpose),
            teacher_logits=self._stored_logits(loss, "val"),
            **self._balance(),
        )

    def _balance(self):
        """What batches are told about classes of unequal size; weights are of the training split."""
        balance = self.settings.balance
        return {
            "balanced": balance == imbalance.SAMPLING,
            "class_weights": imbalance.class_weights(balance, self.data.train.labels),
        }

    def _heard(self, loss):
        """Whose logits count for which training example, bool [examples, teachers]; None: all."""
        if loss not in losses.NEEDS_TEACHERS or not self.settings.held_out_only:
            return None
        folds.check_held_out(self.seen)
        return ~self.seen.T

    def _stored_logits(self, loss, part, links=0):
        if loss not in losses.NEEDS_TEACHERS or not self.settings.views:
            return None
        if links:
            folder, key = self.assistant_bank(links - 1), self.assistant_key(links - 1)
            return store.read(folder, key, bank.views(self.settings.views)).reader(part)
        return self.bank.reader(part)
