"""First weights and biases, drawn on the host.

One legacy :class:`numpy.random.RandomState` is drawn from, layer after layer, in
float64; the estimator then casts and moves. So the same `random_state` gives the same
network on every backend, and the same as scikit-learn's.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "INITIALIZERS",
    "draw",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
]

HostArray: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Initializer: TypeAlias = Callable[
    [int, int, np.random.RandomState], tuple[HostArray, HostArray]
]


def glorot_uniform(
    fan_in: int, fan_out: int, random_state: np.random.RandomState, factor: float = 6.0
) -> tuple[HostArray, HostArray]:
    r"""Draw weights and biases as scikit-learn does.

    .. math:: W, b \sim U(-r, r), \qquad r = \sqrt{\frac{6}{n_{in} + n_{out}}}

    The bound is Glorot and Bengio's [1]_; that biases are drawn too, and that the 6 is
    a 2 where the hidden units are logistic, is scikit-learn's.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the weights.
    random_state : numpy.random.RandomState
        Drawn from: first the weights, then the biases.
    factor : float, default=6.0
        The numerator.

    Returns
    -------
    W : ndarray, shape (fan_in, fan_out), float64
        Weights.
    b : ndarray, shape (fan_out,), float64
        Biases.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep
       feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> W, b = glorot_uniform(3, 2, np.random.RandomState(0))
    >>> W.shape, b.shape
    ((3, 2), (2,))
    """
    bound = np.sqrt(factor / (fan_in + fan_out))
    W = random_state.uniform(-bound, bound, (fan_in, fan_out))
    return W, random_state.uniform(-bound, bound, fan_out)


def glorot_normal(
    fan_in: int, fan_out: int, random_state: np.random.RandomState
) -> tuple[HostArray, HostArray]:
    r"""Draw weights of variance :math:`2 / (n_{in} + n_{out})`; biases are zero.

    Glorot and Bengio's variance [1]_: signals keep their size, forward and backward on
    average, through layers that are linear around zero.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the weights.
    random_state : numpy.random.RandomState
        Drawn from.

    Returns
    -------
    W : ndarray, shape (fan_in, fan_out), float64
        Weights.
    b : ndarray, shape (fan_out,), float64
        Biases.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep
       feedforward neural networks", AISTATS 2010.

    Examples
    --------
    >>> W, b = glorot_normal(3, 2, np.random.RandomState(0))
    >>> b
    array([0., 0.])
    """
    scale = math.sqrt(2.0 / (fan_in + fan_out))
    return scale * random_state.standard_normal((fan_in, fan_out)), np.zeros(fan_out)


def he_uniform(
    fan_in: int, fan_out: int, random_state: np.random.RandomState
) -> tuple[HostArray, HostArray]:
    r"""Draw uniform weights of variance :math:`2 / n_{in}`; biases are zero.

    .. math:: W \sim U(-r, r), \qquad r = \sqrt{\frac{6}{n_{in}}}

    He et al.'s variance for rectifiers [1]_, which halve the second moment.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the weights.
    random_state : numpy.random.RandomState
        Drawn from.

    Returns
    -------
    W : ndarray, shape (fan_in, fan_out), float64
        Weights.
    b : ndarray, shape (fan_out,), float64
        Biases.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.

    Examples
    --------
    >>> W, b = he_uniform(6, 2, np.random.RandomState(0))
    >>> bool(abs(W).max() <= 1.0)
    True
    """
    bound = math.sqrt(6.0 / fan_in)
    return random_state.uniform(-bound, bound, (fan_in, fan_out)), np.zeros(fan_out)


def he_normal(
    fan_in: int, fan_out: int, random_state: np.random.RandomState
) -> tuple[HostArray, HostArray]:
    r"""Draw normal weights of variance :math:`2 / n_{in}`; biases are zero.

    He et al.'s variance for rectifiers [1]_, which halve the second moment.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the weights.
    random_state : numpy.random.RandomState
        Drawn from.

    Returns
    -------
    W : ndarray, shape (fan_in, fan_out), float64
        Weights.
    b : ndarray, shape (fan_out,), float64
        Biases.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.

    Examples
    --------
    >>> W, b = he_normal(3, 2, np.random.RandomState(0))
    >>> W.shape
    (3, 2)
    """
    scale = math.sqrt(2.0 / fan_in)
    return scale * random_state.standard_normal((fan_in, fan_out)), np.zeros(fan_out)


def lecun_normal(
    fan_in: int, fan_out: int, random_state: np.random.RandomState
) -> tuple[HostArray, HostArray]:
    r"""Draw normal weights of variance :math:`1 / n_{in}`; biases are zero.

    LeCun et al.'s variance [1]_. The stream is that of the tutorial xpnet grew from:
    standard normals of shape (fan_out, fan_in) over :math:`\sqrt{n_{in}}`, transposed.

    Parameters
    ----------
    fan_in, fan_out : int
        Units before and behind the weights.
    random_state : numpy.random.RandomState
        Drawn from.

    Returns
    -------
    W : ndarray, shape (fan_in, fan_out), float64
        Weights.
    b : ndarray, shape (fan_out,), float64
        Biases.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", in Neural
       Networks: Tricks of the Trade, 1998.

    Examples
    --------
    >>> W, b = lecun_normal(4, 1, np.random.RandomState(1))
    >>> print((2.0 * W.T).round(3))  # the first standard normals of seed 1
    [[ 1.624 -0.612 -0.528 -1.073]]
    """
    normals = random_state.standard_normal((fan_out, fan_in))
    return (normals / np.sqrt(fan_in)).T, np.zeros(fan_out)


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_normal": lecun_normal,
}


def draw(
    name: str,
    sizes: Sequence[int],
    activations: Sequence[Any],
    random_state: np.random.RandomState,
) -> list[tuple[HostArray, HostArray]]:
    """Draw weights and biases of all layers.

    Parameters
    ----------
    name : str
        A key of `INITIALIZERS`.
    sizes : sequence of int
        Units from the features to the outputs.
    activations : sequence, length len(sizes) - 2
        Of the hidden layers.
    random_state : numpy.random.RandomState
        Drawn from, layer after layer.

    Returns
    -------
    list of (W, b)
        Host arrays, float64. With `glorot_uniform`, the bound shrinks for logistic
        units, and the last layer takes after the one before it: scikit-learn's rules.

    Examples
    --------
    >>> drawn = draw("he_normal", [4, 3, 2], ["relu"], np.random.RandomState(0))
    >>> [W.shape for W, b in drawn]
    [(4, 3), (3, 2)]
    """
    last = activations[-1] if activations else "identity"
    drawn = []
    for (fan_in, fan_out), activation in zip(
        pairwise(sizes), [*activations, last], strict=True
    ):
        initializer = INITIALIZERS[name]
        if name == "glorot_uniform" and activation == "logistic":
            initializer = partial(glorot_uniform, factor=2.0)
        drawn.append(initializer(fan_in, fan_out, random_state))
    return drawn
