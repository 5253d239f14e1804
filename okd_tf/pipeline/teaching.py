"""Teachers of a run: the given or trained ones, the chain of assistants, and the stored logits of both."""

import functools
import pathlib

from okd_tf.teachers import assistant, bank, ensemble, folds, formats, store, teacher


class Teaching:
    """The teachers and assistants of a run, and of runs with it as their `origin`. Creating it reads nothing.

    Results that the run does not make itself are read from the workdir of an origin: `Context.maker_of`.
    """

    def __init__(self, run):
        """Create the teaching of a `Context`."""
        self._run = run

    def teacher_paths(self):
        """Return the teachers in the workdir, .keras files and SavedModel folders, in order."""
        return formats.inside(self._run.maker_of("teachers").workdir / "teachers", "teacher_*")

    @functools.cached_property
    def ensemble(self):
        """Return the `Ensemble` of the workdir's teachers.

        Raises:
            UserError: a teacher cannot be read, or does not fit the dataset.
        """
        maker = self._run.maker_of("teachers")
        if maker is not self._run:
            return maker.teaching.ensemble  # read once, whoever asks them
        return self._ensemble_of(self.teacher_paths())

    def to_hold_out(self):
        """Return the training examples that each teacher trained here must hold out, as `folds.assigned`."""
        chosen = self._run.settings
        return folds.assigned(
            self._run.data.train.ids, chosen.num_teachers, chosen.teacher_folds, chosen.split_seed
        )

    @functools.cached_property
    def seen(self):
        """Return a mask of the examples that each teacher was trained on: bool [teachers, examples]."""
        held_out = [folds.recorded(path) for path in self.teacher_paths()]
        return folds.seen(self._run.data.train.ids, held_out)

    @property
    def bank_folder(self):
        """Return the folder of the teachers' stored logits."""
        maker = self._run.maker_of("bank")
        return pathlib.Path(maker.settings.bank or maker.workdir / "bank")

    def bank_key(self):
        """Return the key of the current teachers' bank: all that its logits depend on."""
        return self._key(self.teacher_paths())

    @functools.cached_property
    def bank(self):
        """Return the teachers' stored logits, checked: `store.Store`.

        Raises:
            UserError: missing, damaged, or of other data, views or teachers.
        """
        return self._read(self.bank_folder, self.bank_key())

    def assistant_path(self, index):
        """Return the file of the assistant at position `index` in the chain, from 0; it need not exist."""
        return assistant.path(self._assistants, index)

    def assistant(self, index):
        """Return an assistant of the workdir as an `Ensemble` of one.

        Raises:
            UserError: the assistant cannot be read, or does not fit the dataset.
        """
        return self._ensemble_of([self.assistant_path(index)])

    def assistant_bank_folder(self, index):
        """Return the folder of an assistant's stored logits."""
        return assistant.bank_folder(self._assistants, index)

    def assistant_bank_key(self, index):
        """Return the key of an existing assistant's bank: all that its logits depend on."""
        return self._key([self.assistant_path(index)])

    def after(self, links):
        """Return the `Ensemble` that teaches after `links` assistants: the last one; for 0 the teachers."""
        return self.assistant(links - 1) if links else self.ensemble

    def stored_after(self, links):
        """Return the stored logits of `after(links)`, checked: `store.Store`.

        Raises:
            UserError: as `bank`.
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
