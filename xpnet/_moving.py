"""A fitted network from backend to backend, and into a pickle and out of it."""

import warnings
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from xpnet._namespace import to_numpy
from xpnet._typing import Array
from xpnet.backends import Backend, backend_of, get_backend
from xpnet.exceptions import BackendUnavailableError

__all__ = ["Movable"]


class Movable(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """An estimator whose weights can change place."""

    coefs_: list[Array]
    intercepts_: list[Array]
    _progress: tuple[Any, Any]  # the settings it belongs to, and the progress

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
            to be there from now on.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            There is no network yet.
        ImportError
            The backend can't be used on this machine.
        """
        check_is_fitted(self, "coefs_")
        place = get_backend(backend)
        self._move_params(place)
        if hasattr(self, "_progress"):
            settings, progress = self._progress
            # Another tuple ends an iter_fit that is under way. The optimiser's state
            # follows the weights when training goes on.
            self._progress = (settings, progress)
        return self

    @property
    def _weights(self) -> list[tuple[Array, Array]]:
        """``(W, b)`` of each layer, as :class:`xpnet.network.Network` takes them."""
        return list(zip(self.coefs_, self.intercepts_, strict=True))

    @property
    def _sizes(self) -> list[int]:
        """Units of the fitted network, from the features to the outputs."""
        return [self.coefs_[0].shape[0], *(b.shape[0] for b in self.intercepts_)]

    def _move_params(self, place: Backend) -> None:
        self.coefs_ = [place.asarray(W) for W in self.coefs_]
        self.intercepts_ = [place.asarray(b) for b in self.intercepts_]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the optimiser's state out of a pickle, and put weights on the host."""
        state: dict[str, Any] = super().__getstate__()
        state = {name: value for name, value in state.items() if name != "_progress"}
        if "coefs_" in state:
            state["_place"] = backend_of(self.coefs_[0]).name
            for name in ("coefs_", "intercepts_"):
                state[name] = [to_numpy(x) for x in state[name]]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Bring the weights back to where they were, or leave them on the host."""
        place = state.pop("_place", None)
        super().__setstate__(state)
        if place is None:
            return
        try:
            self._move_params(get_backend(place))
        except BackendUnavailableError as error:
            msg = f"The estimator was fitted on {place!r}, and is on NumPy now: {error}"
            warnings.warn(msg, UserWarning, stacklevel=2)
