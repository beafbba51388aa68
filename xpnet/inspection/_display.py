"""A picture of the range test."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from xpnet._typing import Array
from xpnet.inspection._rates import LearningRates, find_learning_rate
from xpnet.plotting._axes import axes_or_new, figure_of, loss_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["LearningRateDisplay"]


class LearningRateDisplay:
    """The losses of a range test by their learning rates, and what they suggest.

    Made by :meth:`from_estimator`, as scikit-learn's displays are; the constructor
    takes what :func:`find_learning_rate` has found.

    Parameters
    ----------
    learning_rates : LearningRates
        What was found.
    loss_name : str, default="loss"
        What the loss is called.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the curves.
    figure_ : matplotlib.figure.Figure
        Their figure.
    lines_ : list of matplotlib.lines.Line2D
        The losses, the smoothed losses, and upright lines at the suggestion and where
        training diverges, as far as they were found.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from xpnet import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(random_state=0)
    >>> display = LearningRateDisplay.from_estimator(clf, scale(X), y)
    >>> display.ax_.get_xscale()
    'log'
    >>> plt.close(display.figure_)
    """

    ax_: "Axes"
    figure_: "Figure"
    lines_: "list[Line2D]"

    def __init__(
        self, learning_rates: LearningRates, *, loss_name: str = "loss"
    ) -> None:
        self.learning_rates = learning_rates
        self.loss_name = loss_name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Array,
        y: Array,
        ax: "Axes | None" = None,
        *,
        sample_weight: Array | None = None,
        **options: Any,
    ) -> Self:
        """Try learning rates, and plot what was found.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
            Fitted or not; it is left as it is.
        X, y, sample_weight : array or array-like
            As for ``fit``.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure of pyplot's.
        **options : object
            `start`, `end` and `n_steps` of :func:`find_learning_rate`.

        Returns
        -------
        LearningRateDisplay
            Drawn.

        Raises
        ------
        ValueError
            As :func:`find_learning_rate`.
        MissingDependencyError
            matplotlib is not installed.
        """
        found = find_learning_rate(estimator, X, y, sample_weight, **options)
        return cls(found, loss_name=loss_name(estimator)).plot(ax)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default a new figure of pyplot's.

        Returns
        -------
        LearningRateDisplay
            Itself, with the artists as attributes.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        ax = axes_or_new(ax)
        found = self.learning_rates
        self.ax_, self.figure_ = ax, figure_of(ax)
        losses, smoothed = (
            np.where(np.isfinite(curve), curve, np.nan)
            for curve in (found.losses, found.smoothed)
        )
        self.lines_ = [
            *ax.plot(found.rates, losses, ".", color="0.7", label="of a batch"),
            *ax.plot(found.rates, smoothed, color="C0", label="smoothed"),
        ]
        for what, rate, colour in (
            ("suggested", found.suggestion, "C2"),
            ("diverging", found.diverging, "C3"),
        ):
            if rate is not None:
                label = f"{what}: {rate:.2g}"
                line = ax.axvline(rate, color=colour, linestyle="--", label=label)
                self.lines_.append(line)
        ax.set_xscale("log")
        ax.margins(x=0.02)
        known = losses[np.isfinite(losses)]
        if known.size:  # what has diverged would press everything else flat
            low, begin = float(known.min()), float(known[0])
            room = max(begin - low, 0.1 * abs(begin)) or 1.0
            ax.set_ylim(low - 0.1 * room, begin + 0.5 * room)
        ax.grid(visible=True, alpha=0.3)
        ax.set(xlabel="learning rate", ylabel=self.loss_name, title="Range test")
        ax.legend(loc="lower left")
        return self
