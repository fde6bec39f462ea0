"""ONNX files as others should get them: names, no notes, no idle nodes."""

import os
import pathlib
from typing import Any

import numpy as np

_VIEWS = {"Identity", "Reshape", "Squeeze", "Unsqueeze"}
_LINEAR_FROM = 15.0
"""Where softplus is the identity in float32."""


def tidy(path: Any, outputs: dict[str, int]) -> None:
    """Names the outputs of an ONNX file; drops notes, and idle nodes.

    PyTorch leaves all this undone. Its notes are half of a small file, and
    tell paths of this machine.

    Args:
        path: Path of the file.
        outputs: Numbers of axes by name, in order. Outputs of other axes
            are in another order, and keep the names that they have.
    """
    import onnx  # Keras has written the file with it.

    model = onnx.load(path)
    graph = model.graph
    graph.ClearField("value_info")
    inner = [node for function in model.functions for node in function.node]
    values = [*graph.input, *graph.output, *graph.initializer]
    for part in (graph, *graph.node, *inner, *values):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    simplify(model)
    ranks = [len(value.type.tensor_type.shape.dim) for value in graph.output]
    if ranks == list(outputs.values()):
        given = [value.name for value in graph.output]
        names = dict(zip(given, outputs, strict=True))
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for value in graph.output:
            value.name = names[value.name]
    partial = f"{path}.partial"
    try:
        onnx.save(model, partial)
        os.replace(partial, path)
    finally:
        pathlib.Path(partial).unlink(missing_ok=True)


def simplify(model: Any) -> None:
    """Drops nodes that leave their input as it is, and chains of reshaping.

    Of small steps a runtime spends its time on the number of nodes.

    Args:
        model: ONNX model, which is changed.
    """
    import onnx

    graph = model.graph
    attributes = [x for node in graph.node for x in node.attribute]
    if any(x.type == onnx.AttributeProto.GRAPH for x in attributes):
        return  # Loops and branches read names from outside.
    facts = _Facts(model)
    outputs = {value.name for value in graph.output}
    same: dict[str, str] = {}  # a value, and an equal one before it
    roots: dict[str, str] = {}  # a value, and that which it is a view of
    kept = []
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        out, root = node.output[0], facts.viewed(node)
        if root is not None and out not in outputs:
            root = roots.get(root, root)
            if facts.shapes[root] == facts.shapes[out]:
                same[out] = root
                continue
            roots[out], shape = root, f"{out}_shape"
            sizes = np.array(facts.shapes[out], "int64")
            graph.initializer.append(onnx.numpy_helper.from_array(sizes, shape))
            node = onnx.helper.make_node("Reshape", [root, shape], [out])
        facts.makers[out] = node
        kept.append(node)
    needed, living = set(outputs), []
    for node in reversed(kept):
        if needed.intersection(node.output):
            needed.update(node.input)
            living.append(node)
    constants = [x for x in graph.initializer if x.name in needed]
    for field, content in (("node", living[::-1]), ("initializer", constants)):
        graph.ClearField(field)
        getattr(graph, field).extend(content)


class _Facts:
    """What is known of the values of a graph by name.

    Args:
        model: ONNX model.
    """

    def __init__(self, model: Any) -> None:
        import onnx

        graph = onnx.shape_inference.infer_shapes(model).graph
        arrays = map(onnx.numpy_helper.to_array, graph.initializer)
        names = [x.name for x in graph.initializer]
        self.constants = dict(zip(names, arrays, strict=True))
        self.shapes = {k: x.shape for k, x in self.constants.items()}
        for value in (*graph.input, *graph.value_info, *graph.output):
            dims = value.type.tensor_type.shape.dim
            if all(dim.HasField("dim_value") for dim in dims):
                self.shapes[value.name] = tuple(dim.dim_value for dim in dims)
        self.makers: dict[str, Any] = {}

    def viewed(self, node: Any) -> str | None:
        """Returns the value whose entries, in order, a node gives; or None."""
        out = node.output[0]
        names = [*node.input[:1], out]
        if node.domain or any(name not in self.shapes for name in names):
            return None
        before, after = (self.shapes[name] for name in names)
        moves_nothing = node.op_type in _VIEWS
        if node.op_type in ("Slice", "Expand"):
            steps: Any = np.ones(1)
            if len(node.input) > 4:  # of a slice; backwards, it turns around
                steps = self.constants.get(node.input[4])
            moves_nothing = before == after and steps is not None
            moves_nothing = moves_nothing and bool((steps > 0).all())
        elif node.op_type == "Transpose":
            order = [i for i in node.attribute[0].ints if before[i] != 1]
            moves_nothing = order == sorted(order)
        elif node.op_type == "Where":
            return self._chosen(node)
        return node.input[0] if moves_nothing else None

    def _chosen(self, node: Any) -> str | None:
        """Returns what a choice of two values always gives, or None."""
        condition, first, second = node.input
        shape = self.shapes[node.output[0]]
        if condition in self.constants and self.constants[condition].all():
            return first if self.shapes.get(first) == shape else None
        # PyTorch's softplus is x where x is large.
        soft, large = self.makers.get(second), self.makers.get(condition)
        if (
            soft is not None
            and large is not None
            and (soft.op_type, large.op_type) == ("Softplus", "Greater")
            and soft.input[0] == large.input[0] == first
        ):
            limit = self.constants.get(large.input[1])
            if limit is not None and limit.min() >= _LINEAR_FROM:
                return second
        return None
