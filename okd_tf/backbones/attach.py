"""Possible places of add-on layers: the layers of a model whose output an operation can take."""

import re

from okd_tf import errors
from okd_tf.backbones import graph

LISTED = 20  # names in an error, at most


def shapes(model) -> dict[str, tuple[int, int, int]]:
    """Return (height, width, channels) after each layer that an add-on can follow, in the order of calls.

    Those are the layers, and operations such as `x + y`, that are called once and return one tensor
    [batch, height, width, channels] of known sizes.
    """
    return {name: shape for name, (shape, problem) in _examined(model).items() if not problem}


def select(model, pattern, whose) -> tuple[str, ...]:
    """Return the names that a regular expression matches as a whole, in the order of calls.

    Args:
        model: a Functional model.
        pattern: value of `--attach_after`.
        whose: name or file of the model, for errors.

    Raises:
        UserError: the pattern is missing or not a regular expression, matches nothing, or matches a layer
            that no operation can follow.
    """
    examined = _examined(model)
    possible = [name for name, (_, problem) in examined.items() if not problem]
    if not pattern:
        raise errors.UserError(
            f"--attach_after: {whose} does not say where add-on layers may come; give a regular expression "
            f"for names of its layers, such as {_listed(possible)}"
        )
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise errors.UserError(
            f"--attach_after: '{pattern}' is not a regular expression ({error}); mend it, or name layers "
            "as in 'first_add|second_add'"
        ) from None
    matched = [name for name in examined if expression.fullmatch(name)]
    if not matched:
        raise errors.UserError(
            f"--attach_after: '{pattern}' matches no layer of {whose}; an add-on layer can come after "
            f"{_listed(possible)}"
        )
    for name in matched:
        shape, problem = examined[name]
        if problem:
            raise errors.UserError(
                f"--attach_after: '{pattern}' matches layer '{name}' of {whose}, which {problem} (its output "
                f"is {shape}); an operation needs one output [height, width, channels] of known sizes, so "
                f"match only such as {_listed(possible)}"
            )
    return tuple(matched)


def _examined(model):
    """Return by name, in the order of calls: (shape of its output without the batch, its problem or "")."""
    examined = {}
    for call in graph.calls(model):
        outputs = [shape[1:] for shape in call.outputs]
        problem = ""
        if call.layer.name in examined:
            problem = "is called more than once"
        elif len(outputs) != 1:
            problem = f"has {len(outputs)} outputs"
        elif len(outputs[0]) != 3:
            problem = f"gives {len(outputs[0])} dimensions"
        elif None in outputs[0]:
            problem = "gives unknown sizes"
        examined[call.layer.name] = (outputs[0] if len(outputs) == 1 else outputs, problem)
    return examined


def _listed(names):
    if not names:
        return "none: no layer of it gives [height, width, channels]"
    return errors.some(names, LISTED)
