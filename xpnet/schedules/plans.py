"""Plans: by which factor the first learning rate is multiplied at each step.

Each is a value of numbers, and a plan behind it at most: it can be compared, copied,
and written down.
"""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from xpnet.exceptions import DataError

__all__ = [
    "PLANS",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Plan",
    "ReduceOnPlateau",
    "Step",
    "Warmup",
]


@dataclass(frozen=True)
class Plan:
    """The same rate throughout, and the base class of the other plans."""

    def factor(self, t: int, n_steps: int, n_epoch: int) -> float:  # noqa: ARG002
        """Return what the first learning rate is multiplied by.

        Parameters
        ----------
        t : int
            The number of the step, counted from 1.
        n_steps : int
            Steps of the whole training, at most; where it goes on after them, the rate
            of the last step stays.
        n_epoch : int
            Steps of an epoch.

        Returns
        -------
        float
            Not negative.
        """
        return 1.0

    def on_plateau(self, learning_rate: float) -> float | None:  # noqa: ARG002
        """Return what rates are multiplied by from now on, or None to stop.

        Parameters
        ----------
        learning_rate : float
            Of the last step.
        """
        return None


@dataclass(frozen=True)
class Step(Plan):
    r"""A rate that falls in steps.

    .. math:: \eta = \gamma^{\lfloor e / k \rfloor}\, \eta_0 \qquad
        \text{in epoch } e = 0, 1, \dots

    Parameters
    ----------
    every : int, default=30
        k, in epochs, at least 1.
    gamma : float, default=0.1
        :math:`\gamma`, in (0, 1].

    Raises
    ------
    ValueError
        A number is out of its range.

    Examples
    --------
    >>> plan = Step(every=2, gamma=0.5)
    >>> [plan.factor(t, n_steps=8, n_epoch=1) for t in (1, 2, 3, 4, 5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    every: int = 30
    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, "every", 1, math.inf, whole=True)
        _check(self, "gamma", 0, 1, but_lowest=True)

    def factor(self, t: int, n_steps: int, n_epoch: int) -> float:
        """Count the epochs."""
        epoch = (min(t, n_steps) - 1) // n_epoch
        return float(self.gamma ** (epoch // self.every))


@dataclass(frozen=True)
class Exponential(Plan):
    r"""A rate that falls by the same factor each epoch, a little with every step.

    .. math:: \eta = \gamma^e\, \eta_0 \qquad \text{after } e \text{ epochs}

    Parameters
    ----------
    gamma : float, default=0.95
        :math:`\gamma`, in (0, 1].

    Raises
    ------
    ValueError
        It is out of its range.

    Examples
    --------
    >>> [Exponential(0.25).factor(t, n_steps=8, n_epoch=2) for t in (1, 2, 3)]
    [1.0, 0.5, 0.25]
    """

    gamma: float = 0.95

    def __post_init__(self) -> None:
        """Check the number."""
        _check(self, "gamma", 0, 1, but_lowest=True)

    def factor(self, t: int, n_steps: int, n_epoch: int) -> float:
        """Count the epochs, with their parts."""
        return float(self.gamma ** ((min(t, n_steps) - 1) / n_epoch))


@dataclass(frozen=True)
class Cosine(Plan):
    r"""A rate that falls along half a cosine, from step to step.

    .. math:: \eta = \left(\rho + \frac{1 - \rho}{2}
        \left(1 + \cos \frac{\pi (t - 1)}{T}\right)\right) \eta_0 \qquad
        \text{at step } t \text{ of } T

    Parameters
    ----------
    final : float, default=0.0
        :math:`\rho`, the share of the first rate that the last ones come near, in
        [0, 1].

    Raises
    ------
    ValueError
        It is out of its range.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm
       restarts", ICLR 2017.

    Examples
    --------
    >>> [round(Cosine().factor(t, n_steps=4, n_epoch=1), 3) for t in (1, 2, 3, 4)]
    [1.0, 0.854, 0.5, 0.146]
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the number."""
        _check(self, "final", 0, 1)

    def factor(self, t: int, n_steps: int, n_epoch: int) -> float:  # noqa: ARG002
        """Go along the cosine."""
        return _along(1.0, self.final, (min(t, n_steps) - 1) / n_steps)


@dataclass(frozen=True)
class OneCycle(Plan):
    r"""A rate that rises to its highest, and falls to nearly nothing.

    From :math:`1/d` of the highest rate it rises along half a cosine during a share
    :math:`\omega` of the steps, and falls along another to :math:`1/(d f)`. The first
    learning rate of an estimator is the highest one here, which may be several times
    what would do throughout. The paper [1]_ has the momentum fall and rise the other way
    round, which is left out.

    Parameters
    ----------
    rising : float, default=0.3
        :math:`\omega`, in (0, 1).
    divisor : float, default=25.0
        d, at least 1.
    final_divisor : float, default=1e4
        f, at least 1.

    Raises
    ------
    ValueError
        A number is out of its range.

    References
    ----------
    .. [1] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural
       networks using large learning rates", arXiv:1708.07120, 2018.

    Examples
    --------
    >>> plan = OneCycle(rising=0.5, divisor=4.0)
    >>> [round(plan.factor(t, n_steps=6, n_epoch=1), 3) for t in (1, 2, 3, 4, 5, 6)]
    [0.25, 0.625, 1.0, 0.75, 0.25, 0.0]
    """

    rising: float = 0.3
    divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, "rising", 0, 1, but_lowest=True, but_highest=True)
        _check(self, "divisor", 1, math.inf)
        _check(self, "final_divisor", 1, math.inf)

    def factor(self, t: int, n_steps: int, n_epoch: int) -> float:  # noqa: ARG002
        """Go along one cosine and the other."""
        first = 1.0 / self.divisor
        i, last = min(t, n_steps) - 1, n_steps - 1
        top = self.rising * n_steps - 1.0
        if i <= top:
            return _along(first, 1.0, i / top if top > 0.0 else 1.0)
        return _along(1.0, first / self.final_divisor, (i - top) / (last - top))


@dataclass(frozen=True)
class Warmup(Plan):
    r"""A rate that rises from near zero in even steps, in front of another plan.

    .. math:: \eta = \frac{t}{w}\, \eta_0 \qquad \text{at the first } w \text{ steps } t

    The other plan begins behind it, with the steps that are left.

    Parameters
    ----------
    epochs : float, default=5.0
        How long it rises, above 0; w is the nearest number of steps, at least one.
    then : Plan, str or None, default=None
        What follows, an object or its name in :data:`PLANS`; None is the same rate
        throughout.

    Raises
    ------
    ValueError
        `epochs` is out of its range, or `then` is no plan.

    References
    ----------
    .. [1] P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1
       hour", arXiv:1706.02677, 2017.

    Examples
    --------
    >>> plan = Warmup(epochs=2, then=Cosine())
    >>> [round(plan.factor(t, n_steps=6, n_epoch=1), 3) for t in (1, 2, 3, 4, 5, 6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """

    epochs: float = 5.0
    then: Any = None

    def __post_init__(self) -> None:
        """Check the number, and what follows."""
        _check(self, "epochs", 0, math.inf, but_lowest=True)
        known = isinstance(self.then, str) and self.then in PLANS
        if not (self.then is None or known or isinstance(self.then, Plan)):
            msg = (
                f"Warmup: `then` must be a plan, or one of {sorted(PLANS)}, got "
                f"{self.then!r}."
            )
            raise DataError(msg)

    @property
    def _next(self) -> Plan:
        if isinstance(self.then, str):
            return PLANS[self.then]
        return Plan() if self.then is None else self.then

    def factor(self, t: int, n_steps: int, n_epoch: int) -> float:
        """Rise, or follow what comes then."""
        n_warm = max(1, round(self.epochs * n_epoch))
        if t <= n_warm:
            return t / n_warm
        return self._next.factor(t - n_warm, max(1, n_steps - n_warm), n_epoch)

    def on_plateau(self, learning_rate: float) -> float | None:
        """Do as what comes then."""
        return self._next.on_plateau(learning_rate)


@dataclass(frozen=True)
class ReduceOnPlateau(Plan):
    """A rate that is multiplied on each plateau, until it has its lowest value.

    A plateau is what ends a training at other rates: more than `n_iter_no_change`
    epochs in a row without an improvement by `tol`. On one at the lowest rate training
    ends. ``ReduceOnPlateau(0.2, 1e-6)`` does what ``"adaptive"`` does, and for every
    stochastic solver.

    Parameters
    ----------
    gamma : float, default=0.1
        What to multiply by, in (0, 1).
    lowest : float, default=1e-6
        A rate that is not above it is not reduced any more; above 0.

    Raises
    ------
    ValueError
        A number is out of its range.

    Examples
    --------
    >>> plan = ReduceOnPlateau(gamma=0.5, lowest=0.02)
    >>> plan.on_plateau(0.1), plan.on_plateau(0.02)
    (0.5, None)
    """

    gamma: float = 0.1
    lowest: float = 1e-6

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check(self, "gamma", 0, 1, but_lowest=True, but_highest=True)
        _check(self, "lowest", 0, math.inf, but_lowest=True)

    def on_plateau(self, learning_rate: float) -> float | None:
        """Reduce the rate, or stop where it is the lowest."""
        return None if learning_rate <= self.lowest else self.gamma


def _along(start: float, end: float, share: float) -> float:
    """Go a share of the way from start to end along half a cosine."""
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def _check(
    plan: Plan,
    name: str,
    lowest: float,
    highest: float,
    *,
    whole: bool = False,
    but_lowest: bool = False,
    but_highest: bool = False,
) -> None:
    """Raise where a number is not in its range."""
    value = getattr(plan, name)
    fits = isinstance(value, Integral if whole else Real) and math.isfinite(value)
    fits = fits and (value > lowest if but_lowest else value >= lowest)
    if not (fits and (value < highest if but_highest else value <= highest)):
        left, right = "(" if but_lowest else "[", ")" if but_highest else "]"
        kind = "a whole number" if whole else "a number"
        msg = (
            f"{type(plan).__name__}: `{name}` must be {kind} in "
            f"{left}{lowest}, {highest}{right}, got {value!r}."
        )
        raise DataError(msg)


PLANS: dict[str, Plan] = {
    "cosine": Cosine(),
    "exponential": Exponential(),
    "one_cycle": OneCycle(),
    "plateau": ReduceOnPlateau(),
    "step": Step(),
}
PLANS["warmup"] = Warmup()  # it looks up the others
