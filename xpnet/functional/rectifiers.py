"""Rectifiers with a corner, each beside its derivative, which its output gives."""

from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet._typing import Array

__all__ = ["leaky_relu", "leaky_relu_backward", "relu", "relu_backward"]

_SLOPE = 0.01


@pointwise()
def relu(Z: Array, *, out: Array | None = None) -> Array:
    r"""Rectified linear unit, :math:`A = \max(Z, 0)`.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Not negative; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.asarray([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return ops.maximum(Z, 0.0, out=out)


@pointwise()
def relu_backward(dA: Array, A: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through the rectifier, :math:`dZ = dA` where :math:`A > 0`, else 0.

    Parameters
    ----------
    dA, A : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the output.
    out : array, optional
        Where the result may be written; it may be `dA`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `dA`
        Gradient with respect to the pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> relu_backward(np.asarray([5.0, 5.0]), np.asarray([0.0, 3.0]))
    array([0., 5.])
    """
    return ops.where_or_zero(A > 0.0, dA, out=out)


@pointwise()
def leaky_relu(Z: Array, *, out: Array | None = None) -> Array:
    r"""Rectifier that leaks, with slope 0.01 below zero [1]_.

    .. math:: A = \max(Z, 0.01 Z)

    A unit that is off still passes a gradient, so it can come back.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Real numbers.

    References
    ----------
    .. [1] A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural
       network acoustic models", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> print(leaky_relu(np.asarray([-2.0, 0.0, 3.0])).round(4))
    [-0.02  0.    3.  ]
    """
    return ops.maximum(Z, _SLOPE * Z, out=out)


@pointwise()
def leaky_relu_backward(
    dA: Array,
    A: Array,
    *,
    out: Array | None = None,  # noqa: ARG001
) -> Array:
    r"""Gradient through :func:`leaky_relu`.

    .. math:: dZ = dA \text{ where } A > 0, \text{ else } 0.01\, dA

    Parameters
    ----------
    dA, A : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the output.
    out : array, optional
        Where the result may be written; it may be `dA`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `dA`
        Gradient with respect to the pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> print(leaky_relu_backward(np.asarray([1.0]), np.asarray([-0.02])).round(4))
    [0.01]
    """
    return ops.where(A > 0.0, dA, _SLOPE * dA)
