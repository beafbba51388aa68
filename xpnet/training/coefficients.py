"""The optimiser's numbers for steps: computed on the host, brought to the device."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet._namespace import asarray_like, dtype_name
from xpnet._typing import Array
from xpnet.optimizers import Optimizer

__all__ = ["host_coefficients", "step_coefficients"]


def step_coefficients(
    optimizer: Optimizer, learning_rate: float, t: int, n_steps: int, ref: Array
) -> list[tuple[Array, ...]]:
    """Return the optimiser's coefficients for some steps, on the device.

    Parameters
    ----------
    optimizer : Optimizer
        Computes them on the host.
    learning_rate : float
        Of these steps.
    t : int
        The number of the first of them, counted from 1.
    n_steps : int
        How many.
    ref : array
        Whose namespace, device and dtype they get.

    Returns
    -------
    list of tuple of array, shape ()
        A tuple a step.
    """
    table = host_coefficients(optimizer, learning_rate, t, n_steps, ref)
    moved = asarray_like(table, ref)
    return [tuple(moved[i, j] for j in range(table.shape[1])) for i in range(n_steps)]


def host_coefficients(
    optimizer: Optimizer,
    learning_rate: float | Sequence[float],
    t: int,
    n_steps: int,
    ref: Array,
) -> Any:
    """Return the same on the host, (n_steps, n_coefficients) of the dtype of `ref`."""
    if isinstance(learning_rate, Sequence):
        rates = enumerate(learning_rate, start=t)
        table = [optimizer.coefficients(rate, i) for i, rate in rates]
    else:
        table = [optimizer.coefficients(learning_rate, t + i) for i in range(n_steps)]
    return np.asarray(table, dtype=dtype_name(ref.dtype))
