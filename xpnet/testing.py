"""Assertions for array code: close arrays, and gradients against finite differences.

They take the arrays of every library and device, and say where the worst value is.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from xpnet._namespace import (
    array_namespace,
    asarray_like,
    device,
    dtype_name,
    to_numpy,
)
from xpnet._typing import Array
from xpnet.exceptions import DataError

__all__ = ["assert_close", "check_gradients", "numerical_gradient"]

HostArray: TypeAlias = np.ndarray[Any, Any]


def assert_close(actual: Array, desired: Array, *, factor: float) -> None:
    r"""Assert that two arrays are alike: place, dtype, shape, and values to rounding.

    .. math:: |a_i - d_i| < c\, \epsilon\, \bigl(\max_k |d_k| + |d_i|\bigr)

    with :math:`\epsilon` the spacing of the dtype's numbers at 1. An array's rounding
    error grows with the magnitude of the array and the depth of the computation, not
    with each value alone: near zero no relative tolerance would hold.

    Parameters
    ----------
    actual : array
        What was computed, of any library and device.
    desired : array
        What it should be: of the same namespace, device, dtype and shape.
    factor : float
        c, by the depth of the computation: some tens for an elementwise operation, some
        hundreds for a matrix product, thousands for a few training steps. Zero asks for
        equality, as integers and bools are always compared.

    Raises
    ------
    AssertionError
        They differ; the message names what does, or the worst value.

    Examples
    --------
    >>> import numpy as np
    >>> third = np.asarray([1.0, 1.0 / 3.0])
    >>> assert_close(3.0 * third, np.asarray([3.0, 1.0]), factor=16)
    >>> assert_close(3.0 * third, np.asarray([3.0, 1.1]), factor=16)
    Traceback (most recent call last):
    ...
    AssertionError: 1 of 2 values are not close. The worst is at index (1,):
      actual   1.0
      desired  1.1
      error    0.1, allowed 1.5e-14
    """
    __tracebackhide__ = True
    _assert_alike(actual, desired)
    a, d = to_numpy(actual), to_numpy(desired)
    unit = factor * np.finfo(d.dtype).eps if d.dtype.kind == "f" else 0.0
    largest = np.max(np.abs(d), where=np.isfinite(d), initial=0.0)
    _assert_within(a, d, rtol=unit, atol=unit * float(largest))


def _assert_alike(actual: Array, desired: Array) -> None:
    """Assert everything but the values."""
    __tracebackhide__ = True
    for what, found, expected in [
        ("namespace", array_namespace(actual), array_namespace(desired)),
        ("device", device(actual), device(desired)),
        ("dtype", actual.dtype, desired.dtype),
        ("shape", tuple(actual.shape), tuple(desired.shape)),
    ]:
        if found != expected:
            msg = f"The {what} should be {expected}, but is {found}."
            raise AssertionError(msg)


def _assert_within(a: HostArray, d: HostArray, *, rtol: float, atol: float) -> None:
    """Assert ``|a - d| < atol + rtol |d|``, or that both are the same."""
    __tracebackhide__ = True
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(a.astype(np.float64) - d.astype(np.float64))
        allowed = atol + rtol * np.abs(d.astype(np.float64))
        same = (a == d) | (np.isnan(a) & np.isnan(d))
        wrong = ~(same | (error < allowed))  # a NaN is not less
        excess = np.where(wrong, error / allowed, 0.0)
    if not np.any(wrong):
        return
    worst = np.unravel_index(np.argmax(excess), error.shape)  # a NaN comes first
    msg = (
        f"{np.count_nonzero(wrong)} of {error.size} values are not close. "
        f"The worst is at index {tuple(map(int, worst))}:\n"
        f"  actual   {a[worst]}\n"
        f"  desired  {d[worst]}\n"
        f"  error    {error[worst]:.2g}, allowed {allowed[worst]:.2g}"
    )
    raise AssertionError(msg)


def numerical_gradient(
    function: Callable[[Array], Any], x: Array, *, step: float = 1e-6
) -> Array:
    r"""Estimate a gradient by central differences.

    .. math:: \frac{\partial f}{\partial x_i} \approx
        \frac{f(x + h e_i) - f(x - h e_i)}{2h}

    The error is about :math:`h^2` from the formula and :math:`\epsilon / h` from
    rounding, which is why only float64 will do.

    Parameters
    ----------
    function : callable
        ``function(x)`` is one number: a float or an array of one value.
    x : array, any shape, float64
        Where; it is left as it is.
    step : float, default=1e-6
        h.

    Returns
    -------
    array, shape and dtype of `x`
        In the namespace and on the device of `x`.

    Raises
    ------
    DataError
        `x` is not of float64.

    Examples
    --------
    >>> import numpy as np
    >>> numerical_gradient(lambda x: np.sum(x**2), np.asarray([1.0, 3.0])).round(6)
    array([2., 6.])
    """
    if dtype_name(x.dtype) != "float64":
        msg = f"Finite differences need float64, got {dtype_name(x.dtype)}."
        raise DataError(msg)
    host = to_numpy(x)
    gradient = np.empty(host.shape)
    for index in np.ndindex(host.shape):
        up, down = host.copy(), host.copy()
        up[index] += step
        down[index] -= step
        distance = up[index] - down[index]
        rise = float(function(asarray_like(up, x)))
        rise -= float(function(asarray_like(down, x)))
        gradient[index] = rise / distance
    return asarray_like(gradient, x)


def check_gradients(
    function: Callable[..., tuple[Any, Any]],
    *arrays: Array,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    r"""Assert that a function's gradients are those of its value.

    Each is compared with central differences, and must have the place, dtype and shape
    of its array:

    .. math:: |g_i - \hat g_i| < \mathrm{atol} + \mathrm{rtol}\, |\hat g_i|

    Parameters
    ----------
    function : callable
        ``function(*arrays)`` is ``(value, gradients)``: one number, and the gradient
        with respect to each array, a tuple where there are several.
    *arrays : array, any shape, float64
        Where; they are left as they are.
    rtol, atol : float, default=1e-6, 1e-8
        What central differences in float64 can tell of values of the order of 1.

    Raises
    ------
    AssertionError
        A gradient is wrong; the message says which array's and where.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.losses import softmax_cross_entropy
    >>> logits, targets = np.asarray([[0.3, -1.2]]), np.asarray([[0.0, 1.0]])
    >>> check_gradients(lambda Z: softmax_cross_entropy(Z, targets), logits)
    """
    __tracebackhide__ = True

    def call(*replaced: Array) -> tuple[Any, Any]:
        # It may write into what it is given.
        return function(*(array_namespace(x).asarray(x, copy=True) for x in replaced))

    _, gradients = call(*arrays)
    if not isinstance(gradients, (tuple, list)):
        gradients = (gradients,)
    for position, (x, gradient) in enumerate(zip(arrays, gradients, strict=True)):

        def value(moved: Array, position: int = position) -> Any:
            return call(*arrays[:position], moved, *arrays[position + 1 :])[0]

        numeric = numerical_gradient(value, x)
        try:
            _assert_alike(gradient, numeric)
            _assert_within(to_numpy(gradient), to_numpy(numeric), rtol=rtol, atol=atol)
        except AssertionError as error:
            msg = f"The gradient by argument {position} is wrong. {error}"
            raise AssertionError(msg) from None
