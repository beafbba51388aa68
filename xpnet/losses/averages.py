"""The mean over samples that every loss ends in."""

from xpnet._namespace import array_namespace
from xpnet._typing import Array

__all__ = ["average", "average_all", "total_weight"]


def total_weight(X: Array, weights: Array | None) -> Array | float:
    """Return what a mean over the samples divides by: their number, or their weight.

    Parameters
    ----------
    X : array, shape (n_samples, ...)
        A row a sample.
    weights : array, shape (n_samples,), floating dtype, or None
        Weights of the samples, not negative.

    Returns
    -------
    float or array, shape ()
        1 where all weights are zero, so that such a batch has loss and gradient zero.

    Examples
    --------
    >>> import numpy as np
    >>> total_weight(np.zeros((4, 2)), None)
    4.0
    """
    if weights is None:
        return float(X.shape[0])
    xp = array_namespace(weights)
    total = xp.sum(weights)
    return xp.where(total > 0.0, total, xp.ones_like(total))


def average(
    losses: Array, d_outputs: Array, weights: Array | None
) -> tuple[Array, Array]:
    r"""Average the samples' losses, and their gradients accordingly.

    .. math:: L = \frac{\sum_s w_s \ell_s}{\sum_s w_s}, \qquad
        dZ_s = \frac{w_s}{\sum_s w_s} \frac{\partial \ell_s}{\partial Z_s}

    Parameters
    ----------
    losses : array, shape (n_samples,), floating dtype
        The loss of each sample.
    d_outputs : array, shape (n_samples, n_outputs), dtype of `losses`
        Its gradient; it may be written into.
    weights : array, shape (n_samples,), dtype of `losses`, or None
        Weights of the samples; None weighs all alike.

    Returns
    -------
    loss : array, shape ()
        The mean.
    d_outputs : array, shape (n_samples, n_outputs)
        Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = average(np.asarray([1.0, 5.0]), np.ones((2, 1)), np.asarray([3.0, 1.0]))
    >>> print(loss, d[:, 0])
    2.0 [0.75 0.25]
    """
    xp = array_namespace(losses)
    total = total_weight(losses, weights)
    if weights is None:
        d_outputs /= total
        return xp.sum(losses) / total, d_outputs
    share = weights / total  # (n_samples,)
    d_outputs *= share[:, None]
    return xp.sum(losses * share), d_outputs


def average_all(
    losses: Array, d_outputs: Array, weights: Array | None
) -> tuple[Array, Array]:
    """Average over the outputs of each sample, then over the samples.

    Parameters
    ----------
    losses : array, shape (n_samples, n_outputs), floating dtype
        The loss of each output.
    d_outputs : array, shape (n_samples, any), dtype of `losses`
        Its gradient; it may be written into.
    weights : array, shape (n_samples,), dtype of `losses`, or None
        Weights of the samples; None weighs all alike.

    Returns
    -------
    loss : array, shape ()
        The mean.
    d_outputs : array, shape of `d_outputs`
        Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = average_all(np.asarray([[1.0, 5.0]]), np.ones((1, 2)), None)
    >>> print(loss, d)
    3.0 [[0.5 0.5]]
    """
    n_outputs = losses.shape[1]
    d_outputs /= n_outputs
    per_sample = array_namespace(losses).sum(losses, axis=1) / n_outputs
    return average(per_sample, d_outputs, weights)
