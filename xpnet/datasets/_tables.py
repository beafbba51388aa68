"""Tables of numbers, and a column of classes."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.exceptions import DataError, MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: str | os.PathLike[str]) -> "pd.DataFrame":
    r"""Read a table from a CSV or Parquet file.

    Parameters
    ----------
    path : str or path-like
        A file whose name ends in ``.csv`` (the first line names the columns) or
        ``.parquet``.

    Returns
    -------
    pandas.DataFrame
        At least one row; the columns' names are strings.

    Raises
    ------
    DataError
        The file is empty, or is not what its name says.
    OSError
        It can't be opened.
    MissingDependencyError
        pandas or pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     print("length,fish", "0.5,pike", sep="\n", file=file, flush=True)
    ...     read_table(file.name)
       length  fish
    0     0.5  pike
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        msg = f"{path} is no table: expected a name that ends in .csv or .parquet."
        raise DataError(msg)
    try:
        import pandas as pd
    except ImportError as error:
        msg = "Tables need pandas: pip install 'xpnet[cli]'."
        raise MissingDependencyError(msg) from error
    try:
        table = _read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    except ImportError as error:
        msg = "Parquet tables need pyarrow: pip install 'xpnet[cli]'."
        raise MissingDependencyError(msg) from error
    # What the parsers raise, of text that is not UTF-8 and of fields without a name.
    except (ValueError, pd.errors.ParserWarning) as error:
        msg = f"{path} can't be read as {suffix[1:]}: {str(error).strip()}."
        raise DataError(msg) from error
    if table.empty:
        msg = f"{path} is empty: expected a row of names and at least one row of data."
        raise DataError(msg)
    return table.reset_index(drop=True).rename(columns=str)


def _read_csv(path: str | os.PathLike[str]) -> "pd.DataFrame":
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # No column is taken for an index, and each has one type from top to bottom.
        return pd.read_csv(path, index_col=False, low_memory=False)


def split_target(
    table: "pd.DataFrame", target: str | None, features: Sequence[str] | None = None
) -> tuple["pd.DataFrame", np.ndarray[Any, Any]]:
    """Split a table into numeric features and the column of the classes.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`read_table` returns it.
    target : str or None
        The column that holds the classes, numbers or strings.
    features : sequence of str, optional
        The columns that are features, by default all others.

    Returns
    -------
    X : pandas.DataFrame, shape (n_samples, n_features)
        The features, finite numbers.
    y : ndarray, shape (n_samples,)
        The classes.

    Raises
    ------
    DataError
        There is no such column, it has a missing value, or a feature is not numeric.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"length": [1.5, 0.5], "name": ["pike", "perch"]})
    >>> X, y = split_target(table, "name")
    >>> list(X), list(y)
    (['length'], ['pike', 'perch'])
    """
    if target not in table:
        missing = "No target column" if target is None else f"No column {target!r}"
        msg = f"{missing}: name the one with the classes, one of {_listed(table)}."
        raise DataError(msg)
    empty = table[target].isna().to_numpy().nonzero()[0]
    if empty.size:
        msg = (
            f"Target column {target!r} has no value in {empty.size} of {len(table)} "
            f"rows, the first is row {empty[0] + 1}. Drop the rows without a class."
        )
        raise DataError(msg)
    if features is None:
        features = [str(name) for name in table if name != target]
    return numeric_features(table, list(features)), table[target].to_numpy()


def numeric_features(table: "pd.DataFrame", names: Sequence[str]) -> "pd.DataFrame":
    """Pick feature columns by their names, and check that they are finite numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`read_table` returns it.
    names : sequence of str
        The columns, in the order in which they are wanted.

    Returns
    -------
    pandas.DataFrame, shape (n_samples, n_features)
        These columns.

    Raises
    ------
    DataError
        A column is missing, or the first value that is not a finite number.
    """
    absent = [name for name in names if name not in table]
    if absent or not names:
        lack = f"lacks the features {_listed(absent)}" if absent else "has no features"
        msg = f"The table {lack}; its columns are {_listed(table)}."
        raise DataError(msg)
    for name in names:
        _check_numeric(table[name])
    return table[list(names)]


def _check_numeric(column: "pd.Series[Any]") -> None:
    import pandas as pd

    is_numeric = pd.api.types.is_numeric_dtype(column)
    values = pd.to_numeric(column, errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
    wrong = (~np.isfinite(values)).nonzero()[0]
    if is_numeric and not wrong.size:
        return
    row = wrong[0] if wrong.size else 0
    value = column.iloc[[row]].tolist()[0]  # a Python object, whose repr is plain
    found = "has no value" if pd.isna(value) else f"holds {value!r}"
    msg = (
        f"Feature column {column.name!r} {found} in row {row + 1}: features must be "
        "finite numbers. Fill in or drop missing values, and encode text as numbers or "
        "drop the column."
    )
    raise DataError(msg)


def _listed(names: Iterable[Any], limit: int = 10) -> str:
    names = list(names)
    shown = ", ".join(map(repr, names[:limit]))
    more = len(names) - limit
    return f"{shown} and {more} more" if more > 0 else shown
