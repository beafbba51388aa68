"""Training takes scikit-learn's course: same data, same seed, same numbers.

Each test is one configuration, fitted by both libraries; nothing recorded is compared
with. The largest deviation, relative to the array's norm, is a property of the test in
``pytest -o junit_family=xunit1 --junitxml=FILE``. What differs on purpose is in
``test_differences.py``.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from tolerances import LBFGS, TEN_STEPS, TRAJECTORY

import xpnet
from xpnet.testing import assert_close

SAME = (
    *("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"),
    "n_features_in_",
)
CLOSE = (
    *("coefs_", "intercepts_", "loss_curve_", "loss_", "best_loss_"),
    *("validation_scores_", "best_validation_score_"),
)
OF_STEPS = {"loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"}
"""Which scikit-learn has for the stochastic solvers only."""

N_SAMPLES = 90


def draw_targets(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draw targets that have something to do with :func:`draw_samples`."""
    y = np.arange(N_SAMPLES)
    noise = rng.normal(size=(N_SAMPLES, 2))
    return {
        "binary": y % 2,
        "names": np.asarray(["no", "yes"])[y % 2],
        "multiclass": y % 3,
        "multilabel": np.stack([y % 2, y % 3 == 0, noise[:, 0] > 0], axis=1) + 0,
        "regression": y % 3 + 0.1 * noise[:, 0],
        "poisson": np.floor(np.exp(y % 3 / 2 + 0.3 * noise[:, 0])),
        "two rates": np.exp((y % 3)[:, None] / 2 + 0.3 * noise),
    }[kind]


KINDS = ["binary", "multiclass", "multilabel", "regression", "poisson", "two rates"]
"""But no squared error of several outputs, whose gradient is another's there."""


def draw_samples(rng: np.random.Generator) -> np.ndarray:
    """Draw ninety samples that overlap, of which some features are 0."""
    X = np.eye(3, 5)[np.arange(N_SAMPLES) % 3] + rng.normal(size=(N_SAMPLES, 5))
    return np.where(rng.uniform(size=X.shape) < 0.3, 0.0, X)


EVERY_EPOCH: dict[str, Any] = {"max_iter": 30, "tol": 0.0, "n_iter_no_change": math.inf}

Record = Callable[[str, object], None]
Fit = Callable[[Any, Any, Any, Any], Any]


def fit(estimator: Any, X: Any, y: Any, weights: Any) -> Any:
    return estimator.fit(X, y, sample_weight=weights)


def compare(
    kind: str,
    record: Record,
    *,
    weighted: bool = False,
    form: Callable[[np.ndarray], Any] = np.asarray,
    how: Fit = fit,
    tolerance: float = TRAJECTORY,
    **settings: Any,
) -> tuple[Any, Any]:
    """Fit both, and assert that they learnt the same, in the same way."""
    rng = np.random.default_rng(2024)
    X, y = form(draw_samples(rng)), draw_targets(kind, rng)
    weights = rng.integers(4, size=N_SAMPLES) / 2.0 if weighted else None
    name = "MLPClassifier"
    if kind in ("regression", "poisson", "two rates"):
        name = "MLPRegressor"
        loss = "squared_error" if kind == "regression" else "poisson"
        settings = {"loss": loss} | settings
    settings = {"hidden_layer_sizes": (7, 6), "random_state": 11} | settings
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum")
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        warnings.filterwarnings("ignore", message="Got .?batch_size")
        ours, theirs = (
            how(getattr(library, name)(**settings), X, y, weights)
            for library in (xpnet, sklearn.neural_network)
        )
    assert_same_course(ours, theirs, X, y, record, tolerance)
    return ours, theirs


def assert_same_course(
    ours: Any, theirs: Any, X: Any, y: Any, record: Record, tolerance: float
) -> None:
    for name in SAME:
        assert getattr(ours, name) == getattr(theirs, name), name
    deviations = [
        deviation(getattr(ours, name), getattr(theirs, name))
        for name in CLOSE
        if theirs.solver != "lbfgs" or name not in OF_STEPS
    ]
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_, strict=True)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X), strict=True)
        methods = ["predict_proba", "predict_log_proba"]
    else:
        methods = ["predict"]
    for method in methods:
        actual, desired = (getattr(each, method)(X) for each in (ours, theirs))
        assert actual.dtype == desired.dtype
        deviations.append(deviation(actual, desired))
    deviations.append(deviation(ours.score(X, y), theirs.score(X, y)))
    record("deviation", max(deviations))
    assert max(deviations) <= tolerance


def deviation(actual: Any, desired: Any) -> float:
    """Return how far two arrays, or lists of arrays, are apart, by the norm."""
    if desired is None:
        assert actual is None
        return 0.0
    if isinstance(desired, list) and isinstance(desired[0], np.ndarray):
        return max(deviation(*each) for each in zip(actual, desired, strict=True))
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape
    assert actual.dtype == desired.dtype
    difference = np.linalg.norm(actual - desired)
    return float(difference / np.linalg.norm(desired)) if difference else 0.0


# ------------------------------------------------------------------------ the solvers

SGD: dict[str, Any] = {"solver": "sgd", "learning_rate_init": 0.05}

SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "adam, other moments": {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.01},
    "sgd": SGD | {"momentum": 0.0},
    "momentum": SGD | {"momentum": 0.8, "nesterovs_momentum": False},
    "nesterov": SGD,
    "invscaling": SGD | {"learning_rate": "invscaling", "power_t": 0.25},
    # Seldom satisfied, so that the rate does fall.
    "adaptive": SGD | {"learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 1},
}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_solvers_and_activations(
    activation: str, solver: str, kind: str, record_property: Record
) -> None:
    settings = EVERY_EPOCH | SOLVERS[solver]
    compare(
        kind,
        record_property,
        activation=activation,
        batch_size=32,  # the last of an epoch has 26
        alpha=0.01,
        **settings,
    )


def test_the_adaptive_rate_has_fallen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the grid would not tell it from a constant one."""
    rates: list[float] = []
    reached = xpnet.schedules.Adaptive.plateau_reached

    def spy(schedule: Any) -> bool:
        stop = reached(schedule)
        rates.append(schedule.learning_rate)
        return stop

    monkeypatch.setattr(xpnet.schedules.Adaptive, "plateau_reached", spy)
    compare(
        "binary", lambda *_: None, batch_size=32, **(EVERY_EPOCH | SOLVERS["adaptive"])
    )
    assert len(rates) > 1


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs(
    activation: str, kind: str, weighted: bool, record_property: Record
) -> None:
    compare(
        kind,
        record_property,
        weighted=weighted,
        solver="lbfgs",
        activation=activation,
        alpha=0.1,
        max_iter=20,
        tolerance=LBFGS,
    )


# --------------------------------------------------------------------- what they see


@pytest.mark.parametrize("batch_size", [32, 90, 1000, "auto"])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 30.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_penalties_and_weights(
    batch_size: int | str,
    alpha: float,
    kind: str,
    weighted: bool,
    record_property: Record,
) -> None:
    """With a penalty of 30, a wrong division by the batch's weight shows at once."""
    compare(
        kind,
        record_property,
        weighted=weighted,
        batch_size=batch_size,
        alpha=alpha,
        **EVERY_EPOCH,
    )


@pytest.mark.parametrize("form", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
@pytest.mark.parametrize("solver", ["adam", "nesterov", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_samples(
    form: Any, solver: str, kind: str, weighted: bool, record_property: Record
) -> None:
    settings = EVERY_EPOCH | {"batch_size": 32} | SOLVERS.get(solver, {})
    tolerance = TRAJECTORY
    if solver == "lbfgs":
        settings, tolerance = {"solver": "lbfgs", "max_iter": 20}, LBFGS
    compare(
        kind,
        record_property,
        weighted=weighted,
        form=form,
        tolerance=tolerance,
        activation="tanh",
        **settings,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_a_step(kind: str, record_property: Record) -> None:
    compare(kind, record_property, batch_size=1, max_iter=5)


@pytest.mark.parametrize("sizes", [1, (3,), [4, 3, 2]])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", ["names", "regression"])
def test_sizes_and_orders(
    sizes: Any, shuffle: bool, kind: str, record_property: Record
) -> None:
    settings = EVERY_EPOCH | {"shuffle": shuffle, "batch_size": 20}
    compare(kind, record_property, hidden_layer_sizes=sizes, **settings)


# ----------------------------------------------------------------------- when they stop


@pytest.mark.parametrize(
    "settings",
    [
        {"tol": 0.01, "n_iter_no_change": 3},
        {"tol": 0.05, "n_iter_no_change": 1, "solver": "sgd"},
        {"tol": 1e9, "n_iter_no_change": 5},  # seven epochs: the first beats infinity
        {"tol": 0.01, "n_iter_no_change": 3, "shuffle": False},
        {"tol": 0.01, "n_iter_no_change": 2, **SOLVERS["adaptive"]},
    ],
    ids=["adam", "sgd", "at once", "in order", "adaptive"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_stopping(settings: dict[str, Any], kind: str, record_property: Record) -> None:
    options = {"batch_size": 30, "learning_rate_init": 0.02, "max_iter": 300}
    ours, _ = compare(kind, record_property, **(options | settings))
    assert ours.n_iter_ < 300


@pytest.mark.parametrize("kind", ["binary", "names", "multilabel", "regression"])
@pytest.mark.parametrize("solver", ["adam", "nesterov", "adaptive"])
@pytest.mark.parametrize("batch_size", [32, "auto"])
@pytest.mark.parametrize("weighted", [False, True])
def test_early_stopping(
    kind: str,
    solver: str,
    batch_size: int | str,
    weighted: bool,
    record_property: Record,
) -> None:
    settings = SOLVERS[solver] | {"tol": 1e-3, "n_iter_no_change": 4}
    ours, _ = compare(
        kind,
        record_property,
        weighted=weighted,
        early_stopping=True,
        validation_fraction=0.25,
        batch_size=batch_size,
        max_iter=30,
        **settings,
    )
    assert len(ours.validation_scores_) == ours.n_iter_
    assert ours.best_loss_ is None


# ----------------------------------------------------------------------- call by call


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "nesterov", "invscaling"])
def test_a_first_partial_fit(kind: str, solver: str, record_property: Record) -> None:
    compare(
        kind, record_property, how=partial_fits(1), batch_size=32, **SOLVERS[solver]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "nesterov", "invscaling"])
def test_partial_fits_in_order(kind: str, solver: str, record_property: Record) -> None:
    """Later calls agree where nothing is shuffled."""
    settings = {"shuffle": False, "batch_size": 32} | SOLVERS[solver]
    compare(kind, record_property, how=partial_fits(5), **settings)


def partial_fits(n_calls: int) -> Fit:
    def fit(estimator: Any, X: Any, y: Any, weights: Any) -> Any:
        is_classifier = hasattr(estimator, "predict_proba")
        for _ in range(n_calls):
            classes = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
            classes = {"classes": classes} if is_classifier else {}
            estimator.partial_fit(X, y, sample_weight=weights, **classes)
        return estimator

    return fit


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_warm_start_without_a_state(kind: str, record_property: Record) -> None:
    """Without momentum and shuffles there is nothing that a second call forgets."""

    def twice(estimator: Any, X: Any, y: Any, weights: Any) -> Any:
        return fit(fit(estimator, X, y, weights), X, y, weights)

    settings = EVERY_EPOCH | SOLVERS["sgd"] | {"warm_start": True, "shuffle": False}
    ours, _ = compare(kind, record_property, how=twice, batch_size=32, **settings)
    assert (ours.n_iter_, len(ours.loss_curve_)) == (30, 60)


def test_float32_takes_the_course_roughly() -> None:
    rng = np.random.default_rng(2024)
    X, y = draw_samples(rng).astype(np.float32), np.arange(N_SAMPLES) % 3
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum")
        ours, theirs = (
            library.MLPClassifier((7, 6), random_state=11, **EVERY_EPOCH).fit(X, y)
            for library in (xpnet, sklearn.neural_network)
        )
    for actual, desired in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_close(actual, desired, factor=TEN_STEPS)
