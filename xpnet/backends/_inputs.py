"""What changes from step to step, in memory that stays, for steps that know addresses."""

from typing import Any

from xpnet._typing import Array

__all__ = ["Inputs"]


class Inputs:
    """Copies of the sum of the losses, the rows, and the numbers of a step.

    Parameters
    ----------
    total : array, shape ()
        The sum of the losses so far.
    rows : array, shape (n_rows,), or None
        Which rows the step takes.
    numbers : Numbers
        The optimiser's coefficients, and what is random.
    """

    def __init__(self, total: Array, rows: Array | None, numbers: Any) -> None:
        self.total = total.copy()
        self.rows = None if rows is None else rows.copy()
        copies = (None if x is None else x.copy() for x in numbers)
        self.numbers = type(numbers)(*copies)

    def fill(self, total: Array, rows: Array | None, numbers: Any) -> None:
        """Copy others of the same shapes there."""
        own = self.total, self.rows, *self.numbers
        for x, value in zip(own, (total, rows, *numbers), strict=True):
            if value is not x:  # None is itself
                x[...] = value
