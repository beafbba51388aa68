"""When to stop: on a plateau, on divergence, when the time is over."""

import math
from dataclasses import dataclass

from xpnet.exceptions import DivergenceError

__all__ = ["Plateau", "check_finite"]


@dataclass
class Plateau:
    """Tell when a value has stopped falling, by scikit-learn's rule.

    An epoch whose value is not below the best by more than `tol` counts; when more than
    `patience` of them come in a row, that's the plateau.

    Parameters
    ----------
    tol : float
        The least improvement that counts.
    patience : float
        How many epochs without one to bear; infinity never stops.

    Examples
    --------
    >>> plateau = Plateau(tol=0.1, patience=1)
    >>> [plateau.reached(loss) for loss in [1.0, 0.5, 0.45, 0.44]]
    [False, False, False, True]
    """

    tol: float
    patience: float
    best: float = math.inf
    n_no_change: int = 0

    def reached(self, value: float) -> bool:
        """Take the value of an epoch, and say whether this is the plateau."""
        self.n_no_change = self.n_no_change + 1 if value > self.best - self.tol else 0
        self.best = min(self.best, value)
        return self.n_no_change > self.patience


def check_finite(loss: float, largest: float, n_iter: int) -> None:
    """Raise where an epoch has left the finite numbers.

    Parameters
    ----------
    loss : float
        Of the epoch.
    largest : float
        The largest magnitude of a parameter after the epoch; NaN if there is one.
    n_iter : int
        The epoch's number.

    Raises
    ------
    DivergenceError
        With the remedies.
    """
    if math.isfinite(loss) and math.isfinite(largest):
        return
    msg = (
        f"Training diverged in epoch {n_iter}: the loss is {loss}, and the solver "
        "produced non-finite parameter weights. Scale the features (StandardScaler, "
        "say), lower learning_rate_init, or raise alpha."
    )
    raise DivergenceError(msg)
