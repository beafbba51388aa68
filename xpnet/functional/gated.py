"""Units that gate their input, A = Z · gate(Z), each beside its derivative.

The output doesn't determine the slope, so these backward passes keep the input Z.
"""

import math

from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional.exponential import softplus
from xpnet.functional.sigmoids import logistic

__all__ = ["gelu", "gelu_backward", "mish", "mish_backward", "silu", "silu_backward"]

_GELU_SCALE, _GELU_CUBIC = math.sqrt(2.0 / math.pi), 0.044715


@pointwise()
def silu(Z: Array, *, out: Array | None = None) -> Array:
    r"""Sigmoid linear unit, also called swish [1]_.

    .. math:: A = Z\, \sigma(Z), \qquad \sigma(Z) = \frac{1}{1 + e^{-Z}}

    A smooth rectifier with a small dip below zero.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written, but not onto `Z`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Greater than -0.2785.

    References
    ----------
    .. [1] S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural
       network function approximation in reinforcement learning", Neural Networks 107,
       2018.

    Examples
    --------
    >>> import numpy as np
    >>> print(silu(np.asarray([-2.0, 0.0, 3.0])).round(4))
    [-0.2384  0.      2.8577]
    """
    return ops.multiply(Z, logistic(Z), out=out)


@pointwise()
def silu_backward(dA: Array, Z: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through :func:`silu`.

    .. math:: dZ = dA\, \sigma(Z)\, \bigl(1 + Z (1 - \sigma(Z))\bigr)

    Parameters
    ----------
    dA, Z : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the input.
    out : array, optional
        Where the result may be written; it may be `dA`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `dA`
        Gradient with respect to the pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> print(silu_backward(np.asarray([1.0]), np.asarray([0.0])).round(4))
    [0.5]
    """
    gate = logistic(Z)
    return ops.multiply(dA, gate * (1.0 + Z * (1.0 - gate)), out=out)


@pointwise()
def mish(Z: Array, *, out: Array | None = None) -> Array:
    r"""Mish [1]_.

    .. math:: A = Z \tanh(\mathrm{softplus}(Z))

    A smooth rectifier with a small dip below zero.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written, but not onto `Z`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Greater than -0.3089.

    References
    ----------
    .. [1] D. Misra, "Mish: a self regularized non-monotonic activation function",
       BMVC 2020.

    Examples
    --------
    >>> import numpy as np
    >>> print(mish(np.asarray([-2.0, 0.0, 3.0])).round(4))
    [-0.2525  0.      2.9865]
    """
    return ops.multiply(Z, ops.tanh(softplus(Z)), out=out)


@pointwise()
def mish_backward(dA: Array, Z: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through :func:`mish`.

    .. math:: dZ = dA\, \bigl(t + Z (1 - t^2)\, \sigma(Z)\bigr), \qquad
        t = \tanh(\mathrm{softplus}(Z))

    Parameters
    ----------
    dA, Z : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the input.
    out : array, optional
        Where the result may be written; it may be `dA`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `dA`
        Gradient with respect to the pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> print(mish_backward(np.asarray([1.0]), np.asarray([0.0])).round(4))
    [0.6]
    """
    gate = ops.tanh(softplus(Z))
    slope = gate + Z * (1.0 - gate * gate) * logistic(Z)
    return ops.multiply(dA, slope, out=out)


@pointwise()
def gelu(Z: Array, *, out: Array | None = None) -> Array:
    r"""Gaussian error linear unit, in its hyperbolic form [1]_.

    .. math:: A = \tfrac12 Z (1 + \tanh u), \qquad u = \sqrt{\tfrac2\pi}\, (Z + 0.044715\, Z^3)

    It is within 0.0005 of Z times the normal distribution function, which the array-API
    standard lacks.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written, but not onto `Z`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Greater than -0.1701.

    References
    ----------
    .. [1] D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)",
       arXiv:1606.08415, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> print(gelu(np.asarray([-2.0, 0.0, 3.0])).round(4))
    [-0.0454  0.      2.9964]
    """
    return ops.multiply(Z, logistic(2.0 * _gelu_argument(Z)), out=out)


@pointwise()
def gelu_backward(dA: Array, Z: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through :func:`gelu`.

    .. math:: dZ = dA\, \bigl(p + 2 Z u' p (1 - p)\bigr), \qquad p = \tfrac12 (1 + \tanh u)

    Parameters
    ----------
    dA, Z : array, shape (n_samples, n_units), floating dtype
        Gradient with respect to the output, and the input.
    out : array, optional
        Where the result may be written; it may be `dA`.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `dA`
        Gradient with respect to the pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> print(gelu_backward(np.asarray([1.0]), np.asarray([0.0])).round(4))
    [0.5]
    """
    gate = logistic(2.0 * _gelu_argument(Z))
    du = _GELU_SCALE * (1.0 + 3.0 * _GELU_CUBIC * Z * Z)
    slope = gate + 2.0 * Z * du * gate * (1.0 - gate)
    return ops.multiply(dA, slope, out=out)


def _gelu_argument(Z: Array) -> Array:
    return _GELU_SCALE * (Z + _GELU_CUBIC * Z * Z * Z)
