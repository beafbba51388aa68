"""What a user hands in instead of arrays: where batches come from."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np

from xpnet._streams._dask import DaskBlocks, is_dask
from xpnet._streams._parquet import ParquetRows
from xpnet._typing import Array
from xpnet.exceptions import DataError

__all__ = ["Batches", "as_batches"]

_ROWS = 200  # of a batch, as in arrays
_BUFFER = 10_000  # rows that are mixed at a time


class Batches:
    """Batches of samples, made or read anew in each epoch, for ``fit`` and ``iter_fit``.

    Each batch is one step. It is checked, cast and moved while the one before computes,
    in a thread of its own that is two batches ahead, and it is copied: its arrays may
    be written anew as soon as the next is asked for.

    Parameters
    ----------
    source : iterable, or callable
        What can be iterated in each epoch anew, or a function that returns an iterator.
        It gives ``(X, y)`` or ``(X, y, sample_weight)``, arrays as ``fit`` takes them.
        Where it has a method ``shuffled(random_state)``, that returns the batches of an
        epoch in a new order, which the estimator's `shuffle` asks for; else the order
        is the source's own.
    steps_per_epoch : int, optional
        Batches of an epoch, which goes on where the last one has ended, and begins anew
        where the source does end. By default an epoch is all of it. An iterator that
        can't begin anew, or never ends, needs this.
    classes : array-like, shape (n_classes,), or list of them, optional
        All labels there will be, for several outputs those of each. By default a
        classifier finds them in one pass over all `y` before the first step.

    Raises
    ------
    ValueError
        The source gives no batches, or gives them only once.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpnet import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> def tens():
    ...     for i in range(15):
    ...         yield X[i::15], y[i::15]
    >>> clf = MLPClassifier(learning_rate_init=0.01, random_state=0)
    >>> clf.fit(Batches(tens)).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        source: Iterable[Any] | Callable[[], Iterable[Any]],
        *,
        steps_per_epoch: int | None = None,
        classes: Any = None,
    ) -> None:
        if steps_per_epoch is not None and not (
            isinstance(steps_per_epoch, Integral) and steps_per_epoch > 0
        ):
            msg = f"steps_per_epoch must be a positive int, got {steps_per_epoch!r}."
            raise DataError(msg)
        if isinstance(source, Iterator) and steps_per_epoch is None:
            msg = (
                f"A {type(source).__name__} gives its batches once, and each epoch needs "
                "them: pass the function that makes one, Batches(function), or, if it "
                "never ends, say how many are an epoch, steps_per_epoch=1000."
            )
            raise DataError(msg)
        if not (callable(source) or isinstance(source, Iterable)):
            msg = (
                "Expected an iterable of batches, or a function that returns one, got "
                f"{source!r}."
            )
            raise DataError(msg)
        self.source, self.steps_per_epoch = source, steps_per_epoch
        self.classes = classes

    @classmethod
    def from_parquet(
        cls,
        data: Any,
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
        batch_size: int = _ROWS,
        shuffle_buffer: int = _BUFFER,
        steps_per_epoch: int | None = None,
        classes: Any = None,
    ) -> Self:
        """Read Parquet files, one row group at a time.

        An order is drawn in each epoch: that of the row groups, and within each
        `shuffle_buffer` rows that follow one another then, that of the rows. This is
        not a permutation of all: rows that lie close together stay closer than chance.

        Parameters
        ----------
        data : str, path-like, list of them, or pyarrow.dataset.Dataset
            Files or folders, or a dataset of any format that pyarrow reads.
        target : str or sequence of str
            The column to learn, or several.
        features : sequence of str, optional
            Columns of numbers, by default all others.
        sample_weight : str, optional
            The column of the samples' weights.
        batch_size : int, default=200
            Rows of a batch; the last of an epoch may have fewer.
        shuffle_buffer : int, default=10000
            Rows that are mixed at a time, at least; they are in memory.
        steps_per_epoch, classes
            As of the class.

        Returns
        -------
        Batches
            Float32 if all features are, else float64.

        Raises
        ------
        ValueError
            A column is missing or not numeric.
        OSError
            A file can't be opened.
        ImportError
            pyarrow is not installed.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = pd.DataFrame({"length": [1.5, 0.5], "name": ["pike", "perch"]})
        ...     table.to_parquet(f"{folder}/fish.parquet")
        ...     list(Batches.from_parquet(folder, "name"))
        [(array([[1.5], [0.5]]), array(['pike', 'perch'], dtype=object))]
        """
        rows = ParquetRows(
            data,
            target,
            features=features,
            sample_weight=sample_weight,
            batch_size=batch_size,
            shuffle_buffer=shuffle_buffer,
        )
        return cls(rows, steps_per_epoch=steps_per_epoch, classes=classes)

    @classmethod
    def from_dask(
        cls,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        batch_size: int = _ROWS,
        shuffle_buffer: int = _BUFFER,
        steps_per_epoch: int | None = None,
        classes: Any = None,
    ) -> Self:
        """Compute dask arrays, one block of rows at a time.

        Orders are drawn as by :meth:`from_parquet`, of blocks instead of row groups.
        ``fit(X, y)`` with dask arrays does the same, with the estimator's `batch_size`.

        Parameters
        ----------
        X : dask.array.Array, shape (n_samples, n_features)
            Samples.
        y, sample_weight : array or dask.array.Array, shape (n_samples, ...)
            Their targets, and their weights.
        batch_size, shuffle_buffer, steps_per_epoch, classes
            As of :meth:`from_parquet`.

        Returns
        -------
        Batches
            Of NumPy arrays, or whatever the blocks are.

        Raises
        ------
        ValueError
            Sizes of blocks are unknown, or shapes don't match.
        """
        blocks = DaskBlocks(X, y, sample_weight, batch_size, shuffle_buffer)
        return cls(blocks, steps_per_epoch=steps_per_epoch, classes=classes)

    def __iter__(self) -> Iterator[Any]:
        """Return the batches of one pass, in the order in which they lie."""
        return self.begin(None)

    def begin(self, random_state: np.random.RandomState | None) -> Iterator[Any]:
        """Begin a pass over all of the source.

        Parameters
        ----------
        random_state : RandomState, or None
            Draws the order, where the source lets it; None takes it as it lies.

        Returns
        -------
        iterator
            Of what the source gives.
        """
        source = self.source
        if random_state is not None and hasattr(source, "shuffled"):
            return iter(source.shuffled(random_state))
        return iter(source() if callable(source) else source)

    @property
    def n_batches(self) -> int | None:
        """Batches of an epoch; None where that isn't known."""
        if self.steps_per_epoch is not None:
            return int(self.steps_per_epoch)
        source: Any = self.source
        return len(source) if hasattr(source, "__len__") else None


def as_batches(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[Array, Array, Array]:
    """Find out whether ``fit`` was given batches instead of arrays.

    Parameters
    ----------
    estimator : BaseMLP
        Its `batch_size` cuts dask arrays; other batches are as they come.
    X, y, sample_weight : object
        What its ``fit`` was given.

    Returns
    -------
    X, y, sample_weight : object
        As they came; or :class:`Batches` and None, None.

    Raises
    ------
    ValueError
        Targets or weights were passed beside batches, which hold them.
    """
    if is_dask(X):
        size = estimator.batch_size
        size = _ROWS if isinstance(size, str) else size
        return Batches.from_dask(X, y, sample_weight, batch_size=size), None, None
    if not isinstance(X, Batches):
        array_like = isinstance(X, (list, tuple, str)) or hasattr(X, "__array__")
        if y is not None or array_like or hasattr(X, "shape"):
            return X, y, sample_weight
        if not (callable(X) or isinstance(X, Iterable)):
            return X, y, sample_weight
        X = Batches(X)
    if y is not None or sample_weight is not None:
        msg = (
            "Batches hold targets and weights themselves: let them give (X, y, "
            "sample_weight), and pass nothing beside them."
        )
        raise DataError(msg)
    if estimator.batch_size != "auto":
        msg = (
            f"batch_size={estimator.batch_size!r} is ignored: each batch is a step as it "
            "comes. Leave the default."
        )
        warnings.warn(msg, UserWarning, stacklevel=3)
    return X, None, None
