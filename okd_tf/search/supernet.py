"""The supernet: a backbone with a search cell after each attach point, all candidates sharing its weights."""

import dataclasses

import keras

from okd_tf import backbones
from okd_tf.arch import build, space
from okd_tf.ops import batch_norm, precision


@dataclasses.dataclass(frozen=True)
class Supernet:
    """A network pixels -> logits and the cells in it, in the order of the attach points.

    `kept` names the layers that start from the weights of the backbone's file.
    """

    network: keras.Model
    cells: tuple
    kept: tuple[str, ...] = ()

    def alphas(self):
        """Return the architecture variables, if the cells have any."""
        return [alpha for cell in self.cells for alpha in cell.alphas]

    def weights(self):
        """Return the trainable variables that are not alphas."""
        return _without(self.network.trainable_variables, self.alphas())

    def shared(self):
        """Return every variable that supernets of one space have in common, always in the same order."""
        controls = [control for cell in self.cells for control in cell.controls]
        return _without(self.network.variables, [*self.alphas(), *controls])

    def running(self):
        """Return per weight, in the order of `weights`, 1, or 0 if its operation does not run."""
        factors = {}
        for cell in self.cells:
            running = cell.running()
            for index, candidate in enumerate(cell.candidates):
                factors |= {id(weight): running[index] for weight in candidate.trainable_variables}
        return [factors.get(id(weight), 1.0) for weight in self.weights()]

    def batch_norms(self):
        """Return all batch norms, of the backbone and of the candidates."""
        layers = [*self.network.layers]
        for cell in self.cells:
            for candidate in cell.candidates:
                layers.extend(candidate.chain)
        return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def make(
    backbone: backbones.Backbone,
    search_space: space.SearchSpace,
    cell,
    synchronized=False,
    compute=precision.FLOAT32,
) -> Supernet:
    """Return a new supernet, freshly initialised except for the pretrained weights of the backbone.

    Args:
        backbone: the backbone to search around.
        search_space: its space.
        cell: a class of `cells`.
        synchronized: whether batch statistics are shared over replicas.
        compute: a name in `precision.PRECISIONS`; alphas and their probabilities are float32 in each.
    """
    cells = []
    previous = None
    prefix = build.prefix(backbone)

    def attach(after, stream):
        nonlocal previous
        index = search_space.attach_points.index(after)
        chainable = search_space.chainable[index]
        name = f"{prefix}{index + 1}"
        layer = cell(
            *(search_space.ops, chainable, synchronized, search_space.begins_at_zero),
            name=name,
            dtype=precision.policy(compute),
        )
        cells.append(layer)
        stream, previous = layer([stream, previous] if chainable else [stream])
        return stream

    network = build.insert(
        backbone,
        attach,
        clone_function=lambda layer: batch_norm.fused_clone(layer, backbone.model, synchronized, compute),
    )
    return Supernet(network, tuple(cells), backbone.kept)


def choices(search_space: space.SearchSpace, architecture: space.Architecture):
    """Return the choices to set in the cells of a path supernet: int rows [layers][4]."""
    canonical = search_space.canonical(architecture)
    return [
        [*choice, int(alive)] for choice, alive in zip(canonical, search_space.alive(canonical), strict=True)
    ]


def _without(variables, others):
    excluded = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in excluded]
