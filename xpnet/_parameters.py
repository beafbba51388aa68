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
from xpnet.optimizers import (
    SGD,
    Adam,
    AdamW,
    Averaged,
    Muon,
    NAdam,
    Optimizer,
    RMSProp,
)
from xpnet.schedules import (
    PLANS,
    Adaptive,
    Constant,
    InverseScaling,
    Plan,
    Planned,
    Schedule,
)
from xpnet.training import Accumulated, Clipped, Differentiable, Objective

__all__ = [
    "COMMON_CONSTRAINTS",
    "Sloped",
    "check_solver",
    "clip_batch_size",
    "make_differentiable",
    "make_network",
    "make_optimizer",
    "make_schedule",
    "train_network",
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

_BETWEEN_EPOCHS = {"constant", "invscaling", "adaptive"}
"""scikit-learn's names of learning rates."""

COMMON_CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple, _SLOPED],
    "solver": [
        StrOptions({"lbfgs", "sgd", "adam", "adamw", "nadam", "rmsprop", "muon"})
    ],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions(_BETWEEN_EPOCHS | set(PLANS)), Plan],
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
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "rho": [Interval(Real, 0, 1, closed="left")],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "ema_decay": [Interval(Real, 0, 1, closed="neither"), None],
    "accumulate": [Interval(Integral, 1, None, closed="left")],
    "scoring": [str, callable, None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "backend": [str, None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "init": [StrOptions(set(INITIALIZERS))],
    "compiled": ["boolean", None],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "normalization": [StrOptions({"layer", "batch"}), None],
    "l1": [Interval(Real, 0, None, closed="left")],
    "max_norm": [Interval(Real, 0, None, closed="neither"), None],
    "mixup": [Interval(Real, 0, None, closed="left")],
}

_RATE = {"learning_rate", "power_t"}
_MOMENTUM = {"momentum", "nesterovs_momentum"}
_BETAS = {"beta_1", "beta_2"}
_STOCHASTIC = {
    "accumulate",
    "batch_size",
    "clip_norm",
    "compiled",
    "ema_decay",
    "learning_rate_init",
    "shuffle",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
}
_LOOKED_AT = {
    "lbfgs": {"max_fun"},
    "sgd": _STOCHASTIC | _RATE | _MOMENTUM,
    "adam": _STOCHASTIC | _BETAS | {"epsilon"},  # as in scikit-learn
    "adamw": _STOCHASTIC | _RATE | _BETAS | {"epsilon", "weight_decay"},
    "nadam": _STOCHASTIC | _RATE | _BETAS | {"epsilon"},
    "rmsprop": _STOCHASTIC | _RATE | {"rho", "epsilon"},
    "muon": _STOCHASTIC | _RATE | _MOMENTUM | _BETAS | {"epsilon", "weight_decay"},
}
_OF_SOLVERS = set().union(*_LOOKED_AT.values())


def warn_of_ignored(estimator: BaseEstimator) -> None:
    """Warn of parameters that were set, but that the solver doesn't look at.

    Parameters
    ----------
    estimator : estimator
        Its parameters are compared with their defaults.
    """
    defaults = inspect.signature(type(estimator)).parameters
    ignored = _OF_SOLVERS - _LOOKED_AT[estimator.solver]
    if estimator.solver != "lbfgs" and not _is_ignored_by_adam(estimator):
        ignored -= {"learning_rate"}
    unused = sorted(
        name for name in ignored if getattr(estimator, name) != defaults[name].default
    )
    if unused:
        msg = (
            f"solver={estimator.solver!r} ignores {', '.join(unused)}, which "
            f"{'was' if len(unused) == 1 else 'were'} set: leave the default, or choose "
            "another solver."
        )
        warnings.warn(msg, UserWarning, stacklevel=5)


def check_solver(estimator: BaseEstimator) -> None:
    """Raise for what a solver can't do: L-BFGS has no batches, and nothing random.

    Parameters
    ----------
    estimator : estimator
        With valid parameters.

    Raises
    ------
    DataError
        With the names of the parameters.
    """
    if estimator.solver == "muon" and estimator.momentum == 1.0:
        msg = (
            "momentum must be below 1 with solver='muon', got 1.0: its moments would "
            "stay zero. Choose 0.95, say."
        )
        raise DataError(msg)
    if estimator.solver != "lbfgs":
        return
    asked = {
        name: getattr(estimator, name)
        for name in ("dropout", "input_dropout", "max_norm", "mixup")
        if np.any(getattr(estimator, name))
    }
    if estimator.normalization == "batch":
        asked["normalization"] = "batch"
    if asked:
        named = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        msg = (
            f"solver='lbfgs' minimises one fixed function of the weights, which {named} "
            "would change from step to step: choose 'adam' or 'sgd', or leave it out."
        )
        raise DataError(msg)


def train_network(estimator: BaseEstimator, sizes: Sequence[int]) -> Network:
    """Chain the layers as they are trained: with what is dropped and normalised.

    Parameters
    ----------
    estimator : estimator
        With valid parameters.
    sizes : sequence of int
        Units from the features to the outputs.

    Returns
    -------
    Network
        The chain.

    Raises
    ------
    ValueError
        Lists of activations or dropout rates have another length, or hold something
        else.
    """
    rates, n_hidden = estimator.dropout, len(sizes) - 2
    if not isinstance(rates, (list, tuple)):
        rates = [rates] * n_hidden
    known = [isinstance(rate, Real) and 0.0 <= float(rate) < 1.0 for rate in rates]
    if len(rates) != n_hidden or not all(known):
        msg = (
            f"dropout must be a number in [0, 1), or one for each of the {n_hidden} "
            f"hidden layers, got {estimator.dropout!r}."
        )
        raise DataError(msg)
    dropout = [float(rate) for rate in (estimator.input_dropout, *rates)]
    return make_network(
        sizes,
        estimator.activation,
        normalization=estimator.normalization,
        dropout=dropout,
    )


def make_network(sizes: Sequence[int], activation: Any, **options: Any) -> Network:
    """Chain the layers.

    Parameters
    ----------
    sizes : sequence of int
        Units from the features to the outputs.
    activation : str, object, or sequence of them
        One for all hidden layers, or one for each.
    **options
        As :meth:`xpnet.network.Network.from_sizes` takes them.

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
        return Network.from_sizes(sizes, [activation] * n_hidden, **options)
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
    return Network.from_sizes(sizes, activation, **options)


def make_optimizer(estimator: BaseEstimator, network: Network) -> Optimizer:
    """Return the optimiser that the estimator's `solver` names, and its average."""
    # A float64 of NumPy's, from a grid say, would make a float32 step one of float64.
    momentum = float(estimator.momentum), estimator.nesterovs_momentum
    epsilon, decay = float(estimator.epsilon), float(estimator.weight_decay)
    adam = float(estimator.beta_1), float(estimator.beta_2), epsilon
    optimizer: Optimizer
    match estimator.solver:
        case "sgd":
            optimizer = SGD(*momentum)
        case "adamw":
            optimizer = AdamW(*adam, decay)
        case "nadam":
            optimizer = NAdam(*adam)
        case "rmsprop":
            optimizer = RMSProp(float(estimator.rho), epsilon)
        case "muon":
            shapes = [(layer.fan_in, layer.fan_out) for layer in network.layers]
            optimizer = Muon(tuple(shapes[:-1]), *momentum, *adam, decay)
        case _:  # L-BFGS takes no steps of ours
            optimizer = Adam(*adam)
    if estimator.ema_decay is None or estimator.solver == "lbfgs":
        return optimizer
    return Averaged(optimizer, float(estimator.ema_decay))


def make_differentiable(
    estimator: BaseEstimator, objective: Objective, batch_size: int
) -> Differentiable:
    """Return what its steps descend: batch by batch, and clipped where it says so."""
    descended: Differentiable = objective
    if estimator.accumulate > 1:
        descended = Accumulated(objective, batch_size)
    if estimator.clip_norm is not None:
        descended = Clipped(descended, float(estimator.clip_norm))
    return descended


def make_schedule(estimator: BaseEstimator) -> Schedule:
    """Return the schedule that its `learning_rate` names, at its beginning."""
    rate, name = estimator.learning_rate_init, estimator.learning_rate
    if isinstance(name, Plan):
        return Planned(rate, name)
    if name in PLANS:
        return Planned(rate, PLANS[name])
    if name == "invscaling" and not _is_ignored_by_adam(estimator):
        return InverseScaling(rate, estimator.power_t)
    if name == "adaptive" and not _is_ignored_by_adam(estimator):
        return Adaptive(rate)
    return Constant(rate)


def _is_ignored_by_adam(estimator: BaseEstimator) -> bool:
    """Whether the learning rate is one that scikit-learn's Adam doesn't look at."""
    name = estimator.learning_rate
    return estimator.solver == "adam" and (
        isinstance(name, str) and name in _BETWEEN_EPOCHS
    )


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
