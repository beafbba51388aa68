"""NumPy's training steps as a list of calls, which :mod:`xpnet._tape` writes down."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet._namespace import is_sparse
from xpnet._pointwise import loops_settled
from xpnet._tape import NotRecordableError, Tape
from xpnet.backends._replays import Inputs, Result, StepArgs, restore, warn_of

__all__ = ["RecordedStep"]

_BEFORE = 10  # steps of a kind that run before: recording takes as long as ten save

_NOT_NUMPYS = (TypeError, AttributeError, ValueError, IndexError)
"""What code raises that expects arrays of NumPy and is given recorded ones."""


class RecordedStep:
    """A training step, and its recordings by the number of rows.

    Parameters
    ----------
    step : callable
        ``step(params, state, total, data, rows, numbers, plan)``, as an epoch takes it;
        it returns parameters, state and total afterwards.
    """

    def __init__(self, step: Callable[..., Result]) -> None:
        self.step = step
        self.recordings: dict[int | None, _Recording] = {}
        self.recordable = True

    def __call__(self, *arguments: Any) -> Result:
        """Take a step, in place."""
        args = StepArgs(*arguments)
        as_it_is = isinstance(args.rows, slice) or is_sparse(args.data.X)
        if as_it_is or not self.recordable:  # rows that are views, or no arrays
            return self.step(*args)
        key = *map(id, args.fixed), loops_settled()
        recording = self.recordings.get(args.n_rows)
        if recording is None or recording.key != key:
            recording = _Recording(self.step, args.fixed, key)
            self.recordings[args.n_rows] = recording
        try:
            return recording.phase(recording, args)
        except NotRecordableError as error:
            self.recordable = False
            self.recordings.clear()
            result = self.step(*args)  # a mistake of the step's own raises here
            warn_of(error)
            return result


class _Recording:
    """A step on certain arrays, which it keeps, hence their ids are no others'.

    The first ones run as they are, then one is recorded. The next is taken both ways,
    and has to give the same bits: a function may do what leaves no trace on its arrays,
    such as drawing random numbers.
    """

    def __init__(
        self, step: Callable[..., Result], fixed: tuple[Any, ...], key: tuple[int, ...]
    ) -> None:
        self.step, self.fixed, self.key = step, fixed, key
        self.n_before, self.tape = 0, Tape()
        self.inputs: Inputs
        self.phase = _Recording._wait

    def _wait(self, args: StepArgs) -> Result:
        self.n_before += 1
        if self.n_before == _BEFORE:
            self.phase = _Recording._record
        return self.step(*args)

    def _record(self, args: StepArgs) -> Result:
        self.inputs = Inputs(args._replace(total=np.asarray(args.total)))
        own = self.inputs.args
        written = [own.params, *own.state, own.total]
        before = [x.copy() for x in written]
        try:
            params, state, total = self.step(*self.tape.recorded(own))
            for x, result in zip(written, (params, *state, total), strict=True):
                self.tape.keep(result, x)
        except BaseException as error:
            restore(written, before)
            if isinstance(error, _NOT_NUMPYS):
                raise NotRecordableError(*error.args) from error
            raise
        self.phase = _Recording._check
        return own.params, own.state, own.total.copy()

    def _check(self, args: StepArgs) -> Result:
        written = [args.params, *args.state]
        before = [x.copy() for x in written]
        try:
            _, _, total = self._play(args)
            played = [x.copy() for x in (*written, total)]
        finally:
            restore(written, before)
        params, state, total = self.step(*args)
        if [*map(_bits, played)] == [*map(_bits, (params, *state, total))]:
            self.phase = _Recording._play
            return params, state, total
        restore(written, before)
        msg = "a function that is called again gives other numbers"
        raise NotRecordableError(msg)

    def _play(self, args: StepArgs) -> Result:
        self.inputs.fill(args)
        self.tape.play()
        return args.params, args.state, self.inputs.args.total.copy()


def _bits(x: Any) -> bytes:
    return np.asarray(x).tobytes()
