"""Dask arrays, block by block."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnet._streams._blocks import Block, mixed, recut
from xpnet.exceptions import DataError

__all__ = ["DaskBlocks", "is_dask"]


def is_dask(x: Any) -> bool:
    """Whether `x` is an array of dask's, which is not imported for it."""
    return type(x).__module__.startswith("dask.array")


class DaskBlocks:
    """Batches from blocks of rows of dask arrays.

    Parameters
    ----------
    X, y, sample_weight : dask.array.Array, or array
        As :meth:`Batches.from_dask` takes them.
    batch_size, shuffle_buffer : int
        Rows of a batch, and rows that are mixed at a time.
    """

    def __init__(
        self, X: Any, y: Any, sample_weight: Any, batch_size: int, shuffle_buffer: int
    ) -> None:
        if not is_dask(X) or X.ndim != 2:
            msg = f"Expected X as a dask array of two dimensions, got {X!r}."
            raise DataError(msg)
        if y is None:
            msg = "The target y is None: pass labels or numbers, as many as rows of X."
            raise DataError(msg)
        self.batch_size, self.shuffle_buffer = batch_size, shuffle_buffer
        if any(math.isnan(size) for size in X.chunks[0]):
            msg = (
                "The sizes of the blocks of X are unknown: call X.compute_chunk_sizes() "
                "first."
            )
            raise DataError(msg)
        rows = X.chunks[0]
        # A block is to have all columns, and the targets are cut as the samples are.
        self.arrays = [X.rechunk({1: -1})]
        for name, x in (("y", y), ("sample_weight", sample_weight)):
            if x is None:
                continue
            if x.shape[0] != X.shape[0]:
                msg = f"X has {X.shape[0]} rows, and {name} has {x.shape[0]}."
                raise DataError(msg)
            whole = dict.fromkeys(range(1, x.ndim), -1)
            self.arrays.append(x.rechunk({0: rows, **whole}) if is_dask(x) else x)
        self.stops: list[int] = np.cumsum(rows).tolist()

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return math.ceil(self.stops[-1] / self.batch_size)

    def __iter__(self) -> Iterator[Block]:
        """Return the batches in the order in which they lie."""
        return recut(self._blocks(range(len(self.stops))), self.batch_size)

    def shuffled(self, random_state: np.random.RandomState) -> Iterator[Block]:
        """Return the batches of an epoch, in an order that is drawn."""
        order = random_state.permutation(len(self.stops)).tolist()
        blocks = mixed(self._blocks(order), self.shuffle_buffer, random_state)
        return recut(blocks, self.batch_size)

    def targets(self) -> Iterator[Any]:
        """Return the targets alone."""
        for (y,) in self._blocks(range(len(self.stops)), slice(1, 2)):
            yield y

    def _blocks(self, order: Any, which: slice = slice(None)) -> Iterator[Block]:
        import dask

        for i in order:
            start = self.stops[i - 1] if i else 0
            parts = [
                x.blocks[i] if is_dask(x) else x[start : self.stops[i]]
                for x in self.arrays[which]
            ]
            yield dask.compute(*parts)  # at once, what they have in common only once
