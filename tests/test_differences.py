"""Where xpnet does otherwise than scikit-learn.

Each test is a row of a table in ``docs/differences.md``. It runs on both libraries:
on scikit-learn it is expected to fail, and may pass once that is changed there.
"""

import pickle
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn
import sklearn.neural_network
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from tolerances import GRADIENT

import xpnet
from xpnet import get_backend
from xpnet.optimizers import Adam

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


@pytest.fixture(
    params=[
        xpnet,
        pytest.param(
            sklearn.neural_network,
            marks=pytest.mark.xfail(reason="scikit-learn does otherwise", strict=False),
        ),
    ],
    ids=["xpnet", "sklearn"],
)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Both libraries, under the same names."""
    return request.param


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:500] / 16, y[:500]


@pytest.mark.parametrize("n_targets", [1, 2, 5])
def test_the_gradient_is_that_of_the_loss_with_several_outputs(
    library: ModuleType, n_targets: int
) -> None:
    """scikit-learn#8349: one step of gradient descent against central differences."""
    X, Y = make_regression(40, 3, n_targets=n_targets, random_state=0)
    Y = Y.reshape(40, -1) / 100
    reg = library.MLPRegressor(
        hidden_layer_sizes=(4,),
        activation="tanh",
        solver="sgd",
        momentum=0.0,
        nesterovs_momentum=True,
        alpha=0.0,
        learning_rate_init=1e-3,
        batch_size=40,
        max_iter=1,
        random_state=0,
    )
    rng = np.random.RandomState(0)
    bounds = np.sqrt(6 / 7), np.sqrt(6 / (4 + n_targets))
    W1, b1 = rng.uniform(-bounds[0], bounds[0], (3, 4)), None
    b1 = rng.uniform(-bounds[0], bounds[0], 4)
    W2 = rng.uniform(-bounds[1], bounds[1], (4, n_targets))
    b2 = rng.uniform(-bounds[1], bounds[1], n_targets)

    def loss(W2: np.ndarray) -> float:
        return float(np.mean((np.tanh(X @ W1 + b1) @ W2 + b2 - Y) ** 2) / 2)

    numeric = np.empty_like(W2)
    for index in np.ndindex(*W2.shape):
        shift = np.zeros_like(W2)
        shift[index] = 1e-6
        numeric[index] = (loss(W2 + shift) - loss(W2 - shift)) / 2e-6
    reg.fit(X, Y if n_targets > 1 else Y[:, 0])
    np.testing.assert_allclose((W2 - reg.coefs_[1]) / 1e-3, numeric, **GRADIENT)


def test_log_probabilities_are_finite(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPClassifier(random_state=0, max_iter=5).fit(X, y)
    assert np.all(np.isfinite(clf.predict_log_proba(1000 * X)))


def test_the_loss_is_not_clipped(library: ModuleType) -> None:
    """A wrong answer that is certain costs its logit, however large."""
    X = np.asarray([[-1e4], [1e4], [1e4], [-1e4]])
    clf = library.MLPClassifier((), max_iter=1, random_state=0, learning_rate_init=1e-9)
    if library is sklearn.neural_network:  # which has no network without hidden layer
        clf.set_params(hidden_layer_sizes=(1,), activation="identity")
    clf.fit(X, [0, 1, 0, 1])
    assert clf.loss_ > 100.0


def test_early_stopping_is_stratified(library: ModuleType) -> None:
    """Three classes, one of them rare: each is among the held-out samples."""
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], [470, 20, 10])
    X = rng.normal(size=(500, 2))
    shares = []
    for seed in range(20):
        clf = library.MLPClassifier(
            (2,), early_stopping=True, max_iter=1, random_state=seed
        )
        seen: list[Any] = []
        score = "_score_outputs" if library is xpnet else "_score"
        original = getattr(clf, score)

        def spy(
            *args: Any, original: Any = original, seen: Any = seen, **kwargs: Any
        ) -> Any:
            seen.append(args[1])
            return original(*args, **kwargs)

        setattr(clf, score, spy)
        clf.fit(X, y)
        shares.append(np.sum(seen[0] == 2))
    assert set(shares) == {1}


def test_partial_fit_shuffles_anew(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """Two calls go over the samples in different orders, as two epochs do."""
    X, y = digits
    options = {"solver": "sgd", "momentum": 0.0, "random_state": 0, "max_iter": 2}
    whole = library.MLPClassifier(**options).fit(X, y)
    parts = library.MLPClassifier(**options)
    for _ in range(2):
        parts.partial_fit(X, y, classes=np.unique(y))
    np.testing.assert_array_equal(parts.coefs_[0], whole.coefs_[0])


def test_warm_start_keeps_the_optimiser(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    whole = library.MLPClassifier(random_state=0, max_iter=10).fit(X, y)
    parts = library.MLPClassifier(random_state=0, max_iter=5, warm_start=True)
    parts.fit(X, y).fit(X, y)
    np.testing.assert_array_equal(parts.coefs_[0], whole.coefs_[0])


def test_divergence_stops_where_it_happens(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPRegressor(
        solver="sgd", learning_rate_init=1e20, max_iter=50, random_state=0
    )
    with pytest.raises(ValueError, match="non-finite parameter weights") as caught:
        clf.fit(X, y)
    assert clf.n_iter_ < 5
    assert "learning_rate_init" in str(caught.value)


def test_divergence_with_early_stopping(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """The weights of the best epoch are left."""
    reg = library.MLPRegressor(
        activation="identity",
        solver="sgd",
        learning_rate_init=1.0,
        early_stopping=True,
        random_state=0,
    )
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        reg.fit(*digits)
    assert np.all(np.isfinite(reg.coefs_[0]))


def test_a_pickle_holds_the_weights_only(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPClassifier((500,), random_state=0, max_iter=2).fit(X, y)
    n_bytes = sum(x.nbytes for x in clf.coefs_ + clf.intercepts_)
    assert len(pickle.dumps(clf)) < 1.1 * n_bytes


@pytest.mark.parametrize(
    ("solver", "ignored"),
    [
        ("adam", {"learning_rate": "adaptive"}),
        ("adam", {"momentum": 0.5}),
        ("sgd", {"beta_1": 0.5}),
        ("lbfgs", {"early_stopping": True}),
        ("lbfgs", {"batch_size": 10}),
    ],
)
def test_a_parameter_without_effect_warns(
    library: ModuleType,
    solver: str,
    ignored: dict[str, Any],
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    (name,) = ignored
    clf = library.MLPClassifier(solver=solver, max_iter=2, **ignored)
    with pytest.warns(UserWarning, match=f"ignores {name}"):
        clf.fit(*digits)


def test_lbfgs_has_a_loss_curve(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    clf = library.MLPClassifier(solver="lbfgs", max_iter=20, random_state=0).fit(
        *digits
    )
    assert len(clf.loss_curve_) == clf.n_iter_
    assert clf.loss_curve_[-1] == clf.loss_ < clf.loss_curve_[0]


def test_float16_is_computed_in_float32(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPClassifier(max_iter=2).fit(X.astype(np.float16), y)
    assert clf.coefs_[0].dtype == np.float32


def test_several_outputs_of_several_classes(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    Y = np.stack([y, y % 3], axis=1)
    clf = library.MLPClassifier(random_state=0, max_iter=100).fit(X, Y)
    assert clf.predict(X).shape == Y.shape
    assert clf.score(X, Y) > 0.95


def test_warm_start_takes_some_of_the_classes(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPClassifier(max_iter=2, warm_start=True).fit(X, y)
    clf.fit(X[y < 5], y[y < 5])
    assert clf.predict_proba(X).shape == (500, 10)


def test_string_labels_with_early_stopping(library: ModuleType) -> None:
    """scikit-learn#33760: mended there in 1.9."""
    X, y = load_iris(return_X_y=True)
    names = np.asarray(["setosa", "versicolor", "virginica"])[y]
    clf = library.MLPClassifier(early_stopping=True, random_state=0).fit(X, names)
    assert set(clf.predict(X)) <= set(names)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_a_weight_of_k_is_k_copies_of_the_sample(
    library: ModuleType, kind: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """Exact, to rounding, where a batch holds all samples."""
    X, y = digits[0][:60], digits[1][:60] % 2
    counts = np.random.RandomState(0).randint(0, 4, size=60)
    X_copies, y_copies = np.repeat(X, counts, axis=0), np.repeat(y, counts)
    options = {"solver": "sgd", "max_iter": 30, "random_state": 0, "shuffle": False}
    weighted = getattr(library, kind)(batch_size=60, **options)
    copied = getattr(library, kind)(batch_size=len(y_copies), **options)
    weighted.fit(X, y, sample_weight=counts)
    copied.fit(X_copies, y_copies)
    np.testing.assert_allclose(weighted.coefs_[0], copied.coefs_[0], **GRADIENT)


def test_a_batch_of_weight_zero_changes_nothing(library: ModuleType) -> None:
    X = np.random.RandomState(0).normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int)
    weights = np.repeat([1.0, 0.0], 20)
    clf = library.MLPClassifier((3,), batch_size=20, shuffle=False, max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X, y, sample_weight=weights)
    assert np.all(np.isfinite(clf.coefs_[0]))


def test_early_stopping_with_a_class_of_one_sample(library: ModuleType) -> None:
    X = np.random.RandomState(0).normal(size=(40, 2))
    y = np.arange(40) == 7
    clf = library.MLPClassifier((3,), early_stopping=True, max_iter=3, random_state=0)
    assert len(clf.fit(X, y).validation_scores_) == 3


def test_a_refused_fit_changes_nothing(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPClassifier(max_iter=2, random_state=0).fit(X, y)
    desired = clf.predict_proba(X)
    with pytest.raises(ValueError, match="Unknown label type"):
        clf.fit(X[:, :9], y + 0.5)
    np.testing.assert_array_equal(clf.predict_proba(X), desired)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_arrays_of_another_library(
    library: ModuleType, kind: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """On a device, which a copy to NumPy would leave."""
    there = get_backend("strict:device1")
    X, y = map(there.asarray, digits)
    with sklearn.config_context(array_api_dispatch=True):
        estimator = getattr(library, kind)(max_iter=2, random_state=0).fit(X, y)
        assert there.holds(estimator.predict(X))
        assert estimator.score(X, y) <= 1.0


@pytest.mark.parametrize("given", [False, True])
def test_partial_fit_on_an_indicator_matrix(
    library: ModuleType, given: bool, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """scikit-learn#12505: there, it works when classes are given."""
    X, y = digits
    labels = np.stack([y > 3, y % 2 == 0, y > 6], axis=1).astype(int)
    clf = library.MLPClassifier(random_state=0)
    for _ in range(2):
        clf.partial_fit(X, labels, **({"classes": [0, 1, 2]} if given else {}))
    assert clf.predict(X).shape == labels.shape


def test_ctrl_c_within_the_first_epoch(
    library: ModuleType,
    digits: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    clf = library.MLPClassifier(max_iter=2).fit(*digits)
    if library is xpnet:
        monkeypatch.setattr(Adam, "update", interrupted)
    else:
        monkeypatch.setattr(library.MLPClassifier, "_backprop", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(*digits)
    assert np.isnan(clf.loss_)


# ------------------------------------------------------------------------- what is refused


def test_one_class_is_refused(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    clf = library.MLPClassifier(max_iter=2)
    clf.partial_fit(X, 0 * y, classes=[0, 1])
    clf = library.MLPClassifier(max_iter=2)
    with pytest.raises(ValueError, match="one class only"):
        clf.fit(X, 0 * y)
    with pytest.raises(ValueError, match="one class only"):
        clf.partial_fit(X, 0 * y, classes=[0])


def test_negative_weights_are_refused(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    weights = np.linspace(-0.1, 1.0, 500)
    with pytest.raises(ValueError, match="Negative values"):
        library.MLPClassifier(max_iter=2).fit(*digits, sample_weight=weights)


def test_negative_counts_are_refused(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    with pytest.raises(ValueError, match="must not be negative"):
        library.MLPRegressor(loss="poisson", max_iter=2).fit(X, y - 1.0)


def test_numbers_as_strings_are_refused(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits[0].astype(str), digits[1]
    clf = library.MLPClassifier(max_iter=2).fit(X.astype(object), y)
    with pytest.raises(ValueError, match=r"not compatible with arrays of .*strings"):
        clf.predict(X)
    with pytest.raises(ValueError, match=r"not compatible with arrays of .*strings"):
        clf.fit(X, y)


@pytest.mark.parametrize("sizes", [(6,), (5, 5)])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_changed_sizes_are_refused(
    library: ModuleType,
    method: str,
    sizes: tuple[int, ...],
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    clf = library.MLPClassifier((5,), max_iter=2, warm_start=True).fit(*digits)
    clf.set_params(hidden_layer_sizes=sizes)
    with pytest.raises(ValueError, match="warm_start=False"):
        getattr(clf, method)(*digits)


# -------------------------------------------------------------- what answers look like


def test_sparse_labels_are_answered_densely(
    library: ModuleType, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    labels = scipy.sparse.csr_array(np.stack([y > 3, y % 2 == 0], axis=1) + 0)
    assert type(library.MLPClassifier(max_iter=2).fit(X, labels).predict(X)) is (
        np.ndarray
    )


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_answers_have_the_dtype_of_the_network(
    library: ModuleType, kind: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    estimator = getattr(library, kind)(max_iter=2).fit(X.astype(np.float32), y)
    method = "predict" if kind == "MLPRegressor" else "predict_proba"
    assert getattr(estimator, method)(X).dtype == np.float32
