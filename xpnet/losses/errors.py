"""Losses of errors: from outputs and targets to ``(loss, d_outputs)``.

All are averaged over samples and outputs alike, loss and gradient both.
"""

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._typing import Array
from xpnet.losses.averages import average_all

__all__ = ["absolute_error", "huber", "quantile", "squared_error"]


def squared_error(
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    r"""Half the squared error.

    .. math::
        L = \frac{1}{2nk} \sum_s \sum_i (A_{si} - Y_{si})^2, \qquad
        \frac{\partial L}{\partial A} = \frac{A - Y}{nk}

    Parameters
    ----------
    outputs : array, shape (n_samples, n_outputs), floating dtype
        What the network predicts, A: the mean.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        What it should predict, Y.
    weights : array, shape (n_samples,), dtype of `outputs`, optional
        Weights of the samples.
    out : array, optional
        Where the gradient may be written; it may be `outputs`.

    Returns
    -------
    loss : array, shape (), dtype of `outputs`
        In the square of the targets' unit. It stays on the device.
    d_outputs : array, shape (n_samples, n_outputs), dtype of `outputs`
        The gradient of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d_outputs = squared_error(np.asarray([[3.0, 0.0]]), np.asarray([[1.0, 0.0]]))
    >>> print(loss, d_outputs)
    1.0 [[1. 0.]]
    """
    errors = ops.subtract(outputs, targets, out=out)
    return average_all(0.5 * errors * errors, errors, weights)


def absolute_error(
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    r"""Absolute error; its minimum is the median.

    .. math::
        L = \frac{1}{nk} \sum_s \sum_i |A_{si} - Y_{si}|, \qquad
        \frac{\partial L}{\partial A} = \frac{\operatorname{sign}(A - Y)}{nk}

    Parameters
    ----------
    outputs : array, shape (n_samples, n_outputs), floating dtype
        What the network predicts, A: the median.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        What it should predict, Y.
    weights : array, shape (n_samples,), dtype of `outputs`, optional
        Weights of the samples.
    out : array, optional
        Where the gradient may be written; it may be `outputs`.

    Returns
    -------
    loss : array, shape (), dtype of `outputs`
        In the targets' unit. It stays on the device.
    d_outputs : array, shape (n_samples, n_outputs), dtype of `outputs`
        The gradient of the loss; 0 where the error is.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = absolute_error(np.asarray([[3.0, 0.0]]), np.asarray([[1.0, 4.0]]))
    >>> print(loss, d)
    3.0 [[ 0.5 -0.5]]
    """
    xp = array_namespace(outputs, targets)
    errors = ops.subtract(outputs, targets, out=out)
    return average_all(xp.abs(errors), ops.sign(errors), weights)


def huber(
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    delta: float = 1.0,
    out: Array | None = None,
) -> tuple[Array, Array]:
    r"""Huber's loss: squared for small errors, absolute for large ones [1]_.

    .. math::
        \ell(e) = \begin{cases} \tfrac12 e^2 & |e| \le \delta \\
        \delta\, (|e| - \tfrac12 \delta) & |e| > \delta \end{cases}, \qquad
        \ell'(e) = \max(-\delta, \min(e, \delta))

    Parameters
    ----------
    outputs : array, shape (n_samples, n_outputs), floating dtype
        What the network predicts, A.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        What it should predict, Y.
    weights : array, shape (n_samples,), dtype of `outputs`, optional
        Weights of the samples.
    delta : float, default=1.0
        Where the loss turns linear, in the targets' unit.
    out : array, optional
        Where the gradient may be written; it may be `outputs`.

    Returns
    -------
    loss : array, shape (), dtype of `outputs`
        In the square of the targets' unit. It stays on the device.
    d_outputs : array, shape (n_samples, n_outputs), dtype of `outputs`
        The gradient of the loss.

    References
    ----------
    .. [1] P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Stat.
       35(1), 1964.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = huber(np.asarray([[0.5, 4.0]]), np.asarray([[0.0, 0.0]]))
    >>> print(loss, d)
    1.8125 [[0.25 0.5 ]]
    """
    xp = array_namespace(outputs, targets)
    errors = ops.subtract(outputs, targets, out=out)
    clipped = xp.maximum(xp.minimum(errors, delta), -delta)
    return average_all(clipped * (errors - 0.5 * clipped), clipped, weights)


def quantile(
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    level: float = 0.5,
    out: Array | None = None,
) -> tuple[Array, Array]:
    r"""Pinball loss; its minimum is a quantile [1]_.

    .. math::
        \ell(e) = \max\bigl((1 - q)\, e,\, -q\, e\bigr), \qquad e = A - Y

    Parameters
    ----------
    outputs : array, shape (n_samples, n_outputs), floating dtype
        What the network predicts, A: the quantile.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        What it should predict, Y.
    weights : array, shape (n_samples,), dtype of `outputs`, optional
        Weights of the samples.
    level : float, default=0.5
        The quantile q, in (0, 1).
    out : array, optional
        Where the gradient may be written; it may be `outputs`.

    Returns
    -------
    loss : array, shape (), dtype of `outputs`
        In the targets' unit. It stays on the device.
    d_outputs : array, shape (n_samples, n_outputs), dtype of `outputs`
        The gradient of the loss; 0 where the error is.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46(1), 1978.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d = quantile(np.asarray([[1.0], [0.0]]), np.asarray([[0.0], [1.0]]), level=0.9)
    >>> print(loss, d[:, 0])
    0.5 [ 0.05 -0.45]
    """
    xp = array_namespace(outputs, targets)
    errors = ops.subtract(outputs, targets, out=out)
    losses = xp.maximum((1.0 - level) * errors, -level * errors)
    above = xp.astype(errors > 0.0, errors.dtype)
    below = xp.astype(errors < 0.0, errors.dtype)
    return average_all(losses, (1.0 - level) * above - level * below, weights)
