"""Elementwise array code as one loop over its elements, compiled by numba.

The function's own body is compiled, for numbers instead of arrays: it finds operations
on numbers under the name ``ops``, and its constants in the dtype of the arrays (numba
would compute with a float32 and a Python float in float64).
"""

import functools
import types as python_types
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.extending import overload

from xpnet._pointwise import elementwise_calls
from xpnet._typing import DType

__all__ = ["compile_loop"]

if vars(config)["DISABLE_JIT"]:
    msg = "numba is told not to compile, and Python's own loops are slow"
    raise ImportError(msg)

# Of two zeros, and of a number and NaN, NumPy's vector instructions give these, too.
_ON_NUMBERS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y, out=None: x + y,
    "subtract": lambda x, y, out=None: x - y,
    "multiply": lambda x, y, out=None: x * y,
    "divide": lambda x, y, out=None: x / y,
    "maximum": lambda x, y, out=None: x if x > y or x != x else y,  # noqa: PLR0124
    "minimum": lambda x, y, out=None: x if x < y or x != x else y,  # noqa: PLR0124
    "sign": lambda x: type(x)((x > 0.0) - (x < 0.0)),
    "sqrt": lambda x, out=None: np.sqrt(x),
    "where": lambda condition, x, y: x if condition else y,
    "where_or_zero": lambda condition, x, out=None: x * condition,  # as on NumPy
}
_compile: Any = njit(error_model="numpy", nogil=True)


@functools.cache
def _ops(dtype: DType) -> python_types.ModuleType:
    """Return the operations on numbers of a dtype."""
    number, ops = dtype.type, python_types.ModuleType("ops_on_numbers")
    one_where = {"one_where": lambda condition, like: number(condition)}
    for name, operation in {**_ON_NUMBERS, **one_where}.items():
        setattr(ops, name, _compile(operation))
    return ops


def _on_numbers(function: Callable[..., Any], dtype: DType) -> Any:
    """Compile the body of an elementwise function for numbers of `dtype`."""

    def constant(value: Any) -> Any:
        return dtype.type(value) if isinstance(value, float) else value

    calls = {
        name: _on_numbers(called.__wrapped__, dtype)
        for name, called in elementwise_calls(function).items()
    }
    code = function.__code__
    n_hints = code.co_kwonlyargcount  # out=None, which numba takes by position only
    code = code.replace(
        co_argcount=code.co_argcount + n_hints,
        co_kwonlyargcount=0,
        co_consts=tuple(constant(value) for value in code.co_consts),
    )
    names = {name: constant(value) for name, value in function.__globals__.items()}
    for name in code.co_names:  # and of the functions that it calls
        if name not in calls and isinstance(names.get(name), python_types.FunctionType):
            names[name] = _on_numbers(names[name], dtype)
    names |= {"ops": _ops(dtype), **calls}
    closure = tuple(python_types.CellType(calls[name]) for name in code.co_freevars)
    twin = python_types.FunctionType(
        code, names, function.__name__, (None,) * n_hints or None, closure
    )
    return _compile(twin)


# --------------------------------------------------------------- arrays of any dimension

# Vectors are looped over as matrices of one row, rows are repeated, numbers stay. What
# doesn't fit has to compile all the same: the loop is there to say so.


def _shape(x: Any) -> Any: ...
def _item(x: Any, i: int, j: int, like: Any) -> Any: ...
def _in_column(x: Any, i: int, like: Any) -> Any: ...
def _store(x: Any, i: int, j: int, value: Any) -> Any: ...
def _fits(x: Any, target: Any) -> Any: ...
def _takes(x: Any, target: Any) -> Any: ...
def _column_fits(x: Any, target: Any) -> Any: ...


@overload(_shape, strict=False)
def _(x: Any) -> Any:
    if x.ndim == 2:
        return lambda x: x.shape
    return (lambda x: (1, x.shape[0])) if x.ndim == 1 else (lambda x: (0, 0))


@overload(_item, strict=False)
def _(x: Any, i: int, j: int, like: Any) -> Any:
    number = np.dtype(str(like.dtype)).type
    if isinstance(x, types.Integer):  # 32 bits in 64: the lower ones are the same
        return lambda x, i, j, like: x
    if not isinstance(x, types.Array):
        return lambda x, i, j, like: number(x)
    if x.ndim == 2:
        return lambda x, i, j, like: x[i, j]
    if x.ndim == 1:
        return lambda x, i, j, like: x[j]
    if x.ndim == 0:
        return lambda x, i, j, like: x[()]
    return lambda x, i, j, like: number(0)


@overload(_in_column, strict=False)
def _(x: Any, i: int, like: Any) -> Any:
    number = np.dtype(str(like.dtype)).type
    if not isinstance(x, types.Array):
        return lambda x, i, like: number(x)
    if x.ndim == 2:
        return lambda x, i, like: x[i, 0]
    if x.ndim == 0:
        return lambda x, i, like: x[()]
    return lambda x, i, like: number(0)


@overload(_store, strict=False)
def _(x: Any, i: int, j: int, value: Any) -> Any:
    def vector(x: Any, i: int, j: int, value: Any) -> None:
        x[j] = value

    def matrix(x: Any, i: int, j: int, value: Any) -> None:
        x[i, j] = value

    def nowhere(x: Any, i: int, j: int, value: Any) -> None:
        pass

    if not isinstance(x, types.Array) or not x.mutable:
        return nowhere
    return {1: vector, 2: matrix}.get(x.ndim, nowhere)


@_compile
def _extent(x: Any) -> Any:
    """Return the addresses between which an array lies."""
    begin = end = x.ctypes.data
    for n, stride in zip(x.shape, x.strides):  # noqa: B905 - numba has no strict
        if stride < 0:
            begin += (n - 1) * stride
        else:
            end += (n - 1) * stride
    return begin, end + x.itemsize


@_compile
def _apart(x: Any, target: Any) -> Any:
    """Whether two arrays share no memory."""
    x_begin, x_end = _extent(x)
    begin, end = _extent(target)
    return x_end <= begin or end <= x_begin


@_compile
def _unharmed(x: Any, target: Any) -> Any:
    """Whether each element is read before anything is written there."""
    same = x.ctypes.data == target.ctypes.data and x.strides == target.strides
    return same or _apart(x, target)


@overload(_fits, strict=False)
def _(x: Any, target: Any) -> Any:
    """Whether an argument can be read along with the target."""
    if not isinstance(x, types.Array):
        return lambda x, target: True
    if not _is_of(x, target) or x.ndim > target.ndim:
        return lambda x, target: False
    if x.ndim == target.ndim:
        return lambda x, target: x.shape == target.shape and _unharmed(x, target)
    return (
        (lambda x, target: x.shape[0] == target.shape[1] and _apart(x, target))
        if x.ndim
        else (lambda x, target: True)
    )


@overload(_column_fits, strict=False)
def _(x: Any, target: Any) -> Any:
    """Whether an argument is a column beside the target, or a number."""
    if not isinstance(x, types.Array):
        return lambda x, target: True
    if not _is_of(x, target) or target.ndim != 2 or x.ndim not in (0, 2):
        return lambda x, target: False
    if x.ndim == 0:
        return lambda x, target: True
    return lambda x, target: x.shape == (target.shape[0], 1) and _apart(x, target)


def _is_of(x: Any, target: Any) -> bool:
    """Whether `x` has the target's dtype, or whole numbers, which are only compared."""
    return x.dtype == target.dtype or isinstance(x.dtype, types.Integer)


@overload(_takes, strict=False)
def _(x: Any, target: Any) -> Any:
    """Whether a result can be written into `x`."""
    array = isinstance(x, types.Array) and x.mutable and x.dtype == target.dtype
    if not array or x.ndim != target.ndim or x.ndim not in (1, 2):
        return lambda x, target: False
    return lambda x, target: x.shape == target.shape


def compile_loop(
    function: Callable[..., Any], dtype: DType, *, updates: int, columns: int
) -> Callable[..., bool]:
    """Return the loop over the elements of an elementwise function.

    Parameters
    ----------
    function : callable
        Array code, as :func:`xpnet._pointwise.pointwise` takes it.
    dtype : numpy.dtype
        float32 or float64, that of its arrays.
    updates : int
        How many of the first arguments the results are written into; with 0 it is an
        array of its own, which comes first. (Where it came twice, the compiler would
        have to think that one element depends on another.)
    columns : int
        How many of the last arguments are columns (m, 1), or numbers.

    Returns
    -------
    callable
        ``loop(*arrays) -> done``: False, and nothing written, where shapes or dtypes
        don't fit together.
    """
    args = [f"x{k}" for k in range(function.__code__.co_argcount)]
    outs = args[:updates] or ["out"]
    results = [f"r{k}" for k in range(len(outs))]
    target, params = outs[0], ", ".join(args if updates else ["out", *args])
    first_column = len(args) - columns
    in_column = args[first_column:]
    fits = " and ".join(
        [f"takes({x}, {target})" for x in outs]
        + [f"fits({x}, {target})" for x in args[updates:first_column]]
        + [f"column_fits({x}, {target})" for x in in_column]
    )
    once = "; ".join(f"c{x} = in_column({x}, i, {target})" for x in in_column)
    items = ", ".join(
        [f"item({x}, i, j, {target})" for x in args[:first_column]]
        + [f"c{x}" for x in in_column]
    )
    stores = "; ".join(
        f"store({x}, i, j, {r})" for x, r in zip(outs, results, strict=True)
    )
    source = f"""
def loop({params}):
    if not ({fits}):
        return False
    n_rows, n_columns = shape({target})
    for i in range(n_rows):
        {once or "pass"}
        for j in range(n_columns):
            {", ".join(results)} = function({items})
            {stores}
    return True
"""
    names: dict[str, Any] = {
        "function": _on_numbers(function, dtype),
        "shape": _shape,
        "item": _item,
        "in_column": _in_column,
        "column_fits": _column_fits,
        "store": _store,
        "fits": _fits,
        "takes": _takes,
    }
    exec(compile(source, f"<loop of {function.__name__}>", "exec"), names)  # noqa: S102
    loop: Callable[..., bool] = _compile(names["loop"])
    return loop
