"""The table of layers: what each is, and what it holds."""

import html
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline

from xpnet._moving import Movable
from xpnet._namespace import dtype_name
from xpnet._parameters import make_network
from xpnet._validation import hidden_sizes
from xpnet.backends import backend_of
from xpnet.exceptions import DataError
from xpnet.inspection._text import align
from xpnet.network import Dense

__all__ = ["LayerRow", "Summary", "activation_name", "network_of", "summary"]


@dataclass(frozen=True)
class LayerRow:
    """One layer: its shapes, and what it holds."""

    name: str
    """Its place, from 1 on."""
    kind: str
    """``"dense"``."""
    input_shape: tuple[int, ...]
    """Of a sample that it is given, ``(fan_in,)``."""
    output_shape: tuple[int, ...]
    """Of a sample that it passes on, ``(fan_out,)``."""
    activation: str
    """That of the output layer is the one of the answers, ``"softmax"`` say."""
    n_params: int
    """Weights and biases."""
    n_bytes: int
    """What they take in memory."""

    @property
    def cells(self) -> list[str]:
        """The row as it is shown."""
        shapes = (
            "×".join(map(str, shape)) for shape in (self.input_shape, self.output_shape)
        )
        numbers = f"{self.n_params:,}", f"{self.n_bytes:,}"
        return [self.name, self.kind, *shapes, self.activation, *numbers]


@dataclass(frozen=True)
class Summary:
    """The layers of a network, and what they hold together; it prints as a table."""

    title: str
    """Which estimator it is, in what state, and what it computes in."""
    layers: tuple[LayerRow, ...]
    """From the first hidden layer to the output."""

    @property
    def n_params(self) -> int:
        """Weights and biases of all layers."""
        return sum(layer.n_params for layer in self.layers)

    @property
    def n_bytes(self) -> int:
        """What they take in memory; training takes a few times as much."""
        return sum(layer.n_bytes for layer in self.layers)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table: header, layers, and the totals."""
        total = ["total", "", "", "", "", f"{self.n_params:,}", f"{self.n_bytes:,}"]
        return [list(_HEADER), *(layer.cells for layer in self.layers), total]

    def __str__(self) -> str:
        """Return the title and the table, whose last line has the totals."""
        lines = align(self.rows, [name in _NUMBERS for name in _HEADER])
        return "\n".join([self.title, "", *lines])

    __repr__ = __str__

    def to_html(self) -> str:
        """Return title and table as HTML, escaped.

        Returns
        -------
        str
            A ``<table>``.
        """
        header, *body, total = self.rows
        parts = [
            f"<caption>{html.escape(self.title)}</caption>",
            f"<thead>{_html_row(header, 'th')}</thead>",
            f"<tbody>{''.join(_html_row(row, 'td') for row in body)}</tbody>",
            f"<tfoot>{_html_row(total, 'th')}</tfoot>",
        ]
        return f'<table class="xpnet-layers">{"".join(parts)}</table>'


_HEADER = ("layer", "kind", "inputs", "outputs", "activation", "parameters", "bytes")
_NUMBERS = {"inputs", "outputs", "parameters", "bytes"}


def _html_row(cells: list[str], tag: str) -> str:
    row = "".join(
        f'<{tag} style="text-align: {"right" if name in _NUMBERS else "left"}">'
        f"{html.escape(cell)}</{tag}>"
        for name, cell in zip(_HEADER, cells, strict=True)
    )
    return f"<tr>{row}</tr>"


def summary(
    estimator: BaseEstimator, n_features: int | None = None, n_outputs: int = 1
) -> Summary:
    """Tell what layers a network has, and what they hold.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted or not; of a pipeline, the last step.
    n_features : int, optional
        Features of a sample; needed before the estimator is fitted, and ignored after.
    n_outputs : int, default=1
        Before it is fitted: outputs of a regressor; for a classifier the classes, 1
        where there are two, since they share an output.

    Returns
    -------
    Summary
        The numbers; it prints as a plain table, whose last line has the totals.

    Raises
    ------
    DataError
        The estimator is not fitted, and `n_features` is missing or not positive.
    TypeError
        It is no estimator of xpnet's.

    Examples
    --------
    >>> from xpnet import MLPClassifier
    >>> clf = MLPClassifier((100, 30), activation=["relu", "tanh"])
    >>> table = summary(clf, n_features=784, n_outputs=10)
    >>> table
    MLPClassifier, not fitted, float64
    <BLANKLINE>
    layer  kind   inputs  outputs  activation  parameters    bytes
    1      dense     784      100  relu            78,500  628,000
    2      dense     100       30  tanh             3,030   24,240
    3      dense      30       10  softmax            310    2,480
    total                                          81,840  654,720
    >>> table.n_params
    81840
    """
    network = network_of(estimator)
    if hasattr(network, "coefs_"):
        sizes, out_activation = network._sizes, network.out_activation_
        W = network.coefs_[0]
        dtype = dtype_name(W.dtype)
        state = f"fitted, {dtype} on {backend_of(W).name}"
    elif n_features is None:
        msg = (
            f"{network!r} is not fitted, and doesn't know its inputs: pass n_features, "
            "as in summary(estimator, n_features=784, n_outputs=10), or fit it."
        )
        raise DataError(msg)
    elif min(n_features, n_outputs) < 1:
        msg = (
            f"n_features and n_outputs must be positive, got {n_features} and "
            f"{n_outputs}."
        )
        raise DataError(msg)
    else:
        hidden = hidden_sizes(network.hidden_layer_sizes)
        out_activation, n_units = _output(network, n_outputs)
        sizes = [n_features, *hidden, n_units]
        dtype = network.dtype or "float64"
        state = f"not fitted, {dtype}"
    fitted = hasattr(network, "coefs_")
    normalization = network._normalization if fitted else network.normalization
    layers = make_network(sizes, network.activation, normalization=normalization).layers
    rows = []
    for place, layer in enumerate(layers, start=1):
        activation = activation_name(layer.activation)
        n_params = sum(map(math.prod, layer.shapes))
        rows.append(
            LayerRow(
                name=str(place),
                kind=_kind(layer),
                input_shape=(layer.fan_in,),
                output_shape=(layer.fan_out,),
                activation=out_activation if place == len(layers) else activation,
                n_params=n_params,
                n_bytes=n_params * np.dtype(dtype).itemsize,
            )
        )
    return Summary(f"{type(network).__name__}, {state}", tuple(rows))


def _kind(layer: Dense) -> str:
    """Return what a layer is called: "dense", "dense, batch norm"."""
    norm = layer.normalization
    return "dense" if norm is None else f"dense, {norm} norm"


def network_of(estimator: BaseEstimator) -> Any:
    """Return the estimator that has the network: itself, or a pipeline's last step.

    Raises TypeError where that is none of xpnet's.
    """
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(last, Movable):
        msg = (
            "Expected an MLPClassifier or MLPRegressor of xpnet, or a Pipeline that ends "
            f"in one; got {estimator!r}."
        )
        raise TypeError(msg)
    return last


def activation_name(activation: Any) -> str:
    """Return what to call an activation: of a user's own, its class."""
    return activation if isinstance(activation, str) else type(activation).__name__


def _output(network: Any, n_outputs: int) -> tuple[str, int]:
    """Return activation and units of the output layer before there is one."""
    if is_classifier(network):
        return ("softmax" if n_outputs > 1 else "logistic"), n_outputs
    if network.loss == "gaussian_nll":  # mean and variance
        return "identity", 2 * n_outputs
    return ("exp" if network.loss == "poisson" else "identity"), n_outputs
