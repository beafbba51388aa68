"""What a step does with NumPy's arrays, written down: the calls of the C library alone.

Which functions a training step calls, on which memory, is the same from step to step. So
one step runs on arrays that write down what is done with them, and the others make the
same calls again, without the Python between: on a small network that takes as long as the
matrix products.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from xpnet._typing import Array

__all__ = ["NotRecordableError", "Recorded", "Tape"]


class NotRecordableError(TypeError):
    """A step does something with an array that can't be written down."""


class Recorded(NDArrayOperatorsMixin):
    """An array of NumPy's, and the tape on which its use is written down.

    Functions of NumPy take it, and give others like it, for views too. What would read
    numbers into Python raises, since the calls could not follow it.

    Parameters
    ----------
    array : ndarray
        The memory, the same each time the tape is played.
    tape : Tape
        The tape.

    Examples
    --------
    >>> import numpy as np
    >>> x, tape = np.ones(3), Tape()
    >>> y = Recorded(x, tape) * 2.0 + 1.0
    >>> x[:] = 5.0
    >>> tape.play()
    >>> y.array
    array([11., 11., 11.])
    """

    __slots__ = ("array", "tape")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Array, tape: "Tape") -> None:
        self.array, self.tape = array, tape

    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)
    dtype = property(lambda self: self.array.dtype)
    device = property(lambda self: self.array.device)
    T = property(lambda self: Recorded(self.array.T, self.tape))
    mT = property(lambda self: Recorded(self.array.mT, self.tape))

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return np

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Any) -> "Recorded":
        index = index if isinstance(index, tuple) else (index,)
        if not all(i is None or i is ... or type(i) in (int, slice) for i in index):
            msg = "an index other than numbers and slices; xp.take takes rows"
            raise NotRecordableError(msg)
        if Ellipsis not in index:
            index = (*index, Ellipsis)  # a number becomes an array, which stays a view
        return Recorded(self.array[index], self.tape)

    def _read(self, *_: Any, **__: Any) -> Any:
        msg = "numbers of an array are read"
        raise NotRecordableError(msg)

    __array__ = __bool__ = __float__ = __int__ = __index__ = __complex__ = _read

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        """Call the function, and write the call down."""
        if method not in ("__call__", "reduce") or ufunc.nout != 1:
            return NotImplemented
        function = ufunc if method == "__call__" else ufunc.reduce
        plain, options = self.tape.plain(inputs), self.tape.plain(options)
        if out is None:
            target = np.asarray(function(*plain, **options))
            result = Recorded(target, self.tape)
        else:
            (result,) = out
            target = self.tape.plain(result)
            if not isinstance(result, Recorded):
                shared = any(np.may_share_memory(x, target) for x in _arrays(plain))
                if "where" in options or shared:
                    msg = "an array is changed that the step has made"
                    raise NotRecordableError(msg)
                result = Recorded(target, self.tape)
            function(*plain, out=target, **options)
        if method == "reduce" or options or ufunc in (np.maximum, np.minimum):
            self.tape.write(partial(function, out=target, **options), *plain)
        else:  # by its place, which those two deprecate: a fifth sooner on 2,000 numbers
            self.tape.write(function, *plain, target)
        return result

    def __array_function__(
        self, function: Any, types: Any, args: Sequence[Any], options: dict[str, Any]
    ) -> Any:
        """Call a function that isn't elementwise, and write the call down."""
        plain, options = self.tape.plain(args), self.tape.plain(options)
        call = partial(function, *plain, **options)
        if "out" in options:
            call()
            self.tape.write(call)
            return Recorded(options["out"], self.tape)
        found = call()
        if function in _OF_SHAPES:
            return found
        if not isinstance(found, (np.ndarray, np.generic)):
            msg = f"numpy.{function.__name__} gives no array"
            raise NotRecordableError(msg)
        result = np.asarray(found)
        if any(np.may_share_memory(result, x) for x in _arrays(plain)):
            if function not in _VIEWS:
                msg = f"numpy.{function.__name__} may change an array"
                raise NotRecordableError(msg)
        elif function is np.take and len(plain) == 2 and options.keys() == {"axis"}:
            x, rows = plain  # in bounds, or a step before would have failed
            self.tape.write(x.take, rows, options["axis"], result, "wrap")
        elif function is np.copy:
            self.tape.write(np.copyto, result, plain[0])
        else:
            self.tape.write(_copy, result, call)
        return Recorded(result, self.tape)


_OF_SHAPES = {np.ndim, np.result_type, np.shape, np.size}
_VIEWS = {
    getattr(np, name, None)  # the first two are new
    for name in (
        *("astype", "matrix_transpose", "broadcast_to", "expand_dims", "moveaxis"),
        *("reshape", "squeeze", "swapaxes", "transpose"),
    )
}


def _arrays(x: Any) -> list[Array]:
    """Return the arrays in tuples and lists."""
    if isinstance(x, (tuple, list)):
        return [array for each in x for array in _arrays(each)]
    return [x] if isinstance(x, np.ndarray) else []


def _copy(result: Array, call: Callable[[], Any]) -> None:
    result[...] = call()


class Tape:
    """Calls, in their order, to be made again."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def write(self, function: Callable[..., Any], *args: Any) -> None:
        """Write down a call."""
        self.calls.append((function, args))

    def recorded(self, x: Any) -> Any:
        """Return arrays whose use is written down, in tuples and lists too."""
        if isinstance(x, (tuple, list)):
            each = map(self.recorded, x)
            return type(x)(*each) if hasattr(x, "_fields") else type(x)(each)
        return Recorded(x, self) if isinstance(x, np.ndarray) else x

    def plain(self, x: Any) -> Any:
        """Return arrays themselves, in tuples, lists and dictionaries too."""
        if isinstance(x, Recorded):
            return x.array
        if isinstance(x, (tuple, list)):
            return type(x)(map(self.plain, x))
        if isinstance(x, dict):
            return {name: self.plain(value) for name, value in x.items()}
        return x

    def keep(self, result: Recorded, target: Array) -> None:
        """Copy a result to where it is wanted, unless it lies there."""
        if not isinstance(result, Recorded) or result.dtype != target.dtype:
            msg = f"a step turns {target.dtype} into another dtype, or into no array"
            raise NotRecordableError(msg)
        if result.array is not target:
            np.copyto(target, result.array)
            self.write(np.copyto, target, result.array)

    def play(self) -> None:
        """Make the calls."""
        for function, args in self.calls:
            function(*args)
