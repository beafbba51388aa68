"""A schedule that follows a plan."""

from collections.abc import Sequence
from dataclasses import dataclass

from xpnet.schedules.base import Schedule
from xpnet.schedules.plans import Plan

__all__ = ["Planned"]


@dataclass
class Planned(Schedule):
    """A learning rate that follows a plan, step by step.

    The plan spans the epochs of one training: a ``fit``, or as many calls of
    ``partial_fit`` as a ``fit`` has epochs. Its end is fixed when it begins.

    Parameters
    ----------
    initial : float
        The first learning rate, which the plan's factors multiply.
    plan : Plan
        What to follow.

    Examples
    --------
    >>> from xpnet.schedules import Cosine
    >>> schedule = Planned(0.1, Cosine())
    >>> [round(rate, 3) for rate in schedule.rates(1, n_steps=2, max_iter=2)]
    [0.1, 0.085]
    >>> [round(rate, 3) for rate in schedule.rates(3, n_steps=2, max_iter=2)]
    [0.05, 0.015]
    """

    initial: float
    plan: Plan
    learning_rate: float = 0.0
    scale: float = 1.0
    """What plateaus have multiplied rates by."""
    t_0: int = 0
    """The steps before the plan began."""
    n_planned: int = 0
    """The steps that it spans, once the first one is due."""

    def begin(self, t: int) -> None:
        """Begin the plan anew."""
        self.t_0, self.n_planned, self.scale = t, 0, 1.0

    def rates(self, t: int, n_steps: int, max_iter: int) -> Sequence[float]:
        """Return the rate of each step of an epoch."""
        if self.n_planned == 0:
            self.n_planned = n_steps * max_iter
        first = t - self.t_0
        initial = self.initial * self.scale
        rates = [
            initial * self.plan.factor(i, self.n_planned, n_steps)
            for i in range(first, first + n_steps)
        ]
        self.learning_rate = rates[-1]
        return rates

    def plateau_reached(self) -> bool:
        """Do as the plan says: multiply, or stop."""
        factor = self.plan.on_plateau(self.learning_rate)
        if factor is None:
            return True
        self.scale *= factor
        self.learning_rate *= factor
        return False
