"""Says who of the teachers is right, before hours are spent on them; trains nothing.

    python tools/diagnose.py --workdir=runs/mine --dataset=cifar100 --teachers=a.keras,b.keras

The teachers are those of --teachers, taken over into the workdir as by tools/train_teachers.py, or the
workdir's own. Takes the flags of tools/search.py; writes teachers/diagnosis.md, .json and .png.
"""

import pathlib

from okd_tf import cli, errors, lock, settings


def main():
    """Diagnoses."""
    cli.refuse_stages()
    cli.refuse_join()
    chosen = cli.resolve()
    own = pathlib.Path(chosen.workdir) / "teachers"
    there = any(list(own.glob(kind)) for kind in ("teacher_*.keras", "teacher_*/saved_model.pb"))
    if not chosen.teachers and not there:
        raise errors.UserError(
            f"--teachers: none given, and none in {own}; name .keras files, or run tools/train_teachers.py "
            "first"
        )
    if chosen.student:
        raise errors.UserError("--student: teachers are diagnosed here; leave it out")
    with lock.holding(chosen.workdir):
        cli.import_tensorflow()
        # After the flags are known to be good: these imports take seconds.
        from okd_tf import pipeline

        pipeline.diagnose(chosen)


if __name__ == "__main__":
    cli.define(settings.FIELDS)
    cli.start(main)
