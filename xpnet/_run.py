"""One training of an estimator: what it descends, on what, and what it holds out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split

from xpnet._namespace import is_sparse, to_numpy
from xpnet._typing import Array
from xpnet.exceptions import DataError
from xpnet.training import Data, Objective, Progress

__all__ = ["HeldOut", "Run"]

HostArray: TypeAlias = np.ndarray[Any, Any]


@dataclass
class HeldOut:
    """Data that is looked at after each epoch, and not trained on."""

    data: Data
    y: HostArray
    weights: HostArray | None

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
        scoring = estimator.scoring
        if scoring == "loss":
            return None
        if scoring is None:
            return float(estimator._score_outputs(outputs, self.y, self.weights))
        # scikit-learn's metrics want the host, and no column names.
        twin = object.__new__(type(estimator))  # copy() would move the weights back
        vars(twin).update(vars(estimator))
        vars(twin).pop("feature_names_in_", None)
        twin.coefs_ = [to_numpy(W) for W in estimator.coefs_]
        twin.intercepts_ = [to_numpy(b) for b in estimator.intercepts_]
        return float(get_scorer(scoring)(twin, self.host_X, self.y))

    @cached_property
    def host_X(self) -> Any:
        """The samples on the host, moved once; sparse ones are there."""
        X = self.data.X
        return X if is_sparse(X) else to_numpy(X)


@dataclass
class Run:
    """One training, ready to go."""

    objective: Objective
    data: Data
    progress: Progress
    batch_size: int = 0
    """Samples a step, of the stochastic solvers."""
    rows: HostArray | None = None
    """The rows to train on, where others are held out."""
    held_out: HeldOut | None = None
    token: Any = None
    """What the estimator holds as long as this is its training."""

    @property
    def n_samples(self) -> int:
        """Samples that are trained on."""
        return int((self.data.X if self.rows is None else self.rows).shape[0])

    def hold_out(
        self,
        y: HostArray,
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
        weights : ndarray, shape (n_samples,), or None
            Weights of the samples.
        fraction : float
            The share of the rows.
        stratify : bool
            Whether to keep the classes' shares.

        Raises
        ------
        ValueError
            Fewer than two rows would be held out, or none that has weight, or classes
            can't be split.
        """
        rows, held = train_test_split(
            np.arange(y.shape[0], dtype=np.int32),
            random_state=self.progress.random_state,
            test_size=fraction,
            stratify=y if stratify else None,
        )
        if held.shape[0] < 2:
            msg = (
                "The validation set is too small. Increase 'validation_fraction' or the "
                "size of your dataset."
            )
            raise DataError(msg)
        if weights is not None and not np.any(weights[held]):
            msg = (
                "The held-out samples all have weight zero. Increase "
                "'validation_fraction', or pass X_val and y_val."
            )
            raise DataError(msg)
        self.rows = rows
        self.held_out = HeldOut(
            self.data.take(self.data.on_device(held)),
            y[held],
            None if weights is None else weights[held],
        )
