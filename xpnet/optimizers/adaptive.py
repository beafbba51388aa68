"""Optimisers that divide by the size of past gradients, number by number."""

import math
from dataclasses import dataclass

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.optimizers.base import Optimizer, State

__all__ = ["Adam", "AdamW", "NAdam", "RMSProp"]


@dataclass(frozen=True)
class Adam(Optimizer):
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
class AdamW(Optimizer):
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


@dataclass(frozen=True)
class NAdam(Optimizer):
    r"""Adam with Nesterov's momentum.

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1)\, g \\
        v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \\
        p &\leftarrow p - \eta \sqrt{1 - \beta_2^t}\;
        \frac{\beta_1 m / (1 - \beta_1^{t+1}) + (1 - \beta_1)\, g / (1 - \beta_1^t)}
        {\sqrt v + \epsilon}

    The momentum :math:`\beta_1` stays the same; the paper [1]_ also lets it rise in the
    first thousand steps.

    Parameters
    ----------
    beta_1, beta_2, epsilon : float
        As in :class:`Adam`.

    References
    ----------
    .. [1] T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    Examples
    --------
    >>> import numpy as np
    >>> nadam, p = NAdam(), np.asarray([1.0])
    >>> p, state = nadam.update(p, 2.0 * p, nadam.init(p), *nadam.coefficients(0.1, 1))
    >>> print(p.round(4))  # about one and a half of Adam's
    [0.8526]
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def init(self, params: Array) -> State:
        """Return both moments, zero."""
        xp = array_namespace(params)
        return xp.zeros_like(params), xp.zeros_like(params)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:
        """Return the factors of m and of g."""
        rate = learning_rate * math.sqrt(1.0 - self.beta_2**t)
        of_m = rate * self.beta_1 / (1.0 - self.beta_1 ** (t + 1))
        return of_m, rate * (1.0 - self.beta_1) / (1.0 - self.beta_1**t)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the moments after one step."""
        betas = self.beta_1, self.beta_2, 1.0 - self.beta_1, 1.0 - self.beta_2
        params, m, v = _nadam(
            params, *state, d_params, *coefficients, *betas, self.epsilon
        )
        return params, (m, v)


@dataclass(frozen=True)
class RMSProp(Optimizer):
    r"""Gradient descent by the root of the mean square of past gradients.

    .. math::
        v &\leftarrow \rho v + (1 - \rho)\, g^2 \\
        p &\leftarrow p - \eta \frac{g}{\sqrt v + \epsilon}

    The mean begins at zero, and is not corrected for it: the first step is
    :math:`1 / \sqrt{1 - \rho}` times as long as the learning rate.

    Parameters
    ----------
    rho : float, default=0.99
        Decay of the mean, in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator.

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "RMSProp: divide the gradient by a running average of
       its recent magnitude", Coursera: Neural networks for machine learning, lecture
       6.5, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> rms, p = RMSProp(rho=0.75), np.asarray([1.0])
    >>> p, state = rms.update(p, 2.0 * p, rms.init(p), *rms.coefficients(0.1, 1))
    >>> print(p.round(4))
    [0.8]
    """

    rho: float = 0.99
    epsilon: float = 1e-8

    def init(self, params: Array) -> State:
        """Return the mean square, zero."""
        return (array_namespace(params).zeros_like(params),)

    def coefficients(self, learning_rate: float, t: int) -> tuple[float, ...]:  # noqa: ARG002
        r"""Return :math:`(\eta,)`."""
        return (learning_rate,)

    def update(
        self, params: Array, d_params: Array, state: State, *coefficients: Array
    ) -> tuple[Array, State]:
        """Return the parameters and the mean square after one step."""
        (learning_rate,) = coefficients
        params, v = _rmsprop(
            params,
            *state,
            d_params,
            learning_rate,
            self.rho,
            1.0 - self.rho,
            self.epsilon,
        )
        return params, (v,)


# The formulas. p are the parameters, g their gradient, which the update uses up.


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


@pointwise(updates=3)
def _nadam(
    p: Array,
    m: Array,
    v: Array,
    g: Array,
    rate_of_m: Array,
    rate_of_g: Array,
    beta_1: float,
    beta_2: float,
    rest_1: float,  # 1 - beta_1
    rest_2: float,  # 1 - beta_2
    epsilon: float,
) -> tuple[Array, Array, Array]:
    m *= beta_1
    m += rest_1 * g
    v *= beta_2
    v += rest_2 * (g * g)
    g *= rate_of_g
    g += rate_of_m * m
    p -= g / (ops.sqrt(v) + epsilon)
    return p, m, v


@pointwise(updates=2)
def _rmsprop(
    p: Array,
    v: Array,
    g: Array,
    learning_rate: Array,
    rho: float,
    rest: float,  # 1 - rho
    epsilon: float,
) -> tuple[Array, Array]:
    v *= rho
    v += rest * (g * g)
    p -= learning_rate * g / (ops.sqrt(v) + epsilon)
    return p, v
