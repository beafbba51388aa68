"""The steps of an epoch: on the flat vector, in buffers, or compiled, in pieces.

A step never talks to the host. The data lies on the device, batches are gathered there,
the loss adds up there and is read once an epoch.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from xpnet._namespace import asarray_like, dtype_name
from xpnet._typing import Array
from xpnet.backends import compile_step, compiles_by_default
from xpnet.network import Network
from xpnet.optimizers import Optimizer, State
from xpnet.training.batches import Data, HostIndices
from xpnet.training.objective import Differentiable, training_step

__all__ = ["Steps", "host_coefficients", "make_steps", "step_coefficients"]


class Steps(Protocol):
    """Takes steps, and keeps parameters and the optimiser's state between them."""

    def bring(self, order: HostIndices | None, coefficients: Any) -> tuple[Any, Any]:
        """Return an epoch's order and coefficients where the steps want them."""

    def step(self, total: Array, rows: Any, numbers: Any, n_rows: int) -> Array:
        """Take a step on a batch, and return the sum of the losses so far."""

    def result(self) -> tuple[Array, State]:
        """Return parameters and state as flat vectors."""


def make_steps(
    objective: Differentiable,
    optimizer: Optimizer,
    data: Data,
    params: Array,
    state: State,
    *,
    compiled: bool | None = None,
) -> Steps:
    """Return what takes the steps of a training.

    Parameters
    ----------
    objective : Objective, Clipped or Accumulated
        What to descend.
    optimizer : Optimizer
        How.
    data : Data
        Samples, targets and weights, on the device of `params`.
    params : array, shape (n_params,)
        The flat vector; it may be written into.
    state : tuple of array, shape (n_params,)
        The optimiser's; it may be written into.
    compiled : bool, optional
        As :func:`xpnet.backends.compile_step` takes it.

    Returns
    -------
    Steps
        Compiled steps work in pieces: the compiler would copy views of a vector.
    """
    in_pieces = compiles_by_default(params) and compiled is not False
    kind = _PiecewiseSteps if in_pieces else _FlatSteps
    return kind(objective, optimizer, data, params, state, compiled=compiled)


class _FlatSteps:
    """Steps on the flat vector of all parameters."""

    def __init__(
        self,
        objective: Differentiable,
        optimizer: Optimizer,
        data: Data,
        params: Array,
        state: State,
        *,
        compiled: bool | None,
    ) -> None:
        self.objective, self.data = objective, data
        self.params, self.state = params, state
        self.buffers: dict[int, Any] = {}  # for full batches, and for a short last
        self._step = compile_step(
            _flat_step, (objective, optimizer), params, compiled=compiled
        )

    def bring(self, order: HostIndices | None, coefficients: Any) -> tuple[Any, Any]:
        """Move both once an epoch."""
        rows = None if order is None else self.data.on_device(order)
        return rows, _on_device(coefficients, self.params)

    def step(self, total: Array, rows: Any, numbers: Any, n_rows: int) -> Array:
        """Take a step in buffers."""
        if n_rows not in self.buffers:
            self.buffers[n_rows] = self.objective.buffers(self.params, n_rows)
        out = self.buffers[n_rows]
        self.params, self.state, total = self._step(
            self.params, self.state, total, self.data, rows, numbers, out
        )
        return total

    def result(self) -> tuple[Array, State]:
        """Return the vectors."""
        return self.params, self.state


class _PiecewiseSteps:
    """Compiled steps on the weights and biases of each layer."""

    def __init__(
        self,
        objective: Differentiable,
        optimizer: Optimizer,
        data: Data,
        params: Array,
        state: State,
        *,
        compiled: bool | None,
    ) -> None:
        self.data = data
        network = (objective.network,)
        cut = compile_step(_cut, network, params, donate=False)
        self.pieces, self.states = cut(params, state)
        self._join = compile_step(_join, network, params, donate=False)
        self._step = compile_step(
            _piecewise_step, (objective, optimizer), params, compiled=compiled
        )

    def bring(self, order: HostIndices | None, coefficients: Any) -> tuple[Any, Any]:
        """Leave both on the host: a call moves small arrays sooner than one cuts them."""
        return order, coefficients

    def step(self, total: Array, rows: Any, numbers: Any, n_rows: int) -> Array:  # noqa: ARG002
        """Take a compiled step."""
        if isinstance(rows, slice):  # each would be compiled anew
            rows = np.arange(rows.start, rows.stop, dtype=np.int32)
        self.pieces, self.states, total = self._step(
            self.pieces, self.states, total, self.data, rows, numbers
        )
        return total

    def result(self) -> tuple[Array, State]:
        """Join the pieces."""
        params, state = self._join(self.pieces, self.states)
        return params, state


# -------------------------------------------------------------------- what is compiled


def _flat_step(
    objective: Differentiable,
    optimizer: Optimizer,
    params: Array,
    state: State,
    total: Array,
    data: Data,
    rows: Any,
    numbers: tuple[Array, ...],
    out: Any,
) -> tuple[Array, State, Array]:
    X, targets, weights = data.take(rows)
    params, state, value = training_step(
        objective, optimizer, params, state, X, targets, numbers, out, weights=weights
    )
    return params, state, total + value * float(X.shape[0])


def _piecewise_step(
    objective: Differentiable,
    optimizer: Optimizer,
    pieces: list[Array],
    states: list[State],
    total: Array,
    data: Data,
    rows: Any,
    numbers: Array,
) -> tuple[list[Array], list[State], Array]:
    X, targets, weights = data.take(rows)
    pairs = list(zip(pieces[::2], pieces[1::2], strict=True))
    value, gradients = objective.value_and_gradients(pairs, X, targets, weights=weights)
    d_pieces = [array for pair in gradients for array in pair]
    coefficients = [numbers[i] for i in range(numbers.shape[0])]
    updates = optimizer.updates(len(pairs))
    updated = [
        update(*piece, *coefficients)
        for update, *piece in zip(updates, pieces, d_pieces, states, strict=True)
    ]
    pieces, states = map(list, zip(*updated, strict=True))
    return pieces, states, total + value * float(X.shape[0])


def _cut(
    network: Network, params: Array, state: State
) -> tuple[list[Array], list[State]]:
    """Cut flat vectors into W and b of each layer."""
    vectors = [params, *state]
    cut = [[array for pair in network.views(x) for array in pair] for x in vectors]
    pieces, *moments = cut
    states = list(zip(*moments, strict=True)) if moments else [()] * len(pieces)
    return pieces, states


def _join(
    network: Network, pieces: list[Array], states: list[State]
) -> tuple[Array, State]:
    """Join what :func:`_cut` has cut."""
    vectors = [pieces, *map(list, zip(*states, strict=True))]
    params, *state = (
        network.flatten(list(zip(x[::2], x[1::2], strict=True))) for x in vectors
    )
    return params, tuple(state)


# ------------------------------------------------------------------------ coefficients


def step_coefficients(
    optimizer: Optimizer,
    learning_rate: float | Sequence[float],
    t: int,
    n_steps: int,
    ref: Array,
) -> list[tuple[Array, ...]]:
    """Return the optimiser's coefficients for some steps, on the device.

    Parameters
    ----------
    optimizer : Optimizer
        Computes them on the host.
    learning_rate : float or sequence of float
        Of these steps, or of each of them.
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
    return _on_device(host_coefficients(optimizer, learning_rate, t, n_steps, ref), ref)


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


def _on_device(table: Any, ref: Array) -> list[tuple[Array, ...]]:
    moved, (n_steps, n_numbers) = asarray_like(table, ref), table.shape
    return [tuple(moved[i, j] for j in range(n_numbers)) for i in range(n_steps)]
