"""Whether two runs left the same bytes; what is measured, and so never the same, is left out by name."""

import json
import re

LEFT_OUT = ("logs",)  # TensorBoard's events have times in their names and in each record


def _json(text, drop):
    def without(value):
        if isinstance(value, dict):
            return {name: without(each) for name, each in value.items() if name not in drop}
        return [without(each) for each in value] if isinstance(value, list) else value

    return json.dumps(without(json.loads(text)))


def _history(text):
    header, *rows = (line.split(",") for line in text.splitlines())
    seconds = header.index("seconds")
    return "\n".join(",".join(row[:seconds] + row[seconds + 1 :]) for row in [header, *rows])


def _page(text):
    """The last column of the exports' table is the latency."""
    return re.sub(r"^(\| (?:saved_model|student_\S+) \|.*\|)[^|]*\|$", r"\1", text, flags=re.MULTILINE)


MEASURED = {  # by file name, what takes the measured figures out of its text
    "history.csv": _history,
    "stages.json": lambda text: _json(text, {"seconds"}),
    "choice.json": lambda text: _json(text, {"seconds"}),
    "finals.json": lambda text: _json(text, {"seconds"}),
    "run.json": lambda text: _json(text, {"commands"}),
    "report.json": lambda text: _json(text, {"latency_ms"}),
    "report.md": _page,
}


def contents(folder):
    """The bytes of each file below a folder, by its path there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not set(name.parts).intersection(LEFT_OUT):
            content = path.read_bytes()
            measured = MEASURED.get(path.name)
            found[str(name)] = measured(content.decode()).encode() if measured else content
    return found


def differences(folder, other):
    """What is not the same in two folders: a list of "FILE: how", empty when all is."""
    mine, theirs = contents(folder), contents(other)
    return [
        f"{name}: only in {folder if name in mine else other}"
        if name not in mine or name not in theirs
        else f"{name}: other content"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
