"""The table of layers, and the range test of learning rates."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tolerances import GRADIENT

from xpnet import MLPClassifier, MLPRegressor, load, save, summary
from xpnet.exceptions import DataError, MissingDependencyError
from xpnet.inspection import (
    LearningRateDisplay,
    LearningRates,
    Summary,
    find_learning_rate,
)

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16.0, y


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


# ---------------------------------------------------------------------- the table of layers


@pytest.mark.parametrize("hidden", [(), 7, (7,), [7, 5]], ids=str)
def test_a_summary_counts_what_there_is(hidden, backend, dtype, digits):
    X, y = digits
    clf = MLPClassifier(hidden, "tanh", max_iter=1, random_state=0)
    clf.fit(backend.asarray(X[:50].astype(dtype)), y[:50])
    table = summary(clf)
    arrays = [*clf.coefs_, *clf.intercepts_]
    counts = [int(np.prod(x.shape)) for x in arrays]
    assert table.n_params == sum(counts)
    assert table.n_bytes == sum(counts) * np.dtype(dtype).itemsize
    for layer, W, b in zip(table.layers, clf.coefs_, clf.intercepts_, strict=True):
        assert (layer.input_shape, layer.output_shape) == (W.shape[:1], W.shape[1:])
        assert layer.n_params == W.shape[0] * W.shape[1] + b.shape[0]
        assert layer.n_bytes == layer.n_params * np.dtype(dtype).itemsize
        assert layer.kind == "dense"
    assert [layer.activation for layer in table.layers] == [
        *["tanh"] * (len(table.layers) - 1),
        "softmax",
    ]
    assert table.title.startswith(f"MLPClassifier, fitted, {dtype} on {backend.name}")


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (MLPClassifier((4,)), np.arange(12) % 3),
        (MLPClassifier((4,)), np.arange(12) % 2),
        (MLPClassifier((4,), dtype="float32"), np.eye(3, dtype=int)[np.arange(12) % 3]),
        (MLPRegressor(hidden_layer_sizes=(4,)), np.arange(12.0)),
        (MLPRegressor("poisson", (4,)), np.arange(12.0)),
        (MLPRegressor("gaussian_nll", (4,)), np.arange(24.0).reshape(12, 2)),
    ],
    ids=["multiclass", "binary", "multilabel", "one", "poisson", "two variances"],
)
def test_before_fitting_it_tells_what_there_will_be(estimator, y):
    n_outputs = 3 if y.max() == 2 or (y.ndim == 2 and y.shape[1] == 3) else 1
    n_outputs = 2 if y.ndim == 2 and y.shape[1] == 2 else n_outputs
    before = summary(estimator, n_features=5, n_outputs=n_outputs)
    after = summary(estimator.set_params(max_iter=2).fit(np.ones((12, 5)), y))
    assert before.title.endswith((", not fitted, float64", ", not fitted, float32"))
    if y.ndim == 2 and y.dtype.kind == "i":  # several labels can't be told from classes
        assert after.layers[-1].activation == "logistic"
        assert before.rows[-1] == after.rows[-1]
    else:
        assert before.layers == after.layers


def test_it_prints_as_a_table_whose_last_line_has_the_totals():
    clf = MLPClassifier((100, 30), ["relu", "tanh"], dtype="float32")
    text = str(summary(clf, 784, 10))
    assert repr(summary(clf, 784, 10)) == text
    title, blank, header, *layers, total = text.splitlines()
    assert (title, blank) == ("MLPClassifier, not fitted, float32", "")
    names = "layer kind inputs outputs activation parameters bytes"
    assert header.split() == names.split()
    assert [line.split() for line in layers] == [
        ["1", "dense", "784", "100", "relu", "78,500", "314,000"],
        ["2", "dense", "100", "30", "tanh", "3,030", "12,120"],
        ["3", "dense", "30", "10", "softmax", "310", "1,240"],
    ]
    assert total.split() == ["total", "81,840", "327,360"]
    assert len({len(line) for line in (header, *layers, total)}) == 1  # aligned


def test_of_a_pipeline_the_last_step(digits):
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=1))
    assert summary(pipeline, n_features=64, n_outputs=10).n_params == 385
    assert summary(pipeline.fit(*digits)).n_params == 385


def test_a_loaded_model_has_the_same_table(digits, tmp_path):
    clf = MLPClassifier((5,), max_iter=1).fit(*digits)
    save(clf, tmp_path / "model")
    assert str(summary(load(tmp_path / "model"))) == str(summary(clf))


@pytest.mark.parametrize(
    ("estimator", "numbers", "error", "problem"),
    [
        (MLPClassifier(), {}, DataError, "pass n_features, as in"),
        (
            MLPClassifier(),
            {"n_features": 0},
            DataError,
            "must be positive, got 0 and 1",
        ),
        (MLPClassifier(0), {"n_features": 1}, DataError, "hidden_layer_sizes"),
        (LogisticRegression(), {}, TypeError, "got LogisticRegression()"),
    ],
)
def test_no_summary(estimator, numbers, error, problem):
    with pytest.raises(error) as raised:
        summary(estimator, **numbers)
    assert problem in str(raised.value)


def test_html_is_escaped():
    layer = summary(MLPClassifier(()), n_features=2).layers[0]
    table = Summary("<b>", (layer.__class__(**{**vars(layer), "activation": "<i>&"}),))
    html = table.to_html()
    assert "<caption>&lt;b&gt;</caption>" in html
    assert "&lt;i&gt;&amp;" in html
    assert "<b>" not in html
    assert "<i>" not in html


# ----------------------------------------------------------------------- the range test


def test_rates_and_losses(digits):
    found = find_learning_rate(
        MLPClassifier(random_state=0), *digits, start=1e-4, end=1.0, n_steps=40
    )
    assert type(found) is LearningRates
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1.0, 40), **GRADIENT)
    for curve in (found.losses, found.smoothed):
        assert type(curve) is np.ndarray
        assert curve.shape == (40,)
    average = 0.0
    for i, loss in enumerate(found.losses):
        average = 0.9 * average + 0.1 * loss
        np.testing.assert_allclose(
            found.smoothed[i], average / (1 - 0.9 ** (i + 1)), **GRADIENT
        )
    assert found.losses[0] == pytest.approx(np.log(10.0), abs=0.5)  # as by chance


@pytest.mark.parametrize("curvature", [0.25, 4.0])
def test_it_diverges_where_gradient_descent_does(curvature):
    """On ½ c w² steps grow the weight from a rate of 2 / c on; it climbs soon after."""
    X = np.sqrt(curvature) * np.tile([[1.0], [-1.0]], (8, 1))
    reg = MLPRegressor(
        hidden_layer_sizes=(),
        solver="sgd",
        momentum=0.0,
        alpha=0.0,
        batch_size=16,
        random_state=0,
    )
    found = find_learning_rate(reg, X, np.zeros(16), end=100.0, n_steps=200)
    stable = 2.0 / max(curvature, 1.0)  # the bias has a curvature of 1
    assert stable < found.diverging < 8.0 * stable
    assert found.steepest < stable
    assert found.suggestion == min(found.steepest, 0.1 * found.diverging)
    assert np.all(np.diff(found.smoothed[found.rates < found.steepest]) <= 0.0)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_what_is_suggested_learns(digits, solver, activation):
    clf = MLPClassifier((50,), activation, solver=solver, max_iter=10, random_state=0)
    found = find_learning_rate(clf, *digits)
    clf.set_params(learning_rate_init=found.suggestion).fit(*digits)
    slow = clf.score(*digits)
    assert slow > 0.95
    clf.set_params(learning_rate_init=0.01 * found.suggestion).fit(*digits)
    assert clf.score(*digits) < slow
    with np.errstate(all="ignore"):
        try:
            clf.set_params(learning_rate_init=found.diverging).fit(*digits)
        except ValueError:
            return
    assert clf.score(*digits) < slow


def test_it_is_deterministic_and_leaves_the_estimator_alone(digits):
    clf = MLPClassifier((10,), random_state=5)
    first, second = (find_learning_rate(clf, *digits) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert not hasattr(clf, "coefs_")
    fitted = MLPClassifier((10,), random_state=5, max_iter=2).fit(*digits)
    before = [W.copy() for W in fitted.coefs_]
    third = find_learning_rate(fitted, *digits)
    np.testing.assert_array_equal(first.losses, third.losses)  # from first weights
    for W, old in zip(fitted.coefs_, before, strict=True):
        np.testing.assert_array_equal(W, old)
    clf.random_state = 6
    assert not np.array_equal(first.losses, find_learning_rate(clf, *digits).losses)


def test_a_sample_that_weighs_twice_counts_twice(digits):
    X, y = digits[0][:100], digits[1][:100]
    twice = np.arange(100) < 30
    clf = MLPClassifier((10,), random_state=0, batch_size=100)
    weighed = find_learning_rate(clf, X, y, 1.0 + twice)
    rows = np.concatenate([np.arange(100), np.flatnonzero(twice)])
    clf.batch_size = 130
    repeated = find_learning_rate(clf, X[rows], y[rows])
    np.testing.assert_allclose(weighed.losses[:80], repeated.losses[:80], **GRADIENT)


def test_where_nothing_is_learnt():
    """The loss is at its least: it only climbs."""
    reg = MLPRegressor(hidden_layer_sizes=(), solver="sgd", alpha=0.0, random_state=0)
    X = np.zeros((20, 2))
    found = find_learning_rate(reg, X, np.zeros(20), end=1e-2)
    assert found.diverging is None
    plt.close(LearningRateDisplay(found).plot().figure_)


def test_where_it_diverges_at_once():
    reg = MLPRegressor(solver="sgd", random_state=0)
    X = np.asarray([[1e30], [-1e30]])
    found = find_learning_rate(reg, X, [1e30, 2e30])
    assert found.steepest is found.suggestion is None
    assert found.diverging == pytest.approx(1e-6, rel=10.0)
    LearningRateDisplay(found).plot()


@pytest.mark.parametrize(
    ("estimator", "options", "problem"),
    [
        (MLPClassifier(solver="lbfgs"), {}, "has no learning rate to find"),
        (MLPClassifier(), {"start": 1.0, "end": 0.1}, "Expected 0 < start < end"),
        (MLPClassifier(), {"start": 0.0}, "Expected 0 < start < end"),
        (MLPClassifier(), {"n_steps": 19}, "n_steps of at least 20"),
        (MLPClassifier(alpha=-1.0), {}, "alpha"),
    ],
)
def test_no_range_test(estimator, options, problem, digits):
    with pytest.raises(ValueError, match=problem):
        find_learning_rate(estimator, *digits, **options)


# -------------------------------------------------------------------------- its picture


def test_the_picture_shows_what_was_found(digits):
    clf = MLPClassifier((20,), random_state=0)
    display = LearningRateDisplay.from_estimator(clf, *digits)
    found = display.learning_rates
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "learning rate"
    assert display.ax_.get_ylabel() == "loss (nats)"
    assert display.ax_.figure is display.figure_
    losses, smoothed, suggested, diverging = display.lines_
    for line, curve in ((losses, found.losses), (smoothed, found.smoothed)):
        np.testing.assert_array_equal(line.get_xdata(), found.rates)
        np.testing.assert_array_equal(line.get_ydata(), curve)
    assert list(suggested.get_xdata()) == [found.suggestion] * 2
    assert list(diverging.get_xdata()) == [found.diverging] * 2
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == [
        "of a batch",
        "smoothed",
        f"suggested: {found.suggestion:.2g}",
        f"diverging: {found.diverging:.2g}",
    ]
    low, high = display.ax_.get_ylim()
    assert low < found.losses[np.isfinite(found.losses)].min()
    assert found.losses[0] < high < 2.0 * found.losses[0]


def test_axes_and_options_that_are_given(digits):
    figure, (left, right) = plt.subplots(1, 2)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((5,), random_state=0))
    display = LearningRateDisplay.from_estimator(
        pipeline, *digits, ax=right, sample_weight=np.ones(1797), n_steps=30
    )
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.lines
    assert len(display.learning_rates.rates) == 30


def test_without_matplotlib(monkeypatch, digits):
    found = find_learning_rate(MLPClassifier((5,), random_state=0), *digits)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'xpnet\[plot\]'"):
        LearningRateDisplay(found).plot()


def test_a_layer_that_normalises_says_so():
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    clf = MLPClassifier((4,), normalization="batch", max_iter=1)
    for _ in clf.iter_fit(X, y):
        pass
    hidden, output = summary(clf).layers
    assert (hidden.kind, output.kind) == ("dense, batch norm", "dense")
    assert hidden.n_params == 3 * 4 + 4 + 4
