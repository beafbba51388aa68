"""What training descends, and one step down."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._typing import Array
from xpnet.losses import Loss, total_weight
from xpnet.network import Buffers, Network, WeightsAndBiases
from xpnet.optimizers import Optimizer, State

__all__ = ["Differentiable", "Objective", "training_step"]


class Differentiable(Protocol):
    """What a step asks of what it descends: :class:`Objective`, or one around it."""

    @property
    def network(self) -> Network:
        """The chain of layers."""

    def buffers(self, params: Array, n_samples: int) -> Any:
        """Allocate what ``out`` may be for batches of `n_samples` rows."""

    def value_and_gradient(
        self,
        params: Array,
        X: Array,
        targets: Array,
        out: Any = None,
        *,
        weights: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return the objective and its gradient on one batch."""

    def value_and_gradients(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        X: Array,
        targets: Array,
        *,
        weights: Array | None = None,
    ) -> tuple[Array, list[WeightsAndBiases]]:
        """Return the objective and its gradient on one batch, in pieces."""


@dataclass(frozen=True)
class Objective:
    r"""The loss, and a penalty on the weights.

    .. math::
        J(\theta) = L(\theta) + \frac{\alpha}{2n} \sum_l \lVert W^l \rVert^2, \qquad
        \nabla J = \nabla L + \frac{\alpha}{n} W

    Biases are not penalised; n is the number of samples of the batch, or their weight,
    as in scikit-learn.

    Parameters
    ----------
    network : Network
        The chain of layers.
    loss : callable
        ``loss(outputs, targets, weights=None, *, out=None) -> (value, d_outputs)``.
    alpha : float, default=0.0
        Strength of the penalty.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.losses import squared_error
    >>> network = Network.from_sizes([1, 1], [])
    >>> objective = Objective(network, squared_error, alpha=1.0)
    >>> value, d_params = objective.value_and_gradient(
    ...     np.asarray([2.0, 0.0]), np.asarray([[1.0]]), np.asarray([[0.0]]))
    >>> print(value, d_params)  # (2 - 0)^2 / 2 + 2^2 / 2
    4.0 [4. 2.]
    """

    network: Network
    loss: Loss
    alpha: float = 0.0

    def with_penalty(self, share: float) -> Self:
        """Return the same with a share of the penalty."""
        return replace(self, alpha=share * self.alpha)

    def buffers(self, params: Array, n_samples: int) -> Buffers:
        """Allocate what ``out`` may be for batches of `n_samples` rows."""
        return self.network.buffers(params, n_samples)

    def value_and_gradient(
        self,
        params: Array,
        X: Array,
        targets: Array,
        out: Buffers | None = None,
        *,
        weights: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return the objective and its gradient on one batch.

        Parameters
        ----------
        params : array, shape (n_params,), floating dtype
            The flat vector.
        X : array, shape (n_samples, n_features), dtype of `params`
            Samples.
        targets : array, shape (n_samples, ...)
            What the loss takes.
        out : Buffers, optional
            Where the results may be written.
        weights : array, shape (n_samples,), dtype of `params`, optional
            Weights of the samples.

        Returns
        -------
        value : array, shape (), dtype of `params`
            It stays on the device.
        d_params : array, shape (n_params,), dtype of `params`
            The gradient.
        """
        if out is not None and out.params is params:
            weights_and_biases = out.weights
        else:
            weights_and_biases = self.network.views(params)
        W = [params[: self.network.n_weights]]
        return self._descend(weights_and_biases, W, X, targets, out, weights, flat=True)

    def value_and_gradients(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        X: Array,
        targets: Array,
        *,
        weights: Array | None = None,
    ) -> tuple[Array, list[WeightsAndBiases]]:
        """Return the objective and its gradient on one batch, in pieces.

        Parameters
        ----------
        weights_and_biases : sequence of (W, b)
            Of each layer.
        X, targets, weights : array
            As for :meth:`value_and_gradient`.

        Returns
        -------
        value : array, shape ()
            It stays on the device.
        gradients : list of (dW, db)
            Of each layer.
        """
        W = [array_namespace(W).reshape(W, (-1,)) for W, _ in weights_and_biases]
        return self._descend(
            weights_and_biases, W, X, targets, None, weights, flat=False
        )

    def _descend(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        all_W: Sequence[Array],
        X: Array,
        targets: Array,
        out: Buffers | None,
        weights: Array | None,
        *,
        flat: bool,
    ) -> tuple[Array, Any]:
        outputs, backward = self.network.forward(weights_and_biases, X, out)
        hint = None if out is None else out.layers[-1].dZ
        value, d_outputs = self.loss(outputs, targets, weights, out=hint)
        if self.alpha == 0.0:
            return value, backward(d_outputs, flat=flat)
        strength = self.alpha / total_weight(X, weights)
        squares = sum(ops.matmul(W, W) for W in all_W)
        value = value + 0.5 * strength * squares
        return value, backward(d_outputs, strength, flat=flat)


def training_step(
    objective: Differentiable,
    optimizer: Optimizer,
    params: Array,
    state: State,
    X: Array,
    targets: Array,
    coefficients: tuple[Array, ...],
    out: Any = None,
    *,
    weights: Array | None = None,
) -> tuple[Array, State, Array]:
    """Go one step down the gradient on one batch.

    Parameters
    ----------
    objective : Objective
        What to descend.
    optimizer : Optimizer
        How.
    params : array, shape (n_params,)
        The flat vector; it may be written into.
    state : tuple of array
        The optimiser's; it may be written into.
    X : array, shape (n_samples, n_features)
        Samples.
    targets : array, shape (n_samples, ...)
        What the loss takes.
    coefficients : tuple of array, shape ()
        The optimiser's numbers for this step.
    out : Buffers, or what else ``objective.buffers`` returns, optional
        Where the results may be written.
    weights : array, shape (n_samples,), optional
        Weights of the samples.

    Returns
    -------
    params, state : array, tuple of array
        After the step.
    value : array, shape ()
        The objective before it; it stays on the device.
    """
    value, d_params = objective.value_and_gradient(
        params, X, targets, out, weights=weights
    )
    params, state = optimizer.update(params, d_params, state, *coefficients)
    return params, state, value
