"""Pictures of training."""

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.image import imread
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier, MLPRegressor
from xpnet.callbacks import History
from xpnet.exceptions import DataError, MissingDependencyError
from xpnet.plotting import FirstLayerDisplay, LossCurveDisplay, plot_loss_curve


def classifier(losses):
    """Return a classifier that is fitted, as far as a plot can tell."""
    clf = MLPClassifier()
    clf.n_features_in_ = 64
    clf.intercepts_ = [np.zeros(50), np.zeros(10)]
    clf.loss_curve_ = list(losses)
    return clf


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


def png(ax):
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)


def test_the_curve_is_that_of_the_losses():
    ax = plot_loss_curve(classifier([2.5, 2.0, 1.0]))
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == [2.5, 2.0, 1.0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss (nats)")
    assert ax.get_title() == "MLPClassifier 64–50–10: loss 1 after epoch 3"
    assert ax.get_ylim()[0] == 0.0
    assert ax.get_ylim()[1] > 2.5
    assert png(ax).shape == (600, 960, 4)


def test_of_a_pipeline_the_last_step():
    clf = classifier([2.0, 1.0])
    ax = plot_loss_curve(make_pipeline(StandardScaler(), clf))
    assert ax.lines[0].get_ydata().tolist() == [2.0, 1.0]


def test_of_a_fit():
    clf = MLPClassifier((5,), max_iter=4)
    for _ in clf.iter_fit(np.eye(3), [0, 1, 2]):
        pass
    ax = plot_loss_curve(clf)
    assert ax.lines[0].get_ydata().tolist() == clf.loss_curve_
    assert "3–5–3" in ax.get_title()


def test_axes_that_are_given():
    axes = Figure().subplots(1, 2)
    assert plot_loss_curve(classifier([2.0, 1.0]), axes[1]) is axes[1]
    assert len(axes[1].lines) == 1
    assert not axes[0].lines


@pytest.mark.parametrize(("last", "scale"), [(0.21, "linear"), (0.19, "log")])
def test_the_scale_is_logarithmic_over_more_than_a_decade(last, scale):
    ax = plot_loss_curve(classifier([2.0, last]))
    assert ax.get_yscale() == scale


def test_ticks_of_a_logarithmic_scale_are_plain_numbers():
    ax = plot_loss_curve(classifier(np.geomspace(2.3, 0.013, 200)))
    png(ax)
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert {"0.02", "0.1", "1"} <= set(shown)
    assert not any(label.get_text() for label in ax.get_yticklabels(minor=True))


def test_no_loss_at_all():
    assert plot_loss_curve(classifier([1.0, 0.0])).get_yscale() == "linear"


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 20, 1000])
def test_ticks_are_whole_epochs(n_epochs):
    ax = plot_loss_curve(classifier(np.linspace(2.0, 1.0, n_epochs)))
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)
    assert (ax.lines[0].get_marker() == "o") == (n_epochs <= 30)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        plot_loss_curve(MLPClassifier())


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'xpnet\[plot\]'"):
        plot_loss_curve(classifier([1.0]))


PLOT = """
import sys
from xpnet import MLPClassifier
from xpnet.plotting import plot_loss_curve
clf = MLPClassifier((2,), max_iter=1)
list(clf.iter_fit([[0.0], [1.0]], [0, 1]))
plot_loss_curve(clf).figure.savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""


def test_pyplot_is_left_alone(tmp_path):
    """A server without a display can plot, and no figure stays open."""
    subprocess.run([sys.executable, "-c", PLOT, tmp_path / "loss.png"], check=True)


# ------------------------------------------------------------------------- the displays


def test_the_display_of_both_curves():
    clf = classifier([2.5, 2.0, 1.0])
    clf.validation_loss_curve_ = [2.4, 2.1, 1.3]
    display = LossCurveDisplay.from_estimator(clf)
    training, held_out = display.lines_
    assert display.ax_.lines[:] == display.lines_
    assert plt.gcf() is display.figure_ is display.ax_.figure
    assert training.get_xdata().tolist() == held_out.get_xdata().tolist() == [1, 2, 3]
    assert training.get_ydata().tolist() == [2.5, 2.0, 1.0]
    assert held_out.get_ydata().tolist() == [2.4, 2.1, 1.3]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "held out"]
    assert display.ax_.get_ylabel() == "loss (nats)"


def test_the_display_of_a_fit():
    reg = MLPRegressor(
        hidden_layer_sizes=(5,), early_stopping=True, max_iter=4, random_state=0
    )
    for _ in reg.iter_fit(np.arange(60.0).reshape(20, 3) / 60.0, np.arange(20.0)):
        pass
    display = LossCurveDisplay.from_estimator(make_pipeline(StandardScaler(), reg))
    training, held_out = display.lines_
    assert training.get_ydata().tolist() == reg.loss_curve_
    assert held_out.get_ydata().tolist() == reg.validation_loss_curve_
    assert display.ax_.get_ylabel() == "loss"  # of a regressor it has no unit


@pytest.mark.parametrize("held_out", [None, [2.2, 1.6]])
def test_what_a_callback_has_recorded(held_out):
    record = SimpleNamespace(loss_curve_=[2.0, 1.5], validation_loss_curve_=held_out)
    ax = plt.figure().add_subplot()
    display = LossCurveDisplay.from_callback(record, ax=ax, linewidth=3.0)
    assert display.ax_ is ax
    assert [line.get_ydata().tolist() for line in display.lines_] == [
        curve for curve in ([2.0, 1.5], held_out) if curve
    ]
    assert {line.get_linewidth() for line in display.lines_} == {3.0}
    assert (ax.get_legend() is None) == (held_out is None)


@pytest.mark.parametrize("held_out", [{}, {"X_val": np.eye(3), "y_val": [0, 1, 2]}])
def test_what_a_history_has_recorded(held_out):
    history = History()
    clf = MLPClassifier((2,), max_iter=3, random_state=0).set_callbacks(history)
    for _ in clf.iter_fit(np.eye(3), [0, 1, 2], **held_out):
        pass
    display = LossCurveDisplay.from_callback(history)
    curves = [clf.loss_curve_, clf.validation_loss_curve_][: 1 + bool(held_out)]
    assert [line.get_ydata().tolist() for line in display.lines_] == curves


@pytest.mark.parametrize("record", [SimpleNamespace(), SimpleNamespace(loss_curve_=[])])
def test_nothing_recorded(record):
    with pytest.raises(DataError, match="loss of at least one epoch, got"):
        LossCurveDisplay.from_callback(record)


def test_a_display_draws_again():
    display = LossCurveDisplay([2.0, 1.0], loss_name="cost")
    first = display.plot().ax_
    assert display.plot().ax_ is not first
    assert display.ax_.get_ylabel() == first.get_ylabel() == "cost"


def test_a_loss_below_zero_is_in_the_picture():
    display = LossCurveDisplay([1.0, -2.0]).plot()
    assert display.ax_.get_ylim()[0] < -2.0


def test_figures_within_figures():
    figure = plt.figure()
    part = figure.subfigures(1, 2)[0].add_subplot()
    assert LossCurveDisplay([2.0, 1.0]).plot(part).figure_ is figure


# ------------------------------------------------------------------ the weights as images


def with_first_layer(W):
    clf = classifier([1.0])
    clf.coefs_ = [W]
    return clf


def test_the_weights_are_a_grid_of_images(backend, rng):
    W = rng.normal(size=(6, 5)).astype("float32")
    display = FirstLayerDisplay.from_estimator(
        with_first_layer(backend.asarray(W)), shape=(2, 3)
    )
    grid = np.ma.filled(display.image_.get_array(), np.nan)
    assert grid.shape == (8, 7)  # 3 rows of 2 images, a pixel between them
    corners = [(row, column) for row in (0, 3, 6) for column in (0, 4)]
    for unit, (row, column) in enumerate(corners[:5]):
        shown = grid[row : row + 2, column : column + 3]
        np.testing.assert_array_equal(shown, W[:, unit].reshape(2, 3))
        grid[row : row + 2, column : column + 3] = np.nan
    assert np.isnan(grid).all()
    low, high = display.image_.get_clim()
    assert -low == high == np.abs(W).max()
    assert display.colorbar_.mappable is display.image_
    assert display.ax_.images[:] == [display.image_]
    assert len(display.figure_.axes) == 2  # the grid, and one colour bar
    assert display.ax_.get_title() == "Weights of the first layer, 5 units"


def test_some_units_and_another_map(rng):
    W = rng.normal(size=(4, 5))
    ax = plt.figure().add_subplot()
    display = FirstLayerDisplay.from_estimator(
        with_first_layer(W), ax, units=[4, 0], cmap="PiYG"
    )
    assert display.ax_ is ax
    grid = np.ma.filled(display.image_.get_array(), np.nan)
    np.testing.assert_array_equal(grid[:2, :2], W[:, 4].reshape(2, 2))
    np.testing.assert_array_equal(grid[:2, 3:], W[:, 0].reshape(2, 2))
    assert display.image_.get_cmap().name == "PiYG"
    assert display.ax_.get_title().endswith("2 of 5 units")


def test_of_many_units_the_first_hundred():
    W = np.zeros((1, 101))
    display = FirstLayerDisplay.from_estimator(with_first_layer(W))
    assert display.weights.shape == (100, 1, 1)
    assert display.ax_.get_title().endswith("100 of 101 units")
    assert display.image_.get_clim() == (-1.0, 1.0)  # no weight to scale by


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, r"6 features are no images of shape \(2, 2\): pass shape="),
        ({"shape": (3, 3)}, r"no images of shape \(3, 3\)"),
        ({"shape": (2, 3), "units": [5]}, r"from 0 to 4, got \[5\]"),
        ({"shape": (2, 3), "units": [-1]}, "from 0 to 4"),
        ({"shape": (2, 3), "units": []}, "from 0 to 4"),
    ],
)
def test_no_images(options, problem):
    with pytest.raises(DataError, match=problem):
        FirstLayerDisplay.from_estimator(with_first_layer(np.ones((6, 5))), **options)


@pytest.mark.parametrize("display", [LossCurveDisplay, FirstLayerDisplay])
def test_no_display_before_fitting(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(MLPClassifier())


def test_no_display_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: LossCurveDisplay.from_estimator(classifier([1.0])),
        lambda: FirstLayerDisplay.from_estimator(with_first_layer(np.ones((4, 1)))),
    ):
        with pytest.raises(MissingDependencyError, match=r"'xpnet\[plot\]'"):
            draw()
