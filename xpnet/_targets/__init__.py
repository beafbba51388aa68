"""What the labels are: how they enter the loss, and how outputs turn back into them."""

from typing import Any, TypeAlias

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from xpnet._namespace import is_array_api_obj, to_numpy
from xpnet._targets._kinds import Binary, Multiclass, Multilabel, MultiOutput
from xpnet._targets._labels import HostArray, distinct, is_text, listed, place
from xpnet._typing import Array
from xpnet.exceptions import DataError

__all__ = [
    "Binary",
    "ClassTargets",
    "MultiOutput",
    "Multiclass",
    "Multilabel",
    "distinct",
    "is_multilabel",
    "is_text",
    "learn",
    "listed",
    "of_classes",
    "place",
    "restore",
]

ClassTargets: TypeAlias = Binary | Multiclass | Multilabel | MultiOutput


def is_multilabel(y: Any) -> bool:
    """Whether `y` is an indicator matrix of labels, of any library."""
    y = to_numpy(y) if is_array_api_obj(y) else y
    return bool(type_of_target(y) == "multilabel-indicator")


def learn(
    y: HostArray, classes: HostArray | list[HostArray] | None = None
) -> ClassTargets:
    """Find out what kind of targets `y` are, and their classes.

    Parameters
    ----------
    y : ndarray, shape (n_samples,) or (n_samples, n_outputs)
        Labels.
    classes : ndarray, shape (n_classes,), or list of them, optional
        All labels there are, sorted, for several outputs those of each; by default
        those that occur.

    Returns
    -------
    ClassTargets
        What encodes and decodes them.

    Raises
    ------
    ValueError
        They are no classes, or one class only.
    """
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind == "multilabel-indicator" and not isinstance(classes, list):
        return Multilabel(np.arange(y.shape[1]))
    if y.ndim == 2:
        columns = y.T if classes is None else classes
        return MultiOutput(tuple(Multiclass(np.unique(column)) for column in columns))
    return of_classes(distinct(y if classes is None else classes))


def restore(
    classes: Array | list[Array], n_outputs: int, out_activation: str
) -> ClassTargets:
    """Return the targets that a fitted classifier's attributes describe.

    Parameters
    ----------
    classes : array, or list of them
        Its `classes_`.
    n_outputs : int
        Its `n_outputs_`.
    out_activation : str
        Its `out_activation_`.

    Returns
    -------
    ClassTargets
        What :func:`learn` found.
    """
    if isinstance(classes, list):
        return MultiOutput(tuple(Multiclass(each) for each in classes))
    if out_activation == "softmax":
        return Multiclass(classes)
    return Binary(classes) if n_outputs == 1 else Multilabel(classes)


def of_classes(classes: HostArray) -> Binary | Multiclass:
    """Return targets of one class a sample.

    Parameters
    ----------
    classes : ndarray, shape (n_classes,)
        Sorted, without repetitions.

    Returns
    -------
    Binary or Multiclass
        What encodes and decodes them.

    Raises
    ------
    ValueError
        It is one class only.
    """
    if classes.shape[0] < 2:
        msg = (
            f"y holds one class only, {classes[0]!r}; a classifier needs samples of at "
            "least two classes."
        )
        raise DataError(msg)
    return Binary(classes) if classes.shape[0] == 2 else Multiclass(classes)
