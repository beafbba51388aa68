"""What the doctor complains of: each defect by a network or data that has it."""

import copy
import pickle
import re

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from tolerances import GRADIENT, MEASURED

import xpnet
from xpnet import MLPClassifier, MLPRegressor, doctor
from xpnet._namespace import to_numpy
from xpnet.callbacks import Checkpoint, History
from xpnet.functional import ACTIVATIONS
from xpnet.inspection import Diagnosis, find_learning_rate
from xpnet.schedules import PLANS

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16.0, y


def kinds(diagnosis):
    return [finding.kind for finding in diagnosis.findings]


def trained(estimator, X, y, epochs=20):
    return estimator.set_params(max_iter=epochs).fit(X, y)


def with_weights(clf, place, W=None, b=None):
    """Replace a layer's weights or biases where they lie."""
    old = clf.coefs_[place], clf.intercepts_[place]
    backend = xpnet.backends.backend_of(old[0])
    for arrays, new, x in zip((clf.coefs_, clf.intercepts_), (W, b), old, strict=True):
        if new is not None:
            arrays[place] = backend.asarray(new(to_numpy(x).copy()), x.dtype)
    return clf


# ------------------------------------------------------------------------ healthy ones


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu", "gelu"])
def test_healthy_activations(digits, activation, fitted):
    clf = MLPClassifier((50,), activation, random_state=0)
    if fitted:
        trained(clf, *digits)
    diagnosis = doctor(clf, *digits)
    assert diagnosis.findings == ()
    assert diagnosis.healthy
    assert str(diagnosis).endswith("\nnothing to complain of")


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"solver": "lbfgs"},
        {"learning_rate_init": 0.01},
        {"hidden_layer_sizes": (64, 64)},
        {"hidden_layer_sizes": ()},
        {"early_stopping": True},
        {"dtype": "float32"},
    ],
    ids=str,
)
def test_healthy_settings(digits, settings, fitted):
    clf = MLPClassifier(random_state=0, **settings)
    if fitted:
        trained(clf, *digits)
    assert kinds(doctor(clf, *digits)) == []


@pytest.mark.parametrize("fitted", [False, True])
def test_healthy_data(fitted):
    X, y = load_iris(return_X_y=True)
    diabetes, progression = load_diabetes(return_X_y=True)
    pixels, numbers = load_digits(return_X_y=True)
    for estimator, data in (
        (MLPClassifier(random_state=0), (scale(X), y)),
        (MLPClassifier(random_state=0), (scale(X)[y > 0], y[y > 0])),
        (MLPClassifier(random_state=0), (scale(X), np.eye(3, dtype=int)[y])),
        (MLPClassifier(random_state=0), (scale(pixels), numbers)),
        (MLPRegressor(random_state=0), (scale(diabetes), scale(progression))),
    ):
        if fitted:
            trained(estimator, *data)
        assert kinds(doctor(estimator, *data)) == []


# ----------------------------------------------------------------------------- defects


def dead(X, y):
    """Most units can't fire."""
    clf = trained(MLPClassifier((20,), random_state=0), X, y)
    return with_weights(clf, 0, b=lambda b: np.where(np.arange(20) < 15, -1e3, b)), X, y


def saturated(X, y):
    clf = trained(MLPClassifier((20,), "tanh", random_state=0), X, y)
    return with_weights(clf, 0, W=lambda W: 100.0 * W), X, y


def vanishing(X, y):
    return MLPClassifier((20,) * 8, "logistic", random_state=0), X, y


def exploding(X, y):
    clf = MLPClassifier((20,) * 4, "leaky_relu", random_state=0)
    clf = trained(clf, X, y, epochs=1)
    for place in range(5):
        with_weights(clf, place, W=lambda W: 10.0 * W)
    return clf, X, y


def large_updates(X, y):
    return MLPClassifier((20,), learning_rate_init=0.2, random_state=0), X, y


def small_updates(X, y):
    return MLPClassifier((20,), learning_rate_init=1e-8, random_state=0), X, y


def high_rate(X, y):
    clf = MLPClassifier((20,), solver="sgd", learning_rate_init=8.0, random_state=0)
    return clf, X, y


def low_rate(X, y):
    return MLPClassifier((20,), learning_rate_init=1e-5, random_state=0), X, y


def large_inputs(X, y):
    return MLPClassifier((20,), random_state=0), 16.0 * X, y


def uneven_inputs(X, y):
    X = X.copy()
    X[:, 5:] *= 1e-3  # small ones: none is large
    return MLPClassifier((20,), "tanh", random_state=0), X, y


def constant_inputs(X, y):
    X = X.copy()
    X[:, [0, 7]] = 1.0
    return MLPClassifier((20,), random_state=0), X, y


def imbalanced(X, y):
    rows = (y != 3) | (np.arange(len(y)) % 20 == 0)
    return MLPClassifier((20,), random_state=0), X[rows], y[rows]


DEFECTS = {
    "dead units": (dead, ()),
    "saturated units": (saturated, ()),
    "vanishing gradients": (vanishing, ()),
    "exploding gradients": (exploding, ()),
    "large updates": (large_updates, ()),
    "small updates": (small_updates, {"low learning rate"}),
    "high learning rate": (high_rate, {"large updates"}),
    "low learning rate": (low_rate, ()),
    "large inputs": (large_inputs, ()),
    "uneven inputs": (uneven_inputs, ()),
    "constant inputs": (constant_inputs, ()),
    "imbalanced classes": (imbalanced, ()),
}
"""What has it, and what can't but come with it."""


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_is_found_and_nothing_else(digits, kind):
    make, company = DEFECTS[kind]
    diagnosis = doctor(*make(*digits))
    assert kind in kinds(diagnosis)
    assert set(kinds(diagnosis)) <= {kind, *company}
    assert not diagnosis.healthy
    found = next(f for f in diagnosis.findings if f.kind == kind)
    assert found.what.startswith(f"{kind}: ")
    assert found.advice
    report = str(diagnosis)
    assert "nothing to complain of" not in report
    assert max(map(len, report.splitlines())) <= 79
    words = report.split()
    for text in (found.what, found.advice):
        assert " ".join(text.split()) in " ".join(words)


def test_the_documentation_lists_every_kind():
    listed = re.findall(r'^ *``"([a-z ]+)"``', doctor.__doc__, re.MULTILINE)
    assert set(listed) == set(DEFECTS)


def test_findings_say_where(digits):
    X, y = digits
    found = {kind: doctor(*DEFECTS[kind][0](X, y)).findings[0] for kind in DEFECTS}
    assert found["dead units"].layer == 1
    assert " of 20 units of layer 1 (relu)" in found["dead units"].what
    assert found["saturated units"].layer == 1
    assert found["vanishing gradients"].layer == 1
    assert found["constant inputs"].features == (0, 7)
    assert "features 0, 7 " in found["constant inputs"].what
    assert found["uneven inputs"].features == (1, 2, 3, 4)
    assert found["imbalanced classes"].classes == (3,)
    assert "suggested" in found["low learning rate"].advice


def test_features_of_a_frame_are_named(digits):
    pandas = pytest.importorskip("pandas")
    X, y = digits
    frame = pandas.DataFrame(X[:, 2:6], columns=["a", "b", "c", "d"])
    frame["c"] *= 1000.0
    found = doctor(MLPClassifier((5,), random_state=0), frame, y)
    large, *_ = (f for f in found.findings if f.kind == "large inputs")
    assert "feature 'c' with" in large.what


def test_features_that_are_always_zero_are_no_defect(digits):
    X, y = digits
    X = np.hstack([X, np.zeros((len(X), 3))])
    diagnosis = doctor(MLPClassifier((20,), random_state=0), X, y)
    assert diagnosis.healthy
    assert "67 features, 6 of them always 0" in str(diagnosis)


# ---------------------------------------------------------------------- classes, weighed


@pytest.fixture(scope="module")
def blobs():
    """A class of 2 %: far from the others, or where another one is."""
    X, y = make_blobs([490, 490, 20], centers=[[-2, 0], [2, 0], [0, 4]], random_state=0)
    apart = scale(X)
    X[y == 2] -= [2, 4]
    return apart, scale(X), y


@pytest.mark.parametrize(("hidden", "expected"), [(False, []), (True, [2])])
def test_a_rare_class_matters_where_it_is_not_found(blobs, hidden, expected):
    clf = MLPClassifier((20,), learning_rate_init=0.02, random_state=0)
    data = blobs[1 if hidden else 0], blobs[2]
    assert doctor(clf, *data).findings[0].classes == (2,)  # before it is known
    findings = doctor(trained(clf, *data), *data).findings
    assert [c for f in findings for c in f.classes] == expected


def test_weights_count_in_the_balance(blobs):
    X, _, y = blobs
    clf = MLPClassifier((20,), random_state=0, class_weight="balanced")
    assert kinds(doctor(clf, X, y)) == []
    clf.class_weight = None
    weights = np.where(y == 2, 24.0, 1.0)
    assert kinds(doctor(clf, X, y, weights)) == []
    assert kinds(doctor(clf, X, y, 1.0 / weights)) == ["imbalanced classes"]


# ------------------------------------------------------------------------- the measures


def test_units_are_counted_as_by_hand(digits):
    X, y = digits
    clf = trained(MLPClassifier((30, 20), ["relu", "tanh"], random_state=0), X, y)
    A = np.maximum(X @ clf.coefs_[0] + clf.intercepts_[0], 0.0)
    B = np.tanh(A @ clf.coefs_[1] + clf.intercepts_[1])
    first, second, last = doctor(clf, X, y).layers
    assert first.n_dead == np.sum(~A.any(axis=0))
    assert first.saturated is None
    assert (second.n_dead, last.n_dead) == (0, 0)
    assert second.saturated == np.mean(1.0 - B**2 < 0.05)
    assert [layer.activation for layer in (first, second, last)] == [
        "relu",
        "tanh",
        "softmax",
    ]


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_which_activations_saturate(digits, name):
    X, y = digits
    layer = doctor(MLPClassifier((5,), name, random_state=0), X, y).layers[0]
    assert (layer.saturated is not None) == (name in ("logistic", "tanh"))


class Softsign:
    """One of a user's own, which levels off at both ends."""

    def value(self, Z):
        return Z / (1.0 + abs(Z))

    def derivative(self, Z):
        return 1.0 / (1.0 + abs(Z)) ** 2


def test_an_activation_of_ones_own(digits):
    clf = MLPClassifier((5,), Softsign(), random_state=0)
    layer = doctor(clf, *digits).layers[0]
    assert (layer.activation, layer.saturated) == ("Softsign", 0.0)
    trained(clf, *digits)
    with_weights(clf, 0, W=lambda W: 100.0 * W)
    assert kinds(doctor(clf, *digits)) == ["saturated units"]


def test_gradient_and_step_are_those_of_softmax_regression(digits):
    X, y = digits
    clf = MLPClassifier(
        *((), "relu"),
        solver="sgd",
        momentum=0.0,
        learning_rate_init=0.5,
        alpha=0.0,
        batch_size=len(X),
        random_state=0,
    )
    trained(clf, X, y, epochs=3)
    (layer,) = doctor(clf, X, y).layers
    gradient = X.T @ (clf.predict_proba(X) - np.eye(10)[y]) / len(X)
    norm = np.linalg.norm(gradient)
    np.testing.assert_allclose(layer.gradient_norm, norm, **GRADIENT)
    np.testing.assert_allclose(layer.gradient_rms, norm / np.sqrt(640), **GRADIENT)
    np.testing.assert_allclose(layer.update_norm, 0.5 * norm, **GRADIENT)
    W = np.linalg.norm(clf.coefs_[0])
    np.testing.assert_allclose(layer.update_ratio, 0.5 * norm / W, **GRADIENT)
    np.testing.assert_allclose(layer.gradient_ratio, norm / W, **GRADIENT)


def test_the_penalty_is_no_part_of_the_gradient(digits):
    norms = [
        doctor(MLPClassifier((5,), alpha=alpha, random_state=0), *digits)
        .layers[0]
        .gradient_norm
        for alpha in (0.0, 100.0)
    ]
    assert norms[0] == norms[1]


def test_inputs_are_measured(digits):
    X, y = digits
    inputs = doctor(MLPClassifier((5,), random_state=0), X, y).inputs
    for found, expected in (
        (inputs.mean, X.mean(axis=0)),
        (inputs.std, X.std(axis=0)),
        (inputs.low, X.min(axis=0)),
        (inputs.high, X.max(axis=0)),
        (inputs.rms, np.sqrt(np.mean(X**2, axis=0))),
    ):
        np.testing.assert_allclose(found, expected, **GRADIENT)


def test_sparse_samples(digits):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = digits
    clf = MLPClassifier((20,), random_state=0)
    dense, found = doctor(clf, X, y), doctor(clf, sparse.csr_array(X), y)
    np.testing.assert_allclose(found.inputs.std, dense.inputs.std, **GRADIENT)
    assert [layer.n_dead for layer in found.layers] == [
        layer.n_dead for layer in dense.layers
    ]


def test_numbers_that_are_too_large():
    X = 1e200 * np.eye(4)
    diagnosis = doctor(MLPClassifier((5,), random_state=0), X, [0, 1, 0, 1])
    assert {"large inputs", "exploding gradients"} <= set(kinds(diagnosis))
    assert "inputs: 4 features" in str(diagnosis)


# ---------------------------------------------------------- any backend, and no side effect


def test_every_backend(backend, dtype, digits):
    X, y = digits[0].astype(dtype)[:300], digits[1][:300]
    clf = MLPClassifier((20, 10), "tanh", random_state=0)
    expected = doctor(clf, X, y)
    found = doctor(clf, backend.asarray(X), y)
    assert isinstance(found, Diagnosis)
    assert kinds(found) == kinds(expected) == []
    for ours, theirs in zip(found.layers, expected.layers, strict=True):
        for name in ("n_dead", "saturated", "gradient_norm", "update_ratio"):
            value = getattr(ours, name)
            assert type(value) in (int, float, type(None))
            if value is not None:
                np.testing.assert_allclose(value, getattr(theirs, name), **MEASURED)
    assert type(found.inputs.mean) is np.ndarray
    np.testing.assert_allclose(
        found.learning_rates.losses[:60],
        expected.learning_rates.losses[:60],
        **MEASURED,
    )


def test_samples_and_weights_at_different_places(backend, digits):
    X, y = digits[0].astype("float32"), digits[1]
    there = backend.asarray(X)
    clf = trained(MLPClassifier((20,), random_state=0), there, y, epochs=2)
    with_weights(clf, 0, b=lambda b: b - 1e3)
    expected = kinds(doctor(clf, there, y))
    assert "dead units" in expected
    assert kinds(doctor(clf, X, y)) == expected


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_estimator_is_left_as_it_is(digits, fitted, early_stopping):
    X, y = digits
    clf = MLPClassifier(
        (10,),
        random_state=np.random.RandomState(7),
        early_stopping=early_stopping,
        warm_start=True,
    )
    if fitted:
        trained(clf, X, y, epochs=3)
    twin, before = copy.deepcopy(clf), pickle.dumps(clf)
    doctor(clf, X, y)
    assert pickle.dumps(clf) == before
    for each in (clf, twin):
        trained(each, X, y, epochs=3)
    assert clf.loss_curve_ == twin.loss_curve_


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("look", [doctor, find_learning_rate])
def test_callbacks_follow_trainings_only(digits, look, fitted, tmp_path):
    history = History()
    clf = MLPClassifier((10,), random_state=0, max_iter=2)
    clf.set_callbacks(history, Checkpoint(tmp_path / "run.ckpt"))
    if fitted:
        clf.fit(*digits)
    found = vars(history).copy(), sorted(tmp_path.iterdir())
    desired = look(copy.deepcopy(clf).set_callbacks(), *digits)
    assert str(look(clf, *digits)) == str(desired)
    assert (vars(history), sorted(tmp_path.iterdir())) == found


@pytest.mark.parametrize("plan", ["cosine", "one_cycle"])
def test_a_plan_steps_with_its_first_rate(digits, plan):
    rate = 0.01 * PLANS[plan].factor(1, n_steps=200 * 9, n_epoch=9)
    planned = MLPClassifier((20,), learning_rate=plan, learning_rate_init=0.01)
    constant = MLPClassifier((20,), learning_rate_init=rate)
    for clf in (planned, constant):
        clf.set_params(random_state=0, solver="sgd")
    steps = [
        [layer.update_ratio for layer in doctor(clf, *digits).layers]
        for clf in (planned, constant)
    ]
    assert steps[0] == pytest.approx(steps[1])
    assert min(steps[0]) > 0.0


def test_the_same_twice(digits):
    clf = MLPClassifier((10,), random_state=3)
    first, second = doctor(clf, *digits), doctor(clf, *digits)
    assert first.layers == second.layers
    assert str(first) == str(second)


def test_only_some_of_many_samples(digits, monkeypatch):
    X, y = digits
    monkeypatch.setattr("xpnet.inspection._measures._MOST", 500)
    diagnosis = doctor(MLPClassifier((20,), random_state=0), X, y)
    assert diagnosis.healthy
    assert "looked at with 1,797 samples" in diagnosis.title


# --------------------------------------------------------------------------- what it takes


@pytest.mark.parametrize("fitted", [False, True])
def test_a_pipeline(digits, fitted):
    X, y = 1000.0 * digits[0], digits[1]
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((20,), random_state=0))
    if fitted:
        pipeline.set_params(mlpclassifier__max_iter=5).fit(X, y)
    assert kinds(doctor(pipeline, X, y)) == []
    assert hasattr(pipeline[0], "mean_") == fitted


def test_a_pipeline_transforms_once(digits):
    X, y = 1000.0 * digits[0], digits[1]
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((20,), max_iter=2, random_state=0)
    ).fit(X, y)
    found = doctor(pipeline, X, y).learning_rates
    np.testing.assert_array_equal(
        found.losses, find_learning_rate(pipeline, X, y).losses
    )
    np.testing.assert_array_equal(
        found.losses, find_learning_rate(pipeline[-1], scale(X), y).losses
    )


def test_what_is_trained_may_take_small_steps(digits):
    clf = trained(small_updates(*digits)[0], *digits, epochs=1)
    assert kinds(doctor(clf, *digits)) == ["low learning rate"]


def test_bad_input(digits):
    X, y = digits
    with pytest.raises(TypeError, match="Expected an MLPClassifier or MLPRegressor"):
        doctor(StandardScaler(), X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        doctor(MLPClassifier(), X, y[:-1])
    clf = trained(MLPClassifier((5,)), X, y, epochs=1)
    with pytest.raises(ValueError, match="expecting 64 features"):
        doctor(clf, X[:, :-1], y)
    with pytest.raises(ValueError, match="X contains NaN"):
        doctor(clf, X * np.nan, y)


def test_no_warnings(digits, recwarn):
    clf = MLPClassifier((5,), batch_size=5000, beta_1=0.5, solver="sgd", random_state=0)
    doctor(clf, *digits)
    assert not [w for w in recwarn if w.category is not ConvergenceWarning]


def test_a_step_is_what_training_takes(digits):
    """Clipped where it says so, and without the penalties in the gradient."""
    clipped = MLPClassifier((20,), solver="sgd", clip_norm=1e-6, random_state=0)
    assert "small updates" in kinds(doctor(clipped, *digits))
    clf = trained(MLPClassifier((20,), random_state=0), *digits, epochs=3)
    norms = [
        [layer.gradient_norm for layer in doctor(clf, *digits).layers]
        for _ in [clf, clf.set_params(l1=1e3)]
    ]
    assert norms[0] == norms[1]
