"""splits.csv of a workdir: the split of each image, for training teachers or comparing results elsewhere.

An image of a folder is called by its path below --data_dir, any other by its id (of the digits: its row in
scikit-learn's `load_digits`). Rows are in the order train, val, test, and by id within each.
"""

from okd_tf import errors, fields, files
from okd_tf.data import folder
from okd_tf.sources import split_list


def write(context):
    """Write the file, unless it exists and the run's data has not changed since.

    Args:
        context: the run; its run.json must still be that of the previous call.
    """
    path = context.workdir / split_list.NAME
    if path.exists() and _described(context) == context.split_record["sha256"]:
        return
    name, data = namer(context), context.data
    rows = (
        (name(split, example_id), split, source_of(data, split))
        for split in split_list.SPLITS
        for example_id in getattr(data, split).ids.tolist()
    )
    with files.replacing(path) as temporary:
        split_list.write(temporary, rows)


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


def _described(context):
    """Return the hash of the splits in run.json; "" if the file is missing or damaged."""
    try:
        return fields.read(context.workdir / "run.json")["split"]["sha256"].text()
    except errors.UserError:
        return ""
