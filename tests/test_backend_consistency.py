"""The ladder: from one operation to a fitted estimator, every backend against NumPy.

Each rung is computed in NumPy's float64 and compared, with room for the rounding of its
depth; array-api-strict, which computes with NumPy, must give the very same numbers.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from problems import Problem
from tolerances import ELEMENTWISE, EXACT, FITTED, ONE_PASS, TEN_STEPS

from xpnet import Backend, MLPClassifier, functional, get_backend, losses
from xpnet._namespace import to_numpy
from xpnet._typing import Array
from xpnet.losses import softmax_cross_entropy
from xpnet.optimizers import SGD, Adam, AdamW
from xpnet.testing import assert_close
from xpnet.training import Objective, step_coefficients, training_step

Rung = Callable[[Backend, str], list[Array]]


def climb(rung: Rung, backend: Backend, dtype: str, factor: float) -> None:
    """Compare what a rung gives on the backend with what it gives on NumPy."""
    numpy = get_backend("numpy")
    actual = rung(backend, dtype)
    compare(actual, rung(numpy, "float64"), backend, dtype, factor)
    if backend.name.startswith("strict"):
        compare(actual, rung(numpy, dtype), backend, dtype, EXACT)


def compare(
    actual: list[Array],
    desired: list[Array],
    backend: Backend,
    dtype: str,
    factor: float,
) -> None:
    for a, d in zip(actual, desired, strict=True):
        moved = backend.asarray(d, dtype)
        assert_close(a, backend.xp.reshape(moved, d.shape), factor=factor)


# -------------------------------------------------------------------- operation, loss


OTHERS = {
    "get_activation",  # it returns functions
    *("average", "average_all"),  # they write into what they are given
    *("counter_hash", "counter_uniform", "keep_mask"),  # in test_counter.py, bit by bit
}


def functions_of(module: Any) -> list[Callable]:
    members = [getattr(module, name) for name in module.__all__]
    functions = [member for member in members if inspect.isfunction(member)]
    return [function for function in functions if function.__name__ not in OTHERS]


def arguments(
    function: Callable, backend: Backend, dtype: str, rng: np.random.Generator
) -> dict[str, Any]:
    """Make arguments for a function of xpnet by the names of its parameters."""
    parameters = inspect.signature(function).parameters
    numbers, gradients = rng.normal(size=(2, 6, 4))
    probs = rng.dirichlet(np.ones(4), size=6)
    classes = rng.integers(4, size=6)
    host = {
        **dict.fromkeys(["Z", "logits", "outputs"], 3.0 * numbers),
        **dict.fromkeys(["dA", "d_probs", "d_log_probs"], gradients),
        "A": np.maximum(np.tanh(numbers), 0.0),
        "probs": probs,
        "log_probs": np.log(probs),
        "targets": np.eye(4)[classes],
        "weights": rng.uniform(size=6),
        "X": numbers,
        **dict.fromkeys(["N", "dN"], gradients),
        **dict.fromkeys(["b", "gain", "scale"], numbers[0]),
        "variance": numbers**2,
    }
    if function is losses.gaussian_nll:  # means and variances of two targets
        host["targets"] = gradients[:, :2]
    others = {
        "y": backend.asarray(classes, "int32"),
        "codes": backend.asarray(np.stack([classes % 2, classes // 2], axis=1)),
        "n_classes": (2, 2) if "codes" in parameters else 4,
        "delta": 0.5,
        "level": 0.3,
        "smoothing": 0.1,
        "axis": 0,
        "key_0": 31,
        "key_1": 7,
        "rate": 0.5,
        "dtype": getattr(backend.xp, dtype),
    }
    needed = [name for name in parameters if name != "out"]
    return {
        name: others[name] if name in others else backend.asarray(host[name], dtype)
        for name in needed
    }


@pytest.mark.parametrize(
    ("function", "factor"),
    [
        *((function, ELEMENTWISE) for function in functions_of(functional)),
        *((function, ONE_PASS) for function in functions_of(losses)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_functions(
    function: Callable, factor: float, backend: Backend, dtype: str
) -> None:
    """Place and dtype are kept, inputs aren't touched, and the numbers agree."""

    def rung(backend: Backend, dtype: str) -> list[Array]:
        given = arguments(function, backend, dtype, np.random.default_rng(1))
        before = arguments(function, backend, dtype, np.random.default_rng(1))
        results = function(**given)
        for name, array in given.items():
            if name != "dtype" and backend.holds(array):
                assert_close(array, before[name], factor=EXACT)
        return list(results) if isinstance(results, tuple) else [results]

    climb(rung, backend, dtype, factor)


# ------------------------------------------------------------------ gradient, k steps


@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_gradient(activation: str, backend: Backend, dtype: str) -> None:
    def rung(backend: Backend, dtype: str) -> list[Array]:
        rng = np.random.default_rng(2)
        problem = Problem.draw(rng, (5, 3), activation).on(backend, dtype)
        objective = Objective(problem.network, softmax_cross_entropy, alpha=0.1)
        return list(
            objective.value_and_gradient(problem.params, problem.X, problem.targets)
        )

    climb(rung, backend, dtype, ONE_PASS)


@pytest.mark.parametrize(
    "optimizer", [SGD(), Adam(), AdamW()], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("n_steps", [1, 10])
def test_steps(
    optimizer: SGD | Adam | AdamW, n_steps: int, backend: Backend, dtype: str
) -> None:
    def rung(backend: Backend, dtype: str) -> list[Array]:
        problem = Problem.draw(np.random.default_rng(3)).on(backend, dtype)
        objective = Objective(problem.network, softmax_cross_entropy, alpha=0.1)
        params, state = problem.params, optimizer.init(problem.params)
        out = problem.network.buffers(params, 8)
        values = []
        for numbers in step_coefficients(optimizer, 0.05, 1, n_steps, params):
            params, state, value = training_step(
                objective,
                optimizer,
                params,
                state,
                problem.X,
                problem.targets,
                numbers,
                out,
            )
            values.append(value)
        return [params, *state, *values]

    climb(rung, backend, dtype, TEN_STEPS)


# --------------------------------------------------------------------- fitted estimator


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sixty samples of three classes, around their own centres."""
    y = np.arange(60) % 3
    return 2.0 * np.eye(3, 4)[y] + rng.normal(size=(60, 4)), y


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_fitted(
    solver: str,
    n_classes: int,
    backend: Backend,
    dtype: str,
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = samples
    y = y % n_classes
    fitted = {}

    def rung(backend: Backend, dtype: str) -> list[Array]:
        clf = MLPClassifier(
            (8,),
            "tanh",
            solver=solver,
            batch_size=20,
            learning_rate_init=0.01,
            max_iter=66,  # 198 steps
            random_state=0,
            tol=0.0,
            n_iter_no_change=math.inf,
        )
        here = backend.asarray(X, dtype)
        clf.fit(here, backend.asarray(y))
        fitted[backend.name] = clf
        return [
            *clf.coefs_,
            *clf.intercepts_,
            backend.asarray(np.asarray(clf.loss_curve_), dtype),
            clf.decision_function(here),
            clf.predict_log_proba(here),
            clf.predict_proba(here),
        ]

    climb(rung, backend, dtype, FITTED)
    # Decisions are compared as such.
    here = backend.asarray(X, dtype)
    labels = fitted[backend.name].predict(here)
    desired = fitted["numpy"].predict(X)
    assert backend.holds(labels)
    np.testing.assert_array_equal(to_numpy(labels), desired)
    assert fitted[backend.name].score(here, y) == np.mean(desired == y)
