"""The step under a library's compiler, and on arrays that have no values at all."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from problems import Problem
from tolerances import TEN_STEPS

from xpnet import Backend, get_backend
from xpnet.functional import ACTIVATIONS
from xpnet.losses import Loss, sigmoid_cross_entropy, softmax_cross_entropy
from xpnet.optimizers import SGD, Adam, AdamW, Averaged, Muon, NAdam, Optimizer, RMSProp
from xpnet.testing import assert_close
from xpnet.training import Objective, step_coefficients, training_step

OPTIMIZERS = [
    SGD(),
    SGD(momentum=0.0),
    Adam(),
    AdamW(),
    NAdam(),
    RMSProp(),
    Muon(((4, 5),)),
    Averaged(Muon(((4, 5),)), 0.9),
]

each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    return Problem.draw(rng, (5, 3))


@each_optimizer
@pytest.mark.parametrize("backend", ["jax"], indirect=True)
def test_a_step_jitted_by_jax(
    optimizer: Optimizer, backend: Backend, dtype: str, problem: Problem
) -> None:
    """Ten steps equal the eager ones, and are traced once: what changes is an array."""
    jax = pytest.importorskip("jax")
    here = problem.on(backend, dtype)
    objective = Objective(here.network, softmax_cross_entropy, alpha=0.1)
    traces = []

    def step(*args: Any, **kwargs: Any) -> Any:
        traces.append(1)
        return training_step(objective, optimizer, *args, **kwargs)

    def ten_steps(step: Any) -> tuple[Any, ...]:
        params, state = here.params, optimizer.init(here.params)
        for coefficients in step_coefficients(optimizer, 0.05, 1, 10, params):
            params, state, value = step(
                params, state, here.X, here.targets, coefficients
            )
        return params, *state, value

    actual = ten_steps(jax.jit(step))
    assert len(traces) == 1
    desired = ten_steps(partial(training_step, objective, optimizer))
    for a, d in zip(actual, desired, strict=True):
        assert_close(a, d, factor=TEN_STEPS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("backend", ["jax"], indirect=True)
def test_a_gradient_jitted_by_jax_is_its_own(
    activation: str, backend: Backend, rng: np.random.Generator
) -> None:
    """JAX differentiates the loss by itself, and finds what is written out by hand."""
    jax = pytest.importorskip("jax")
    here = Problem.draw(rng, (5, 3), activation).on(backend)
    objective = Objective(here.network, softmax_cross_entropy, alpha=0.1)
    value_and_gradient = jax.jit(objective.value_and_gradient)
    value, d_params = value_and_gradient(here.params, here.X, here.targets)
    desired, d_desired = jax.value_and_grad(
        lambda params: objective.value_and_gradient(params, here.X, here.targets)[0]
    )(here.params)
    assert_close(value, desired, factor=TEN_STEPS)
    assert_close(d_params, d_desired, factor=TEN_STEPS)


@each_optimizer
@pytest.mark.parametrize(
    ("loss", "n_outputs"), [(softmax_cross_entropy, 3), (sigmoid_cross_entropy, 1)]
)
@pytest.mark.parametrize("buffered", [False, True])
def test_a_step_on_torchs_meta_device(
    optimizer: Optimizer,
    loss: Loss,
    n_outputs: int,
    buffered: bool,
    dtype: str,
    rng: np.random.Generator,
) -> None:
    """Shapes, dtypes and devices follow without a value: nothing is read."""
    pytest.importorskip("torch")
    meta = get_backend("torch:meta")
    here = Problem.draw(rng, n_outputs=n_outputs).on(meta, dtype)
    state = optimizer.init(here.params)
    (coefficients,) = step_coefficients(optimizer, 0.1, 1, 1, here.params)
    params, new_state, value = training_step(
        Objective(here.network, loss, alpha=0.1),
        optimizer,
        here.params,
        state,
        here.X,
        here.targets,
        coefficients,
        here.network.buffers(here.params, 8) if buffered else None,
        weights=here.X[:, 0],
    )
    assert value.shape == ()
    for array in (params, *new_state):
        assert array.shape == here.params.shape
    for array in (params, *new_state, value):
        assert meta.holds(array)
        assert array.dtype == getattr(meta.xp, dtype)


def test_the_meta_device_refuses_to_be_read() -> None:
    """What the test above rests on."""
    pytest.importorskip("torch")
    x = get_backend("torch:meta").asarray(np.ones(3))
    with pytest.raises(RuntimeError):
        float(x[0])
