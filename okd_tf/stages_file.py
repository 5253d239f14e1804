"""stages.json of a workdir: which stages are complete, and for which settings, splits and files.

    {"teachers": {"key": {"splits": {..}, "settings": {"seed": "0", ..}, "files": {..}},
                  "complete": true, "seconds": 3.5}, ..}

It is read before TensorFlow is imported as well as by the stages, so this module imports neither.
"""

import pathlib
from typing import Any

from okd_tf import fields, files


def read(path: files.PathLike) -> dict[str, Any]:
    """Return the entries of a stages.json, by stage; {} if there is no file.

    Raises:
        UserError: the file is not such a record; names the file and the field.
    """
    if not pathlib.Path(path).exists():
        return {}
    document = fields.read(path, mend="delete it, and all stages run again")
    for entry in document.entries().values():
        parts = entry.only(("key", "complete", "seconds"))
        parts["complete"].flag()
        parts["seconds"].number(0)
        key = parts["key"].only(("splits", "settings", "files"))
        key["splits"].entries()
        for value in (*key["settings"].entries().values(), *key["files"].entries().values()):
            value.text()
    return document.value
