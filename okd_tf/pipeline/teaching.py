"""Who teaches in a run: its teachers, then the chain of its assistants, and what they said of the views."""

import functools
import pathlib

from okd_tf.teachers import assistant, bank, ensemble, folds, formats, store, teacher


class Teaching:
    """Who teaches in one run, and in the runs that have it as their `origin`. Making it reads nothing.

    What the run does not make itself is in the workdir of an origin: `Context.maker_of`.
    """

    def __init__(self, run):
        """Takes the run, a `Context`."""
        self._run = run

    def teacher_paths(self):
        """The teachers in the workdir, .keras files and SavedModel folders, in order."""
        return formats.inside(self._run.maker_of("teachers").workdir / "teachers", "teacher_*")

    @functools.cached_property
    def ensemble(self):
        """The teachers of the workdir: `Ensemble`."""
        maker = self._run.maker_of("teachers")
        if maker is not self._run:
            return maker.teaching.ensemble  # read once, whoever asks them
        return self._ensemble_of(self.teacher_paths())

    def to_hold_out(self):
        """What each of the teachers that are trained here is to hold out, as `folds.assigned` says it."""
        chosen = self._run.settings
        return folds.assigned(
            self._run.data.train.ids, chosen.num_teachers, chosen.teacher_folds, chosen.split_seed
        )

    @functools.cached_property
    def seen(self):
        """Which training examples each teacher of the workdir was trained on: bool [teachers, examples]."""
        held_out = [folds.recorded(path) for path in self.teacher_paths()]
        return folds.seen(self._run.data.train.ids, held_out)

    @property
    def bank_folder(self):
        """Where the teachers' stored logits are written and read."""
        maker = self._run.maker_of("bank")
        return pathlib.Path(maker.settings.bank or maker.workdir / "bank")

    def bank_key(self):
        """What the bank of the teachers that are there is of."""
        return self._key(self.teacher_paths())

    @functools.cached_property
    def bank(self):
        """The teachers' stored logits, checked: `store.Store`.

        Raises:
            UserError: not there, damaged, or of other data, views or teachers.
        """
        return self._read(self.bank_folder, self.bank_key())

    def assistant_path(self, index):
        """The file of an assistant, by its place in the chain from 0, whether it is there or not."""
        return assistant.path(self._assistants, index)

    def assistant(self, index):
        """An assistant of the workdir, as an `Ensemble` of one."""
        return self._ensemble_of([self.assistant_path(index)])

    def assistant_bank_folder(self, index):
        """Where what an assistant says of the views is written and read."""
        return assistant.bank_folder(self._assistants, index)

    def assistant_bank_key(self, index):
        """What the bank of an assistant that is there is of."""
        return self._key([self.assistant_path(index)])

    def after(self, links):
        """Who teaches after so many assistants: the last of these, or at 0 the teachers; `Ensemble`."""
        return self.assistant(links - 1) if links else self.ensemble

    def stored_after(self, links):
        """The stored logits of who teaches after so many assistants, checked: `store.Store`.

        Raises:
            UserError: as of `bank`.
        """
        if not links:
            return self.bank
        return self._read(self.assistant_bank_folder(links - 1), self.assistant_bank_key(links - 1))

    @property
    def _assistants(self):
        return self._run.maker_of("assistant").workdir / "assistant"

    def _ensemble_of(self, paths):
        return ensemble.Ensemble(teacher.read(path, self._run.data) for path in paths)

    def _key(self, paths):
        hashes = [teacher.content_hash(path) for path in paths]
        return bank.key(self._run.data, self._run.settings.seed, hashes, self._run.mixing)

    def _read(self, folder, key):
        return store.read(folder, key, bank.views(self._run.settings.views))
