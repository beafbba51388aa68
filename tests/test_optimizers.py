"""Each optimiser against its formula, written out step by step in NumPy.

Those of other libraries are met in ``test_reference.py``.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from problems import WRITING
from tolerances import EXACT, TEN_STEPS

from xpnet import Backend
from xpnet._typing import Array
from xpnet.optimizers import SGD, Adam, AdamW, Muon, NAdam, Optimizer, RMSProp
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


def nadam(p: np.ndarray, gradients: np.ndarray) -> Steps:
    """Algorithm 2 of the paper at a constant momentum; epsilon as in ``adam``."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        m = 0.7 * m + 0.3 * g
        v = 0.9 * v + 0.1 * g**2
        m_hat = 0.7 * m / (1.0 - 0.7 ** (t + 1)) + 0.3 * g / (1.0 - 0.7**t)
        epsilon = 0.01 / np.sqrt(1.0 - 0.9**t)
        p = p - RATE * m_hat / (np.sqrt(v / (1.0 - 0.9**t)) + epsilon)
        yield p


def rmsprop(p: np.ndarray, gradients: np.ndarray) -> Steps:
    v = np.zeros_like(p)
    for g in gradients:
        v = 0.9 * v + 0.1 * g**2
        p = p - RATE * g / (np.sqrt(v) + 0.01)
        yield p


def muon(p: np.ndarray, gradients: np.ndarray, *, nesterov: bool = True) -> Steps:
    """Matrices of 1 x 2 and 2 x 1, whose orthogonal ones have the direction alone."""
    m, s = np.zeros(4), slice(0, 4)
    rest = adam(p[4:], gradients[:, 4:], decay=0.5)
    for g, last in zip(gradients[:, s], rest, strict=True):
        m = 0.8 * m + 0.2 * g
        u = 0.8 * m + 0.2 * g if nesterov else m
        O = np.concatenate([along(u[:2]), along(u[2:])])
        p = (1.0 - RATE * 0.5) * p[s] - 0.2 * np.sqrt(2.0) * RATE * O
        p = np.concatenate([p, last])
        yield p


def along(u: np.ndarray) -> np.ndarray:
    """Five steps on the only singular value, which begins at 1."""
    s = np.linalg.norm(u) / (np.linalg.norm(u) + 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s * u / np.linalg.norm(u)


def plain_muon(p: np.ndarray, gradients: np.ndarray) -> Steps:
    yield from muon(p, gradients, nesterov=False)


ADAM = {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01}

MUON = {"hidden": ((1, 2), (2, 1)), "momentum": 0.8, "weight_decay": 0.5}

OPTIMIZERS: dict[str, tuple[Optimizer, Callable[..., Steps]]] = {
    "sgd": (SGD(momentum=0.0), sgd),
    "momentum": (SGD(momentum=0.8, nesterov=False), momentum),
    "nesterov": (SGD(momentum=0.8), nesterov),
    "adam": (Adam(**ADAM), adam),
    "adamw": (AdamW(**ADAM, weight_decay=0.5), adamw),
    "nadam": (NAdam(**ADAM), nadam),
    "rmsprop": (RMSProp(rho=0.9, epsilon=0.01), rmsprop),
    "muon": (Muon(**MUON, **ADAM), muon),
    "plain_muon": (Muon(**MUON, **ADAM, nesterov=False), plain_muon),
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
    p = backend.asarray(np.ones(6), dtype)
    state = OPTIMIZERS[name][0].init(p)
    n_moments = {"sgd": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1}
    assert len(state) == n_moments.get(name, 2)
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
