"""Training: batches, the step, the epoch loop, and when to stop.

A step never talks to the host. The data lies on the device, batches are gathered
there, the loss adds up there and is read once an epoch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from xpnet._namespace import array_namespace, asarray_like
from xpnet._typing import Array
from xpnet.exceptions import DivergenceError
from xpnet.losses import Loss
from xpnet.network import Buffers, Network
from xpnet.optimizers import Optimizer, State

__all__ = [
    "Epoch",
    "Objective",
    "Plateau",
    "batches",
    "step_coefficients",
    "train",
    "training_step",
]

HostIndices: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class Objective:
    r"""What training descends: the loss, and a penalty on the weights.

    .. math::
        J(\theta) = L(\theta) + \frac{\alpha}{2n} \sum_l \lVert W^l \rVert^2, \qquad
        \nabla J = \nabla L + \frac{\alpha}{n} W

    Biases are not penalised; n is the number of samples of the batch, as in
    scikit-learn.

    Parameters
    ----------
    network : Network
        The chain of layers.
    loss : callable
        ``loss(logits, targets, out=None) -> (value, d_logits)``.
    alpha : float, default=0.0
        Strength of the penalty.
    """

    network: Network
    loss: Loss
    alpha: float = 0.0

    def value_and_gradient(
        self, params: Array, X: Array, targets: Array, out: Buffers | None = None
    ) -> tuple[Array, Array]:
        """Return the objective and its gradient on one batch.

        Parameters
        ----------
        params : array, shape (n_params,), floating dtype
            The flat vector.
        X : array, shape (n_samples, n_features), dtype of `params`
            Samples.
        targets : array
            What the loss takes.
        out : Buffers, optional
            Where the results may be written.

        Returns
        -------
        value : array, shape (), dtype of `params`
            It stays on the device.
        d_params : array, shape (n_params,), dtype of `params`
            The gradient.
        """
        logits, backward = self.network.forward(self.network.views(params), X, out)
        hint = None if out is None else out.layers[-1].dZ
        value, d_logits = self.loss(logits, targets, out=hint)
        strength = self.alpha / X.shape[0]
        d_params = backward(d_logits, strength)
        if self.alpha > 0.0:
            W = params[: self.network.n_weights]
            value += 0.5 * strength * array_namespace(W).vecdot(W, W)
        return value, d_params


def training_step(
    objective: Objective,
    optimizer: Optimizer,
    params: Array,
    state: State,
    X: Array,
    targets: Array,
    coefficients: tuple[Array, ...],
    out: Buffers | None = None,
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
    targets : array
        What the loss takes.
    coefficients : tuple of array, shape ()
        The optimiser's numbers for this step.
    out : Buffers, optional
        Where the results may be written.

    Returns
    -------
    params, state : array, tuple of array
        After the step.
    value : array, shape ()
        The objective before it; it stays on the device.
    """
    value, d_params = objective.value_and_gradient(params, X, targets, out)
    params, state = optimizer.update(params, d_params, state, *coefficients)
    return params, state, value


class Epoch(NamedTuple):
    """What :func:`train` tells after each pass over the data."""

    n_iter: int
    """Passes so far."""
    loss: float
    """The objective, averaged over the pass."""
    params: Array
    """The flat vector after the pass; the next one may write into it."""
    converged: bool
    """Whether training stopped here because the loss did."""


@dataclass
class Plateau:
    """Tell when the loss has stopped falling, by scikit-learn's rule.

    An epoch whose loss is not below the best by more than `tol` counts; when more than
    `patience` of them come in a row, that's the plateau.

    Parameters
    ----------
    tol : float
        The least improvement that counts.
    patience : float
        How many epochs without one to bear; infinity never stops.

    Examples
    --------
    >>> plateau = Plateau(tol=0.1, patience=1)
    >>> [plateau.reached(loss) for loss in [1.0, 0.5, 0.45, 0.44]]
    [False, False, False, True]
    """

    tol: float
    patience: float
    best_loss: float = math.inf
    n_no_change: int = 0

    def reached(self, loss: float) -> bool:
        """Take the loss of an epoch, and say whether this is the plateau."""
        self.n_no_change = (
            self.n_no_change + 1 if loss > self.best_loss - self.tol else 0
        )
        self.best_loss = min(self.best_loss, loss)
        return self.n_no_change > self.patience


def train(
    objective: Objective,
    optimizer: Optimizer,
    params: Array,
    X: Array,
    targets: Array,
    *,
    learning_rate: float,
    batch_size: int,
    max_iter: int,
    plateau: Plateau,
    random_state: np.random.RandomState,
    shuffle: bool = True,
) -> Iterator[Epoch]:
    """Train, and yield after each epoch.

    Parameters
    ----------
    objective : Objective
        What to descend.
    optimizer : Optimizer
        How.
    params : array, shape (n_params,), floating dtype
        Where to begin; it may be written into.
    X : array, shape (n_samples, n_features), dtype of `params`
        Samples, on the device of `params`.
    targets : array, shape (n_samples, ...)
        What the loss takes, a row a sample.
    learning_rate : float
        Of every step.
    batch_size : int
        Samples a step; the last of an epoch may have fewer.
    max_iter : int
        Passes at most.
    plateau : Plateau
        When to stop before.
    random_state : numpy.random.RandomState
        The order of the samples is drawn from it, on the host, once an epoch.
    shuffle : bool, default=True
        Whether the order changes.

    Yields
    ------
    Epoch
        Its `converged` is True on the last one, unless `max_iter` ended training.

    Raises
    ------
    DivergenceError
        The loss is no longer finite.
    """
    n_samples = X.shape[0]
    shuffle = shuffle and batch_size < n_samples  # one batch holds all, in any order
    order = np.arange(n_samples, dtype=np.int32)
    state = optimizer.init(params)
    buffers: dict[int, Buffers] = {}  # one set for full batches, one for a short last
    for n_iter in range(1, max_iter + 1):
        if shuffle:
            order = order[random_state.permutation(n_samples)]
        coefficients = step_coefficients(
            optimizer, learning_rate, n_iter, math.ceil(n_samples / batch_size), X
        )
        total = 0.0
        for i, (X_batch, targets_batch) in enumerate(
            batches(X, targets, batch_size, order if shuffle else None)
        ):
            n_rows = X_batch.shape[0]
            if n_rows not in buffers:
                buffers[n_rows] = objective.network.buffers(params, n_rows)
            params, state, value = training_step(
                objective,
                optimizer,
                params,
                state,
                X_batch,
                targets_batch,
                coefficients[i],
                buffers[n_rows],
            )
            total += value * n_rows
        loss = float(total) / n_samples  # sync point
        _check_finite(loss, params, n_iter)
        converged = plateau.reached(loss)
        yield Epoch(n_iter, loss, params, converged)
        if converged:
            return


def batches(
    X: Array, targets: Array, batch_size: int, order: HostIndices | None
) -> Iterator[tuple[Array, Array]]:
    """Cut samples and targets into batches, on their device.

    Parameters
    ----------
    X : array, shape (n_samples, n_features)
        Samples.
    targets : array, shape (n_samples, ...)
        A row a sample.
    batch_size : int
        Rows of a batch; the last may have fewer.
    order : ndarray, shape (n_samples,), int32, or None
        Which row comes when; None keeps the order, and copies nothing.

    Yields
    ------
    tuple of array
        Rows of `X` and of `targets`.
    """
    xp = array_namespace(X, targets)
    n_samples = X.shape[0]
    rows = None if order is None else asarray_like(order, X)  # moved once an epoch
    for start in range(0, n_samples, batch_size):
        stop = min(start + batch_size, n_samples)
        if rows is None:
            yield X[start:stop, ...], targets[start:stop, ...]
        else:
            batch = rows[start:stop]
            yield xp.take(X, batch, axis=0), xp.take(targets, batch, axis=0)


def step_coefficients(
    optimizer: Optimizer, learning_rate: float, n_iter: int, n_steps: int, ref: Array
) -> list[tuple[Array, ...]]:
    """Return the optimiser's coefficients for the steps of one epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Computes them on the host.
    learning_rate : float
        Of every step.
    n_iter : int
        The epoch, counted from 1.
    n_steps : int
        Steps in an epoch.
    ref : array
        Whose namespace, device and dtype they get.

    Returns
    -------
    list of tuple of array, shape ()
        A tuple a step.
    """
    t = (n_iter - 1) * n_steps + 1
    table = [optimizer.coefficients(learning_rate, t + i) for i in range(n_steps)]
    moved = asarray_like(np.asarray(table), ref, ref.dtype)  # moved once an epoch
    return [tuple(moved[i, j] for j in range(len(table[0]))) for i in range(n_steps)]


def _check_finite(loss: float, params: Array, n_iter: int) -> None:
    xp = array_namespace(params)
    if math.isfinite(loss) and bool(xp.all(xp.isfinite(params))):  # sync point
        return
    msg = (
        f"Training diverged in epoch {n_iter}: the loss is {loss}, and the solver "
        "produced non-finite parameter weights. Scale the features (StandardScaler, "
        "say), lower learning_rate_init, or raise alpha."
    )
    raise DivergenceError(msg)
