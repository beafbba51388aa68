"""What training descends, and one step down."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, is_writable
from xpnet._typing import Array
from xpnet.losses import Loss, total_weight
from xpnet.network import Buffers, Network
from xpnet.network.dense import WeightsAndBiases
from xpnet.optimizers import Optimizer, State
from xpnet.training.batches import Data
from xpnet.training.noise import Draws, Mixup, StepNoise

__all__ = ["Differentiable", "Objective", "training_step"]


class Differentiable(Protocol):
    """What a step asks of what it descends: :class:`Objective`, or one around it."""

    @property
    def base(self) -> "Objective":
        """The objective itself, without what is around it."""

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
        key: Array | int | None = None,
    ) -> tuple[Array, Array]:
        """Return the objective and its gradient on one batch."""

    def value_and_gradients(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        X: Array,
        targets: Array,
        *,
        weights: Array | None = None,
        key: Array | int | None = None,
    ) -> tuple[Array, list[WeightsAndBiases]]:
        """Return the objective and its gradient on one batch, in pieces."""


@dataclass(frozen=True)
class Objective:
    r"""The loss, and a penalty on the weights.

    .. math::
        J(\theta) = L(\theta) + \frac{\alpha}{2n} \sum_l \lVert W^l \rVert^2, \qquad
        \nabla J = \nabla L + \frac{\alpha}{n} W

    Biases and gains are not penalised; n is the number of samples of the batch, or
    their weight, as in scikit-learn. With dropout and mixup it is what J is on average
    over the masks and mixtures, of which a step sees some.

    Parameters
    ----------
    network : Network
        The chain of layers.
    loss : callable
        ``loss(outputs, targets, weights=None, *, out=None) -> (value, d_outputs)``.
    alpha : float, default=0.0
        Strength of the penalty.
    l1 : float, default=0.0
        Strength of another, :math:`\frac{\lambda}{n} \sum_l \lVert W^l \rVert_1`, with
        the subgradient :math:`\frac{\lambda}{n} \operatorname{sign} W`, 0 where W is.
    max_norm : float, optional
        What the norm of the weights of what comes in to a hidden unit may be: see
        :meth:`xpnet.network.Network.limit`.
    mixup : Mixup, optional
        Train on mixtures of samples.

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
    l1: float = 0.0
    max_norm: float | None = None
    mixup: Mixup | None = None
    noisy: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Tell once whether steps take draws: masks, or mixtures."""
        noisy = self.network.drops or self.mixup is not None
        object.__setattr__(self, "noisy", noisy)

    @property
    def base(self) -> Self:
        """Itself."""
        return self

    def with_penalty(self, share: float) -> Self:
        """Return the same with a share of the penalties."""
        return replace(self, alpha=share * self.alpha, l1=share * self.l1)

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
        key: Array | int | None = None,
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
        key : int or array, shape (), int32, optional
            Random bits for the masks of dropout; without, nothing is dropped.

        Returns
        -------
        value : array, shape (), dtype of `params`
            It stays on the device.
        d_params : array, shape (n_params,), dtype of `params`
            The gradient.
        """
        weights_and_biases = self._views(params, out)
        W = [params[: self.network.n_weights]]
        return self._descend(
            weights_and_biases, W, X, targets, out, weights, key, flat=True
        )

    def value_and_gradients(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        X: Array,
        targets: Array,
        *,
        weights: Array | None = None,
        key: Array | int | None = None,
    ) -> tuple[Array, list[WeightsAndBiases]]:
        """Return the objective and its gradient on one batch, in pieces.

        Parameters
        ----------
        weights_and_biases : sequence of (W, b)
            Of each layer.
        X, targets, weights, key : array
            As for :meth:`value_and_gradient`.

        Returns
        -------
        value : array, shape ()
            It stays on the device.
        gradients : list of (dW, db)
            Of each layer.
        """
        W = [array_namespace(W).reshape(W, (-1,)) for W, *_ in weights_and_biases]
        return self._descend(
            weights_and_biases, W, X, targets, None, weights, key, flat=False
        )

    def limited(self, params: Array) -> Array:
        """Return the flat vector with weights scaled back to `max_norm`.

        Parameters
        ----------
        params : array, shape (n_params,)
            The flat vector; it may be written into.

        Returns
        -------
        array, shape (n_params,)
            Unchanged where there is no `max_norm`.
        """
        if self.max_norm is None:
            return params
        limited = self.network.limit(self.network.views(params), self.max_norm)
        return params if is_writable(params) else self.network.flatten(limited)

    def draws(
        self, seed: int | None, t: int, n_samples: int, batch_size: int, dtype: str
    ) -> Draws:
        """Draw for an epoch's steps as :meth:`xpnet.training.noise.Draws.make` does.

        Parameters
        ----------
        seed, t, n_samples, batch_size, dtype : int, str
            As there.

        Returns
        -------
        Draws
            Of what is random.
        """
        if not self.noisy:
            return Draws()
        masks = self.network.drops
        return Draws.make(
            seed or 0, t, n_samples, batch_size, dtype, masks=masks, mixup=self.mixup
        )

    def noised(self, batch: Data, noise: StepNoise) -> Data:
        """Return a batch, or the mixtures of its samples where there is mixup.

        Parameters
        ----------
        batch : Data
            The batch.
        noise : StepNoise
            The draws of the step.

        Returns
        -------
        Data
            As many samples.
        """
        return batch if self.mixup is None else self.mixup.mix(batch, noise)

    def _views(self, params: Array, out: Buffers | None) -> Sequence[WeightsAndBiases]:
        if out is not None and out.params is params:
            return out.weights
        return self.network.views(params)

    def _descend(
        self,
        weights_and_biases: Sequence[WeightsAndBiases],
        all_W: Sequence[Array],
        X: Array,
        targets: Array,
        out: Buffers | None,
        weights: Array | None,
        key: Array | int | None,
        *,
        flat: bool,
    ) -> tuple[Array, Any]:
        outputs, backward = self.network.forward(weights_and_biases, X, out, key=key)
        hint = None if out is None else out.layers[-1].dZ
        value, d_outputs = self.loss(outputs, targets, weights, out=hint)
        if self.alpha == self.l1 == 0.0:
            return value, backward(d_outputs, flat=flat)
        n = total_weight(X, weights)
        strength = self.alpha / n
        first, *others = (ops.matmul(W, W) for W in all_W)
        squares = sum(others, first)  # without adding it to 0
        value = value + 0.5 * strength * squares
        if self.l1 == 0.0:
            return value, backward(d_outputs, strength, flat=flat)
        l1, xp = self.l1 / n, array_namespace(*all_W)
        value = value + l1 * sum(ops.sum_all(xp.abs(W)) for W in all_W)
        return value, backward(d_outputs, strength, flat=flat, l1=l1)


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
    key: Array | int | None = None,
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
    key : int or array, shape (), int32, optional
        Random bits for the masks of dropout.

    Returns
    -------
    params, state : array, tuple of array
        After the step.
    value : array, shape ()
        The objective before it; it stays on the device.
    """
    value, d_params = objective.value_and_gradient(
        params, X, targets, out, weights=weights, key=key
    )
    params, state = optimizer.update(params, d_params, state, *coefficients)
    params = objective.base.limited(params)
    return params, state, value
