"""Look into a TFLite file: which operations it has, and which of them compute in float."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from okd_tf import errors

_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64)
_NO_RANGE = 1e-8  # scale that the converter gives where it has seen nothing but 0
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")  # which change the form of numbers and compute nothing


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """How much of a network is computed in integers.

    Attributes:
        integer_share: share of its operations, but for those between integers and float, that are.
        float_operations: the others, as "ELU in layer 'elu'", each once.
    """

    integer_share: float
    float_operations: list[str]


def foreign_operations(content: bytes) -> list[str]:
    """The operations in a TFLite file that are not among the stock runtime's, sorted; none is []."""
    model = schema.Model.GetRootAsModel(content, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    return sorted(code.CustomCode().decode() for code in codes if code.CustomCode() is not None)


def arithmetic(content: bytes, scopes: Mapping[str, Any] | None = None) -> Arithmetic:
    """Look at every tensor of a TFLite file.

    Args:
        content: the file.
        scopes: `Exported.scopes` of the network, for the names of layers.
    """
    count, floats = 0, []
    for name, given, made in _operations(content):
        if name in _BETWEEN:
            continue
        count += 1
        if any(tensor.Type() in _FLOATS for tensor in (*given, *made)):
            where = made[0].Name().decode() if made else ""
            layer = layer_of(where, scopes or {})
            floats.append(f"{name} in layer '{layer.name}'" if layer else f"{name} ({where[:80]})")
    return Arithmetic(1 - len(floats) / count if count else 1.0, list(dict.fromkeys(floats)))


def constant_layer(content: bytes, scopes: Mapping[str, Any]) -> Any:
    """Return the first layer whose outputs were 0 on all images that set the ranges, or None."""
    for _, _, made in _operations(content):
        for tensor in made:
            quantization = tensor.Quantization()
            scales = quantization.ScaleAsNumpy() if quantization and quantization.ScaleLength() else [1.0]
            if max(scales) < _NO_RANGE:
                return layer_of(tensor.Name().decode(), scopes)
    return None


def layer_of(text: str, scopes: Mapping[str, Any]) -> Any:
    """Return the layer that a tensor's name or a message of the converter is about, None if none can be seen.

    Graphs name a tensor by the path of the scopes it is made in, of which the first is the network's; the
    innermost that is a layer counts.
    """
    for path in re.findall(r"[\w.\-]+(?:/[\w.\-]+)+", text):
        _, *parts = path.split("/")
        for end in range(len(parts), 0, -1):
            if "/".join(parts[:end]) in scopes:
                return scopes["/".join(parts[:end])]
    return None


def taking_bytes(content: bytes) -> bytes:
    """Return the file with an input of scale 1 and zero point 0, which takes an image's bytes as they are.

    The converter gives the input another scale where something else must have the same, as what it is
    concatenated with. Its first operation makes of the input what the network computes with, by the scales of
    both, so that the input's own can be set.

    Args:
        content: a file whose input is uint8.

    Raises:
        UserError: the input is read by something else too.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    (graph, *_) = model.subgraphs
    tensor = graph.tensors[graph.inputs[0]]
    scale, zero_point = tensor.quantization.scale, tensor.quantization.zeroPoint
    if list(scale) == [1.0] and list(zero_point) == [0]:
        return content
    for operation in graph.operators:
        code = model.operatorCodes[operation.opcodeIndex]
        if graph.inputs[0] in operation.inputs and _NAMES[code.builtinCode] != "QUANTIZE":
            raise errors.UserError(
                f"int8 export: the network's input goes to {_NAMES[code.builtinCode]} with a scale of "
                f"{scale[0]:.4g}, so that it cannot take bytes as they are; put a Rescaling in front of it, "
                "or leave the file out by --export_formats=saved_model,float32"
            )
    tensor.quantization.scale, tensor.quantization.zeroPoint = [1.0], [0]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operations(content: bytes) -> Iterator[tuple[str, list, list]]:
    """Yield (name, tensors that go in, tensors that come out) of each operation, of all subgraphs."""
    model = schema.Model.GetRootAsModel(content, 0)
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for number in range(graph.OperatorsLength()):
            operation = graph.Operators(number)
            code = model.OperatorCodes(operation.OpcodeIndex())
            name = _NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            given = [operation.Inputs(each) for each in range(operation.InputsLength())]
            made = [operation.Outputs(each) for each in range(operation.OutputsLength())]
            # -1 is an input that is left out.
            yield name, *([graph.Tensors(each) for each in side if each >= 0] for side in (given, made))
