"""The chain of layers: its parameters, its forward pass, and its buffers.

Its gradients are checked in ``test_gradients.py``.
"""

from typing import Any

import numpy as np
import pytest
from problems import WRITING, Problem
from tolerances import EXACT, HINTED, ONE_PASS

from xpnet import Backend
from xpnet._typing import Array
from xpnet.functional import ACTIVATIONS
from xpnet.losses import softmax_cross_entropy, squared_error
from xpnet.network import Dense, Network
from xpnet.testing import assert_close
from xpnet.training import Objective

HIDDEN = [(), (5,), (5, 3)]

by_hidden = pytest.mark.parametrize("hidden", HIDDEN, ids=str)


def test_sizes_and_activations() -> None:
    network = Network.from_sizes([4, 5, 3, 2], ["relu", "relu"])
    assert network.layers == (Dense(4, 5, "relu"), Dense(5, 3, "relu"), Dense(3, 2))
    assert network.layers[-1].activation == "identity"
    assert network.n_weights == 4 * 5 + 5 * 3 + 3 * 2
    assert network.n_params == network.n_weights + 5 + 3 + 2


def test_views_are_in_scikit_learns_order(backend: Backend) -> None:
    network = Network.from_sizes([2, 3, 1], ["relu"])
    params = backend.asarray(np.arange(13.0))
    (W1, b1), (W2, b2) = network.views(params)
    for actual, desired in [
        (W1, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        (W2, [[6.0], [7.0], [8.0]]),
        (b1, [9.0, 10.0, 11.0]),
        (b2, [12.0]),
    ]:
        assert_close(actual, backend.asarray(desired, "float64"), factor=EXACT)


@by_hidden
def test_flatten_is_the_inverse_of_views(
    hidden: tuple[int, ...], backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, hidden).on(backend, dtype)
    views = problem.network.views(problem.params)
    flat = problem.network.flatten(views)
    assert_close(flat, problem.params, factor=EXACT)
    flat *= 0.0  # it is a new array
    assert_close(problem.network.flatten(views), problem.params, factor=EXACT)


@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_views_share_the_vectors_memory(
    backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng).on(backend)
    desired = 2.0 * problem.params
    for pieces in problem.network.views(problem.params):
        for piece in pieces:
            piece[...] = 2.0 * piece
    assert_close(problem.params, desired, factor=EXACT)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_is_g_of_XW_plus_b(
    activation: str, backend: Backend, rng: np.random.Generator
) -> None:
    X, W, b = rng.normal(size=(8, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
    layer = Dense(4, 3, activation)
    A, backward = layer.forward(*(backend.asarray(x) for x in (X, W, b)))
    desired = ACTIVATIONS[activation].forward(X @ W + b)
    assert_close(A, backend.asarray(desired), factor=ONE_PASS)
    dX, _ = backward(backend.xp.ones_like(A), input_gradient=False)
    assert dX is None


@by_hidden
def test_the_network_is_the_chain_of_its_layers(
    hidden: tuple[int, ...], backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, hidden)
    A = problem.X
    *inner, (W_last, b_last) = problem.network.views(problem.params)
    for W, b in inner:
        A = np.tanh(A @ W + b)
    logits, _ = forward(problem.on(backend))
    assert_close(logits, backend.asarray(A @ W_last + b_last), factor=ONE_PASS)


def forward(problem: Problem, **options: object) -> tuple:
    weights = problem.network.views(problem.params)
    return problem.network.forward(weights, problem.X, **options)


def test_the_penalty_reaches_weights_alone(
    backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, (5, 3)).on(backend)
    logits, backward = forward(problem)
    n_weights = problem.network.n_weights
    plain, penalised = backward(logits), backward(logits, 0.25)
    desired = plain[:n_weights] + 0.25 * problem.params[:n_weights]
    assert_close(penalised[:n_weights], desired, factor=ONE_PASS)
    assert_close(penalised[n_weights:], plain[n_weights:], factor=EXACT)


# ----------------------------------------------------------------------------- buffers


@by_hidden
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_buffers_change_no_number(
    activation: str,
    hidden: tuple[int, ...],
    alpha: float,
    backend: Backend,
    dtype: str,
    rng: np.random.Generator,
) -> None:
    host = Problem.draw(rng, hidden, activation)
    problem = host.on(backend, dtype)
    objective = Objective(problem.network, softmax_cross_entropy, alpha)
    value, d_params = objective.value_and_gradient(
        problem.params, problem.X, problem.targets
    )
    buffers = problem.network.buffers(problem.params, n_samples=8)
    for _ in range(2):  # the second time over what the first has left there
        value_out, d_params_out = objective.value_and_gradient(
            problem.params, problem.X, problem.targets, buffers
        )
        # torch's product into a given array takes another route, and rounds otherwise
        assert_close(value_out, value, factor=ONE_PASS)
        assert_close(d_params_out, d_params, factor=ONE_PASS)
    # The caller's arrays are as they were.
    untouched = host.on(backend, dtype)
    for name in ("params", "X", "targets"):
        assert_close(getattr(problem, name), getattr(untouched, name), factor=EXACT)


@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_the_gradient_is_written_into_its_buffer(
    backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng).on(backend)
    buffers = problem.network.buffers(problem.params, n_samples=8)
    logits, backward = forward(problem, out=buffers)
    assert logits is buffers.layers[-1].A
    assert backward(logits) is buffers.d_params


@pytest.mark.parametrize("backend", ["strict", "jax"], indirect=True)
def test_no_buffers_where_nothing_can_be_written(
    backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng).on(backend)
    buffers = problem.network.buffers(problem.params, n_samples=8)
    assert buffers.d_params is None
    assert all(piece is None for layer in buffers.layers for piece in layer)


class Squared:
    def value(self, Z: Array) -> Array:
        return Z * Z

    def derivative(self, Z: Array) -> Array:
        return 2.0 * Z


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", Squared()])
def test_the_last_layer_may_have_an_activation(
    activation: Any, rng: np.random.Generator
) -> None:
    """Hints are hints: with buffers, and block by block, the numbers are the same."""
    network = Network((Dense(2, 3, "tanh"), Dense(3, 2, activation)))
    params, X = rng.normal(size=network.n_params), rng.normal(size=(2**17, 2))
    weights = network.views(params)
    desired, _ = network.forward(weights, X)
    np.testing.assert_allclose(network.outputs(weights, X), desired, **HINTED)

    objective = Objective(network, squared_error)
    targets = rng.normal(size=(5, 2))
    out = network.buffers(params, 5)
    _, plain = objective.value_and_gradient(params, X[:5], targets)
    _, buffered = objective.value_and_gradient(params, X[:5], targets, out)
    np.testing.assert_allclose(buffered, plain, **HINTED)
