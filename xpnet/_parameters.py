"""The parameters of the estimators: what they may be, and the parts they name."""

import inspect
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from xpnet.exceptions import DataError
from xpnet.functional import ACTIVATIONS
from xpnet.initializers import INITIALIZERS
from xpnet.network import Network
from xpnet.optimizers import SGD, Adam, Optimizer
from xpnet.schedules import Adaptive, Constant, InverseScaling, Schedule

__all__ = [
    "COMMON_CONSTRAINTS",
    "Sloped",
    "clip_batch_size",
    "make_network",
    "make_optimizer",
    "make_schedule",
    "warn_of_ignored",
]


class Sloped(HasMethods):  # type: ignore[misc]  # scikit-learn is untyped
    """An object with a value and a derivative; their class is none yet."""

    def __init__(self) -> None:
        super().__init__(["value", "derivative"])

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is such an object."""
        return not isinstance(val, type) and super().is_satisfied_by(val)

    def __str__(self) -> str:
        """Describe it in the message that refuses another."""
        return "an instance with the methods 'value' and 'derivative'"


_SLOPED = Sloped()

COMMON_CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple, _SLOPED],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "scoring": [str, callable, None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "backend": [str, None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "init": [StrOptions(set(INITIALIZERS))],
    "compiled": ["boolean", None],
}

_SGD = {"learning_rate", "power_t", "momentum", "nesterovs_momentum"}
_ADAM = {"beta_1", "beta_2", "epsilon"}
_STOCHASTIC = {
    "batch_size",
    "compiled",
    "learning_rate_init",
    "shuffle",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
}
IGNORED = {
    "lbfgs": _SGD | _ADAM | _STOCHASTIC,
    "sgd": _ADAM | {"max_fun"},
    "adam": _SGD | {"max_fun"},
}


def warn_of_ignored(estimator: BaseEstimator) -> None:
    """Warn of parameters that were set, but that the solver doesn't look at.

    Parameters
    ----------
    estimator : estimator
        Its parameters are compared with their defaults.
    """
    defaults = inspect.signature(type(estimator)).parameters
    unused = sorted(
        name
        for name in IGNORED[estimator.solver]
        if getattr(estimator, name) != defaults[name].default
    )
    if unused:
        msg = (
            f"solver={estimator.solver!r} ignores {', '.join(unused)}, which "
            f"{'was' if len(unused) == 1 else 'were'} set: leave the default, or choose "
            "another solver."
        )
        warnings.warn(msg, UserWarning, stacklevel=5)


def make_network(sizes: Sequence[int], activation: Any) -> Network:
    """Chain the layers.

    Parameters
    ----------
    sizes : sequence of int
        Units from the features to the outputs.
    activation : str, object, or sequence of them
        One for all hidden layers, or one for each.

    Returns
    -------
    Network
        The chain.

    Raises
    ------
    ValueError
        The sequence has another length, or holds something else.
    """
    n_hidden = len(sizes) - 2
    if not isinstance(activation, (list, tuple)):
        return Network.from_sizes(sizes, [activation] * n_hidden)
    known = [
        _SLOPED.is_satisfied_by(each) or (isinstance(each, str) and each in ACTIVATIONS)
        for each in activation
    ]
    if len(activation) != n_hidden or not all(known):
        msg = (
            f"activation must name one of {sorted(ACTIVATIONS)} (or be an instance "
            f"with `value` and `derivative`) for each of the {n_hidden} hidden layers, got "
            f"{activation!r}."
        )
        raise DataError(msg)
    return Network.from_sizes(sizes, activation)


def make_optimizer(estimator: BaseEstimator) -> Optimizer:
    """Return the optimiser that the estimator's `solver` names."""
    # A float64 of NumPy's, from a grid say, would make a float32 step one of float64.
    if estimator.solver == "sgd":
        return SGD(float(estimator.momentum), estimator.nesterovs_momentum)
    betas = float(estimator.beta_1), float(estimator.beta_2)
    return Adam(*betas, float(estimator.epsilon))


def make_schedule(estimator: BaseEstimator) -> Schedule:
    """Return the schedule that its `learning_rate` names, at its beginning."""
    rate = estimator.learning_rate_init
    if estimator.solver == "sgd" and estimator.learning_rate == "invscaling":
        return InverseScaling(rate, estimator.power_t)
    if estimator.solver == "sgd" and estimator.learning_rate == "adaptive":
        return Adaptive(rate)
    return Constant(rate)


def clip_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Return the samples of a step, at most `n_samples`; warn where it was more."""
    if isinstance(batch_size, str):  # "auto"
        return min(200, n_samples)
    if batch_size > n_samples:
        msg = (
            f"Got batch_size={batch_size}, larger than the sample size {n_samples}. "
            "It is going to be clipped."
        )
        warnings.warn(msg, UserWarning, stacklevel=4)
    return min(batch_size, n_samples)
