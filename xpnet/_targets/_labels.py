"""Labels and their numbers: looked up on the host, and found again anywhere."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from xpnet._namespace import (
    array_namespace,
    asarray_like,
    device,
    is_array_api_obj,
    same_place,
    supports_dtype,
    to_numpy,
)
from xpnet._typing import Array
from xpnet.exceptions import DataError

__all__ = [
    "HostArray",
    "class_numbers",
    "distinct",
    "is_text",
    "labels",
    "listed",
    "place",
]

HostArray: TypeAlias = np.ndarray[Any, Any]


def distinct(y: Any) -> HostArray:
    """Return the labels that occur, sorted.

    Parameters
    ----------
    y : array or array-like, shape (n_samples,)
        Labels, of any library.

    Returns
    -------
    ndarray, shape (n_classes,)
        On the host; strings of an object array in a dtype of their own.
    """
    classes = np.unique(to_numpy(y))
    return np.asarray(classes.tolist()) if classes.dtype == object else classes


def is_text(y: HostArray) -> bool:
    """Whether labels are strings, objects among them."""
    strings = y.dtype == object and all(isinstance(label, str) for label in y.flat)
    return y.dtype.kind == "U" or strings


def listed(classes: Any) -> HostArray | list[HostArray]:
    """Check the classes that a user lists, and sort them.

    Parameters
    ----------
    classes : array-like, shape (n_classes,), or list of them
        Of any library; a list for several outputs.

    Returns
    -------
    ndarray, shape (n_classes,), or list of them
        On the host.

    Raises
    ------
    ValueError
        They are no such thing, or none.
    """
    if isinstance(classes, Sequence) and not isinstance(classes, (str, bytes)):
        rows: Any = list(classes)
    elif is_array_api_obj(classes) or hasattr(classes, "__array__"):  # a Series, say
        rows = np.atleast_1d(to_numpy(classes))
    else:
        rows = []
    several = len(rows) > 0 and np.ndim(rows[0]) > 0
    parts = [distinct(each) for each in (rows if several else [rows])]
    if not all(part.size for part in parts):
        msg = (
            "Expected classes as an array or a list of all labels there will be, for "
            f"several outputs a list of them, got {classes!r}."
        )
        raise DataError(msg)
    return parts if several else parts[0]


def class_numbers(classes: Array, y: HostArray) -> HostArray:
    """Return the number of each label among the classes.

    Parameters
    ----------
    classes : array, shape (n_classes,)
        Sorted, of any library.
    y : ndarray, shape (n_samples,)
        Labels.

    Returns
    -------
    ndarray, shape (n_samples,), int32
        Numbers from 0.

    Raises
    ------
    ValueError
        A label is none of the classes, or there are several a sample.
    """
    if y.ndim != 1:
        msg = f"Expected one label a sample, got y of shape {y.shape}."
        raise DataError(msg)
    classes = to_numpy(classes)
    codes = np.minimum(np.searchsorted(classes, y), classes.shape[0] - 1)
    if not np.array_equal(classes[codes], y):
        msg = (
            f"`y` has classes not in `self.classes_`: `self.classes_` has {classes}, "
            f"and `y` has {np.setdiff1d(y, classes)} too."
        )
        raise DataError(msg)
    return np.asarray(codes, dtype=np.int32)


def labels(classes: Array, codes: Array, ref: Array) -> Array:
    """Return the classes of the given numbers, where :func:`place` puts them.

    Parameters
    ----------
    classes : array, shape (n_classes,)
        Of any library.
    codes : array, shape (n_samples,), integral dtype
        Their numbers, of any library.
    ref : array
        Where to answer.

    Returns
    -------
    array, shape (n_samples,)
        Labels.
    """
    table = place(classes, ref)
    return array_namespace(table).take(table, asarray_like(codes, table), axis=0)


def place(classes: Any, ref: Array) -> Any:
    """Bring classes to where `ref` lies, if they are numbers that are the same there.

    Parameters
    ----------
    classes : array, shape (n_classes,), or list of them
        Of any library.
    ref : array
        Where they are to go.

    Returns
    -------
    array, shape (n_classes,), or list of them
        There; on the host where they are strings or dates, or where the library would
        round them.
    """
    if isinstance(classes, list):
        return [place(each, ref) for each in classes]
    if is_array_api_obj(classes) and same_place(classes, ref):
        return classes
    classes, xp = to_numpy(classes), array_namespace(ref)
    kind, name = classes.dtype.kind, classes.dtype.name
    if kind not in "biuf":
        return classes
    if not supports_dtype(xp, device(ref), name):  # torch can't gather uint16, say
        name = "float64" if kind == "f" else "int64"
    there = asarray_like(classes.astype(name), ref)
    return there if np.array_equal(to_numpy(there), classes) else classes
