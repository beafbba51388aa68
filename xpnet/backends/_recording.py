"""NumPy's training steps as a list of calls, which :mod:`xpnet._tape` writes down.

Like a graph of CuPy's, a tape knows memory, and no arrays; what changes from step to step
it reads from arrays of its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnet._namespace import is_sparse
from xpnet._pointwise import loops_settled
from xpnet._tape import NotRecordableError, Tape
from xpnet._typing import Array
from xpnet.backends._inputs import Inputs

__all__ = ["RecordedStep"]

_BEFORE = 3  # steps of a kind that run before one is recorded: few are not worth it

Result = tuple[Array, tuple[Array, ...], Array]


class _Args(NamedTuple):
    """What a step is given."""

    params: Array
    state: tuple[Array, ...]
    total: Array
    data: Any
    rows: Any
    numbers: tuple[Array | None, ...]
    plan: Any


class RecordedStep:
    """A training step, and what it calls by the number of rows.

    The first time a tape is played, it has to give what the step itself gives, bit by
    bit: a function may do what leaves no trace on its arrays, such as drawing random
    numbers.

    Parameters
    ----------
    step : callable
        ``step(params, state, total, data, rows, numbers, plan)``, as an epoch takes it;
        it returns parameters, state and total afterwards.
    """

    def __init__(self, step: Callable[..., Result]) -> None:
        self.step = step
        self.recordings: dict[int | None, _Recording] = {}

    def __call__(self, *arguments: Any) -> Result:
        """Take a step, in place."""
        args = _Args(*arguments)
        if isinstance(args.rows, slice) or is_sparse(args.data.X):
            return self.step(*args)  # rows that are views, or no arrays
        n_rows = None if args.rows is None else args.rows.shape[0]
        kept = args.params, *args.state, args.data, args.plan
        key = *map(id, kept), loops_settled()
        recording = self.recordings.get(n_rows)
        if recording is None or recording.key != key:
            recording = self.recordings[n_rows] = _Recording(self.step, kept, key)
        return recording.take(args)


class _Recording:
    """A step on certain arrays, which it keeps, hence their ids are no others'."""

    def __init__(
        self,
        step: Callable[..., Result],
        kept: tuple[Any, ...],
        key: tuple[int | bool, ...],
    ) -> None:
        self.step, self.kept, self.key = step, kept, key
        self.n_before, self.checked = 0, False
        self.inputs: Inputs
        self.tape: Tape | None = None

    def take(self, args: _Args) -> Result:
        """Take a step: the first ones as they are, then one to record, one to check."""
        if self.tape is not None:
            return (self._play if self.checked else self._check)(args, self.tape)
        self.n_before += 1
        return self.step(*args) if self.n_before <= _BEFORE else self._record(args)

    def _play(self, args: _Args, tape: Tape) -> Result:
        self.inputs.fill(args.total, args.rows, args.numbers)
        tape.play()
        return args.params, args.state, self.inputs.total

    def _record(self, args: _Args) -> Result:
        tape = Tape()
        own = self.inputs = Inputs(np.asarray(args.total), args.rows, args.numbers)
        args = args._replace(total=own.total, rows=own.rows, numbers=own.numbers)
        written = [args.params, *args.state, own.total]
        before = [x.copy() for x in written]
        try:
            params, state, total = self.step(*tape.recorded(args))
            for x, result in zip(written, (params, *state, total), strict=True):
                if result.array is not x:
                    np.copyto(x, result.array)
                    tape.write(np.copyto, x, result.array)
        except BaseException:
            _restore(written, before)
            raise
        self.tape = tape
        return args.params, args.state, own.total

    def _check(self, args: _Args, tape: Tape) -> Result:
        args = args._replace(total=np.copy(args.total))  # the tape writes into its own
        written = [args.params, *args.state]
        before = [x.copy() for x in written]
        played = _bits(self._play(args, tape))
        _restore(written, before)
        result = self.step(*args)
        if _bits(result) != played:
            _restore(written, before)
            msg = "called again, its functions give other numbers"
            raise NotRecordableError(msg)
        self.checked = True
        return result


def _restore(arrays: list[Array], before: list[Array]) -> None:
    for x, old in zip(arrays, before, strict=True):
        np.copyto(x, old)


def _bits(result: Result) -> list[bytes]:
    params, state, total = result
    return [np.asarray(x).tobytes() for x in (params, *state, total)]
