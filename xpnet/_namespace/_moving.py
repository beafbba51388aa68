"""Arrays from one library and device to another."""

import sys
from typing import Any, cast

import array_api_compat
import numpy as np
from array_api_compat import device, is_array_api_obj, is_numpy_namespace

from xpnet._namespace._dtypes import dtype_name, supports_dtype
from xpnet._namespace._libraries import array_namespace, is_sparse
from xpnet._typing import Array, Device, DType, Namespace

__all__ = [
    "asarray_like",
    "empty_like",
    "from_numpy",
    "host_view",
    "is_on_host",
    "on_host",
    "same_place",
    "staged",
    "to_numpy",
    "without_graph",
]


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
    if type(x) is np.ndarray and type(ref) is np.ndarray:
        return x if dtype is None else x.astype(dtype, copy=False)
    xp = array_namespace(ref)
    if is_sparse(x):  # it stays sparse on NumPy
        if is_numpy_namespace(xp):
            return x if dtype is None else x.astype(dtype, copy=False)
        x = x.toarray()
    if is_array_api_obj(x) and same_place(x, ref):
        return x if dtype is None else xp.astype(x, dtype, copy=False)
    return from_numpy(to_numpy(x), xp, device(ref), dtype)


def empty_like(x: Array, shape: tuple[int, ...]) -> Array:
    """Return an uninitialised array of `shape`, with dtype and device of `x`."""
    return array_namespace(x).empty(shape, dtype=x.dtype, device=device(x))


def on_host(*numbers: Array) -> list[float]:
    """Read arrays of shape () and one dtype, all at once.  # sync point."""
    read: list[float] = to_numpy(array_namespace(*numbers).stack(numbers)).tolist()
    return read
