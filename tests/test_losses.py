"""Losses against scikit-learn and SciPy, and where they must stay finite.

Their gradients are checked in ``test_gradients.py``.
"""

import numpy as np
import pytest
import scipy.special
from problems import WRITING
from sklearn.metrics import log_loss, mean_squared_error
from tolerances import ELEMENTWISE, EXACT, ONE_PASS

from xpnet import Backend
from xpnet.losses import (
    Loss,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from xpnet.testing import assert_close

LOSSES = [softmax_cross_entropy, sigmoid_cross_entropy, squared_error]

by_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)


@pytest.fixture
def logits(rng: np.random.Generator) -> np.ndarray:
    return 3.0 * rng.normal(size=(6, 3))


@pytest.fixture
def classes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(3, size=6)


def scalar(backend: Backend, x: float) -> np.ndarray:
    return backend.asarray(np.asarray([x]))[0]


def test_softmax_cross_entropy_is_log_loss(
    backend: Backend, logits: np.ndarray, classes: np.ndarray
) -> None:
    probs = scipy.special.softmax(logits, axis=1)
    targets = np.eye(3)[classes]
    loss, d_logits = softmax_cross_entropy(
        backend.asarray(logits), backend.asarray(targets)
    )
    desired = log_loss(classes, probs, labels=[0, 1, 2])
    assert_close(loss, scalar(backend, desired), factor=ONE_PASS)
    d_desired = backend.asarray((probs - targets) / 6)
    assert_close(d_logits, d_desired, factor=ONE_PASS)


def test_targets_may_be_probabilities(
    backend: Backend, logits: np.ndarray, rng: np.random.Generator
) -> None:
    targets = rng.dirichlet(np.ones(3), size=6)
    loss, _ = softmax_cross_entropy(backend.asarray(logits), backend.asarray(targets))
    desired = -(targets * scipy.special.log_softmax(logits, axis=1)).sum() / 6
    assert_close(loss, scalar(backend, desired), factor=ONE_PASS)


def test_sigmoid_cross_entropy_is_log_loss_summed_over_outputs(
    backend: Backend, logits: np.ndarray, rng: np.random.Generator
) -> None:
    probs = scipy.special.expit(logits)
    targets = rng.integers(2, size=(6, 3)).astype(float)
    loss, d_logits = sigmoid_cross_entropy(
        backend.asarray(logits), backend.asarray(targets)
    )
    desired = sum(
        log_loss(y, p, labels=[0, 1]) for y, p in zip(targets.T, probs.T, strict=True)
    )
    assert_close(loss, scalar(backend, desired), factor=ONE_PASS)
    d_desired = backend.asarray((probs - targets) / 6)
    assert_close(d_logits, d_desired, factor=ONE_PASS)


def test_two_classes_by_sigmoid_and_by_softmax_are_one(
    backend: Backend, logits: np.ndarray, rng: np.random.Generator
) -> None:
    Z, y = logits[:, :1], rng.integers(2, size=6)
    by_sigmoid, dZ = sigmoid_cross_entropy(
        backend.asarray(Z), backend.asarray(y[:, None], "float64")
    )
    by_softmax, d_logits = softmax_cross_entropy(
        backend.asarray(np.hstack([0.0 * Z, Z])), backend.asarray(np.eye(2)[y])
    )
    assert_close(by_sigmoid, by_softmax, factor=ONE_PASS)
    assert_close(dZ, d_logits[:, 1:], factor=ONE_PASS)


def test_squared_error_is_half_the_mean(
    backend: Backend, logits: np.ndarray, rng: np.random.Generator
) -> None:
    targets = rng.normal(size=(6, 3))
    loss, d_outputs = squared_error(backend.asarray(logits), backend.asarray(targets))
    desired = 0.5 * mean_squared_error(targets, logits)
    assert_close(loss, scalar(backend, desired), factor=ONE_PASS)
    d_desired = backend.asarray((logits - targets) / 18)
    assert_close(d_outputs, d_desired, factor=ONE_PASS)


@by_loss
def test_losses_are_means_over_samples(
    loss: Loss, backend: Backend, logits: np.ndarray
) -> None:
    """Twice the same samples: the same loss, half the gradient for each."""
    Z = backend.asarray(logits)
    Y = backend.xp.zeros_like(Z) + 1.0 / 3.0
    twice = [backend.xp.concat([x, x], axis=0) for x in (Z, Y)]
    value, dZ = loss(Z, Y)
    value_twice, dZ_twice = loss(*twice)
    assert_close(value_twice, value, factor=ONE_PASS)
    assert_close(2.0 * dZ_twice[:6, :], dZ, factor=ELEMENTWISE)


@by_loss
@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_the_gradient_may_overwrite_the_logits(
    loss: Loss, backend: Backend, logits: np.ndarray, classes: np.ndarray
) -> None:
    Z, Y = backend.asarray(logits), backend.asarray(np.eye(3)[classes])
    value, dZ = loss(Z, Y)
    value_out, dZ_out = loss(Z, Y, out=Z)
    assert dZ_out is Z
    assert_close(value_out, value, factor=EXACT)
    assert_close(dZ_out, dZ, factor=EXACT)
    assert_close(Y, backend.asarray(np.eye(3)[classes]), factor=EXACT)


@pytest.mark.parametrize(
    ("loss", "logits", "targets", "value", "d_logits"),
    [
        (
            softmax_cross_entropy,
            [[1e4, -1e4], [1e4, -1e4]],
            [[1.0, 0.0], [0.0, 1.0]],
            1e4,
            [[0.0, 0.0], [0.5, -0.5]],
        ),
        (
            sigmoid_cross_entropy,
            [[1e4], [-1e4], [1e4], [-1e4]],
            [[1.0], [0.0], [0.0], [1.0]],
            5e3,
            [[0.0], [0.0], [0.25], [-0.25]],
        ),
    ],
)
def test_sure_and_right_costs_nothing_sure_and_wrong_is_finite(
    loss: Loss,
    logits: list[list[float]],
    targets: list[list[float]],
    value: float,
    d_logits: list[list[float]],
    backend: Backend,
    dtype: str,
) -> None:
    actual, d_actual = loss(
        backend.asarray(logits, dtype), backend.asarray(targets, dtype)
    )
    assert_close(actual, backend.asarray([value], dtype)[0], factor=EXACT)
    assert_close(d_actual, backend.asarray(d_logits, dtype), factor=EXACT)
