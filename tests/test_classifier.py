"""The classifier: where it trains and answers, what it takes, and what it refuses.

That its training is scikit-learn's is shown in ``test_trajectory.py``, and that every
backend gives NumPy's numbers in ``test_backend_consistency.py``.
"""

import inspect
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import (
    ConvergenceWarning,
    DataConversionWarning,
    NotFittedError,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tolerances import ELEMENTWISE, EXACT, FITTED

from xpnet import Backend, MLPClassifier, get_backend
from xpnet._namespace import dtype_name, to_numpy
from xpnet._typing import Array
from xpnet.exceptions import (
    BackendUnavailableError,
    DataError,
    DivergenceError,
    UnknownBackendError,
)
from xpnet.schedules import Constant
from xpnet.testing import assert_close
from xpnet.training import Plateau

pytestmark = pytest.mark.filterwarnings(
    "ignore:Stochastic Optimizer", "ignore:lbfgs failed"
)

METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


def quick(**parameters: Any) -> MLPClassifier:
    """Return a classifier that trains for three epochs of four batches."""
    defaults = {"hidden_layer_sizes": (5,), "max_iter": 3, "batch_size": 15}
    return MLPClassifier(**(defaults | {"random_state": 0} | parameters))


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y() -> np.ndarray:
    return np.arange(60) % 3


# --------------------------------------------------------------------------- following


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        ("float32", "float32"),
        ("float64", "float64"),
        ("int64", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
    ],
)
def test_the_dtype_follows_X(
    given: str, computed: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray((4.0 * X).astype(given))
    check_dtype(quick().fit(here, y), here, computed)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "cupy"], indirect=True)
def test_half_precision_is_computed_in_single(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X.astype(np.float16))
    check_dtype(quick().fit(here, y), here, "float32")


@pytest.mark.parametrize("given", ["float32", "float64", "int64"])
def test_the_dtype_can_be_forced(
    given: str, dtype: str, X: np.ndarray, y: np.ndarray
) -> None:
    here = (4.0 * X).astype(given)
    check_dtype(quick(dtype=dtype).fit(here, y), here, dtype)


def check_dtype(clf: MLPClassifier, X: Array, expected: str) -> None:
    for array in [
        *clf.coefs_,
        *clf.intercepts_,
        clf.predict_proba(X),
        clf.predict_log_proba(X),
        clf.decision_function(X),
    ]:
        assert dtype_name(array.dtype) == expected


@pytest.mark.parametrize(
    ("backend", "dtype"), [("jax", "float32")], indirect=["backend"]
)
def test_jax_without_x64(
    backend: Backend, dtype: str, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)  # of float32, for lack of a wider one
    check_dtype(quick().fit(here, y), here, dtype)
    whole = backend.asarray((4.0 * X).astype(int))
    check_dtype(quick().fit(whole, y), whole, dtype)
    with pytest.raises(DataError, match=r"dtype='float64' was asked for.*enable_x64"):
        quick(dtype="float64").fit(here, y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_named_backend_trains_there_and_answers_here(
    n_classes: int, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    y = y % n_classes
    clf = quick(backend=backend.name).fit(X, y)
    assert all(backend.holds(array) for array in (*clf.coefs_, *clf.intercepts_))
    reference = quick().fit(X, y)
    for method in METHODS:
        actual, desired = (getattr(c, method)(X) for c in (clf, reference))
        assert_close(actual, desired, factor=FITTED)
    assert clf.score(X, y) == reference.score(X, y)


def test_a_named_backend_answers_arrays_where_they_are(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick(backend="numpy").fit(backend.asarray(X), backend.asarray(y))
    assert all(type(W) is np.ndarray for W in clf.coefs_)
    for method in METHODS:
        assert backend.holds(getattr(clf, method)(backend.asarray(X)))


@pytest.mark.parametrize("backend", ["strict-device1"], indirect=True)
def test_the_samples_move_once(
    backend: Backend,
    X: np.ndarray,
    y: np.ndarray,
    host_reads: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    asarray = backend.xp.asarray

    def spy(x: Any, **options: Any) -> Array:
        sizes.append(np.size(x))
        return asarray(x, **options)

    monkeypatch.setattr(backend.xp, "asarray", spy)
    with host_reads() as reads:
        quick(backend=backend.name).fit(X, y)
    assert sizes.count(X.size) == 1
    assert reads == ["to_device"] * 3  # an epoch's loss and its largest weight, at once


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backend", ["strict", "torch", "jax", "cupy"], indirect=True)
def test_fit_on_one_library_and_predict_with_another(
    method: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)
    for fitted, other in [(X, here), (here, X)]:
        clf = quick().fit(fitted, y)
        with pytest.raises(DataError, match="must use the same namespace") as caught:
            getattr(clf, method)(other)
        message = str(caught.value)
        assert f"MLPClassifier.{method}()" in message
        assert "Convert X, or name the backend: MLPClassifier(backend=" in message
        name = message.split("backend='")[1].split("'", maxsplit=1)[0]
        # The remedy works.
        moved = quick(backend=name).fit(fitted, y)
        getattr(moved, method)(other)


def test_fit_on_one_device_and_predict_on_another(X: np.ndarray, y: np.ndarray) -> None:
    one, other = (get_backend(f"strict:device{i}").asarray(X) for i in (1, 2))
    with pytest.raises(DataError, match=r"same device.*device1.*device2"):
        quick().fit(one, y).predict(other)


def test_two_backends_take_turns(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    alone = [quick().fit(where, y) for where in (X, backend.asarray(X))]
    turns = [quick(), quick()]
    for _ in zip(
        turns[0].iter_fit(X, y), turns[1].iter_fit(backend.asarray(X), y), strict=True
    ):
        pass
    for turn, single in zip(turns, alone, strict=True):
        for actual, desired in zip(turn.coefs_, single.coefs_, strict=True):
            assert_close(actual, desired, factor=EXACT)


@pytest.mark.parametrize("batch_size", [15, 60])  # copies, and a view of all
def test_training_leaves_the_data_alone(
    batch_size: int, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here, labels = backend.asarray(X, copy=True), backend.asarray(y, copy=True)
    clf = quick(batch_size=batch_size).fit(here, labels)
    for method in METHODS:
        getattr(clf, method)(here)
    assert_close(here, backend.asarray(X), factor=EXACT)
    assert_close(labels, backend.asarray(y), factor=EXACT)


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_torchs_graph_stays_outside(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X, copy=True).requires_grad_()
    clf = quick().fit(here, y)
    assert not any(array.requires_grad for array in clf.coefs_)
    assert not clf.predict_proba(here).requires_grad


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran-ordered": np.asfortranarray,
    "negative strides": lambda x: x[::-1].copy()[::-1],
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "a list": np.ndarray.tolist,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_trains_alike(
    layout: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick(backend=backend.name)
    desired = clone(clf).fit(X, y).predict_proba(X)
    odd = LAYOUTS[layout](X)
    actual = clf.fit(odd, LAYOUTS[layout](y)).predict_proba(odd)
    assert_close(actual, desired, factor=FITTED)


# ------------------------------------------------------------------------------ labels

LABELS = {
    "strings": np.asarray(["cat", "dog", "fish"]),
    "objects": np.asarray(["cat", "dog", "fish"], dtype=object),
    "gaps": np.asarray([-5, 7, 1000]),
    "floats": np.asarray([0.0, 1.0, 4.0]),
    "unsigned": np.asarray([0, 1, 2], np.uint8),
    "more unsigned": np.asarray([0, 7, 65535], np.uint16),
    "most unsigned": np.asarray([0, 7, 2**40], np.uint64),
    "bools": np.asarray([False, True]),
    "two strings": np.asarray(["no", "yes"]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels(kind: str, backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    classes = LABELS[kind]
    codes = y % len(classes)
    here = backend.asarray(X)
    clf = quick().fit(here, classes[codes])
    np.testing.assert_array_equal(to_numpy(clf.classes_), classes)
    plain = quick().fit(here, codes)
    predicted, desired = clf.predict(here), classes[to_numpy(plain.predict(here))]
    if classes.dtype.kind in "biuf":
        assert backend.holds(clf.classes_)
        assert backend.holds(predicted)
        assert predicted.dtype == clf.classes_.dtype
        np.testing.assert_array_equal(to_numpy(predicted), desired)
        same_labels = backend.asarray(classes[codes])
        again = quick().fit(here, same_labels)
        assert_close(again.predict(here), predicted, factor=EXACT)
    else:
        desired = np.asarray(desired.tolist(), clf.classes_.dtype)
        assert clf.classes_.dtype.kind == "U"  # of objects too
        np.testing.assert_array_equal(predicted, desired, strict=True)
    assert clf.score(here, classes[codes]) == plain.score(here, codes)


HUGE = {
    "integers": np.asarray([2**40, 2**40 + 1]),
    "unsigned": np.asarray([2**63, 2**63 + 1], np.uint64),
    "floats": np.asarray([2.0**53 - 2.0, 2.0**53 - 1.0]),
    "dates": np.asarray(["2020-02-29", "2021-03-01"], "datetime64[D]"),
}


@pytest.mark.parametrize("dtype", ["float32"])
@pytest.mark.parametrize("kind", HUGE)
def test_labels_that_a_library_would_round_are_answered_on_the_host(
    kind: str, dtype: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """JAX has 32 bits here, and no library has dates."""
    classes, here = HUGE[kind], backend.asarray(X, dtype)
    clf = quick().fit(here, classes[y % 2])
    desired = classes[to_numpy(quick().fit(here, y % 2).predict(here))]
    np.testing.assert_array_equal(to_numpy(clf.predict(here)), desired)
    np.testing.assert_array_equal(to_numpy(clf.classes_), classes)
    assert clf.score(here, classes[y % 2]) > 0.0
    both = np.stack([classes[y % 2], classes[y // 2]], axis=1)
    several = quick().fit(here, both)
    assert several.score(here, several.predict(here)) == 1.0


@pytest.mark.parametrize("backend", ["torch", "jax"], indirect=True)
def test_labels_in_bfloat16(backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    here, xp = backend.asarray(X), backend.xp
    labels = xp.astype(backend.asarray(y), xp.bfloat16)
    clf = quick().fit(here, labels, sample_weight=xp.ones_like(labels))
    np.testing.assert_array_equal(
        to_numpy(clf.predict(here)), to_numpy(quick().fit(here, y).predict(here))
    )
    assert clf.score(here, labels) == clf.score(here, y)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("backend", ["torch"], indirect=True)
@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr"])
def test_sparse_tensors_are_refused(
    form: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)
    sparse = getattr(here, form)()
    clf = quick().fit(here, y)
    for ask in (lambda: quick().fit(sparse, y), lambda: clf.predict(sparse)):
        with pytest.raises(DataError, match=r"X is a sparse tensor.*to_dense"):
            ask()
    with pytest.raises(DataError, match=r"y is a sparse tensor"):
        clf.fit(here, getattr(backend.asarray(y[:, None]), form)())


def test_classes_follow_the_network(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """As answers do: where `X` lies, and on the host where it may lie anywhere."""
    clf = quick().fit(backend.asarray(X), y)
    assert backend.holds(clf.classes_)
    assert backend.holds(pickle.loads(pickle.dumps(clf)).classes_)
    assert type(clf.to("numpy").classes_) is np.ndarray
    assert backend.holds(clf.to(backend.name).classes_)
    named = quick(backend=backend.name).fit(X, y)
    assert type(named.classes_) is np.ndarray
    named.partial_fit(X, y, classes=backend.asarray(np.arange(3)))
    several = quick().fit(backend.asarray(X), np.stack([y, y], axis=1))
    assert all(map(backend.holds, several.classes_))
    assert type(pickle.loads(pickle.dumps(named)).classes_) is np.ndarray


def test_labels_of_another_library(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick().fit(X, backend.asarray(y))
    np.testing.assert_array_equal(clf.predict(X), quick().fit(X, y).predict(X))
    assert clf.score(X, backend.asarray(y)) == clf.score(X, y)


def test_a_column_of_labels_is_taken_with_a_warning(
    X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.warns(DataConversionWarning, match="column-vector"):
        clf = quick().fit(X, y[:, None])
    assert clf.predict(X).shape == (60,)


def test_two_classes_have_one_output(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)
    clf = quick().fit(here, y % 2)
    assert (clf.n_outputs_, clf.out_activation_) == (1, "logistic")
    logits, probs = clf.decision_function(here), clf.predict_proba(here)
    assert tuple(logits.shape) == (60,)
    assert tuple(probs.shape) == (60, 2)
    positive = 1.0 / (1.0 + backend.xp.exp(-logits))
    assert_close(probs[:, 1], positive, factor=ELEMENTWISE)
    assert_close(probs[:, 0] + probs[:, 1], 0.0 * positive + 1.0, factor=ELEMENTWISE)
    labels = backend.xp.astype(logits > 0.0, backend.xp.int64)
    assert_close(clf.predict(here), labels, factor=EXACT)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logarithms_of_probabilities_are_finite(
    n_classes: int, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)
    clf = quick().fit(here, y % n_classes)
    log_probs = clf.predict_log_proba(1e6 * here)
    assert bool(backend.xp.all(backend.xp.isfinite(log_probs)))
    assert float(backend.xp.min(log_probs)) < -1e4


def test_score_takes_weights(X: np.ndarray, y: np.ndarray) -> None:
    clf = quick().fit(X, y)
    right = clf.predict(X) == y
    assert 0 < right.sum() < 60
    assert clf.score(X, y) == right.mean()
    assert clf.score(X, y, sample_weight=right + 0.0) == 1.0
    assert type(clf.score(X, y)) is float


@pytest.mark.parametrize("dtype", [str, object])
def test_strings_are_no_numbers(dtype: Any, X: np.ndarray, y: np.ndarray) -> None:
    """A score of 0 would hide that no label can be right."""
    names = y.astype(str).astype(dtype)
    clf, named = quick().fit(X, y), quick().fit(X, names)
    for each, other in ((clf, names), (named, y)):
        with pytest.raises(DataError, match="Mix of label input types"):
            each.score(X, other)
    assert clf.score(X, y.astype(object)) == named.score(X, names) == clf.score(X, y)


# -------------------------------------------------------------------------- parameters

PARAMETERS: dict[str, Any] = {
    "hidden_layer_sizes": (5, 4),
    "activation": "tanh",
    "solver": "adam",
    "alpha": 1.0,
    "batch_size": 30,
    "learning_rate": "invscaling",
    "learning_rate_init": 0.05,
    "power_t": 0.1,
    "max_iter": 5,
    "shuffle": False,
    "random_state": 1,
    "tol": 1e9,
    "verbose": True,
    "warm_start": True,
    "momentum": 0.5,
    "nesterovs_momentum": False,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "epsilon": 0.1,
    "n_iter_no_change": 1,
    "max_fun": 3,
    "class_weight": {0: 5.0},
    "weight_decay": 0.5,
    "rho": 0.5,
    "clip_norm": 0.01,
    "ema_decay": 0.9,
    "accumulate": 2,
    "scoring": "loss",
    "max_time": 1e-9,
    "backend": "strict",
    "dtype": "float32",
    "init": "he_normal",
    "compiled": True,
    "dropout": [0.5],
    "input_dropout": 0.25,
    "normalization": "batch",
    "label_smoothing": 0.2,
    "l1": 1.0,
    "max_norm": 0.1,
    "mixup": 1.0,
}
"""Another value for each."""

NEEDED: dict[str, dict[str, Any]] = {
    "power_t": {"learning_rate": "invscaling"},
    "validation_fraction": {"early_stopping": True},
    "scoring": {"early_stopping": True},
    **{name: {"solver": "adam"} for name in ("beta_1", "beta_2", "epsilon")},
    "weight_decay": {"solver": "adamw"},
    "rho": {"solver": "rmsprop"},
    "max_fun": {"solver": "lbfgs", "learning_rate_init": 0.001, "batch_size": "auto"},
}
"""What else must be set for a parameter to have an effect."""


def test_no_parameter_is_left_out() -> None:
    assert set(PARAMETERS) == set(MLPClassifier().get_params())


# What `compiled` does, and that the numbers stay, is seen in test_steps.py.
@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "compiled"])
def test_every_parameter_does_something(
    name: str, X: np.ndarray, y: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    def outcome(**changed: Any) -> tuple:
        settings = {
            "solver": "sgd",
            "learning_rate_init": 0.1,
            "max_iter": 20,
            "tol": 1e9 if name == "n_iter_no_change" else 0.0,  # stop by it alone
            "n_iter_no_change": 10,
        }
        clf = quick(**(settings | NEEDED.get(name, {}) | changed)).fit(X, y)
        first = clf.n_iter_, repr(clf.coefs_), clf.validation_scores_
        clf.fit(X, y)  # again, for warm_start
        return *first, repr(clf.coefs_), capsys.readouterr().out

    assert outcome() == outcome()
    assert outcome() != outcome(**{name: PARAMETERS[name]})


def test_the_first_two_parameters_may_be_positional() -> None:
    kinds = [p.kind for p in inspect.signature(MLPClassifier).parameters.values()]
    assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) == 2
    assert kinds[2:] == [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 2)


@pytest.mark.parametrize("sizes", [5, [5], (5,), np.asarray([5]), np.int64(5)])
def test_hidden_layer_sizes_of_any_kind(
    sizes: Any, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick().set_params(hidden_layer_sizes=sizes).fit(X, y)
    assert [W.shape for W in clf.coefs_] == [(4, 5), (5, 3)]
    assert clf.n_layers_ == 3


def test_without_hidden_layers_it_is_softmax_regression(
    X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick().set_params(hidden_layer_sizes=()).fit(X, y)
    assert [W.shape for W in clf.coefs_] == [(4, 3)]
    logits = X @ clf.coefs_[0] + clf.intercepts_[0]
    assert_close(clf.decision_function(X), logits, factor=ELEMENTWISE)


def test_random_states(X: np.ndarray, y: np.ndarray) -> None:
    def weights(clf: MLPClassifier) -> np.ndarray:
        return clf.fit(X, y).coefs_[0]

    clf = quick(random_state=0)
    first = weights(clf).copy()
    np.testing.assert_array_equal(weights(clf), first)  # fitted anew
    state = np.random.RandomState(0)
    np.testing.assert_array_equal(weights(quick(random_state=state)), first)
    assert np.any(weights(quick(random_state=state)) != first)  # it went on
    assert np.any(weights(quick(random_state=None)) != first)


def test_verbose_prints_the_loss_curve(
    X: np.ndarray, y: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    clf = quick(verbose=True).fit(X, y)
    lines = [
        f"Iteration {i}, loss = {loss:.8f}"
        for i, loss in enumerate(clf.loss_curve_, start=1)
    ]
    assert capsys.readouterr().out.splitlines() == lines


# ----------------------------------------------------------------------------- fitting


def test_fitted_attributes(X: np.ndarray, y: np.ndarray) -> None:
    clf = quick().fit(X, y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 3
    assert clf.t_ == 3 * 60
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.best_loss_ == min(clf.loss_curve_)
    assert (clf.n_layers_, clf.n_outputs_, clf.out_activation_) == (3, 3, "softmax")
    assert clf.n_features_in_ == 4
    assert not hasattr(clf, "feature_names_in_")


def test_iter_fit_is_fit(X: np.ndarray, y: np.ndarray) -> None:
    fitted, stepped = quick().fit(X, y), quick()
    for epoch in stepped.iter_fit(X, y):
        assert stepped.n_iter_ == epoch.n_iter
        assert stepped.loss_ == epoch.loss
        assert stepped.predict(X).shape == (60,)
    for actual, desired in zip(stepped.coefs_, fitted.coefs_, strict=True):
        assert_close(actual, desired, factor=EXACT)
    assert stepped.loss_curve_ == fitted.loss_curve_


def test_iter_fit_can_be_left(X: np.ndarray, y: np.ndarray) -> None:
    clf = quick(max_iter=100)
    for epoch in clf.iter_fit(X, y):
        if epoch.n_iter == 3:
            break
    assert clf.n_iter_ == len(clf.loss_curve_) == 3
    desired = quick(max_iter=3).fit(X, y).predict_proba(X)
    assert_close(clf.predict_proba(X), desired, factor=EXACT)


def test_iter_fit_checks_before_the_first_epoch(X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError, match="inconsistent numbers of samples"):
        quick().iter_fit(X, y[:-1])


@pytest.mark.parametrize("n_epochs", [0, 2])
def test_ctrl_c_keeps_what_was_learnt(
    n_epochs: int, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []

    def reached(_plateau: Plateau, loss: float) -> bool:
        if len(losses) == n_epochs:
            raise KeyboardInterrupt
        losses.append(loss)
        return False

    monkeypatch.setattr(Plateau, "reached", reached)
    clf = quick(max_iter=100)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert clf.fit(X, y) is clf
    assert clf.n_iter_ == n_epochs
    assert clf.loss_curve_ == losses
    assert np.all(np.isfinite(clf.predict_proba(X)))


def test_reaching_max_iter_warns_and_converging_does_not(
    X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\) reached"):
        quick().fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = quick(max_iter=100, tol=1e9, n_iter_no_change=2).fit(X, y)
    assert clf.n_iter_ == 4


def test_a_batch_larger_than_the_samples_is_clipped_with_a_warning(
    X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.warns(
        UserWarning, match="Got batch_size=61, .* sample size 60"
    ) as seen:
        clf = quick(batch_size=61).fit(X, y)
    (warning,) = (w for w in seen if "batch_size" in str(w.message))
    assert warning.filename == __file__
    desired = quick(batch_size=60).fit(X, y).predict_proba(X)
    assert_close(clf.predict_proba(X), desired, factor=EXACT)


def test_batches_are_of_two_hundred_at_most(rng: np.random.Generator) -> None:
    X, y = rng.normal(size=(450, 2)), np.arange(450) % 2
    curves = [
        quick(batch_size=batch_size).fit(X, y).loss_curve_
        for batch_size in ("auto", 200)
    ]
    assert curves[0] == curves[1]


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_divergence_is_an_error(backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    clf = quick(solver="sgd", learning_rate_init=1e200, max_iter=50)
    with pytest.raises(DivergenceError, match=r"diverged in epoch \d"):
        clf.fit(backend.asarray(X), y)
    assert clf.n_iter_ < 5


# ------------------------------------------------------------------------ scikit-learn


def test_clone_and_parameters() -> None:
    clf = MLPClassifier(**PARAMETERS)
    assert clone(clf).get_params() == clf.get_params() == PARAMETERS
    assert clf.set_params(alpha=0.5).alpha == 0.5


def test_pickle(backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    here = backend.asarray(X)
    clf = quick().fit(here, y)
    again = pickle.loads(pickle.dumps(clf))
    for method in METHODS:
        actual, desired = (getattr(c, method)(here) for c in (again, clf))
        assert_close(actual, desired, factor=EXACT)


def test_pipeline_and_grid_search(X: np.ndarray, y: np.ndarray) -> None:
    pipeline = make_pipeline(
        StandardScaler(), quick(max_iter=20, learning_rate_init=0.05)
    )
    grid = {"mlpclassifier__hidden_layer_sizes": [(3,), (8,)]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise")
    search.fit(5.0 + 0.1 * X + np.eye(3, 4)[y], y)
    assert search.best_score_ > 0.8
    assert search.predict_proba(X).shape == (60, 3)


def test_frames(X: np.ndarray, y: np.ndarray) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = quick().fit(frame, pd.Series(y))
    assert list(clf.feature_names_in_) == list("abcd")
    desired = quick().fit(X, y).predict_proba(X)
    assert_close(clf.predict_proba(frame), desired, factor=EXACT)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("dcba")])
    clf.fit(get_backend("strict").asarray(X), y)
    assert not hasattr(clf, "feature_names_in_")


# --------------------------------------------------------------------------- bad input

on_own_and_foreign = pytest.mark.parametrize(
    "backend", ["numpy", "strict-device1", "torch"], indirect=True
)


def with_value(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def plant(X: np.ndarray) -> np.ndarray:
        X[7, 2] = value
        return X

    return plant


BAD_SAMPLES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "NaN": (with_value(np.nan), "Input X contains NaN"),
    "infinity": (with_value(np.inf), "Input X contains .*infinity"),
    "a vector": (lambda X: X[:, 0], "Expected 2D array, got 1D array"),
    "no samples": (lambda X: X[:0], r"0 sample\(s\) .*minimum of 1 is required"),
    "no features": (lambda X: X[:, :0], r"0 feature\(s\) .*minimum of 1 is required"),
    "complex": (lambda X: X + 1j, "[Cc]omplex"),
}


@on_own_and_foreign
@pytest.mark.parametrize("what", BAD_SAMPLES)
def test_bad_samples(what: str, backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    spoil, message = BAD_SAMPLES[what]
    clf = quick().fit(backend.asarray(X), y)
    bad = backend.asarray(spoil(X.copy()))
    with pytest.raises(ValueError, match=message):
        quick().fit(bad, y[: bad.shape[0]])
    with pytest.raises(ValueError, match=message):
        clf.predict(bad)


@on_own_and_foreign
@pytest.mark.parametrize("method", METHODS)
def test_another_number_of_features(
    method: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick().fit(backend.asarray(X), y)
    message = "X has 3 features, but MLPClassifier is expecting 4 features as input"
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(backend.asarray(X[:, :3]))


BAD_LABELS: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "one class": (lambda y: 0 * y, "one class only, .*at least two classes"),
    "too few": (
        lambda y: y[:-1],
        "inconsistent numbers of samples: X has 60, y has 59",
    ),
    "NaN": (lambda y: np.where(y == 1, np.nan, y), "Input y contains NaN"),
    "continuous": (lambda y: y + 0.25, "Unknown label type: continuous"),
    "three axes": (lambda y: y[:, None, None], "dim 3|1d array"),
}


@on_own_and_foreign
@pytest.mark.parametrize("what", BAD_LABELS)
def test_bad_labels(what: str, backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    spoil, message = BAD_LABELS[what]
    for bad in (spoil(y), backend.asarray(spoil(y))):
        with pytest.raises(ValueError, match=message):
            quick().fit(backend.asarray(X), bad)


@on_own_and_foreign
def test_no_labels(backend: Backend, X: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"requires y.*needs labels"):
        quick().fit(backend.asarray(X), None)


@on_own_and_foreign
@pytest.mark.parametrize("method", METHODS)
def test_predicting_before_fitting(
    method: str, backend: Backend, X: np.ndarray
) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(quick(), method)(backend.asarray(X))


def test_unknown_and_unusable_backends(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownBackendError, match="Unknown backend 'tensorflow'"):
        quick(backend="tensorflow").fit(X, y)
    with pytest.raises(BackendUnavailableError, match="has no device 'device9' here"):
        quick(backend="strict:device9").fit(X, y)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailableError, match=r"backend='cupy' can't be used"):
        quick(backend="cupy").fit(X, y)


BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("hidden_layer_sizes", 0),
    ("hidden_layer_sizes", (5, 0)),
    ("hidden_layer_sizes", (5, -1)),
    ("hidden_layer_sizes", (5.0,)),
    ("hidden_layer_sizes", "5"),
    ("hidden_layer_sizes", ((5, 4), (3, 2))),
    ("activation", "softmax"),
    ("solver", "lbfgs?"),
    ("alpha", -1.0),
    ("batch_size", 0),
    ("batch_size", "all"),
    ("learning_rate", "falling"),
    ("learning_rate", Constant(0.1)),
    ("learning_rate_init", 0.0),
    ("power_t", -0.5),
    ("max_iter", 0),
    ("shuffle", "no"),
    ("random_state", "seed"),
    ("tol", -1e-9),
    ("verbose", "loud"),
    ("warm_start", "no"),
    ("momentum", 1.1),
    ("nesterovs_momentum", "no"),
    ("early_stopping", "no"),
    ("validation_fraction", 1.0),
    ("beta_1", 1.0),
    ("beta_2", -0.1),
    ("epsilon", 0.0),
    ("n_iter_no_change", 0),
    ("n_iter_no_change", 2.5),
    ("max_fun", 0),
    ("class_weight", "heavy"),
    ("weight_decay", -0.1),
    ("rho", 1.0),
    ("clip_norm", 0.0),
    ("ema_decay", 1.0),
    ("accumulate", 0),
    ("scoring", 1),
    ("max_time", 0.0),
    ("backend", 3),
    ("dtype", "float16"),
    ("init", "zeros"),
    ("compiled", "always"),
    ("dropout", 1.0),
    ("dropout", [0.5, 0.5]),
    ("dropout", [-0.5]),
    ("dropout", ["half"]),
    ("input_dropout", 1.0),
    ("normalization", "group"),
    ("label_smoothing", 1.0),
    ("l1", -1.0),
    ("max_norm", 0.0),
    ("mixup", -0.1),
]


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_bad_parameters(name: str, value: Any, X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{name}.* must be"):
        quick().set_params(**{name: value}).fit(X, y)


def test_every_parameter_is_checked() -> None:
    assert {name for name, _ in BAD_PARAMETERS} == set(PARAMETERS)
