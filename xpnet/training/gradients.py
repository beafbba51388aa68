"""What may be done with a gradient before the step: clip it, or gather it in parts.

Each is an objective around another one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, empty_like, is_writable
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional import counter_hash
from xpnet.losses import total_weight
from xpnet.network import Buffers
from xpnet.network.dense import WeightsAndBiases
from xpnet.training.batches import Data, batches
from xpnet.training.objective import Differentiable, Objective

__all__ = ["Accumulated", "Clipped", "PartBuffers"]

_EPSILON = 1e-6  # added to the length, as is the custom


@dataclass(frozen=True)
class Clipped:
    r"""An objective whose gradient is shortened where it is long.

    .. math:: g \leftarrow \min\left(1, \frac{c}{\lVert g \rVert + 10^{-6}}\right) g

    The length is that of the gradient as a whole, over all layers [1]_, with the
    penalty.

    Parameters
    ----------
    objective : Objective or Accumulated
        What to descend.
    max_norm : float
        c, above 0.

    References
    ----------
    .. [1] R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent
       neural networks", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.losses import squared_error
    >>> from xpnet.network import Network
    >>> objective = Objective(Network.from_sizes([1, 1], []), squared_error)
    >>> clipped = Clipped(objective, max_norm=1.0)
    >>> _, d_params = clipped.value_and_gradient(
    ...     np.asarray([4.0, 0.0]), np.asarray([[0.75]]), np.asarray([[-2.0]]))
    >>> print(d_params.round(5))  # it was [3.75 5.  ]
    [0.6 0.8]
    """

    objective: Differentiable
    max_norm: float

    @property
    def base(self) -> Objective:
        """The objective itself."""
        return self.objective.base

    def buffers(self, params: Array, n_samples: int) -> Any:
        """Allocate what a step may write into, as the objective does."""
        return self.objective.buffers(params, n_samples)

    def value_and_gradient(
        self,
        params: Array,
        X: Array,
        targets: Array,
        out: Any = None,
        *,
        weights: Array | None = None,
        key: Array | int | None = None,
    ) -> tuple[Array, Array]:
        """Return the objective and its clipped gradient, as :class:`Objective` does."""
        value, d_params = self.objective.value_and_gradient(
            params, X, targets, out, weights=weights, key=key
        )
        return value, _shorten(d_params, ops.matmul(d_params, d_params), self.max_norm)

    def value_and_gradients(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        X: Array,
        targets: Array,
        *,
        weights: Array | None = None,
        key: Array | int | None = None,
    ) -> tuple[Array, list[WeightsAndBiases]]:
        """Return the same in pieces."""
        value, gradients = self.objective.value_and_gradients(
            weights_and_biases, X, targets, weights=weights, key=key
        )
        xp = array_namespace(value)
        flat = [xp.reshape(d, (-1,)) for layer in gradients for d in layer]
        squares = sum(ops.matmul(d, d) for d in flat)
        return value, [
            tuple(_shorten(d, squares, self.max_norm) for d in layer)
            for layer in gradients
        ]


class PartBuffers(NamedTuple):
    """Arrays that a step in parts may write into."""

    parts: Sequence[Buffers]
    """For each part; those of the same size share theirs."""
    d_params: Array | None


@dataclass(frozen=True)
class Accumulated:
    r"""An objective that goes through a batch in parts, and adds up their gradients.

    .. math:: J = \sum_k \frac{w_k}{w} J_k

    of the weights, or numbers of samples, of parts and batch. That is the objective on
    the whole batch, up to rounding, in the memory that a part needs. Batch normalisation
    standardises each part by itself.

    Parameters
    ----------
    objective : Objective
        What to descend.
    part_size : int
        Samples of a part; the last may have fewer.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.losses import squared_error
    >>> from xpnet.network import Network
    >>> objective = Objective(Network.from_sizes([1, 1], []), squared_error, alpha=0.5)
    >>> batch = np.asarray([2.0, 0.0]), np.ones((3, 1)), np.asarray([[0.0], [1.0], [5.0]])
    >>> parts = Accumulated(objective, part_size=2)
    >>> for each in (objective, parts):
    ...     value, d_params = each.value_and_gradient(*batch)
    ...     print(value.round(4), d_params.round(4))
    2.6667 [0.3333 0.    ]
    2.6667 [0.3333 0.    ]
    """

    objective: Objective
    part_size: int

    @property
    def base(self) -> Objective:
        """The objective itself."""
        return self.objective.base

    def buffers(self, params: Array, n_samples: int) -> PartBuffers:
        """Allocate what a part may write into, and the whole gradient."""
        n_parts, n_last = divmod(n_samples, self.part_size)
        sizes = [self.part_size] * n_parts + [n_last] * (n_last > 0)
        made = {n: self.objective.buffers(params, n) for n in set(sizes)}
        writable = is_writable(params)
        d_params = empty_like(params, params.shape) if writable else None
        return PartBuffers([made[n] for n in sizes], d_params)

    def value_and_gradient(
        self,
        params: Array,
        X: Array,
        targets: Array,
        out: PartBuffers | None = None,
        *,
        weights: Array | None = None,
        key: Array | int | None = None,
    ) -> tuple[Array, Array]:
        """Return the objective and its gradient, as :class:`Objective` does."""
        value = total = None
        parts = self._parts(X, targets, weights, key)
        for i, (objective, part, share, part_key) in enumerate(parts):
            hints = None if out is None else out.parts[i]
            J, d = objective.value_and_gradient(
                params, part.X, part.targets, hints, weights=part.weights, key=part_key
            )
            if total is None:
                value = share * J
                total = _scale(d, share, out=None if out is None else out.d_params)
            else:
                value, total = value + share * J, _add(total, d, share)
        return value, total

    def value_and_gradients(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        X: Array,
        targets: Array,
        *,
        weights: Array | None = None,
        key: Array | int | None = None,
    ) -> tuple[Array, list[WeightsAndBiases]]:
        """Return the same in pieces."""
        value, total = None, list[WeightsAndBiases]()
        parts = self._parts(X, targets, weights, key)
        for objective, part, share, part_key in parts:
            J, gradients = objective.value_and_gradients(
                weights_and_biases,
                part.X,
                part.targets,
                weights=part.weights,
                key=part_key,
            )
            if value is None:
                value = share * J
                total = [tuple(_scale(d, share) for d in layer) for layer in gradients]
            else:
                value = value + share * J
                total = [
                    tuple(_add(x, d, share) for x, d in zip(*layers, strict=True))
                    for layers in zip(total, gradients, strict=True)
                ]
        return value, total

    def _parts(
        self,
        X: Array,
        targets: Array,
        weights: Array | None,
        key: Array | int | None,
    ) -> Iterator[tuple[Objective, Data, Array | float, Array | int | None]]:
        """Return what to descend on each part, its share of the whole, and its key."""
        batch, n_samples = Data(X, targets, weights), X.shape[0]
        n_parts = -(-n_samples // self.part_size)
        # A part divides the penalty by its own weight, which its share multiplies by:
        # each part brings the whole penalty of the batch.
        objective = self.objective.with_penalty(1.0 / n_parts)
        whole = total_weight(X, weights)
        for i, rows in enumerate(batches(n_samples, self.part_size, None)):
            part = batch.take(rows)
            share = total_weight(part.X, part.weights) / whole
            yield (
                objective,
                part,
                share,
                key if key is None else counter_hash(key, i, 1),
            )


@pointwise(updates=1)
def _shorten(g: Array, squares: Array, max_norm: float) -> Array:
    g *= ops.minimum(max_norm / (ops.sqrt(squares) + _EPSILON), 1.0)
    return g


@pointwise()
def _scale(g: Array, share: Array | float, *, out: Array | None = None) -> Array:
    return ops.multiply(g, share, out=out)


@pointwise(updates=1)
def _add(total: Array, g: Array, share: Array | float) -> Array:
    total += share * g
    return total
