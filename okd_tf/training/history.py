"""history.csv: one row per finished epoch, kept in step with the checkpoints."""

import csv
import io
import pathlib

from okd_tf import files


def read(path, epochs):
    """The first `epochs` rows as dicts of numbers; an epoch that ran again after a kill is dropped."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows if row["epoch"] <= epochs]


def write(path, rows):
    """Writes all rows; each has the same columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.8g}" for key, value in row.items()} for row in rows)
    files.write_text(path, text.getvalue())
