"""What scikit-learn asks of an estimator, and the tools it gives to one."""

import importlib.util
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from tolerances import EXACT, FITTED

from xpnet import Backend, MLPClassifier, MLPRegressor, get_backend
from xpnet._namespace import to_numpy
from xpnet.testing import assert_close

pytestmark = pytest.mark.filterwarnings(
    "ignore:Stochastic Optimizer", "ignore:lbfgs failed"
)

ESTIMATORS = [MLPClassifier, MLPRegressor]


def quick(cls: Any, **parameters: Any) -> Any:
    """Return an estimator that trains for three epochs of four batches."""
    defaults = {"hidden_layer_sizes": (5,), "max_iter": 3, "batch_size": 15}
    return cls(**(defaults | {"random_state": 0} | parameters))


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y(X: np.ndarray) -> np.ndarray:
    """Three classes, which are numbers too."""
    return np.digitize(X[:, 0], [-0.4, 0.4])


# ----------------------------------------------------------------- scikit-learn's checks


@parametrize_with_checks(
    [
        *(cls() for cls in ESTIMATORS),
        # L-BFGS separates the classifier's data so well that probabilities are 0: there
        # the check takes their logarithms, while xpnet's are finite.
        MLPClassifier(solver="sgd"),
        MLPRegressor(solver="lbfgs"),
    ]
)
def test_common_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module", params=ESTIMATORS)
def records(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What each common check had to say of an estimator."""
    return check_estimator(request.param(), on_skip=None, on_fail=None)


def test_no_check_fails(records: list[dict[str, Any]]) -> None:
    failed = [r["check_name"] for r in records if r["status"] not in PASSED_OR_SKIPPED]
    assert not failed
    assert Counter(r["status"] for r in records)["passed"] > 60


PASSED_OR_SKIPPED = {"passed", "skipped"}

ABSENT = [
    r"(cupy|dpnp|torch) is not installed",
    "requires cuda, which is not available",
    "no XPU device is available",
    "PYTORCH_ENABLE_MPS_FALLBACK is not set",
]
"""Why a check may be skipped: for want of a library or a device."""


def test_checks_are_skipped_for_want_of_hardware_only(
    records: list[dict[str, Any]],
) -> None:
    for record in records:
        if record["status"] == "skipped":
            with pytest.raises(BaseException, match="|".join(ABSENT)):
                raise record["exception"]


def test_the_array_api_checks_are_run(records: list[dict[str, Any]]) -> None:
    """They are all skipped where SCIPY_ARRAY_API was not set in time."""
    passed = Counter(r["check_name"] for r in records if r["status"] == "passed")
    assert passed["check_array_api_same_namespace"] == 1
    assert passed["check_array_api_input"] >= 3  # of NumPy, and strict on two devices
    if importlib.util.find_spec("torch"):  # every mixture of it has torch on one side
        assert passed["check_array_api_mixed_inputs"] >= 1


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_tags(cls: Any) -> None:
    tags = cls().__sklearn_tags__()
    assert tags.array_api_support
    assert tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    if cls is MLPClassifier:
        assert tags.classifier_tags.multi_class
        assert tags.classifier_tags.multi_label


# -------------------------------------------------------------------------- being handled


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_clone(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    fitted = quick(cls, alpha=0.5).fit(X, y)
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert vars(fresh).keys() == fresh.get_params().keys()


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_pickle_is_slim_and_trains_on(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    fitted = quick(cls).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert "_progress" not in vars(again)
    assert_close(again.predict(X), fitted.predict(X), factor=EXACT)
    again.partial_fit(X, y)
    assert len(again.loss_curve_) == 4


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_html(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    html = quick(cls).fit(X, y)._repr_html_()
    assert cls.__name__ in html
    assert "batch_size" in html


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_metadata_routing(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Weights and held-out samples reach the estimator through a pipeline."""
    weights = np.arange(60.0)
    desired = quick(cls).fit(X, y, sample_weight=weights, X_val=X[:9], y_val=y[:9])
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = quick(cls)
        estimator.set_fit_request(sample_weight=True, X_val=True, y_val=True)
        estimator.set_partial_fit_request(sample_weight=True)
        estimator.set_score_request(sample_weight=True)
        pipeline = make_pipeline("passthrough", estimator)
        pipeline.fit(X, y, sample_weight=weights, X_val=X[:9], y_val=y[:9])
        scores = cross_validate(
            quick(cls)
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=True),
            *(X, y),
            params={"sample_weight": weights},
            error_score="raise",
        )
    assert pipeline[-1].validation_scores_ == desired.validation_scores_
    assert_close(pipeline.predict(X), desired.predict(X), factor=EXACT)
    assert len(scores["test_score"]) == 5


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_frames(library: str, cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    frames = pytest.importorskip(library)
    columns = {name: X[:, i] for i, name in enumerate("abcd")}
    frame = frames.DataFrame(columns)
    fitted = quick(cls).fit(frame, frames.Series(y))
    assert fitted.feature_names_in_.tolist() == list("abcd")
    desired = quick(cls).fit(X, y)
    assert_close(fitted.predict(frame), desired.predict(X), factor=EXACT)
    assert fitted.score(frame, frames.Series(y)) == desired.score(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[list("dcba")])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(X)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_pipeline_and_grid_search(cls: Any, X: np.ndarray, y: np.ndarray) -> None:
    estimator = quick(cls, solver="lbfgs", batch_size="auto", max_iter=100)
    pipeline = make_pipeline(StandardScaler(), estimator)
    grid = {f"{cls.__name__.lower()}__alpha": [1e-3, 1e4]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(5.0 + X, y)
    assert list(search.best_params_.values()) == [1e-3]
    assert search.best_score_ > 0.5


def test_several_regressors_of_one_output(X: np.ndarray) -> None:
    Y = X[:, :2]
    both = MultiOutputRegressor(quick(MLPRegressor)).fit(X, Y)
    assert both.predict(X).shape == (60, 2)


# --------------------------------------------------------------------------- dispatching


@pytest.fixture(params=["strict", "strict:device1", "torch", "cupy"])
def there(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The backends that scikit-learn's own code dispatches to, and it does so."""
    if request.param in ("torch", "cupy"):
        pytest.importorskip(request.param)
    backend = get_backend(request.param)
    with sklearn.config_context(array_api_dispatch=True):
        yield backend


TOOLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Pipeline": lambda clf, X, y: (
        make_pipeline(StandardScaler(), clf).fit(X, y).predict_proba(X)
    ),
    "cross_val_predict": lambda clf, X, y: cross_val_predict(clf, X, y, cv=3),
    "CalibratedClassifierCV": lambda clf, X, y: (
        CalibratedClassifierCV(clf, method="temperature", cv=3)
        .fit(X, y)
        .predict_proba(X)
    ),
    "GridSearchCV": lambda clf, X, y: (
        GridSearchCV(clf, {"alpha": [0.1, 1.0]}, cv=3, error_score="raise")
        .fit(X, y)
        .predict_proba(X)
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # StandardScaler's
@pytest.mark.parametrize("tool", TOOLS)
def test_tools_take_arrays_of_other_libraries(
    tool: str, there: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick(MLPClassifier, max_iter=20)
    answer = TOOLS[tool](clf, there.asarray(X), there.asarray(y))
    assert there.holds(answer)
    desired = TOOLS[tool](clf, X, y)
    if tool == "CalibratedClassifierCV":  # whose own optimiser has its own tolerance
        assert answer.shape == desired.shape
    else:
        assert_close(to_numpy(answer), desired, factor=FITTED)


@pytest.mark.parametrize(
    "method", ["predict_proba", "predict_log_proba", "decision_function"]
)
@pytest.mark.parametrize("labels", ["there", "here", "strings"])
def test_cross_validated_probabilities(
    labels: str, method: str, there: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """For them, scikit-learn asks classes_ to lie where X does."""
    clf, here = quick(MLPClassifier), there.asarray(X)
    y_here = {"there": there.asarray(y), "here": y, "strings": np.asarray([*"abc"])[y]}
    answer = cross_val_predict(clf, here, y_here[labels], cv=3, method=method)
    assert there.holds(answer)
    desired = cross_val_predict(clf, X, y, cv=3, method=method)
    assert_close(to_numpy(answer), desired, factor=FITTED)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_cross_validated_scores(
    cls: Any, there: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    y = y + 0.0 if cls is MLPRegressor else y
    actual = cross_val_score(quick(cls), there.asarray(X), there.asarray(y), cv=3)
    desired = cross_val_score(quick(cls), X, y, cv=3)
    assert_close(actual, desired, factor=FITTED)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_moved_estimator_answers_and_trains_on(
    cls: Any, there: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    array_api = pytest.importorskip("sklearn.utils._array_api")
    if not hasattr(array_api, "move_estimator_to"):
        pytest.skip("this scikit-learn moves no estimators")
    fitted = quick(cls).fit(there.asarray(X), y)
    moved = array_api.move_estimator_to(fitted, np, "cpu")
    assert all(type(x) is np.ndarray for x in moved.coefs_ + moved.intercepts_)
    here = quick(cls).fit(X, y)
    assert_close(moved.predict(X), here.predict(X), factor=FITTED)
    for _ in range(2):
        moved.partial_fit(X, y)
        here.partial_fit(X, y)
    for actual, desired in zip(moved.coefs_, here.coefs_, strict=True):
        assert_close(actual, desired, factor=FITTED)


@pytest.mark.parametrize("dispatch", [False, True])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_estimator_dispatches_by_itself(
    cls: Any, dispatch: bool, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """JAX too, which scikit-learn does not know."""
    here = backend.asarray(X)
    with sklearn.config_context(array_api_dispatch=dispatch):
        fitted = quick(cls, early_stopping=True).fit(here, backend.asarray(y))
        answer = fitted.predict(here)
        score = fitted.score(here, backend.asarray(y))
    assert all(map(backend.holds, [*fitted.coefs_, *fitted.intercepts_, answer]))
    desired = quick(cls, early_stopping=True).fit(X, y)
    assert_close(to_numpy(answer), desired.predict(X), factor=FITTED)
    assert type(score) is float


WITHOUT_THE_VARIABLE = """
import warnings
import numpy as np
from xpnet import MLPClassifier, MLPRegressor, get_backend
warnings.simplefilter("ignore")
xp = get_backend("strict:device1")
X = xp.asarray(np.random.default_rng(0).normal(size=(60, 3)))
y = xp.asarray(np.arange(60) % 3)
for cls in (MLPClassifier, MLPRegressor):
    for options in ({"solver": "lbfgs"}, {"early_stopping": True, "scoring": "loss"}):
        estimator = cls(hidden_layer_sizes=(4,), max_iter=3, **options).fit(X, y)
        print(xp.holds(estimator.coefs_[0]) and xp.holds(estimator.predict(X)))
"""


def test_the_environment_variable_is_not_needed() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "SCIPY_ARRAY_API"}
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_VARIABLE],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert found.stdout.split() == ["True"] * 4
