"""trials/: further trials of a run, each in a folder named by its number; trial 0 is the run itself."""

import pathlib

from okd_tf import files
from okd_tf.training import metrics

FOLDER = "trials"


def folder(workdir: files.PathLike, trial: int) -> pathlib.Path:
    """Return the workdir of a trial."""
    return pathlib.Path(workdir) / FOLDER / str(trial) if trial else pathlib.Path(workdir)


def winner(workdir: files.PathLike, trials: int) -> int:
    """Return the trial whose student is best on validation: by accuracy, then by loss, then the first.

    Only trained students are compared; 0 if there is none.

    Raises:
        UserError: a metrics.json is damaged; names the file.
    """
    standing = {}
    for trial in range(trials):
        path = folder(workdir, trial) / "student" / "metrics.json"
        if path.exists() and (val := metrics.read(path).get("val")):
            kept = metrics.kept_of(val)
            standing[trial] = (-kept["accuracy"], kept["loss"])
    return min(standing, key=standing.__getitem__, default=0)
