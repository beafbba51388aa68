"""What a fitted estimator computes, added to a graph: the one description there is."""

from typing import TypeAlias

from sklearn.preprocessing import StandardScaler

from xpnet._namespace import to_numpy
from xpnet._parameters import make_network
from xpnet._typing import Array
from xpnet.classifier import MLPClassifier
from xpnet.functional.normalization import EPSILON, inverse_std
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


def _add_dense(graph: Graph, layer: Dense, weights: tuple[Array, ...], X: str) -> str:
    W, b, *normalizing = (to_numpy(each) for each in weights)
    if layer.normalization == "batch":  # an affine map behind another is one
        gain, mean, variance = normalizing
        scale = gain * inverse_std(variance)
        W, b = W * scale, b - mean * scale
    Z = graph.add("MatMul", X, graph.constant(W))
    if layer.normalization == "layer":
        (gain,) = normalizing
        Z = graph.add("Mul", _standardize(graph, Z), graph.constant(gain))
    Z = graph.add("Add", Z, graph.constant(b))
    return activate(graph, layer.activation, Z)


def _standardize(graph: Graph, Z: str) -> str:
    """Standardise each sample, as :func:`xpnet.functional.standardize` does."""
    centred = graph.add("Sub", Z, graph.add("ReduceMean", Z, axes=[1]))
    squares = graph.add("Mul", centred, centred)
    variance = graph.add("ReduceMean", squares, axes=[1])
    shifted = graph.add("Add", variance, EPSILON)
    return graph.add("Div", centred, graph.add("Sqrt", shifted))


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
    network = make_network(
        estimator._sizes,
        estimator.activation,
        normalization=estimator._normalization,
    )
    for layer, weights in zip(network.layers, estimator._weights, strict=True):
        X = _add_dense(graph, layer, weights, X)
    if isinstance(estimator, MLPClassifier):
        return add_labels(graph, estimator._targets, X, *into)
    n_outputs, is_log = estimator.n_outputs_, estimator.out_activation_ == "exp"
    if network.sizes[-1] > n_outputs:  # the others are logarithms of variances
        X = graph.columns(X, 0, n_outputs)
    return add_numbers(graph, n_outputs, X, *into, is_log=is_log)
