"""Compares search strategies on one workdir: same teachers, splits, budget and evaluations, several trials.

    python tools/compare_strategies.py --flagfile=configs/quickstart.cfg --workdir=runs/compare

Takes the flags of tools/search.py; writes compare/comparison.md, .json and .png in the workdir. With --join
it helps a comparison that is going on.
"""

from absl import flags

from okd_tf import cli, errors, lock, settings

_STRATEGIES = flags.DEFINE_list("strategies", list(settings.STRATEGIES), "which strategies to compare")
_TRIALS = flags.DEFINE_integer("trials", 3, "searches and trainings of each", lower_bound=1)
_SAMPLE = flags.DEFINE_integer(
    "sample", 8, "random architectures trained to see how well shared weights rank them", lower_bound=0
)


def main():
    """Compares."""
    cli.refuse_stages()
    chosen = cli.resolve()
    for name in _STRATEGIES.value:
        if name not in settings.STRATEGIES:
            raise errors.unknown("--strategies", name, settings.STRATEGIES)
    if len(set(_STRATEGIES.value)) < len(_STRATEGIES.value):
        raise errors.UserError(f"--strategies: {','.join(_STRATEGIES.value)} names one twice; name each once")
    for name in ("arch", "student", "trial"):
        if getattr(chosen, name):
            raise errors.UserError(f"--{name}: searches are compared here, --trials times; leave it out")
    if len(chosen.budgets) > 1:
        raise errors.UserError(
            "--max_params: searches of one budget are compared here; give one, or compare arms by "
            "tools/compare.py"
        )
    if chosen.finals:
        raise errors.UserError(
            "--finals: what a search finds by itself is compared here; leave it out, or compare arms that "
            "have finals by tools/compare.py"
        )
    if not _STRATEGIES.value:
        raise errors.UserError(f"--strategies: none given; name some of {','.join(settings.STRATEGIES)}")
    cli.refuse_workers(
        chosen, "--distribution", "a comparison has many trainings, which processes share by --join"
    )
    if chosen.join:
        for flag in (_STRATEGIES, _TRIALS, _SAMPLE):
            if flag.present:
                raise errors.UserError(f"--{flag.name}: is as the run that --join helps has it; leave it out")
        cli.import_tensorflow()
        from okd_tf.pipeline import comparison

        comparison.join(chosen)
        return
    with lock.holding(chosen.workdir):
        cli.import_tensorflow()
        # After the flags are known to be good: these imports take seconds.
        from okd_tf.pipeline import comparison

        comparison.run(chosen, _STRATEGIES.value, _TRIALS.value, _SAMPLE.value)


if __name__ == "__main__":
    cli.define(settings.FIELDS)
    cli.start(main)
