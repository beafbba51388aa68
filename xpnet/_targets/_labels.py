"""Labels and their numbers: looked up on the host, and found again anywhere."""

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

__all__ = ["HostArray", "class_numbers", "labels", "place"]

HostArray: TypeAlias = np.ndarray[Any, Any]


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
