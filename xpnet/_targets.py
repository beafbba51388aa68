"""What the labels are: how they enter the loss, and how outputs turn back into them.

One small frozen class for each kind of target that a classifier knows, all with the
same face: `classes_`, `n_outputs` and `out_activation`, ``encode`` (on the host),
``loss``, and, from the network's outputs, ``log_proba``, ``proba`` and ``predict``.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from xpnet._namespace import (
    array_namespace,
    asarray_like,
    device,
    is_array_api_obj,
    row_argmax,
    supports_dtype,
    to_numpy,
)
from xpnet._typing import Array
from xpnet.exceptions import DataError
from xpnet.functional import log_sigmoid, log_softmax, one_hot, softmax
from xpnet.losses import (
    Loss,
    multioutput_cross_entropy,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)

__all__ = [
    "Binary",
    "ClassTargets",
    "MultiOutput",
    "Multiclass",
    "Multilabel",
    "is_multilabel",
    "learn",
    "of_classes",
    "restore",
]

HostArray: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Multiclass:
    """One class of several: a softmax over the classes."""

    classes_: HostArray
    out_activation: ClassVar[str] = "softmax"
    stratify: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        """One output a class."""
        return int(self.classes_.shape[0])

    def encode(self, y: HostArray) -> HostArray:
        """Return class numbers, (n_samples,) int32."""
        return _class_numbers(self.classes_, y)

    @property
    def loss(self) -> Loss:
        """Cross-entropy with class numbers."""
        return _softmax_loss

    def log_proba(self, outputs: Array) -> Array:
        """Return the logarithms of the classes' probabilities."""
        return log_softmax(outputs)

    def proba(self, outputs: Array) -> Array:
        """Return the classes' probabilities."""
        return softmax(outputs)

    def decision(self, outputs: Array) -> Array:
        """Return the logits."""
        return outputs

    def predict(self, outputs: Array, ref: Array) -> Array:
        """Return the most probable class, where `ref` lies."""
        return _labels(self.classes_, row_argmax(outputs), ref)


@dataclass(frozen=True, eq=False)
class Binary:
    """One class of two: the logistic sigmoid of one output, for the second of them."""

    classes_: HostArray
    out_activation: ClassVar[str] = "logistic"
    stratify: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        """One output in all."""
        return 1

    def encode(self, y: HostArray) -> HostArray:
        """Return class numbers, (n_samples,) int32."""
        return _class_numbers(self.classes_, y)

    @property
    def loss(self) -> Loss:
        """Cross-entropy with class numbers."""
        return _sigmoid_loss

    def log_proba(self, outputs: Array) -> Array:
        """Return the logarithms of both probabilities."""
        xp = array_namespace(outputs)
        return log_sigmoid(xp.concat([-outputs, outputs], axis=1))

    def proba(self, outputs: Array) -> Array:
        """Return both probabilities."""
        return array_namespace(outputs).exp(self.log_proba(outputs))

    def decision(self, outputs: Array) -> Array:
        """Return the logit of the second class, (n_samples,)."""
        return outputs[:, 0]

    def predict(self, outputs: Array, ref: Array) -> Array:
        """Return the more probable class, where `ref` lies."""
        xp = array_namespace(outputs)
        return _labels(self.classes_, xp.astype(outputs[:, 0] > 0.0, xp.int32), ref)


@dataclass(frozen=True, eq=False)
class Multilabel:
    """Any number of labels: a logistic sigmoid for each."""

    classes_: HostArray
    out_activation: ClassVar[str] = "logistic"
    stratify: ClassVar[bool] = False

    @property
    def n_outputs(self) -> int:
        """One output a label."""
        return int(self.classes_.shape[0])

    def encode(self, y: HostArray) -> HostArray:
        """Return the indicator matrix, (n_samples, n_labels) bool."""
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            msg = (
                f"Expected an indicator matrix of {self.n_outputs} labels, got y of "
                f"shape {y.shape}."
            )
            raise DataError(msg)
        return y.astype(bool)

    @property
    def loss(self) -> Loss:
        """Cross-entropy with the indicator matrix."""
        return _sigmoid_loss

    def log_proba(self, outputs: Array) -> Array:
        """Return the logarithm of each label's probability."""
        return log_sigmoid(outputs)

    def proba(self, outputs: Array) -> Array:
        """Return each label's probability."""
        return array_namespace(outputs).exp(log_sigmoid(outputs))

    def decision(self, outputs: Array) -> Array:
        """Return the logits."""
        return outputs

    def predict(self, outputs: Array, ref: Array) -> Array:
        """Return the indicator matrix, where `ref` lies."""
        xp, present = array_namespace(ref), asarray_like(outputs > 0.0, ref)
        wide = supports_dtype(xp, device(ref), "int64")
        return xp.astype(present, xp.int64 if wide else xp.int32)


@dataclass(frozen=True, eq=False)
class MultiOutput:
    """Several outputs, one class of several in each: a softmax over each block."""

    outputs: tuple[Multiclass, ...]
    out_activation: ClassVar[str] = "softmax"
    stratify: ClassVar[bool] = False

    @property
    def classes_(self) -> list[HostArray]:
        """The classes of each output."""
        return [output.classes_ for output in self.outputs]

    @property
    def n_outputs(self) -> int:
        """One output a class, over all."""
        return sum(output.n_outputs for output in self.outputs)

    def encode(self, y: HostArray) -> HostArray:
        """Return class numbers, (n_samples, n_outputs) int32."""
        if y.ndim != 2 or y.shape[1] != len(self.outputs):
            msg = (
                f"Expected labels of {len(self.outputs)} outputs a sample, got y of "
                f"shape {y.shape}."
            )
            raise DataError(msg)
        columns = zip(self.outputs, y.T, strict=True)
        return np.stack([output.encode(column) for output, column in columns], axis=1)

    @property
    def loss(self) -> Loss:
        """Sum of the outputs' cross-entropies."""
        n_classes = tuple(output.n_outputs for output in self.outputs)
        return partial(multioutput_cross_entropy, n_classes=n_classes)

    def _blocks(self, outputs: Array) -> list[Array]:
        stops = np.cumsum([output.n_outputs for output in self.outputs]).tolist()
        starts = [0, *stops[:-1]]
        return [outputs[:, a:b] for a, b in zip(starts, stops, strict=True)]

    def log_proba(self, outputs: Array) -> list[Array]:
        """Return the logarithms of the classes' probabilities, for each output."""
        return [log_softmax(block) for block in self._blocks(outputs)]

    def proba(self, outputs: Array) -> list[Array]:
        """Return the classes' probabilities, for each output."""
        return [softmax(block) for block in self._blocks(outputs)]

    def decision(self, outputs: Array) -> list[Array]:
        """Return the logits, for each output."""
        return self._blocks(outputs)

    def predict(self, outputs: Array, ref: Array) -> Array:
        """Return the most probable class of each output, where `ref` lies."""
        blocks = zip(self.outputs, self._blocks(outputs), strict=True)
        columns = [output.predict(block, ref) for output, block in blocks]
        return array_namespace(columns[0]).stack(columns, axis=1)


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
    return of_classes(np.unique(y if classes is None else np.asarray(classes)))


def restore(
    classes: HostArray | list[HostArray], n_outputs: int, out_activation: str
) -> ClassTargets:
    """Return the targets that a fitted classifier's attributes describe.

    Parameters
    ----------
    classes : ndarray, or list of them
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


def _class_numbers(classes: HostArray, y: HostArray) -> HostArray:
    if y.ndim != 1:
        msg = f"Expected one label a sample, got y of shape {y.shape}."
        raise DataError(msg)
    codes = np.minimum(np.searchsorted(classes, y), classes.shape[0] - 1)
    if not np.array_equal(classes[codes], y):
        msg = (
            f"`y` has classes not in `self.classes_`: `self.classes_` has {classes}, "
            f"and `y` has {np.setdiff1d(y, classes)} too."
        )
        raise DataError(msg)
    return np.asarray(codes, dtype=np.int32)


def _labels(classes: HostArray, codes: Array, ref: Array) -> Array:
    """Look up the classes of the given numbers, in the namespace of `ref`."""
    if classes.dtype.kind not in "biuf":  # strings live on the host
        return np.take(classes, to_numpy(codes))
    table, codes = asarray_like(classes, ref), asarray_like(codes, ref)
    return array_namespace(ref).take(table, codes, axis=0)


def _softmax_loss(
    logits: Array,
    codes: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    targets = one_hot(codes, logits.shape[1], logits.dtype)
    return softmax_cross_entropy(logits, targets, weights, out=out)


def _sigmoid_loss(
    logits: Array,
    codes: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    targets = array_namespace(codes).astype(codes, logits.dtype)
    if targets.ndim == 1:
        targets = targets[:, None]
    return sigmoid_cross_entropy(logits, targets, weights, out=out)
