"""One training's way through batches, epoch by epoch."""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse

from xpnet._namespace import array_namespace, is_sparse
from xpnet._streams._batches import Batches
from xpnet._targets import distinct
from xpnet._typing import Array
from xpnet.exceptions import DataError
from xpnet.training import Data

__all__ = ["Passes", "find_classes", "first_of", "named"]

Triple: TypeAlias = tuple[Any, Any, Any]


@contextlib.contextmanager
def named(i: int) -> Iterator[None]:
    """Name the batch in what its checks raise."""
    try:
        yield
    except (TypeError, ValueError) as error:
        msg = f"Batch {i} of the epoch can't be used: {error}"
        raise DataError(msg) from error


class Passes:
    """One training's way through batches.

    Parameters
    ----------
    batches : Batches
        Where they come from.
    load : callable
        ``load(X, y, sample_weight)`` returns :class:`~xpnet.training.Data`, checked and
        moved.
    keeps_sample : bool
        Whether to keep rows that stand for all.
    """

    def __init__(
        self, batches: Batches, load: Callable[..., Data], *, keeps_sample: bool
    ) -> None:
        self.batches, self.load = batches, load
        self.keeps_sample = keeps_sample
        self.spread = _Spread()
        """Of the last epoch."""
        self._going: Iterator[Any] | None = None

    def epoch(
        self, random_state: np.random.RandomState | None
    ) -> Generator[Data, None, None]:
        """Return the batches of the next epoch.

        Parameters
        ----------
        random_state : RandomState, or None
            Draws their order; None takes it as it lies.

        Yields
        ------
        Data
            A batch on its device.

        Raises
        ------
        ValueError
            There is none, or one can't be used; the message counts from 1.
        """
        spread = _Spread()
        try:
            with contextlib.closing(self._batches(random_state)) as batches:
                for i, batch in enumerate(batches, start=1):
                    with named(i):
                        data = self.load(*_triple(batch))
                    if self.keeps_sample:
                        spread.add(data.X)
                    yield data
        except GeneratorExit:  # the time is over
            self.spread = spread
            raise
        self.spread = spread

    def _batches(
        self, random_state: np.random.RandomState | None
    ) -> Generator[Any, None, None]:
        n_steps = self.batches.steps_per_epoch
        if n_steps is None:
            yield from _some(self.batches.begin(random_state))
            return
        for _ in range(n_steps):
            batch = None if self._going is None else next(self._going, None)
            if batch is None:
                self._going = _some(self.batches.begin(random_state))
                batch = next(self._going)
            yield batch


def _some(batches: Iterator[Any]) -> Iterator[Any]:
    """Raise where there is no batch at all."""
    batch = next(batches, None)
    if batch is None:
        msg = (
            "There are no batches in this epoch. A function that is passed for them has "
            "to return a new iterator each time it is called, and a source that ends "
            "can't be iterated once only."
        )
        raise DataError(msg)
    yield batch
    yield from batches


def _triple(batch: Any) -> Triple:
    """Return X, y and the weights, or None, of what a source gives."""
    if not (isinstance(batch, (tuple, list)) and len(batch) in (2, 3)):
        msg = (
            f"expected (X, y) or (X, y, sample_weight), got a {type(batch).__name__}"
            f"{f' of {len(batch)}' if isinstance(batch, (tuple, list)) else ''}."
        )
        raise DataError(msg)
    X, y, *weights = batch
    return X, y, weights[0] if weights else None


def first_of(batches: Batches) -> Triple:
    """Return the first batch, as it lies; an epoch gets it again."""
    found = _some(batches.begin(None))
    batch = next(found)
    if isinstance(batches.source, Iterator):  # it can't begin anew
        batches.source = itertools.chain([batch], batches.source)
    with named(1):
        return _triple(batch)


def find_classes(batches: Batches, check: Callable[[Any], Any]) -> Any:
    """Find all labels, in one pass over the targets.

    Parameters
    ----------
    batches : Batches
        Of a classifier.
    check : callable
        Returns targets as a host array, or raises.

    Returns
    -------
    ndarray, shape (n_classes,), or list of them
        Sorted; for several outputs those of each.

    Raises
    ------
    ValueError
        Batches never end, or targets can't be used.
    """
    source = batches.source
    if hasattr(source, "targets"):
        targets = source.targets()
    elif batches.steps_per_epoch is not None:
        msg = (
            "Labels would be looked for in all batches, and with steps_per_epoch they "
            "may never end: pass all labels there will be, Batches(..., classes=[...])."
        )
        raise DataError(msg)
    else:
        targets = (_triple(batch)[1] for batch in batches.begin(None))
    found: list[Any] = []
    several = False
    for i, y in enumerate(_some(iter(targets)), start=1):
        with named(i):
            checked = check(y)
            several = checked.ndim == 2
            columns = list(map(distinct, checked.T if several else [checked]))
            pairs = zip(found or columns, columns, strict=True)
            found = [distinct(np.concatenate(pair)) for pair in pairs]
    return found if several else found[0]


# ------------------------------------------------------------------------------- a sample

_SAMPLE = 2**13  # rows; as many as stand for arrays


class _Spread:
    """Rows from batches spread evenly over an epoch of unknown length, so many at most.

    Every second batch is dropped where there are too many rows, and from then on twice
    as many are passed over.
    """

    def __init__(self) -> None:
        self.kept: list[Array] = []
        self.every, self.n_seen = 1, 0

    def add(self, X: Array) -> None:
        """Take a batch, or pass over it."""
        if self.n_seen % self.every == 0:
            self.kept.append(X[: min(_SAMPLE, X.shape[0]), :])
            while len(self.kept) > 1 and sum(x.shape[0] for x in self.kept) > _SAMPLE:
                self.kept, self.every = self.kept[::2], 2 * self.every
        self.n_seen += 1

    @property
    def rows(self) -> Array:
        """The rows, (n_rows, n_features)."""
        if is_sparse(self.kept[0]):
            return scipy.sparse.vstack(self.kept)
        return array_namespace(*self.kept).concat(self.kept, axis=0)
