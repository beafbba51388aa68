"""Kinds of labels: several a sample, and several classes in each of several outputs."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.metrics import accuracy_score
from tolerances import ELEMENTWISE, EXACT, FITTED, ONE_PASS, REGRESSED

from xpnet import Backend, MLPClassifier
from xpnet._namespace import dtype_name, to_numpy
from xpnet._targets import Binary, Multiclass, Multilabel, MultiOutput, learn, restore
from xpnet.exceptions import DataError
from xpnet.testing import assert_close

pytestmark = pytest.mark.filterwarnings(
    "ignore:Stochastic Optimizer", "ignore:lbfgs failed"
)


def quick(**parameters: Any) -> MLPClassifier:
    """Return a classifier that trains for three epochs."""
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
    return MLPClassifier(**(defaults | parameters))


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(90, 4))


@pytest.fixture
def labels(X: np.ndarray) -> np.ndarray:
    """An indicator matrix: none, some or all of three labels."""
    return (X[:, :3] + 0.5 * X[:, 1:] > 0.3) + 0


@pytest.fixture
def outputs(X: np.ndarray) -> np.ndarray:
    """Three classes in one output, two in the other."""
    first = np.digitize(X[:, 0], [-0.4, 0.4])
    return np.stack([first, 5 + 2 * (X[:, 1] > 0)], axis=1)


NAMES = np.asarray(["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"])


# -------------------------------------------------------------------------- multilabel


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_labels_are_learnt(
    solver: str, backend: Backend, X: np.ndarray, labels: np.ndarray
) -> None:
    here = backend.asarray(X)
    clf = quick(solver=solver, max_iter=150)
    clf.set_params(**({} if solver == "lbfgs" else {"learning_rate_init": 0.03}))
    clf.fit(here, backend.asarray(labels))
    assert (clf.n_outputs_, clf.out_activation_) == (3, "logistic")
    np.testing.assert_array_equal(to_numpy(clf.classes_), [0, 1, 2])
    predicted = clf.predict(here)
    assert backend.holds(predicted)
    assert dtype_name(predicted.dtype) == "int64"
    assert clf.score(here, backend.asarray(labels)) > 0.9
    assert clf.score(here, labels) == accuracy_score(labels, to_numpy(predicted))


def test_labels_have_a_probability_each(
    backend: Backend, X: np.ndarray, labels: np.ndarray
) -> None:
    here = backend.asarray(X)
    clf = quick().fit(here, labels)
    logits, probs = clf.decision_function(here), clf.predict_proba(here)
    sigmoid = 1.0 / (1.0 + backend.xp.exp(-logits))
    assert_close(probs, sigmoid, factor=ELEMENTWISE)
    assert_close(clf.predict_log_proba(here), backend.xp.log(probs), factor=ONE_PASS)
    at_least_half = backend.xp.astype(logits > 0.0, backend.xp.int64)
    assert_close(clf.predict(here), at_least_half, factor=EXACT)


def test_sparse_labels(X: np.ndarray, labels: np.ndarray) -> None:
    desired = quick().fit(X, labels)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        clf = quick().fit(X, form(labels))
        assert_close(clf.coefs_[0], desired.coefs_[0], factor=EXACT)
        assert clf.score(X, form(labels)) == desired.score(X, labels)


def test_another_number_of_labels(X: np.ndarray, labels: np.ndarray) -> None:
    clf = quick().fit(X, labels)
    with pytest.raises(DataError, match="indicator matrix of 3 labels"):
        clf.partial_fit(X, labels[:, :2])


# ------------------------------------------------------------------- several of several


def test_outputs_are_learnt(
    backend: Backend, X: np.ndarray, outputs: np.ndarray
) -> None:
    here = backend.asarray(X)
    clf = quick(max_iter=150, learning_rate_init=0.03)
    clf.fit(here, backend.asarray(outputs))
    assert (clf.n_outputs_, clf.out_activation_) == (5, "softmax")
    for classes, expected in zip(clf.classes_, [[0, 1, 2], [5, 7]], strict=True):
        np.testing.assert_array_equal(to_numpy(classes), expected)
    predicted = clf.predict(here)
    assert backend.holds(predicted)
    right = np.all(to_numpy(predicted) == outputs, axis=1)
    assert clf.score(here, backend.asarray(outputs)) == np.mean(right)
    assert np.mean(right) > 0.9


def test_outputs_have_probabilities_each(
    backend: Backend, X: np.ndarray, outputs: np.ndarray
) -> None:
    """Lists of one array an output, whose rows sum to 1."""
    here = backend.asarray(X)
    clf = quick().fit(here, outputs)
    logits, logs = clf.decision_function(here), clf.predict_log_proba(here)
    probs = clf.predict_proba(here)
    for answer in (logits, logs, probs):
        assert [tuple(block.shape) for block in answer] == [(90, 3), (90, 2)]
        assert all(map(backend.holds, answer))
    for i, block in enumerate(probs):
        sums = backend.xp.sum(block, axis=1)
        assert_close(sums, 0.0 * sums + 1.0, factor=ELEMENTWISE)
        assert_close(backend.xp.exp(logs[i]), block, factor=ELEMENTWISE)
        codes = to_numpy(backend.xp.argmax(block, axis=1))
        np.testing.assert_array_equal(
            to_numpy(clf.predict(here))[:, i], to_numpy(clf.classes_[i])[codes]
        )


def test_outputs_of_strings(
    backend: Backend, X: np.ndarray, outputs: np.ndarray
) -> None:
    """They stay on the host, wherever X is."""
    here = backend.asarray(X)
    clf = quick().fit(here, NAMES[outputs])
    predicted = clf.predict(here)
    np.testing.assert_array_equal(
        predicted, NAMES[to_numpy(quick().fit(here, outputs).predict(here))]
    )
    assert clf.score(here, NAMES[outputs]) == np.mean(
        np.all(predicted == NAMES[outputs], axis=1)
    )


def test_outputs_next_to_each_other_are_independent_but_for_the_hidden_layer(
    X: np.ndarray, outputs: np.ndarray
) -> None:
    """Without one, it is a classifier for each: here of the first."""
    options = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 0.0, "tol": 1e-9}
    noisy = outputs.copy()
    noisy[::4] = outputs[::-4][: len(noisy[::4])]  # or the weights would grow for ever
    both = quick(max_iter=500, **options).fit(X, noisy)
    alone = quick(max_iter=500, **options).fit(X, noisy[:, 0])
    np.testing.assert_allclose(
        both.predict_proba(X)[0], alone.predict_proba(X), rtol=REGRESSED
    )


@pytest.mark.parametrize("options", [{"early_stopping": True}, {"solver": "lbfgs"}])
def test_outputs_with_everything_else(
    options: dict[str, Any], backend: Backend, X: np.ndarray, outputs: np.ndarray
) -> None:
    weights = np.arange(90.0)
    settings = {"class_weight": "balanced", **options}
    clf = quick(**settings).fit(backend.asarray(X), outputs, sample_weight=weights)
    desired = quick(**settings).fit(X, outputs, sample_weight=weights)
    assert_close(to_numpy(clf.coefs_[0]), desired.coefs_[0], factor=FITTED)


# ---------------------------------------------------------------------- what they are


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([0, 1, 1], Binary),
        (["b", "a", "b"], Binary),
        ([True, False, True], Binary),
        ([0.0, 1.0, 2.0], Multiclass),
        (["a", "b", "c"], Multiclass),
        ([[0, 1], [1, 1]], Multilabel),
        ([[0, 1], [2, 1]], MultiOutput),
        ([["a", "b"], ["c", "b"]], MultiOutput),
    ],
)
def test_kinds(y: Any, kind: type) -> None:
    y = np.asarray(y)
    targets = learn(y)
    assert type(targets) is kind
    again = restore(targets.classes_, targets.n_outputs, targets.out_activation)
    assert type(again) is kind
    np.testing.assert_array_equal(again.encode(y), targets.encode(y))


@pytest.mark.parametrize("y", [[0.5, 1.5, 2.5], [[0.5, 1.0], [1.0, 2.0]]])
def test_numbers_are_no_labels(y: Any) -> None:
    with pytest.raises(ValueError, match="Unknown label type"):
        learn(np.asarray(y))


def test_a_class_that_was_not_there(X: np.ndarray, outputs: np.ndarray) -> None:
    clf = quick().fit(X, outputs)
    with pytest.raises(DataError, match="has classes not in"):
        clf.partial_fit(X, outputs + 1)
