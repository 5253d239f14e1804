"""Wide residual networks WRN-d-k (Zagoruyko & Komodakis, 2016), without dropout.

They have three stages of (d-4)/6 pre-activation blocks with k width, 2 k width and 4 k width channels, after
a stem of width channels. Trainable parameters at width 16 for 100 classes, as in the codebases of the
distillation literature: WRN-16-2 has 703,284, WRN-40-1 569,780, WRN-40-2 2,255,156; WRN-28-10 36.5 million.

Attach points are the outputs of all residual blocks: sums, before the next activation.
"""

from okd_tf.backbones import base, preact_resnet


def build(depth, times, width, input_shape, classes, mean, std) -> base.Backbone:
    """Build a network.

    Args:
        depth: 6n+4 for some n >= 1.
        times: k, the ratio of the first stage's channels to the stem's.
        width: channels of the stem.
        input_shape: (height, width, channels).
        classes: number of logits.
        mean: per-channel pixel mean, scale 0..255.
        std: per-channel pixel standard deviation, scale 0..255.

    Raises:
        ValueError: another depth.
    """
    blocks, remainder = divmod(depth - 4, 6)
    if remainder or blocks < 1:
        raise ValueError(f"depth must be 6n+4 with n >= 1, got {depth}")
    stages = [width * times * 2**stage for stage in range(3)]
    return preact_resnet.network(
        f"wrn{depth}_{times}", width, stages, blocks, input_shape, classes, mean, std
    )
