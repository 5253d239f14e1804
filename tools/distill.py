"""Trains a student by distillation: the workdir's own arch.json, or that of --arch.

The teachers are the workdir's own, or those of --teachers; --assistant puts a chain of networks between them
and the student. With --baseline the bare backbone is trained too.
"""

from okd_tf import cli

if __name__ == "__main__":
    cli.main(
        lambda settings: (
            *(["teachers"] if settings.teachers else []),
            *("bank", "assistant", "choice", "finals", "student", "baseline", "opponents", "trials"),
        )
    )
