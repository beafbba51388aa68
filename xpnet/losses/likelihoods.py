"""Losses of distributions: from what the network computes to ``(loss, d_outputs)``."""

import math

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._typing import Array
from xpnet.losses.averages import average, average_all

__all__ = ["gaussian_nll", "poisson"]


def poisson(
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    r"""Half the Poisson deviance, from the logarithm of the mean.

    .. math::
        L = \frac1n \sum_s \sum_i Y \log \frac{Y}{\mu} - Y + \mu, \qquad
        \mu = e^Z, \qquad \frac{\partial L}{\partial Z} = \frac{\mu - Y}{n}

    It is summed over the outputs, as in scikit-learn.

    Parameters
    ----------
    outputs : array, shape (n_samples, n_outputs), floating dtype
        What the network computes, Z: the logarithm of the mean.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        Counts or rates Y, not negative.
    weights : array, shape (n_samples,), dtype of `outputs`, optional
        Weights of the samples.
    out : array, optional
        Where the gradient may be written; it may be `outputs`.

    Returns
    -------
    loss : array, shape (), dtype of `outputs`
        Zero where every mean is its target. It stays on the device.
    d_outputs : array, shape (n_samples, n_outputs), dtype of `outputs`
        The gradient of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = poisson(np.asarray([[0.0, 0.0]]), np.asarray([[1.0, 0.0]]))
    >>> print(loss, d)
    1.0 [[0. 1.]]
    """
    xp = array_namespace(outputs, targets)
    # Y log Y is 0 where Y is; ones_like keeps the logarithm from seeing it.
    positive = xp.where(targets > 0.0, targets, xp.ones_like(targets))
    constant = targets * xp.log(positive) - targets
    losses = constant - targets * outputs
    means = ops.exp(outputs, out=out)
    losses += means
    d_outputs = ops.subtract(means, targets, out=out)
    return average(xp.sum(losses, axis=1), d_outputs, weights)


def gaussian_nll(
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,  # noqa: ARG001
) -> tuple[Array, Array]:
    r"""Negative log-likelihood of a normal distribution, mean and variance learnt [1]_.

    .. math::
        L = \frac{1}{2nk} \sum_s \sum_i
        \log 2\pi + \lambda_{si} + e^{-\lambda_{si}} (\mu_{si} - Y_{si})^2

    Parameters
    ----------
    outputs : array, shape (n_samples, 2 n_outputs), floating dtype
        What the network computes: the means, and behind them the logarithms of the
        variances.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        What was observed, Y.
    weights : array, shape (n_samples,), dtype of `outputs`, optional
        Weights of the samples.
    out : array, optional
        Not needed here.

    Returns
    -------
    loss : array, shape (), dtype of `outputs`
        In nats. It stays on the device.
    d_outputs : array, shape (n_samples, 2 n_outputs), dtype of `outputs`
        The gradient of the loss.

    References
    ----------
    .. [1] D. A. Nix, A. S. Weigend, "Estimating the mean and variance of the target
       probability distribution", ICNN 1994.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = gaussian_nll(np.asarray([[1.0, 0.0]]), np.asarray([[0.0]]))
    >>> print(loss.round(4), d)
    1.4189 [[1. 0.]]
    """
    xp = array_namespace(outputs, targets)
    n_outputs = targets.shape[1]
    errors = outputs[:, :n_outputs] - targets
    log_variances = outputs[:, n_outputs:]
    precise = errors * xp.exp(-log_variances)  # d loss / d mean
    squares = errors * precise
    losses = 0.5 * (log_variances + squares + math.log(2.0 * math.pi))
    d_outputs = xp.concat([precise, 0.5 * (1.0 - squares)], axis=1)
    return average_all(losses, d_outputs, weights)
