"""A fully connected layer, its forward pass and its backward pass."""

from __future__ import annotations  # no compiler of steps has to evaluate them

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional import (
    affine,
    dropout,
    get_activation,
    inverse_std,
    moments,
    standardize,
    standardize_backward,
)

__all__ = ["Dense", "LayerBuffers"]

WeightsAndBiases = tuple[Array, ...]
"""``(W, b)`` of a layer, and behind them its gain if it has one; or their gradients."""


class LayerBuffers(NamedTuple):
    """Arrays that a layer's results may be written into, or None."""

    Z: Array | None = None
    A: Array | None = None
    dZ: Array | None = None
    dX: Array | None = None
    dW: Array | None = None
    db: Array | None = None
    d_gain: Array | None = None
    D: Array | None = None
    N: Array | None = None


NO_BUFFERS = LayerBuffers()
_AXES = {"layer": 1, "batch": 0}


@dataclass(frozen=True)
class Dense:
    r"""A fully connected layer, :math:`A = g(X W + b)`.

    It may drop a share of its inputs in training, and it may standardise X W,
    :math:`A = g(\gamma\, \mathrm{standardize}(D W) + b)` with D the inputs that are
    left: b then is the shift that goes with the gain :math:`\gamma`.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the layer.
    activation : str or object, default="identity"
        g, as :func:`xpnet.functional.get_activation` takes it.
    normalization : {"layer", "batch"} or None, default=None
        Over which axis to standardise, the units of a sample or the samples.
    dropout : float, default=0.0
        The share of the inputs that is dropped where keys are given.

    Examples
    --------
    >>> import numpy as np
    >>> A, backward = Dense(2, 1, "relu").forward(
    ...     np.asarray([[1.0, 2.0]]), np.asarray([[3.0], [4.0]]), np.asarray([-1.0]))
    >>> A
    array([[10.]])
    >>> dX, (dW, db) = backward(np.asarray([[1.0]]))
    >>> dX, dW, db
    (array([[3., 4.]]), array([[1.], [2.]]), array([1.]))
    """

    fan_in: int
    fan_out: int
    activation: Any = "identity"
    normalization: str | None = None
    dropout: float = 0.0

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of W and b, and of the gain if there is one."""
        W_and_b = (self.fan_in, self.fan_out), (self.fan_out,)
        return W_and_b if self.normalization is None else (*W_and_b, (self.fan_out,))

    def forward(
        self,
        X: Array,
        W: Array,
        b: Array,
        *normalizing: Array,
        keys: tuple[Array | int, Array | int] | None = None,
        out: LayerBuffers = NO_BUFFERS,
    ) -> tuple[Array, Callable[..., tuple[Array | None, WeightsAndBiases]]]:
        r"""Compute the layer's output, and the function that goes back through it.

        .. math::
            Z = X W + b, \quad A = g(Z) \qquad\text{and}\qquad
            dZ = dA \cdot g'(Z), \quad dW = X^\top dZ, \quad
            db = \sum_s dZ_s, \quad dX = dZ\, W^\top

        Parameters
        ----------
        X : array, shape (n_samples, fan_in), floating dtype
            What the layer is given; a SciPy sparse matrix will do.
        W : array, shape (fan_in, fan_out), dtype of `X`
            Weights.
        b : array, shape (fan_out,), dtype of `X`
            Biases.
        *normalizing : array, shape (fan_out,), dtype of `X`
            Of a layer that normalises, its gain; behind it, to standardise with them
            instead of those of `X`, mean and variance of each unit.
        keys : tuple of int or array, shape (), int32, optional
            Of :func:`xpnet.functional.dropout`; without, nothing is dropped.
        out : LayerBuffers, optional
            Where the results may be written.

        Returns
        -------
        A : array, shape (n_samples, fan_out), dtype of `X`
            The output.
        backward : callable
            ``backward(dA) -> (dX, (dW, db))``, with the gradient of the gain behind db;
            with ``input_gradient=False``, dX is None and is not computed.
        """
        g = get_activation(self.activation)
        if keys is not None:
            X = dropout(X, *keys, self.dropout, out=out.D)
        if self.normalization is not None:
            Z = ops.matmul(X, W, out=out.N)
            Z, through = _normalize(self.normalization, out, Z, b, *normalizing)
            A = g.forward(Z, out=out.A)
        else:
            Z = ops.matmul(X, W, out=out.Z)  # (n_samples, fan_out)
            if g.shifted is None:
                Z = _shift(Z, b, out=out.Z)
                A = g.forward(Z, out=out.A)
            else:
                A = g.shifted(Z, b, out=out.A)
        saved = Z if g.saves_input else A

        def backward(
            dA: Array, *, input_gradient: bool = True
        ) -> tuple[Array | None, WeightsAndBiases]:
            dZ = g.backward(dA, saved, out=out.dZ)  # (n_samples, fan_out)
            db = ops.row_sum(dZ, out=out.db)  # (fan_out,)
            d_gain = ()
            if self.normalization is not None:
                dZ, *d_gain = through(dZ)
            dW = ops.matmul(X.T, dZ, out=out.dW)  # (fan_in, fan_out)
            dX = None
            if input_gradient:
                dX = ops.matmul(dZ, ops.transposed(W), out=out.dX)
                if keys is not None:
                    dX = dropout(dX, *keys, self.dropout, out=out.dX)
            return dX, (dW, db, *d_gain)

        return A, backward

    def statistics(self, X: Array, W: Array) -> tuple[Array, ...]:
        """Return what predictions standardise with, of a batch that stands for all.

        Parameters
        ----------
        X : array, shape (n_samples, fan_in), floating dtype
            Inputs of the layer.
        W : array, shape (fan_in, fan_out), dtype of `X`
            Weights.

        Returns
        -------
        tuple of array, shape (fan_out,)
            Mean and variance of each unit with batch normalisation, else nothing.
        """
        return moments(ops.matmul(X, W)) if self.normalization == "batch" else ()


def _normalize(
    kind: str, out: LayerBuffers, Z: Array, b: Array, gain: Array, *statistics: Array
) -> tuple[Array, Any]:
    """Standardise, scale and shift; return the function that goes back through it."""
    if statistics and kind == "batch":
        mean, variance = statistics
        scale = gain * inverse_std(variance)
        return affine(Z, scale, b - mean * scale, out=out.Z), None
    axis = _AXES[kind]
    N, inverse = standardize(Z, axis=axis, out=out.N)

    def backward(dZ: Array) -> tuple[Array, Array]:
        d_gain = ops.row_sum(dZ * N, out=out.d_gain)
        dN = ops.multiply(dZ, gain, out=out.dZ)
        return standardize_backward(dN, N, inverse, axis=axis, out=out.dZ), d_gain

    return affine(N, gain, b, out=out.Z), backward


@pointwise()
def _shift(Z: Array, b: Array, *, out: Array | None = None) -> Array:
    return ops.add(Z, b, out=out)
