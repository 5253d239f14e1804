"""The plain network of a student's size: its backbone without add-on layers, as wide as its size allows."""

import dataclasses
import functools
import math

from okd_tf import backbones
from okd_tf.arch import cost, spec
from okd_tf.backbones import stored


def bare(architecture: spec.ArchSpec) -> spec.ArchSpec:
    """Return the spec of a student's backbone as it is, without add-on layers.

    Raises:
        UserError: the backbone's file is missing or another one.
    """
    if architecture.backbone_path is None:
        return _of_width(architecture, architecture.width)
    new = architecture.new_layers if architecture.keep_weights else None
    model = stored.read(architecture.backbone_path, architecture.backbone_sha256, new)
    return dataclasses.replace(architecture, add_ons=(), cost=cost.of_model(model), provenance={})


def same_size(architecture: spec.ArchSpec) -> spec.ArchSpec | None:
    """Return the spec of the widest plain backbone with no more parameters than a student has.

    None if it is no wider than the student's own, or if the backbone is a file, which has no width.
    """
    if architecture.backbone_path is not None:
        return None
    of_width = functools.cache(functools.partial(_of_width, architecture))

    def fits(width: int) -> bool:
        return of_width(width).cost.params <= architecture.cost.params

    own = architecture.width
    # Parameters grow with the square of the width, nearly; so this is a step or two from the widest.
    ratio = architecture.cost.params / of_width(own).cost.params
    width = max(own, round(own * math.sqrt(ratio)))
    while width > own and not fits(width):
        width -= 1
    while fits(width + 1):
        width += 1
    return of_width(width) if width > own else None


def _of_width(architecture: spec.ArchSpec, width: int) -> spec.ArchSpec:
    model = backbones.build(
        architecture.backbone,
        width,
        architecture.input_shape,
        architecture.classes,
        architecture.mean,
        architecture.std,
    ).model
    return dataclasses.replace(
        architecture, width=width, add_ons=(), attach_points=(), cost=cost.of_model(model), provenance={}
    )
