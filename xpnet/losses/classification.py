"""Losses for classes: from logits and targets to ``(loss, d_logits)``.

Each works from the logits, so that it is fused with the output's softmax or sigmoid: no
probability is rounded to 0 and then put into a logarithm, and the gradient collapses to
``(A - Y) / n``.
"""

from collections.abc import Sequence

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, device
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional import logistic
from xpnet.losses.averages import average, total_weight

__all__ = [
    "multioutput_cross_entropy",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
]


def softmax_cross_entropy(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
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
    targets : array, shape (n_samples,), integer dtype, or (n_samples, n_classes)
        Class numbers from 0; or, of the dtype of `logits`, one-hot rows, or
        probabilities that sum to 1 in each row.
    weights : array, shape (n_samples,), dtype of `logits`, optional
        Weights of the samples.
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
    xp = array_namespace(logits)
    total = total_weight(logits, weights)
    share = 1.0 / total if weights is None else (weights / total)[:, None]
    shifted = ops.subtract(logits, ops.max_in_row(logits))  # (n_samples, n_classes)
    powers = ops.exp(shifted, out=out)
    sums = ops.sum_in_row(powers)  # (n_samples, 1)
    columns = sums, xp.log(sums), share
    if targets.ndim == 1:
        classes = xp.arange(logits.shape[1], dtype=targets.dtype, device=device(logits))
        losses, d_logits = _of_classes(
            shifted, powers, classes, targets[:, None], *columns
        )
    else:
        losses, d_logits = _of_rows(shifted, powers, targets, *columns)
    return ops.sum_all(losses), d_logits


@pointwise(updates=2, columns=3)
def _of_rows(
    shifted: Array,
    powers: Array,
    targets: Array,
    sums: Array,
    log_sums: Array,
    share: Array | float,
) -> tuple[Array, Array]:
    """Turn shifted logits into ``-Y log A`` and powers into ``A - Y``, by their shares."""
    shifted -= log_sums  # log A
    shifted *= -targets
    shifted *= share
    powers /= sums  # A
    powers -= targets
    powers *= share
    return shifted, powers


@pointwise(updates=2, columns=4)
def _of_classes(
    shifted: Array,
    powers: Array,
    classes: Array,
    codes: Array,
    sums: Array,
    log_sums: Array,
    share: Array | float,
) -> tuple[Array, Array]:
    targets = ops.one_where(codes == classes, powers)
    shifted, powers = _of_rows(shifted, powers, targets, sums, log_sums, share)
    return shifted, powers


def sigmoid_cross_entropy(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
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
    weights : array, shape (n_samples,), dtype of `logits`, optional
        Weights of the samples.
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
    # -y log a - (1 - y) log(1 - a) = max(z, 0) - z y + log(1 + e^-|z|)
    losses = xp.maximum(logits, 0.0) - logits * targets
    losses += xp.log1p(xp.exp(-xp.abs(logits)))
    d_logits = logistic(logits, out=out)  # A
    d_logits -= targets
    return average(xp.sum(losses, axis=1), d_logits, weights)


def multioutput_cross_entropy(
    logits: Array,
    codes: Array,
    weights: Array | None = None,
    *,
    n_classes: Sequence[int],
    out: Array | None = None,  # noqa: ARG001
) -> tuple[Array, Array]:
    r"""Sum of the softmax cross-entropies of several outputs, a block of logits each.

    .. math:: L = -\frac1n \sum_s \sum_o \log A^o_{s, y_{so}}

    Parameters
    ----------
    logits : array, shape (n_samples, sum of n_classes), floating dtype
        The scores, block behind block.
    codes : array, shape (n_samples, n_outputs), integer dtype
        The class number of each output, from 0.
    weights : array, shape (n_samples,), dtype of `logits`, optional
        Weights of the samples.
    n_classes : sequence of int, length n_outputs
        Classes of each output.
    out : array, optional
        Not needed here.

    Returns
    -------
    loss : array, shape (), dtype of `logits`
        In nats. It stays on the device.
    d_logits : array, shape of `logits`, dtype of `logits`
        The gradient of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> loss, d_logits = multioutput_cross_entropy(
    ...     np.zeros((1, 4)), np.asarray([[0, 1]]), n_classes=(2, 2))
    >>> d_logits
    array([[-0.5,  0.5,  0.5, -0.5]])
    """
    xp = array_namespace(logits, codes)
    loss, gradients, start = 0.0, [], 0
    for output, count in enumerate(n_classes):
        stop = start + count
        block_loss, d_block = softmax_cross_entropy(
            logits[:, start:stop], codes[:, output], weights
        )
        loss = loss + block_loss
        gradients.append(d_block)
        start = stop
    return loss, xp.concat(gradients, axis=1)
