"""Activations and losses of a user's own: checked when first used, and adapted."""

from typing import Any

import numpy as np

from xpnet._namespace import asarray_like, dtype_name, to_numpy
from xpnet._typing import Array
from xpnet.backends import Backend
from xpnet.exceptions import GradientError
from xpnet.losses import Loss, average

__all__ = ["adapt_loss", "check_activation", "check_loss"]

# Central differences of step h err by h^2 and eps / h: steps and bounds by dtype.
_STEPS = {"float64": 1e-6, "float32": 1e-2}
_BOUNDS = {"float64": 1e-5, "float32": 1e-2}


def adapt_loss(loss: Any) -> Loss:
    """Give a user's loss the form that training calls.

    Parameters
    ----------
    loss : object
        With ``value(outputs, targets)``, the loss of each sample, (n_samples,), and
        ``derivative(outputs, targets)``, its gradient with respect to the outputs,
        (n_samples, n_outputs).

    Returns
    -------
    callable
        ``loss(outputs, targets, weights=None, *, out=None) -> (value, d_outputs)``.
    """

    def function(
        outputs: Array,
        targets: Array,
        weights: Array | None = None,
        *,
        out: Array | None = None,  # noqa: ARG001
    ) -> tuple[Array, Array]:
        # average() writes into the gradient, which may be the user's own array.
        gradient = loss.derivative(outputs, targets) * 1.0
        return average(loss.value(outputs, targets), gradient, weights)

    return function


def check_activation(activation: Any, backend: Backend, dtype: Any) -> None:
    """Compare an activation's derivative with central differences of its value.

    Parameters
    ----------
    activation : object
        With ``value(Z)`` and ``derivative(Z)``.
    backend : Backend
        Whose arrays it is to work on.
    dtype : dtype of the backend
        What it is to compute in.

    Raises
    ------
    GradientError
        They don't agree, or don't keep shape and dtype.
    """
    Z = np.random.default_rng(0).normal(scale=2.0, size=(16, 2))
    _compare(
        f"activation {type(activation).__name__}",
        activation.value,
        activation.derivative,
        backend.asarray(Z, dtype),
        np.ones_like(Z),
        (16, 2),
    )


def check_loss(loss: Any, n_outputs: int, targets: Array, backend: Backend) -> None:
    """Compare a loss's derivative with central differences of its value.

    Parameters
    ----------
    loss : object
        With ``value(outputs, targets)`` and ``derivative(outputs, targets)``.
    n_outputs : int
        Outputs of the network.
    targets : array, shape (n_samples, n_outputs)
        Some of the targets it is to be used with.
    backend : Backend
        Whose arrays they are.

    Raises
    ------
    GradientError
        They don't agree, or haven't the shapes that are asked for.
    """
    n_samples = targets.shape[0]
    what = f"loss {type(loss).__name__}"
    outputs = np.random.default_rng(0).normal(size=(n_samples, n_outputs))
    x = backend.asarray(outputs, targets.dtype)
    _check_shape(what, "derivative", loss.derivative(x, targets), x, outputs.shape)
    for column in range(n_outputs):  # each sample's loss sees its own outputs only
        direction = np.zeros_like(outputs)
        direction[:, column] = 1.0
        _compare(
            what,
            lambda x: loss.value(x, targets),
            lambda x, column=column: loss.derivative(x, targets)[:, column],
            x,
            direction,
            (n_samples,),
        )


def _compare(
    what: str, value: Any, derivative: Any, x: Array, direction: Any, shape: Any
) -> None:
    name = dtype_name(x.dtype)
    step = _STEPS[name]
    shift = asarray_like(direction * step, x, x.dtype)
    found = derivative(x)
    _check_shape(what, "value", value(x), x, shape)
    _check_shape(what, "derivative", found, x, shape)
    expected = (to_numpy(value(x + shift)) - to_numpy(value(x - shift))) / (2.0 * step)
    errors = np.abs(to_numpy(found) - expected) / (1.0 + np.abs(expected))
    worst = np.unravel_index(np.argmax(errors), errors.shape)
    if not errors[worst] <= _BOUNDS[name]:
        msg = (
            f"{what}: its derivative doesn't fit its value. At "
            f"{to_numpy(x)[worst]} it returns {to_numpy(found)[worst]}, where central "
            f"differences of the value give {expected[worst]}. Correct `derivative`."
        )
        raise GradientError(msg)


def _check_shape(
    what: str, method: str, array: Array, x: Array, shape: tuple[int, ...]
) -> None:
    """Raise where a result is not of the given shape and of the dtype of `x`."""
    if tuple(array.shape) != shape or array.dtype != x.dtype:
        msg = (
            f"{what}: `{method}` must return shape {shape} and dtype "
            f"{dtype_name(x.dtype)} here, got shape {tuple(array.shape)} and dtype "
            f"{array.dtype}."
        )
        raise GradientError(msg)
