"""The kinds of targets that a classifier knows, one small frozen class for each.

All have the same face: `classes_`, `n_outputs` and `out_activation`, ``encode`` and
``every_class`` (on the host), ``loss``, ``soft_loss`` with smoothed labels or mixed
samples, ``soften`` with what is mixed, and, from the network's outputs, ``log_proba``,
``proba``, ``decision`` and ``predict``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from xpnet._namespace import (
    array_namespace,
    asarray_like,
    device,
    is_numpy_array,
    row_argmax,
    supports_dtype,
    to_numpy,
)
from xpnet._targets._labels import HostArray, class_numbers, labels
from xpnet._typing import Array, DType
from xpnet.exceptions import DataError
from xpnet.functional import (
    log_sigmoid,
    log_softmax,
    one_hot,
    smooth_labels,
    softmax,
)
from xpnet.losses import (
    Loss,
    multioutput_cross_entropy,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)

__all__ = ["Binary", "MultiOutput", "Multiclass", "Multilabel"]


@dataclass(frozen=True, eq=False)
class _OneClass:
    """One class a sample."""

    classes_: Array
    stratify: ClassVar[bool] = True

    def encode(self, y: HostArray) -> HostArray:
        """Return class numbers, (n_samples,) int32."""
        return class_numbers(self.classes_, y)

    def every_class(self) -> HostArray:
        """Return labels among which each class occurs, on the host."""
        return to_numpy(self.classes_)


@dataclass(frozen=True, eq=False)
class Multiclass(_OneClass):
    """One class of several: a softmax over the classes."""

    out_activation: ClassVar[str] = "softmax"

    @property
    def n_outputs(self) -> int:
        """One output a class."""
        return int(self.classes_.shape[0])

    @property
    def loss(self) -> Loss:
        """Cross-entropy with class numbers."""
        return softmax_cross_entropy

    @property
    def _n_classes(self) -> tuple[int, ...]:
        return (self.n_outputs,)

    @property
    def soften(self) -> Callable[[Array, DType], Array]:
        """What turns class numbers into probabilities that can be mixed."""
        return partial(_one_hot_blocks, n_classes=self._n_classes)

    def soft_loss(self, smoothing: float) -> Loss:
        """Cross-entropy with class numbers, smoothed, or with mixed probabilities."""
        return partial(
            _soft_softmax_loss, n_classes=self._n_classes, smoothing=smoothing
        )

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
        return labels(self.classes_, row_argmax(outputs), ref)


@dataclass(frozen=True, eq=False)
class Binary(_OneClass):
    """One class of two: the logistic sigmoid of one output, for the second of them."""

    out_activation: ClassVar[str] = "logistic"

    @property
    def n_outputs(self) -> int:
        """One output in all."""
        return 1

    @property
    def loss(self) -> Loss:
        """Cross-entropy with class numbers."""
        return _sigmoid_loss

    @property
    def soften(self) -> Callable[[Array, DType], Array]:
        """What turns classes into probabilities that can be mixed."""
        return _columns

    def soft_loss(self, smoothing: float) -> Loss:
        """Cross-entropy with classes, smoothed, or with mixed probabilities."""
        return partial(_soft_sigmoid_loss, smoothing=smoothing)

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
        return labels(self.classes_, xp.astype(outputs[:, 0] > 0.0, xp.int32), ref)


@dataclass(frozen=True, eq=False)
class Multilabel:
    """Any number of labels: a logistic sigmoid for each."""

    classes_: Array
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

    def every_class(self) -> HostArray:
        """Return labels among which each class occurs, on the host."""
        return np.repeat([[0], [1]], self.n_outputs, axis=1)

    @property
    def loss(self) -> Loss:
        """Cross-entropy with the indicator matrix."""
        return _sigmoid_loss

    @property
    def soften(self) -> Callable[[Array, DType], Array]:
        """What turns classes into probabilities that can be mixed."""
        return _columns

    def soft_loss(self, smoothing: float) -> Loss:
        """Cross-entropy with classes, smoothed, or with mixed probabilities."""
        return partial(_soft_sigmoid_loss, smoothing=smoothing)

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
    def classes_(self) -> list[Array]:
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

    def every_class(self) -> HostArray:
        """Return labels among which each class occurs, on the host."""
        columns = [output.every_class() for output in self.outputs]
        n_rows = max(map(len, columns))
        return np.stack([np.resize(column, n_rows) for column in columns], axis=1)

    @property
    def loss(self) -> Loss:
        """Sum of the outputs' cross-entropies."""
        return partial(multioutput_cross_entropy, n_classes=self._n_classes)

    @property
    def _n_classes(self) -> tuple[int, ...]:
        return tuple(output.n_outputs for output in self.outputs)

    @property
    def soften(self) -> Callable[[Array, DType], Array]:
        """What turns class numbers into probabilities that can be mixed."""
        return partial(_one_hot_blocks, n_classes=self._n_classes)

    def soft_loss(self, smoothing: float) -> Loss:
        """Cross-entropy with class numbers, smoothed, or with mixed probabilities."""
        return partial(
            _soft_softmax_loss, n_classes=self._n_classes, smoothing=smoothing
        )

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
        # One that had to stay on the host keeps all there.
        ref = next((x for x in columns if is_numpy_array(x)), columns[0])
        columns = [asarray_like(column, ref) for column in columns]
        return array_namespace(ref).stack(columns, axis=1)


def _sigmoid_loss(
    logits: Array,
    codes: Array,
    weights: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    targets = _columns(codes, logits.dtype)
    return sigmoid_cross_entropy(logits, targets, weights, out=out)


def _columns(codes: Array, dtype: DType) -> Array:
    targets = array_namespace(codes).astype(codes, dtype)
    return targets[:, None] if targets.ndim == 1 else targets


def _one_hot_blocks(codes: Array, dtype: DType, *, n_classes: tuple[int, ...]) -> Array:
    if codes.ndim == 1:
        return one_hot(codes, n_classes[0], dtype)
    blocks = [one_hot(codes[:, i], n, dtype) for i, n in enumerate(n_classes)]
    return array_namespace(codes).concat(blocks, axis=1)


# Targets of these are class numbers still, or, mixed, numbers as the logits are.


def _soft_softmax_loss(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    n_classes: tuple[int, ...],
    smoothing: float,
    out: Array | None = None,
) -> tuple[Array, Array]:
    if targets.dtype != logits.dtype:
        targets = _one_hot_blocks(targets, logits.dtype, n_classes=n_classes)
    if len(n_classes) == 1:
        targets = smooth_labels(targets, smoothing, *n_classes)
        return softmax_cross_entropy(logits, targets, weights, out=out)
    loss, gradients, start = 0.0, [], 0
    for count in n_classes:
        block = slice(start, start + count)
        block_targets = smooth_labels(targets[:, block], smoothing, count)
        block_loss, d_block = softmax_cross_entropy(
            logits[:, block], block_targets, weights
        )
        loss = loss + block_loss
        gradients.append(d_block)
        start += count
    return loss, array_namespace(logits).concat(gradients, axis=1)


def _soft_sigmoid_loss(
    logits: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    smoothing: float,
    out: Array | None = None,
) -> tuple[Array, Array]:
    targets = smooth_labels(_columns(targets, logits.dtype), smoothing, 2)
    return sigmoid_cross_entropy(logits, targets, weights, out=out)
