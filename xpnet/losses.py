"""Losses: from logits (or outputs) and targets to ``(loss, d_logits)``.

Each loss works from what the last layer computes *before* its output activation, so
that the two are fused: no probability is ever rounded to 0 and then put into a
logarithm, and the gradient collapses to ``(A - Y) / n_samples``.
"""

from collections.abc import Callable

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._typing import Array
from xpnet.functional import log_softmax, logistic

__all__ = ["Loss", "sigmoid_cross_entropy", "softmax_cross_entropy", "squared_error"]

Loss = Callable[..., tuple[Array, Array]]
"""``loss(logits, targets, out=None) -> (value, d_logits)``"""


def softmax_cross_entropy(
    logits: Array, targets: Array, *, out: Array | None = None
) -> tuple[Array, Array]:
    r"""Categorical cross-entropy of the softmax of the logits.

    .. math::
        L = -\frac1n \sum_s \sum_i Y_{si} \log A_{si}, \qquad
        \frac{\partial L}{\partial Z} = \frac{A - Y}{n}, \qquad A = \mathrm{softmax}(Z)

    The gradient has this form because each row of the targets sums to 1 [1]_.

    Parameters
    ----------
    logits : array, shape (n_samples, n_classes), floating dtype
        The scores Z before the softmax.
    targets : array, shape (n_samples, n_classes), dtype of `logits`
        One-hot rows, or probabilities that sum to 1 in each row.
    out : array, optional
        Where the gradient may be written; it may be `logits`.

    Returns
    -------
    loss : array, shape (), dtype of `logits`
        In nats, averaged over the samples. It stays on the device.
    d_logits : array, shape (n_samples, n_classes), dtype of `logits`
        The gradient of the loss.

    References
    ----------
    .. [1] J. S. Bridle, "Probabilistic interpretation of feedforward classification
       network outputs", in Neurocomputing, NATO ASI Series 68, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d_logits = softmax_cross_entropy(
    ...     np.asarray([[0.0, 0.0]]), np.asarray([[1.0, 0.0]]))
    >>> print(f"{loss:.4f}")
    0.6931
    >>> d_logits
    array([[-0.5,  0.5]])
    """
    xp = array_namespace(logits, targets)
    n_samples = logits.shape[0]
    log_probs = log_softmax(logits, out=out)  # (n_samples, n_classes)
    loss = -xp.sum(targets * log_probs) / n_samples
    d_logits = ops.exp(log_probs, out=out)  # A
    d_logits -= targets
    d_logits /= n_samples
    return loss, d_logits


def sigmoid_cross_entropy(
    logits: Array, targets: Array, *, out: Array | None = None
) -> tuple[Array, Array]:
    r"""Binary cross-entropy of the logistic sigmoid of the logits.

    .. math::
        L = -\frac1n \sum_s \sum_i Y_{si} \log A_{si} + (1 - Y_{si}) \log (1 - A_{si}),
        \qquad \frac{\partial L}{\partial Z} = \frac{A - Y}{n},
        \qquad A = \frac1{1 + e^{-Z}}

    It is summed over the outputs and averaged over the samples.

    Parameters
    ----------
    logits : array, shape (n_samples, n_outputs), floating dtype
        The scores Z before the sigmoid.
    targets : array, shape (n_samples, n_outputs), dtype of `logits`
        0 or 1, or a probability.
    out : array, optional
        Where the gradient may be written; it may be `logits`.

    Returns
    -------
    loss : array, shape (), dtype of `logits`
        In nats. It stays on the device.
    d_logits : array, shape (n_samples, n_outputs), dtype of `logits`
        The gradient of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d_logits = sigmoid_cross_entropy(np.asarray([[-1e4]]), np.asarray([[1.0]]))
    >>> print(loss)
    10000.0
    >>> d_logits
    array([[-1.]])
    """
    xp = array_namespace(logits, targets)
    n_samples = logits.shape[0]
    # -y log a - (1 - y) log(1 - a) = max(z, 0) - z y + log(1 + e^-|z|)
    losses = xp.maximum(logits, 0.0) - logits * targets
    losses += xp.log1p(xp.exp(-xp.abs(logits)))
    d_logits = logistic(logits, out=out)  # A
    d_logits -= targets
    d_logits /= n_samples
    return xp.sum(losses) / n_samples, d_logits


def squared_error(
    outputs: Array, targets: Array, *, out: Array | None = None
) -> tuple[Array, Array]:
    r"""Half the squared error, averaged over samples and outputs.

    .. math::
        L = \frac{1}{2nk} \sum_s \sum_i (A_{si} - Y_{si})^2, \qquad
        \frac{\partial L}{\partial A} = \frac{A - Y}{nk}

    Parameters
    ----------
    outputs : array, shape (n_samples, n_outputs), floating dtype
        What the network predicts, A.
    targets : array, shape (n_samples, n_outputs), dtype of `outputs`
        What it should predict, Y.
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
    >>> print(loss)
    1.0
    >>> d_outputs
    array([[1., 0.]])
    """
    xp = array_namespace(outputs, targets)
    count = outputs.shape[0] * outputs.shape[1]
    d_outputs = ops.subtract(outputs, targets, out=out)
    loss = xp.sum(d_outputs * d_outputs) / (2 * count)
    d_outputs /= count
    return loss, d_outputs
