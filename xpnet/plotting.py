"""Pictures of training."""

from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from xpnet.exceptions import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_loss_curve"]


def plot_loss_curve(estimator: BaseEstimator, ax: "Axes | None" = None) -> "Axes":
    """Plot the loss of each epoch.

    Parameters
    ----------
    estimator : MLPClassifier or sklearn.pipeline.Pipeline
        Fitted; of a pipeline, the last step.
    ax : matplotlib.axes.Axes, optional
        Where to draw. By default a figure of its own, which pyplot doesn't know of:
        ``ax.figure.savefig("loss.png")`` saves it.

    Returns
    -------
    matplotlib.axes.Axes
        With the curve. The loss is on a logarithmic scale where it falls to less than
        a tenth.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
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
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
    except ImportError as error:
        msg = "Plots need matplotlib: pip install 'xpnet[plot]'."
        raise MissingDependencyError(msg) from error

    if isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    check_is_fitted(estimator, "loss_curve_")
    losses = estimator.loss_curve_
    if ax is None:
        ax = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained").add_subplot()
    epochs = range(1, len(losses) + 1)
    ax.plot(epochs, losses, marker="o" if len(losses) <= 30 else "", markersize=4)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(
        MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    if 0.0 < min(losses) < 0.1 * max(losses):
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0.0, 1.05 * max(losses))
    ax.grid(visible=True, alpha=0.3)
    sizes = [estimator.n_features_in_, *(b.shape[0] for b in estimator.intercepts_)]
    ax.set(
        xlabel="epoch",
        ylabel="loss (nats)",
        title=f"{type(estimator).__name__} {'–'.join(map(str, sizes))}: "
        f"loss {losses[-1]:.3g} after epoch {len(losses)}",
    )
    return ax
