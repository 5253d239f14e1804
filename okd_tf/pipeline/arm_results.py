"""Results of arms: collected from the workdir, written as JSON with a page and a plot beside it."""

import os

from okd_tf import errors, files, json_file, progress, settings
from okd_tf.pipeline import arm_runs, record, stages
from okd_tf.report import arms as page
from okd_tf.report import arms_pages
from okd_tf.settings import budgets
from okd_tf.teachers import diagnosis, ensemble, teacher

_NOT_COMMON = {"trial", "trials", "baseline", "opponents", "teachers"}  # of no arm, or paths of this machine


class Results:
    """Results of arms: those of the workdir, and those of other machines that the JSON file holds."""

    def __init__(self, main, asked, redo, need_teachers):
        """Create the results from the JSON file, if there is one; write nothing.

        Args:
            main: the `Context` that holds the teachers.
            asked: an `arms.Asked`.
            redo: whether to replace a file of other arms or teachers.
            need_teachers: whether this call uses teachers.

        Raises:
            UserError: the file is of other arms or teachers, cannot be read, or nothing can be written there.
        """
        self._main, self._asked = main, asked
        for suffix in arms_pages.SUFFIXES:
            files.refuse_unwritable(arms_pages.beside(asked.results, suffix), "--json")
        self._before = {}
        if os.path.exists(asked.results) and not redo:
            self._before = page.read(asked.results)
            self._refuse_others(need_teachers)

    def write(self, pairs):
        """Write JSON, page and plot of all finished pairs, and of those that only the file had."""
        document = self._document([pair for pair in pairs if pair.is_done], pairs)
        json_file.write(self._asked.results, document)
        arms_pages.write(document, self._asked.results)

    def show(self):
        """Print the content of the JSON file as a table."""
        path = self._asked.results
        progress.say(f"\n{page.screen(page.read(path))}\n\nresults: {path}, .md and .png beside it")

    def _document(self, done, pairs):
        trials = {arm.name: dict(self._trials_before(arm.name)) for arm in self._asked.arms}
        for pair in done:
            trials[pair.arm.name][pair.trial] = arm_runs.figures(pair)
        rows = [row for own in trials.values() for row in own.values()]
        return {
            "arms": {
                arm.name: {
                    "params": _params(trials[arm.name].values()),
                    "flags": arm.flags,
                    "trials": [row for _, row in sorted(trials[arm.name].items())],
                }
                for arm in self._asked.arms
            },
            "missing": [
                [pair.arm.name, pair.trial] for pair in pairs if pair.trial not in trials[pair.arm.name]
            ],
            "reference": self._asked.reference,
            "teachers": self._teachers() or self._before.get("teachers"),
            "common": common_flags(self._main.settings),
            "commit": _together(rows, "commit"),
            "command": self._asked.command,
            "precision": self._main.settings.precision,
            "processor": _together(rows, "processor"),
        }

    def _trials_before(self, name):
        arm = self._before.get("arms", {}).get(name, {"trials": []})
        return {row["seed"]: row for row in arm["trials"]}

    def _teachers(self):
        """Return the teachers' figures for the results; None while there are no teachers."""
        main = self._main
        if record.outdated(main, stages.STAGES["teachers"]):
            return None
        found = diagnosis.read(main.workdir / "teachers" / "diagnosis.json")
        parts = {name: _ensemble(found[name]) for name in ("test", "val")}
        marked = [text for text in found["warnings"] if text.startswith(diagnosis.MARK)]
        return {
            **parts["test"],
            "params": [one["params"] for one in found["teachers"]],
            "val": parts["val"],
            "sha256": [one["sha256"] for one in found["teachers"]],
            # Which figures may be of memory, with the sentences that say why.
            **({"carved": found["carved"], "warnings": marked} if marked else {}),
        }

    def _refuse_others(self, need_teachers):
        why = self._other_flags() or (self._other_teachers() if need_teachers else "")
        if why:
            raise errors.UserError(
                f"--json: {self._asked.results} {why}; add --redo to write it anew, or name another file"
            )

    def _other_flags(self):
        before, now = self._before, {arm.name: arm.flags for arm in self._asked.arms}
        common = common_flags(self._main.settings)
        for name in sorted({*before["common"], *common}):
            if before["common"].get(name) != common.get(name):
                return f"has results of another --{name} than here"
        for name, arm in before["arms"].items():
            if arm["trials"] and arm["flags"] != now.get(name):
                what = "with other flags" if name in now else "which is none of these"
                return f"has results of the arm '{name}', {what}"
        return ""

    def _other_teachers(self):
        before, main = self._before["teachers"], self._main
        if before is None or not any(arm["trials"] for arm in self._before["arms"].values()):
            return ""
        given = ensemble.paths(main.settings.teachers)
        if not record.outdated(main, stages.STAGES["teachers"]):
            given = main.teaching.teacher_paths()
        if not given:
            return f"has results of teachers that are not in {main.workdir}, where others would be trained"
        same = list(map(teacher.content_hash, given)) == before["sha256"]
        return "" if same else "has results of other teachers than these"


def common_flags(chosen):
    """Return the dataset and all result settings that differ from their defaults, as JSON values."""
    found = {}
    for name, field in settings.FIELDS.items():
        value, decides = getattr(chosen, name), field.metadata["kind"] == settings.RESULT
        usual = value == settings.default(field) and name != "dataset"
        if decides and not usual and name not in _NOT_COMMON:
            found[name] = budgets.shown(value) if name == "max_params" else _shown(value)
    return found


def _shown(value):
    """Return a setting as a JSON value; of a path on this machine only the last part."""
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    if not isinstance(value, str) or os.sep not in value:
        return value
    kind, colon, path = value.rpartition(":")
    return f"{kind}{colon}{os.path.basename(path)}" if os.path.isabs(path) else value


def _ensemble(part):
    """Return the figures of one part of a diagnosis that the results contain."""
    return {name: part[name] for name in ("per_teacher", "mean", "vote", "oracle", "loss")}


def _params(rows):
    """Return the number of parameters of an arm's networks, the mean if they differ; None without any."""
    sizes = [row["params"] for row in rows]
    return round(sum(sizes) / len(sizes)) if sizes else None


def _together(rows, name):
    """Return the different values of a text field, joined."""
    return ", ".join(dict.fromkeys(row[name] for row in rows if row[name]))
