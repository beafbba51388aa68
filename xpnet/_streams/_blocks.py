"""Blocks of rows, cut into batches, and mixed before that."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Block", "mixed", "recut"]

Block: TypeAlias = tuple[Any, ...]
"""X, y and maybe weights, with as many rows each."""


def recut(blocks: Iterable[Block], batch_size: int) -> Iterator[Block]:
    """Cut blocks that follow one another into batches.

    Parameters
    ----------
    blocks : iterable of tuple of ndarray
        Of any numbers of rows.
    batch_size : int
        Rows of a batch; the last may have fewer.

    Yields
    ------
    tuple of ndarray
        Batches, which may be views.

    Examples
    --------
    >>> blocks = [(np.arange(3),), (np.arange(3, 5),)]
    >>> [X.tolist() for X, in recut(blocks, 2)]
    [[0, 1], [2, 3], [4]]
    """
    rest: list[Block] = []
    for block in blocks:
        joined = _join([*rest, block])
        n_rows = joined[0].shape[0]
        n_full = n_rows - n_rows % batch_size
        for start in range(0, n_full, batch_size):
            yield tuple(x[start : start + batch_size] for x in joined)
        rest = [tuple(x[n_full:] for x in joined)] if n_full < n_rows else []
    yield from rest


def mixed(
    blocks: Iterable[Block], buffer: int, random_state: np.random.RandomState
) -> Iterator[Block]:
    """Permute the rows of blocks that follow one another.

    Parameters
    ----------
    blocks : iterable of tuple of ndarray
        Of any numbers of rows.
    buffer : int
        As soon as so many rows have come, they are permuted.
    random_state : RandomState
        Draws.

    Yields
    ------
    tuple of ndarray
        The same rows, in blocks of at least `buffer` of them but for the last.
    """
    waiting: list[Block] = []
    n_rows = 0
    for block in blocks:
        waiting.append(block)
        n_rows += block[0].shape[0]
        if n_rows >= buffer:
            yield _permuted(waiting, random_state)
            waiting, n_rows = [], 0
    if waiting:
        yield _permuted(waiting, random_state)


def _permuted(blocks: list[Block], random_state: np.random.RandomState) -> Block:
    joined = _join(blocks)
    order = random_state.permutation(joined[0].shape[0])
    return tuple(x[order] for x in joined)


def _join(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))
