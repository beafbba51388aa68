"""Pictures of training."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier
from xpnet.exceptions import MissingDependencyError
from xpnet.plotting import plot_loss_curve


def classifier(losses):
    """Return a classifier that is fitted, as far as a plot can tell."""
    clf = MLPClassifier()
    clf.n_features_in_ = 64
    clf.intercepts_ = [np.zeros(50), np.zeros(10)]
    clf.loss_curve_ = list(losses)
    return clf


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
