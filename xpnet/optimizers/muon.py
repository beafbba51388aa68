"""Muon: momentum, made orthogonal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, is_writable
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.optimizers.adaptive import AdamW
from xpnet.optimizers.base import Optimizer, State, Update

__all__ = ["Muon", "orthogonalize"]

_A, _B, _C = 3.4445, -4.7750, 2.0315
_N_STEPS = 5
_EPSILON = 1e-7


def orthogonalize(G: Array) -> Array:
    r"""Return roughly the orthogonal matrix next to a given one.

    Of the singular value decomposition :math:`G = U S V^\top` that is
    :math:`U V^\top`. Five steps of a Newton-Schulz iteration [1]_,

    .. math::
        X \leftarrow a X + (b A + c A^2) X, \qquad A = X X^\top, \qquad
        (a, b, c) = (3.4445, -4.7750, 2.0315),

    from :math:`X = G / (\lVert G \rVert_F + 10^{-7})` bring the singular values to
    between 0.7 and 1.2, which is near enough; it takes matrix products only. Tall
    matrices are transposed on the way.

    Parameters
    ----------
    G : array, shape (m, n), floating dtype
        It stays as it is.

    Returns
    -------
    array, shape (m, n), dtype of `G`
        Zero where `G` is.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
       https://kellerjordan.github.io/posts/muon, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> G = np.random.default_rng(0).normal(size=(5, 3))
    >>> s = np.linalg.svd(orthogonalize(G), compute_uv=False)
    >>> bool(np.all((0.6 < s) & (s < 1.3)))
    True
    """
    tall = G.shape[0] > G.shape[1]
    g = array_namespace(G).reshape(G, (-1,))
    X = G / (ops.sqrt(ops.matmul(g, g)) + _EPSILON)  # singular values of at most 1
    X = X.T if tall else X
    for _ in range(_N_STEPS):
        A = ops.matmul(X, X.T)
        X = _A * X + ops.matmul(_B * A + _C * ops.matmul(A, A), X)
    return X.T if tall else X


@dataclass(frozen=True)
class Muon(Optimizer):
    r"""Momentum, made orthogonal, for the weights of hidden layers; AdamW for the rest.

    .. math::
        m &\leftarrow \mu m + (1 - \mu)\, g \\
        O &= \operatorname{orthogonalize}(\mu m + (1 - \mu)\, g) \qquad
        \text{or, without Nesterov's momentum, of } m \\
        W &\leftarrow (1 - \eta\lambda)\, W - 0.2 \sqrt{\max(n, k)}\; \eta\, O
        \qquad \text{for } W \text{ of shape } (n, k)

    Its author [1]_ means it for the matrices of hidden layers, and leaves biases, the
    output layer and embeddings to AdamW. Here every layer but the last counts as
    hidden: the first, too, whose weights multiply numbers, and don't look up rows as an
    embedding's do. The factor :math:`0.2 \sqrt{\max(n, k)}` makes steps as long as
    AdamW's [2]_, so that both share learning rate and decay.

    Parameters
    ----------
    hidden : tuple of (int, int)
        Shapes of the hidden layers' weights, which come first in the flat vector.
    momentum : float, default=0.95
        :math:`\mu`, in [0, 1).
    nesterov : bool, default=True
        Look ahead along the momentum.
    beta_1, beta_2, epsilon : float
        Of AdamW, as in :class:`AdamW`.
    weight_decay : float, default=0.01
        :math:`\lambda`, of both; at least 0.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
       https://kellerjordan.github.io/posts/muon, 2024.
    .. [2] J. Liu et al., "Muon is scalable for LLM training", arXiv:2502.16982, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> muon, p = Muon(hidden=((1, 1),), weight_decay=0.0), np.asarray([1.0, 1.0])
    >>> p, state = muon.update(p, 2.0 * p, muon.init(p), *muon.coefficients(0.1, 1))
    >>> print(p.round(2))  # 0.02 times a singular value, here 0.7; AdamW's 0.1
    [0.99 0.9 ]
    """

    hidden: tuple[tuple[int, int], ...]
    momentum: float = 0.95
    nesterov: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    @property
    def adamw(self) -> AdamW:
        """What updates the rest."""
        return AdamW(self.beta_1, self.beta_2, self.epsilon, self.weight_decay)

    def init(self, params: Array) -> State:
        """Return both moments, zero; the hidden layers have no use for the second."""
        return self.adamw.init(params)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        r"""Return :math:`(\eta_t, 1 - \eta \lambda)` of AdamW, and :math:`(\eta,)`."""
        return (*self.adamw.coefficients(learning_rate, t), learning_rate)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the moments after one step."""
        xp, start, updated = array_namespace(params), 0, []
        vectors = params, d_params, *state
        for shape in self.hidden:
            stop = start + math.prod(shape)
            W, dW, *moments = (xp.reshape(x[start:stop], shape) for x in vectors)
            updated.append(self._update_matrix(W, dW, tuple(moments), *coefficients))
            start = stop
        rest, d_rest, *moments = (x[start:] for x in vectors)
        updated.append(self._update_rest(rest, d_rest, tuple(moments), *coefficients))
        if is_writable(params):  # the pieces are views
            return params, state
        pieces = zip(*((p, *moments) for p, moments in updated), strict=True)
        params, *new_state = (
            xp.concat([xp.reshape(piece, (-1,)) for piece in vector])
            for vector in pieces
        )
        return params, tuple(new_state)

    def updates(self, n_pieces: Sequence[int]) -> Sequence[Update]:
        """Return both, for the pieces of each layer."""
        *hidden, last = n_pieces
        chosen: list[Update] = []
        for n in hidden:
            chosen += [self._update_matrix, *[self._update_rest] * (n - 1)]
        return chosen + [self._update_rest] * last

    def _update_matrix(
        self, W: Array, dW: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        _, keep, learning_rate = coefficients
        m, unused = state
        g, m = _accumulate(dW, m, self.momentum, 1.0 - self.momentum)
        O = orthogonalize(_look_ahead(g, m, self.momentum) if self.nesterov else m)
        scale = 0.2 * math.sqrt(max(W.shape))
        return _step(W, O, learning_rate, keep, scale), (m, unused)

    def _update_rest(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        step_size, keep, _ = coefficients
        return self.adamw.update(params, d_params, state, step_size, keep)


# The formulas. g is the gradient, which the update uses up.


@pointwise(updates=2)
def _accumulate(
    g: Array, m: Array, momentum: float, rest: float
) -> tuple[Array, Array]:
    g *= rest
    m *= momentum
    m += g
    return g, m


@pointwise(updates=1)
def _look_ahead(g: Array, m: Array, momentum: float) -> Array:
    g += momentum * m
    return g


@pointwise(updates=1)
def _step(W: Array, O: Array, learning_rate: Array, keep: Array, scale: float) -> Array:
    W *= keep
    W -= scale * learning_rate * O
    return W
