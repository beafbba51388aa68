"""The data of a training run, cut into batches on its device."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from xpnet import _namespace as ops
from xpnet._namespace import asarray_like, is_sparse
from xpnet._typing import Array

__all__ = ["Data", "HostIndices", "batches", "part"]

HostIndices: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


class Data(NamedTuple):
    """Samples, their targets and their weights, row by row."""

    X: Array
    """(n_samples, n_features); or a SciPy sparse matrix."""
    targets: Array
    """(n_samples, ...), what the loss takes."""
    weights: Array | None = None
    """(n_samples,), or None where all weigh alike."""

    def take(self, rows: Array | slice | None) -> "Data":
        """Return some rows.

        Parameters
        ----------
        rows : array, shape (n_rows,), int32, or slice, or None
            Their numbers, which :meth:`on_device` has brought; a slice, or None for
            all, copies nothing.

        Returns
        -------
        Data
            The rows, in this order.
        """
        if rows is None:
            return self
        X, targets, weights = self
        if isinstance(rows, slice):
            return Data(
                X[rows, :],
                targets[rows, ...],
                None if weights is None else weights[rows],
            )
        return Data(
            ops.rows(X, rows),
            ops.rows(targets, rows),
            None if weights is None else ops.rows(weights, rows),
        )

    def on_device(self, rows: HostIndices) -> Array:
        """Bring row numbers to where ``take`` needs them; SciPy does on the host."""
        return rows if is_sparse(self.X) else asarray_like(rows, self.X)


def batches(
    n_samples: int, batch_size: int, rows: Array | None
) -> Iterator[Array | slice | None]:
    """Cut rows into batches.

    Parameters
    ----------
    n_samples : int
        How many there are.
    batch_size : int
        Rows of a batch; the last may have fewer.
    rows : array, shape (n_samples,), int32, or None
        Which rows to take, in which order; None takes all as they are.

    Yields
    ------
    array, slice or None
        What :meth:`xpnet.training.Data.take` takes.
    """
    if rows is None and batch_size >= n_samples:
        yield None
        return
    for start in range(0, n_samples, batch_size):
        batch = slice(start, min(start + batch_size, n_samples))
        yield batch if rows is None else rows[batch]


def part(rows: Array | slice | None, start: int, stop: int) -> Array | slice:
    """Return some of the rows that :func:`xpnet.training.batches` has given.

    Parameters
    ----------
    rows : array, shape (n_rows,), int32, or slice, or None
        The rows; None is all.
    start, stop : int
        Which of them.

    Returns
    -------
    array, shape (stop - start,), or slice
        What :meth:`xpnet.training.Data.take` takes.
    """
    if rows is None:
        return slice(start, stop)
    if isinstance(rows, slice):
        return slice(rows.start + start, rows.start + stop)
    return rows[start:stop]
