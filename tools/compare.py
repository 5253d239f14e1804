"""Compares arms over trials: trainings that differ in a few flags, with the same teachers and stored logits.

    python tools/compare.py --flagfile=COMMON.cfg --arms=ARMS --trials=3 --workdir=runs/mine --json=mine.json
    python tools/compare.py --json=mine.json --page_only

ARMS is text of paragraphs, each a name in brackets and below it the flags that differ from the common ones:

    [resnet8 mean mixed]
    --train_loss=mean
    --mix=cutmix

Takes the flags of tools/search.py; writes mine.json, and mine.md and mine.png beside it, after each training.
The same command goes on where it stopped. With --only and --only_trial it trains a part.
"""

import fnmatch
import os
import sys

from absl import flags

from okd_tf import cli, errors, settings
from okd_tf.cli import arms as arms_file

_ARMS = flags.DEFINE_string("arms", "", "file of the arms")
_REFERENCE = flags.DEFINE_string("reference", "", "arm that others are compared with (default: the first)")
_JSON = flags.DEFINE_string("json", "", "file of the results (default: arms.json in the workdir)")
_ONLY = flags.DEFINE_string("only", "", "train the arms alone whose name this pattern matches, as 'resnet8*'")
_ONLY_TRIAL = flags.DEFINE_integer("only_trial", None, "train this trial alone", lower_bound=0)
_PAGE_ONLY = flags.DEFINE_boolean(
    "page_only", False, "write page and plot of --json again, and train nothing"
)

_OF_ONE_CALL = ("only", "only_trial", "redo", "page_only")


def main():
    """Compares, or writes the page of what was compared."""
    if _PAGE_ONLY.value:
        _write_page()
        return
    cli.refuse_stages()
    if flags.FLAGS["join"].value:
        raise errors.UserError("--join: start the same command a second time, and both share the trainings")
    for name, why in (
        ("trial", "--trials says how many each arm has"),
        ("student", "arms are trained here"),
        ("bank", "the bank of each --views and --mix is made in --workdir"),
        ("check_bank", "tools/search.py checks a bank"),
    ):
        if flags.FLAGS[name].value:
            raise errors.UserError(f"--{name}: {why}; leave it out")
    if not _ARMS.value:
        raise errors.UserError("--arms: none given; name a file of arms, as --help shows one")
    arms = arms_file.read(_ARMS.value)
    names = [arm.name for arm in arms]
    if _REFERENCE.value and _REFERENCE.value not in names:
        raise errors.unknown("--reference", _REFERENCE.value, names)
    only = [name for name in names if fnmatch.fnmatchcase(name, _ONLY.value or "*")]
    if not only:
        raise errors.UserError(f"--only: {_ONLY.value} matches no arm; there are {', '.join(names)}")
    chosen = cli.resolve()
    if _ONLY_TRIAL.value is not None and _ONLY_TRIAL.value >= chosen.trials:
        raise errors.UserError(
            f"--only_trial: {_ONLY_TRIAL.value} is none of --trials={chosen.trials}, which are counted from 0"
        )
    cli.refuse_workers(chosen, "--distribution", "arms are shared by starting the same command again")
    results = _JSON.value or os.path.join(chosen.workdir, "arms.json")
    if not results.endswith(".json"):
        raise errors.UserError(f"--json: {results} does not end in .json; name such a file")
    cli.import_tensorflow()
    # After the flags are known to be good: these imports take seconds.
    from okd_tf.pipeline import arms as pipeline
    from okd_tf.pipeline import provenance

    asked = pipeline.Asked(
        arms=tuple(arms),
        trials=chosen.trials,
        reference=_REFERENCE.value or names[0],
        results=results,
        command=provenance.command("tools/compare.py", sys.argv[1:], without=_OF_ONE_CALL),
        only=frozenset(only),
        only_trial=_ONLY_TRIAL.value,
    )
    pipeline.run(chosen, asked)


def _write_page():
    if not _JSON.value:
        raise errors.UserError("--page_only: of which results? name them by --json")
    from okd_tf.report import arms as page
    from okd_tf.report import arms_pages

    found = page.read(_JSON.value)
    if _REFERENCE.value:
        found = page.with_reference(found, _REFERENCE.value)
    arms_pages.write(found, _JSON.value)


if __name__ == "__main__":
    cli.define(settings.FIELDS, defaults={"trials": 3})
    cli.start(main)
