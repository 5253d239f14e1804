"""What a workdir records of its run.

Which stages are complete, and for which inputs (stages.json); what the run was told (flags.cfg); where and
with what it was made (run.json).
"""

import json
import platform
import socket
import sys
import time
from importlib import metadata

from okd_tf import files, version
from okd_tf import settings as all_settings
from okd_tf.training import progress

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "ai-edge-litert")


def complete(context, stage):
    """Runs a stage unless it is complete for the inputs there are now."""
    needless = stage.needless(context)
    if needless:
        progress.say(f"{stage.name}: not needed ({needless})")
        return
    path = context.workdir / "stages.json"
    stored = files.read_json(path) if path.exists() else {}
    key = json.loads(json.dumps(_key(context, stage)))
    before = stored.get(stage.name)
    if before and before["key"] == key and before["complete"] and stage.leaves(context):
        progress.say(f"{stage.name}: complete, not run again")
        return
    if before and before["key"] != key:
        progress.say(f"{stage.name}: redone, since these changed: {', '.join(_changed(before['key'], key))}")
        if stage.folder:
            files.remove(context.workdir / stage.folder)
            files.remove(context.workdir / "logs" / stage.folder)
    entry = {"key": key, "complete": False, "seconds": (before or {}).get("seconds", 0.0)}
    files.write_json(path, {**stored, stage.name: entry})
    started = time.monotonic()
    stage.work(context)
    seconds = round(entry["seconds"] + time.monotonic() - started, 1)
    files.write_json(path, {**stored, stage.name: {**entry, "complete": True, "seconds": seconds}})
    progress.say(f"{stage.name}: complete after {progress.duration(seconds)}")


def describe(context):
    """Writes flags.cfg, and run.json: versions, seed, splits, host, and the command."""
    chosen = context.settings
    files.write_text(context.workdir / all_settings.FLAGFILE, all_settings.flagfile(chosen))
    files.write_json(
        context.workdir / "run.json",
        {
            "okd_tf": version.VERSION,
            "python": platform.python_version(),
            "packages": {name: metadata.version(name) for name in _PACKAGES},
            "host": {"name": socket.gethostname(), "machine": platform.platform()},
            "command": sys.argv,
            "seed": chosen.seed,
            "split": context.split_record,
            "teachers": [
                {"file": path.name, "sha256": files.sha256(path)} for path in context.teacher_paths()
            ],
        },
    )


def _key(context, stage):
    """All that a stage's result depends on."""
    values = {name: all_settings.text(getattr(context.settings, name)) for name in stage.settings(context)}
    contents = {str(path): files.sha256(path) for path in stage.reads(context)}
    return {"splits": context.split_record, "settings": values, "files": contents}


def _changed(before, now):
    for part in ("splits", "settings", "files"):
        for name in sorted({*before[part], *now[part]}):
            if before[part].get(name) != now[part].get(name):
                yield f"--{name}" if part == "settings" else name
