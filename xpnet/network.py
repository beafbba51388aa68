"""The chain of dense layers, its forward pass and its backward pass.

All parameters are one flat vector, weights first and then biases, in scikit-learn's
order ``W1 … WL, b1 … bL``: an optimiser updates one array, and L-BFGS sees the vector
it needs. The layers use its named views.
"""

from __future__ import annotations  # no compiler of steps has to evaluate them

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

from xpnet import _namespace as ops
from xpnet._namespace import (
    array_namespace,
    asarray_like,
    empty_like,
    is_writable,
)
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional import get_activation

__all__ = ["Buffers", "Dense", "LayerBuffers", "Network"]

WeightsAndBiases = tuple[Array, Array]
"""``(W, b)`` of a layer, or their gradients ``(dW, db)``."""


class LayerBuffers(NamedTuple):
    """Arrays that a layer's results may be written into, or None."""

    Z: Array | None = None
    A: Array | None = None
    dZ: Array | None = None
    dX: Array | None = None
    dW: Array | None = None
    db: Array | None = None


NO_BUFFERS = LayerBuffers()
_BLOCK = 2**18  # elements of the widest layer that prediction holds at a time


class Buffers(NamedTuple):
    """Arrays that a whole step may write into, for one batch size."""

    layers: tuple[LayerBuffers, ...]
    d_params: Array | None = None
    params: Array | None = None
    """The flat vector that they were made for."""
    weights: Sequence[WeightsAndBiases] = ()
    """Its views, made once: steps write into it, and don't replace it."""


@dataclass(frozen=True)
class Dense:
    r"""A fully connected layer, :math:`A = g(X W + b)`.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the layer.
    activation : str or object, default="identity"
        g, as :func:`xpnet.functional.get_activation` takes it.

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

    def forward(
        self, X: Array, W: Array, b: Array, out: LayerBuffers = NO_BUFFERS
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
        out : LayerBuffers, optional
            Where the results may be written.

        Returns
        -------
        A : array, shape (n_samples, fan_out), dtype of `X`
            The output.
        backward : callable
            ``backward(dA) -> (dX, (dW, db))``; with ``input_gradient=False``, dX is
            None and is not computed.
        """
        g = get_activation(self.activation)
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
            dW = ops.matmul(X.T, dZ, out=out.dW)  # (fan_in, fan_out)
            db = ops.row_sum(dZ, out=out.db)  # (fan_out,)
            dX = None
            if input_gradient:
                dX = ops.matmul(dZ, ops.transposed(W), out=out.dX)
            return dX, (dW, db)

        return A, backward


@dataclass(frozen=True)
class Network:
    """A chain of dense layers.

    Parameters
    ----------
    layers : tuple of Dense
        From the features to the logits.

    Examples
    --------
    >>> import numpy as np
    >>> network = Network.from_sizes([2, 3, 2], ["tanh"])
    >>> network.n_params
    17
    >>> params = np.zeros(network.n_params)
    >>> logits, backward = network.forward(network.views(params), np.ones((4, 2)))
    >>> logits.shape, backward(logits).shape
    ((4, 2), (17,))
    """

    layers: tuple[Dense, ...]

    @classmethod
    def from_sizes(cls, sizes: Sequence[int], activations: Sequence[Any]) -> Self:
        """Chain layers of the given sizes; the last has no activation.

        Parameters
        ----------
        sizes : sequence of int
            Units from the features to the logits.
        activations : sequence, length len(sizes) - 2
            One for each hidden layer.

        Returns
        -------
        Network
            With ``len(sizes) - 1`` layers.
        """
        fans = zip(pairwise(sizes), [*activations, "identity"], strict=True)
        return cls(tuple(Dense(fan_in, fan_out, g) for (fan_in, fan_out), g in fans))

    @property
    def sizes(self) -> list[int]:
        """Units from the features to the outputs."""
        return [self.layers[0].fan_in, *(layer.fan_out for layer in self.layers)]

    @cached_property
    def n_weights(self) -> int:
        """The number of weights, which come first in the flat vector."""
        return sum(layer.fan_in * layer.fan_out for layer in self.layers)

    @property
    def widest(self) -> int:
        """The number of weights of the largest layer."""
        return max(layer.fan_in * layer.fan_out for layer in self.layers)

    @property
    def n_params(self) -> int:
        """The number of weights and biases."""
        return self.n_weights + sum(layer.fan_out for layer in self.layers)

    def views(self, params: Array) -> list[WeightsAndBiases]:
        """Cut the flat vector into ``(W, b)`` of each layer.

        Parameters
        ----------
        params : array, shape (n_params,)
            The flat vector.

        Returns
        -------
        list of (W, b)
            Shapes (fan_in, fan_out) and (fan_out,): views where the library has them.
        """
        shapes: list[tuple[int, ...]]
        shapes = [(layer.fan_in, layer.fan_out) for layer in self.layers]
        shapes += [(layer.fan_out,) for layer in self.layers]
        pieces, n_layers = ops.cut(params, tuple(shapes)), len(self.layers)
        return list(zip(pieces[:n_layers], pieces[n_layers:], strict=True))

    def flatten(self, weights_and_biases: Sequence[WeightsAndBiases]) -> Array:
        """Join ``(W, b)`` of each layer into one flat vector.

        Parameters
        ----------
        weights_and_biases : sequence of (W, b)
            Arrays of the shapes that :meth:`views` gives.

        Returns
        -------
        array, shape (n_params,)
            A new array: W of each layer, then b of each layer.
        """
        Ws, bs = zip(*weights_and_biases, strict=True)
        xp = array_namespace(*Ws, *bs)
        return xp.concat([xp.reshape(piece, (-1,)) for piece in (*Ws, *bs)])

    def buffers(self, params: Array, n_samples: int) -> Buffers:
        """Allocate what a step with `n_samples` rows may write into.

        Parameters
        ----------
        params : array, shape (n_params,)
            The library, device and dtype of the buffers are its own.
        n_samples : int
            Rows of a batch.

        Returns
        -------
        Buffers
            Empty where the library can't write into a given array.
        """
        if not is_writable(params):
            return Buffers((NO_BUFFERS,) * len(self.layers))
        d_params = empty_like(params, (self.n_params,))
        layers: list[LayerBuffers] = []
        dX = None
        for layer, (dW, db) in zip(self.layers, self.views(d_params), strict=True):
            A = empty_like(params, (n_samples, layer.fan_out))
            saves_input = get_activation(layer.activation).saves_input
            Z = empty_like(params, A.shape) if saves_input else A
            last = len(layers) == len(self.layers) - 1
            # The loss's gradient may take the place of outputs that nobody needs again.
            replaced = last and layer.activation == "identity"
            dZ = A if replaced else empty_like(params, A.shape)
            layers.append(LayerBuffers(Z, A, dZ, dX, dW, db))
            dX = dZ  # the next layer's dX is this layer's dA, then its dZ
        return Buffers(tuple(layers), d_params, params, self.views(params))

    def forward(
        self, weights: Sequence[WeightsAndBiases], X: Array, out: Buffers | None = None
    ) -> tuple[Array, Callable[..., Array]]:
        """Compute the logits, and the function that goes back through the chain.

        Parameters
        ----------
        weights : sequence of (W, b)
            Of each layer, as :meth:`views` gives them.
        X : array, shape (n_samples, n_features), dtype of the weights
            Samples.
        out : Buffers, optional
            Where the results may be written.

        Returns
        -------
        logits : array, shape (n_samples, fan_out of the last layer)
            The output of the last layer.
        backward : callable
            ``backward(d_logits, penalty=None, flat=True) -> d_params``, the flat
            gradient, or with ``flat=False`` its pieces, (dW, db) of each layer. A
            `penalty` p adds that of (p / 2) ||W||^2: ``dW + p W`` in each layer.
        """
        hints = (NO_BUFFERS,) * len(self.layers) if out is None else out.layers
        A, callbacks = X, []
        for layer, (W, b), hint in zip(self.layers, weights, hints, strict=True):
            A, callback = layer.forward(A, W, b, hint)
            callbacks.append((W, callback))

        def backward(
            d_logits: Array, penalty: Array | float | None = None, *, flat: bool = True
        ) -> Any:
            dA, gradients = d_logits, []
            for depth, (W, callback) in reversed(list(enumerate(callbacks))):
                # Nobody asks for the gradient with respect to the samples.
                dA, (dW, db) = callback(dA, input_gradient=depth > 0)
                if penalty is not None:
                    dW = _decay(dW, W, penalty)
                gradients.append((dW, db))
            gradients.reverse()
            if not flat:
                return gradients
            if out is not None and out.d_params is not None:
                return out.d_params  # the layers wrote into its views
            return self.flatten(gradients)

        return A, backward

    def outputs(self, weights: Sequence[WeightsAndBiases], X: Array) -> Array:
        """Compute the logits alone, block by block, in bounded memory.

        Parameters
        ----------
        weights : sequence of (W, b)
            Of each layer, as :meth:`views` gives them.
        X : array, shape (n_samples, n_features), real dtype
            Samples, of any library and device: each block is moved and cast.

        Returns
        -------
        array, shape (n_samples, fan_out of the last layer)
            Where the weights lie.
        """
        W, n_samples = weights[0][0], X.shape[0]
        rows = max(1, _BLOCK // max(self.sizes))
        if n_samples <= rows:
            return self.forward(weights, asarray_like(X, W, W.dtype))[0]
        cuts = [(i, min(i + rows, n_samples)) for i in range(0, n_samples, rows)]
        blocks = (asarray_like(X[i:j, :], W, W.dtype) for i, j in cuts)
        if not is_writable(W):
            outputs = [self.forward(weights, block)[0] for block in blocks]
            return array_namespace(W).concat(outputs)
        outputs = empty_like(W, (n_samples, self.sizes[-1]))
        buffers = [empty_like(W, (rows, n_units)) for n_units in self.sizes[1:-1]]
        for (i, j), block in zip(cuts, blocks, strict=True):
            targets = [*(A[: j - i, :] for A in buffers), outputs[i:j, :]]
            hints = tuple(LayerBuffers(Z=A, A=A) for A in targets)
            result, _ = self.forward(weights, block, Buffers(hints))
            if result is not targets[-1]:  # a hint is no more than that
                outputs[i:j, :] = result
        return outputs


@pointwise()
def _shift(Z: Array, b: Array, *, out: Array | None = None) -> Array:
    return ops.add(Z, b, out=out)


@pointwise(updates=1)
def _decay(dW: Array, W: Array, penalty: Array | float) -> Array:
    dW += penalty * W
    return dW
