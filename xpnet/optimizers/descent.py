"""Gradient descent, and its momentum."""

from dataclasses import dataclass

from xpnet._namespace import array_namespace
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.optimizers.base import Optimizer, State

__all__ = ["SGD"]


@dataclass(frozen=True)
class SGD(Optimizer):
    r"""Gradient descent with momentum.

    .. math::
        v &\leftarrow \mu v - \eta\, g \\
        p &\leftarrow p + v \qquad\text{or, with Nesterov's momentum,}\qquad
        p \leftarrow p + \mu v - \eta\, g

    Parameters
    ----------
    momentum : float, default=0.9
        :math:`\mu`, in [0, 1].
    nesterov : bool, default=True
        Look ahead along the momentum [1]_.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of
       initialization and momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> sgd, p = SGD(momentum=0.5), np.asarray([1.0])
    >>> p, state = sgd.update(p, 2.0 * p, sgd.init(p), *sgd.coefficients(0.1, 1))
    >>> p
    array([0.7])
    """

    momentum: float = 0.9
    nesterov: bool = True

    def init(self, params: Array) -> State:
        """Return a velocity of zero, or nothing where there is no momentum."""
        if self.momentum == 0.0:
            return ()
        return (array_namespace(params).zeros_like(params),)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:  # noqa: ARG002
        r"""Return :math:`(\eta,)`."""
        return (learning_rate,)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the velocity after one step."""
        (learning_rate,) = coefficients
        if self.momentum == 0.0:
            return _sgd(params, d_params, learning_rate), ()
        update = _nesterov if self.nesterov else _momentum
        params, v = update(params, *state, d_params, learning_rate, self.momentum)
        return params, (v,)


# The formulas. p are the parameters, g their gradient, which the update uses up.


@pointwise(updates=1)
def _sgd(p: Array, g: Array, learning_rate: Array) -> Array:
    g *= learning_rate
    p -= g
    return p


@pointwise(updates=2)
def _momentum(
    p: Array, v: Array, g: Array, learning_rate: Array, momentum: float
) -> tuple[Array, Array]:
    g *= learning_rate
    v *= momentum
    v -= g
    p += v
    return p, v


@pointwise(updates=2)
def _nesterov(
    p: Array, v: Array, g: Array, learning_rate: Array, momentum: float
) -> tuple[Array, Array]:
    g *= learning_rate
    v *= momentum
    v -= g
    p += momentum * v
    p -= g
    return p, v
