"""The weights of the first layer, as images."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from xpnet._namespace import to_numpy
from xpnet.exceptions import DataError
from xpnet.plotting._axes import axes_or_new, figure_of, last_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["FirstLayerDisplay"]

_MOST = 100  # units that are shown by default


class FirstLayerDisplay:
    """What each unit of the first layer looks for: its weights, as an image.

    All images have one colour scale, symmetric about 0, and one colour bar. Made by
    :meth:`from_estimator`, as scikit-learn's displays are.

    Parameters
    ----------
    weights : ndarray, shape (n_units, height, width)
        An image a unit.
    n_units : int
        How many units the layer has.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the grid.
    figure_ : matplotlib.figure.Figure
        Its figure.
    image_ : matplotlib.image.AxesImage
        The grid: the units from left to right and from top to bottom, a pixel without
        colour between them.
    colorbar_ : matplotlib.colorbar.Colorbar
        What the colours mean.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from xpnet import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier((20,), random_state=0)
    >>> for epoch in clf.iter_fit(X / 16, y):
    ...     if epoch.n_iter == 5:
    ...         break
    >>> display = FirstLayerDisplay.from_estimator(clf, shape=(8, 8))
    >>> display.image_.get_array().shape  # 4 rows of 5 units
    (35, 44)
    >>> plt.close(display.figure_)
    """

    ax_: "Axes"
    figure_: "Figure"
    image_: "AxesImage"
    colorbar_: "Colorbar"

    def __init__(self, weights: "np.ndarray[Any, Any]", n_units: int) -> None:
        self.weights = weights
        self.n_units = n_units

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        ax: "Axes | None" = None,
        *,
        shape: tuple[int, int] | None = None,
        units: "Sequence[int] | None" = None,
        cmap: str = "RdBu_r",
    ) -> Self:
        """Plot the weights of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
            Fitted, on images with a feature a pixel, row by row; of a pipeline, the
            last step.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure of pyplot's.
        shape : (int, int), optional
            Height and width of the images in pixels; by default they are square.
        units : sequence of int, optional
            The units to show, counted from 0; by default all, at most the first 100.
        cmap : str, default="RdBu_r"
            A colour map of matplotlib's, best one that diverges: here negative weights
            are blue, positive ones red.

        Returns
        -------
        FirstLayerDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        DataError
            The shape doesn't fit the features, or there is no such unit.
        MissingDependencyError
            matplotlib is not installed.
        """
        estimator = last_step(estimator)
        check_is_fitted(estimator, "coefs_")
        W = to_numpy(estimator.coefs_[0])
        n_features, n_units = W.shape
        if shape is None:
            shape = (math.isqrt(n_features),) * 2
        if math.prod(shape) != n_features:
            msg = (
                f"{n_features} features are no images of shape {tuple(shape)}: pass "
                "shape=(height, width), whose product is the number of features."
            )
            raise DataError(msg)
        chosen = np.arange(min(n_units, _MOST)) if units is None else np.asarray(units)
        if chosen.size == 0 or not np.all((chosen >= 0) & (chosen < n_units)):
            msg = f"units must be numbers from 0 to {n_units - 1}, got {units!r}."
            raise DataError(msg)
        return cls(W.T[chosen].reshape(-1, *shape), n_units).plot(ax, cmap=cmap)

    def plot(self, ax: "Axes | None" = None, *, cmap: str = "RdBu_r") -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default a new figure of pyplot's.
        cmap : str, default="RdBu_r"
            A colour map of matplotlib's.

        Returns
        -------
        FirstLayerDisplay
            Itself, with the artists as attributes.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        grid = _mosaic(np.asarray(self.weights, np.float64))
        aspect = grid.shape[0] / grid.shape[1]
        ax = axes_or_new(ax, (6.4, min(max(5.4 * aspect + 0.5, 2.2), 8.0)))
        limit = float(np.max(np.abs(self.weights))) or 1.0
        self.image_ = ax.imshow(
            grid, cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest"
        )
        self.ax_, self.figure_ = ax, figure_of(ax)
        self.colorbar_ = self.figure_.colorbar(
            self.image_, ax=ax, label="weight", shrink=0.8
        )
        ax.set_axis_off()
        shown = len(self.weights)
        of_all = f"{shown} of {self.n_units}" if shown < self.n_units else f"{shown}"
        ax.set_title(f"Weights of the first layer, {of_all} units")
        return self


def _mosaic(images: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Lay images out in a grid that is about square, with a NaN between them."""
    n_images, height, width = images.shape
    n_columns = math.ceil(math.sqrt(n_images * height / width))
    n_rows = math.ceil(n_images / n_columns)
    cells = np.full((n_rows * n_columns, height + 1, width + 1), np.nan)
    cells[:n_images, :height, :width] = images
    cells = cells.reshape(n_rows, n_columns, height + 1, width + 1)
    grid = cells.swapaxes(1, 2).reshape(n_rows * (height + 1), -1)
    return grid[:-1, :-1]
