"""Where to draw, and matplotlib itself, which is imported when it is asked for."""

from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline

from xpnet.exceptions import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["axes_or_new", "figure_of", "last_step", "loss_name", "new_axes"]


def axes_or_new(ax: "Axes | None", figsize: tuple[float, float] = (6.4, 4.0)) -> "Axes":
    """Return `ax`, or those of a new figure, which pyplot shows and closes."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise _missing() from error
    _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


def new_axes(figsize: tuple[float, float] = (6.4, 4.0)) -> "Axes":
    """Return axes of a figure of their own, which pyplot doesn't know of."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise _missing() from error
    return Figure(figsize=figsize, dpi=150, layout="constrained").add_subplot()


def figure_of(ax: "Axes") -> "Figure":
    """Return the figure that axes, also those of a subfigure, belong to."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes without one can't be drawn on
    return figure


def last_step(estimator: BaseEstimator) -> Any:
    """Return the estimator itself, or of a pipeline the last step."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def loss_name(estimator: BaseEstimator) -> str:
    """Return what to call the loss of an estimator: a classifier's has a unit."""
    return "loss (nats)" if is_classifier(estimator) else "loss"


def _missing() -> MissingDependencyError:
    return MissingDependencyError("Plots need matplotlib: pip install 'xpnet[plot]'.")
