"""The loss of each epoch."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from xpnet.exceptions import DataError
from xpnet.plotting._axes import axes_or_new, figure_of, last_step, loss_name, new_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["LossCurveDisplay", "plot_loss_curve"]


class LossCurveDisplay:
    """The loss of each epoch, on the training data and on held-out samples.

    Made by :meth:`from_estimator` or :meth:`from_callback`, as scikit-learn's displays
    are; the constructor takes the numbers.

    Parameters
    ----------
    loss_curve : sequence of float
        The loss of each epoch.
    validation_loss_curve : sequence of float, optional
        That of the held-out samples.
    loss_name : str, default="loss"
        What it is called, with its unit.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the curves.
    figure_ : matplotlib.figure.Figure
        Their figure.
    lines_ : list of matplotlib.lines.Line2D
        The curve of the training loss and, where there is one, that of the held-out
        samples.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from xpnet import MLPClassifier
    >>> clf = MLPClassifier(early_stopping=True, max_iter=5)
    >>> for epoch in clf.iter_fit(*load_iris(return_X_y=True)):
    ...     pass
    >>> display = LossCurveDisplay.from_estimator(clf)
    >>> [line.get_label() for line in display.lines_]
    ['training', 'held out']
    >>> plt.close(display.figure_)
    """

    ax_: "Axes"
    figure_: "Figure"
    lines_: "list[Line2D]"

    def __init__(
        self,
        loss_curve: "Sequence[float]",
        validation_loss_curve: "Sequence[float] | None" = None,
        *,
        loss_name: str = "loss",
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.loss_name = loss_name

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, ax: "Axes | None" = None, **line_kwargs: Any
    ) -> Self:
        """Plot what an estimator has kept of its training.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
            Fitted; of a pipeline, the last step.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure of pyplot's.
        **line_kwargs : object
            Passed to :meth:`matplotlib.axes.Axes.plot`, for all curves.

        Returns
        -------
        LossCurveDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        DataError
            It has no epoch behind it yet.
        MissingDependencyError
            matplotlib is not installed.
        """
        return cls._of_estimator(estimator).plot(ax, **line_kwargs)

    @classmethod
    def _of_estimator(cls, estimator: BaseEstimator) -> Self:
        estimator = last_step(estimator)
        check_is_fitted(estimator, "loss_curve_")
        return cls(*_curves(estimator), loss_name=loss_name(estimator))

    @classmethod
    def from_callback(
        cls, callback: Any, ax: "Axes | None" = None, **line_kwargs: Any
    ) -> Self:
        """Plot what a callback has recorded while an estimator was trained.

        Parameters
        ----------
        callback : object
            A :class:`~xpnet.callbacks.History`, or any object with a list `loss_curve_`,
            one number an epoch; where it has a `validation_loss_curve_` too that is not
            None, that is drawn beside.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure of pyplot's.
        **line_kwargs : object
            Passed to :meth:`matplotlib.axes.Axes.plot`, for all curves.

        Returns
        -------
        LossCurveDisplay
            Drawn.

        Raises
        ------
        DataError
            It has recorded no loss.
        MissingDependencyError
            matplotlib is not installed.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> import matplotlib.pyplot as plt
        >>> record = SimpleNamespace(loss_curve_=[2.0, 1.5, 1.2])
        >>> display = LossCurveDisplay.from_callback(record)
        >>> print(*display.lines_[0].get_ydata())
        2.0 1.5 1.2
        >>> plt.close(display.figure_)
        """
        return cls(*_curves(callback)).plot(ax, **line_kwargs)

    def plot(self, ax: "Axes | None" = None, **line_kwargs: Any) -> Self:
        """Draw the curves.

        The loss is on a logarithmic scale where it falls to less than a tenth.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default a new figure of pyplot's.
        **line_kwargs : object
            Passed to :meth:`matplotlib.axes.Axes.plot`, for all curves.

        Returns
        -------
        LossCurveDisplay
            Itself, with the artists as attributes.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        ax = axes_or_new(ax)
        from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

        curves = {"training": self.loss_curve}
        if self.validation_loss_curve is not None:
            curves["held out"] = self.validation_loss_curve
        self.lines_ = []
        for label, losses in curves.items():
            marker = "o" if len(losses) <= 30 else ""
            style: dict[str, Any] = {"label": label, "marker": marker, "markersize": 4}
            epochs = range(1, len(losses) + 1)
            self.lines_ += ax.plot(epochs, losses, **(style | line_kwargs))
        self.ax_, self.figure_ = ax, figure_of(ax)
        ax.margins(x=0.02)
        ax.xaxis.set_major_locator(
            MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
        )
        every = np.concatenate([np.asarray(losses) for losses in curves.values()])
        if 0.0 < every.min() < 0.1 * every.max():
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())
        elif every.min() >= 0.0:  # that of a Gaussian likelihood may be less
            ax.set_ylim(0.0, 1.05 * every.max() or 1.0)
        ax.grid(visible=True, alpha=0.3)
        ax.set(xlabel="epoch", ylabel=self.loss_name)
        if len(curves) > 1:
            ax.legend()
        return self


def _curves(source: Any) -> tuple[list[float], list[float] | None]:
    """Return both curves of an estimator or a callback, checked."""
    losses = getattr(source, "loss_curve_", None)
    if losses is None or len(losses) == 0:
        msg = (
            "Expected an object whose loss_curve_ has the loss of at least one epoch, "
            f"got {losses!r} of {source!r}: train first."
        )
        raise DataError(msg)
    return losses, getattr(source, "validation_loss_curve_", None)


def plot_loss_curve(estimator: BaseEstimator, ax: "Axes | None" = None) -> "Axes":
    """Plot the loss of each epoch, without pyplot and with a title.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted; of a pipeline, the last step.
    ax : matplotlib.axes.Axes, optional
        Where to draw. By default a figure of its own, which pyplot doesn't know of:
        ``ax.figure.savefig("loss.png")`` saves it.

    Returns
    -------
    matplotlib.axes.Axes
        With what :class:`LossCurveDisplay` draws.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    DataError
        It has no epoch behind it yet.
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpnet import MLPClassifier
    >>> clf = MLPClassifier(max_iter=5)
    >>> for epoch in clf.iter_fit(*load_iris(return_X_y=True)):
    ...     pass
    >>> plot_loss_curve(clf).get_ylabel()
    'loss (nats)'
    """
    display = LossCurveDisplay._of_estimator(estimator)
    ax = display.plot(new_axes() if ax is None else ax).ax_
    estimator, losses = last_step(estimator), display.loss_curve
    sizes = [estimator.n_features_in_, *(b.shape[0] for b in estimator.intercepts_)]
    ax.set_title(
        f"{type(estimator).__name__} {'–'.join(map(str, sizes))}: "
        f"loss {losses[-1]:.3g} after epoch {len(losses)}"
    )
    return ax
