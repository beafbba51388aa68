"""First weights: whose draws they are, how large, and the same everywhere."""

import warnings

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from tolerances import ROUNDING, SIGMAS

from xpnet import Backend, MLPClassifier
from xpnet._namespace import to_numpy
from xpnet.initializers import (
    INITIALIZERS,
    draw,
    lecun_normal,
)

VARIANCES = {
    "glorot_uniform": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "glorot_normal": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "he_uniform": lambda fan_in, _: 2.0 / fan_in,
    "he_normal": lambda fan_in, _: 2.0 / fan_in,
    "lecun_normal": lambda fan_in, _: 1.0 / fan_in,
}

KURTOSES = {"uniform": 9.0 / 5.0, "normal": 3.0}
"""Fourth moment over squared variance."""


def test_every_initializer_is_covered() -> None:
    assert set(VARIANCES) == set(INITIALIZERS)


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize(("fan_in", "fan_out"), [(300, 200), (100, 700)])
def test_moments(name: str, fan_in: int, fan_out: int) -> None:
    W, b = INITIALIZERS[name](fan_in, fan_out, np.random.RandomState(0))
    assert W.shape == (fan_in, fan_out)
    assert b.shape == (fan_out,)
    assert W.dtype == b.dtype == np.float64
    variance = VARIANCES[name](fan_in, fan_out)
    z = W / np.sqrt(variance)
    kurtosis = KURTOSES[name.split("_")[1]]
    assert abs(z.mean()) < SIGMAS * np.sqrt(1.0 / z.size)
    assert abs((z**2).mean() - 1.0) < SIGMAS * np.sqrt((kurtosis - 1.0) / z.size)
    # Uniform or normal: the fourth moment tells; its variance is below 96 for either.
    assert abs((z**4).mean() - kurtosis) < SIGMAS * np.sqrt(96.0 / z.size)
    if name == "glorot_uniform":
        assert np.abs(b).max() <= np.abs(W).max()
        assert b.any()
    else:
        assert not b.any()


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_glorot_uniform_makes_scikit_learns_draws(
    activation: str, rng: np.random.Generator
) -> None:
    X, y = rng.normal(size=(10, 4)), np.arange(10) % 3
    sklearn_clf = SklearnMLPClassifier(
        (5, 6),
        activation,
        solver="sgd",
        momentum=0.0,
        learning_rate_init=1e-300,  # a step that changes no bit of any weight
        max_iter=1,
        random_state=7,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        sklearn_clf.fit(X, y)
    random_state = np.random.RandomState(7)
    drawn = draw("glorot_uniform", [4, 5, 6, 3], [activation] * 2, random_state)
    fitted = zip(sklearn_clf.coefs_, sklearn_clf.intercepts_, strict=True)
    for (W_drawn, b_drawn), (W, b) in zip(drawn, fitted, strict=True):
        np.testing.assert_array_equal(W_drawn, W)
        np.testing.assert_array_equal(b_drawn, b)


def test_lecun_normal_makes_the_tutorials_draws() -> None:
    tutorial, random_state = np.random.RandomState(1), np.random.RandomState(1)
    for fan_in, fan_out in [(784, 50), (50, 10)]:
        desired = tutorial.randn(fan_out, fan_in) / np.sqrt(fan_in)
        W, b = lecun_normal(fan_in, fan_out, random_state)
        np.testing.assert_array_equal(W.T, desired)
        np.testing.assert_array_equal(b, np.zeros(fan_out))


@pytest.mark.parametrize("init", INITIALIZERS)
def test_only_glorot_uniform_knows_the_activation(init: str) -> None:
    (W, _), *_ = draw(init, [50, 50, 2], ["logistic"], np.random.RandomState(0))
    desired, _ = INITIALIZERS[init](50, 50, np.random.RandomState(0))
    shrunk = np.sqrt(2.0 / 6.0) if init == "glorot_uniform" else 1.0
    np.testing.assert_allclose(W, shrunk * desired, **ROUNDING)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_every_backend_begins_with_the_same_bits(
    init: str, backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    X, y = rng.normal(size=(8, 4)), np.arange(8) % 3
    clf = MLPClassifier((5,), "logistic", init=init, random_state=3, dtype=dtype)
    clf.iter_fit(backend.asarray(X), y)  # not a step so far
    random_state = np.random.RandomState(3)
    drawn = draw(init, [4, 5, 3], ["logistic"], random_state)
    fitted = zip(clf.coefs_, clf.intercepts_, strict=True)
    for (W_drawn, b_drawn), (W, b) in zip(drawn, fitted, strict=True):
        assert backend.holds(W)
        np.testing.assert_array_equal(to_numpy(W), W_drawn.astype(dtype), strict=True)
        np.testing.assert_array_equal(to_numpy(b), b_drawn.astype(dtype), strict=True)
