"""The activations of :mod:`xpnet.functional`, in operators of the ONNX standard.

These are formulas, and not the standard's Elu, Softplus and so on: runtimes have those
for float32 only.
"""

from collections.abc import Callable
from typing import Any

from xpnet.exceptions import OnnxExportError
from xpnet.functional import exponential, gated, rectifiers
from xpnet.onnx._graph import Graph

__all__ = ["ACTIVATIONS", "activate"]


def _identity(_: Graph, Z: str) -> str:
    return Z


def _logistic(graph: Graph, Z: str) -> str:
    return graph.add("Sigmoid", Z)


def _tanh(graph: Graph, Z: str) -> str:
    return graph.add("Tanh", Z)


def _relu(graph: Graph, Z: str) -> str:
    return graph.add("Relu", Z)


def _leaky_relu(graph: Graph, Z: str) -> str:
    return graph.add("Max", Z, graph.add("Mul", Z, rectifiers._SLOPE))


def _below(graph: Graph, Z: str) -> str:
    """Return e^Z - 1 below zero, and 0 above."""
    return graph.add("Sub", graph.add("Exp", graph.add("Min", Z, 0.0)), 1.0)


def _elu(graph: Graph, Z: str) -> str:
    return graph.add("Add", graph.add("Relu", Z), _below(graph, Z))


def _selu(graph: Graph, Z: str) -> str:
    above = graph.add("Mul", graph.add("Relu", Z), exponential._LAMBDA)
    below = graph.add("Mul", _below(graph, Z), exponential._LAMBDA_ALPHA)
    return graph.add("Add", above, below)


def _softplus(graph: Graph, Z: str) -> str:
    power = graph.add("Exp", graph.add("Neg", graph.add("Abs", Z)))
    tail = graph.add("Log", graph.add("Add", power, 1.0))
    return graph.add("Add", graph.add("Relu", Z), tail)


def _silu(graph: Graph, Z: str) -> str:
    # Z · Sigmoid(Z) is what onnxruntime 1.20 makes one operator of, that lacks float64.
    power = graph.add("Exp", graph.add("Neg", Z))
    return graph.add("Div", Z, graph.add("Add", power, 1.0))


def _mish(graph: Graph, Z: str) -> str:
    return graph.add("Mul", Z, graph.add("Tanh", _softplus(graph, Z)))


def _gelu(graph: Graph, Z: str) -> str:
    cube = graph.add("Mul", graph.add("Mul", Z, Z), Z)
    inner = graph.add("Add", Z, graph.add("Mul", cube, gated._GELU_CUBIC))
    gate = graph.add("Sigmoid", graph.add("Mul", inner, 2.0 * gated._GELU_SCALE))
    return graph.add("Mul", Z, gate)


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "identity": _identity,
    "logistic": _logistic,
    "tanh": _tanh,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
}
"""By their names: those of :data:`xpnet.functional.ACTIVATIONS`."""


def activate(graph: Graph, activation: Any, Z: str) -> str:
    """Add an activation.

    Parameters
    ----------
    graph : Graph
        Where to.
    activation : str or object
        As a layer has it.
    Z : str
        The name of the pre-activations.

    Returns
    -------
    str
        The name of the output.

    Raises
    ------
    OnnxExportError
        It is an object of the user's.
    """
    if not isinstance(activation, str):
        msg = (
            f"The activation {activation!r} is code, and ONNX has only its standard's "
            f"operators: train with one of {', '.join(ACTIVATIONS)} to export."
        )
        raise OnnxExportError(msg)
    return ACTIVATIONS[activation](graph, Z)
