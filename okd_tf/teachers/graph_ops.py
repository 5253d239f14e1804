"""What the graph of a SavedModel may not do: write files, or leave the graph.

TensorFlow runs whatever operations a SavedModel has, so one from a stranger could write anywhere. None that
computes logits needs to; what does is refused by its name before it is loaded, and so before it is run.
"""

import pathlib
from collections.abc import Iterator

from okd_tf import errors

GRAPH = "saved_model.pb"
WRITERS = frozenset(
    (
        *("WriteFile", "Save", "SaveSlices", "DistributedSave", "SaveDataset", "SaveDatasetV2"),
        *("DatasetToTFRecord", "ExperimentalDatasetToTFRecord", "SnapshotDataset", "SnapshotDatasetV2"),
        *("CacheDataset", "CacheDatasetV2", "CreateSummaryFileWriter", "CreateSummaryDbWriter"),
        *("PyFunc", "PyFuncStateless", "EagerPyFunc", "FileSystemSetConfiguration"),
    )
)
# Every SavedModel has these, to write itself again; in what is asked about images they have no place.
SAVERS = frozenset(("SaveV2", "MergeV2Checkpoints"))


def refuse_writers(path) -> None:
    """Raises UserError, naming a SavedModel and the operation, if anything in it writes or leaves the graph.

    A graph that cannot be parsed is left to the loader, which says so; so is a model without operations.
    """
    # Here and not above: of the rest of TensorFlow it needs nothing.
    from tensorflow.core.protobuf import saved_model_pb2

    path = pathlib.Path(path)
    others = [one.name for one in path.glob("saved_model.*") if one.name != GRAPH]
    if others or not (path / GRAPH).is_file():
        raise errors.UserError(
            f"{path}: has {', '.join(sorted(others)) or 'no graph'}, and {GRAPH} alone is read; export the "
            "model again"
        )
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / GRAPH).read_bytes())
    for meta_graph in model.meta_graphs:
        for node in _nodes(meta_graph.graph_def):
            to_file = node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file:")
            if node.op in WRITERS or to_file:
                raise _refusal(path, node)


def refuse_savers(path, signature) -> None:
    """Raises UserError, naming a SavedModel and the operation, if asking this signature writes files."""
    for node in _nodes(signature.graph.as_graph_def()):
        if node.op in SAVERS:
            raise _refusal(path, node)


def _nodes(graph) -> Iterator:
    """All nodes of a graph and of the functions in it."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _refusal(path, node) -> errors.UserError:
    return errors.UserError(
        f"{path}: its graph writes files or runs code outside of TensorFlow (operation {node.op} "
        f"'{node.name[:60]}'), which is not run here; export the network alone"
    )
