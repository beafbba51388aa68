"""Products of matrices, and how many threads they pay for."""

import functools
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any

import array_api_compat
import numpy as np
from threadpoolctl import ThreadpoolController

from xpnet._namespace._elementwise import add, hinted
from xpnet._namespace._libraries import array_namespace, is_sparse, numpy_namespace
from xpnet._typing import Array

__all__ = ["matmul", "matrix_product", "threads_for", "transposed"]

_FEW = 16  # columns: up to there a copy is multiplied sooner
_ALONE = 4e6  # flop; below, waking a second thread takes longer than the product

_matmul = hinted("matmul")


def matmul(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """Multiply two matrices; SciPy's sparse ones meet NumPy's only."""
    if type(a) is not np.ndarray:
        if is_sparse(a):
            return add(a @ b, 0.0, out=out)  # SciPy writes into nothing itself
        if array_api_compat.is_jax_array(a):
            return _jax_product(a, b)
        # torch's compiler can't look into a context variable.
        torchs = array_api_compat.is_torch_array(a)
        product = None if torchs else matrix_product.get()
        if product is not None and a.ndim == b.ndim == 2:
            return product(a, b, out)
    return _matmul(a, b, out=out)


def _jax_product(a: Array, b: Array) -> Array:
    """Multiply in the arrays' own precision: on a GPU JAX's default is TF32.

    Who chooses another, by ``jax_default_matmul_precision``, gets it.
    """
    chosen = sys.modules["jax"].config.jax_default_matmul_precision
    precision = "highest" if chosen is None else None
    return array_namespace(a).matmul(a, b, precision=precision)


def transposed(W: Array) -> Array:
    """Return the transpose, to be multiplied from the left.

    NumPy's BLAS multiplies by a copy of few rows sooner than by a view of few columns:
    128 x 10 by 10 x 512 in 17 µs instead of 27, with two threads of 121.
    """
    if W.shape[1] > _FEW:
        return W.T
    xp = array_namespace(W)
    if xp is numpy_namespace:
        return np.copy(W.T, order="C")
    if array_api_compat.is_array_api_strict_namespace(xp):  # to give NumPy's numbers
        return xp.stack([W[:, i] for i in range(W.shape[1])])
    return W.T


matrix_product: ContextVar[Callable[..., Array] | None] = ContextVar(
    "matrix_product", default=None
)
"""What multiplies matrices instead, while this thread captures a step of CuPy's.

Two vectors don't need it: their product is a sum, which CuPy can have captured.
"""


def threads_for(x: Array, n_flops: float) -> AbstractContextManager[Any]:
    """Return a context in which NumPy multiplies matrices with as many threads as pay.

    Parameters
    ----------
    x : array
        Of the library in question; others than NumPy are left alone.
    n_flops : float
        Of the largest product, two for each multiplication and addition.

    Returns
    -------
    context manager
        Entered and left in microseconds. The limit is the process's, so only its main
        thread sets it: others could not tell what to restore.
    """
    alone = threading.current_thread() is threading.main_thread()
    if type(x) is not np.ndarray or n_flops > _ALONE or not alone:
        return nullcontext()
    limit: AbstractContextManager[Any] = _thread_pools().limit(
        limits=1, user_api="blas"
    )
    return limit


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # looks for the libraries once: a millisecond
