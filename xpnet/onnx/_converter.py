"""What skl2onnx asks of a converter: the outputs' types, then the nodes."""

from typing import Any

from xpnet._targets import MultiOutput
from xpnet.classifier import MLPClassifier
from xpnet.exceptions import OnnxExportError
from xpnet.onnx._answers import Output
from xpnet.onnx._graph import ELEMENT_TYPES, OPSET, Graph
from xpnet.onnx._network import add_estimator

__all__ = ["convert", "declare"]

_TYPES = {
    "float32": "FloatTensorType",
    "float64": "DoubleTensorType",
    "int64": "Int64TensorType",
    "str": "StringTensorType",
}
"""Names of skl2onnx's types."""


def declare(operator: Any) -> None:
    """Set the types and shapes of an operator's outputs.

    Parameters
    ----------
    operator : skl2onnx.common._topology.Operator
        One of the estimators, with its input, or inputs of some columns each.

    Raises
    ------
    OnnxExportError
        skl2onnx's dictionaries of probabilities are asked for, and can't be made.
    """
    estimator = operator.raw_operator
    if isinstance(estimator, MLPClassifier):
        options = operator.scope_inst.get_options(estimator, {"zipmap": True})
        if options["zipmap"] and isinstance(estimator._targets, MultiOutput):
            msg = (
                "Several outputs have no dictionary of probabilities: convert with "
                "options={'zipmap': False}."
            )
            raise OnnxExportError(msg)
    _, outputs = _describe(operator, lambda stem: stem)
    n_samples = operator.inputs[0].get_first_dimension()
    types = _data_types()
    for variable, output in zip(operator.outputs, outputs, strict=True):
        tensor = getattr(types, _TYPES[output.dtype])
        if output.is_sequence:
            variable.set_type(types.SequenceType(tensor([None, None])))
        else:
            variable.set_type(tensor([n_samples, *output.shape]))


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add an operator's nodes and constants.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        It gives names.
    operator : skl2onnx.common._topology.Operator
        One of the estimators.
    container : skl2onnx.common._container.ModelComponentContainer
        Where they go.
    """
    graph, _ = _describe(operator, scope.get_unique_variable_name)
    for name, values in graph.constants.items():
        dtype: str = values.dtype.name
        content: Any = values.ravel()
        if dtype == "object":
            dtype, content = "str", [text.encode() for text in content]
        container.add_initializer(name, ELEMENT_TYPES[dtype], values.shape, content)
    for node in graph.nodes:
        container.add_node(
            node.operator,
            node.inputs,
            node.output,
            op_version=OPSET,
            name=scope.get_unique_operator_name(node.operator),
            **node.attributes,
        )


def _describe(operator: Any, unique: Any) -> tuple[Graph, list[Output]]:
    """Compute in what the input is, and in float32 where it is no float."""
    double = _data_types().DoubleTensorType
    # The first one's type is what skl2onnx takes the answers' to be.
    is_double = isinstance(operator.inputs[0].type, double)
    graph = Graph("float64" if is_double else "float32", unique)
    parts = [graph.cast(each.full_name, graph.dtype) for each in operator.inputs]
    X = graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    into = [variable.full_name for variable in operator.outputs]
    return graph, add_estimator(graph, operator.raw_operator, X, into)


def _data_types() -> Any:
    from skl2onnx.common import data_types

    return data_types
