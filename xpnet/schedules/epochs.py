"""scikit-learn's three schedules, which change the rate between epochs."""

from dataclasses import dataclass

from xpnet.schedules.base import Schedule

__all__ = ["Adaptive", "Constant", "InverseScaling"]


@dataclass
class Constant(Schedule):
    """The same learning rate throughout.

    Parameters
    ----------
    learning_rate : float
        Of every step.

    Examples
    --------
    >>> Constant(0.1).plateau_reached()
    True
    """

    learning_rate: float

    def plateau_reached(self) -> bool:
        """Stop."""
        return True


@dataclass
class InverseScaling(Schedule):
    r"""A learning rate that falls with the samples seen, epoch by epoch.

    .. math:: \eta = \frac{\eta_0}{(t + 1)^p}

    Parameters
    ----------
    initial : float
        :math:`\eta_0`.
    power : float
        p.

    Examples
    --------
    >>> schedule = InverseScaling(0.1, power=0.5)
    >>> schedule.epoch_ended(99)
    >>> schedule.learning_rate
    0.01
    """

    initial: float
    power: float

    def __post_init__(self) -> None:
        """Begin with the initial rate."""
        self.learning_rate = self.initial

    def epoch_ended(self, n_seen: int) -> None:
        """Scale the initial rate down."""
        self.learning_rate = self.initial / (n_seen + 1) ** self.power

    def plateau_reached(self) -> bool:
        """Stop."""
        return True


@dataclass
class Adaptive(Schedule):
    """A learning rate that is divided by 5 on each plateau, until it is 1e-6 or less.

    Parameters
    ----------
    learning_rate : float
        Of the first step.

    Examples
    --------
    >>> schedule = Adaptive(0.1)
    >>> schedule.plateau_reached(), schedule.learning_rate
    (False, 0.02)
    """

    learning_rate: float

    def plateau_reached(self) -> bool:
        """Divide by 5, or stop where that has no point."""
        if self.learning_rate <= 1e-6:
            return True
        self.learning_rate /= 5.0
        return False
