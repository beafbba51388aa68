"""The one door to array-api-compat, and every difference between array libraries.

``array_namespace`` says which library an array belongs to; the operations below are
the standard's, with an ``out=`` hint: a library that can write into a given array
spares the allocation, and callers use what is *returned*. Buffers are only ever made
where :func:`is_writable` says so, hence ``out is not None`` means that it can.
"""

from array_api_compat import (
    device,
    is_array_api_obj,
    is_cupy_namespace,
    is_jax_namespace,
    is_numpy_array,
    is_numpy_namespace,
    is_torch_namespace,
)

from xpnet._namespace._dtypes import default_float, dtype_name, supports_dtype
from xpnet._namespace._elementwise import (
    add,
    divide,
    exp,
    maximum,
    minimum,
    multiply,
    one_where,
    sign,
    sqrt,
    subtract,
    tanh,
    where,
    where_or_zero,
)
from xpnet._namespace._libraries import (
    array_namespace,
    is_jax_traced,
    is_sparse,
    is_traced,
    is_writable,
    numpy_namespace,
)
from xpnet._namespace._moving import (
    asarray_like,
    empty_like,
    from_numpy,
    host_view,
    is_on_host,
    on_host,
    same_place,
    staged,
    to_numpy,
    without_graph,
)
from xpnet._namespace._pieces import cut, fold, rows
from xpnet._namespace._products import matmul, matrix_product, threads_for, transposed
from xpnet._namespace._reductions import (
    max_abs,
    max_in_row,
    row_argmax,
    row_sum,
    sum_all,
    sum_in_row,
)

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
