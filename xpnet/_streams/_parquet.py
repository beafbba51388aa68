"""Parquet files, and what else pyarrow reads, one row group at a time."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from xpnet._streams._blocks import Block, mixed, recut
from xpnet.exceptions import DataError, MissingDependencyError

__all__ = ["ParquetRows"]


class ParquetRows:
    """Batches from the rows of a dataset.

    Parameters
    ----------
    data : str, path-like, list of them, or pyarrow.dataset.Dataset
        As :meth:`Batches.from_parquet` takes it, like all others.
    target, features, sample_weight, batch_size, shuffle_buffer
        As there.
    """

    def __init__(
        self,
        data: Any,
        target: str | Sequence[str],
        *,
        features: Sequence[str] | None,
        sample_weight: str | None,
        batch_size: int,
        shuffle_buffer: int,
    ) -> None:
        try:
            import pyarrow.dataset
        except ImportError as error:
            msg = "Parquet files need pyarrow: pip install 'xpnet[cli]'."
            raise MissingDependencyError(msg) from error
        self.batch_size, self.shuffle_buffer = batch_size, shuffle_buffer
        if isinstance(data, (list, tuple)):
            data = list(map(os.fspath, data))
        elif isinstance(data, os.PathLike):
            data = os.fspath(data)
        if not isinstance(data, pyarrow.dataset.Dataset):
            data = pyarrow.dataset.dataset(data, format="parquet")
        self.schema = data.schema
        self.flat = isinstance(target, str)
        self.target = [target] if isinstance(target, str) else list(target)
        self.weight = [] if sample_weight is None else [sample_weight]
        known = self.schema.names
        if features is None:
            others = {*self.target, *self.weight}
            features = [name for name in known if name not in others]
        self.feature_names = list(features)
        _check_columns(self.schema, self.feature_names, [*self.target, *self.weight])
        files = list(data.get_fragments())
        self.fragments = [part for file in files for part in _parts(file)]
        # A row group that is asked counts the rows of its file.
        self.n_rows: int = sum(file.count_rows() for file in files)
        single = [self.schema.field(name).type == "float" for name in features]
        self.dtype = np.float32 if all(single) else np.float64

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def __iter__(self) -> Iterator[Block]:
        """Return the batches in the order in which they lie."""
        return recut(self._blocks(self.fragments), self.batch_size)

    def shuffled(self, random_state: np.random.RandomState) -> Iterator[Block]:
        """Return the batches of an epoch, in an order that is drawn."""
        order = random_state.permutation(len(self.fragments)).tolist()
        blocks = self._blocks([self.fragments[i] for i in order])
        buffered = mixed(blocks, self.shuffle_buffer, random_state)
        return recut(buffered, self.batch_size)

    def targets(self) -> Iterator[Any]:
        """Return the targets alone; no other column is read."""
        for table, fragment in self._read(self.fragments, self.target):
            yield self._targets_of(table, fragment)

    def _blocks(self, fragments: list[Any]) -> Iterator[Block]:
        columns = [*self.feature_names, *self.target, *self.weight]
        for table, fragment in self._read(fragments, columns):
            X = np.empty((table.num_rows, len(self.feature_names)), self.dtype)
            for j, name in enumerate(self.feature_names):
                X[:, j] = _numbers(table.column(name))
            weights = tuple(_numbers(table.column(name)) for name in self.weight)
            yield X, self._targets_of(table, fragment), *weights

    def _read(
        self, fragments: list[Any], columns: list[str]
    ) -> Iterator[tuple[Any, Any]]:
        import pyarrow.dataset

        for fragment in fragments:
            options = None
            if isinstance(fragment, pyarrow.dataset.ParquetFileFragment):
                # By default a row group is in memory twice, read and decoded.
                options = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
            for table in fragment.to_batches(
                schema=self.schema,
                columns=columns,
                batch_size=self.shuffle_buffer,
                batch_readahead=1,  # a thread of ours reads ahead; by default it's 16
                fragment_readahead=1,
                fragment_scan_options=options,
            ):
                if table.num_rows:
                    yield table, fragment

    def _targets_of(self, table: Any, fragment: Any) -> Any:
        columns = []
        for name in self.target:
            column = table.column(name)
            if column.null_count:
                where = getattr(fragment, "path", None) or "the dataset"
                msg = (
                    f"Target column {name!r} lacks {column.null_count} values in {where}: "
                    "drop the rows without a target."
                )
                raise DataError(msg)
            if hasattr(column, "dictionary_decode"):
                column = column.dictionary_decode()
            columns.append(column.to_numpy(zero_copy_only=False))
        return columns[0] if self.flat else np.stack(columns, axis=1)


def _parts(file: Any) -> list[Any]:
    """Return the row groups of a file; other formats have none."""
    if hasattr(file, "split_by_row_group"):
        return list(file.split_by_row_group())
    return [file]


def _numbers(column: Any) -> Any:
    """Return a column as float64, or float32 where it is, with NaN for what is missing."""
    single = column.type == "float"
    column = column.cast("float" if single else "double", safe=False)
    return column.to_numpy(zero_copy_only=False)


def _check_columns(schema: Any, features: list[str], others: list[str]) -> None:
    import pyarrow.types as is_type

    absent = [name for name in (*features, *others) if name not in schema.names]
    if absent or not features:
        found = f"no columns {absent}" if absent else "no columns that are features"
        msg = f"The dataset has {found}; its columns are {schema.names}."
        raise DataError(msg)
    for name in features:
        kind = schema.field(name).type
        if not (
            is_type.is_integer(kind)
            or is_type.is_floating(kind)
            or is_type.is_boolean(kind)
            or is_type.is_decimal(kind)
        ):
            msg = (
                f"Feature column {name!r} holds {kind}: features must be numbers. Encode "
                "it, or leave it out of features=."
            )
            raise DataError(msg)
