"""Softmax and the logistic sigmoid on logits, with their logarithms and gradients."""

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, device
from xpnet._typing import Array, DType

__all__ = [
    "log_sigmoid",
    "log_softmax",
    "log_softmax_backward",
    "one_hot",
    "smooth_labels",
    "softmax",
    "softmax_backward",
    "softmax_jacobian",
]


def log_softmax(logits: Array, *, out: Array | None = None) -> Array:
    r"""Logarithm of the softmax of each row.

    .. math:: \log a_i = z_i - m - \log \sum_k e^{z_k - m}, \qquad m = \max_k z_k

    The maximum is each row's own: no exponential overflows, and at least one term of
    the sum is 1, so the logarithm is finite for any finite logits [1]_.

    Parameters
    ----------
    logits : array, shape (n_samples, n_classes), floating dtype
        The scores before the softmax.
    out : array, optional
        Where the result may be written; it may be `logits`.

    Returns
    -------
    array, shape (n_samples, n_classes), dtype of `logits`
        Logarithms of probabilities.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the
       log-sum-exp and softmax functions", IMA J. Numer. Anal. 41(4), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.asarray([[1e4, 0.0]]))
    array([[     0., -10000.]])
    """
    xp = array_namespace(logits)
    shifted = ops.subtract(logits, ops.max_in_row(logits), out=out)
    log_sum = xp.log(ops.sum_in_row(xp.exp(shifted)))
    return ops.subtract(shifted, log_sum, out=out)


def log_softmax_backward(d_log_probs: Array, log_probs: Array) -> Array:
    r"""Gradient through :func:`log_softmax`.

    .. math:: dz_i = dl_i - a_i \sum_k dl_k

    Parameters
    ----------
    d_log_probs, log_probs : array, shape (n_samples, n_classes), floating dtype
        Gradient with respect to the output, and the output.

    Returns
    -------
    array, shape (n_samples, n_classes), dtype of `d_log_probs`
        Gradient with respect to the logits.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_backward(np.asarray([[1.0, 0.0]]), np.log([[0.25, 0.75]]))
    array([[ 0.75, -0.75]])
    """
    xp = array_namespace(d_log_probs, log_probs)
    return d_log_probs - xp.exp(log_probs) * xp.sum(d_log_probs, axis=-1, keepdims=True)


def softmax(logits: Array) -> Array:
    r"""Softmax of each row.

    .. math:: a_i = \frac{e^{z_i - m}}{\sum_k e^{z_k - m}}, \qquad m = \max_k z_k

    Parameters
    ----------
    logits : array, shape (n_samples, n_classes), floating dtype
        The scores before the softmax.

    Returns
    -------
    array, shape (n_samples, n_classes), dtype of `logits`
        Probabilities; each row sums to 1.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.asarray([[1000.0, 1000.0], [-1000.0, -1000.0]]))
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    xp = array_namespace(logits)
    powers = xp.exp(logits - ops.max_in_row(logits))
    return powers / ops.sum_in_row(powers)


def softmax_backward(d_probs: Array, probs: Array) -> Array:
    r"""Gradient through :func:`softmax`: its Jacobian applied to a gradient.

    .. math:: dz_i = a_i \bigl(da_i - \sum_k da_k\, a_k\bigr)

    Parameters
    ----------
    d_probs, probs : array, shape (n_samples, n_classes), floating dtype
        Gradient with respect to the output, and the output.

    Returns
    -------
    array, shape (n_samples, n_classes), dtype of `d_probs`
        Gradient with respect to the logits.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_backward(np.asarray([[1.0, 0.0]]), np.asarray([[0.25, 0.75]]))
    array([[ 0.1875, -0.1875]])
    """
    xp = array_namespace(d_probs, probs)
    return probs * (d_probs - xp.sum(d_probs * probs, axis=-1, keepdims=True))


def softmax_jacobian(probs: Array) -> Array:
    r"""Jacobian of the softmax, for each sample.

    .. math:: \frac{\partial a_i}{\partial z_j} =
        \begin{cases} a_i (1 - a_i) & i = j \\ -a_i a_j & i \ne j \end{cases}
        \qquad\text{or}\qquad J = \operatorname{diag}(a) - a a^\top

    Training never needs it: see :func:`xpnet.losses.softmax_cross_entropy`.

    Parameters
    ----------
    probs : array, shape (n_samples, n_classes), floating dtype
        Outputs of :func:`softmax`.

    Returns
    -------
    array, shape (n_samples, n_classes, n_classes), dtype of `probs`
        ``J[s, i, j]`` is the derivative of output i by logit j in sample s; it is
        symmetric, and its rows sum to zero.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_jacobian(np.asarray([[0.25, 0.75]]))
    array([[[ 0.1875, -0.1875],
            [-0.1875,  0.1875]]])
    """
    xp = array_namespace(probs)
    n_classes = probs.shape[-1]
    unit = xp.eye(n_classes, dtype=probs.dtype, device=device(probs))
    a_i, a_j = probs[:, :, None], probs[:, None, :]
    return a_i * unit[None, :, :] - a_i * a_j


def log_sigmoid(Z: Array) -> Array:
    r"""Logarithm of the logistic sigmoid, :math:`-\log(1 + e^{-Z})`.

    Finite for any finite `Z`, where the logarithm of :func:`logistic` is not.

    Parameters
    ----------
    Z : array, any shape, floating dtype
        Logits.

    Returns
    -------
    array, shape and dtype of `Z`
        Not positive.

    Examples
    --------
    >>> import numpy as np
    >>> log_sigmoid(np.asarray([-1e4, 1e4]))
    array([-10000.,      0.])
    """
    xp = array_namespace(Z)
    return xp.minimum(Z, 0.0) - xp.log1p(xp.exp(-xp.abs(Z)))


def one_hot(y: Array, n_classes: int, dtype: DType) -> Array:
    r"""Encode class numbers as rows, :math:`Y_{sk} = 1` where :math:`y_s = k`, else 0.

    Parameters
    ----------
    y : array, shape (n_samples,), integer dtype
        Class numbers from 0 to ``n_classes - 1``; any other gives a row of zeros.
    n_classes : int
        The number of classes.
    dtype : dtype of the namespace of `y`
        Dtype of the result.

    Returns
    -------
    array, shape (n_samples, n_classes), `dtype`
        The targets of :func:`xpnet.losses.softmax_cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(np.asarray([2, 0]), 3, np.float64)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    xp = array_namespace(y)
    classes = xp.arange(n_classes, dtype=y.dtype, device=device(y))
    return xp.astype(y[:, None] == classes[None, :], dtype)


def smooth_labels(targets: Array, smoothing: float, n_classes: int) -> Array:
    r"""Smooth targets: be a little in doubt about each label [1]_.

    .. math:: \tilde Y = (1 - \epsilon)\, Y + \frac{\epsilon}{k}

    Logits then have a best value, where for one-hot targets they grow for ever.

    Parameters
    ----------
    targets : array, shape (n_samples, n_outputs), floating dtype
        Probabilities.
    smoothing : float
        The share :math:`\epsilon` that all classes get alike, in [0, 1].
    n_classes : int
        How many exclude each other, k: two for a sigmoid.

    Returns
    -------
    array, shape and dtype of `targets`
        Probabilities.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the
       inception architecture for computer vision", CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> print(smooth_labels(np.asarray([[1.0, 0.0]]), 0.1, 2))
    [[0.95 0.05]]
    """
    return (1.0 - smoothing) * targets + smoothing / n_classes
