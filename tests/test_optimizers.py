"""Each optimiser against its formula, written out step by step in NumPy.

torch's and scikit-learn's own optimisers are met in ``test_reference.py``.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from problems import WRITING
from tolerances import EXACT, TEN_STEPS

from xpnet import Backend
from xpnet._typing import Array
from xpnet.optimizers import SGD, Adam, AdamW, Optimizer
from xpnet.testing import assert_close
from xpnet.training import step_coefficients

RATE = 0.1

Steps = Iterator[np.ndarray]


def sgd(p: np.ndarray, gradients: np.ndarray) -> Steps:
    for g in gradients:
        p = p - RATE * g
        yield p


def momentum(p: np.ndarray, gradients: np.ndarray) -> Steps:
    v = np.zeros_like(p)
    for g in gradients:
        v = 0.8 * v - RATE * g
        p = p + v
        yield p


def nesterov(p: np.ndarray, gradients: np.ndarray) -> Steps:
    v = np.zeros_like(p)
    for g in gradients:
        v = 0.8 * v - RATE * g
        p = p + 0.8 * v - RATE * g
        yield p


def adam(p: np.ndarray, gradients: np.ndarray, decay: float = 0.0) -> Steps:
    """Algorithm 1 of the paper, its epsilon scaled as section 2 ends: ε √(1 - β₂ᵗ)."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        m = 0.7 * m + 0.3 * g
        v = 0.9 * v + 0.1 * g**2
        m_hat, v_hat = m / (1.0 - 0.7**t), v / (1.0 - 0.9**t)
        epsilon = 0.01 / np.sqrt(1.0 - 0.9**t)
        p = (1.0 - RATE * decay) * p - RATE * m_hat / (np.sqrt(v_hat) + epsilon)
        yield p


def adamw(p: np.ndarray, gradients: np.ndarray) -> Steps:
    yield from adam(p, gradients, decay=0.5)


ADAM = {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01}

OPTIMIZERS: dict[str, tuple[Optimizer, Callable[..., Steps]]] = {
    "sgd": (SGD(momentum=0.0), sgd),
    "momentum": (SGD(momentum=0.8, nesterov=False), momentum),
    "nesterov": (SGD(momentum=0.8), nesterov),
    "adam": (Adam(**ADAM), adam),
    "adamw": (AdamW(**ADAM, weight_decay=0.5), adamw),
}

by_name = pytest.mark.parametrize("name", OPTIMIZERS)


@pytest.fixture
def p(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=6)


@pytest.fixture
def gradients(rng: np.random.Generator) -> np.ndarray:
    """Ten, of very different sizes."""
    return rng.normal(size=(10, 6)) * np.logspace(-3, 2, 6)


def steps(optimizer: Optimizer, p: Array, gradients: list[Array]) -> Iterator[Array]:
    state = optimizer.init(p)
    coefficients = step_coefficients(optimizer, RATE, 1, len(gradients), p)
    for g, numbers in zip(gradients, coefficients, strict=True):
        p, state = optimizer.update(p, g, state, *numbers)
        yield p


@by_name
def test_ten_steps(
    name: str, backend: Backend, dtype: str, p: np.ndarray, gradients: np.ndarray
) -> None:
    optimizer, formula = OPTIMIZERS[name]
    moved = [backend.asarray(g, dtype, copy=True) for g in gradients]
    actual = steps(optimizer, backend.asarray(p, dtype, copy=True), moved)
    for a, d in zip(actual, formula(p, gradients), strict=True):
        assert_close(a, backend.asarray(d, dtype), factor=TEN_STEPS)


@by_name
def test_the_state_begins_at_zero(name: str, backend: Backend, dtype: str) -> None:
    p = backend.asarray(np.ones(3), dtype)
    state = OPTIMIZERS[name][0].init(p)
    n_moments = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2}
    assert len(state) == n_moments[name]
    for moment in state:
        assert_close(moment, 0.0 * p, factor=EXACT)


@by_name
@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_parameters_are_updated_in_place(
    name: str, backend: Backend, p: np.ndarray, gradients: np.ndarray
) -> None:
    given = backend.asarray(p, copy=True)
    gradient = backend.asarray(gradients[0], copy=True)
    (returned,) = steps(OPTIMIZERS[name][0], given, [gradient])
    assert returned is given


@by_name
def test_optimizers_are_values(name: str) -> None:
    optimizer, _ = OPTIMIZERS[name]
    assert optimizer == type(optimizer)(**vars(optimizer))
    with pytest.raises(AttributeError):
        optimizer.beta_1 = 0.5
