"""The supernet: a backbone with a search cell after each attach point, all candidates sharing its weights."""

import dataclasses

import keras

from okd_tf import backbones
from okd_tf.arch import build, space
from okd_tf.ops import batch_norm, precision


@dataclasses.dataclass(frozen=True)
class Supernet:
    """A network pixels -> logits and the cells in it, in the order of the attach points.

    `kept` names the layers that begin with the weights of the backbone's file.
    """

    network: keras.Model
    cells: tuple
    kept: tuple[str, ...] = ()

    def alphas(self):
        """The architecture variables, if the cells have any."""
        return [alpha for cell in self.cells for alpha in cell.alphas]

    def weights(self):
        """The trainable variables that are not alphas."""
        return _without(self.network.trainable_variables, self.alphas())

    def shared(self):
        """Every variable that supernets of one space have in common, in one order."""
        controls = [control for cell in self.cells for control in cell.controls]
        return _without(self.network.variables, [*self.alphas(), *controls])

    def running(self):
        """Per weight, in the order of `weights`: 1, or 0 if it is of an operation that does not run."""
        factors = {}
        for cell in self.cells:
            running = cell.running()
            for index, candidate in enumerate(cell.candidates):
                factors |= {id(weight): running[index] for weight in candidate.trainable_variables}
        return [factors.get(id(weight), 1.0) for weight in self.weights()]

    def batch_norms(self):
        """All batch norms, of the backbone and of the candidates."""
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
    """Builds a supernet, freshly initialised but for the weights that the backbone keeps.

    Args:
        backbone: what to search around.
        search_space: its space.
        cell: a class of `cells`.
        synchronized: whether batch statistics are shared over replicas.
        compute: of `precision.PRECISIONS`; alphas, and what is made of them, are float32 in each.
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
    """What to tell the cells of a path supernet: int rows [layers][4]."""
    canonical = search_space.canonical(architecture)
    return [
        [*choice, int(alive)] for choice, alive in zip(canonical, search_space.alive(canonical), strict=True)
    ]


def _without(variables, others):
    excluded = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in excluded]
