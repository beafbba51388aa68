"""What training asks of a schedule."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Schedule"]


class Schedule(Protocol):
    """What training asks of a schedule.

    Those whose rate stays the same within an epoch derive from it.
    """

    learning_rate: float
    """Of the next step, or the last one, where each has its own."""

    def begin(self, t: int) -> None:  # noqa: ARG002
        """Take it that a training begins after `t` steps."""
        return

    def rates(self, t: int, n_steps: int, max_iter: int) -> float | Sequence[float]:  # noqa: ARG002
        """Return the rate of an epoch's steps, or one for each.

        Parameters
        ----------
        t : int
            The number of the first of them, counted from 1.
        n_steps : int
            Steps of the epoch.
        max_iter : int
            Epochs of the training, at most.
        """
        return self.learning_rate

    def epoch_ended(self, n_seen: int) -> None:  # noqa: ARG002
        """Take the number of samples seen so far."""
        return

    def plateau_reached(self) -> bool:
        """Say whether training is to stop."""
