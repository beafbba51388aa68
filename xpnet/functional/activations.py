"""The table of activations, and how one of a user's own enters it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.functional import exponential, gated, rectifiers, sigmoids

__all__ = ["ACTIVATIONS", "Activation", "get_activation"]


class Activation(NamedTuple):
    """A forward function and its backward, the neighbours of a leaf pair."""

    forward: Callable[..., Array]
    """``A = forward(Z, out=None)``"""
    backward: Callable[..., Array]
    """``dZ = backward(dA, saved, out=None)``"""
    saves_input: bool = False
    """Whether `saved` is Z; else it is A, and A may be written over Z."""
    shifted: Callable[..., Array] | None = None
    """``A = shifted(Z, b, out=None)``: ``forward(Z + b)`` in one, where they fuse."""


def _fused(forward: Callable[..., Array], backward: Callable[..., Array]) -> Activation:
    @pointwise()
    def shifted(Z: Array, b: Array, *, out: Array | None = None) -> Array:
        return forward(ops.add(Z, b, out=out), out=out)

    return Activation(forward, backward, shifted=shifted)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(sigmoids.identity, sigmoids.identity_backward),
    "logistic": _fused(sigmoids.logistic, sigmoids.logistic_backward),
    "tanh": _fused(sigmoids.tanh, sigmoids.tanh_backward),
    "relu": _fused(rectifiers.relu, rectifiers.relu_backward),
    "leaky_relu": _fused(rectifiers.leaky_relu, rectifiers.leaky_relu_backward),
    "elu": _fused(exponential.elu, exponential.elu_backward),
    "selu": _fused(exponential.selu, exponential.selu_backward),
    "softplus": _fused(exponential.softplus, exponential.softplus_backward),
    "gelu": Activation(gated.gelu, gated.gelu_backward, saves_input=True),
    "silu": Activation(gated.silu, gated.silu_backward, saves_input=True),
    "mish": Activation(gated.mish, gated.mish_backward, saves_input=True),
}


def get_activation(activation: Any) -> Activation:
    """Return the forward and backward functions of an activation.

    Parameters
    ----------
    activation : str or object
        A key of `ACTIVATIONS`, or an object with two methods on arrays of any library:
        ``value(Z)`` and ``derivative(Z)``, both elementwise.

    Returns
    -------
    Activation
        The pair.

    Examples
    --------
    >>> import numpy as np
    >>> class Square:
    ...     def value(self, Z):
    ...         return Z * Z
    ...     def derivative(self, Z):
    ...         return 2.0 * Z
    >>> square = get_activation(Square())
    >>> square.backward(np.asarray([1.0]), np.asarray([3.0]))
    array([6.])
    """
    if isinstance(activation, str):
        return ACTIVATIONS[activation]

    def forward(Z: Array, *, out: Array | None = None) -> Array:  # noqa: ARG001
        return activation.value(Z)

    def backward(dA: Array, Z: Array, *, out: Array | None = None) -> Array:
        return ops.multiply(dA, activation.derivative(Z), out=out)

    return Activation(forward, backward, saves_input=True)
