"""Callbacks that take a training down, or stop it."""

import math
import time
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

from xpnet._callbacks import callbacks_of
from xpnet.callbacks._base import NetworkCallback, is_epoch
from xpnet.exceptions import CallbackError

__all__ = ["EarlyStopping", "History", "TimeLimit"]


class History(NetworkCallback):
    """Take down learning rates, losses and scores, epoch by epoch.

    Unlike the estimator's own curves it begins anew with each ``fit``, a warm start,
    too.

    Attributes
    ----------
    learning_rates_ : list of float
        With which each epoch began; none with L-BFGS.
    loss_curve_ : list of float
        The objective, averaged over each epoch.
    validation_loss_curve_ : list of float, or None
        On held-out samples, where there are some.
    validation_scores_ : list of float, or None
        The same for the estimator's score, or its `scoring`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpnet import MLPClassifier
    >>> from xpnet.callbacks import History
    >>> X, y = load_iris(return_X_y=True)
    >>> history = History()
    >>> clf = MLPClassifier(
    ...     solver="sgd", learning_rate="invscaling", tol=1.0, random_state=0
    ... ).set_callbacks(history).fit(X, y)
    >>> history.loss_curve_ == clf.loss_curve_
    True
    >>> [round(rate, 6) for rate in history.learning_rates_[:3]]
    [0.001, 8.1e-05, 5.8e-05]
    """

    learning_rates_: list[float]
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None

    def _begin(self, estimator: Any, run: Any) -> None:
        super()._begin(estimator, run)
        self.learning_rates_, self.loss_curve_ = [], []
        held_out = run.held_out is not None
        self.validation_loss_curve_ = [] if held_out else None
        self.validation_scores_ = [] if held_out else None

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Take the learning rate down."""
        super().on_fit_task_begin(estimator, context)
        if is_epoch(context) and estimator.solver != "lbfgs":
            self.learning_rates_.append(estimator._run.next_rate(estimator))

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Take loss and score down."""
        if is_epoch(context):
            self.loss_curve_.append(estimator.loss_)
            for curve, of_estimator in (
                (self.validation_loss_curve_, estimator.validation_loss_curve_),
                (self.validation_scores_, estimator.validation_scores_),
            ):
                if curve is not None:
                    curve.append(of_estimator[-1])
        return False


class EarlyStopping(NetworkCallback):
    """Stop when a figure has got no better for some epochs, and keep the best weights.

    Parameters
    ----------
    monitor : {"validation_loss", "validation_score", "loss"} or callable, \
            default="validation_loss"
        What to look at after each epoch. The validation figures are those on ``X_val``
        and ``y_val`` that ``fit`` was given, or on what `early_stopping` splits off; the
        score is the estimator's `scoring`. A callable is given the estimator, fitted so
        far, and returns a number.
    patience : int, default=10
        Stop after so many epochs in a row that were not better than the best before.
    min_delta : float, default=0.0
        By more than this an epoch must be better.
    mode : {"auto", "min", "max"}, default="auto"
        Whether less is better, or more; ``"auto"`` takes less for the losses, and more
        for the score and a callable.
    restore_best : bool, default=True
        Whether the estimator ends with the weights of the best epoch, or of the last.

    Attributes
    ----------
    best_ : float
        The best figure so far; NaN before the first.
    best_iter_ : int
        The epoch that it is from.
    n_no_change_ : int
        Epochs since then.
    stopped_ : bool
        Whether training was stopped here.

    Raises
    ------
    ValueError
        A parameter can't be used; or, when training begins, nothing is held out, or two
        would restore weights.

    References
    ----------
    .. [1] L. Prechelt, "Early stopping -- but when?", Neural Networks: Tricks of the
       Trade, 1998.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from xpnet import MLPClassifier
    >>> from xpnet.callbacks import EarlyStopping
    >>> X, X_val, y, y_val = train_test_split(
    ...     *load_iris(return_X_y=True), random_state=0
    ... )
    >>> stopping = EarlyStopping("validation_loss", patience=5, min_delta=0.01)
    >>> clf = MLPClassifier(max_iter=1000, learning_rate_init=0.01, random_state=0)
    >>> clf = clf.set_callbacks(stopping).fit(X, y, X_val=X_val, y_val=y_val)
    >>> clf.n_iter_ - stopping.best_iter_
    5
    """

    monitor: str | Callable[[Any], float]
    patience: int
    min_delta: float
    mode: str
    restore_best: bool

    CURVES: ClassVar[dict[str, str]] = {
        "loss": "loss_curve_",
        "validation_loss": "validation_loss_curve_",
        "validation_score": "validation_scores_",
    }

    def __init__(
        self,
        monitor: str | Callable[[Any], float] = "validation_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if not (callable(monitor) or monitor in self.CURVES):
            msg = (
                f"monitor must be one of {', '.join(self.CURVES)}, or a callable that is "
                f"given the estimator; got {monitor!r}."
            )
            raise CallbackError(msg)
        if not (isinstance(patience, Integral) and patience >= 1):
            msg = f"patience must be an int of at least 1, got {patience!r}."
            raise CallbackError(msg)
        if not (isinstance(min_delta, Real) and 0.0 <= min_delta < math.inf):
            msg = f"min_delta must be a number of at least 0, got {min_delta!r}."
            raise CallbackError(msg)
        if mode not in ("auto", "min", "max"):
            msg = f"mode must be 'auto', 'min' or 'max', got {mode!r}."
            raise CallbackError(msg)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.mode, self.restore_best = mode, restore_best

    def _begin(self, estimator: Any, run: Any) -> None:
        super()._begin(estimator, run)
        self.best_, self.best_iter_ = math.nan, 0
        self.n_no_change_, self.stopped_ = 0, False
        if run.held_out is None and str(self.monitor).startswith("validation"):
            msg = (
                f"EarlyStopping looks at {self.monitor}, and no samples are held out: "
                "pass X_val and y_val to fit, or monitor something else."
            )
            raise CallbackError(msg)
        others = [
            each
            for each in callbacks_of(estimator)
            if isinstance(each, EarlyStopping) and each.restore_best
        ]
        if self.restore_best and (estimator.early_stopping or len(others) > 1):
            msg = (
                "More than one would restore the best weights: give EarlyStopping "
                "restore_best=False, or leave one of them, or the estimator's "
                "early_stopping, out."
            )
            raise CallbackError(msg)

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Look at the figure, and say whether to stop."""
        if not is_epoch(context):
            return False
        figure = self._figure(estimator)
        if self._is_better(figure):
            self.best_, self.best_iter_ = figure, estimator.n_iter_
            self.n_no_change_ = 0
            if self.restore_best:
                estimator._run.keep(estimator._run.progress.answering)
        else:
            self.n_no_change_ += 1
        self.stopped_ = self.n_no_change_ >= self.patience
        return self.stopped_

    def _figure(self, estimator: Any) -> float:
        if callable(self.monitor):
            return float(self.monitor(estimator))
        return float(getattr(estimator, self.CURVES[self.monitor])[-1])

    def _is_better(self, figure: float) -> bool:
        if math.isnan(figure):
            return False
        if math.isnan(self.best_):
            return True
        less = self.mode == "min" or (
            self.mode == "auto" and str(self.monitor).endswith("loss")
        )
        gain = self.best_ - figure if less else figure - self.best_
        return gain > self.min_delta


class TimeLimit:
    """Stop after a time, at the end of the epoch under way.

    Set on a pipeline or a search, it is handed to the networks within, and the time is
    that of the whole; each fit that begins later has one epoch. (The estimators'
    `max_time` is for one ``fit``, and stops within an epoch.) A training that a
    :class:`Checkpoint` keeps can go on another time.

    Parameters
    ----------
    seconds : float
        From when ``fit`` begins.

    Raises
    ------
    ValueError
        It is not positive.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpnet import MLPClassifier
    >>> from xpnet.callbacks import TimeLimit
    >>> clf = MLPClassifier(max_iter=10**9, tol=0.0, n_iter_no_change=10**9)
    >>> clf = clf.set_callbacks(TimeLimit(0.1)).fit(*load_iris(return_X_y=True))
    >>> clf.n_iter_ < 10**6
    True
    """

    max_propagation_depth = None
    """To networks at any depth."""

    seconds: float

    def __init__(self, seconds: float) -> None:
        if not (isinstance(seconds, Real) and seconds > 0.0):
            msg = f"seconds must be a number above 0, got {seconds!r}."
            raise CallbackError(msg)
        self.seconds = seconds

    def setup(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        """Start the clock."""
        self._deadline = time.monotonic() + self.seconds

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Say whether the time is over."""
        over = time.monotonic() > self._deadline
        if over and is_epoch(context) and hasattr(estimator, "_run"):
            estimator._run.paused = True  # it stops, and isn't over because of that
            return False
        return over

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""
