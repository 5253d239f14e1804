"""budgets/: the students of the smaller budgets of one search, each in a folder named by its budget."""

import pathlib

from okd_tf import files

FOLDER = "budgets"


def folder(workdir: files.PathLike, max_params: int) -> pathlib.Path:
    """Return the workdir of the student with at most `max_params` parameters."""
    return pathlib.Path(workdir) / FOLDER / str(max_params)


def there(workdir: files.PathLike) -> dict[int, pathlib.Path]:
    """Return the paths of the existing students' metrics.json, by budget in rising order."""
    paths = (pathlib.Path(workdir) / FOLDER).glob("*/student/metrics.json")
    by_budget = {int(path.parents[1].name): path for path in paths if path.parents[1].name.isdigit()}
    return dict(sorted(by_budget.items()))
