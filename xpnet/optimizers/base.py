"""What training asks of an optimiser."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from xpnet._typing import Array

__all__ = ["Optimizer", "State", "Update"]

State: TypeAlias = tuple[Array, ...]
Update: TypeAlias = Callable[..., tuple[Array, State]]


class Optimizer(Protocol):
    """What training asks of an optimiser.

    Those that treat each number alike, wherever it stands, derive from it.
    """

    def init(self, params: Array) -> State:
        """Return the state before the first step, arrays of the shape of `params`."""

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        """Return the numbers of step `t`, counted from 1."""

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the state after one step."""

    def updates(self, n_pieces: Sequence[int]) -> Sequence[Update]:
        """Return what updates the pieces of each layer, W first, where they lie apart.

        Each is called as :meth:`update` is, with the coefficients of the whole.
        """
        return [self.update] * sum(n_pieces)
