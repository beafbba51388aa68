"""A fitted network from backend to backend, and into a pickle and out of it."""

import copy
import warnings
from itertools import zip_longest
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from xpnet._namespace import is_sparse, same_place, to_numpy
from xpnet._targets import place
from xpnet._typing import Array
from xpnet.backends import Backend, backend_of, get_backend
from xpnet.exceptions import BackendUnavailableError, DataError
from xpnet.network import Network

__all__ = ["LISTS", "Movable", "answers_at"]

LISTS = ("coefs_", "intercepts_", "gains_", "means_", "variances_")
"""Attributes with an array for each layer, or for each hidden one, where there are any."""


class Movable(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """An estimator whose weights can change place."""

    classes_: Any  # a classifier's
    coefs_: list[Array]
    intercepts_: list[Array]
    gains_: list[Array]  # of layers that normalise
    means_: list[Array]  # and these two with batch normalisation
    variances_: list[Array]
    _progress: tuple[Any, Any]  # the settings it belongs to, and the progress
    _run: Any = None  # the training under way

    def to(self, backend: str) -> Self:
        """Move the fitted network, and the optimiser's state, to another backend.

        Parameters
        ----------
        backend : str
            A name that :func:`xpnet.get_backend` takes.

        Returns
        -------
        estimator
            Itself. The parameter `backend` is left as it is: where it is None, `X` has
            to be there from now on; where it has a name, training goes on there.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            There is no network yet.
        ImportError
            The backend can't be used on this machine.
        """
        check_is_fitted(self, "coefs_")
        self._move_params(get_backend(backend))
        if hasattr(self, "_progress"):
            settings, progress = self._progress
            # Another tuple ends an iter_fit that is under way. The optimiser's state
            # follows the weights when training goes on.
            self._progress = (settings, progress)
        return self

    @property
    def _weights(self) -> list[tuple[Array, ...]]:
        """``(W, b)`` of each layer, as :class:`xpnet.network.Network` takes them.

        Behind them is what a hidden layer normalises with.
        """
        lists = (getattr(self, name) for name in LISTS if hasattr(self, name))
        return [
            tuple(piece for piece in pieces if piece is not None)
            for pieces in zip_longest(*lists)
        ]

    @property
    def _normalization(self) -> str | None:
        """What the fitted network normalises over, whatever was asked for since."""
        if hasattr(self, "means_"):
            return "batch"
        return "layer" if hasattr(self, "gains_") else None

    @property
    def _sizes(self) -> list[int]:
        """Units of the fitted network, from the features to the outputs."""
        return [self.coefs_[0].shape[0], *(b.shape[0] for b in self.intercepts_)]

    def _keep_params(self, run: Any, params: Array) -> None:
        """Take the weights from the flat vector, and statistics from a run's samples."""
        network: Network = run.objective.network
        batch = network.layers[0].normalization == "batch"
        if params is run.kept and not batch:
            return  # steps have written into the views that are there
        run.kept, layers = params, network.views(params)
        if batch:
            statistics = network.statistics(layers, run.sample)
            layers = [(*a, *b) for a, b in zip(layers, statistics, strict=True)]
        columns = zip_longest(*layers)
        for name, pieces in zip_longest(LISTS, columns):
            if pieces is None:
                self.__dict__.pop(name, None)  # of an earlier training
            else:
                setattr(self, name, [x for x in pieces if x is not None])

    def _check_place(self, X: Array, method: str) -> None:
        """Raise where `X` would have to be moved, and no backend is named."""
        W = self.coefs_[0]
        ref = answers_at(X)
        if self.backend is None and not same_place(ref, W):
            name, here, there = type(self).__name__, backend_of(ref), backend_of(W)
            msg = (
                f"Inputs passed to {name}.{method}() must use the same namespace and "
                f"the same device as those passed to fit(): it was fitted on "
                f"{there.name!r}, and X is on {here.name!r}. Convert X, or name the "
                f"backend: {name}(backend={there.name!r}) moves what it is given."
            )
            raise DataError(msg)

    def _move_params(self, there: Backend) -> None:
        """Move weights, and classes to where `X` will lie; on the host if it may vary."""
        for name in LISTS:
            if hasattr(self, name):
                setattr(self, name, [there.asarray(x) for x in getattr(self, name)])
        if hasattr(self, "classes_"):
            ref = self.coefs_[0] if self.backend is None else np.empty(0)
            self.classes_ = place(self.classes_, ref)

    def _twin(self) -> Self:
        """Return another estimator with the same parameters and attributes."""
        twin = object.__new__(type(self))  # copy() would go through __getstate__
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy with the optimiser's state: the copy trains on like the original."""
        twin = memo[id(self)] = self._twin()
        attributes = {k: v for k, v in vars(self).items() if k != "_run"}
        twin.__dict__ = copy.deepcopy(attributes, memo)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Leave the optimiser's state out of a pickle, and put weights on the host."""
        state: dict[str, Any] = super().__getstate__()
        of_training = {"_progress", "_run"}
        state = {
            name: value for name, value in state.items() if name not in of_training
        }
        if "coefs_" in state:
            state["_place"] = backend_of(self.coefs_[0]).name
            for name in [name for name in LISTS if name in state]:
                state[name] = [to_numpy(x) for x in state[name]]
        if "classes_" in state:
            state["classes_"] = place(state["classes_"], np.empty(0))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Bring the weights back to where they were, or leave them on the host."""
        name = state.pop("_place", None)
        super().__setstate__(state)
        if name is None:
            return
        try:
            self._move_params(get_backend(name))
        except BackendUnavailableError as error:
            msg = f"The estimator was fitted on {name!r}, and is on NumPy now: {error}"
            warnings.warn(msg, UserWarning, stacklevel=2)


def answers_at(X: Array) -> Array:
    """Return an array that lies where answers to `X` do; SciPy's are on the host."""
    return np.empty(0) if is_sparse(X) else X
