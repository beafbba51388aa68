"""Sums, maxima and their places, along a short axis too."""

import functools
import math

import array_api_compat
import numpy as np
from array_api_compat import device, is_numpy_namespace

from xpnet._namespace._dtypes import supports_dtype
from xpnet._namespace._elementwise import hinted
from xpnet._namespace._libraries import array_namespace
from xpnet._namespace._moving import from_numpy, to_numpy
from xpnet._typing import Array, DType, Namespace

__all__ = ["max_abs", "max_in_row", "row_argmax", "row_sum", "sum_all", "sum_in_row"]

_SHORT = 32  # columns: from there on NumPy's own reduction is as soon
_MANY = 2**14  # numbers of a batch; what all samples need is not kept

_matmul, _sum = hinted("matmul"), hinted("sum")

# NumPy reduces a short axis slowly: 200 x 10 numbers to their rows' maxima in 8.8 µs,
# their sums in 3.6; the ways below take 2.0 and 1.0. array-api-strict goes along, since
# it is to give NumPy's numbers.


def _is_numpys(xp: Namespace) -> bool:
    return (
        xp is np
        or is_numpy_namespace(xp)
        or array_api_compat.is_array_api_strict_namespace(xp)
    )


def _ones_like(x: Array, shape: tuple[int, ...]) -> Array:
    if type(x) is np.ndarray and shape[0] <= _MANY:
        return _numpy_ones(shape, x.dtype)
    return array_namespace(x).ones(shape, dtype=x.dtype, device=device(x))


@functools.lru_cache(maxsize=16)  # nobody writes into them
def _numpy_ones(shape: tuple[int, ...], dtype: DType) -> Array:
    return np.ones(shape, dtype)


def row_sum(x: Array, *, out: Array | None = None) -> Array:
    """Sum over the rows, ``(n_samples, n) -> (n,)``."""
    xp = array_namespace(x)
    if _is_numpys(xp):
        return _matmul(_ones_like(x, (x.shape[0],)), x, out=out)
    return _sum(x, axis=0, out=out)


def sum_in_row(x: Array) -> Array:
    """Sum each row, ``(n_samples, n) -> (n_samples, 1)``."""
    xp = array_namespace(x)
    if _is_numpys(xp):
        return xp.matmul(x, _ones_like(x, (x.shape[-1], 1)))
    return xp.sum(x, axis=-1, keepdims=True)


def sum_all(x: Array) -> Array:
    """Sum all numbers, ``(n_samples, n) -> ()``."""
    xp, n = array_namespace(x), math.prod(x.shape)
    if _is_numpys(xp) and n <= _MANY:
        return xp.matmul(xp.reshape(x, (n,)), _ones_like(x, (n,)))
    return xp.sum(x)


def max_abs(x: Array) -> Array:
    """Return the largest magnitude, (); NaN if there is one."""
    xp = array_namespace(x)
    return xp.max(xp.abs(x))


def max_in_row(x: Array) -> Array:
    """Return the maximum of each row, ``(n_samples, n) -> (n_samples, 1)``."""
    xp = array_namespace(x)
    if is_numpy_namespace(xp) and x.ndim == 2 and x.shape[1] < _SHORT:
        return np.maximum.reduce(np.copy(x.T, order="C"), axis=0)[:, None]
    return xp.max(x, axis=-1, keepdims=True)


def row_argmax(x: Array) -> Array:
    """Return the column of the largest number in each row, ``(n, k) -> (n,)``."""
    xp, place = array_namespace(x), device(x)
    strict = array_api_compat.is_array_api_strict_namespace(xp)
    if strict and not supports_dtype(xp, place, "int64"):
        # array-api-strict 2.6: argmax is int64, on devices without int64 too
        return from_numpy(np.argmax(to_numpy(x), axis=1), xp, place)
    return xp.argmax(x, axis=1)
