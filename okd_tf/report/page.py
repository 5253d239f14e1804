"""report.md and the final table on screen: settings, architecture and measured figures of a run.

It reads the files of the other stages and computes nothing of its own; a part whose file is missing is left
out.
"""

import pathlib

from okd_tf import errors, fields
from okd_tf.arch import spec
from okd_tf.report import budgets as of_budgets
from okd_tf.report import choice as of_choice
from okd_tf.report import diagnosis
from okd_tf.report import finals as of_finals
from okd_tf.report import opponents as of_opponents
from okd_tf.search import candidates
from okd_tf.student import choice, finals
from okd_tf.teachers import diagnosis as teaching
from okd_tf.training import metrics as trained
from okd_tf.training import quality


def table(workdir, current, trials=1):
    """Return rows (name, size, test accuracy) of all evaluated networks, as lists of strings.

    Args:
        workdir: of the run.
        current: names of the stages whose results belong to the run in its current state; others are left
            out, so that a table never mixes figures of different runs.
        trials: number of trials of the run.
    """
    workdir = pathlib.Path(workdir)
    rows = []
    found = _read(teaching.read, workdir / "teachers" / "diagnosis.json") if "teachers" in current else None
    if found:
        test, params = found["test"], [teacher["params"] for teacher in found["teachers"]]
        for index, name in enumerate(teaching.titles(found["teachers"])):
            accuracy = _percent(test["per_teacher"][index]) + teaching.mark(found, "test", index)
            rows.append([name, f"{params[index]:,}", accuracy])
        everyone, marked = f"{sum(params):,}", teaching.mark(found, "test")
        rows.append(["teachers, mean", everyone, _percent(test["mean"]) + marked])
        rows.append(["teachers, vote", everyone, _percent(test["vote"]) + marked])
        rows.append(["teachers, oracle (knows the label)", everyone, _percent(test["oracle"]) + marked])
    assistants = (
        _read(trained.read_chain, workdir / "assistant" / "metrics.json")
        if {"assistant", "evaluate"} <= current
        else None
    )
    for index, entry in enumerate((assistants or {}).values()):
        if "test" in entry:
            title = f"assistant {index + 1} ({entry.get('backbone', 'not recorded')})"
            rows.append([title, f"{entry['params']:,}", _percent(entry["test"]["accuracy"])])
    rows += [one.row() for one in of_opponents.networks(workdir, current, trials)]
    for row in of_budgets.students(workdir, None, 0) if {"budgets", "evaluate"} <= current else ():
        title = f"student of at most {row['most']:,} parameters"
        rows.append([title, f"{row['params']:,}", _percent(row["test"])])
    report = _read(_read_export, workdir / "export" / "report.json") if "export" in current else None
    for name, entry in (report or {"files": {}})["files"].items():
        rows.append([f"export {name}", f"{entry['bytes']:,} bytes", _percent(entry["accuracy"])])
    return rows


def markdown(workdir, split, settings_text, arch_path, current, found_path=None, trials=1):
    """Return the whole page in Markdown.

    Args:
        workdir: of the run.
        split: `Splits.record()`.
        settings_text: the flags of the run, one a line.
        arch_path: the arch.json that was trained.
        current: as in `table`.
        found_path: the arch.json that the search found, if finals chose another one; by default the same.
        trials: number of trials of the run.
    """
    workdir = pathlib.Path(workdir)
    lines = ["# Report", ""]
    lines += [
        f"{split['dataset']}: {split['train']:,} training, {split['val']:,} validation and "
        f"{split['test']:,} test images.",
        "",
        "| network | size | test accuracy |",
        "|---|---:|---:|",
        *("| " + " | ".join(row) + " |" for row in table(workdir, current, trials)),
        "",
    ]
    for sentence in _marks(workdir, current):
        lines += [sentence, ""]
    for reason in of_opponents.described(workdir, current)["left_out"]:
        lines += [f"Not among the opponents: {reason}.", ""]
    lines += of_opponents.section(workdir, current, trials)
    architecture = _read(spec.read, pathlib.Path(arch_path)) if "search" in current else None
    if architecture:
        found_path = pathlib.Path(found_path or arch_path)
        others = _read(candidates.read, found_path.parent / "candidates.json") or []
        lines += [*_architecture(architecture), ""]
        whose = "" if found_path == pathlib.Path(arch_path) else ", what it had chosen"
        lines += _rivals(found_path, spec.read(found_path).provenance, others, whose)
    chosen = _read(choice.read, workdir / "choice" / choice.NAME) if "choice" in current else None
    if chosen:
        lines += of_choice.lines(chosen)
    metrics = _read(trained.read, workdir / "student" / "metrics.json") if "student" in current else None
    held = _read(finals.read, workdir / "finals" / finals.NAME) if "finals" in current else None
    if held:
        val = (metrics or {}).get("val")
        lines += of_finals.lines(held, trained.kept_of(val)["accuracy"] if val else None)
    if metrics and "val" in metrics:
        val, best, peer = metrics["val"], metrics["val"]["best"], metrics.get("peer")
        lines += [
            f"Student after {_epochs(metrics['epochs'])}: {_kept(val)}; best {_percent(best['accuracy'])} at "
            f"epoch {best['epoch']}.",
            "",
        ]
        if peer:
            ended = f"whose validation accuracy ended at {_percent(peer['val']['last']['accuracy'])}"
            said = ended if trained.keeps_last(peer["val"]) else f"of which is {_kept(peer['val'])}"
            lines += [f"It learnt together with a peer, {said}.", ""]
    evaluated = _read(trained.read, workdir / "student" / "metrics.json") if "evaluate" in current else None
    if evaluated and "test" in evaluated:
        lines += _quality(evaluated["test"])
    if evaluated and architecture and "budgets" in current:
        lines += of_budgets.lines(of_budgets.students(workdir, evaluated, architecture.budget.max_params))
    found = _read(teaching.read, workdir / "teachers" / "diagnosis.json") if "teachers" in current else None
    if found:
        lines += _teachers(found)
    report = _read(_read_export, workdir / "export" / "report.json") if "export" in current else None
    if report:
        lines += _export(report)
    lines += ["## Flags", "", "```", settings_text.strip(), "```", ""]
    return "\n".join(lines)


def _marks(workdir, current):
    """Return the sentences that explain marked figures: those that may come from memorised images."""
    found = _read(teaching.read, workdir / "teachers" / "diagnosis.json") if "teachers" in current else None
    return [text for text in (found or {"warnings": []})["warnings"] if text.startswith(teaching.MARK)]


def screen(workdir, current, trials=1):
    """Return the table as aligned text."""
    rows = [["network", "size", "test accuracy"], *table(workdir, current, trials)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {size:>{widths[1]}}  {accuracy:>{widths[2]}}" for name, size, accuracy in rows
    ]
    return "\n".join([*lines, *(f"\n{sentence}" for sentence in _marks(pathlib.Path(workdir), current))])


def _architecture(found):
    cost, budget = found.cost, found.budget
    limits = {"params": budget.max_params, "flops": budget.max_flops}
    bounds = [f"{name} at most {limit:,}" for name, limit in limits.items() if limit]
    width = f", width {found.width}" if found.width else ""  # a file has none
    lines = [
        "## Architecture",
        "",
        f"{found.backbone}{width}, with {len(found.add_ons)} add-on layers: {cost.params:,} parameters, "
        f"{cost.flops:,} FLOPs an image. Budget: {', '.join(bounds) or 'none'}. "
        f"Strategy: {found.provenance.get('strategy', 'not recorded')}.",
    ]
    if not found.add_ons:
        return lines
    lines += [
        "",
        "| after | operation | reads the previous add-on | feeds back |",
        "|---|---|---|---|",
    ]
    for add_on in found.add_ons:
        gates = ("yes" if gate else "no" for gate in (add_on.chain, add_on.feed_back))
        lines.append("| " + " | ".join([add_on.after, add_on.op, *gates]) + " |")
    return lines


def _rivals(path, provenance, candidates, whose):
    """Return lines on the next best candidates, and on random architectures with the same shared weights."""
    if "val" not in provenance:
        return []
    # Free of form in arch.json, since others may write it too.
    said = fields.Field(path, provenance, "provenance", "mend it, or search again")
    own, strategy, drawn = said["val"]["accuracy"].share(), said["strategy"].text(), said.get("best_random")
    lines = [f"On validation, with the search's shared weights{whose}: {_percent(own)}."]
    if drawn:
        random = drawn["accuracy"].share()
        compared = "more than" if own > random else "less than" if own < random else "as much as"
        losses = ", ".join(f"{one['loss'].number():.4f}" for one in (said["val"], drawn))
        lines.append(
            f"That is {compared} the {_percent(random)} of the best of as many random ones (losses {losses})."
        )
    others = [one for one in candidates if not one["chosen"] and _strategy(one) == strategy]
    if others:
        close = [f"{_percent(one['val_accuracy'])} ({one['params']:,} parameters)" for one in others[:3]]
        lines.append(f"Next among its candidates: {', '.join(close)}.")
    return [*lines, ""]


def _strategy(candidate):
    return candidate["spec"]["provenance"]["strategy"]


def _quality(test):
    """Return a paragraph on the student's figures other than accuracy; empty for older metrics files."""
    said = []
    if "top5_accuracy" in test:
        among = _percent(test["top5_accuracy"])
        said.append(f"the label is among its five likeliest classes for {among} of the images")
    if "expected_calibration_error" in test:
        error = _percent(test["expected_calibration_error"])
        said.append(f"its confidence is off its accuracy by {error} (expected calibration error)")
    if "confusion" in test:
        said.append(
            f"with all classes counting the same it is right on {_percent(quality.mean_over_classes(test))}"
        )
        if missing := quality.unseen(test):
            said.append("no image shows " + errors.some([f"`{name}`" for name in missing]))
        worst = [f"`{name}` ({_percent(share)})" for name, share in quality.hardest(test)]
        if worst:
            said.append(f"it recognises least {', '.join(worst)}")
        if mistake := quality.most_confused(test):
            true, predicted, times, total = mistake
            said.append(
                f"its most frequent mistake is `{predicted}` for `{true}`, {times:,} of {total:,} images"
            )
    return [f"Student on the test images: {'; '.join(said)}.", ""] if said else []


def _kept(val):
    """Return in words which weights of a network were kept, given its validation figures."""
    if trained.keeps_last(val):
        accuracy = _percent(val["last"]["accuracy"])
        return f"validation accuracy {accuracy} at the last epoch, which is the one kept"
    return trained.kept_in_words(val)


def _teachers(found):
    lines = ["## Teachers", "", *(f"- {text}" for text in diagnosis.words(found)), ""]
    lines += ["Share of images that exactly k teachers get right:", "", *diagnosis.right_at_once(found), ""]
    return [*lines, "More in [teachers/diagnosis.md](teachers/diagnosis.md).", ""]


def _export(report):
    lines = [
        "## Exports",
        "",
        f"Compared with the Keras model on {report['examples']:,} test images.",
        "",
        "| file | bytes | same class | largest difference | accuracy | ms an image |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, entry in report["files"].items():
        lines.append(
            f"| {name} | {entry['bytes']:,} | {_percent(entry['agreement'])} | {entry['max_abs_diff']:.2g} | "
            f"{_percent(entry['accuracy'])} | {entry['latency_ms']:.3f} |"
        )
    for name, entry in report["files"].items():
        if entry.get("integer_share") is not None:
            floats = ", ".join(entry["float_operations"])
            lines += ["", f"{name} computes {_percent(entry['integer_share'])} of its operations in integers"]
            lines[-1] += f"; in float, for which the runtime has none, are {floats}." if floats else "."
    return [*lines, ""]


def _read_export(path):
    """Return the content of an export's report.json; raise UserError naming the field that is wrong."""
    document = fields.read(path, mend="delete it, and the export stage writes it again")
    document["examples"].whole()
    for entry in document["files"].entries().values():
        entry["bytes"].whole()
        for name in ("agreement", "accuracy"):
            entry[name].share()
        for name in ("max_abs_diff", "latency_ms"):
            entry[name].number(0)
        # Versions before have none; of a file that is not of integers it is null.
        if entry.value.get("integer_share") is not None:
            entry["integer_share"].share()
            for operation in entry["float_operations"].items():
                operation.text()
    return document.value


def _read(read, path):
    return read(path) if path.exists() else None


def _epochs(count):
    return f"{count} epoch{'' if count == 1 else 's'}"


def _percent(share):
    return f"{100 * share:.2f} %"
