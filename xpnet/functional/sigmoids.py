"""Identity and sigmoids, each beside its derivative.

``f`` computes ``A = f(Z)``; ``f_backward`` turns the gradient of the loss with respect
to ``A`` into the one with respect to ``Z``. These derivatives can be written in the
output ``A``, so that is all a backward pass keeps. ``out`` is a hint: an array that the
result may be written into.
"""

from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet._typing import Array

__all__ = [
    "identity",
    "identity_backward",
    "logistic",
    "logistic_backward",
    "tanh",
    "tanh_backward",
]


def identity(Z: Array, *, out: Array | None = None) -> Array:  # noqa: ARG001
    r"""Return the pre-activations unchanged, :math:`A = Z`.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Not needed here.

    Returns
    -------
    array
        `Z` itself.

    Examples
    --------
    >>> import numpy as np
    >>> identity(np.asarray([-1.0, 2.0]))
    array([-1.,  2.])
    """
    return Z


def identity_backward(
    dA: Array,
    A: Array,  # noqa: ARG001
    *,
    out: Array | None = None,  # noqa: ARG001
) -> Array:
    r"""Gradient through the identity, :math:`dZ = dA`.

    Parameters
    ----------
    dA, A : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the output.
    out : array, optional
        Not needed here.

    Returns
    -------
    array
        `dA` itself.

    Examples
    --------
    >>> import numpy as np
    >>> identity_backward(np.asarray([3.0]), np.asarray([-1.0]))
    array([3.])
    """
    return dA


@pointwise()
def logistic(Z: Array, *, out: Array | None = None) -> Array:
    r"""Logistic sigmoid.

    .. math:: A = \frac{1}{1 + e^{-Z}} = \tfrac12 + \tfrac12 \tanh \tfrac{Z}{2}

    The second form needs no exponential that could overflow.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        In [0, 1]; exact to the rounding of 1.

    Examples
    --------
    >>> import numpy as np
    >>> logistic(np.asarray([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    A = ops.multiply(Z, 0.5, out=out)
    A = ops.tanh(A, out=out)
    A = ops.multiply(A, 0.5, out=out)
    return ops.add(A, 0.5, out=out)


@pointwise()
def logistic_backward(dA: Array, A: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through the logistic sigmoid, :math:`dZ = dA \cdot A (1 - A)`.

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
    >>> logistic_backward(np.asarray([1.0]), np.asarray([0.5]))
    array([0.25])
    """
    return ops.multiply(dA, A * (1.0 - A), out=out)


@pointwise()
def tanh(Z: Array, *, out: Array | None = None) -> Array:
    r"""Hyperbolic tangent, :math:`A = \tanh Z`.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        In [-1, 1].

    Examples
    --------
    >>> import numpy as np
    >>> tanh(np.asarray([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    return ops.tanh(Z, out=out)


@pointwise()
def tanh_backward(dA: Array, A: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through the hyperbolic tangent, :math:`dZ = dA \cdot (1 - A^2)`.

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
    >>> tanh_backward(np.asarray([1.0]), np.asarray([0.5]))
    array([0.75])
    """
    return ops.multiply(dA, 1.0 - A * A, out=out)
