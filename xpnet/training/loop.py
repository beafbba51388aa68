"""The epoch loop of the stochastic solvers."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xpnet._namespace import asarray_like, dtype_name, max_abs, on_host, threads_for
from xpnet._typing import Array
from xpnet.optimizers import Optimizer, State
from xpnet.schedules import Schedule
from xpnet.training.batches import Data, HostIndices
from xpnet.training.coefficients import host_coefficients
from xpnet.training.noise import Numbers
from xpnet.training.objective import Differentiable
from xpnet.training.steps import make_steps, spans
from xpnet.training.stopping import Plateau, check_finite

__all__ = ["Epoch", "Progress", "end_epoch", "finite_loss", "train"]


@dataclass
class Progress:
    """What one epoch hands to the next, and one call of ``fit`` to the next."""

    params: Array
    """The flat vector; steps may write into it."""
    optimizer_state: State
    schedule: Schedule
    plateau: Plateau
    random_state: np.random.RandomState
    """The orders of the samples are drawn from it, on the host."""
    n_steps: int = 0
    n_seen: int = 0
    """Samples that the steps have seen."""
    order: HostIndices | None = None
    """The last order, which the next one permutes, as in scikit-learn."""
    averaged: bool = False
    """Whether the optimiser's state ends in an average of the parameters."""
    seed: int | None = None
    """Masks and mixtures are drawn from it, and from the number of their step; None,
    where nobody asked for any, is 0."""

    @property
    def answering(self) -> Array:
        """The flat vector to predict with: the parameters, or their average."""
        return self.optimizer_state[-1] if self.averaged else self.params


class Epoch(NamedTuple):
    """What training tells after each pass over the data."""

    n_iter: int
    """Passes of this training so far."""
    loss: float
    """The objective, averaged over the pass."""
    params: Array
    """The flat vector to predict with after the pass; the next may write into it."""
    plateau: bool = False
    """Whether what is watched has stopped falling."""
    converged: bool = False
    """Whether training ends here because of that."""
    out_of_time: bool = False
    """Whether it ends here because its time is over."""


def train(
    progress: Progress,
    objective: Differentiable,
    optimizer: Optimizer,
    data: Data,
    *,
    batch_size: int,
    max_iter: int,
    n_done: int = 0,
    shuffle: bool = True,
    rows: HostIndices | None = None,
    watch: Callable[[float], float] | None = None,
    max_time: float = math.inf,
    compiled: bool | None = None,
) -> Iterator[Epoch]:
    """Train, and yield after each epoch.

    Parameters
    ----------
    progress : Progress
        Where to begin; it is kept up to date.
    objective : Objective, Clipped or Accumulated
        What to descend.
    optimizer : Optimizer
        How.
    data : Data
        Samples, targets and weights, on the device of ``progress.params``.
    batch_size : int
        Samples a step; the last of an epoch may have fewer.
    max_iter : int
        Passes at most.
    n_done : int, default=0
        How many of them are behind, where a training goes on.
    shuffle : bool, default=True
        Whether each pass takes the samples in a new order.
    rows : ndarray of int32, optional
        The rows to train on, by default all.
    watch : callable, optional
        Given the loss of an epoch, returns what the plateau looks at instead.
    max_time : float, default=inf
        Seconds after which the step under way is the last, or the last of those that
        are taken at once, up to 32, where steps are compiled.
    compiled : bool, optional
        As :func:`xpnet.backends.compile_step` takes it.

    Yields
    ------
    Epoch
        One a pass.

    Raises
    ------
    DivergenceError
        Loss or parameters are no longer finite.
    """
    deadline = time.monotonic() + max_time
    if rows is not None and batch_size >= rows.shape[0]:
        data, rows = data.take(data.on_device(rows)), None
    n_samples = data.X.shape[0] if rows is None else rows.shape[0]
    n_batches = math.ceil(n_samples / batch_size)
    shuffle = shuffle and batch_size < n_samples  # one batch holds all, in any order
    order = rows
    if shuffle and (rows is None or n_done):
        order = progress.order
        if order is None or order.shape[0] != n_samples:
            order = np.arange(n_samples, dtype=np.int32) if rows is None else rows
    steps = make_steps(
        objective,
        optimizer,
        data,
        progress.params,
        progress.optimizer_state,
        batch_size,
        compiled=compiled,
    )
    params = progress.params
    zero = asarray_like(np.zeros((), dtype_name(params.dtype)), params)
    for n_iter in range(n_done + 1, max_iter + 1):
        if shuffle and order is not None:
            order = order[progress.random_state.permutation(n_samples)]
            progress.order = order
        coefficients = host_coefficients(
            optimizer,
            progress.schedule.rates(progress.n_steps + 1, n_batches, max_iter),
            progress.n_steps + 1,
            n_batches,
            progress.params,
        )
        draws = objective.base.draws(
            progress.seed,
            progress.n_steps + 1,
            n_samples,
            batch_size,
            dtype_name(params.dtype),
        )
        brought = steps.bring(order, Numbers(coefficients, *draws))
        total, n_seen = zero, 0
        with threads_for(params, 2.0 * batch_size * objective.base.network.widest):
            for span in spans(n_samples, batch_size, steps.at_once, *brought):
                total = steps.take(total, *span)
                n_seen += span[-1]
                out_of_time = time.monotonic() > deadline
                if out_of_time:
                    break
        progress.params, progress.optimizer_state = steps.result()
        progress.n_steps += math.ceil(n_seen / batch_size)
        progress.n_seen += n_seen
        loss = finite_loss(total, n_seen, progress.params, n_iter)
        epoch = end_epoch(progress, n_iter, loss, watch, out_of_time=out_of_time)
        yield epoch
        if epoch.converged or out_of_time:
            return


def finite_loss(total: Array, n_seen: int, params: Array, n_iter: int) -> float:
    """Read the mean loss of an epoch, and see that it and the parameters are finite.

    Parameters
    ----------
    total : array, shape ()
        The sum of the losses.
    n_seen : int
        Of how many samples.
    params : array, shape (n_params,)
        After the epoch.
    n_iter : int
        The epoch's number.

    Returns
    -------
    float
        The mean.

    Raises
    ------
    DivergenceError
        Something is not finite.
    """
    # sync point, the only one of an epoch: two reads would wait twice
    total_loss, largest = on_host(total, max_abs(params))
    loss = total_loss / n_seen
    check_finite(loss, largest, n_iter)
    return loss


def end_epoch(
    progress: Progress,
    n_iter: int,
    loss: float,
    watch: Callable[[float], float] | None,
    *,
    out_of_time: bool,
) -> Epoch:
    """Look at an epoch that is over: at its plateau, and what the schedule makes of it.

    Parameters
    ----------
    progress : Progress
        After its steps.
    n_iter, loss, watch, out_of_time : int, float, callable, bool
        As in :class:`Epoch`, and for :func:`xpnet.training.train`.

    Returns
    -------
    Epoch
        What to tell of it.
    """
    plateau = progress.plateau.reached(loss if watch is None else watch(loss))
    progress.schedule.epoch_ended(progress.n_seen)
    stop = plateau and progress.schedule.plateau_reached()
    if plateau and not stop:
        progress.plateau.n_no_change = 0
    return Epoch(n_iter, loss, progress.answering, plateau, stop, out_of_time)
