"""Formulas and steps against those of torch and scikit-learn.

Whole trainings are compared with scikit-learn's in ``test_trajectory.py``.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from problems import Problem
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from tolerances import ONE_PASS, TEN_STEPS

from xpnet.functional import ACTIVATIONS
from xpnet.losses import (
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from xpnet.optimizers import SGD, Adam, AdamW, Optimizer
from xpnet.testing import assert_close
from xpnet.training import Objective

# ------------------------------------------------------------------------------- torch


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)], ids=str)
def test_gradients_are_those_of_torchs_autograd(
    activation: str, hidden: tuple[int, ...], torch: Any, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, hidden, activation)
    objective = Objective(problem.network, softmax_cross_entropy, alpha=0.5)
    value, d_params = objective.value_and_gradient(
        problem.params, problem.X, problem.targets
    )

    params = torch.tensor(problem.params, requires_grad=True)
    g = {
        "identity": torch.nn.Identity(),
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": torch.nn.LeakyReLU(0.01),
        "elu": torch.nn.ELU(),
        "selu": torch.selu,
        "softplus": torch.nn.Softplus(),
        "gelu": torch.nn.GELU("tanh"),
        "silu": torch.nn.SiLU(),
        "mish": torch.nn.Mish(),
    }[activation]
    *inner, last = problem.network.views(params)
    A = torch.tensor(problem.X)
    for W, b in inner:
        A = g(A @ W + b)
    W, b = last
    loss = torch.nn.functional.cross_entropy(A @ W + b, torch.tensor(problem.targets))
    for W, _ in [*inner, last]:
        loss = loss + 0.5 / (2 * 8) * torch.sum(W**2)
    loss.backward()

    assert_close(value, np.float64(loss.item()), factor=ONE_PASS)
    assert_close(d_params, params.grad.numpy(), factor=ONE_PASS)


@pytest.mark.parametrize(
    ("loss", "oracle", "scale"),
    [
        (softmax_cross_entropy, "cross_entropy", 1.0),
        # torch averages over the outputs as well,
        (sigmoid_cross_entropy, "binary_cross_entropy_with_logits", 3.0),
        # and doesn't halve.
        (squared_error, "mse_loss", 0.5),
    ],
)
def test_losses_are_torchs(
    loss: Callable, oracle: str, scale: float, torch: Any, rng: np.random.Generator
) -> None:
    logits, targets = 30.0 * rng.normal(size=(6, 3)), rng.dirichlet(np.ones(3), size=6)
    Z = torch.tensor(logits, requires_grad=True)
    desired = scale * getattr(torch.nn.functional, oracle)(Z, torch.tensor(targets))
    desired.backward()
    value, dZ = loss(logits, targets)
    assert_close(value, np.float64(desired.item()), factor=ONE_PASS)
    assert_close(dZ, Z.grad.numpy(), factor=ONE_PASS)


@pytest.mark.parametrize(
    ("optimizer", "name", "options"),
    [
        (SGD(momentum=0.0), "SGD", {}),
        (SGD(momentum=0.8, nesterov=False), "SGD", {"momentum": 0.8}),
        (SGD(momentum=0.8), "SGD", {"momentum": 0.8, "nesterov": True}),
        # torch adds epsilon to the corrected root; of a tiny one nothing is seen.
        (Adam(0.7, 0.9, 1e-30), "Adam", {"betas": (0.7, 0.9), "eps": 1e-30}),
        (
            AdamW(0.7, 0.9, 1e-30, weight_decay=0.5),
            "AdamW",
            {"betas": (0.7, 0.9), "eps": 1e-30, "weight_decay": 0.5},
        ),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adamw"],
)
def test_optimizers_are_torchs(
    optimizer: Optimizer,
    name: str,
    options: dict[str, Any],
    torch: Any,
    rng: np.random.Generator,
) -> None:
    p, gradients = rng.normal(size=6), rng.normal(size=(10, 6))
    theirs = torch.tensor(p, requires_grad=True)
    torch_optimizer = getattr(torch.optim, name)([theirs], lr=0.1, **options)
    for actual, g in zip(steps(optimizer, p, gradients), gradients, strict=True):
        theirs.grad = torch.tensor(g)
        torch_optimizer.step()
        assert_close(actual, theirs.detach().numpy(), factor=TEN_STEPS)


def steps(
    optimizer: Optimizer, p: np.ndarray, gradients: np.ndarray
) -> Iterator[np.ndarray]:
    p, state = p.copy(), optimizer.init(p)
    for t, g in enumerate(gradients, start=1):
        p, state = optimizer.update(p, g.copy(), state, *optimizer.coefficients(0.1, t))
        yield p


# ------------------------------------------------------------------------ scikit-learn


@pytest.mark.parametrize(
    ("optimizer", "theirs"),
    [
        (
            SGD(momentum=0.8, nesterov=False),
            lambda p: SGDOptimizer(p, 0.1, momentum=0.8, nesterov=False),
        ),
        (SGD(momentum=0.8), lambda p: SGDOptimizer(p, 0.1, momentum=0.8)),
        (Adam(0.7, 0.9, 0.01), lambda p: AdamOptimizer(p, 0.1, 0.7, 0.9, 0.01)),
    ],
    ids=["momentum", "nesterov", "adam"],
)
def test_optimizers_are_scikit_learns(
    optimizer: Optimizer, theirs: Callable, rng: np.random.Generator
) -> None:
    p, gradients = rng.normal(size=6), rng.normal(size=(10, 6))
    desired = p.copy()
    sklearn_optimizer = theirs([desired])
    for actual, g in zip(steps(optimizer, p, gradients), gradients, strict=True):
        sklearn_optimizer.update_params([desired], [g])
        assert_close(actual, desired, factor=TEN_STEPS)
