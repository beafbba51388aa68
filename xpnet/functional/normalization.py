"""Standardising, over the units of a sample or over the samples of a batch."""

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._pointwise import pointwise
from xpnet._typing import Array

__all__ = ["affine", "inverse_std", "moments", "standardize", "standardize_backward"]

EPSILON = 1e-5  # keeps what hardly varies from being divided by zero


def standardize(
    Z: Array, *, axis: int, out: Array | None = None
) -> tuple[Array, Array]:
    r"""Shift and scale to mean 0 and variance 1.

    .. math:: N = \frac{Z - \mu}{\sigma}, \qquad
        \sigma = \sqrt{\tfrac1n \textstyle\sum (Z - \mu)^2 + \epsilon}, \qquad
        \epsilon = 10^{-5}

    Over the units of each sample it is the core of layer normalisation [1]_, over the
    samples that of batch normalisation [2]_.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    axis : int
        0 for mean and variance of each unit over the samples, 1 for those of each
        sample over its units.
    out : array, optional
        Where N may be written; it may be `Z`.

    Returns
    -------
    N : array, shape (n_samples, n_units), dtype of `Z`
        The standardised numbers.
    scale : array, shape (n_units,) or (n_samples, 1), dtype of `Z`
        :math:`1 / \sigma`, which the backward pass needs.

    References
    ----------
    .. [1] J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization",
       arXiv:1607.06450, 2016.
    .. [2] S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network
       training by reducing internal covariate shift", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> N, scale = standardize(np.asarray([[0.0, 200.0]]), axis=1)
    >>> print(N.round(4), scale)
    [[-1.  1.]] [[0.01]]
    """
    centred = ops.subtract(Z, _mean(Z, axis), out=out)
    scale = inverse_std(_mean(centred * centred, axis))
    return ops.multiply(centred, scale, out=out), scale


def standardize_backward(
    dN: Array, N: Array, scale: Array, *, axis: int, out: Array | None = None
) -> Array:
    r"""Gradient through :func:`standardize`.

    .. math:: dZ = \frac1\sigma \Bigl(dN - \overline{dN} - N\, \overline{dN \cdot N}\Bigr)

    Bars are means over the axis: what would shift or scale the numbers alike has no
    effect, and its share of the gradient is taken away.

    Parameters
    ----------
    dN, N : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the output.
    scale : array, shape (n_units,) or (n_samples, 1), dtype of `N`
        As :func:`standardize` returned it.
    axis : int
        As for :func:`standardize`.
    out : array, optional
        Where the result may be written; it may be `dN`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `dN`
        Gradient with respect to Z.

    Examples
    --------
    >>> import numpy as np
    >>> N, scale = standardize(np.asarray([[0.0, 1.0, 5.0]]), axis=1)
    >>> print(standardize_backward(np.ones((1, 3)), N, scale, axis=1))
    [[0. 0. 0.]]
    """
    mean, product = _mean(dN, axis), _mean(dN * N, axis)
    return _without_means(dN, N, mean, product, scale, out=out)


def moments(Z: Array) -> tuple[Array, Array]:
    """Return mean and variance of each unit over the samples.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.

    Returns
    -------
    mean, variance : array, shape (n_units,), dtype of `Z`
        The variance is that of the samples, divided by their number.

    Examples
    --------
    >>> import numpy as np
    >>> mean, variance = moments(np.asarray([[1.0], [3.0]]))
    >>> print(mean, variance)
    [2.] [1.]
    """
    mean = _mean(Z, 0)
    centred = Z - mean
    return mean, _mean(centred * centred, 0)


def inverse_std(variance: Array) -> Array:
    r"""Return :math:`1 / \sqrt{v + \epsilon}`, as :func:`standardize` scales by it.

    Parameters
    ----------
    variance : array, any shape, floating dtype
        Not negative.

    Returns
    -------
    array, shape and dtype of `variance`
        Finite, for a variance of zero too.

    Examples
    --------
    >>> import numpy as np
    >>> print(inverse_std(np.asarray([0.0, 4.0])).round(3))
    [316.228   0.5  ]
    """
    return 1.0 / array_namespace(variance).sqrt(variance + EPSILON)


@pointwise()
def affine(N: Array, gain: Array, b: Array, *, out: Array | None = None) -> Array:
    r"""Scale and shift each unit, :math:`Z = \gamma N + b`.

    Parameters
    ----------
    N : array, shape (n_samples, n_units), floating dtype
        Standardised numbers.
    gain, b : array, shape (n_units,), dtype of `N`
        What is learnt.
    out : array, optional
        Where the result may be written; it may be `N`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `N`
        Pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> affine(np.asarray([[-1.0, 1.0]]), np.asarray([2.0, 3.0]), np.asarray([0.0, 1.0]))
    array([[-2.,  4.]])
    """
    return ops.add(N * gain, b, out=out)


@pointwise()
def _without_means(
    dN: Array,
    N: Array,
    mean: Array,
    product: Array,
    inverse: Array,
    *,
    out: Array | None = None,
) -> Array:
    return ops.multiply(dN - mean - N * product, inverse, out=out)


def _mean(Z: Array, axis: int) -> Array:
    if axis == 0:
        return ops.row_sum(Z) / float(Z.shape[0])  # (n_units,)
    return ops.sum_in_row(Z) / float(Z.shape[1])  # (n_samples, 1)
