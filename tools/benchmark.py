"""Times training and search steps against each other: `python tools/benchmark.py --what=ce,search_gumbel`.

All that is measured takes turns, round after round, so that a noisy machine is the same for each; figures are
medians. Data is noise in memory: steps are timed, not input.
"""

import dataclasses

from absl import flags

from okd_tf import cli, errors, files, settings

_SHARED = ("backbone", "backbone_width", "batch_size", "ops")
_CASES = ["ce", *(f"search_{name}" for name in settings.STRATEGIES), "search_darts_unrolled"]
_WHAT = flags.DEFINE_list("what", _CASES[:-1], f"what to time, of {', '.join(_CASES)}; ratios are to ce")
_JSON = flags.DEFINE_string("json", "", "file to write the results to, as a JSON list")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "how often each takes its turn", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "how long a turn is", lower_bound=0.0)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "height and width of an image", lower_bound=1)
_CLASSES = flags.DEFINE_integer("classes", 100, "number of classes", lower_bound=2)


def main():
    """Measures, and shows and writes the results."""
    chosen = settings.Settings(workdir="none", **{name: cli.value(name) for name in _SHARED})
    for name in _WHAT.value:
        if name not in _CASES:
            raise errors.unknown("--what", name, _CASES)
    if not _WHAT.value:
        raise errors.UserError(f"--what: nothing to time; name some of {','.join(_CASES)}")
    if _JSON.value:
        files.write_json(_JSON.value, [])  # a path that cannot be written is known before the work
    cli.import_tensorflow()
    # After the flags are known to be good: these imports take seconds.
    from okd_tf import backbones
    from okd_tf.benchmark import cases, measure

    if chosen.backbone not in backbones.BACKBONES:
        raise errors.unknown("--backbone", chosen.backbone, backbones.BACKBONES)
    setup = cases.Setup(
        chosen.backbone,
        chosen.backbone_width,
        chosen.batch_size,
        _IMAGE_SIZE.value,
        _CLASSES.value,
        chosen.ops,
    )
    results = measure.interleaved(
        {name: cases.CASES[name] for name in _WHAT.value}, setup, _ROUNDS.value, _SECONDS.value, print
    )
    print(measure.table(results))
    if _JSON.value:
        files.write_json(_JSON.value, [dataclasses.asdict(result) for result in results])
        print(f"results: {_JSON.value}")


if __name__ == "__main__":
    cli.define(_SHARED)
    cli.start(main)
