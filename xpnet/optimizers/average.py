"""The average of the weights over the steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from xpnet._namespace import array_namespace
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.optimizers.base import Optimizer, State, Update

__all__ = ["Averaged"]


@dataclass(frozen=True)
class Averaged(Optimizer):
    r"""Another optimiser, and the exponential moving average of what it returns.

    .. math::
        a_t = a_{t-1} + \frac{1 - \beta}{1 - \beta^t} (p_t - a_{t-1})
        = \frac{(1 - \beta) \sum_{i=1}^t \beta^{t-i} p_i}{1 - \beta^t}

    The average comes last in the state, the steps go on from the raw parameters.
    Averaging the iterates of gradient descent is Polyak's and Ruppert's idea [1]_; the
    divisor is Adam's bias correction [2]_. Without it, as with an average that begins
    at the first weights, thousands of steps would carry along a share of weights that
    were drawn and not learnt.

    Parameters
    ----------
    optimizer : Optimizer
        Takes the steps.
    decay : float
        :math:`\beta`, in (0, 1): about :math:`1 / (1 - \beta)` steps count.

    References
    ----------
    .. [1] B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by
       averaging", SIAM J. Control Optim. 30, 1992.
    .. [2] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.optimizers import SGD
    >>> averaged, p = Averaged(SGD(momentum=0.0), decay=0.5), np.asarray([4.0])
    >>> state = averaged.init(p)
    >>> for t in (1, 2):
    ...     numbers = averaged.coefficients(0.5, t)
    ...     p, state = averaged.update(p, 1.0 * p, state, *numbers)
    >>> print(p, state[-1].round(4))  # 2 and 1 were the steps: (2 / 4 + 1 / 2) / 0.75
    [1.] [1.3333]
    """

    optimizer: Optimizer
    decay: float

    def init(self, params: Array) -> State:
        """Return the optimiser's state, and a copy of the parameters."""
        average = array_namespace(params).asarray(params, copy=True)
        return (*self.optimizer.init(params), average)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        r"""Return the optimiser's, and :math:`(1 - \beta) / (1 - \beta^t)`."""
        share = (1.0 - self.decay) / (1.0 - self.decay**t)
        return (*self.optimizer.coefficients(learning_rate, t), share)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters, and the state with the new average."""
        return _averaged(self.optimizer.update, params, d_params, state, *coefficients)

    def updates(self, n_pieces: Sequence[int]) -> Sequence[Update]:
        """Average what each of the optimiser's returns."""
        return [partial(_averaged, each) for each in self.optimizer.updates(n_pieces)]


def _averaged(
    update: Update, params: Array, d_params: Array, state: State, *coefficients: Array
) -> tuple[Array, State]:
    *numbers, share = coefficients
    *inner, average = state
    params, inner_state = update(params, d_params, tuple(inner), *numbers)
    return params, (*inner_state, _average(average, params, share))


@pointwise(updates=1)
def _average(a: Array, p: Array, share: Array) -> Array:
    a += share * (p - a)
    return a
