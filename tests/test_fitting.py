"""Fitting, in what classifier and regressor share: calls, curves, weights and stops."""

import pickle
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.utils import compute_class_weight, compute_sample_weight
from tolerances import EXACT, FITTED, ONE_PASS, ROUNDING, TRAJECTORY

from xpnet import Backend, MLPClassifier, MLPRegressor, network
from xpnet._namespace import to_numpy
from xpnet._typing import Array
from xpnet.exceptions import DataError, DivergenceError, GradientError
from xpnet.optimizers import SGD, Adam
from xpnet.testing import assert_close
from xpnet.training import Objective

pytestmark = pytest.mark.filterwarnings(
    "ignore:Stochastic Optimizer", "ignore:lbfgs failed"
)

both = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
few = pytest.mark.parametrize(
    "backend", ["numpy", "strict-device1", "torch"], indirect=True
)


def quick(cls: Any, **parameters: Any) -> Any:
    """Return an estimator that trains for three epochs."""
    defaults = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
    return cls(**(defaults | parameters))


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y(X: np.ndarray) -> np.ndarray:
    """Three classes, which are numbers too."""
    return np.digitize(X[:, 0] - X[:, 1], [-0.5, 0.5])


def assert_same_weights(actual: Any, desired: Any, factor: float = EXACT) -> None:
    arrays = [e.coefs_ + e.intercepts_ for e in (actual, desired)]
    for one, other in zip(*arrays, strict=True):
        assert_close(one, other, factor=factor)


# ------------------------------------------------------------------------- call by call


@both
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_warm_starts_go_on(
    cls: Any, solver: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """Five epochs and five are ten, to the bit: weights, optimiser and orders."""
    X = backend.asarray(X)
    options = {"solver": solver, "batch_size": 16}
    whole = quick(cls, max_iter=10, **options).fit(X, y)
    parts = quick(cls, max_iter=5, warm_start=True, **options).fit(X, y)
    assert (parts.n_iter_, parts.t_) == (5, 300)
    parts.fit(X, y)
    assert (parts.n_iter_, parts.t_) == (5, 600)
    assert_same_weights(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_


@both
def test_partial_fits_are_epochs(
    cls: Any, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    X = backend.asarray(X)
    classes = {"classes": [0, 1, 2]} if cls is MLPClassifier else {}
    whole = quick(cls, batch_size=16).fit(X, y)
    parts = quick(cls, batch_size=16)
    for _ in range(3):
        assert parts.partial_fit(X, y, **classes) is parts
        assert parts.n_iter_ == 1
    assert_same_weights(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_


@both
def test_partial_fit_goes_on_after_fit(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    whole = quick(cls, max_iter=4).fit(X, y)
    assert_same_weights(quick(cls).fit(X, y).partial_fit(X, y), whole)


@both
def test_a_fit_without_warm_start_begins_anew(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    twice = quick(cls).fit(X, y).fit(X, y)
    assert_same_weights(twice, quick(cls).fit(X, y))
    assert len(twice.loss_curve_) == 3


@both
def test_an_unpickled_estimator_trains_on(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    """With weights and curves, but a new optimiser."""
    fitted = quick(cls, warm_start=True).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert_same_weights(again, fitted)
    again.fit(X, y)
    assert len(again.loss_curve_) == 6
    assert again.loss_curve_[3] < again.loss_curve_[0]


@both
def test_changed_settings_take_a_new_optimiser(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    warm = quick(cls, warm_start=True).fit(X, y)
    before = warm.loss_
    warm.set_params(solver="sgd", learning_rate="invscaling").fit(X, y)
    assert warm.loss_ < before
    warm.set_params(solver="lbfgs", learning_rate="constant").fit(X, y)
    assert warm.loss_ < before


@both
def test_changed_sizes_are_refused(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    warm = quick(cls, warm_start=True).fit(X, y)
    with pytest.raises(DataError, match=r"layers of \[4, 5, \d\] .* warm_start=False"):
        warm.set_params(hidden_layer_sizes=(6,)).fit(X, y)
    warm.set_params(warm_start=False).fit(X, y)


@both
def test_partial_fit_needs_epochs(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    lbfgs = quick(cls, solver="lbfgs")
    assert not hasattr(lbfgs, "partial_fit")
    with pytest.raises(AttributeError):
        lbfgs.partial_fit(X, y)
    with pytest.raises(AttributeError, match="iter_fit is only available"):
        lbfgs.iter_fit(X, y)
    with pytest.raises(ValueError, match="does not support early_stopping"):
        quick(cls, warm_start=True).fit(X, y).set_params(
            early_stopping=True
        ).partial_fit(X, y)


def test_classes_of_partial_fit(X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError, match="classes must be passed on the first call"):
        quick(MLPClassifier).partial_fit(X, y)
    clf = quick(MLPClassifier).partial_fit(X[:9], 0 * y[:9], classes=[2, 0, 1])
    np.testing.assert_array_equal(clf.classes_, [0, 1, 2])
    clf.partial_fit(X, y)
    with pytest.raises(DataError, match="is not the same as on last call"):
        clf.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(DataError, match="has classes not in"):
        clf.partial_fit(X, y + 1)
    labels = np.stack([y > 0, y > 1], axis=1) + 0
    assert quick(MLPClassifier).partial_fit(X, labels).predict(X).shape == (60, 2)


@few
@pytest.mark.parametrize("kind", ["list", "tuple", "Series", "Index", "range", "array"])
def test_classes_of_any_kind(
    kind: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    pd = pytest.importorskip("pandas")
    classes = {
        "list": [2, 1, 0],
        "tuple": (2, 1, 0),
        "Series": pd.Series([3, 2, 1, 0])[1:],  # whose first has no number 0
        "Index": pd.Index([2, 1, 0]),
        "range": range(3),
        "array": backend.asarray(np.asarray([2, 0, 1])),
    }[kind]
    clf = quick(MLPClassifier).partial_fit(backend.asarray(X), y, classes=classes)
    clf.partial_fit(backend.asarray(X), y, classes=classes)
    np.testing.assert_array_equal(to_numpy(clf.classes_), [0, 1, 2])


@pytest.mark.parametrize(
    "classes", [[], np.empty(0), {0, 1, 2}, {0: 1, 1: 2}, 3, "abc", [[0, 1], []]]
)
def test_what_are_no_classes(classes: Any, X: np.ndarray, y: np.ndarray) -> None:
    clf = quick(MLPClassifier)
    with pytest.raises(DataError, match="Expected classes as an array or a list of"):
        clf.partial_fit(X, y, classes=classes)
    assert not hasattr(clf, "classes_")


# -------------------------------------------------------------------- held-out samples


@pytest.fixture
def noisy(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Too few samples of mere noise, which a network soon learns by heart."""
    return rng.normal(size=(80, 6)), rng.integers(2, size=80)


HASTY: dict[str, Any] = {
    "hidden_layer_sizes": (30,),
    "learning_rate_init": 0.03,
    "batch_size": 16,
    "validation_fraction": 0.3,
    "n_iter_no_change": 8,
    "max_iter": 60,
}


@both
def test_early_stopping_ends_with_the_best_weights(
    cls: Any, backend: Backend, noisy: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = backend.asarray(noisy[0]), noisy[1]
    stopped = quick(cls, early_stopping=True, **HASTY).fit(X, y)
    scores = stopped.validation_scores_
    best = int(np.argmax(scores))  # the first of the best
    assert best < len(scores) - 1 < 59
    assert stopped.best_validation_score_ == scores[best]
    assert stopped.best_loss_ is None
    assert len(scores) == len(stopped.validation_loss_curve_) == stopped.n_iter_
    # As many epochs with the same draws, left at the best.
    again = quick(cls, early_stopping=True, **HASTY)
    for epoch in again.iter_fit(X, y):
        if epoch.n_iter == best + 1:
            break
    assert_same_weights(stopped, again)


@both
def test_iter_fit_left_early_ends_with_the_best_weights(
    cls: Any, noisy: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = noisy
    left = quick(cls, early_stopping=True, **HASTY)
    kept = []
    epochs = left.iter_fit(X, y)
    for _ in range(12):
        next(epochs)
        kept.append([W.copy() for W in left.coefs_])
    epochs.close()
    best = int(np.argmax(left.validation_scores_))
    assert best < 11
    assert_close(left.coefs_[0], kept[best][0], factor=EXACT)


@both
def test_a_warm_start_that_gains_nothing_keeps_the_best_weights(
    cls: Any, noisy: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = noisy
    warm = quick(cls, early_stopping=True, warm_start=True, **HASTY).fit(X, y)
    before = [W.copy() for W in warm.coefs_]
    warm.best_validation_score_ = 1.0  # which can't be beaten
    warm.fit(X, y)
    assert_close(warm.coefs_[0], before[0], factor=EXACT)


@both
def test_held_out_rows_are_not_trained_on(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    """Targets of theirs change the scores, but no weight."""
    seen: list[np.ndarray] = []

    def remember(_estimator: Any, X: np.ndarray, _y: np.ndarray) -> float:
        seen.append(X)
        return 0.0

    options = {"early_stopping": True, "n_iter_no_change": 5, "max_iter": 3}
    quick(cls, scoring=remember, **options).fit(X, y)
    held = [int(np.flatnonzero(np.all(x == X, axis=1))[0]) for x in seen[0]]
    assert len(held) == len(set(held)) == 6
    spoilt = X.copy()
    spoilt[held] = 1e3 * X[held]
    settings = {"scoring": lambda e, _X, _y: float(e.n_iter_), **options}
    assert_same_weights(
        quick(cls, **settings).fit(spoilt, y), quick(cls, **settings).fit(X, y)
    )


def test_the_split_is_stratified(
    backend: Backend, X: np.ndarray, rng: np.random.Generator
) -> None:
    y = rng.permutation(np.repeat([0, 1, 2], [40, 10, 10]))
    shares: list[np.ndarray] = []

    def remember(_estimator: Any, _X: np.ndarray, y: np.ndarray) -> float:
        shares.append(np.bincount(y))
        return 0.0

    for seed in range(5):
        clf = quick(
            MLPClassifier,
            early_stopping=True,
            validation_fraction=0.2,
            max_iter=1,
            scoring=remember,
            random_state=seed,
        )
        clf.fit(backend.asarray(X), backend.asarray(y))
    np.testing.assert_array_equal(shares, [[8, 2, 2]] * 5)


@both
@pytest.mark.parametrize("early_stopping", [False, True])
def test_samples_held_out_by_hand(
    cls: Any, early_stopping: bool, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    X_val, y_val = backend.asarray(X[40:]), y[40:]
    X = backend.asarray(X[:40])
    fitted = quick(cls, early_stopping=early_stopping, max_iter=10)
    fitted.fit(X, y[:40], X_val=X_val, y_val=y_val)
    assert len(fitted.validation_scores_) == len(fitted.validation_loss_curve_) == 10
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    best = fitted.best_validation_score_
    score = fitted.score(X_val, y_val)
    assert abs(score - (best if early_stopping else fitted.validation_scores_[-1])) < (
        TRAJECTORY
    )
    assert fitted.t_ == 400  # all others were trained on
    if not early_stopping:  # then they are only looked at
        assert_same_weights(fitted, quick(cls, max_iter=10).fit(X, y[:40]))
        assert fitted.best_loss_ == min(fitted.loss_curve_)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_validation_loss_is_the_loss_without_the_penalty(
    solver: str, X: np.ndarray, y: np.ndarray
) -> None:
    reg = quick(MLPRegressor, solver=solver, alpha=100.0)
    reg.fit(X, y, X_val=X[:20], y_val=y[:20])
    loss = np.mean((reg.predict(X[:20]) - y[:20]) ** 2) / 2
    assert_close(
        np.asarray(reg.validation_loss_curve_[-1]), np.asarray(loss), factor=ONE_PASS
    )
    assert len(reg.validation_loss_curve_) == reg.n_iter_


@both
def test_held_out_samples_come_in_pairs(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    for half in ({"X_val": X}, {"y_val": y}):
        with pytest.raises(DataError, match="belong together"):
            quick(cls).fit(X, y, **half)
    with pytest.raises(ValueError, match="expecting 4 features"):
        quick(cls).fit(X, y, X_val=X[:, :3], y_val=y)


@both
def test_too_few_to_hold_out(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    few = quick(cls, early_stopping=True)
    with pytest.raises(DataError, match=r"too small.*Increase 'validation_fraction'"):
        few.fit(X[:6], y[:6])
    with pytest.raises(DataError, match=r"too small.*Increase 'validation_fraction'"):
        few.set_params(validation_fraction=0.0).fit(X, y)
    with pytest.raises(
        DataError, match=r"validation_fraction=0\.999 leaves none of 60"
    ):
        few.set_params(validation_fraction=0.999).fit(X, y)
    weights = np.where(np.arange(60) < 3, 1.0, 0.0)
    with pytest.raises(DataError, match="all have weight zero"):
        quick(cls, early_stopping=True, random_state=1).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize(
    "y",
    [
        np.where(np.arange(60) == 7, 5, np.arange(60) % 3),
        np.arange(60) == 7,
        np.arange(60) % 20,
    ],
    ids=["one of a class", "one of two classes", "more classes than held out"],
)
def test_too_few_of_a_class_to_stratify(y: np.ndarray, X: np.ndarray) -> None:
    """Where scikit-learn can't stratify, the split is a plain one, and it trains."""
    seen: list[int] = []

    def remember(_estimator: Any, X: np.ndarray, _y: np.ndarray) -> float:
        seen.append(X.shape[0])
        return 0.0

    clf = quick(MLPClassifier, early_stopping=True, scoring=remember).fit(X, y)
    assert seen == [6] * 3
    assert len(clf.classes_) == len(np.unique(y))


SCORINGS: dict[str, Any] = {
    "None": None,
    "loss": "loss",
    "name": "neg_log_loss",
    "callable": lambda clf, X, y: f1_score(y, clf.predict(X), average="macro"),
}


@few
@pytest.mark.parametrize("name", SCORINGS)
def test_scoring(name: str, backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    settings = {"early_stopping": True, "scoring": SCORINGS[name], "max_iter": 8}
    clf = quick(MLPClassifier, **settings)
    clf.fit(backend.asarray(X), y, X_val=backend.asarray(X[:30]), y_val=y[:30])
    assert len(clf.validation_scores_) == 8
    assert all(type(score) is float for score in clf.validation_scores_)
    twin = quick(MLPClassifier).fit(X, y)
    twin.coefs_ = list(map(to_numpy, clf.coefs_))
    twin.intercepts_ = list(map(to_numpy, clf.intercepts_))
    oracle: Callable[..., float] = {
        "None": twin.score,
        "loss": lambda X, y: -log_loss(twin, X, y),
        "name": lambda X, y: -log_loss(twin, X, y),
        "callable": lambda X, y: SCORINGS["callable"](twin, X, y),
    }[name]
    assert_close(
        np.asarray(clf.best_validation_score_),
        np.asarray(oracle(X[:30], y[:30])),
        factor=FITTED,
    )
    if name == "loss":
        assert clf.validation_scores_ == [-v for v in clf.validation_loss_curve_]


def log_loss(clf: MLPClassifier, X: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(clf.predict_log_proba(X)[np.arange(len(y)), y]))


def test_an_unknown_scoring(X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'speed' is not a valid scoring"):
        quick(MLPClassifier, early_stopping=True, scoring="speed").fit(X, y)


def perfect(_y: np.ndarray, _predicted: np.ndarray) -> float:
    return 1.0


@both
@pytest.mark.parametrize("metric", [accuracy_score, perfect])
def test_a_metric_is_no_scorer(
    cls: Any, metric: Any, X: np.ndarray, y: np.ndarray
) -> None:
    """It is refused before the first epoch."""
    estimator = quick(cls, early_stopping=True, scoring=metric)
    with pytest.raises(DataError, match=r"scorer\(estimator, X, y\).*make_scorer"):
        estimator.fit(X, y)
    assert not hasattr(estimator, "coefs_")
    estimator.set_params(scoring=make_scorer(perfect)).fit(X, y)
    assert estimator.best_validation_score_ == 1.0


# ----------------------------------------------------------------------------- weights


@both
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full(60, -1.0), "[Nn]egative"),
        (np.ones(59), r"\(59,\)|inconsistent"),
        (np.ones((60, 2)), "1D array|must be 1D"),
        (np.zeros(60), "zero"),
        (np.full(60, np.nan), "NaN"),
    ],
    ids=["negative", "too few", "a table", "zero", "NaN"],
)
def test_bad_weights(
    cls: Any, weights: np.ndarray, message: str, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=message):
        quick(cls).fit(X, y, sample_weight=weights)


@both
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_weight_is_a_number_of_copies(
    cls: Any, solver: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    counts = np.arange(60) % 3
    copied = quick(cls, solver=solver, alpha=1.0)
    copied.fit(
        backend.asarray(np.repeat(X, counts, axis=0)),
        backend.asarray(np.repeat(y, counts)),
    )
    weighted = quick(cls, solver=solver, alpha=1.0)
    weighted.fit(
        backend.asarray(X), backend.asarray(y), sample_weight=backend.asarray(counts)
    )
    assert_same_weights(weighted, copied, factor=FITTED)


@both
def test_weights_all_alike_change_nothing(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    """But for the penalty, which their sum divides."""
    plain = quick(cls, alpha=0.0).fit(X, y)
    for weights in (2.0, np.full(60, 2.0), [2] * 60):
        weighted = quick(cls, alpha=0.0).fit(X, y, sample_weight=weights)
        assert_same_weights(weighted, plain, factor=FITTED)


@few
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_class_weights_are_sample_weights(
    n_classes: int, early_stopping: bool, backend: Backend, X: np.ndarray
) -> None:
    y = np.minimum(np.arange(60) % 5, n_classes - 1)
    here = backend.asarray(X)
    balanced = compute_class_weight("balanced", classes=np.unique(y), y=y)
    own = np.linspace(1.0, 2.0, 60)
    options = {"batch_size": 16, "early_stopping": early_stopping, "scoring": "loss"}
    for class_weight, table in [
        ("balanced", balanced),
        (dict(enumerate(balanced)), balanced),
        ({0: 3.0}, np.asarray([3.0, 1.0, 1.0])),
    ]:
        for weights in (None, own):
            by_class = quick(MLPClassifier, class_weight=class_weight, **options)
            by_class.fit(here, backend.asarray(y), sample_weight=weights)
            product = table[y] if weights is None else table[y] * weights
            by_sample = quick(MLPClassifier, **options)
            by_sample.fit(here, backend.asarray(y), sample_weight=product)
            assert_same_weights(by_class, by_sample)
            assert by_class.validation_scores_ == by_sample.validation_scores_


@both
def test_held_out_scores_count_samples_as_score_does(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    """By `sample_weight`, and never by `class_weight`; whoever computes the score."""
    weights = np.linspace(0.0, 1.0, 60) ** 3
    options: dict[str, Any] = {"early_stopping": True, "validation_fraction": 0.5}
    kept: list[tuple[np.ndarray, np.ndarray, Any]] = []

    def remember(
        estimator: Any, X: np.ndarray, y: np.ndarray, sample_weight: Any = None
    ) -> float:
        kept.append((X, y, sample_weight))
        return float(estimator.score(X, y, sample_weight=sample_weight))

    def plain(estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
        return float(estimator.score(X, y))

    class_weights = [None, {0: 50.0}] if cls is MLPClassifier else [None]
    for class_weight in class_weights:
        if class_weight is not None:
            options["class_weight"] = class_weight
        name = "accuracy" if cls is MLPClassifier else "r2"
        curves = [
            quick(cls, scoring=scoring, **options)
            .fit(X, y, sample_weight=weights)
            .validation_scores_
            for scoring in (None, name, remember)
        ]
        assert curves[0] == pytest.approx(curves[1], rel=ROUNDING["rtol"])
        assert curves[0] == pytest.approx(curves[2], rel=ROUNDING["rtol"])
        rows = [int(np.flatnonzero(np.all(x == X, axis=1))[0]) for x in kept[-1][0]]
        np.testing.assert_array_equal(kept[-1][2], weights[rows])
        unweighted = quick(cls, scoring=plain, **options)
        assert (
            unweighted.fit(X, y, sample_weight=weights).validation_scores_
            != (curves[0])
        )
    # Metrics that take no weights are not given any.
    for scoring in ("neg_max_error", plain) if cls is MLPRegressor else (plain,):
        quick(cls, scoring=scoring, **options).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("class_weight", ["balanced", {1: 9.0}])
def test_the_held_out_loss_counts_samples_as_training_does(
    class_weight: Any, X: np.ndarray, y: np.ndarray
) -> None:
    """By the weights of their classes; "balanced" is so in the training data."""
    clf = quick(MLPClassifier, class_weight=class_weight)
    clf.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    table = np.asarray([1.0, 9.0, 1.0])
    if class_weight == "balanced":
        table = compute_class_weight("balanced", classes=np.arange(3), y=y[:40])
    costs = -clf.predict_log_proba(X[40:])[np.arange(20), y[40:]]
    assert clf.validation_loss_curve_[-1] == pytest.approx(
        np.average(costs, weights=table[y[40:]]), rel=TRAJECTORY
    )
    assert clf.validation_scores_[-1] == clf.score(X[40:], y[40:])


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: -1.0}, "class_weight must not be negative or NaN"),
        ({0: np.nan}, "class_weight must not be negative or NaN"),
        (dict.fromkeys(range(3), 0.0), r"sum to 0.0 in float32"),
        (dict.fromkeys(range(3), 1e-60), r"sum to 0.0 in float32"),
        (dict.fromkeys(range(3), 1e60), r"sum to inf in float32"),
    ],
    ids=["negative", "NaN", "zero", "too small", "too large"],
)
def test_bad_class_weights(
    class_weight: Any, message: str, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick(MLPClassifier, class_weight=class_weight)
    with pytest.raises(DataError, match=message):
        clf.fit(X.astype(np.float32), y)
    assert not hasattr(clf, "coefs_")


def test_class_weights_of_each_label(X: np.ndarray, y: np.ndarray) -> None:
    """A list of dicts, whose weights are multiplied, as in compute_sample_weight."""
    labels = np.stack([y > 0, y > 1], axis=1) + 0
    outputs = np.stack([y, y > 1], axis=1)
    class_weight = [{0: 1.0, 1: 5.0, 2: 3.0}, {0: 2.0, 1: 1.0}]
    for targets in (labels, outputs):
        weights = compute_sample_weight(class_weight, targets)
        clf = quick(MLPClassifier, class_weight=class_weight).fit(X, targets)
        desired = quick(MLPClassifier).fit(X, targets, sample_weight=weights)
        assert_same_weights(clf, desired)


def test_class_weights_of_strings_and_partial_fit(X: np.ndarray, y: np.ndarray) -> None:
    names = np.asarray(["a", "b", "c"])[y]
    named = quick(MLPClassifier, class_weight={"b": 9.0}).fit(X, names)
    numbered = quick(MLPClassifier, class_weight={1: 9.0})
    assert_same_weights(named, numbered.fit(X, y))
    part = quick(MLPClassifier, class_weight={1: 9.0})
    part.partial_fit(X, y, classes=[0, 1, 2])
    assert_same_weights(part, numbered.set_params(max_iter=1).fit(X, y))
    with pytest.raises(DataError, match="'balanced' needs all samples at once"):
        quick(MLPClassifier, class_weight="balanced").partial_fit(
            X, y, classes=[0, 1, 2]
        )


@pytest.mark.parametrize("kind", ["two", "three", "names", "labels", "outputs"])
def test_class_weights_of_a_chunk_that_lacks_classes(
    kind: str, X: np.ndarray, y: np.ndarray
) -> None:
    """They are judged by all classes; a list has a dict for each column."""
    targets, class_weight = {
        "two": (np.minimum(y, 1), {0: 5.0}),
        "three": (y, {0: 5.0, 2: 2.0}),
        "names": (np.asarray(["a", "bee", "c"])[y], {"a": 5.0}),
        "labels": (np.stack([y > 0, y > 1], axis=1) + 0, [{0: 5.0}, {1: 2.0}]),
        "outputs": (np.stack([y, y > 1], axis=1), [{0: 5.0, 1: 2.0}, {1: 2.0}]),
    }[kind]
    chunk = y == 1
    weights = compute_sample_weight(class_weight, targets)
    options: dict[str, Any] = {"random_state": 0, "warm_start": True}
    for method in ("fit", "partial_fit"):
        clf = quick(MLPClassifier, class_weight=class_weight, **options)
        clf.fit(X, targets)
        getattr(clf, method)(X[chunk], targets[chunk])
        desired = quick(MLPClassifier, **options)
        desired.fit(X, targets, sample_weight=weights)
        getattr(desired, method)(X[chunk], targets[chunk], sample_weight=weights[chunk])
        assert_same_weights(clf, desired)
    wrong = {7: 5.0} if isinstance(class_weight, dict) else [{7: 5.0}] * 2
    clf.set_params(class_weight=wrong)
    with pytest.raises(ValueError, match="are not in class_weight"):
        clf.partial_fit(X, targets)
    with pytest.raises(DataError, match=r"not in `self\.classes_`|Expected"):
        clf.partial_fit(X, 7 + y)


# --------------------------------------------------------------------------- the ends


@both
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_max_time(cls: Any, solver: str, X: np.ndarray, y: np.ndarray) -> None:
    """It ends with the step under way, and is no failure."""
    batches = {} if solver == "lbfgs" else {"batch_size": 20}
    estimator = quick(cls, solver=solver, max_iter=50, max_time=1e-9, **batches)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X, y)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 1
    assert estimator.t_ == (0 if solver == "lbfgs" else 20)
    assert np.all(np.isfinite(estimator.predict(X)))


def test_max_time_is_measured(X: np.ndarray, y: np.ndarray) -> None:
    start = time.monotonic()
    settings = {"max_iter": 10**5, "tol": 0.0, "n_iter_no_change": np.inf}
    clf = quick(MLPClassifier, max_time=0.2, **settings).fit(X, y)
    assert 0.2 <= time.monotonic() - start < 5.0
    assert 1 < clf.n_iter_ < 10**5


@both
@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_ctrl_c_between_steps(
    cls: Any,
    optimizer: Any,
    X: np.ndarray,
    y: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the sixth step, the second of the second epoch."""
    update, calls = optimizer.update, []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return update(*args)

    monkeypatch.setattr(optimizer, "update", interrupted)
    solver = optimizer.__name__.lower()
    estimator = quick(cls, solver=solver, batch_size=16, max_iter=99)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert estimator.fit(X, y) is estimator
    assert len(calls) == 6
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 1
    assert np.all(np.isfinite(estimator.predict(X)))
    assert np.any(
        estimator.coefs_[0] != quick(cls, max_iter=1, batch_size=16).fit(X, y).coefs_[0]
    )


@both
def test_ctrl_c_within_partial_fit(
    cls: Any, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = quick(cls).fit(X, y)

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Adam, "update", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user") as seen:
        assert fitted.partial_fit(X, y) is fitted
    assert seen[0].filename == __file__
    monkeypatch.undo()
    assert_same_weights(fitted, quick(cls).fit(X, y))


@both
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_within_the_first_epoch(
    cls: Any, solver: str, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first weights predict; a loss, of this fit or of one before, is not known."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    estimator = quick(cls, solver=solver)
    again = quick(cls, solver=solver).fit(X, y)
    monkeypatch.setattr(Adam, "update", interrupted)
    monkeypatch.setattr(Objective, "value_and_gradient", interrupted)
    for each in (estimator, again):
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            each.fit(X, y)
        assert each.predict(X).shape == (60,)
        assert (each.n_iter_, each.t_, each.loss_curve_) == (0, 0, [])
        assert np.isnan(each.loss_)


@both
def test_divergence_is_told_once(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    """By the error alone: a warning of NumPy's would be an error here."""
    X = X.astype(np.float32)
    with pytest.raises(DivergenceError, match="diverged"):
        quick(cls, solver="sgd", learning_rate_init=1e30).fit(X, y)
    with np.errstate(over="raise"):  # that of the caller is left as it was
        epochs = quick(cls).iter_fit(X, y)
        next(epochs)
        assert np.geterr()["over"] == "raise"


@both
def test_lbfgs_tells_of_an_overflow_once(cls: Any, X: np.ndarray) -> None:
    t = 1e300 * (np.arange(60) % 3)
    X, t = (X, t) if cls is MLPRegressor else (1e307 * X, t > 0)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed") as seen:
        quick(cls, solver="lbfgs").fit(X, t)
    assert len(seen) == 1


@both
def test_ctrl_c_within_lbfgs(
    cls: Any, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, calls = Objective.value_and_gradient, []

    def interrupted(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return evaluate(*args, **options)

    monkeypatch.setattr(Objective, "value_and_gradient", interrupted)
    estimator = quick(cls, solver="lbfgs", max_iter=99)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        estimator.fit(X, y)
    monkeypatch.undo()
    n_iter = estimator.n_iter_
    assert 0 < n_iter == len(estimator.loss_curve_)
    assert_same_weights(
        estimator, quick(cls, solver="lbfgs", max_iter=n_iter).fit(X, y)
    )


@both
def test_lbfgs(cls: Any, backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    options = {"solver": "lbfgs", "max_iter": 15, "activation": "tanh", "alpha": 0.1}
    fitted = quick(cls, **options).fit(backend.asarray(X), backend.asarray(y))
    assert all(map(backend.holds, fitted.coefs_ + fitted.intercepts_))
    assert len(fitted.loss_curve_) == fitted.n_iter_ == 15
    assert fitted.loss_ == fitted.best_loss_ == fitted.loss_curve_[-1]
    assert sorted(fitted.loss_curve_, reverse=True) == fitted.loss_curve_
    desired = quick(cls, **options).fit(X, y)
    assert_close(
        np.asarray(fitted.loss_curve_), np.asarray(desired.loss_curve_), factor=FITTED
    )


IGNORED: list[tuple[str, dict[str, Any], str]] = [
    ("adam", {"momentum": 0.5, "power_t": 0.1}, "momentum, power_t, which were set"),
    ("adam", {"learning_rate": "adaptive"}, "learning_rate, which was set"),
    ("adam", {"max_fun": 3}, "max_fun"),
    ("adam", {"nesterovs_momentum": False}, "nesterovs_momentum"),
    ("sgd", {"beta_1": 0.5}, "beta_1"),
    ("sgd", {"beta_2": 0.5}, "beta_2"),
    ("sgd", {"epsilon": 0.5}, "epsilon"),
    ("sgd", {"weight_decay": 0.5}, "weight_decay"),
    ("adam", {"weight_decay": 0.5, "rho": 0.5}, "rho, weight_decay, which were set"),
    ("adamw", {"momentum": 0.5}, "momentum"),
    ("nadam", {"rho": 0.5}, "rho"),
    ("rmsprop", {"beta_2": 0.5}, "beta_2"),
    ("muon", {"rho": 0.5}, "rho"),
    ("lbfgs", {"early_stopping": True}, "early_stopping"),
    ("lbfgs", {"shuffle": False}, "shuffle"),
    ("lbfgs", {"n_iter_no_change": 3}, "n_iter_no_change"),
]


@both
@pytest.mark.parametrize(("solver", "settings", "message"), IGNORED)
def test_parameters_without_effect_warn(
    cls: Any,
    solver: str,
    settings: dict[str, Any],
    message: str,
    X: np.ndarray,
    y: np.ndarray,
) -> None:
    with pytest.warns(UserWarning, match=f"'{solver}' ignores {message}") as seen:
        quick(cls, solver=solver, **settings).fit(X, y)
    (warning,) = (w for w in seen if "ignores" in str(w.message))
    assert warning.filename == __file__


# -------------------------------------------------------------------------- activations


@both
def test_an_activation_for_each_layer(
    cls: Any, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)
    settings = {"hidden_layer_sizes": (5, 4), "activation": ["tanh", "gelu"]}
    fitted = quick(cls, **settings).fit(here, y)
    same = quick(cls, **(settings | {"activation": "tanh"})).fit(here, y)
    (W1, W2, _), (b1, b2, _) = fitted.coefs_, fitted.intercepts_
    assert tuple(W2.shape) == (5, 4)
    assert not bool(backend.xp.all(same.coefs_[0] == W1))
    desired = quick(cls, **settings).fit(X, y)
    assert_close(to_numpy(W1), desired.coefs_[0], factor=FITTED)
    assert_close(to_numpy(b2), desired.intercepts_[1], factor=FITTED)
    assert b1.shape == (5,)


@both
@pytest.mark.parametrize(
    "activation", [["tanh"], ("tanh",) * 3, [], ["tanh", "softmax"], ["tanh", None]]
)
def test_activations_that_fit_no_layers(
    cls: Any, activation: Any, X: np.ndarray, y: np.ndarray
) -> None:
    estimator = quick(cls, hidden_layer_sizes=(5, 4), activation=activation)
    with pytest.raises(ValueError, match="for each of the 2 hidden layers"):
        estimator.fit(X, y)


class Softsign:
    """An activation of one's own, with a derivative that can be told to be wrong."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong

    def value(self, Z: Array) -> Array:
        return Z / (1.0 + abs(Z))

    def derivative(self, Z: Array) -> Array:
        if self.wrong == "shape":
            return Z[0, :]
        return (1.1 if self.wrong else 1.0) / (1.0 + abs(Z)) ** 2


@both
@pytest.mark.parametrize("activation", [Softsign, ["tanh", Softsign]])
def test_an_activation_is_an_instance(
    cls: Any, activation: Any, X: np.ndarray, y: np.ndarray
) -> None:
    settings = {"activation": activation, "hidden_layer_sizes": (5, 5)}
    with pytest.raises(ValueError, match=r"an instance.*Softsign"):
        quick(cls, **settings).fit(X, y)


@both
@pytest.mark.parametrize("sizes", [True, (True,), (5, True), (np.True_,)])
def test_bools_are_no_sizes(cls: Any, sizes: Any, X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0"):
        quick(cls, hidden_layer_sizes=sizes).fit(X, y)


@both
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_activation_of_ones_own(
    cls: Any, solver: str, dtype: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X.astype(dtype))
    fitted = quick(cls, activation=Softsign(), solver=solver).fit(here, y)
    assert all(map(backend.holds, [*fitted.coefs_, fitted.predict(here)]))
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    mixed = quick(cls, activation=["tanh", Softsign()], hidden_layer_sizes=(3, 3))
    mixed.fit(here, y)


@both
@pytest.mark.parametrize(
    ("wrong", "message"),
    [("value", "derivative doesn't fit its value"), ("shape", "must return shape")],
)
def test_a_wrong_derivative_is_found(
    cls: Any, wrong: str, message: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(GradientError, match=f"activation Softsign.*{message}"):
        quick(cls, activation=Softsign(wrong)).fit(backend.asarray(X), y)


# -------------------------------------------------------------------------- prediction


@both
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_blocks_answer_like_one(
    cls: Any,
    form: Any,
    X: np.ndarray,
    y: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = quick(cls).fit(X, y)
    methods = ["predict"]
    if cls is MLPClassifier:
        methods += ["predict_proba", "predict_log_proba", "decision_function"]
    desired = [getattr(fitted, method)(form(X)) for method in methods]
    for block in (1, 5 * 7, 5 * 60):
        monkeypatch.setattr(network.chain, "_BLOCK", block)
        for method, one in zip(methods, desired, strict=True):
            assert_close(getattr(fitted, method)(form(X)), one, factor=ONE_PASS)


def test_blocks_answer_like_one_elsewhere(
    backend: Backend, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = backend.asarray(X)
    clf = quick(MLPClassifier).fit(here, y)
    desired = clf.predict_proba(here)
    monkeypatch.setattr(network.chain, "_BLOCK", 35)
    assert_close(clf.predict_proba(here), desired, factor=ONE_PASS)


@both
def test_predicting_takes_bounded_memory(
    cls: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of samples: here the layer's whole output is 64 MB."""
    X = rng.normal(size=(20_000, 3))
    estimator = quick(cls, hidden_layer_sizes=(400,), max_iter=1)
    estimator.fit(X[:50], np.arange(50) % 2)
    monkeypatch.setattr(network.chain, "_BLOCK", 2**18)  # 2 MB
    tracemalloc.start()
    try:
        estimator.predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8e6


@both
def test_training_copies_no_samples(cls: Any, rng: np.random.Generator) -> None:
    X = rng.normal(size=(20_000, 50))
    estimator = quick(cls, batch_size=100, max_iter=1)
    tracemalloc.start()
    try:
        estimator.fit(X, np.arange(20_000) % 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2


@both
@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "coo_array"])
def test_sparse_samples(cls: Any, form: str, X: np.ndarray, y: np.ndarray) -> None:
    X = np.where(np.abs(X) < 0.7, 0.0, X)
    sparse = getattr(scipy.sparse, form)(X)
    for options in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        fitted = quick(cls, **options).fit(sparse, y)
        assert_same_weights(fitted, quick(cls, **options).fit(X, y), factor=FITTED)
        assert_close(fitted.predict(sparse), fitted.predict(X), factor=ONE_PASS)
        assert fitted.score(sparse, y) == pytest.approx(fitted.score(X, y))


@both
def test_sparse_samples_stay_on_the_host(
    cls: Any, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(DataError, match=r"Sparse X .* NumPy only.*toarray"):
        quick(cls, backend="strict").fit(scipy.sparse.csr_array(X), y)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_numbers_of_numpy_keep_float32(
    solver: str, X: np.ndarray, y: np.ndarray
) -> None:
    """A grid hands in NumPy's float64, which is no weak number like Python's."""
    numbers = {"alpha": 0.1, "learning_rate_init": 0.01}
    numbers |= (
        {"momentum": 0.8} if solver == "sgd" else {"beta_1": 0.8, "epsilon": 1e-6}
    )
    numbers = {"alpha": 0.1} if solver == "lbfgs" else numbers
    plain, grid = (
        quick(MLPClassifier, solver=solver, **settings).fit(X.astype(np.float32), y)
        for settings in (
            numbers,
            {name: np.float64(number) for name, number in numbers.items()},
        )
    )
    for actual, desired in zip(grid.coefs_, plain.coefs_, strict=True):
        assert actual.dtype == np.float32
        np.testing.assert_array_equal(actual, desired)
