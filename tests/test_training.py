"""Batches, the step, the epoch loop, and when it stops."""

import math
from typing import Any

import numpy as np
import pytest
import sklearn.utils
from problems import WRITING, Problem
from tolerances import EXACT, ONE_PASS, TEN_STEPS

from xpnet import Backend
from xpnet._typing import Array
from xpnet.exceptions import DivergenceError
from xpnet.losses import softmax_cross_entropy
from xpnet.optimizers import SGD, Adam
from xpnet.schedules import Constant
from xpnet.testing import assert_close
from xpnet.training import (
    Data,
    Epoch,
    Objective,
    Plateau,
    Progress,
    batches,
    step_coefficients,
    train,
    training_step,
)


def run(
    problem: Problem, *, alpha: float = 0.0, **options: Any
) -> tuple[list[Epoch], Objective]:
    """Train on a copy of the parameters."""
    objective = Objective(problem.network, softmax_cross_entropy, alpha)
    optimizer = options.pop("optimizer", SGD())
    progress = Progress(
        problem.params,
        optimizer.init(problem.params),
        options.pop("schedule", Constant(0.1)),
        options.pop("plateau", Plateau(0.0, math.inf)),
        options.pop("random_state", np.random.RandomState(0)),
    )
    settings: dict[str, Any] = {"batch_size": 3, "max_iter": 3} | options
    data = Data(problem.X, problem.targets)
    return list(train(progress, objective, optimizer, data, **settings)), objective


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    """Eight samples: batches of three leave a last one of two."""
    return Problem.draw(rng)


# ----------------------------------------------------------------------- the objective


def test_the_penalty_is_over_weights_and_divided_by_the_batch(
    backend: Backend, dtype: str, problem: Problem
) -> None:
    here = problem.on(backend, dtype)
    plain, penalised = (
        Objective(here.network, softmax_cross_entropy, alpha).value_and_gradient(
            here.params, here.X, here.targets
        )[0]
        for alpha in (0.0, 3.0)
    )
    weights = problem.params[: problem.network.n_weights]
    desired = plain + 3.0 / (2.0 * 8) * float(np.sum(weights**2))
    assert_close(penalised, desired, factor=ONE_PASS)


# ----------------------------------------------------------------------------- batches


@pytest.mark.parametrize(
    ("batch_size", "rows"), [(3, [3, 3, 2]), (4, [4, 4]), (8, [8]), (9, [8])]
)
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_cover_all_rows_once(
    batch_size: int,
    rows: list[int],
    shuffled: bool,
    backend: Backend,
    problem: Problem,
) -> None:
    here = problem.on(backend)
    order = np.random.RandomState(0).permutation(8).astype(np.int32)
    data = Data(here.X, here.targets)
    rows_of = data.on_device(order) if shuffled else None
    pieces = [data.take(part) for part in batches(8, batch_size, rows_of)]
    assert [batch.X.shape[0] for batch in pieces] == rows
    expected = order if shuffled else np.arange(8)
    for position, host in enumerate((problem.X, problem.targets)):
        joined = backend.xp.concat([piece[position] for piece in pieces], axis=0)
        assert_close(joined, backend.asarray(host[expected]), factor=EXACT)


def test_batches_in_order_copy_nothing(problem: Problem) -> None:
    data = Data(problem.X, problem.targets)
    for X, targets, _ in map(data.take, batches(8, 3, None)):
        assert np.shares_memory(X, problem.X)
        assert np.shares_memory(targets, problem.targets)


class Recorder(SGD):
    """Gradient descent that stands still."""

    def update(self, params: Array, d_params: Array, state: Any, *_: Array) -> Any:
        del d_params
        return params, state


def orders_seen(problem: Problem, monkeypatch: pytest.MonkeyPatch, **options: Any):
    """Return the order of the samples in each epoch."""
    seen: list[np.ndarray] = []

    def watch(_: Objective, _params: Array, X: Array, *_args: Any, **_kw: Any) -> Any:
        seen.append(X[:, 0])
        return 0.0, None

    monkeypatch.setattr(Objective, "value_and_gradient", watch)
    epochs, _ = run(problem, optimizer=Recorder(), **options)
    rows = np.concatenate(seen).reshape(len(epochs), -1)
    return (rows[:, :, None] == problem.X[:, 0]).argmax(axis=2)


def test_orders_are_scikit_learns(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    actual = orders_seen(problem, monkeypatch)
    random_state, order = np.random.RandomState(0), np.arange(8)
    for row in actual:
        order = sklearn.utils.shuffle(order, random_state=random_state)
        np.testing.assert_array_equal(row, order)


def test_without_shuffle_the_order_stays(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in orders_seen(problem, monkeypatch, shuffle=False):
        np.testing.assert_array_equal(row, np.arange(8))


def test_one_batch_of_all_needs_no_order(problem: Problem) -> None:
    random_state = np.random.RandomState(0)
    run(problem, batch_size=8, random_state=random_state)
    assert random_state.randint(2**31) == np.random.RandomState(0).randint(2**31)


# ---------------------------------------------------------------------------- the step


def test_coefficients_count_steps_from_one(backend: Backend, dtype: str) -> None:
    ref = backend.asarray(np.zeros(1), dtype)
    adam = Adam()
    table = step_coefficients(adam, 0.5, t=9, n_steps=4, ref=ref)
    assert len(table) == 4
    for t, (actual,) in zip(range(9, 13), table, strict=True):
        desired = backend.asarray(adam.coefficients(0.5, t), dtype)[0]
        assert_close(actual, desired, factor=EXACT)


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("backend", ["strict-device1"], indirect=True)
def test_a_step_reads_nothing(
    optimizer: SGD | Adam,
    weighted: bool,
    backend: Backend,
    problem: Problem,
    sync_guard: Any,
) -> None:
    here = problem.on(backend)
    weights = backend.asarray(np.arange(8.0)) if weighted else None
    objective = Objective(here.network, softmax_cross_entropy, alpha=0.1)
    (coefficients,) = step_coefficients(optimizer, 0.1, 1, 1, here.params)
    with sync_guard():
        training_step(
            objective,
            optimizer,
            here.params,
            optimizer.init(here.params),
            here.X,
            here.targets,
            coefficients,
            here.network.buffers(here.params, 8),
            weights=weights,
        )


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_ten_steps_with_buffers_and_without(
    optimizer: SGD | Adam, backend: Backend, dtype: str, problem: Problem
) -> None:
    objective = Objective(problem.network, softmax_cross_entropy, alpha=0.1)

    def ten_steps(*, buffered: bool) -> Array:
        here = problem.on(backend, dtype)
        params, state = here.params, optimizer.init(here.params)
        out = here.network.buffers(params, 8) if buffered else None
        for numbers in step_coefficients(optimizer, 0.1, 1, 10, params):
            params, state, _ = training_step(
                objective, optimizer, params, state, here.X, here.targets, numbers, out
            )
        return params

    assert_close(ten_steps(buffered=True), ten_steps(buffered=False), factor=TEN_STEPS)


# ---------------------------------------------------------------------------- training


def test_training_is_its_steps(backend: Backend, problem: Problem) -> None:
    """Two epochs of three batches, by the loop and by hand."""
    here, by_hand = problem.on(backend), problem.on(backend)
    (*_, last), objective = run(here, optimizer=Adam(), alpha=0.1, max_iter=2)
    adam, params = Adam(), by_hand.params
    state, random_state, order = adam.init(params), np.random.RandomState(0), None
    for epoch in (0, 1):
        permutation = random_state.permutation(8)
        order = permutation if order is None else order[permutation]
        total = 0.0
        for i, rows in enumerate((order[:3], order[3:6], order[6:])):
            value, d_params = objective.value_and_gradient(
                params,
                backend.asarray(problem.X[rows]),
                backend.asarray(problem.targets[rows]),
            )
            (rate,) = adam.coefficients(0.1, 3 * epoch + i + 1)
            rate = backend.asarray([rate], "float64")[0]
            params, state = adam.update(params, d_params, state, rate)
            total += float(value) * len(rows)
    assert_close(last.params, params, factor=TEN_STEPS)
    loss, desired = (backend.asarray([x], "float64") for x in (last.loss, total / 8))
    assert_close(loss, desired, factor=TEN_STEPS)


def test_epochs_are_counted_until_max_iter(problem: Problem) -> None:
    epochs, _ = run(problem, max_iter=4)
    assert [epoch.n_iter for epoch in epochs] == [1, 2, 3, 4]
    assert not any(epoch.converged for epoch in epochs)
    assert all(type(epoch.loss) is float for epoch in epochs)


def test_training_ends_on_the_plateau(problem: Problem) -> None:
    epochs, _ = run(problem, max_iter=50, plateau=Plateau(tol=1e3, patience=2))
    # The first epoch beats infinity; patience is exceeded by the third after it.
    assert [epoch.converged for epoch in epochs] == [False, False, False, True]


@pytest.mark.parametrize(
    ("losses", "reached"),
    [
        ([4.0, 3.0, 2.0, 1.0], [False] * 4),
        ([4.0, 4.0, 4.0, 4.0], [False, False, False, True]),
        ([4.0, 3.5, 3.5, 3.5, 3.5], [False] * 4 + [True]),  # just tol is progress
        ([4.0, 4.0, 3.0, 3.1, 3.2, 3.3], [False] * 5 + [True]),  # counted anew
        ([4.0, 3.8, 3.6, 3.4], [False] * 3 + [True]),  # less than tol an epoch
    ],
)
def test_plateau(losses: list[float], reached: list[bool]) -> None:
    plateau = Plateau(tol=0.5, patience=2)
    assert [plateau.reached(loss) for loss in losses] == reached


def test_infinite_patience() -> None:
    plateau = Plateau(tol=1e3, patience=math.inf)
    assert not any(plateau.reached(1.0) for _ in range(100))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("backend", ["strict-device1"], indirect=True)
def test_an_epoch_is_read_once(
    batch_size: int, backend: Backend, problem: Problem, host_reads: Any
) -> None:
    with host_reads() as reads:
        epochs, _ = run(problem.on(backend), optimizer=Adam(), batch_size=batch_size)
    # However many steps: the loss, with the largest parameter.
    assert reads == ["to_device"] * len(epochs)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_divergence_ends_training_where_it_happens(
    backend: Backend, problem: Problem
) -> None:
    """The penalty's step makes weights 1e100 times larger: the third squares to inf."""
    here = problem.on(backend)
    sgd = SGD(momentum=0.0)
    progress = Progress(
        here.params,
        sgd.init(here.params),
        Constant(1e100),
        Plateau(0.0, math.inf),
        np.random.RandomState(0),
    )
    objective = Objective(here.network, softmax_cross_entropy, alpha=8.0)
    data = Data(here.X, here.targets)
    epochs = train(progress, objective, sgd, data, batch_size=8, max_iter=50)
    assert [math.isfinite(next(epochs).loss) for _ in range(2)] == [True, True]
    with pytest.raises(DivergenceError) as caught:
        next(epochs)
    message = str(caught.value)
    assert "diverged in epoch 3:" in message
    for remedy in ("StandardScaler", "learning_rate_init", "alpha"):
        assert remedy in message
