"""Rectifiers rounded by an exponential, each beside its derivative.

The derivatives can be written in the output, so that is all a backward pass keeps.
"""

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._pointwise import pointwise
from xpnet._typing import Array

__all__ = [
    "elu",
    "elu_backward",
    "selu",
    "selu_backward",
    "softplus",
    "softplus_backward",
]

_LAMBDA, _ALPHA = 1.0507009873554805, 1.6732632423543772  # of Klambauer et al.
_LAMBDA_ALPHA = _LAMBDA * _ALPHA


@pointwise()
def elu(Z: Array, *, out: Array | None = None) -> Array:
    r"""Exponential linear unit [1]_.

    .. math:: A = Z \text{ where } Z > 0, \text{ else } e^Z - 1

    Saturates at -1, with a derivative that is continuous at zero.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Greater than -1.

    References
    ----------
    .. [1] D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep
       network learning by exponential linear units", ICLR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> print(elu(np.asarray([-2.0, 0.0, 3.0])).round(4))
    [-0.8647  0.      3.    ]
    """
    xp = array_namespace(Z)
    below = xp.expm1(xp.minimum(Z, 0.0))  # 0 above zero
    return ops.add(ops.maximum(Z, 0.0, out=out), below, out=out)


@pointwise()
def elu_backward(dA: Array, A: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through :func:`elu`.

    .. math:: dZ = dA \text{ where } A > 0, \text{ else } dA\, (A + 1)

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
    >>> print(elu_backward(np.asarray([1.0]), np.asarray([-0.5])).round(4))
    [0.5]
    """
    return ops.multiply(dA, ops.minimum(A, 0.0) + 1.0, out=out)


@pointwise()
def selu(Z: Array, *, out: Array | None = None) -> Array:
    r"""Scaled exponential linear unit [1]_.

    .. math:: A = \lambda Z \text{ where } Z > 0, \text{ else }
        \lambda \alpha (e^Z - 1), \qquad \lambda \approx 1.0507,\; \alpha \approx 1.6733

    With weights of variance 1/fan_in (``"lecun_normal"``), activations keep mean 0 and
    variance 1 from layer to layer.

    Parameters
    ----------
    Z : array, shape (n_samples, n_units), floating dtype
        Pre-activations.
    out : array, optional
        Where the result may be written.

    Returns
    -------
    array, shape (n_samples, n_units), dtype of `Z`
        Greater than -1.7581.

    References
    ----------
    .. [1] G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing
       neural networks", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> print(selu(np.asarray([-2.0, 0.0, 3.0])).round(4))
    [-1.5202  0.      3.1521]
    """
    xp = array_namespace(Z)
    below = _LAMBDA_ALPHA * xp.expm1(xp.minimum(Z, 0.0))  # 0 above zero
    above = ops.multiply(ops.maximum(Z, 0.0, out=out), _LAMBDA, out=out)
    return ops.add(above, below, out=out)


@pointwise()
def selu_backward(dA: Array, A: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through :func:`selu`.

    .. math:: dZ = \lambda\, dA \text{ where } A > 0, \text{ else } dA\, (A + \lambda \alpha)

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
    >>> print(selu_backward(np.asarray([1.0]), np.asarray([-0.5])).round(4))
    [1.2581]
    """
    slope = ops.where(A > 0.0, _LAMBDA, A + _LAMBDA_ALPHA)
    return ops.multiply(dA, slope, out=out)


@pointwise()
def softplus(Z: Array, *, out: Array | None = None) -> Array:
    r"""Smooth rectifier [1]_.

    .. math:: A = \log(1 + e^Z) = \max(Z, 0) + \log(1 + e^{-|Z|})

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
        Not negative.

    References
    ----------
    .. [1] C. Dugas, Y. Bengio, F. Bélisle, C. Nadeau, R. Garcia, "Incorporating
       second-order functional knowledge for better option pricing", NeurIPS 2000.

    Examples
    --------
    >>> import numpy as np
    >>> print(softplus(np.asarray([-1e4, 0.0, 1e4])).round(4))
    [0.000e+00 6.931e-01 1.000e+04]
    """
    xp = array_namespace(Z)
    tail = xp.log1p(xp.exp(-xp.abs(Z)))
    return ops.add(ops.maximum(Z, 0.0, out=out), tail, out=out)


@pointwise()
def softplus_backward(dA: Array, A: Array, *, out: Array | None = None) -> Array:
    r"""Gradient through :func:`softplus`.

    .. math:: dZ = dA\, (1 - e^{-A})

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
    >>> print(softplus_backward(np.asarray([1.0]), np.asarray([0.6931472])).round(4))
    [0.5]
    """
    xp = array_namespace(A)
    return ops.multiply(dA, -xp.expm1(-A), out=out)
