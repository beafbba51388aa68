"""The first compile seam: elementwise functions, written once and fused where possible.

An elementwise function of array code makes a pass over memory for each operation.
:func:`pointwise` lets a compiler make one pass of them all: numba's for NumPy arrays and
torch's on the CPU, ``cupy.fuse`` for CuPy's; JAX leaves it to the step's compiler.
What is compiled is the function's own body, so the numbers stay the same; on NumPy they
do bit by bit.
"""

import dis
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnet._namespace import (
    array_namespace,
    host_view,
    is_cupy_namespace,
    is_on_host,
    is_traced,
)
from xpnet._tape import Recorded, Tape
from xpnet._typing import Array

__all__ = ["elementwise_calls", "is_pointwise", "loops_settled", "pointwise"]

# One by one they cost a call of the C library each; NumPy has vector instructions.
_SLOW_ALONE = {"exp", "expm1", "log", "log1p", "tanh", "logistic", "softplus"}
_DTYPES = np.dtype("float32"), np.dtype("float64")
_BREAK_EVEN = 3e8  # elements that NumPy works through while numba is loaded: a second


class _Loader:
    """Loads numba when that pays."""

    def __init__(self) -> None:
        self.n_elements = 0
        self.compile: Callable[..., Any] | None = None
        self.absent = False

    def loop(
        self,
        function: Callable[..., Any],
        target: Array,
        updates: int,
        columns: int,
        *,
        wait: bool,
    ) -> Callable[..., bool] | None:
        """Return `function` as a loop over its elements, or None where it doesn't pay.

        numba takes about a second to load and compile, longer than many a training. So
        NumPy's code runs until this process has given it that much to do; both give the
        same bits, hence the moment has no influence on results. torch's square root
        rounds otherwise: there loops don't `wait`.
        """
        if target.dtype not in _DTYPES or self.absent:
            return None
        self.n_elements += target.size
        if wait and self.n_elements < _BREAK_EVEN:
            return None
        if self.compile is None:
            try:
                from xpnet._pointwise._loops import compile_loop
            except Exception:  # noqa: BLE001 - not installed, or broken
                self.absent = True
                return None
            self.compile = compile_loop
        return self.compile(function, target.dtype, updates=updates, columns=columns)


_loader = _Loader()


def loops_settled() -> bool:
    """Whether loops run where there are any, or numba is known to be absent."""
    waits = _loader.compile is None or _loader.n_elements < _BREAK_EVEN
    return _loader.absent or not waits


def is_pointwise(function: Any) -> bool:
    """Whether a function has been decorated by :func:`pointwise`."""
    return hasattr(function, "n_updates")


def pointwise(
    *, updates: int = 0, columns: int = 0
) -> Callable[[Callable[..., Any]], Any]:
    """Fuse an elementwise function where a compiler is at hand.

    Parameters
    ----------
    updates : int, default=0
        How many of the first arguments the function assigns to, by ``+=`` and the like,
        and returns. With 0 it returns one new array, or writes into its hint ``out``.
    columns : int, default=0
        How many of the last arguments are columns (m, 1), or numbers.

    Returns
    -------
    callable
        A decorator. The function is array code: operators, and the operations of
        :mod:`xpnet._namespace` as ``ops``, on arrays of one shape and dtype, 0-d
        arrays, Python floats, and rows (n,) that are broadcast against (m, n). It may
        call others of its kind.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import _namespace as ops
    >>> @pointwise()
    ... def half(x, *, out=None):
    ...     return ops.multiply(x, 0.5, out=out)
    >>> half(np.asarray([1.0, 2.0]))
    array([0.5, 1. ])
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        loops: dict[tuple[Any, int], Any] = {}
        has_loop = _SLOW_ALONE.isdisjoint(_names(function))

        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Array, out: Array | None = None, **named: Array) -> Any:
            if named:
                args = signature.bind(*args, **named).args
            first = args[0]
            target = first if updates else out
            if target is not None and has_loop:
                if type(first) is not Recorded:
                    done = looped(args, target) is not None
                else:
                    done = written_down(first.tape, args, target)
                    if done and type(target) is not Recorded:
                        target = Recorded(target, first.tape)
                if done:
                    return args[:updates] if updates > 1 else target
            if type(first) is not np.ndarray and _is_cupys(first):
                return _on_cupy(function, args, out, updates)
            return function(*args) if out is None else function(*args, out=out)

        def written_down(tape: Tape, args: tuple[Array, ...], target: Array) -> bool:
            """Run the loop, and write down that it ran."""
            plain, target = tape.plain(args), tape.plain(target)
            call_of_loop = looped(plain, target)
            if call_of_loop is not None:
                tape.write(*call_of_loop)
            elif loops_settled():
                return False  # array code writes itself down
            else:  # numba may come: until then this counts what there is to do
                hint = {} if updates else {"out": target}
                tape.write(functools.partial(call, **hint), *plain)
                call(*plain, **hint)
            return True

        def looped(args: Sequence[Array], target: Array) -> tuple[Any, ...] | None:
            """Run the loop, if there is one and it knows the arguments; return the call."""
            n_updates = updates or int(target is args[0])
            wait = type(target) is np.ndarray
            try:
                if not wait:
                    if not is_on_host(target):
                        return None
                    args = [host_view(x) for x in args]
                    target = host_view(target)
                key = target.dtype, n_updates
                loop = loops.get(key)
                if loop is None:
                    loop = _loader.loop(function, target, n_updates, columns, wait=wait)
                    if loop is None:
                        return None
                    loops[key] = loop
                arrays = args if n_updates else (target, *args)
                return (loop, *arrays) if loop(*arrays) else None
            except Exception:  # noqa: BLE001 - numba's and torch's, before a loop
                return None  # the function knows these arguments, or what is wrong

        call.n_updates = updates  # type: ignore[attr-defined]
        return call

    return decorate


def _is_cupys(x: Array) -> bool:
    return is_cupy_namespace(array_namespace(x)) and not is_traced(x)


def _names(function: Callable[..., Any]) -> set[str]:
    """Return the names that a function and the elementwise ones it calls use."""
    names = set(function.__code__.co_names)
    for called in elementwise_calls(function).values():
        names |= _names(called.__wrapped__)
    return names


def elementwise_calls(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the decorated functions that a function calls, by their names in it."""
    code = function.__code__
    known = {
        step.argval: function.__globals__.get(step.argval)
        for step in dis.get_instructions(code)
        if step.opname == "LOAD_GLOBAL"
    }
    cells = function.__closure__ or ()
    known |= {n: c.cell_contents for n, c in zip(code.co_freevars, cells, strict=True)}
    return {name: value for name, value in known.items() if is_pointwise(value)}


def _on_cupy(
    function: Callable[..., Any],
    args: tuple[Array, ...],
    out: Array | None,
    updates: int,
) -> Any:
    """Call a function as one kernel, or as array code where CuPy can't trace it."""
    hints = () if out is None else (out,)
    if function not in _not_fused:
        try:
            result = _fuse(function, updates > 0, out is not None)(*hints, *args)
        except Exception:  # noqa: BLE001 - whatever tracing and compiling raise
            named = {} if out is None else {"out": out}
            result = function(*args, **named)  # a mistake of the caller's raises here
            _not_fused.add(function)
            return result
        targets = args[:updates] or hints
        return result if not targets else targets[0] if len(targets) == 1 else targets
    return function(*args) if out is None else function(*args, out=out)


_not_fused: set[Callable[..., Any]] = set()


@functools.cache  # CuPy keeps a kernel for all dtypes and dimensions
def _fuse(
    function: Callable[..., Any], in_place: bool, hinted: bool
) -> Callable[..., Any]:
    """Let CuPy trace the function into one kernel, which writes each result once."""
    import cupy

    def update(*args: Array) -> None:
        function(*args)

    def write(out: Array, *args: Array) -> None:
        out[...] = function(*args)

    body = update if in_place else write if hinted else function
    fuse: Any = cupy.fuse(kernel_name=function.__name__)
    return fuse(body)  # type: ignore[no-any-return]
