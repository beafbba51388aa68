"""The layers' mathematics against SciPy, at its edges, and with ``out=``.

That gradients are gradients is shown in ``test_gradients.py``, and that every function
keeps place, dtype and inputs in ``test_backend_consistency.py``.
"""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
from problems import WRITING
from scipy.special import expit
from tolerances import ELEMENTWISE, EXACT

from xpnet import Backend
from xpnet._namespace import empty_like
from xpnet.functional import (
    ACTIVATIONS,
    log_sigmoid,
    log_softmax,
    log_softmax_backward,
    logistic,
    one_hot,
    relu,
    relu_backward,
    softmax,
    softmax_backward,
    softmax_jacobian,
)
from xpnet.testing import assert_close

on_writing_backends = pytest.mark.parametrize("backend", WRITING, indirect=True)

EXTREMES = np.asarray([-1e4, -800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0, 1e4])
"""Logits at which a naive exponential overflows, vanishes or rounds away."""

SELU = 1.0507009873554804934, 1.6732632423543772848
GELU = np.sqrt(2.0 / np.pi)


def elu(Z: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(Z > 0.0, Z, alpha * np.expm1(np.minimum(Z, 0.0)))


def gelu_argument(Z: np.ndarray) -> np.ndarray:
    return GELU * (Z + 0.044715 * Z**3)


ORACLES: dict[Callable, Callable] = {
    ACTIVATIONS["identity"].forward: lambda Z: Z,
    ACTIVATIONS["logistic"].forward: scipy.special.expit,
    ACTIVATIONS["tanh"].forward: np.tanh,
    ACTIVATIONS["relu"].forward: lambda Z: np.where(Z > 0.0, Z, 0.0),
    ACTIVATIONS["leaky_relu"].forward: lambda Z: np.where(Z > 0.0, Z, 0.01 * Z),
    ACTIVATIONS["elu"].forward: elu,
    ACTIVATIONS["selu"].forward: lambda Z: SELU[0] * elu(Z, SELU[1]),
    ACTIVATIONS["softplus"].forward: lambda Z: np.logaddexp(Z, 0.0),
    ACTIVATIONS["gelu"].forward: lambda Z: Z * expit(2.0 * gelu_argument(Z)),
    ACTIVATIONS["silu"].forward: lambda Z: Z * expit(Z),
    ACTIVATIONS["mish"].forward: lambda Z: Z * np.tanh(np.logaddexp(Z, 0.0)),
    softmax: lambda Z: scipy.special.softmax(Z, axis=1),
    log_softmax: lambda Z: scipy.special.log_softmax(Z, axis=1),
    log_sigmoid: scipy.special.log_expit,
}

DERIVATIVES = {
    "identity": np.ones_like,
    "logistic": lambda Z: expit(Z) * expit(-Z),
    "tanh": lambda Z: 1.0 / np.cosh(Z) ** 2,
    "relu": lambda Z: np.where(Z > 0.0, 1.0, 0.0),
    "leaky_relu": lambda Z: np.where(Z > 0.0, 1.0, 0.01),
    "elu": lambda Z: np.where(Z > 0.0, 1.0, np.exp(Z)),
    "selu": lambda Z: SELU[0] * np.where(Z > 0.0, 1.0, SELU[1] * np.exp(Z)),
    "softplus": expit,
    "gelu": lambda Z: (
        expit(2.0 * gelu_argument(Z))
        + Z * GELU * (1.0 + 0.134145 * Z**2) / (2.0 * np.cosh(gelu_argument(Z)) ** 2)
    ),
    "silu": lambda Z: expit(Z) + Z * expit(Z) * expit(-Z),
    "mish": lambda Z: (
        np.tanh(np.logaddexp(Z, 0.0))
        + Z * expit(Z) / np.cosh(np.logaddexp(Z, 0.0)) ** 2
    ),
}
"""g'(Z)."""


@pytest.mark.parametrize("function", ORACLES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_values(
    function: Callable, scale: float, backend: Backend, rng: np.random.Generator
) -> None:
    Z = scale * rng.normal(size=(5, 4))
    actual = function(backend.asarray(Z))
    assert_close(actual, backend.asarray(ORACLES[function](Z)), factor=ELEMENTWISE)


@pytest.mark.parametrize("function", ORACLES, ids=lambda f: f.__name__)
def test_extremes(function: Callable, backend: Backend, dtype: str) -> None:
    Z = np.stack([EXTREMES, EXTREMES[::-1]], axis=1).astype(dtype)
    desired = ORACLES[function](Z.astype(np.float64))
    assert np.all(np.isfinite(desired))
    actual = function(backend.asarray(Z))
    assert_close(actual, backend.asarray(desired, dtype), factor=ELEMENTWISE)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives(name: str, backend: Backend, rng: np.random.Generator) -> None:
    Z, dA = rng.normal(size=(2, 5, 4))
    activation = ACTIVATIONS[name]
    saved = Z if activation.saves_input else ORACLES[activation.forward](Z)
    actual = activation.backward(backend.asarray(dA), backend.asarray(saved))
    desired = backend.asarray(dA * DERIVATIVES[name](Z))
    assert_close(actual, desired, factor=ELEMENTWISE)


@on_writing_backends
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_write_into_out(
    name: str, backend: Backend, rng: np.random.Generator
) -> None:
    Z, dA = (backend.asarray(x) for x in rng.normal(size=(2, 5, 4)))
    forward, backward, saves_input, _ = ACTIVATIONS[name]
    A = forward(Z)
    saved = backend.xp.asarray(Z, copy=True) if saves_input else A
    dZ = backward(dA, saved)
    out = empty_like(Z, Z.shape)
    assert_close(forward(Z, out=out), A, factor=EXACT)
    assert_close(backward(dA, saved, out=out), dZ, factor=EXACT)
    # In place, as the network uses them: dZ over dA, and A over Z where it may be.
    assert_close(backward(dA, saved, out=dA), dZ, factor=EXACT)
    if not saves_input:
        assert_close(forward(Z, out=Z), A, factor=EXACT)


@on_writing_backends
def test_log_softmax_writes_into_out(
    backend: Backend, rng: np.random.Generator
) -> None:
    logits = backend.asarray(rng.normal(size=(5, 4)))
    desired = log_softmax(logits)
    assert log_softmax(logits, out=logits) is logits
    assert_close(logits, desired, factor=EXACT)


def test_relu_at_zero_and_infinity(backend: Backend) -> None:
    Z = backend.asarray(np.asarray([-np.inf, -0.0, 0.0, np.inf]))
    A = backend.asarray(np.asarray([0.0, 0.0, 0.0, np.inf]))
    assert_close(relu(Z), A, factor=EXACT)
    dA = backend.asarray(np.ones(4))
    desired = backend.asarray(np.asarray([0.0, 0.0, 0.0, 1.0]))
    assert_close(relu_backward(dA, relu(Z)), desired, factor=EXACT)


# ----------------------------------------------------------------------------- softmax


def test_rows_have_their_own_maximum(backend: Backend) -> None:
    """One maximum over the batch makes 0 / 0 of the second sample."""
    logits = np.asarray([[1000.0, 999.0], [0.0, -1.0]])
    batch_powers = np.exp(logits - logits.max())
    with np.errstate(invalid="ignore"):
        naive = batch_powers / batch_powers.sum(axis=1, keepdims=True)
    assert np.all(np.isnan(naive[1]))

    row = scipy.special.expit([1.0, -1.0])
    desired = backend.asarray(np.asarray([row, row]))
    logits = backend.asarray(logits)
    assert_close(softmax(logits), desired, factor=ELEMENTWISE)
    assert_close(backend.xp.exp(log_softmax(logits)), desired, factor=ELEMENTWISE)


def test_softmax_does_not_see_a_constant(
    backend: Backend, rng: np.random.Generator
) -> None:
    logits = rng.integers(-9, 9, size=(5, 4)).astype(float)
    shifted = logits + np.asarray([[1e3], [-1e3], [0.0], [7.0], [1e6]])
    actual, desired = (softmax(backend.asarray(x)) for x in (shifted, logits))
    assert_close(actual, desired, factor=EXACT)


def test_jacobian_is_diag_a_minus_a_aT(
    backend: Backend, rng: np.random.Generator
) -> None:
    probs = rng.dirichlet(np.ones(4), size=3)
    desired = np.stack([np.diag(a) - np.outer(a, a) for a in probs])
    actual = softmax_jacobian(backend.asarray(probs))
    assert_close(actual, backend.asarray(desired), factor=ELEMENTWISE)


def test_softmax_backward_applies_the_jacobian(
    backend: Backend, rng: np.random.Generator
) -> None:
    probs, d_probs = rng.dirichlet(np.ones(4), size=3), rng.normal(size=(3, 4))
    probs, d_probs = backend.asarray(probs), backend.asarray(d_probs)
    product = backend.xp.matmul(softmax_jacobian(probs), d_probs[:, :, None])
    actual = softmax_backward(d_probs, probs)
    assert_close(actual, product[:, :, 0], factor=ELEMENTWISE)


def test_log_softmax_backward_follows_softmax_backward(
    backend: Backend, rng: np.random.Generator
) -> None:
    """Of L(softmax(Z)) and of L(exp(log_softmax(Z))), the gradient is the same."""
    logits, d_probs = (backend.asarray(x) for x in rng.normal(size=(2, 5, 4)))
    probs = softmax(logits)
    actual = log_softmax_backward(d_probs * probs, log_softmax(logits))
    assert_close(actual, softmax_backward(d_probs, probs), factor=ELEMENTWISE)


def test_log_sigmoid_is_the_softmax_of_two(backend: Backend) -> None:
    Z = backend.asarray(EXTREMES)
    pair = backend.xp.stack([Z, backend.xp.zeros_like(Z)], axis=1)
    assert_close(log_sigmoid(Z), log_softmax(pair)[:, 0], factor=ELEMENTWISE)


def test_logistic_stays_a_probability(backend: Backend, dtype: str) -> None:
    A = logistic(backend.asarray(EXTREMES, dtype))
    xp = backend.xp
    assert bool(xp.all((A >= 0.0) & (A <= 1.0)))
    assert_close(A + xp.flip(A), xp.ones_like(A), factor=ELEMENTWISE)


# ----------------------------------------------------------------------------- one-hot


@pytest.mark.parametrize("kind", ["int32", "int64", "uint8"])
def test_one_hot(kind: str, backend: Backend) -> None:
    y = backend.asarray(np.asarray([2, 0, 1, 2], kind))
    actual = one_hot(y, 3, backend.xp.float64)
    desired = backend.asarray(np.eye(3)[[2, 0, 1, 2]])
    assert_close(actual, desired, factor=EXACT)


def test_a_class_that_is_none_gives_zeros(backend: Backend) -> None:
    actual = one_hot(backend.asarray(np.asarray([-1, 3])), 3, backend.xp.float64)
    assert_close(actual, backend.asarray(np.zeros((2, 3))), factor=EXACT)
