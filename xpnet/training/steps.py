"""The steps of an epoch: on the flat vector, in buffers, or compiled, in pieces.

A step never talks to the host. The data lies on the device, batches are gathered there,
the loss adds up there and is read once an epoch.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np

from xpnet import _namespace as ops
from xpnet._typing import Array
from xpnet.backends import captures, compile_step, compiles_by_default, records
from xpnet.network import Network
from xpnet.optimizers import Optimizer, State
from xpnet.training.batches import Data, HostIndices, batches, part
from xpnet.training.noise import Numbers, StepNoise
from xpnet.training.objective import Differentiable, training_step

__all__ = [
    "Steps",
    "make_steps",
    "pays_to_record",
    "spans",
]


class Steps(Protocol):
    """Takes steps, and keeps parameters and the optimiser's state between them."""

    at_once: int
    """How many steps a call takes; the last of an epoch may take fewer."""
    data: Data
    """What rows are taken from; it may be replaced between two calls."""

    def bring(self, order: HostIndices | None, numbers: Numbers) -> tuple[Any, Numbers]:
        """Return an epoch's order and numbers where the steps want them."""

    def take(self, total: Array, rows: Any, numbers: Numbers, n_rows: int) -> Array:
        """Take some steps, and return the sum of the losses so far."""

    def result(self) -> tuple[Array, State]:
        """Return parameters and state as flat vectors."""


_SCANNED, _CAPTURED = 32, 16
"""Steps in a call of what was compiled: what the call costs is spread over them. To
capture a graph takes as long as that many eager steps, twice."""
_RECORDED = 2**18
"""Numbers of an array in a step. What is recorded keeps all that is computed on the way, and
saves some 40 µs, which larger steps don't notice."""


def make_steps(
    objective: Differentiable,
    optimizer: Optimizer,
    data: Data,
    params: Array,
    state: State,
    batch_size: int,
    *,
    compiled: bool | None = None,
) -> Steps:
    """Return what takes the steps of a training.

    Parameters
    ----------
    objective : Objective
        What to descend.
    optimizer : Optimizer
        How.
    data : Data
        Samples, targets and weights, on the device of `params`.
    params : array, shape (n_params,)
        The flat vector; it may be written into.
    state : tuple of array, shape (n_params,)
        The optimiser's; it may be written into.
    batch_size : int
        Samples a step; the last of an epoch may have fewer.
    compiled : bool, optional
        As :func:`xpnet.backends.compile_step` takes it.

    Returns
    -------
    Steps
        Compiled steps work in pieces: the compiler would copy views of a vector.
    """
    in_pieces = compiles_by_default(params) and compiled is not False
    kind = _PiecewiseSteps if in_pieces else _FlatSteps
    return kind(
        objective, optimizer, data, params, state, batch_size, compiled=compiled
    )


def pays_to_record(params: Array, network: Network, n_rows: int) -> bool:
    """Whether a step is so small that it is sooner recorded, on NumPy.

    Parameters
    ----------
    params : array, shape (n_params,)
        The flat vector.
    network : Network
        The chain of layers.
    n_rows : int
        Samples that are computed at a time.

    Returns
    -------
    bool
        False on other libraries.
    """
    largest = max(n_rows * max(network.sizes), network.n_params)
    return records(params) and largest <= _RECORDED


def spans(
    n_samples: int, batch_size: int, at_once: int, rows: Any, numbers: Numbers
) -> Iterator[tuple[Any, Numbers, int]]:
    """Cut an epoch into what :meth:`Steps.take` takes at once.

    Parameters
    ----------
    n_samples, batch_size : int
        Of the epoch, and of a step; the last may have fewer.
    at_once : int
        Steps of a span; the last may have fewer.
    rows, numbers : object, Numbers
        What :meth:`Steps.bring` has brought.

    Yields
    ------
    rows, numbers, n_rows
        Of the span, in the order in which they are taken.
    """
    size = at_once * batch_size
    for i, some in enumerate(batches(n_samples, size, rows)):
        start, stop = i * size, min((i + 1) * size, n_samples)
        first, n_rows = i * at_once, stop - start
        last = first + math.ceil(n_rows / batch_size)
        yield some, numbers.between(first, last, start, stop), n_rows


class _FlatSteps:
    """Steps on the flat vector of all parameters, in buffers."""

    def __init__(
        self,
        objective: Differentiable,
        optimizer: Optimizer,
        data: Data,
        params: Array,
        state: State,
        batch_size: int,
        *,
        compiled: bool | None,
    ) -> None:
        self.objective, self.data, self.batch_size = objective, data, batch_size
        self.params, self.state = params, state
        self.at_once = _CAPTURED if compiled and captures(params) else 1
        self.buffers: dict[int, Any] = {}  # for full batches, and for a short last
        self.plans: dict[int, Plan] = {}
        self._steps = compile_step(
            _flat_steps, (objective, optimizer), params, compiled=compiled
        )

    def bring(self, order: HostIndices | None, numbers: Numbers) -> tuple[Any, Numbers]:
        """Move both once an epoch."""
        rows = None if order is None else self.data.on_device(order)
        return rows, numbers.like(self.params)

    def take(self, total: Array, rows: Any, numbers: Numbers, n_rows: int) -> Array:
        """Take steps in buffers."""
        plan = self.plans.get(n_rows)
        if plan is None:
            plan = self.plans[n_rows] = self._plan(n_rows)
        self.params, self.state, total = self._steps(
            self.params, self.state, total, self.data, rows, numbers, plan
        )
        return total

    def _plan(self, n_rows: int) -> "Plan":
        plan = []
        for start in range(0, n_rows, self.batch_size):
            stop = min(start + self.batch_size, n_rows)
            size = stop - start
            if size not in self.buffers:
                self.buffers[size] = self.objective.buffers(self.params, size)
            plan.append((start, stop, self.buffers[size]))
        return tuple(plan)

    def result(self) -> tuple[Array, State]:
        """Return the vectors."""
        return self.params, self.state


class _PiecewiseSteps:
    """Compiled steps on the weights and biases of each layer."""

    at_once = _SCANNED

    def __init__(
        self,
        objective: Differentiable,
        optimizer: Optimizer,
        data: Data,
        params: Array,
        state: State,
        batch_size: int,
        *,
        compiled: bool | None,
    ) -> None:
        self.data, self.batch_size = data, batch_size
        network = (objective.base.network,)
        cut = compile_step(_cut, network, params, donate=False)
        self.pieces, self.states = cut(params, state)
        self._join = compile_step(_join, network, params, donate=False)
        self._steps = compile_step(
            _piecewise_steps, (objective, optimizer), params, compiled=compiled
        )

    def bring(self, order: HostIndices | None, numbers: Numbers) -> tuple[Any, Numbers]:
        """Leave both on the host: a call moves small arrays sooner than one cuts them."""
        return order, numbers

    def take(self, total: Array, rows: Any, numbers: Numbers, n_rows: int) -> Array:
        """Take compiled steps: on full batches, and on a short last one."""
        if rows is None and n_rows > self.batch_size:
            rows = slice(0, n_rows)
        if isinstance(rows, slice):  # each would be compiled anew
            rows = np.arange(rows.start, rows.stop, dtype=np.int32)
        n_full = n_rows // self.batch_size
        parts = [(0, n_full, self.batch_size), (n_full, 1, n_rows % self.batch_size)]
        for first, n_steps, size in parts:
            if n_steps == 0 or size == 0:
                continue
            start = first * self.batch_size
            stop = start + n_steps * size
            coefficients, keys, shares, partners = numbers.between(
                first, first + n_steps, start, stop
            )
            by_step = [
                None if x is None else x.reshape(n_steps, size)
                for x in (None if rows is None else rows[start:stop], partners)
            ]
            self.pieces, self.states, total = self._steps(
                self.pieces,
                self.states,
                total,
                self.data,
                (coefficients, by_step[0], keys, shares, by_step[1]),
            )
        return total

    def result(self) -> tuple[Array, State]:
        """Join the pieces."""
        params, state = self._join(self.pieces, self.states)
        return params, state


# -------------------------------------------------------------------- what is compiled

Plan: TypeAlias = tuple[tuple[int, int, Any], ...]
"""Where each batch begins and ends among some rows, and its buffers."""


def _flat_steps(
    objective: Differentiable,
    optimizer: Optimizer,
    params: Array,
    state: State,
    total: Array,
    data: Data,
    rows: Any,
    numbers: Numbers,
    plan: Plan,
) -> tuple[Array, State, Array]:
    table, base = numbers.coefficients, objective.base
    for i, (start, stop, out) in enumerate(plan):
        batch = data.take(rows if len(plan) == 1 else part(rows, start, stop))
        key = None
        if base.noisy:
            noise = numbers.noise(i, start, stop)
            batch, key = base.noised(batch, noise), noise.key
        X, targets, weights = batch
        params, state, value = training_step(
            objective,
            optimizer,
            params,
            state,
            X,
            targets,
            # 0-d views, not NumPy's numbers, which no recording could follow
            tuple(table[i, j, ...] for j in range(table.shape[1])),
            out,
            weights=weights,
            key=key,
        )
        total = total + value * float(stop - start)
    return params, state, total


def _piecewise_steps(
    objective: Differentiable,
    optimizer: Optimizer,
    pieces: list[Array],
    states: list[State],
    total: Array,
    data: Data,
    by_step: tuple[Any, ...],
) -> tuple[list[Array], list[State], Array]:
    base, network = objective.base, objective.base.network

    def step(carry: Any, of_step: Any) -> Any:
        pieces, states, total = carry
        coefficients, rows, *draws = of_step
        batch, noise = data.take(rows), StepNoise(*draws)
        if base.noisy:
            batch = base.noised(batch, noise)
        X, targets, weights = batch
        value, gradients = objective.value_and_gradients(
            network.by_layer(pieces), X, targets, weights=weights, key=noise.key
        )
        d_pieces = [array for layer in gradients for array in layer]
        coefficients = [coefficients[i] for i in range(coefficients.shape[0])]
        updates = optimizer.updates([len(layer) for layer in gradients])
        updated = [
            update(*piece, *coefficients)
            for update, *piece in zip(updates, pieces, d_pieces, states, strict=True)
        ]
        pieces, states = map(list, zip(*updated, strict=True))
        if base.max_norm is not None:
            layers = network.limit(network.by_layer(pieces), base.max_norm)
            pieces = [array for layer in layers for array in layer]
        return pieces, states, total + value * float(X.shape[0])

    after: tuple[list[Array], list[State], Array] = ops.fold(
        step, (pieces, states, total), by_step
    )
    return after


def _cut(
    network: Network, params: Array, state: State
) -> tuple[list[Array], list[State]]:
    """Cut flat vectors into W and b of each layer, and its gain."""
    vectors = [params, *state]
    cut = [[array for layer in network.views(x) for array in layer] for x in vectors]
    pieces, *moments = cut
    states = list(zip(*moments, strict=True)) if moments else [()] * len(pieces)
    return pieces, states


def _join(
    network: Network, pieces: list[Array], states: list[State]
) -> tuple[Array, State]:
    """Join what :func:`_cut` has cut."""
    vectors = [pieces, *map(list, zip(*states, strict=True))]
    params, *state = (network.flatten(network.by_layer(x)) for x in vectors)
    return params, tuple(state)
