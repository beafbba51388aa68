"""Checks of what a user hands in, on the host, before any work is lost.

NumPy arrays, lists, frames and sparse matrices go through scikit-learn's
``validate_data``; arrays of other libraries through checks of our own, since
scikit-learn would copy them to the host or refuse them.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    column_or_1d,
    validate_data,
)

from xpnet._namespace import (
    array_namespace,
    dtype_name,
    is_array_api_obj,
    is_numpy_array,
    to_numpy,
    without_graph,
)
from xpnet._typing import Array
from xpnet.exceptions import DataError

__all__ = [
    "HostArray",
    "cast_weights",
    "check_X",
    "check_weights",
    "check_y",
    "hidden_sizes",
    "is_foreign",
]

HostArray: TypeAlias = np.ndarray[Any, Any]


def is_foreign(x: Array) -> bool:
    """Whether `x` is an array of another library than NumPy."""
    return is_array_api_obj(x) and not is_numpy_array(x)


def hidden_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the sizes of the hidden layers as a list of positive ints.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int
        As the estimators take it; empty for no hidden layer.

    Returns
    -------
    list of int
        Units of each hidden layer.

    Raises
    ------
    ValueError
        One of them is no positive integer.
    """
    sizes = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object)).tolist()
    if any(
        not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size <= 0
        for size in sizes
    ):
        msg = (
            "hidden_layer_sizes must be > 0: expected positive integers, "
            f"got {hidden_layer_sizes!r}."
        )
        raise DataError(msg)
    return [int(size) for size in sizes]


def check_X(estimator: BaseEstimator, X: Any, *, reset: bool) -> Array:
    """Check samples, and leave them where they are.

    Parameters
    ----------
    estimator : estimator
        Its `n_features_in_` (and `feature_names_in_`) are set or compared with.
    X : array or array-like, shape (n_samples, n_features)
        Samples.
    reset : bool
        True in ``fit``: set the attributes.

    Returns
    -------
    array, shape (n_samples, n_features), real dtype
        An array of another library as it came, anything else as a NumPy array or a
        sparse CSR matrix.

    Raises
    ------
    ValueError
        Not two-dimensional, empty, not finite, or not of the number of features that
        the estimator was fitted on.
    """
    if not reset and _is_ready(estimator, X):
        return X
    if is_foreign(X):
        return _check_foreign_X(estimator, X, reset=reset)
    X = validate_data(
        estimator, X, accept_sparse=["csr", "csc"], dtype="numeric", reset=reset
    )
    # Batches are rows.
    return X if is_numpy_array(X) else X.tocsr()


def _is_ready(estimator: BaseEstimator, X: Any) -> bool:
    """Whether `X` needs no conversion and deserves no warning.

    Where one row is to be predicted, scikit-learn's check takes longer than the network.
    """
    known = (
        type(X) is np.ndarray
        and X.dtype in (np.float32, np.float64)
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
    )
    with np.errstate(over="ignore", invalid="ignore"):  # of the sum: the long way tells
        return known and math.isfinite(X.sum())


def _check_foreign_X(estimator: BaseEstimator, X: Array, *, reset: bool) -> Array:
    name = type(estimator).__name__
    _check_dense(X, "X")
    xp = array_namespace(X)
    if X.ndim != 2:
        msg = (
            f"Expected 2D array, got {X.ndim}D array of shape {tuple(X.shape)} instead. "
            "Reshape X to (n_samples, n_features)."
        )
        raise DataError(msg)
    n_samples, n_features = X.shape
    for what, count in [("sample", n_samples), ("feature", n_features)]:
        if count == 0:
            msg = (
                f"Found array with 0 {what}(s) (shape={tuple(X.shape)}) while a minimum "
                f"of 1 is required by {name}."
            )
            raise DataError(msg)
    if not xp.isdtype(X.dtype, ("bool", "integral", "real floating")):
        msg = f"{name} takes real numbers, got X of dtype {X.dtype}."
        raise DataError(msg)
    if xp.isdtype(X.dtype, "real floating") and not bool(xp.all(xp.isfinite(X))):
        msg = (
            f"Input X contains NaN or infinity; {name} does not accept missing values. "
            "Impute or drop them first."
        )
        raise DataError(msg)
    if reset:
        estimator.n_features_in_ = n_features
        vars(estimator).pop("feature_names_in_", None)
    elif n_features != estimator.n_features_in_:
        msg = (
            f"X has {n_features} features, but {name} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
        raise DataError(msg)
    return without_graph(X)


def check_y(
    estimator: BaseEstimator, y: Any, n_samples: int, *, numeric: bool
) -> HostArray:
    """Check targets, and bring them to the host.

    Parameters
    ----------
    estimator : estimator
        Named in the messages.
    y : array or array-like, shape (n_samples,) or (n_samples, n_outputs)
        Targets of any library.
    n_samples : int
        How many `X` has.
    numeric : bool
        Whether they are to be floats.

    Returns
    -------
    ndarray, shape (n_samples,) or (n_samples, n_outputs)
        A column is returned flat, with scikit-learn's warning.

    Raises
    ------
    ValueError
        Missing, not finite, or not as many as samples.
    """
    if y is None:
        msg = (
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None: fit(X, y) needs labels or numbers to learn."
        )
        raise DataError(msg)
    y = check_array(
        _on_host(y, "y"),
        accept_sparse="csr",
        ensure_2d=False,
        dtype="numeric" if numeric else None,
        input_name="y",
        estimator=estimator,
    )
    if not is_numpy_array(y):
        y = y.toarray()
    if y.ndim != 2 or y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if y.shape[0] != n_samples:
        msg = (
            "Found input variables with inconsistent numbers of samples: X has "
            f"{n_samples}, y has {y.shape[0]}. Each sample needs one target."
        )
        raise DataError(msg)
    return np.asarray(y, np.float64 if numeric and y.dtype.kind != "f" else None)


def check_weights(sample_weight: Any, X: Array) -> HostArray | None:
    """Check the samples' weights, and bring them to the host.

    Parameters
    ----------
    sample_weight : array, array-like, float or None
        Weights, not negative.
    X : array, shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray, shape (n_samples,), floating dtype, or None
        None where all weigh alike.

    Raises
    ------
    ValueError
        Negative, not finite, all zero, or not as many as samples.
    """
    if sample_weight is None:
        return None
    sample_weight = _on_host(sample_weight, "sample_weight")
    rows = np.empty((X.shape[0], 0))  # X itself may lie on a device
    weights = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
    if not np.any(weights):
        msg = (
            "Sample weights are all zero: at least one sample needs a positive weight."
        )
        raise DataError(msg)
    return np.asarray(weights)


def cast_weights(weights: HostArray | None, dtype: str) -> HostArray | None:
    """Cast weights to what is computed in, and check that they weigh something there.

    Parameters
    ----------
    weights : ndarray, shape (n_samples,), or None
        Those of the samples, multiplied by those of the classes.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Returns
    -------
    ndarray, shape (n_samples,), or None
        None where all weigh alike.

    Raises
    ------
    ValueError
        Negative or NaN, or their sum is zero or infinite.
    """
    if weights is None:
        return None
    if not np.all(weights >= 0.0):
        msg = (
            "class_weight must not be negative or NaN: multiplied by the sample weights "
            f"it gives {np.min(weights)}."
        )
        raise DataError(msg)
    with np.errstate(over="ignore", under="ignore"):
        cast = weights.astype(dtype)
        total = float(np.sum(cast))
    if not 0.0 < total < math.inf:
        msg = (
            f"The sample weights, multiplied by class_weight, sum to {total} in {dtype}: "
            "at least one sample needs a positive weight, and the sum has to be finite. "
            "Multiply them all by one number."
        )
        raise DataError(msg)
    return cast


def _on_host(x: Any, name: str) -> Any:
    """Bring an array of any library to the host; anything else is left as it is."""
    if not is_array_api_obj(x):
        return x
    _check_dense(x, name)
    if dtype_name(x.dtype) == "bfloat16":  # which NumPy doesn't know
        xp = array_namespace(x)
        x = xp.astype(x, xp.float32)
    return to_numpy(x)


def _check_dense(x: Array, name: str) -> None:
    if "sparse" in str(getattr(x, "layout", "")):  # torch's
        msg = (
            f"{name} is a sparse tensor, which can't be trained on: pass {name}.to_dense(),"
            " or a SciPy sparse matrix."
        )
        raise DataError(msg)
