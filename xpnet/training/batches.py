"""The data of a training run, cut into batches on its device."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from xpnet import _namespace as ops
from xpnet._namespace import asarray_like, is_sparse
from xpnet._typing import Array

__all__ = ["Data", "HostIndices"]

HostIndices: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


class Data(NamedTuple):
    """Samples, their targets and their weights, row by row."""

    X: Array
    """(n_samples, n_features); or a SciPy sparse matrix."""
    targets: Array
    """(n_samples, ...), what the loss takes."""
    weights: Array | None = None
    """(n_samples,), or None where all weigh alike."""

    def take(self, rows: Array) -> "Data":
        """Return the rows of the given numbers, which :meth:`on_device` has brought."""
        X, targets, weights = self
        return Data(
            ops.rows(X, rows),
            ops.rows(targets, rows),
            None if weights is None else ops.rows(weights, rows),
        )

    def batches(self, batch_size: int, order: HostIndices | None) -> Iterator["Data"]:
        """Cut into batches.

        Parameters
        ----------
        batch_size : int
            Rows of a batch; the last may have fewer.
        order : ndarray, shape (n_rows,), int32, or None
            Which rows to take, in which order; None takes all as they are, and copies
            nothing.

        Yields
        ------
        Data
            A batch.
        """
        n_samples = self.X.shape[0] if order is None else order.shape[0]
        rows = None if order is None else self.on_device(order)  # once an epoch
        for start in range(0, n_samples, batch_size):
            stop = min(start + batch_size, n_samples)
            if rows is None:
                yield self._slice(start, stop)
            else:
                yield self.take(rows[start:stop])

    def on_device(self, rows: HostIndices) -> Array:
        """Bring row numbers to where ``take`` needs them; SciPy does on the host."""
        return rows if is_sparse(self.X) else asarray_like(rows, self.X)

    def _slice(self, start: int, stop: int) -> "Data":
        X, targets, weights = self
        return Data(
            X[start:stop, :],
            targets[start:stop, ...],
            None if weights is None else weights[start:stop],
        )
