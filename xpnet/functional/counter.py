"""Random numbers from a counter: the same bits on every array library.

A hash of a counter and two keys takes the place of a generator's state, so that a draw
can be made anywhere in any order, inside a compiled or captured step too. It is written
in int32, the one integer that every library computes with; products wrap around.
"""

import math

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, device, is_sparse
from xpnet._pointwise import pointwise
from xpnet._typing import Array, DType

__all__ = ["counter_hash", "counter_uniform", "dropout", "keep_mask"]

# The multipliers of "lowbias32", 0x7FEB352D and 0x846CA68B, in two's complement.
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - (1 << 32)


def counter_hash(counter: Array, key_0: Array | int, key_1: Array | int) -> Array:
    """Hash a counter under two keys.

    Two rounds of C. Wellons' "lowbias32" [1]_, a bijection of 32 bits, one key before
    each. Good enough for dropout; no cryptography, and no Monte Carlo. The keys have to
    be hashed or random themselves: under two that differ in a few low bits, a range of
    counters gives the same draws in another order.

    Parameters
    ----------
    counter : array, shape (n,) or more axes, int32
        Each number once.
    key_0, key_1 : int or array, shape (), int32
        Arrays where they change from step to step.

    Returns
    -------
    array, shape of `counter`, int32
        All 32 bits are used.

    References
    ----------
    .. [1] C. Wellons, "Prospecting for hash functions", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> counter_hash(np.arange(3, dtype=np.int32), 3, 7)
    array([-1132646576,  -758296012, -1384030416], dtype=int32)
    """
    return _mix(_mix(counter ^ key_0) + key_1)


def counter_uniform(counter: Array, key_0: Array | int, key_1: Array | int) -> Array:
    """Draw uniform numbers, exact multiples of 2 ** -24.

    Parameters
    ----------
    counter, key_0, key_1 : array or int, int32
        As for :func:`counter_hash`.

    Returns
    -------
    array, shape of `counter`, float32
        In [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> print(counter_uniform(np.arange(3, dtype=np.int32), 3, 7).round(3))
    [0.736 0.823 0.678]
    """
    xp = array_namespace(counter)
    bits = _bits(counter, key_0, key_1)
    return xp.astype(bits, xp.float32) * (1.0 / (1 << 24))


def keep_mask(
    counter: Array, key_0: Array | int, key_1: Array | int, rate: float, dtype: DType
) -> Array:
    r"""Draw the mask of inverted dropout.

    .. math:: m = \begin{cases} 0 & \text{with probability } r \\
        \frac{1}{1 - r} & \text{else} \end{cases}

    Its mean is 1, so that nothing has to be scaled where nothing is dropped [1]_.

    Parameters
    ----------
    counter, key_0, key_1 : array or int, int32
        As for :func:`counter_hash`.
    rate : float
        The share r that is dropped, in [0, 1).
    dtype : floating dtype of the counter's namespace
        Of the mask.

    Returns
    -------
    array, shape of `counter`, `dtype`
        To multiply activations with.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov,
       "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15,
       2014.

    Examples
    --------
    >>> import numpy as np
    >>> keep_mask(np.arange(4, dtype=np.int32), 3, 7, 0.5, np.float64)
    array([2., 2., 2., 2.])
    """
    xp = array_namespace(counter)
    kept = _bits(counter, key_0, key_1) >= _threshold(rate)
    return xp.astype(kept, dtype) * (1.0 / (1.0 - rate))


def dropout(
    X: Array,
    key_0: Array | int,
    key_1: Array | int,
    rate: float,
    *,
    out: Array | None = None,
) -> Array:
    r"""Drop a share of the elements, and scale the others up.

    .. math:: D_{si} = m_{si}\, X_{si}

    with the masks m of :func:`keep_mask` for the counter that numbers the elements row
    by row. It is linear, and so it is its own backward pass: under the same keys
    ``dropout(dD, ...)`` is the gradient with respect to `X`. The mask is computed where
    it is needed, and kept nowhere.

    Parameters
    ----------
    X : array, shape (n_samples, n_units), floating dtype
        Activations, or a gradient; a SciPy sparse matrix will do.
    key_0, key_1 : int or array, shape (), int32
        As for :func:`counter_hash`.
    rate : float
        The share that is dropped, in [0, 1).
    out : array, optional
        Where the result may be written; it may be `X`.

    Returns
    -------
    array, shape and dtype of `X`
        Dropped elements are 0.

    Examples
    --------
    >>> import numpy as np
    >>> dropout(np.asarray([[1.0, 2.0, 3.0, 4.0]]), 37, 7, 0.5)
    array([[2., 0., 0., 8.]])
    """
    numbers = _threshold(rate), 1.0 / (1.0 - rate)
    if is_sparse(X):  # zeros stay: the mask of the others is enough
        thinned = X.tocoo()
        counter = thinned.row * X.shape[1] + thinned.col
        thinned.data = _thin(thinned.data, counter, key_0, key_1, *numbers)
        return thinned.tocsr()
    xp = array_namespace(X)
    counter = xp.arange(math.prod(X.shape), dtype=xp.int32, device=device(X))
    counter = xp.reshape(counter, X.shape)
    return _thin(X, counter, key_0, key_1, *numbers, out=out)


@pointwise()
def _thin(
    X: Array,
    counter: Array,
    key_0: Array | int,
    key_1: Array | int,
    threshold: int,
    scale: float,
    *,
    out: Array | None = None,
) -> Array:
    kept = _bits(counter, key_0, key_1) >= threshold
    return ops.where_or_zero(kept, X * scale, out=out)


def _threshold(rate: float) -> int:
    """Return the least of 24 random bits that is kept."""
    return math.ceil(rate * (1 << 24))


def _bits(counter: Array, key_0: Array | int, key_1: Array | int) -> Array:
    """Draw 24 random bits."""
    return _shift_right(counter_hash(counter, key_0, key_1), 8)


def _shift_right(x: Array, k: int) -> Array:
    """Shift in zeros; int32's own shift repeats the sign."""
    return (x >> k) & ((1 << (32 - k)) - 1)


def _mix(x: Array) -> Array:
    x = x ^ _shift_right(x, 16)
    x = x * _FIRST
    x = x ^ _shift_right(x, 15)
    x = x * _SECOND
    return x ^ _shift_right(x, 16)
