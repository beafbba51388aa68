"""Tables as plain text."""

from collections.abc import Sequence

__all__ = ["align"]


def align(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Pad the cells of a table, column by column.

    Parameters
    ----------
    rows : sequence of sequence of str
        The cells, all rows of the same length.
    right : sequence of bool
        Whether a column is aligned at its right, as numbers are.

    Returns
    -------
    list of str
        A line a row, without blanks at its end.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
