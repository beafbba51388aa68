"""From a network's outputs to what its estimator answers: labels, probabilities, numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from xpnet._namespace import to_numpy
from xpnet._targets import Binary, ClassTargets, Multiclass, Multilabel, MultiOutput
from xpnet._typing import Array
from xpnet._validation import HostArray
from xpnet.exceptions import OnnxExportError
from xpnet.onnx._graph import Graph

__all__ = ["Output", "add_labels", "add_numbers"]


class Output(NamedTuple):
    """What a graph answers, by the name that skl2onnx gives it."""

    name: str
    dtype: str
    """A key of :data:`xpnet.onnx._graph.ELEMENT_TYPES`."""
    shape: tuple[int, ...]
    """Without the first axis, that of the samples."""
    is_sequence: bool = False
    """Whether it is a sequence of matrices, each with a number of columns of its own."""


def add_numbers(
    graph: Graph, n_outputs: int, means: str, variable: str, *, is_log: bool
) -> list[Output]:
    """Add what a regressor predicts.

    Parameters
    ----------
    graph : Graph
        Where to.
    n_outputs : int
        How many there are.
    means, variable : str
        Names of the network's outputs for them, and of the answer.
    is_log : bool
        Whether they are logarithms of what is predicted.

    Returns
    -------
    list of Output
        ``variable``.
    """
    graph.add("Exp" if is_log else "Identity", means, into=variable)
    return [Output("variable", graph.dtype, (n_outputs,))]


def add_labels(
    graph: Graph, targets: ClassTargets, logits: str, label: str, probs: str
) -> list[Output]:
    """Add what a classifier predicts.

    Parameters
    ----------
    graph : Graph
        Where to.
    targets : ClassTargets
        What the outputs stand for.
    logits, label, probs : str
        Names of the network's outputs and of the two answers.

    Returns
    -------
    list of Output
        ``label`` and ``probabilities``.

    Raises
    ------
    OnnxExportError
        ONNX has no such labels.
    """
    return _KINDS[type(targets)](graph, targets, logits, label, probs)


def _add_binary(
    graph: Graph, targets: Binary, logits: str, label: str, probs: str
) -> list[Output]:
    both = graph.add("Concat", graph.add("Neg", logits), logits, axis=1)
    graph.add("Sigmoid", both, into=probs)
    second = graph.cast(graph.add("Greater", logits, 0.0), "int64")
    second = graph.add("Reshape", second, graph.constant([-1], "int64"))
    return _one_label(graph, targets, second, label)


def _add_multiclass(
    graph: Graph, targets: Multiclass, logits: str, label: str, probs: str
) -> list[Output]:
    graph.add("Softmax", logits, axis=1, into=probs)
    best = graph.add("ArgMax", logits, axis=1, keepdims=0)
    return _one_label(graph, targets, best, label)


def _one_label(
    graph: Graph, targets: Binary | Multiclass, number: str, label: str
) -> list[Output]:
    classes, dtype = _exportable(targets.classes_)
    graph.add("Gather", graph.constant(classes, dtype), number, axis=0, into=label)
    return [
        Output("label", dtype, ()),
        Output("probabilities", graph.dtype, (len(classes),)),
    ]


def _add_multilabel(
    graph: Graph, targets: Multilabel, logits: str, label: str, probs: str
) -> list[Output]:
    graph.add("Sigmoid", logits, into=probs)
    graph.cast(graph.add("Greater", logits, 0.0), "int64", into=label)
    shape = (targets.n_outputs,)
    return [
        Output("label", "int64", shape),
        Output("probabilities", graph.dtype, shape),
    ]


def _add_multi_output(
    graph: Graph, targets: MultiOutput, logits: str, label: str, probs: str
) -> list[Output]:
    labels, blocks, dtypes, start = [], [], set(), 0
    for each in targets.classes_:
        classes, dtype = _exportable(each)
        block = graph.columns(logits, start, start + len(classes))
        best = graph.add("ArgMax", block, axis=1, keepdims=1)
        table = graph.constant(classes, dtype)
        labels.append(graph.add("Gather", table, best, axis=0))
        blocks.append(graph.add("Softmax", block, axis=1))
        dtypes.add(dtype)
        start += len(classes)
    if len(dtypes) > 1:
        msg = (
            "Labels are strings in some outputs and numbers in others; an ONNX tensor "
            "holds the one or the other. Train with one kind of labels to export."
        )
        raise OnnxExportError(msg)
    graph.add("Concat", *labels, axis=1, into=label)
    graph.add("SequenceConstruct", *blocks, into=probs)
    return [
        Output("label", dtypes.pop(), (len(labels),)),
        Output("probabilities", graph.dtype, (), is_sequence=True),
    ]


_KINDS: dict[type, Callable[..., list[Output]]] = {
    Binary: _add_binary,
    Multiclass: _add_multiclass,
    Multilabel: _add_multilabel,
    MultiOutput: _add_multi_output,
}


def _exportable(classes: Array) -> tuple[HostArray, str]:
    """Return classes as skl2onnx has them, whole numbers or strings, and their dtype."""
    classes = to_numpy(classes)
    kind = classes.dtype.kind
    if kind == "U":
        return classes, "str"
    # Numbers that are no whole ones can't be labels; uint64 may be out of range.
    if kind in "biuf" and np.array_equal(classes.astype(np.int64), classes):
        return classes, "int64"
    msg = (
        f"The labels are of dtype {classes.dtype}; as labels ONNX has strings and whole "
        "numbers of 64 bits. Train with labels of these kinds to export."
    )
    raise OnnxExportError(msg)
