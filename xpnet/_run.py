"""One training of an estimator: what it descends, on what, and what it holds out."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from inspect import signature
from typing import Any, TypeAlias

import numpy as np
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split

from xpnet._namespace import array_namespace, is_sparse, to_numpy
from xpnet._typing import Array
from xpnet.backends import get_backend
from xpnet.exceptions import DataError
from xpnet.training import Data, Epoch, Objective, Progress

__all__ = ["HeldOut", "Run", "check_scorer", "without_warnings"]

HostArray: TypeAlias = np.ndarray[Any, Any]

_SAMPLE = 2**13  # samples that statistics are taken from


def check_scorer(scoring: Any) -> None:
    """Raise for an unknown name, or for what isn't called as a scorer is.

    Else either would fail after an epoch.
    """
    scorer = get_scorer(scoring)
    try:
        signature(scorer).bind("estimator", "X", "y")
    except TypeError as error:
        msg = (
            "scoring must be the name of a scorer, or a callable as scorer(estimator, "
            f"X, y), which {scoring!r} is not: {error}. Of a metric, "
            "sklearn.metrics.make_scorer makes one."
        )
        raise DataError(msg) from error


@dataclass
class HeldOut:
    """Data that is looked at after each epoch, and not trained on.

    The loss counts samples as training does, by all their weights; a score counts them
    as ``score`` does, by `sample_weight` alone.
    """

    data: Data
    y: HostArray
    sample_weight: HostArray | None

    def look(self, estimator: Any, objective: Objective) -> tuple[float, float]:
        """Return loss and score of the estimator as it is now.

        Parameters
        ----------
        estimator : BaseMLP
            Its ``scoring`` says which score: None is its own, ``"loss"`` the negative
            loss, else what :func:`sklearn.metrics.get_scorer` takes, or a callable.
        objective : Objective
            Its loss is taken, without the penalty.

        Returns
        -------
        loss, score : float
            Averages over the held-out samples.
        """
        outputs = objective.network.outputs(estimator._weights, self.data.X)
        score = self._score(estimator, outputs)
        value, _ = objective.loss(outputs, self.data.targets, self.data.weights)
        loss = float(value)  # sync point
        return loss, -loss if score is None else score

    def _score(self, estimator: Any, outputs: Array) -> float | None:
        scoring, weights = estimator.scoring, self.sample_weight
        if scoring == "loss":
            return None
        if scoring is None:
            return float(estimator._score_outputs(outputs, self.y, weights))
        # scikit-learn's metrics want the host, and no column names.
        twin = estimator._twin()
        vars(twin).pop("feature_names_in_", None)
        twin._move_params(get_backend("numpy"))
        scorer = get_scorer(scoring)
        options = {}
        if weights is not None and _takes_weights(scorer):
            options["sample_weight"] = weights
        return float(scorer(twin, self.host_X, self.y, **options))

    @cached_property
    def host_X(self) -> Any:
        """The samples on the host, moved once; sparse ones are there."""
        X = self.data.X
        return X if is_sparse(X) else to_numpy(X)


def _takes_weights(scorer: Any) -> bool:
    metric = getattr(scorer, "_score_func", scorer)  # of make_scorer's
    return "sample_weight" in signature(metric).parameters


@dataclass
class Run:
    """One training, ready to go."""

    objective: Objective
    data: Data
    progress: Progress
    batch_size: int = 0
    """Samples a step, of the stochastic solvers."""
    passes: Any = None
    """A :class:`~xpnet._streams.Passes`, where batches come one by one, of which `data`
    is the first."""
    rows: HostArray | None = None
    """The rows to train on, where others are held out."""
    held_out: HeldOut | None = None
    held: HostArray | None = None
    """The rows that :meth:`hold_out` has held out."""
    split: Callable[[HostArray, HostArray], None] | None = None
    """Holds other rows out: given those to train on, and these."""
    kept: Array | None = None
    """The flat vector that the estimator's weights are views of."""
    token: Any = None
    """What the estimator holds as long as this is its training."""
    incremental: bool = False
    """Whether it is one epoch, of ``partial_fit``, which callbacks don't see."""
    warm: bool = False
    """Whether it begins from weights that were fitted before."""
    best: Array | None = None
    """The flat vector that the estimator gets when training ends, if not the last."""
    n_iter: int = 0
    """Epochs so far; a training that goes on begins with those that are behind."""
    stopped: bool = False
    """Whether there was a reason to stop before ``max_iter``."""
    paused: bool = False
    """Whether that was the time, so that the training isn't over."""
    cut: bool = False
    """Whether the time was over within an epoch, whose steps are not all taken."""

    @property
    def n_samples(self) -> int:
        """Samples that are trained on."""
        return int((self.data.X if self.rows is None else self.rows).shape[0])

    @property
    def stochastic(self) -> bool:
        """Whether it takes steps on batches, as L-BFGS does not."""
        return self.batch_size > 0

    @property
    def sample(self) -> Array:
        """Samples that stand for all that are trained on, (n_rows, n_features)."""
        spread = None if self.passes is None else self.passes.spread
        return spread.rows if spread is not None and spread.kept else self._sample

    @cached_property
    def _sample(self) -> Array:
        """The same of arrays.

        All of them, or evenly spaced ones: statistics of thousands are known to a
        hundredth of a standard deviation.
        """
        n_rows = min(_SAMPLE, self.n_samples)
        rows = np.linspace(0, self.n_samples - 1, n_rows).astype(np.int32)
        if self.rows is not None:
            rows = self.rows[rows]
        return self.data.take(self.data.on_device(rows)).X

    def next_rate(self, estimator: Any) -> float:
        """Return the learning rate of the step that comes next, of a stochastic solver.

        Asking changes nothing.
        """
        progress = self.progress
        schedule = copy.copy(progress.schedule)  # a plan notes what it is asked
        n_steps = math.ceil(self.n_samples / (self.batch_size * estimator.accumulate))
        if self.passes is not None:
            n_steps = self.passes.batches.n_batches or 1
        rates = schedule.rates(progress.n_steps + 1, n_steps, estimator.max_iter)
        return float(rates[0] if isinstance(rates, Sequence) else rates)

    def keep(self, params: Array) -> None:
        """Keep a copy of the flat vector for the end."""
        self.best = array_namespace(params).asarray(params, copy=True)

    def hold_out(
        self,
        y: HostArray,
        sample_weight: HostArray | None,
        weights: HostArray | None,
        fraction: float,
        *,
        stratify: bool,
    ) -> None:
        """Split rows off, as scikit-learn would.

        Parameters
        ----------
        y : ndarray, shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : ndarray, shape (n_samples,), or None
            What scores count samples by.
        weights : ndarray, shape (n_samples,), or None
            What the loss counts them by.
        fraction : float
            The share of the rows.
        stratify : bool
            Whether to keep the classes' shares, if each has two samples and either side
            can have one.

        Raises
        ------
        ValueError
            Fewer than two rows would be held out, or all, or none of them has weight.
        """
        n_samples = y.shape[0]
        n_held = math.ceil(fraction * n_samples)
        if n_held < 2:
            msg = (
                f"The validation set is too small: {n_held} of {n_samples} samples. "
                "Increase 'validation_fraction' or the size of your dataset."
            )
            raise DataError(msg)
        if n_held == n_samples:
            msg = (
                f"validation_fraction={fraction} leaves none of {n_samples} samples to "
                "train on: decrease it, or pass X_val and y_val."
            )
            raise DataError(msg)
        rows, held = train_test_split(
            np.arange(n_samples, dtype=np.int32),
            random_state=self.progress.random_state,
            test_size=fraction,
            stratify=y if stratify and _can_stratify(y, n_held) else None,
        )
        if weights is not None and not np.any(weights[held]):
            msg = (
                "The held-out samples all have weight zero. Increase "
                "'validation_fraction', or pass X_val and y_val."
            )
            raise DataError(msg)
        self.split = partial(self._split, y, sample_weight)
        self.split(rows, held)

    def _split(
        self,
        y: HostArray,
        sample_weight: HostArray | None,
        rows: HostArray,
        held: HostArray,
    ) -> None:
        self.rows, self.held = rows, held
        vars(self).pop("_sample", None)  # it was of other rows
        self.held_out = HeldOut(
            self.data.take(self.data.on_device(held)),
            y[held],
            None if sample_weight is None else sample_weight[held],
        )


def _can_stratify(y: HostArray, n_held: int) -> bool:
    """Whether scikit-learn can split; it trains without stratifying all the same."""
    _, counts = np.unique(y, return_counts=True)
    return bool(counts.min() > 1 and counts.size <= min(n_held, y.size - n_held))


def without_warnings(epochs: Iterator[Epoch]) -> Iterator[Epoch]:
    """Leave it to DivergenceError to tell of an overflow, once and with the remedies."""
    while True:
        with np.errstate(over="ignore", invalid="ignore"):
            epoch = next(epochs, None)
        if epoch is None:
            return
        yield epoch
