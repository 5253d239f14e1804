"""What is measured: plain data that goes to the process of each case, so nothing here imports TensorFlow."""

import dataclasses

NOISE = "noise"  # in the place of a dataset's name


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all cases have in common.

    Attributes:
        folder: where `stored.write` has put examples and banks.
        backbone: a registered name.
        width: of it, as `backbones.build` takes it.
        teacher_backbone: a registered name.
        teacher_width: of that one.
        teachers: how many there are.
        views: stored views of each example.
        batch_size: images per step; a bilevel step takes as many validation images beside them.
        ops: candidate operations.
        precision: the setting of that name; what training steps and the matrix product compute in.
    """

    folder: str
    backbone: str
    width: int
    teacher_backbone: str
    teacher_width: int
    teachers: int
    views: int
    batch_size: int
    ops: tuple[str, ...]
    precision: str = "float32"
