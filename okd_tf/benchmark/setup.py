"""The setup of a benchmark: plain data sent to each case's process, so nothing here imports TensorFlow."""

import dataclasses

NOISE = "noise"  # in the place of a dataset's name


@dataclasses.dataclass(frozen=True)
class Setup:
    """The common settings of all cases.

    Attributes:
        folder: folder of the examples and banks written by `stored.write`.
        backbone: a registered name.
        width: width of the backbone for `backbones.build`.
        teacher_backbone: a registered name.
        teacher_width: width of the teachers.
        teachers: number of teachers.
        views: stored views of each example.
        batch_size: images per step; a bilevel step takes as many validation images in addition.
        ops: candidate operations.
        precision: the setting of that name; the precision of training steps and of the matrix product.
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
