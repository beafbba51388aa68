"""What a fitted estimator computes, added to a graph: the one description there is."""

from collections.abc import Callable
from typing import TypeAlias

from sklearn.preprocessing import StandardScaler

from xpnet._namespace import to_numpy
from xpnet._parameters import make_network
from xpnet._typing import Array
from xpnet.classifier import MLPClassifier
from xpnet.network import Dense
from xpnet.onnx._activations import activate
from xpnet.onnx._answers import Output, add_labels, add_numbers
from xpnet.onnx._graph import Graph
from xpnet.regressor import MLPRegressor

__all__ = ["Estimator", "add_estimator", "add_scaler"]

Estimator: TypeAlias = MLPClassifier | MLPRegressor


def add_scaler(graph: Graph, scaler: StandardScaler, X: str) -> str:
    """Add a fitted scaler, which computes in float64, and return its output's name."""
    if scaler.with_mean:
        X = graph.add("Sub", X, graph.constant(to_numpy(scaler.mean_), "float64"))
    if scaler.with_std:
        X = graph.add("Div", X, graph.constant(to_numpy(scaler.scale_), "float64"))
    return X


def _add_dense(graph: Graph, layer: Dense, weights: tuple[Array, Array], X: str) -> str:
    W, b = (graph.constant(to_numpy(each)) for each in weights)
    Z = graph.add("Add", graph.add("MatMul", X, W), b)
    return activate(graph, layer.activation, Z)


_LAYERS: dict[type, Callable[..., str]] = {Dense: _add_dense}
"""``add(graph, layer, weights, X)`` returns the name of the layer's output."""


def add_estimator(
    graph: Graph, estimator: Estimator, X: str, into: list[str]
) -> list[Output]:
    """Add a fitted network, and what it answers.

    Parameters
    ----------
    graph : Graph
        Where to.
    estimator : MLPClassifier or MLPRegressor
        Fitted.
    X : str
        The name of the samples, in the graph's dtype.
    into : list of str
        The names that the answers are to have in the graph: of a classifier's labels
        and probabilities, or of a regressor's numbers.

    Returns
    -------
    list of Output
        The answers, in this order.

    Raises
    ------
    OnnxExportError
        An activation, or labels, have no form in ONNX.
    """
    network = make_network(estimator._sizes, estimator.activation)
    for layer, weights in zip(network.layers, estimator._weights, strict=True):
        X = _LAYERS[type(layer)](graph, layer, weights, X)
    if isinstance(estimator, MLPClassifier):
        return add_labels(graph, estimator._targets, X, *into)
    n_outputs, is_log = estimator.n_outputs_, estimator.out_activation_ == "exp"
    if network.sizes[-1] > n_outputs:  # the others are logarithms of variances
        X = graph.columns(X, 0, n_outputs)
    return add_numbers(graph, n_outputs, X, *into, is_log=is_log)
