"""What is measured on a network and its data; all results are host numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis

from xpnet._namespace import array_namespace, dtype_name, is_sparse, to_numpy
from xpnet._parameters import make_differentiable, make_optimizer
from xpnet._run import Run
from xpnet._typing import Array
from xpnet._validation import HostArray
from xpnet.functional import Activation, get_activation
from xpnet.inspection._summary import activation_name
from xpnet.network import Network
from xpnet.network.dense import WeightsAndBiases
from xpnet.training import Data
from xpnet.training.coefficients import host_coefficients
from xpnet.training.noise import Numbers
from xpnet.training.steps import make_steps

__all__ = ["Inputs", "LayerHealth", "measure_inputs", "measure_layers"]

_MOST = 5_000  # samples that units and gradients are measured on
_FLAT = 1e-6  # a slope below which nothing comes through
_SATURATED = 0.05  # of the steepest slope of an activation


@dataclass(frozen=True)
class LayerHealth:
    """What was measured on one layer; host numbers."""

    activation: str
    """What that of its units is called; of the output layer that of the answers."""
    n_units: int
    """How many units."""
    n_dead: int
    """Units whose slope is 0 for every sample: no gradient passes them."""
    saturated: float | None
    """The share of outputs, over units and samples, where the slope is below a
    twentieth of its maximum; None for an activation that doesn't level off at both
    ends."""
    weight_norm: float
    """Euclidean norm of the weights."""
    gradient_norm: float
    """Euclidean norm of the loss's gradient with respect to them, without the
    penalty."""
    gradient_rms: float
    """Root mean square of that gradient's entries."""
    update_norm: float | None
    """Euclidean norm of what one step of the solver changes; None for L-BFGS."""

    @property
    def update_ratio(self) -> float | None:
        """`update_norm` by `weight_norm`."""
        if self.update_norm is None:
            return None
        return _ratio(self.update_norm, self.weight_norm)

    @property
    def gradient_ratio(self) -> float:
        """`gradient_norm` by `weight_norm`."""
        return _ratio(self.gradient_norm, self.weight_norm)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What was measured on each feature; host arrays, shape (n_features,)."""

    mean: HostArray
    """Average over the samples."""
    std: HostArray
    """Standard deviation."""
    low: HostArray
    """The least value."""
    high: HostArray
    """The largest value."""

    @property
    def rms(self) -> HostArray:
        """Root mean square: how large the values are."""
        return np.hypot(self.mean, self.std)

    @property
    def constant(self) -> HostArray:
        """Whether all samples have the same value."""
        return np.equal(self.low, self.high)


def measure_inputs(X: Array) -> Inputs:
    """Measure each feature of samples, of any library or sparse.

    Parameters
    ----------
    X : array or sparse matrix, shape (n_samples, n_features), floating dtype
        Samples.

    Returns
    -------
    Inputs
        On the host.
    """
    found: list[Any]
    if is_sparse(X):
        mean, variance = mean_variance_axis(X, axis=0)
        found = [mean, np.sqrt(variance), *min_max_axis(X, axis=0)]
    else:
        xp = array_namespace(X)
        with np.errstate(all="ignore"):  # of numbers that are too large to be squared
            measures = [f(X, axis=0) for f in (xp.mean, xp.std, xp.min, xp.max)]
        found = list(map(to_numpy, measures))
    return Inputs(*(np.asarray(x, np.float64) for x in found))


def measure_layers(estimator: Any, run: Run) -> list[LayerHealth]:
    """Measure units and gradients of each layer, and take one step.

    Parameters
    ----------
    estimator : BaseMLP
        Its solver takes the step.
    run : Run
        The step may write into its progress.

    Returns
    -------
    list of LayerHealth
        From the first hidden layer to the output.
    """
    data, params = _some(run), run.progress.params
    objective, network = run.objective, run.objective.network
    with np.errstate(all="ignore"):  # what isn't finite is told of
        units = list(_measure_units(network, network.views(params), data.X))
        _, d_params = objective.with_penalty(0.0).value_and_gradient(
            params, data.X, data.targets, weights=data.weights
        )
        gradient, before = _on_host(d_params), _on_host(params)
        update = None if estimator.solver == "lbfgs" else _step(estimator, run) - before
        norms = zip(
            _norms(network, before),
            _norms(network, gradient),
            [None] * len(units) if update is None else _norms(network, update),
            strict=True,
        )
    names = [activation_name(layer.activation) for layer in network.layers[:-1]]
    return [
        LayerHealth(
            name,
            layer.fan_out,
            *counted,
            weight_norm=weight_norm,
            gradient_norm=gradient_norm,
            gradient_rms=gradient_norm / math.sqrt(layer.fan_in * layer.fan_out),
            update_norm=update_norm,
        )
        for name, layer, counted, (weight_norm, gradient_norm, update_norm) in zip(
            [*names, estimator.out_activation_],
            network.layers,
            units,
            norms,
            strict=True,
        )
    ]


def _some(run: Run) -> Data:
    """Return the rows to measure on: all of a few, a draw of many."""
    n_samples = run.data.X.shape[0]
    if n_samples <= _MOST:
        return run.data
    drawn = run.progress.random_state.permutation(n_samples)[:_MOST].astype(np.int32)
    return run.data.take(run.data.on_device(drawn))


def _measure_units(
    network: Network, weights: list[WeightsAndBiases], X: Array
) -> Iterator[tuple[int, float | None]]:
    """Yield of each layer the number of dead units, and the share of saturated outputs."""
    A = X
    for layer, pieces in zip(network.layers, weights, strict=True):
        g = get_activation(layer.activation)
        Z, _ = replace(layer, activation="identity").forward(A, *pieces)
        A = g.forward(Z)
        slope = _slope(g, Z, A)
        xp = array_namespace(slope)
        flat = to_numpy(xp.all(slope < _FLAT, axis=0))  # sync point
        steepest = _steepest(g)
        saturated = None
        if steepest is not None:
            level = xp.astype(slope < _SATURATED * steepest, slope.dtype)
            saturated = float(xp.mean(level))  # sync point
        yield int(flat.sum()), saturated


def _slope(g: Activation, Z: Array, A: Array) -> Array:
    """Return how steep an activation is, (n_samples, n_units)."""
    xp = array_namespace(Z)
    return xp.abs(g.backward(xp.ones_like(Z), Z if g.saves_input else A))


def _steepest(g: Activation) -> float | None:
    """Return the largest slope of what levels off at both ends; else None."""
    Z = np.linspace(-30.0, 30.0, 601)[:, None]
    slope = _slope(g, Z, g.forward(np.array(Z)))
    steepest = float(slope.max())
    levels = max(slope[0].item(), slope[-1].item()) < _SATURATED * steepest
    return steepest if levels else None


def _step(estimator: Any, run: Run) -> HostArray:
    """Take the step that training would take now; return the parameters after it."""
    progress, optimizer = run.progress, make_optimizer(estimator, run.objective.network)
    params, state = progress.params, progress.optimizer_state
    size = min(run.batch_size * estimator.accumulate, run.n_samples)
    order = progress.random_state.permutation(run.n_samples)[:size]
    rate, t = run.next_rate(estimator), progress.n_steps + 1
    table = host_coefficients(optimizer, rate, t, 1, params)
    descended = make_differentiable(estimator, run.objective, run.batch_size)
    draws = run.objective.draws(progress.seed, t, size, size, dtype_name(params.dtype))
    steps = make_steps(descended, optimizer, run.data, params, state, size)
    rows, numbers = steps.bring(order.astype(np.int32), Numbers(table, *draws))
    zero = array_namespace(params).zeros_like(params[0])
    steps.take(zero, rows, numbers, size)
    return _on_host(steps.result()[0])


def _on_host(x: Array) -> HostArray:
    return np.array(to_numpy(x), np.float64)  # sync point; a step may write into x


def _norms(network: Network, vector: HostArray) -> list[float]:
    """Return the Euclidean norm of each layer's weights."""
    return [float(np.linalg.norm(W)) for W, *_ in network.views(vector)]


def _ratio(part: float, whole: float) -> float:
    if part == 0.0:
        return 0.0
    return part / whole if whole else math.inf
