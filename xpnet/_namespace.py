"""The one door to array-api-compat, and every difference between array libraries.

``array_namespace`` says which library an array belongs to; the operations below are
the standard's, with an ``out=`` hint: a library that can write into a given array
spares the allocation, and callers use what is *returned*. Buffers are only ever made
where :func:`is_writable` says so, hence ``out is not None`` means that it can.
"""

import functools
import math
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, cast

import array_api_compat
import array_api_compat.numpy
import numpy as np
import scipy.sparse
from array_api_compat import (
    device,
    is_array_api_obj,
    is_cupy_namespace,
    is_jax_namespace,
    is_numpy_array,
    is_numpy_namespace,
    is_torch_namespace,
)
from threadpoolctl import ThreadpoolController

from xpnet._tape import Recorded
from xpnet._typing import Array, Device, DType, Namespace
from xpnet.exceptions import DataError

__all__ = [
    "add",
    "array_namespace",
    "asarray_like",
    "cut",
    "default_float",
    "device",
    "divide",
    "dtype_name",
    "empty_like",
    "exp",
    "fold",
    "from_numpy",
    "host_view",
    "is_array_api_obj",
    "is_cupy_namespace",
    "is_jax_namespace",
    "is_jax_traced",
    "is_numpy_array",
    "is_numpy_namespace",
    "is_on_host",
    "is_sparse",
    "is_torch_namespace",
    "is_traced",
    "is_writable",
    "matmul",
    "matrix_product",
    "max_abs",
    "max_in_row",
    "maximum",
    "minimum",
    "multiply",
    "numpy_namespace",
    "on_host",
    "one_where",
    "row_argmax",
    "row_sum",
    "rows",
    "same_place",
    "sign",
    "sqrt",
    "staged",
    "subtract",
    "sum_all",
    "sum_in_row",
    "supports_dtype",
    "tanh",
    "threads_for",
    "to_numpy",
    "transposed",
    "where",
    "where_or_zero",
    "without_graph",
]

is_sparse = scipy.sparse.issparse

_SHORT = 32  # columns: from there on NumPy's own reduction is as soon

# NumPy 2.1 speaks the standard itself, and a call through the layer takes 0.5 µs more.
numpy_namespace: Namespace = (
    np if hasattr(np, "__array_namespace_info__") else array_api_compat.numpy
)

# Namespaces by the types of the arrays: 0.2 µs a call where array-api-compat takes 1.
_namespaces: dict[tuple[type, ...], Namespace] = {}


def array_namespace(*arrays: Array) -> Namespace:
    """Return the array-API namespace that the arrays belong to.

    Parameters
    ----------
    *arrays : array
        Arrays of one library; Python scalars and None are ignored.

    Returns
    -------
    module
        The library's standard namespace, as array-api-compat gives it.

    Raises
    ------
    TypeError
        The arrays belong to several libraries, or to none.
    """
    types = tuple(map(type, arrays))
    xp = _namespaces.get(types)
    if xp is None:
        if Recorded in types:
            xp = np
        elif any(map(is_traced, arrays)):
            xp = _cupy()
        else:
            xp = array_api_compat.array_namespace(*arrays)
        xp = _namespaces[types] = numpy_namespace if is_numpy_namespace(xp) else xp
    return xp


def is_traced(x: Array) -> bool:
    """Whether `x` is a variable with which cupy.fuse traces a function."""
    return type(x).__module__.startswith("cupy._core.fusion")


def _cupy() -> Namespace:
    """Return the namespace for the variables with which cupy.fuse traces a function."""
    import array_api_compat.cupy

    return array_api_compat.cupy


def is_writable(x: Array) -> bool:
    """Whether operations of the library of `x` can write into a given array."""
    xp = array_namespace(x)
    return bool(
        array_api_compat.is_numpy_namespace(xp)
        or array_api_compat.is_cupy_namespace(xp)
        or array_api_compat.is_torch_namespace(xp)
    )


# ---------------------------------------------------------------- operations with out=


def _hinted(name: str) -> Callable[..., Array]:
    # By the type of `out`: the library's own. What the layer adds is for mixed dtypes,
    # and takes torch 4 µs a call.
    functions: dict[type, Callable[..., Array]] = {}

    def operation(*arrays: Array, out: Array | None = None, **options: Any) -> Array:
        if out is None:
            return getattr(array_namespace(*arrays), name)(*arrays, **options)
        function = functions.get(type(out))
        if function is None:
            name_of = type(out).__module__.partition(".")[0]
            library = np if type(out) is Recorded else sys.modules[name_of]
            function = functions[type(out)] = getattr(library, name)
        return function(*arrays, out=out, **options)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = (
        f"The standard's ``{name}``, written into `out` where it can be."
    )
    return operation


add = _hinted("add")
divide = _hinted("divide")
exp = _hinted("exp")
minimum = _hinted("minimum")
multiply = _hinted("multiply")
sqrt = _hinted("sqrt")
subtract = _hinted("subtract")
tanh = _hinted("tanh")


def maximum(x: Array, y: Array | float, *, out: Array | None = None) -> Array:
    """Return the larger of the two, written into `out` where it can be."""
    xp = array_namespace(x)
    if out is None:
        return xp.maximum(x, y)
    if is_numpy_namespace(xp) and isinstance(y, float):
        # NumPy 2.4 has vector instructions for a row, not for a number: 2 times faster
        y = np.full(x.shape[-1:], y, dtype=x.dtype)
    return xp.maximum(x, y, out=out)


_matmul = _hinted("matmul")
_sum = _hinted("sum")


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


_FEW = 16


matrix_product: ContextVar[Callable[..., Array] | None] = ContextVar(
    "matrix_product", default=None
)
"""What multiplies matrices instead, while this thread captures a step of CuPy's.

Two vectors don't need it: their product is a sum, which CuPy can have captured.
"""


_ALONE = 4e6  # flop; below, waking a second thread takes longer than the product


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


def rows(x: Array, indices: Array) -> Array:
    """Gather rows of an array, or of a SciPy sparse matrix."""
    if type(x) is np.ndarray:
        return x.take(indices, axis=0)
    if is_sparse(x):
        return x[indices]
    if array_api_compat.is_jax_array(
        x
    ):  # by default it looks for numbers out of bounds
        return array_namespace(x).take(x, indices, axis=0, mode="clip")
    return array_namespace(x).take(x, indices, axis=0)


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


_MANY = 2**14  # numbers of a batch; what all samples need is not kept


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


def on_host(*numbers: Array) -> list[float]:
    """Read arrays of shape () and one dtype, all at once.  # sync point."""
    read: list[float] = to_numpy(array_namespace(*numbers).stack(numbers)).tolist()
    return read


def max_in_row(x: Array) -> Array:
    """Return the maximum of each row, ``(n_samples, n) -> (n_samples, 1)``."""
    xp = array_namespace(x)
    if is_numpy_namespace(xp) and x.ndim == 2 and x.shape[1] < _SHORT:
        return np.maximum.reduce(np.copy(x.T, order="C"), axis=0)[:, None]
    return xp.max(x, axis=-1, keepdims=True)


def where(condition: Array, x: Array, y: Array | float) -> Array:
    """Return `x` where `condition` holds, and `y` elsewhere."""
    return array_namespace(condition).where(condition, x, y)


def where_or_zero(condition: Array, x: Array, *, out: Array | None = None) -> Array:
    """Return `x` where `condition` holds, and zero elsewhere.

    The libraries that take `out` also multiply by a bool, which on NumPy is 3 to 14
    times faster than ``where``; the standard allows only the latter.
    """
    if out is None:
        return array_namespace(x).where(condition, x, 0.0)
    return multiply(x, condition, out=out)


def one_where(condition: Array, like: Array) -> Array:
    """Return 1 where `condition` holds, and 0 elsewhere, in the dtype of `like`."""
    return array_namespace(like).astype(condition, like.dtype)


def sign(x: Array) -> Array:
    """Return -1, 0 or 1; the namespaces' own may make a GPU wait for the host."""
    xp = array_namespace(x)
    return xp.astype(x > 0.0, x.dtype) - xp.astype(x < 0.0, x.dtype)


def row_argmax(x: Array) -> Array:
    """Return the column of the largest number in each row, ``(n, k) -> (n,)``."""
    xp, place = array_namespace(x), device(x)
    strict = array_api_compat.is_array_api_strict_namespace(xp)
    if strict and not supports_dtype(xp, place, "int64"):
        # array-api-strict 2.6: argmax is int64, on devices without int64 too
        return from_numpy(np.argmax(to_numpy(x), axis=1), xp, place)
    return xp.argmax(x, axis=1)


def cut(vector: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Cut a vector into arrays of the given shapes, views where the library has them.

    JAX copies, and takes 70 µs an array for it, or, compiled, 10 for all of them.
    """
    if array_api_compat.is_jax_array(vector):
        return _jitted_cut(shapes)(vector)
    return _cut(vector, shapes)


def _cut(vector: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    xp, pieces, start = array_namespace(vector), [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        pieces.append(xp.reshape(vector[start:stop], shape))
        start = stop
    return pieces


@functools.lru_cache(maxsize=64)
def _jitted_cut(shapes: tuple[tuple[int, ...], ...]) -> Callable[..., list[Array]]:
    import jax

    jitted: Callable[..., list[Array]] = jax.jit(lambda vector: _cut(vector, shapes))
    return jitted


def fold(
    step: Callable[[Any, Any], Any], carry: Any, by_step: tuple[Array | None, ...]
) -> Any:
    """Take a step with each row of some arrays, and hand the result to the next.

    JAX's compiler gets it as one loop, whose body is compiled once.

    Parameters
    ----------
    step : callable
        ``step(carry, rows) -> carry``.
    carry : tuple
        What the first step is given.
    by_step : tuple of array or None
        Of as many rows each; None is None in each step, and the first is an array.

    Returns
    -------
    tuple
        What the last step returns.
    """
    first: Array = by_step[0]
    if is_jax_traced(first):
        import jax

        return jax.lax.scan(lambda x, y: (step(x, y), None), carry, by_step)[0]
    for i in range(first.shape[0]):
        carry = step(carry, tuple(None if x is None else x[i, ...] for x in by_step))
    return carry


def is_jax_traced(x: Array) -> bool:
    """Whether JAX's compiler is tracing a function with `x`."""
    return array_api_compat.is_jax_array(x) and isinstance(
        x, sys.modules["jax"].core.Tracer
    )


def empty_like(x: Array, shape: tuple[int, ...]) -> Array:
    """Return an uninitialised array of `shape`, with dtype and device of `x`."""
    return array_namespace(x).empty(shape, dtype=x.dtype, device=device(x))


# ------------------------------------------------------------------- between libraries


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Copy an array of any library and device to the host.  # sync point.

    Parameters
    ----------
    x : array
        An array of NumPy, CuPy, torch, JAX or array-api-strict, or what
        ``numpy.asarray`` takes.

    Returns
    -------
    numpy.ndarray
        Of the same shape and dtype; it may share memory with `x`.
    """
    if array_api_compat.is_cupy_array(x):
        return cast("np.ndarray[Any, Any]", x.get())
    if array_api_compat.is_torch_array(x):
        return cast("np.ndarray[Any, Any]", x.detach().cpu().resolve_conj().numpy())
    if is_array_api_obj(x) and array_api_compat.is_array_api_strict_namespace(
        array_namespace(x)
    ):
        xp = array_namespace(x)
        return np.asarray(array_api_compat.to_device(x, xp.Device("CPU_DEVICE")))
    return np.asarray(x)


def is_on_host(x: Array) -> bool:
    """Whether `x` is plain data of torch's in the host's memory."""
    return bool(
        array_api_compat.is_torch_array(x)
        and x.device.type == "cpu"
        and not x.requires_grad
        and not sys.modules["torch"].compiler.is_compiling()
    )


def host_view(x: Array) -> Array:
    """Return the memory of what :func:`is_on_host` as a NumPy array; numbers as is."""
    return x.numpy() if array_api_compat.is_torch_array(x) else x


def without_graph(x: Array) -> Array:
    """Return `x` as plain data: torch would record every step on it for autograd."""
    return x.detach() if array_api_compat.is_torch_array(x) else x


def from_numpy(
    x: np.ndarray[Any, Any],
    xp: Namespace,
    device: Device,
    dtype: DType | None = None,
    *,
    copy: bool | None = None,
) -> Array:
    """Move a host array to a namespace and device.

    Parameters
    ----------
    x : numpy.ndarray
        Any layout and byte order.
    xp : module
        The namespace.
    device : device of `xp`, or None
        None is the namespace's default device.
    dtype : dtype of `xp`, optional
        By default that of `x`.
    copy : bool, optional
        True never shares memory with `x`; by default it may.

    Returns
    -------
    array
        In `xp`, on `device`.
    """
    # torch aborts on negative strides, and makes read-only memory writable; JAX, CuPy
    # and torch know the native byte order only.
    if array_api_compat.is_numpy_namespace(xp):
        return xp.asarray(x, dtype=dtype, copy=copy)
    name = x.dtype.name if dtype is None else dtype_name(dtype)
    if name in ("float64", "int64") and not supports_dtype(xp, device, name):
        name = name.replace("64", "32")  # JAX without x64, and devices like it
    x = np.asarray(x, dtype=name, order="C")  # cast on the host, to native byte order
    if array_api_compat.is_torch_namespace(xp) and not x.flags.writeable:
        x = x.copy()
    if array_api_compat.is_cupy_namespace(xp) and device is not None:
        with device:  # cupy's asarray knows no device= (data-apis/array-api-compat#293)
            return xp.asarray(x, copy=copy)
    return xp.asarray(x, device=device, copy=copy)


def staged(
    x: np.ndarray[Any, Any], xp: Namespace, device: Device, dtype: DType | None = None
) -> Array:
    """Copy a host array to a namespace and device, while steps may run there.

    CuPy copies from pinned memory on a stream of its own, for which steps don't wait;
    the calling thread does.

    Parameters
    ----------
    x, xp, device, dtype
        As for :func:`from_numpy`.

    Returns
    -------
    array
        In `xp`, on `device`.
    """
    if not array_api_compat.is_cupy_namespace(xp):
        return from_numpy(x, xp, device, dtype, copy=True)
    import cupy
    import cupyx

    with device:
        pinned = cupyx.empty_pinned(x.shape, x.dtype.name if dtype is None else dtype)
        pinned[...] = x
        moved = cupy.empty(pinned.shape, pinned.dtype)
        # Steps that are queued may still read what lay in this memory before.
        freed = cupy.cuda.get_current_stream().record()
        stream = cupy.cuda.Stream(non_blocking=True)
        stream.wait_event(freed)
        moved.set(pinned, stream=stream)
        stream.synchronize()
    return moved


def same_place(x: Array, ref: Array) -> bool:
    """Whether `x` belongs to the namespace and the device of `ref`."""
    if type(x) is np.ndarray and type(ref) is np.ndarray:
        return True
    return array_namespace(x) is array_namespace(ref) and device(x) == device(ref)


def asarray_like(x: Array, ref: Array, dtype: DType | None = None) -> Array:
    """Move `x` to the namespace and device of `ref`.

    Parameters
    ----------
    x : array
        Of any library and device, or a SciPy sparse matrix.
    ref : array
        Where `x` is to go.
    dtype : dtype of the namespace of `ref`, optional
        By default that of `x`.

    Returns
    -------
    array
        `x` itself where nothing has to be moved or cast.
    """
    xp = array_namespace(ref)
    if is_sparse(x):  # it stays sparse on NumPy
        if is_numpy_namespace(xp):
            return x if dtype is None else x.astype(dtype, copy=False)
        x = x.toarray()
    if is_array_api_obj(x) and same_place(x, ref):
        return x if dtype is None else xp.astype(x, dtype, copy=False)
    return from_numpy(to_numpy(x), xp, device(ref), dtype)


# ------------------------------------------------------------------------------ dtypes


def dtype_name(dtype: DType) -> str:
    """Return the standard's name of a dtype: ``"float32"`` for ``torch.float32``."""
    try:
        return np.dtype(dtype).name
    except TypeError:
        return str(dtype).rpartition(".")[2]


def supports_dtype(xp: Namespace, device: Device, name: str) -> bool:
    """Whether the namespace has the dtype `name` on the device."""
    return name in xp.__array_namespace_info__().dtypes(device=device)


def default_float(xp: Namespace, device: Device, name: str | None) -> DType:
    """Return the dtype to compute in.

    Parameters
    ----------
    xp : module
        The namespace.
    device : device of `xp`, or None
        The device.
    name : {"float32", "float64"} or None
        None is float64 where the device has it, else float32.

    Returns
    -------
    dtype of `xp`
        The dtype.

    Raises
    ------
    DataError
        The device has no such dtype.
    """
    if name is None:
        name = "float64" if supports_dtype(xp, device, "float64") else "float32"
    elif not supports_dtype(xp, device, name):
        msg = (
            f"dtype={name!r} was asked for, but {xp.__name__} has no {name} here; "
            "use dtype='float32'"
        )
        if array_api_compat.is_jax_namespace(xp):
            msg += ", or enable it: jax.config.update('jax_enable_x64', True)"
        raise DataError(msg + ".")
    return getattr(xp, name)
