"""Matrix products that a CUDA graph can hold, which CuPy's own can't.

cuBLAS is called through nvmath-python's bindings, on a handle, a stream and a workspace
of its own.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from xpnet._namespace import matrix_product
from xpnet._typing import Array

__all__ = ["Gemm", "Products", "gemm", "multiplying"]

_WORKSPACE = 32 << 20  # bytes: what cuBLAS wants on a Hopper
_DEFAULT_ALGORITHM = -1

# cudaDataType, cublasComputeType_t and the scalars' type: float32 is never TF32.
_TYPES: dict[str, tuple[int, int, Callable[[float], Any]]] = {
    "float32": (0, 68, ctypes.c_float),
    "float64": (1, 70, ctypes.c_double),
}


class Gemm(NamedTuple):
    """A product as cuBLAS takes it, which reads matrices by columns.

    ``out.T = op(first) @ op(second)``: read by columns, a matrix that lies by rows is
    its transpose. So the factors change places, and none is copied.
    """

    first: Array
    second: Array
    transposes: tuple[bool, bool]
    """Whether op transposes what is read."""
    shape: tuple[int, int, int]
    """m, n and k: rows and columns of ``out.T``, and the length of a sum."""
    strides: tuple[int, int, int]
    """Elements from one column to the next."""


def gemm(a: Array, b: Array, out: Array) -> Gemm:
    """Return ``out = a @ b`` as cuBLAS takes it.

    Parameters
    ----------
    a, b : array, shape (m, k) and (k, n)
        That lie by rows or by columns; others are copied.
    out : array, shape (m, n)
        That lies by rows.

    Returns
    -------
    Gemm
        Of ``out.T = b.T @ a.T``.
    """
    (b, b_by_columns, b_stride), (a, a_by_columns, a_stride) = map(_readable, (b, a))
    (m, k), n = a.shape, b.shape[1]
    _, by_columns, out_stride = _readable(out)
    if by_columns:
        msg = "the product has to lie by rows"
        raise ValueError(msg)
    return Gemm(
        b,
        a,
        (b_by_columns, a_by_columns),
        (n, m, k),
        (b_stride, a_stride, out_stride),
    )


def _readable(x: Array) -> tuple[Array, bool, int]:
    """Return `x` or a copy, whether it lies by columns, and from line to line."""
    n_rows, n_columns = x.shape
    down, right = (stride // x.itemsize for stride in x.strides)
    # Where there is one line, its distance to the next means nothing.
    if (right == 1 or n_columns == 1) and (down >= n_columns or n_rows == 1):
        return x, False, down if n_rows > 1 else n_columns
    if (down == 1 or n_rows == 1) and (right >= n_rows or n_columns == 1):
        return x, True, right if n_columns > 1 else n_rows
    return x.copy(order="C"), False, n_columns


class Products:
    """cuBLAS on a stream, whose products can be captured."""

    def __init__(self, cupy: Any, cublas: Any, stream: Any) -> None:
        self.cupy, self.cublas = cupy, cublas
        self.workspace = cupy.empty(_WORKSPACE, dtype="uint8")
        self.handle = cublas.create()
        cublas.set_stream(self.handle, stream.ptr)  # takes the workspace away
        cublas.set_workspace(self.handle, _address(self.workspace), _WORKSPACE)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.cublas.destroy(self.handle)

    def __call__(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return ``a @ b``, written into `out` where it is given."""
        if out is None:
            out = self.cupy.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
        call = gemm(a, b, out)
        kind, computed, scalar = _TYPES[a.dtype.name]
        one, zero = scalar(1.0), scalar(0.0)
        self.cublas.gemm_ex(
            self.handle,
            *map(int, call.transposes),
            *call.shape,
            ctypes.addressof(one),
            _address(call.first),
            kind,
            call.strides[0],
            _address(call.second),
            kind,
            call.strides[1],
            ctypes.addressof(zero),
            _address(out),
            kind,
            call.strides[2],
            computed,
            _DEFAULT_ALGORITHM,
        )
        return out


def _address(x: Array) -> int:
    address: int = x.data.ptr
    return address


@contextmanager
def multiplying(products: Callable[..., Array]) -> Iterator[None]:
    """Let matrices of this thread be multiplied by `products`."""
    token = matrix_product.set(products)
    try:
        yield
    finally:
        matrix_product.reset(token)
