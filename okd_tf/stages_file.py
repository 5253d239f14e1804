"""stages.json of a workdir: which stages are complete, and for which settings, splits and files.

    {"teachers": {"key": {"splits": {..}, "settings": {"seed": "0", ..}, "files": {..}},
                  "complete": true, "seconds": 3.5}, ..}

It is read both before TensorFlow is imported and by the stages, so it stands by itself.
"""

import pathlib
from typing import Any

from okd_tf import fields, files


def read(path: files.PathLike) -> dict[str, Any]:
    """What it holds, by the name of the stage; nothing if there is none.

    Raises:
        UserError: not such a record; names the file and the field.
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
