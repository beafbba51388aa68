"""Checks of what a user hands in, on the host, before any work is lost.

NumPy arrays, lists, frames and sparse matrices go through scikit-learn's
``validate_data``; arrays of other libraries through checks of our own, since
scikit-learn would copy them to the host or refuse them.
"""

from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from xpnet._namespace import (
    array_namespace,
    is_array_api_obj,
    is_numpy_array,
    to_numpy,
    without_graph,
)
from xpnet._typing import Array
from xpnet.exceptions import DataError
from xpnet.functional import ACTIVATIONS
from xpnet.initializers import INITIALIZERS

__all__ = [
    "MLP_CONSTRAINTS",
    "check_X",
    "encode_labels",
    "hidden_sizes",
    "is_foreign",
]

HostArray: TypeAlias = np.ndarray[Any, Any]

MLP_CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions({"sgd", "adam"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "backend": [str, None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "init": [StrOptions(set(INITIALIZERS))],
}


def is_foreign(x: Array) -> bool:
    """Whether `x` is an array of another library than NumPy."""
    return is_array_api_obj(x) and not is_numpy_array(x)


def hidden_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the sizes of the hidden layers as a list of positive ints."""
    sizes = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object)).tolist()
    if not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
        msg = (
            "hidden_layer_sizes must be > 0: expected one or more positive integers, "
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
        An array of another library as it came, anything else as a NumPy array.

    Raises
    ------
    ValueError
        Not two-dimensional, empty, not finite, or not of the number of features that
        the estimator was fitted on.
    """
    if not is_foreign(X):
        return validate_data(estimator, X, dtype="numeric", reset=reset)
    name = type(estimator).__name__
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


def encode_labels(y: Any, n_samples: int) -> tuple[HostArray, HostArray]:
    """Find the classes, and number the labels by them.

    Parameters
    ----------
    y : array or array-like, shape (n_samples,)
        Labels: numbers, strings or bools, of any library.
    n_samples : int
        How many X has.

    Returns
    -------
    classes : ndarray, shape (n_classes,)
        The labels that occur, sorted, on the host.
    codes : ndarray, shape (n_samples,), int32
        ``classes[codes]`` is `y`.

    Raises
    ------
    ValueError
        The labels are not one class a sample, as many as samples, finite, and of two
        classes at least.
    """
    if y is None:
        msg = (
            "requires y to be passed, but the target y is None: fit(X, y) needs labels."
        )
        raise DataError(msg)
    if is_array_api_obj(y):
        y = to_numpy(y)
    y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    y = column_or_1d(y, warn=True)
    if y.shape[0] != n_samples:
        msg = (
            "Found input variables with inconsistent numbers of samples: X has "
            f"{n_samples}, y has {y.shape[0]}. Each sample needs one label."
        )
        raise DataError(msg)
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if classes.shape[0] < 2:
        msg = (
            f"y holds one class only, {classes[0]!r}; a classifier needs samples of at "
            "least two classes."
        )
        raise DataError(msg)
    return classes, codes.astype(np.int32)
