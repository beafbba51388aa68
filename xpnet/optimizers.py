"""Optimisers: pure ``init`` and ``update`` on the flat parameter vector.

``update(params, d_params, state, *coefficients)`` returns the new parameters and state;
it writes into the arrays it was given where the library can, so use what it returns.
What changes from step to step (learning rates, bias corrections) is computed on the
host in double precision by ``coefficients`` and enters ``update`` as 0-d arrays, so
that one compiled or captured step serves the whole training.
"""

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._pointwise import pointwise
from xpnet._typing import Array

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "State"]

State: TypeAlias = tuple[Array, ...]


class Optimizer(Protocol):
    """What training asks of an optimiser."""

    def init(self, params: Array) -> State:
        """Return the state before the first step."""

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        """Return the numbers of step `t`, counted from 1."""

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the state after one step."""


@dataclass(frozen=True)
class SGD:
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


@dataclass(frozen=True)
class Adam:
    r"""Adam, with the bias corrections folded into the step size.

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1)\, g \\
        v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \\
        p &\leftarrow p - \eta_t \frac{m}{\sqrt v + \epsilon}, \qquad
        \eta_t = \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}

    This is the form at the end of section 2 of the paper [1]_, and scikit-learn's.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the moments, in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> adam, p = Adam(), np.asarray([1.0])
    >>> p, state = adam.update(p, 2.0 * p, adam.init(p), *adam.coefficients(0.1, 1))
    >>> print(p.round(4))  # the first step is as long as the learning rate
    [0.9]
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def init(self, params: Array) -> State:
        """Return both moments, zero."""
        xp = array_namespace(params)
        return xp.zeros_like(params), xp.zeros_like(params)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        r"""Return :math:`(\eta_t,)`."""
        correction = math.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t)
        return (learning_rate * correction,)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the moments after one step."""
        (step_size,) = coefficients
        betas = self.beta_1, self.beta_2, 1.0 - self.beta_1, 1.0 - self.beta_2
        params, m, v = _adam(params, *state, d_params, step_size, *betas, self.epsilon)
        return params, (m, v)


@dataclass(frozen=True)
class AdamW:
    r"""Adam with decoupled weight decay.

    .. math:: p \leftarrow (1 - \eta \lambda)\, p - \eta_t \frac{m}{\sqrt v + \epsilon}

    The decay doesn't pass through the moments [1]_, and here it reaches every parameter,
    biases included.

    Parameters
    ----------
    beta_1, beta_2, epsilon : float
        As in :class:`Adam`.
    weight_decay : float, default=0.01
        :math:`\lambda`, at least 0.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> adamw, p = AdamW(weight_decay=0.5), np.asarray([1.0])
    >>> p, state = adamw.update(p, 0.0 * p, adamw.init(p), *adamw.coefficients(0.1, 1))
    >>> p
    array([0.95])
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    @property
    def _adam(self) -> Adam:
        return Adam(self.beta_1, self.beta_2, self.epsilon)

    def init(self, params: Array) -> State:
        """Return both moments, zero."""
        return self._adam.init(params)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        r"""Return :math:`(\eta_t, 1 - \eta \lambda)`."""
        keep = 1.0 - learning_rate * self.weight_decay
        return (*self._adam.coefficients(learning_rate, t), keep)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the moments after one step."""
        step_size, keep = coefficients
        params *= keep
        return self._adam.update(params, d_params, state, step_size)


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


@pointwise(updates=3)
def _adam(
    p: Array,
    m: Array,
    v: Array,
    g: Array,
    step_size: Array,
    beta_1: float,
    beta_2: float,
    rest_1: float,  # 1 - beta_1
    rest_2: float,  # 1 - beta_2
    epsilon: float,
) -> tuple[Array, Array, Array]:
    m *= beta_1
    m += rest_1 * g
    g *= g
    g *= rest_2
    v *= beta_2
    v += g
    p -= step_size * m / (ops.sqrt(v) + epsilon)
    return p, m, v
