"""Which learning rate: the range test."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from xpnet._namespace import array_namespace, asarray_like, dtype_name, to_numpy
from xpnet._parameters import make_differentiable, make_optimizer
from xpnet._preparation import prepare
from xpnet._run import Run
from xpnet._typing import Array
from xpnet._validation import HostArray
from xpnet.exceptions import DataError
from xpnet.inspection._summary import network_of
from xpnet.training.noise import Numbers
from xpnet.training.steps import make_steps, spans

__all__ = ["LearningRates", "before_network", "find_learning_rate"]

_MEMORY = 0.9  # of the moving average that smooths the loss
_EDGE = 5  # steps at the start: the average knows little yet


@dataclass(frozen=True, eq=False)
class LearningRates:
    """What a range test has found; host numbers."""

    rates: HostArray
    """(n_steps,), growing by one factor from step to step."""
    losses: HostArray
    """(n_steps,), of the batch of each step, before it; not finite where training has
    diverged."""
    smoothed: HostArray
    """(n_steps,), their exponential moving average, its bias at the start corrected."""
    steepest: float | None
    """The rate where the smoothed loss falls most steeply, or None if it never falls."""
    diverging: float | None
    """The first rate behind the least loss where the smoothed one has climbed above
    where it began, or None if it doesn't."""

    @property
    def suggestion(self) -> float | None:
        """The smaller of `steepest` and a tenth of `diverging`.

        None where the loss never falls.
        """
        if self.steepest is None or self.diverging is None:
            return self.steepest
        return min(self.steepest, 0.1 * self.diverging)


def find_learning_rate(
    estimator: BaseEstimator,
    X: Array,
    y: Array,
    sample_weight: Array | None = None,
    *,
    start: float = 1e-6,
    end: float = 10.0,
    n_steps: int = 120,
) -> LearningRates:
    r"""Try learning rates, each for one step, from small to large.

    A copy of the estimator begins from first weights and takes steps with its solver,
    on shuffled batches of its size; from step to step the rate grows by one factor.
    While the rate is too small the loss stays, then it falls, and in the end it
    climbs [1]_. With :math:`\bar L` the smoothed loss, a good rate is

    .. math:: \min\left(\arg\min_\eta \frac{d \bar L}{d \log \eta},
        \tfrac{1}{10}\,\eta_\mathrm{diverging}\right)

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted or not; it is left as it is. A pipeline's earlier steps transform `X`.
    X, y, sample_weight : array or array-like
        As for ``fit``.
    start, end : float, default=1e-6, 10.0
        The first and the last rate.
    n_steps : int, default=120
        How many rates, at least 20.

    Returns
    -------
    LearningRates
        Rates, losses, and what they suggest. The same `random_state`, an int, gives the
        same on each call.

    Raises
    ------
    ValueError
        The data or the parameters can't be used, or the solver has no learning rate.
    TypeError
        It is no estimator of xpnet's.

    References
    ----------
    .. [1] L. N. Smith, "Cyclical learning rates for training neural networks", WACV
       2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from xpnet import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> found = find_learning_rate(MLPClassifier(random_state=0), X / 16, y)
    >>> 0.001 < found.suggestion < 0.1 < found.diverging
    True
    """
    if not (0.0 < start < end and n_steps >= 4 * _EDGE):
        msg = (
            f"Expected 0 < start < end and n_steps of at least {4 * _EDGE}, got "
            f"start={start}, end={end}, n_steps={n_steps}."
        )
        raise DataError(msg)
    network = network_of(estimator)
    if network.solver == "lbfgs":
        msg = "solver='lbfgs' has no learning rate to find: choose 'adam' or 'sgd'."
        raise DataError(msg)
    untrained = clone(network).set_params(early_stopping=False)
    untrained.set_callbacks()  # what follows trainings is not to follow this
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        # fit warns of what there is to warn of
        run = prepare(untrained, before_network(estimator, X, y), y, sample_weight)
    rates = np.geomspace(start, end, n_steps)
    return _read_off(rates, _try_rates(untrained, run, rates))


def before_network(estimator: BaseEstimator, X: Array, y: Array) -> Array:
    """Return what a pipeline's earlier steps make of `X`; else `X` itself."""
    if not isinstance(estimator, Pipeline) or len(estimator) == 1:
        return X
    if hasattr(estimator[-1], "coefs_"):
        return estimator[:-1].transform(X)
    return clone(estimator[:-1]).fit_transform(X, y)


def _try_rates(estimator: Any, run: Run, rates: HostArray) -> HostArray:
    """Take a step with each rate; return the losses before the steps."""
    optimizer, data, progress = (
        make_optimizer(estimator, run.objective.network),
        run.data,
        run.progress,
    )
    params, state = progress.params, progress.optimizer_state
    dtype = dtype_name(params.dtype)
    table = [optimizer.coefficients(rate, t) for t, rate in enumerate(rates, start=1)]
    n_samples = run.n_samples
    size: int = min(run.batch_size * estimator.accumulate, n_samples)
    n_passes = math.ceil(len(rates) * size / n_samples)
    orders = [progress.random_state.permutation(n_samples) for _ in range(n_passes)]
    order = np.concatenate(orders).astype(np.int32)
    descended = make_differentiable(estimator, run.objective, run.batch_size)
    steps = make_steps(descended, optimizer, data, params, state, size)
    draws = run.objective.draws(progress.seed, 1, len(rates) * size, size, dtype)
    brought = steps.bring(order, Numbers(np.asarray(table, dtype), *draws))
    zero = asarray_like(np.zeros((), dtype), params)
    n_rows = len(rates) * size
    with np.errstate(all="ignore"):  # where training diverges
        losses = [steps.take(zero, *span) for span in spans(n_rows, size, 1, *brought)]
        every = array_namespace(params).stack(losses)
        return to_numpy(every).astype(np.float64) / size  # sync point


def _read_off(rates: HostArray, losses: HostArray) -> LearningRates:
    """Smooth the losses, and find where they fall and where they climb."""
    smoothed = np.empty_like(losses)
    average = 0.0
    with np.errstate(all="ignore"):
        for i, loss in enumerate(losses):
            average = _MEMORY * average + (1.0 - _MEMORY) * loss
            smoothed[i] = average / (1.0 - _MEMORY ** (i + 1))
    finite = np.isfinite(smoothed)
    n_finite = len(rates) if finite.all() else int(np.argmin(finite))
    if n_finite <= 2 * _EDGE:  # nothing can be read off
        diverging = float(rates[n_finite]) if n_finite < len(rates) else None
        return LearningRates(rates, losses, smoothed, None, diverging)
    begin = smoothed[_EDGE]
    lowest = int(np.argmin(smoothed[:n_finite]))
    climbed = ~(smoothed[lowest:] <= begin)
    diverging = float(rates[lowest + np.argmax(climbed)]) if climbed.any() else None
    slopes = np.gradient(smoothed[:n_finite], np.log(rates[:n_finite]))
    falling = slopes[_EDGE : lowest + 1]
    steepest = None
    if falling.size and falling.min() < 0.0:
        steepest = float(rates[_EDGE + np.argmin(falling)])
    return LearningRates(rates, losses, smoothed, steepest, diverging)
