"""Decoupled distillation from the oracle: the teachers that are right, as in `oracle`, teach as in `dkd`.

    L(x, y) = tau^2 (alpha TCKD + beta NCKD)    if any u_i = 1,
            = CE(y, softmax(s))                 otherwise,

    u_i = [argmax t_i = y],    p = (1 / sum_i u_i) sum_i u_i softmax(t_i / tau).

On mixed images the u_i are those of `oracle`, and the divergence that of `dkd`.

Teachers that are right are sure of the label, and then plain distillation nearly ignores their knowledge of
the other classes; this is our combination of the two papers.
"""

from okd_tf.losses import distillation, dkd, oracle

loss = distillation.loss(oracle.right, dkd.divergence)
