"""The table history.csv: one row per finished epoch, kept consistent with the checkpoints."""

import csv
import io
import math
import pathlib

from okd_tf import errors, files

COLUMNS = ("epoch", "step", "seconds")  # of every training; its own follow
_MEND = "delete it and what lies beside it in checkpoints/, and this training starts again"


def finished(path, epochs):
    """Return the rows of the first `epochs` epochs, all of which have finished.

    Raises:
        UserError: raised by `read`, or some of these rows are missing.
    """
    rows = read(path, epochs)
    if len(rows) < epochs:
        raise errors.UserError(f"{path}: holds {len(rows)} of {epochs} finished epochs; {_MEND}")
    return rows


def read(path, epochs=None):
    """Return the first `epochs` rows (None: all) as dicts of numbers; [] if there is no file.

    Rows past `epochs` are of epochs that run again after a kill.

    Raises:
        UserError: the file is cut short or not such a table; names the file, and the wrong row and column.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    try:
        table = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True))
    except OSError as error:
        raise errors.UserError(f"{path}: cannot be read: {error.strerror}; {_MEND}") from None
    except (ValueError, csv.Error) as error:
        raise errors.UserError(f"{path}: not a table of numbers ({error}); {_MEND}") from None
    names, *lines = table or [[]]
    missing = [name for name in COLUMNS if name not in names]
    if missing or len(set(names)) < len(names):
        what = f"no column {', '.join(missing)}" if missing else "a column is there twice"
        raise errors.UserError(f"{path}: {what}; {_MEND}")
    return [_row(path, names, line, number) for number, line in enumerate(lines[:epochs], 1)]


def _row(path, names, line, number):
    """Return one row as numbers; `number` is the epoch that it must be of.

    Raises:
        UserError: a value is missing or not finite, or the row is of another epoch.
    """
    if len(line) != len(names):
        raise errors.UserError(
            f"{path}: row {number}: expected {len(names)} numbers, got {len(line)}; {_MEND}"
        )
    row = {}
    for name, text in zip(names, line, strict=True):
        try:
            row[name] = float(text)
        except ValueError:
            row[name] = math.nan
        if not math.isfinite(row[name]) or (name == "epoch" and row[name] != number):
            expected = f"{number}" if name == "epoch" else "a finite number"
            raise errors.UserError(
                f"{path}: row {number}: {name[:60]}: expected {expected}, got {text[:60]!r}; {_MEND}"
            )
    return row


def write(path, rows):
    """Write all rows, which must have the same columns.

    Raises:
        UserError: rows read back have other columns than new ones, or the file system refuses.
    """
    other = {name for row in rows for name in set(rows[0]) ^ set(row)}
    if other:
        named = ", ".join(sorted(other))[:120]
        raise errors.UserError(f"{path}: its rows have not all the same columns ({named}); {_MEND}")
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.8g}" for key, value in row.items()} for row in rows)
    files.write_text(path, text.getvalue())
