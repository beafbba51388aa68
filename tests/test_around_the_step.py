"""Around the step: gradients clipped or gathered in parts, and weights averaged."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from problems import WRITING, Problem
from tolerances import CLIPPED, EXACT, FITTED, ONE_PASS, ROUNDING, TEN_STEPS

from xpnet import Backend, MLPClassifier, MLPRegressor, get_backend
from xpnet._namespace import array_namespace, to_numpy
from xpnet._typing import Array
from xpnet.losses import softmax_cross_entropy
from xpnet.optimizers import SGD, Adam, Averaged, Muon
from xpnet.schedules import Constant
from xpnet.testing import assert_close, check_gradients
from xpnet.training import (
    Accumulated,
    Clipped,
    Data,
    Differentiable,
    Objective,
    Plateau,
    Progress,
    step_coefficients,
    train,
    training_step,
)

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    """Eight samples, in parts of three and a last one of two."""
    return Problem.draw(rng, (5, 3))


def objective_of(problem: Problem, alpha: float = 0.5) -> Objective:
    return Objective(problem.network, softmax_cross_entropy, alpha)


AROUND: dict[str, Callable[[Objective], Differentiable]] = {
    "clipped": partial(Clipped, max_norm=0.1),
    "in parts": partial(Accumulated, part_size=3),
    "both": lambda objective: Clipped(Accumulated(objective, 3), 0.1),
}

each_around = pytest.mark.parametrize("around", AROUND)


def both_ways(
    objective: Differentiable, here: Problem, weights: Array | None = None
) -> list[tuple[Array, Array]]:
    """Return value and gradient of the flat vector, in buffers and not, and in pieces."""
    data, network = (here.X, here.targets), here.network
    out = objective.buffers(here.params, here.X.shape[0])
    value, pieces = objective.value_and_gradients(
        network.views(here.params), *data, weights=weights
    )
    return [
        objective.value_and_gradient(here.params, *data, out, weights=weights),
        objective.value_and_gradient(here.params, *data, weights=weights),
        (value, network.flatten(pieces)),
    ]


# ------------------------------------------------------------------------------ clipped


@pytest.mark.parametrize("max_norm", [0.01, 0.5, 1e3])
def test_gradients_are_clipped_as_torchs_are(
    max_norm: float, backend: Backend, dtype: str, problem: Problem
) -> None:
    torch = pytest.importorskip("torch")
    here = problem.on(backend, dtype)
    plain = objective_of(here)
    value, d_params = plain.value_and_gradient(here.params, here.X, here.targets)
    pieces = [
        torch.nn.Parameter(torch.tensor(to_numpy(piece)))
        for pair in here.network.views(d_params)
        for piece in pair
    ]
    for piece in pieces:
        piece.grad = piece.detach().clone()
    norm = torch.nn.utils.clip_grad_norm_(pieces, max_norm)
    desired = here.network.flatten(
        [
            (backend.asarray(W.grad.numpy()), backend.asarray(b.grad.numpy()))
            for W, b in zip(pieces[::2], pieces[1::2], strict=True)
        ]
    )
    assert (float(norm) > max_norm) == (max_norm < 1e3)
    for found, clipped in both_ways(Clipped(plain, max_norm), here):
        assert_close(found, value, factor=ONE_PASS)
        assert_close(clipped, desired, factor=ONE_PASS)


def test_a_gradient_of_zero_stays(backend: Backend, dtype: str) -> None:
    """Nothing is divided by its length."""
    problem = Problem.draw(np.random.default_rng(0))
    here = problem.on(backend, dtype)
    weights = backend.asarray(np.zeros(8), dtype)
    for _, d_params in both_ways(Clipped(objective_of(here, 0.0), 1.0), here, weights):
        assert_close(d_params, 0.0 * here.params, factor=EXACT)


# ----------------------------------------------------------------------------- in parts


@pytest.mark.parametrize("part_size", [1, 3, 4, 7, 8, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_are_the_whole(
    part_size: int, weighted: bool, backend: Backend, dtype: str, problem: Problem
) -> None:
    here = problem.on(backend, dtype)
    weights = None
    if weighted:  # a part of three without weight
        weights = backend.asarray(np.asarray([0.0, 0, 0, 2, 1, 0, 4, 3]), dtype)
    plain = objective_of(here)
    value, d_params = plain.value_and_gradient(
        here.params, here.X, here.targets, weights=weights
    )
    for found, total in both_ways(Accumulated(plain, part_size), here, weights):
        assert_close(found, value, factor=ONE_PASS)
        assert_close(total, d_params, factor=ONE_PASS)


def test_a_batch_without_weight_has_the_penalty_alone(
    backend: Backend, problem: Problem
) -> None:
    here = problem.on(backend)
    weights = backend.asarray(np.zeros(8))
    plain = objective_of(here)
    value, d_params = plain.value_and_gradient(
        here.params, here.X, here.targets, weights=weights
    )
    for found, total in both_ways(Accumulated(plain, 3), here, weights):
        assert_close(found, value, factor=ONE_PASS)
        assert_close(total, d_params, factor=ONE_PASS)


def test_the_gradient_is_that_of_the_value(problem: Problem) -> None:
    parts = Accumulated(objective_of(problem), 3)

    def function(params: Array) -> tuple[Any, Any]:
        return parts.value_and_gradient(params, problem.X, problem.targets)

    check_gradients(function, problem.params)


def test_buffers_are_those_of_parts(problem: Problem) -> None:
    """That's the point: a batch of any size in the memory of a part."""
    out = Accumulated(objective_of(problem), 3).buffers(problem.params, 8)
    assert [part.layers[0].A.shape[0] for part in out.parts] == [3, 3, 2]
    assert out.parts[0] is out.parts[1]


@each_around
@pytest.mark.parametrize("backend", ["strict-device1"], indirect=True)
def test_a_step_reads_nothing(
    around: str, backend: Backend, problem: Problem, sync_guard: Any
) -> None:
    here = problem.on(backend)
    objective = AROUND[around](objective_of(here))
    optimizer = Averaged(Muon(((4, 5), (5, 3))), 0.9)
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
            objective.buffers(here.params, 8),
            weights=backend.asarray(np.arange(8.0)),
        )


@each_around
@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_ten_steps_with_buffers_and_without(
    around: str, backend: Backend, dtype: str, problem: Problem
) -> None:
    adam, objective = Adam(), AROUND[around](objective_of(problem))

    def ten_steps(*, buffered: bool) -> Array:
        here = problem.on(backend, dtype)
        params, state = here.params, adam.init(here.params)
        out = objective.buffers(params, 8) if buffered else None
        for numbers in step_coefficients(adam, 0.1, 1, 10, params):
            params, state, _ = training_step(
                objective, adam, params, state, here.X, here.targets, numbers, out
            )
        return params

    assert_close(ten_steps(buffered=True), ten_steps(buffered=False), factor=TEN_STEPS)


def run(here: Problem, around: str, compiled: bool | None) -> Progress:
    """Train for three epochs of batches of three and a last one of two."""
    optimizer = Averaged(Adam(), 0.9)
    progress = Progress(
        here.params,
        optimizer.init(here.params),
        Constant(0.05),
        Plateau(0.0, math.inf),
        np.random.RandomState(0),
        averaged=True,
    )
    objective = Objective(here.network, softmax_cross_entropy, 0.1)
    objective = {
        "clipped": Clipped(objective, 0.1),
        "in parts": Accumulated(objective, 2),
        "both": Clipped(Accumulated(objective, 2), 0.1),
    }[around]
    data = Data(here.X, here.targets)
    settings = {"batch_size": 3, "max_iter": 3, "compiled": compiled}
    for _ in train(progress, objective, optimizer, data, **settings):
        pass
    return progress


@each_around
@pytest.mark.parametrize("backend", ["jax"], indirect=True)
def test_compiled_steps_are_plain_ones(
    around: str, backend: Backend, dtype: str, problem: Problem
) -> None:
    """In pieces, and on the flat vector."""
    compiled, plain = (
        run(problem.on(backend, dtype), around, c) for c in (None, False)
    )
    assert_close(compiled.params, plain.params, factor=TEN_STEPS)
    for a, d in zip(compiled.optimizer_state, plain.optimizer_state, strict=True):
        assert_close(a, d, factor=TEN_STEPS)


@each_around
def test_steps_on_every_library(
    around: str, backend: Backend, problem: Problem
) -> None:
    here = run(problem.on(backend), around, None)
    desired = run(problem.on(get_backend("numpy")), around, None)
    for a, d in [
        (here.params, desired.params),
        (here.answering, desired.answering),
    ]:
        factor = EXACT if backend.name.startswith("strict") else TEN_STEPS
        assert_close(to_numpy(a), d, factor=factor)


# ----------------------------------------------------------------------------- averaged


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_is_corrected_for_its_beginning(
    decay: float, backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    """Against its sum, over ten steps of another optimiser."""
    averaged = Averaged(SGD(), decay)
    start, gradients = rng.normal(size=6), rng.normal(size=(10, 6))
    p = backend.asarray(start, dtype, copy=True)
    plain, state = backend.asarray(start, dtype, copy=True), averaged.init(p)
    inner = SGD().init(plain)
    assert_close(state[-1], p, factor=EXACT)
    raw = []
    for t, numbers in enumerate(step_coefficients(averaged, 0.1, 1, 10, p)):
        g = [backend.asarray(gradients[t], dtype, copy=True) for _ in range(2)]
        p, state = averaged.update(p, g[0], state, *numbers)
        plain, inner = SGD().update(plain, g[1], inner, *numbers[:-1])
        assert_close(p, plain, factor=EXACT)  # the steps know nothing of it
        raw.append(np.array(to_numpy(p), dtype="float64"))
        shares = decay ** np.arange(t, -1, -1.0)
        desired = np.tensordot(shares, raw, 1) * (1 - decay) / (1 - decay ** (t + 1))
        assert_close(state[-1], backend.asarray(desired, dtype), factor=TEN_STEPS)


def test_it_is_optaxs_with_its_correction(rng: np.random.Generator) -> None:
    optax = pytest.importorskip("optax")
    averaged, p = Averaged(SGD(), 0.9), rng.normal(size=6)
    state, theirs = averaged.init(p), optax.ema(0.9, debias=True)
    average = theirs.init(p.astype("float32"))
    for t in range(1, 11):
        numbers = averaged.coefficients(0.1, t)
        p, state = averaged.update(p, rng.normal(size=6), state, *numbers)
        desired, average = theirs.update(p.astype("float32"), average)
        found = state[-1].astype("float32")
        assert_close(found, to_numpy(desired), factor=TEN_STEPS)


def test_the_state_of_every_part_is_a_value() -> None:
    for each in (Averaged(Adam(), 0.9), *(f(None) for f in AROUND.values())):  # type: ignore[arg-type]
        assert dataclasses.replace(each) == each
        assert hash(each) == hash(dataclasses.replace(each))


# ------------------------------------------------------------------------ in estimators


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(60, 4))
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)


def model(cls: Any = MLPClassifier, **settings: Any) -> Any:
    defaults = {"batch_size": 12, "learning_rate_init": 0.05, "max_iter": 4}
    defaults |= {"random_state": 0, "hidden_layer_sizes": (6,)}
    return cls(**(defaults | settings))


both = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "muon"])
@pytest.mark.parametrize("weighted", [False, True])
def test_n_batches_a_step_are_one_batch_n_times_as_large(
    solver: str, weighted: bool, cls: Any, backend: Backend, samples: Any
) -> None:
    X, y = samples
    weights = np.linspace(0.0, 2.0, 60) if weighted and cls is MLPClassifier else None
    settings = {"solver": solver, "alpha": 0.5, "dtype": "float32"}
    settings |= {"backend": backend.name, "hidden_layer_sizes": (6, 5)}
    # Sixty in parts of seven, three a step: the last step has two, and one of four.
    parts = model(cls, batch_size=7, accumulate=3, **settings).fit(X, y, weights)
    whole = model(cls, batch_size=21, **settings).fit(X, y, weights)
    assert parts.t_ == whole.t_
    for a, d in zip(parts.coefs_, whole.coefs_, strict=True):
        assert_close(a, d, factor=FITTED)
    curves = [np.asarray(each.loss_curve_, "float32") for each in (parts, whole)]
    assert_close(*curves, factor=FITTED)


def test_a_step_has_no_more_samples_than_there_are(samples: Any) -> None:
    parts = model(batch_size=25, accumulate=9).fit(*samples)
    whole = model(batch_size=60).fit(*samples)
    for a, d in zip(parts.coefs_, whole.coefs_, strict=True):
        assert_close(a, d, factor=FITTED)


def test_sparse_samples_in_parts(samples: Any) -> None:
    scipy_sparse = pytest.importorskip("scipy.sparse")
    X, y = samples
    sparse = model(accumulate=2).fit(scipy_sparse.csr_matrix(X), y)
    dense = model(accumulate=2).fit(X, y)
    assert_close(sparse.coefs_[0], dense.coefs_[0], factor=FITTED)


def test_clipping_binds_and_then_does_not(samples: Any) -> None:
    """Plain gradient descent moves by the rate at most."""
    settings = {"solver": "sgd", "momentum": 0.0, "batch_size": 60, "max_iter": 1}
    before = model(**settings, learning_rate_init=1e-12).fit(*samples)
    for clip_norm in (0.01, 1e3):
        after = model(**settings, clip_norm=clip_norm).fit(*samples)
        moved = [
            a - b
            for name in ("coefs_", "intercepts_")
            for a, b in zip(getattr(after, name), getattr(before, name), strict=True)
        ]
        length = math.sqrt(sum(float(np.sum(d**2)) for d in moved))
        if clip_norm == 0.01:
            np.testing.assert_allclose(length, 0.05 * clip_norm, **CLIPPED)
        else:
            plain = model(**settings).fit(*samples)
            np.testing.assert_array_equal(after.coefs_[0], plain.coefs_[0])


def averages(cls: Any, samples: Any, decay: float, n_epochs: int) -> list[np.ndarray]:
    """Return the averages of the first weights after each epoch, from raw steps."""
    X, y = samples
    raw, found, average = [], [], None
    original = Adam.update

    def spy(self: Any, *args: Any) -> Any:
        params, state = original(self, *args)
        raw.append(params.copy())
        return params, state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adam, "update", spy)
        spied = model(cls, max_iter=n_epochs, tol=0.0, compiled=False)
        for _ in spied.iter_fit(X, y):
            shares = decay ** np.arange(len(raw) - 1, -1, -1.0)
            average = np.tensordot(shares / shares.sum(), raw, 1)
            found.append(average)
    return found


def flat(estimator: Any) -> np.ndarray:
    pieces = [*estimator.coefs_, *estimator.intercepts_]
    return np.concatenate([to_numpy(piece).ravel() for piece in pieces])


@both
def test_the_average_predicts_and_the_steps_go_on(cls: Any, samples: Any) -> None:
    """After each epoch, of fit, of a warm start and of partial_fit."""
    desired = averages(cls, samples, 0.8, 6)
    averaged = model(cls, ema_decay=0.8, tol=0.0, max_iter=6)
    for found, _ in zip(desired, averaged.iter_fit(*samples), strict=True):
        np.testing.assert_allclose(flat(averaged), found, **ROUNDING)
    warm = model(cls, ema_decay=0.8, max_iter=3, warm_start=True)
    warm.fit(*samples)
    np.testing.assert_allclose(flat(warm), desired[2], **ROUNDING)
    held = [W.copy() for W in warm.coefs_], warm.coefs_
    warm.fit(*samples)
    np.testing.assert_allclose(flat(warm), desired[5], **ROUNDING)
    for before, after in zip(*held, strict=True):  # the caller's
        np.testing.assert_array_equal(before, after)
    part = model(cls, ema_decay=0.8)
    for found in desired:
        part.partial_fit(
            *samples, **({"classes": [0, 1]} if cls is MLPClassifier else {})
        )
        np.testing.assert_allclose(flat(part), found, **ROUNDING)


@both
def test_held_out_samples_meet_the_average(cls: Any, samples: Any) -> None:
    X, y = samples
    averaged = model(cls, ema_decay=0.8, tol=0.0)
    for _ in averaged.iter_fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:]):
        score = averaged.score(X[40:], y[40:])
        assert averaged.validation_scores_[-1] == score


def test_the_best_average_is_kept_and_gone_on_from(samples: Any) -> None:
    X, y = samples
    clf = model(ema_decay=0.8, early_stopping=True, max_iter=8, warm_start=True)
    held_out = {"X_val": X[40:], "y_val": y[40:]}
    clf.fit(X[:40], y[:40], **held_out)
    best = clf.best_validation_score_
    assert clf.score(X[40:], y[40:]) == best == max(clf.validation_scores_)
    clf.fit(X[:40], y[:40], **held_out)
    assert clf.score(X[40:], y[40:]) == clf.best_validation_score_ >= best


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "strict"], indirect=True)
def test_it_trains_on_where_it_was_moved(backend: Backend, samples: Any) -> None:
    X, y = samples
    stays = model(ema_decay=0.8).fit(X, y).partial_fit(X, y)
    moves = model(ema_decay=0.8).fit(X, y).to(backend.name)
    moves.partial_fit(backend.asarray(X), y)
    for a, d in zip(moves.coefs_, stays.coefs_, strict=True):
        assert array_namespace(a) is backend.xp
        assert_close(to_numpy(a), d, factor=FITTED)


def test_turned_off_and_on_training_begins_at_the_fitted_weights(samples: Any) -> None:
    clf = model(ema_decay=0.8, warm_start=True).fit(*samples)
    average = flat(clf)
    for ema_decay in (None, 0.5):
        clf.set_params(ema_decay=ema_decay, learning_rate_init=1e-20, max_iter=1)
        np.testing.assert_allclose(flat(clf.fit(*samples)), average, **ROUNDING)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize(
    "settings", [{"clip_norm": 1.0}, {"ema_decay": 0.9}, {"accumulate": 2}], ids=str
)
def test_without_steps_there_is_nothing_around_them(
    settings: dict[str, Any], samples: Any
) -> None:
    (name,) = settings
    lbfgs = {"solver": "lbfgs", "batch_size": "auto", "learning_rate_init": 0.001}
    plain = model(**lbfgs).fit(*samples)
    with pytest.warns(UserWarning, match=f"'lbfgs' ignores {name}, which was set"):
        fitted = model(**lbfgs, **settings).fit(*samples)
    np.testing.assert_array_equal(fitted.coefs_[0], plain.coefs_[0])
