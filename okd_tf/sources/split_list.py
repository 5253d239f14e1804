"""The format of splits.csv, which lists the split of each image; written by runs and by tools/split.py.

    image,split,source
    train/cat/tabby.jpg,train,train
    train/dog/rex.jpg,val,train

`image` is a path below the folder of images, else the id of the example; `source` is the dataset's part that
the image comes from, since ids are unique within each part only.
"""

import csv
import pathlib
from collections.abc import Iterable
from typing import TextIO

from okd_tf import errors

NAME = "splits.csv"
COLUMNS = ("image", "split", "source")
SPLITS = ("train", "val", "test")


def write(path: pathlib.Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write rows of COLUMNS, one by one."""
    with _opened(path, "w") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(COLUMNS)
        written.writerows(rows)


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """Return the rows of a splits.csv: dicts of COLUMNS; without `source` all rows are of "train".

    Raises:
        UserError: the file is missing, not readable, or has other columns or splits.
    """
    mend = "give a splits.csv as a run or tools/split.py writes it: image,split,source"
    try:
        with _opened(path, "r") as file:
            rows = [{"source": "train", **row} for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise errors.UserError(f"{path}: cannot be read ({why}); {mend}") from None
    for row in rows:
        if not {*COLUMNS} <= {*row} or not row["image"] or row["split"] not in SPLITS:
            raise errors.UserError(f"{path}: has a row {list(row.values())[:3]}; {mend}")
    return rows


def _opened(path: pathlib.Path, mode: str) -> TextIO:
    # Names of files need not be UTF-8.
    return open(path, mode, newline="", encoding="utf-8", errors="surrogateescape")  # type: ignore[return-value]
