"""Every backward pass against central differences, in float64 on every backend."""

from collections.abc import Callable

import numpy as np
import pytest
from problems import Problem

from xpnet import Backend
from xpnet._typing import Array
from xpnet.functional import (
    ACTIVATIONS,
    Activation,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
    softmax_jacobian,
)
from xpnet.losses import (
    Loss,
    absolute_error,
    gaussian_nll,
    huber,
    multioutput_cross_entropy,
    poisson,
    quantile,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from xpnet.network import Dense
from xpnet.testing import check_gradients
from xpnet.training import Objective

PAIRS = {
    **ACTIVATIONS,
    "softmax": Activation(softmax, softmax_backward),
    "log_softmax": Activation(log_softmax, log_softmax_backward),
}

LOSSES: dict[Loss, int] = {
    softmax_cross_entropy: 3,
    sigmoid_cross_entropy: 1,
    squared_error: 2,
    absolute_error: 2,
    huber: 2,
    quantile: 1,
    poisson: 2,
}
"""Each loss, and a number of outputs for it."""


def weighted(backend: Backend, A: Array, weights: Array) -> Array:
    """A number whose gradient with respect to `A` is `weights`."""
    return backend.xp.sum(A * weights)


@pytest.mark.parametrize("name", PAIRS)
def test_functions(name: str, backend: Backend, rng: np.random.Generator) -> None:
    forward, backward, saves_input, _ = PAIRS[name]
    Z, dA = (backend.asarray(x) for x in rng.normal(size=(2, 3, 4)))

    def value_and_gradient(Z: Array) -> tuple[Array, Array]:
        A = forward(Z)
        return weighted(backend, A, dA), backward(dA, Z if saves_input else A)

    check_gradients(value_and_gradient, Z)


def test_softmax_jacobian(backend: Backend, rng: np.random.Generator) -> None:
    logits = backend.asarray(rng.normal(size=(1, 4)))
    for i in range(4):

        def value_and_gradient(Z: Array, i: int = i) -> tuple[Array, Array]:
            probs = softmax(Z)
            return probs[0, i], softmax_jacobian(probs)[:, i, :]

        check_gradients(value_and_gradient, logits)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
def test_losses(loss: Loss, backend: Backend, rng: np.random.Generator) -> None:
    logits = backend.asarray(3.0 * rng.normal(size=(5, LOSSES[loss])))
    targets = rng.dirichlet(np.ones(3), size=5)[:, : LOSSES[loss]]
    targets = backend.asarray(targets)
    check_gradients(lambda Z: loss(Z, targets), logits)
    weights = backend.asarray(rng.uniform(size=5))
    check_gradients(lambda Z: loss(Z, targets, weights), logits)


def test_losses_of_other_shapes(backend: Backend, rng: np.random.Generator) -> None:
    """Two outputs a target, and three and two classes side by side."""
    weights = backend.asarray(rng.uniform(size=5))
    outputs = backend.asarray(rng.normal(size=(5, 4)))
    targets = backend.asarray(rng.normal(size=(5, 2)))
    check_gradients(lambda Z: gaussian_nll(Z, targets, weights), outputs)
    logits = backend.asarray(rng.normal(size=(5, 5)))
    codes = backend.asarray(np.stack([np.arange(5) % 3, np.arange(5) % 2], axis=1))
    check_gradients(
        lambda Z: multioutput_cross_entropy(Z, codes, weights, n_classes=(3, 2)), logits
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("fan_out", [3, 4])  # a missing transpose hides in a square
def test_dense(
    activation: str, fan_out: int, backend: Backend, rng: np.random.Generator
) -> None:
    shapes = [(5, 4), (4, fan_out), (fan_out,)]
    X, W, b = (backend.asarray(rng.normal(size=shape)) for shape in shapes)
    dA = backend.asarray(rng.normal(size=(5, fan_out)))
    layer = Dense(4, fan_out, activation)

    def value_and_gradients(
        X: Array, W: Array, b: Array
    ) -> tuple[Array, tuple[Array, Array, Array]]:
        A, backward = layer.forward(X, W, b)
        dX, (dW, db) = backward(dA)
        return weighted(backend, A, dA), (dX, dW, db)

    check_gradients(value_and_gradients, X, W, b)


@pytest.mark.parametrize(
    ("hidden", "activation"),
    [
        ((), "identity"),
        *(((5,), name) for name in ACTIVATIONS),
        *(((5, 5), name) for name in ACTIVATIONS),
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_networks(
    hidden: tuple[int, ...],
    activation: str,
    alpha: float,
    backend: Backend,
    rng: np.random.Generator,
) -> None:
    problem = Problem.draw(rng, hidden, activation).on(backend)
    check_objective(problem, softmax_cross_entropy, alpha)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
def test_networks_with_every_loss(
    loss: Callable, backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, n_outputs=LOSSES[loss]).on(backend)
    check_objective(problem, loss, alpha=0.7)


def check_objective(problem: Problem, loss: Loss, alpha: float) -> None:
    objective = Objective(problem.network, loss, alpha)
    check_gradients(
        lambda params: objective.value_and_gradient(params, problem.X, problem.targets),
        problem.params,
    )
