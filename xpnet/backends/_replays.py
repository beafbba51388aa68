"""What steps have in common that are taken down once, and replayed.

A replay knows memory, and no arrays: it reads what changes from step to step from arrays
of its own.
"""

import warnings
from typing import Any, NamedTuple

from xpnet._typing import Array

__all__ = ["Inputs", "Result", "StepArgs", "restore", "warn_of"]

Result = tuple[Array, tuple[Array, ...], Array]
"""Parameters, state and total after a step."""


class StepArgs(NamedTuple):
    """What an epoch gives a step, one or more."""

    params: Array
    state: tuple[Array, ...]
    total: Array
    data: Any
    rows: Any
    numbers: Any
    plan: Any

    @property
    def n_rows(self) -> int | None:
        """How many rows are taken; None is all."""
        return None if self.rows is None else self.rows.shape[0]

    @property
    def fixed(self) -> tuple[Any, ...]:
        """What has to be the same object in each replay."""
        return (self.params, *self.state, self.data, self.plan)


class Inputs:
    """Arrays of its own for what changes from step to step: total, rows and numbers.

    Parameters
    ----------
    args : StepArgs
        Of one step, whose numbers are copied.
    """

    def __init__(self, args: StepArgs) -> None:
        total, rows, *numbers = (
            None if x is None else x.copy() for x in _changing(args)
        )
        own = type(args.numbers)(*numbers)
        self.args = args._replace(total=total, rows=rows, numbers=own)
        """What a step is given that is to be replayed."""

    def fill(self, args: StepArgs) -> None:
        """Copy the numbers of another step there, of the same shapes."""
        for x, value in zip(_changing(self.args), _changing(args), strict=True):
            if value is not x:  # None is itself
                x[...] = value


def _changing(args: StepArgs) -> tuple[Any, ...]:
    return (args.total, args.rows, *args.numbers)


def restore(arrays: list[Array], before: list[Array]) -> None:
    """Write back what arrays held before."""
    for x, old in zip(arrays, before, strict=True):
        x[...] = old


def warn_of(error: Exception) -> None:
    """Say that a step runs eagerly, and why."""
    msg = (
        "The training step can't be compiled and runs eagerly, which is slower: "
        f"{type(error).__name__}: {error}"
    )
    warnings.warn(msg, RuntimeWarning, stacklevel=3)
