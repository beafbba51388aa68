"""The chain of layers, forward and backward, and the flat vector of its parameters."""

from __future__ import annotations  # no compiler of steps has to evaluate them

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from typing import Any, NamedTuple, Self

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, asarray_like, empty_like, is_writable
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional import get_activation
from xpnet.network.dense import NO_BUFFERS, Dense, LayerBuffers, WeightsAndBiases

__all__ = ["Buffers", "Network"]

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
class Network:
    """A chain of dense layers.

    Parameters
    ----------
    layers : tuple of Dense
        From the features to the logits. The last doesn't normalise.

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
    def from_sizes(
        cls,
        sizes: Sequence[int],
        activations: Sequence[Any],
        *,
        normalization: str | None = None,
        dropout: Sequence[float] | None = None,
    ) -> Self:
        """Chain layers of the given sizes; the last has no activation.

        Parameters
        ----------
        sizes : sequence of int
            Units from the features to the logits.
        activations : sequence, length len(sizes) - 2
            One for each hidden layer.
        normalization : {"layer", "batch"} or None, default=None
            Of the hidden layers.
        dropout : sequence of float, length len(sizes) - 1, optional
            Shares of the features, and of each hidden layer's units, that are dropped.

        Returns
        -------
        Network
            With ``len(sizes) - 1`` layers.
        """
        n_hidden = len(sizes) - 2
        each = zip(
            pairwise(sizes),
            [*activations, "identity"],
            [*[normalization] * n_hidden, None],
            dropout or [0.0] * (n_hidden + 1),
            strict=True,
        )
        return cls(tuple(Dense(*fans, *options) for fans, *options in each))

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
        """The number of weights, biases and gains."""
        vectors = [layer.fan_out * len(layer.shapes[1:]) for layer in self.layers]
        return self.n_weights + sum(vectors)

    @property
    def drops(self) -> bool:
        """Whether any layer drops inputs."""
        return any(layer.dropout > 0.0 for layer in self.layers)

    def views(self, params: Array) -> list[WeightsAndBiases]:
        """Cut the flat vector into ``(W, b)`` of each layer, and its gain.

        Parameters
        ----------
        params : array, shape (n_params,)
            The flat vector.

        Returns
        -------
        list of (W, b) or (W, b, gain)
            Shapes (fan_in, fan_out) and (fan_out,): views where the library has them.
        """
        shapes = self._in_order([layer.shapes for layer in self.layers])
        pieces = iter(ops.cut(params, tuple(shapes)))
        layers: list[WeightsAndBiases] = [()] * len(self.layers)
        for _, i in self._order:
            layers[i] = (*layers[i], next(pieces))
        return layers

    def by_layer(self, pieces: Sequence[Array]) -> list[WeightsAndBiases]:
        """Group what was a list of every layer's pieces, layer behind layer.

        Parameters
        ----------
        pieces : sequence of array
            W, b, and where there is one the gain, of the first layer, of the second …

        Returns
        -------
        list of (W, b) or (W, b, gain)
            Of each layer.
        """
        remaining = iter(pieces)
        return [tuple(islice(remaining, len(layer.shapes))) for layer in self.layers]

    def flatten(self, weights_and_biases: Sequence[WeightsAndBiases]) -> Array:
        """Join ``(W, b)`` of each layer, and its gain, into one flat vector.

        Parameters
        ----------
        weights_and_biases : sequence of (W, b) or (W, b, gain)
            Arrays of the shapes that :meth:`views` gives; what is behind is left out.

        Returns
        -------
        array, shape (n_params,)
            A new array: W of each layer, then b of each layer, then the gains.
        """
        pieces = self._in_order(weights_and_biases)
        xp = array_namespace(*pieces)
        return xp.concat([xp.reshape(piece, (-1,)) for piece in pieces])

    @cached_property
    def _order(self) -> list[tuple[int, int]]:
        """Which piece of which layer comes when in the flat vector."""
        n_pieces = enumerate(len(layer.shapes) for layer in self.layers)
        return sorted((kind, i) for i, n in n_pieces for kind in range(n))

    def _in_order(self, layers: Sequence[Sequence[Any]]) -> list[Any]:
        return [layers[i][kind] for kind, i in self._order]

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
        for layer, gradients in zip(self.layers, self.views(d_params), strict=True):
            dW, db, *d_gain = gradients
            A = empty_like(params, (n_samples, layer.fan_out))
            saves_input = get_activation(layer.activation).saves_input
            Z = empty_like(params, A.shape) if saves_input else A
            last = len(layers) == len(self.layers) - 1
            # The loss's gradient may take the place of outputs that nobody needs again.
            replaced = last and layer.activation == "identity"
            dZ = A if replaced else empty_like(params, A.shape)
            kept = {}
            if layer.normalization is not None:
                kept = {"d_gain": d_gain[0], "N": empty_like(params, A.shape)}
            if layer.dropout > 0.0:
                kept["D"] = empty_like(params, (n_samples, layer.fan_in))
            layers.append(LayerBuffers(Z, A, dZ, dX, dW, db, **kept))
            dX = dZ  # the next layer's dX is this layer's dA, then its dZ
        return Buffers(tuple(layers), d_params, params, self.views(params))

    def forward(
        self,
        weights: Sequence[WeightsAndBiases],
        X: Array,
        out: Buffers | None = None,
        *,
        key: Array | int | None = None,
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
        key : int or array, shape (), int32, optional
            Random bits of this step, which layers draw from what they drop; without,
            nothing is dropped.

        Returns
        -------
        logits : array, shape (n_samples, fan_out of the last layer)
            The output of the last layer.
        backward : callable
            ``backward(d_logits, penalty=None, flat=True, l1=None) -> d_params``, the
            flat gradient, or with ``flat=False`` its pieces, (dW, db) of each layer. A
            `penalty` p adds that of (p / 2) ||W||^2: ``dW + p W`` in each layer;
            an `l1` q adds that of q times the sum of magnitudes: ``dW + q sign(W)``.
        """
        hints = (NO_BUFFERS,) * len(self.layers) if out is None else out.layers
        A = X
        callbacks: list[tuple[Array, Callable[..., Any]]] = []
        for layer, pieces, hint in zip(self.layers, weights, hints, strict=True):
            keys = None
            if key is not None and layer.dropout > 0.0:
                keys = key, _stream(len(callbacks))
            A, callback = layer.forward(A, *pieces, keys=keys, out=hint)
            callbacks.append((pieces[0], callback))

        def backward(
            d_logits: Array,
            penalty: Array | float | None = None,
            *,
            flat: bool = True,
            l1: Array | float | None = None,
        ) -> Any:
            dA, gradients = d_logits, []
            for depth, (W, callback) in reversed(list(enumerate(callbacks))):
                # Nobody asks for the gradient with respect to the samples.
                dA, (dW, *rest) = callback(dA, input_gradient=depth > 0)
                if penalty is not None:
                    dW = _decay(dW, W, penalty)
                if l1 is not None:
                    dW = _shrink(dW, W, l1)
                gradients.append((dW, *rest))
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
            hints = tuple(LayerBuffers(Z=A, A=A, N=A) for A in targets)
            result, _ = self.forward(weights, block, Buffers(hints))
            if result is not targets[-1]:  # a hint is no more than that
                outputs[i:j, :] = result
        return outputs

    def statistics(
        self, weights: Sequence[WeightsAndBiases], X: Array
    ) -> list[tuple[Array, ...]]:
        """Return what predictions standardise with, layer by layer.

        Parameters
        ----------
        weights : sequence of (W, b) or (W, b, gain)
            Of each layer, as :meth:`views` gives them.
        X : array, shape (n_samples, n_features), dtype of the weights
            A batch that stands for all samples, hence a large one.

        Returns
        -------
        list of tuple of array
            Mean and variance of each layer with batch normalisation, (fan_out,); empty
            for the others. They go behind the layer's own arrays to :meth:`outputs`.
        """
        A, found = X, []
        for layer, pieces in zip(self.layers, weights, strict=True):
            found.append(layer.statistics(A, pieces[0]))
            A, _ = layer.forward(A, *pieces)
        return found

    def limit(
        self, weights: Sequence[WeightsAndBiases], max_norm: float
    ) -> list[WeightsAndBiases]:
        r"""Scale back what is longer than allowed of the hidden units' weights.

        .. math:: w \leftarrow \frac{c}{\max(\lVert w \rVert, c)}\, w

        for each column w of each hidden layer's W, the weights of what comes in to one
        unit [1]_.

        Parameters
        ----------
        weights : sequence of (W, b)
            Of each layer; W may be written into.
        max_norm : float
            The largest norm c.

        Returns
        -------
        list of (W, b)
            Of each layer.

        References
        ----------
        .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov,
           "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15,
           2014.
        """
        *hidden, last = weights
        return [(_limit(W, max_norm), *rest) for W, *rest in hidden] + [last]


def _stream(depth: int) -> int:
    """Return a layer's second key, an int32: a multiple of the golden ratio's bits."""
    return (depth * 0x9E3779B9 + (1 << 31)) % (1 << 32) - (1 << 31)


def _limit(W: Array, max_norm: float) -> Array:
    norms = array_namespace(W).sqrt(ops.row_sum(W * W))  # (fan_out,)
    return _scale(W, max_norm / ops.maximum(norms, max_norm))


@pointwise(updates=1)
def _scale(W: Array, share: Array) -> Array:
    W *= share
    return W


@pointwise(updates=1)
def _decay(dW: Array, W: Array, penalty: Array | float) -> Array:
    dW += penalty * W
    return dW


@pointwise(updates=1)
def _shrink(dW: Array, W: Array, l1: Array | float) -> Array:
    dW += l1 * ops.sign(W)
    return dW
