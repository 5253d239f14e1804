"""splits.csv of a workdir: the split of each image, for training teachers or comparing results elsewhere.

    image,split,source
    train/cat/tabby.jpg,train,train
    train/dog/rex.jpg,val,train

`image` is a path below --data_dir if that is a folder of images, else the id of the example (for digits, its
row in scikit-learn's `load_digits`); `source` is the dataset's part that the image comes from, since ids are
unique within each part only. Rows are in the order train, val, test, and by id within each.
"""

import csv

from okd_tf import errors, fields, files
from okd_tf.data import folder

NAME = "splits.csv"
COLUMNS = ("image", "split", "source")
SPLITS = ("train", "val", "test")


def write(context):
    """Write the file, unless it exists and the run's data has not changed since.

    Args:
        context: the run; its run.json must still be that of the previous call.
    """
    path = context.workdir / NAME
    if path.exists() and _described(context) == context.split_record["sha256"]:
        return
    name = namer(context)
    with files.replacing(path) as temporary, _opened(temporary, "w") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for split in SPLITS:
            source = source_of(context.data, split)
            for example_id in getattr(context.data, split).ids.tolist():
                rows.writerow((name(split, example_id), split, source))


def source_of(data, split):
    """Return the part of its dataset that a split's images come from."""
    return "train" if split in data.carved else split


def namer(context):
    """Return a function (split, example id) -> name of the image in splits.csv.

    Args:
        context: the run.
    """
    asked = context.requested.request
    names = folder.names(asked) if asked.kind == folder.NAME and not context.source else {}

    def name(split, example_id):
        return names.get(source_of(context.data, split), {}).get(example_id, str(example_id))

    return name


def _opened(path, mode):
    # Names of files need not be UTF-8.
    return open(path, mode, newline="", encoding="utf-8", errors="surrogateescape")


def _described(context):
    """Return the hash of the splits in run.json; "" if the file is missing or damaged."""
    try:
        return fields.read(context.workdir / "run.json")["split"]["sha256"].text()
    except errors.UserError:
        return ""


def read(path):
    """Return the rows of a splits.csv: dicts of COLUMNS.

    Args:
        path: the file, of a run or written by tools/split.py; without `source` all rows are of "train".

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
