"""The data that commands take: ``digits``, ``mnist`` or a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets

from xpnet.datasets import load_mnist, numeric_features, read_table, split_target
from xpnet.exceptions import DataError

if TYPE_CHECKING:
    import pandas as pd

BUNDLED = ("digits", "mnist")


class Task(NamedTuple):
    """Raw samples to train on and to test with, and how to scale them."""

    X_train: Any
    y_train: Any
    X_test: Any
    y_test: Any
    scaler: StandardScaler


def load_task(
    data: str,
    *,
    target: str | None,
    data_home: Path | None,
    test_fraction: float,
    seed: int,
) -> Task:
    """Load data to train on.

    Parameters
    ----------
    data : str
        ``"digits"``, ``"mnist"`` or the path of a table.
    target : str or None
        The table's column of classes.
    data_home : path or None
        The folder of the MNIST files.
    test_fraction : float
        How much to hold out of digits and tables, stratified by class.
    seed : int
        Which samples that are.

    Returns
    -------
    Task
        MNIST with its own test set.

    Raises
    ------
    ValueError
        The data can't be used.
    """
    if data == "mnist":
        mnist = load_mnist(data_home)
        return Task(*mnist, _divide_by(255.0, mnist.X_train.shape[1]))
    if data == "digits":
        X, y = load_digits(return_X_y=True)
    else:
        X, y = split_target(_read(data), target)
        check_classification_targets(y)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=test_fraction, stratify=y, random_state=seed
    )
    if data == "digits":
        scaler = _divide_by(16.0, X.shape[1])
    else:
        scaler = StandardScaler().fit(X_train)
    return Task(X_train, y_train, X_test, y_test, scaler)


def _divide_by(scale: float, n_features: int) -> StandardScaler:
    """Return a fitted scaler that divides every feature by the same number."""
    scaler = StandardScaler()
    scaler.n_features_in_ = n_features
    scaler.mean_ = np.zeros(n_features)
    scaler.scale_ = np.full(n_features, scale)
    scaler.var_ = scaler.scale_**2
    return scaler


def load_samples(data: str, *, data_home: Path | None, model: Any) -> Any:
    """Load samples to predict from.

    Parameters
    ----------
    data : str
        ``"digits"``, ``"mnist"``, which is its test set, or the path of a table.
    data_home : path or None
        The folder of the MNIST files.
    model : estimator
        Of a table, the columns that it was trained on are picked by their names; where
        it knows none, all are taken.

    Returns
    -------
    array or pandas.DataFrame, shape (n_samples, n_features)
        Raw samples.

    Raises
    ------
    ValueError
        The data can't be used, or is not what the model takes.
    """
    if data == "digits":
        return load_digits().data
    if data == "mnist":
        return load_mnist(data_home).X_test
    table = _read(data)
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        features = numeric_features(table, list(map(str, table)))
        # A frame lies column by column, for which BLAS rounds otherwise: the same numbers
        # from elsewhere would have other last digits.
        return np.ascontiguousarray(features)
    return numeric_features(table, list(names))


def load_labelled(
    data: str, *, target: str | None, data_home: Path | None, model: Any
) -> tuple[Any, Any]:
    """Load samples with their targets, to look at a model with.

    Parameters
    ----------
    data : str
        ``"digits"``, ``"mnist"``, which is its test set, or the path of a table.
    target : str or None
        The table's column of targets.
    data_home : path or None
        The folder of the MNIST files.
    model : estimator
        Picks the columns of a table, as in :func:`load_samples`.

    Returns
    -------
    X : array or pandas.DataFrame, shape (n_samples, n_features)
        Raw samples.
    y : ndarray, shape (n_samples,)
        Their targets.

    Raises
    ------
    ValueError
        The data can't be used, or is not what the model takes.
    """
    if data == "digits":
        digits = load_digits()
        return digits.data, digits.target
    if data == "mnist":
        mnist = load_mnist(data_home)
        return mnist.X_test, mnist.y_test
    names = getattr(model, "feature_names_in_", None)
    X, y = split_target(_read(data), target, names)
    return (X.to_numpy() if names is None else X), y


def _read(data: str) -> "pd.DataFrame":
    if not Path(data).exists():
        msg = (
            f"{data!r} is no data: expected digits, mnist or the file of a table, and "
            "there is no file of that name."
        )
        raise DataError(msg)
    return read_table(data)
