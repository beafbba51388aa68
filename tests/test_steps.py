"""The second compile seam: compiled steps give the numbers of plain ones.

What is compiled is seen by counting how often a loss is called: a compiled step calls it
while it is traced, and never again.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from harness import compiler_or_give_up
from problems import Problem
from tolerances import EXACT, TEN_STEPS

from xpnet import Backend, MLPClassifier, MLPRegressor
from xpnet._namespace import to_numpy
from xpnet._typing import Array
from xpnet.backends import compile_step
from xpnet.backends._constants import Constants
from xpnet.losses import huber, softmax_cross_entropy, squared_error
from xpnet.network import Network
from xpnet.optimizers import SGD, Adam, AdamW, Averaged, Muon, NAdam, Optimizer, RMSProp
from xpnet.schedules import Constant
from xpnet.testing import assert_close
from xpnet.training import Data, Epoch, Objective, Plateau, Progress, steps, train

on_jax = pytest.mark.parametrize("backend", ["jax"], indirect=True)

OPTIMIZERS = [
    SGD(momentum=0.0),
    SGD(nesterov=False),
    SGD(),
    Adam(),
    AdamW(),
    NAdam(),
    RMSProp(),
    Muon(((4, 5), (5, 3))),
    Averaged(Adam(), 0.9),
    Averaged(Muon(((4, 5), (5, 3))), 0.9),
]


class Square:
    """An activation of a user's own."""

    def value(self, Z: Array) -> Array:
        return Z * Z

    def derivative(self, Z: Array) -> Array:
        return 2.0 * Z


@dataclass
class Power:
    """One that has no hash."""

    scale: float = 1.0

    def value(self, Z: Array) -> Array:
        return self.scale * Z * Z

    def derivative(self, Z: Array) -> Array:
        return 2.0 * self.scale * Z


class Reading(Square):
    """One that looks at its values, which no compiler has."""

    def value(self, Z: Array) -> Array:
        return Z * Z if float(Z[0, 0]) < math.inf else Z


class Counted:
    """A loss that counts its calls."""

    def __init__(self, loss: Callable[..., Any] = softmax_cross_entropy) -> None:
        self.n_calls = 0

        def function(*args: Any, **kwargs: Any) -> Any:
            self.n_calls += 1
            return loss(*args, **kwargs)

        self.function = function


@pytest.fixture
def problem(rng: np.random.Generator) -> Problem:
    """Eight samples: batches of three leave a last one of two."""
    return Problem.draw(rng, (5, 3))


def run(
    problem: Problem,
    *,
    optimizer: Optimizer | None = None,
    loss: Callable[..., Any] = softmax_cross_entropy,
    weights: Array | None = None,
    **options: Any,
) -> tuple[list[Epoch], Progress]:
    """Train for three epochs."""
    optimizer = Adam() if optimizer is None else optimizer
    progress = Progress(
        problem.params,
        optimizer.init(problem.params),
        Constant(0.05),
        Plateau(0.0, math.inf),
        np.random.RandomState(0),
    )
    settings: dict[str, Any] = {"batch_size": 3, "max_iter": 3} | options
    objective = Objective(problem.network, loss, alpha=0.1)
    data = Data(problem.X, problem.targets, weights)
    return list(train(progress, objective, optimizer, data, **settings)), progress


def check_same(
    actual: tuple[list[Epoch], Progress],
    desired: tuple[list[Epoch], Progress],
    backend: Backend,
    dtype: str,
    factor: float = TEN_STEPS,
) -> None:
    """Compare the losses, the parameters of each epoch, and the optimiser's state."""
    (epochs, progress), (desired_epochs, desired_progress) = actual, desired
    losses = [
        backend.asarray(np.asarray([epoch.loss for epoch in each]), dtype)
        for each in (epochs, desired_epochs)
    ]
    assert_close(*losses, factor=factor)
    for epoch, desired_epoch in zip(epochs, desired_epochs, strict=True):
        assert_close(epoch.params, desired_epoch.params, factor=factor)
    for a, d in zip(
        progress.optimizer_state, desired_progress.optimizer_state, strict=True
    ):
        assert_close(a, d, factor=factor)
    assert progress.n_steps == desired_progress.n_steps
    assert progress.n_seen == desired_progress.n_seen


# ------------------------------------------------------------ the numbers of plain steps

BATCHES: dict[str, dict[str, Any]] = {
    "a short last batch": {},
    "in order": {"shuffle": False},
    "even batches": {"batch_size": 4},
    "all in one batch": {"batch_size": 8},
    "some rows": {"rows": np.asarray([1, 7, 2, 0, 5], np.int32)},
    "some rows in order": {
        "rows": np.asarray([1, 7, 2, 0, 5], np.int32),
        "shuffle": False,
    },
    "some rows in one batch": {
        "rows": np.asarray([1, 7, 2], np.int32),
        "batch_size": 5,
    },
}


@on_jax
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_optimizers(
    optimizer: Optimizer, weighted: bool, backend: Backend, dtype: str, problem: Problem
) -> None:
    """Adam's numbers change from step to step, and are no constants of the code."""
    weights = backend.asarray(np.arange(8.0), dtype) if weighted else None
    actual, desired = (
        run(
            problem.on(backend, dtype),
            optimizer=optimizer,
            weights=weights,
            compiled=compiled,
        )
        for compiled in (None, False)
    )
    check_same(actual, desired, backend, dtype)


@on_jax
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches(
    batches: str, weighted: bool, backend: Backend, dtype: str, problem: Problem
) -> None:
    weights = backend.asarray(np.arange(8.0), dtype) if weighted else None
    actual, desired = (
        run(
            problem.on(backend, dtype),
            weights=weights,
            compiled=compiled,
            **BATCHES[batches],
        )
        for compiled in (None, False)
    )
    check_same(actual, desired, backend, dtype)


@on_jax
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_steps_at_once(
    at_once: int,
    shuffle: bool,
    backend: Backend,
    problem: Problem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three steps an epoch, the last on fewer rows, in one call or several."""
    monkeypatch.setattr(steps._PiecewiseSteps, "at_once", at_once)
    actual, desired = (
        run(problem.on(backend), batch_size=3, compiled=compiled, shuffle=shuffle)
        for compiled in (None, False)
    )
    check_same(actual, desired, backend, "float64")


@on_jax
@pytest.mark.parametrize(
    "loss", [squared_error, partial(huber, delta=0.5)], ids=["squared", "huber"]
)
@pytest.mark.parametrize("activation", [Square(), Power(0.5)], ids=repr)
def test_other_losses_and_activations(
    loss: Any, activation: Any, backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, (5,), activation)
    actual, desired = (
        run(problem.on(backend, dtype), loss=loss, compiled=compiled)
        for compiled in (None, False)
    )
    check_same(actual, desired, backend, dtype)


@on_jax
def test_a_network_of_one_layer(
    backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, ())
    actual, desired = (
        run(problem.on(backend, dtype), compiled=compiled) for compiled in (None, False)
    )
    check_same(actual, desired, backend, dtype)


@pytest.mark.parametrize("backend", ["numpy", "strict", "torch"], indirect=True)
def test_elsewhere_nothing_is_compiled_by_itself(
    backend: Backend, problem: Problem
) -> None:
    loss = Counted()
    run(problem.on(backend), loss=loss.function)
    assert loss.n_calls == 9


@pytest.mark.parametrize("backend", ["numpy", "strict"], indirect=True)
def test_there_is_nothing_to_compile_with(backend: Backend, problem: Problem) -> None:
    actual, desired = (
        run(problem.on(backend), compiled=compiled) for compiled in (True, None)
    )
    check_same(actual, desired, backend, "float64", factor=EXACT)


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, as it loads
@pytest.mark.filterwarnings("ignore:Dynamo detected a call")  # the caches are pure
def test_a_step_compiled_by_torch(backend: Backend, problem: Problem) -> None:
    compiler_or_give_up("c++")
    torch = pytest.importorskip("torch")
    torch.compiler.reset()  # other tests' shapes count towards its limit
    counters = pytest.importorskip("torch._dynamo.utils").counters
    counters.clear()
    here = partial(run, batch_size=4, shuffle=False)
    actual = here(problem.on(backend), compiled=True)
    assert counters["frames"]["ok"] > 0
    assert not counters["graph_break"]
    counters.clear()
    desired = here(problem.on(backend), compiled=False)
    assert not counters["frames"]
    check_same(actual, desired, backend, "float64")


# ----------------------------------------------------------------------- compiled once


@on_jax
def test_a_step_is_compiled_once_a_shape(
    backend: Backend, dtype: str, problem: Problem
) -> None:
    """Nine steps are traced twice: on three rows, and on the last two."""
    loss = Counted()
    run(problem.on(backend, dtype), loss=loss.function)
    assert loss.n_calls == 2
    # Another training, with another learning rate even, compiles nothing.
    run(problem.on(backend, dtype), loss=loss.function, max_iter=5)
    assert loss.n_calls == 2
    # The optimiser's constants are the code's.
    run(problem.on(backend, dtype), loss=loss.function, optimizer=Adam(beta_1=0.5))
    assert loss.n_calls == 4


@on_jax
def test_batches_in_order_are_one_shape(backend: Backend, problem: Problem) -> None:
    loss = Counted()
    run(problem.on(backend), loss=loss.function, shuffle=False, batch_size=2)
    assert loss.n_calls == 1


@on_jax
def test_it_is_not_compiled_where_that_is_not_wanted(
    backend: Backend, problem: Problem
) -> None:
    loss = Counted()
    run(problem.on(backend), loss=loss.function, compiled=False)
    assert loss.n_calls == 9


@pytest.mark.parametrize(
    ("backend", "compiled", "kind"),
    [
        ("jax", None, steps._PiecewiseSteps),
        ("jax", True, steps._PiecewiseSteps),
        ("jax", False, steps._FlatSteps),
        ("numpy", True, steps._FlatSteps),
        ("torch", None, steps._FlatSteps),
    ],
    indirect=["backend"],
)
def test_pieces_are_for_jaxs_compiler(
    backend: Backend, compiled: bool | None, kind: type, problem: Problem
) -> None:
    here = problem.on(backend)
    objective, sgd = Objective(here.network, softmax_cross_entropy), SGD()
    data = Data(here.X, here.targets)
    made = steps.make_steps(
        objective, sgd, data, here.params, sgd.init(here.params), 3, compiled=compiled
    )
    assert type(made) is kind
    params, (velocity,) = made.result()
    assert_close(params, here.params, factor=EXACT)
    assert_close(velocity, 0.0 * here.params, factor=EXACT)


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often the step of an estimator runs as Python."""
    counted: list[int] = []
    plain = steps._piecewise_steps

    def step(*args: Any) -> Any:
        counted.append(1)
        return plain(*args)

    monkeypatch.setattr(steps, "_piecewise_steps", step)
    return counted


def regressor(**parameters: Any) -> MLPRegressor:
    settings = {"hidden_layer_sizes": (5,), "batch_size": 4, "random_state": 0}
    return MLPRegressor(**(settings | parameters))


@on_jax
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"loss": "quantile", "quantile": 0.3},
        {"loss": "huber"},
        {"activation": Square()},
        {"activation": Power()},
    ],
    ids=str,
)
def test_partial_fit_compiles_once(
    parameters: dict[str, Any],
    backend: Backend,
    traces: list[int],
    rng: np.random.Generator,
) -> None:
    X, y = backend.asarray(rng.normal(size=(8, 3))), rng.normal(size=8)
    model = regressor(**parameters)
    for _ in range(4):
        model.partial_fit(X, y)
    assert len(traces) == 1


@on_jax
def test_partial_fit_of_several_outputs_compiles_once(
    backend: Backend, traces: list[int], rng: np.random.Generator
) -> None:
    X = backend.asarray(rng.normal(size=(8, 3)))
    y = np.stack([np.arange(8) % 3, np.arange(8) % 2], axis=1)
    clf = MLPClassifier((5,), batch_size=4, random_state=0)
    clf.partial_fit(X, y, classes=[np.arange(3), np.arange(2)])
    for _ in range(3):
        clf.partial_fit(X, y)
    assert len(traces) == 1


@on_jax
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_an_activation_that_has_changed_is_compiled_anew(
    backend: Backend, rng: np.random.Generator
) -> None:
    X, y = backend.asarray(rng.normal(size=(8, 3))), rng.normal(size=8)
    power = Power()

    def loss() -> float:
        return regressor(activation=power, max_iter=2).fit(X, y).loss_

    first = loss()
    power.scale = 3.0
    assert loss() != first
    power.scale = 1.0
    assert loss() == first


# ------------------------------------------------------------- what counts as the same


def make_square(scale: float) -> type:
    class Square:
        def value(self, Z: Array) -> Array:
            return scale * Z

    return Square


SAME = {
    "numbers": lambda: 0.5,
    "networks": lambda: Network.from_sizes([4, 5, 3], ["tanh"]),
    "losses with parameters": lambda: partial(huber, delta=0.5),
    "objects": lambda: Power(2.0),
    "objects with arrays": lambda: Power(np.ones(3)),
    "optimisers": lambda: Adam(0.5),
}


@pytest.mark.parametrize("kind", SAME)
def test_equal_constants(kind: str) -> None:
    one, other = Constants(SAME[kind]()), Constants(SAME[kind]())
    assert one == other
    assert hash(one) == hash(other)


def test_what_a_network_has_cached_makes_no_difference() -> None:
    network = SAME["networks"]()
    before = Constants(network)
    assert network.n_weights == 35
    assert Constants(network) == before


LAMBDA = lambda x: x

DIFFERENT = {
    "numbers": (0.5, 0.25),
    "objects": (Power(2.0), Power(3.0)),
    "objects with arrays": (Power(np.ones(3)), Power(np.zeros(3))),
    "networks": (Network.from_sizes([4, 3], []), Network.from_sizes([4, 2], [])),
    "losses with parameters": (partial(huber, delta=0.5), partial(huber, delta=1.0)),
    "functions of one name": (lambda x: x, lambda x: -x),
    "classes of one name": (make_square(1.0)(), make_square(2.0)()),
    "optimisers": (Adam(0.5), Adam(0.6)),
    "what can't be written down": ((x for x in "a"), (x for x in "a")),
    "something else": (Adam(), AdamW()),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_different_constants(kind: str) -> None:
    one, other = map(Constants, DIFFERENT[kind])
    assert one == one  # noqa: PLR0124
    assert one != other
    assert one != DIFFERENT[kind][0]


def test_constants_are_safe_from_changes() -> None:
    power = Power(1.0)
    (copy,) = Constants(power).copy()
    power.scale = 2.0
    assert copy.scale == 1.0
    (same,) = Constants(generator := (x for x in "a")).copy()
    assert same is generator
    (function,) = Constants(LAMBDA).copy()
    assert function is LAMBDA


# ------------------------------------------------------------------- donated memory


@on_jax
def test_what_the_caller_holds_stays(
    backend: Backend, dtype: str, problem: Problem
) -> None:
    """The first parameters and state, the data, and the parameters of each epoch."""
    here, optimizer = problem.on(backend, dtype), Adam()
    weights = backend.asarray(np.ones(8), dtype)
    state = optimizer.init(here.params)
    progress = Progress(
        here.params,
        state,
        Constant(0.05),
        Plateau(0.0, math.inf),
        np.random.RandomState(0),
    )
    objective = Objective(here.network, softmax_cross_entropy, alpha=0.1)
    data = Data(here.X, here.targets, weights)
    held, copied = [here.params, *state, *data], []
    for epoch in train(progress, objective, optimizer, data, batch_size=3, max_iter=3):
        held += [epoch.params, *progress.optimizer_state]
        copied += [np.array(to_numpy(x)) for x in held[len(copied) :]]
    assert not any(x.is_deleted() for x in held)
    for x, before in zip(held, copied, strict=True):
        np.testing.assert_array_equal(to_numpy(x), before)


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(60) % 3
    return 2.0 * np.eye(3, 4)[y] + rng.normal(size=(60, 4)), y


def classifier(**parameters: Any) -> MLPClassifier:
    settings = {"hidden_layer_sizes": (5,), "batch_size": 25, "random_state": 0}
    return MLPClassifier(**(settings | parameters))


def check_models(
    actual: Any, desired: Any, backend: Backend, dtype: str = "float64"
) -> None:
    """Compare a model on some backend with one on NumPy."""
    for name in ("coefs_", "intercepts_"):
        for a, d in zip(getattr(actual, name), getattr(desired, name), strict=True):
            assert_close(a, backend.asarray(d, dtype), factor=TEN_STEPS)


@on_jax
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_best_weights_outlive_the_steps_after_them(
    backend: Backend, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = samples
    models = []
    for here in (backend.asarray(X), X):
        model = classifier(early_stopping=True, learning_rate_init=0.05, max_iter=4)
        best, seen = [], [-1.0]
        for _ in model.iter_fit(here, y):
            if model.validation_scores_[-1] > max(seen):
                best = [np.array(to_numpy(W)) for W in model.coefs_]
            seen.append(model.validation_scores_[-1])
        assert seen[-1] < max(seen)
        for W, desired in zip(model.coefs_, best, strict=True):
            np.testing.assert_array_equal(to_numpy(W), desired)
        models.append(model)
    check_models(*models, backend)


@on_jax
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_goes_on_where_it_ended(
    solver: str, backend: Backend, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    """With the optimiser's state, in a second fit and in partial_fit."""
    X, y = samples
    models = []
    for here in (backend.asarray(X), X):
        model = classifier(solver=solver, warm_start=True, max_iter=1)
        weights_before = model.fit(here, y).coefs_
        model.fit(here, y)
        model.partial_fit(here, y)
        assert np.all(np.isfinite(to_numpy(weights_before[0])))
        models.append(model)
    check_models(*models, backend)


# ------------------------------------------------------------------- what goes wrong


@on_jax
def test_a_step_that_can_not_be_compiled_runs_eagerly_after_one_warning(
    backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, (5,), Reading())
    with pytest.warns(
        RuntimeWarning, match="can't be compiled and runs eagerly"
    ) as got:
        actual = run(problem.on(backend, dtype))
    assert len(got) == 1
    desired = run(problem.on(backend, dtype), compiled=False)
    check_same(actual, desired, backend, dtype)


class Broken(Square):
    def value(self, Z: Array) -> Array:
        del Z
        msg = "the user's own mistake"
        raise ZeroDivisionError(msg)


@on_jax
def test_a_mistake_in_the_step_is_no_compilers(
    backend: Backend, rng: np.random.Generator
) -> None:
    problem = Problem.draw(rng, (5,), Broken())
    with pytest.raises(ZeroDivisionError, match="own mistake"):
        run(problem.on(backend))


def test_a_compiler_that_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch does where it has none for this Python."""
    torch = pytest.importorskip("torch")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        msg = "torch.compile is not supported here"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch, "compile", refuse)

    def step(rate: float, p: Any, state: Any) -> Any:
        return p - rate * p, state

    x = torch.ones(2)
    compiled = compile_step(step, (0.25,), x, compiled=True)
    with pytest.warns(RuntimeWarning, match="not supported here"):
        p, _ = compiled(x, ())
    assert p.tolist() == [0.75, 0.75]


@on_jax
def test_arguments_that_were_given_away_hide_no_error(backend: Backend) -> None:
    """A compiled step that fails while it runs has had its arguments' memory."""
    jax = pytest.importorskip("jax")

    def fail(_: Any) -> Any:
        msg = "it failed on the device"
        raise RuntimeError(msg)

    def step(p: Any, state: Any) -> Any:
        shape = jax.ShapeDtypeStruct(p.shape, p.dtype)
        return jax.pure_callback(fail, shape, p) + p, state

    p = backend.asarray(np.ones(2))
    compiled = compile_step(step, (), p)
    with pytest.raises(jax.errors.JaxRuntimeError, match="it failed on the device"):
        compiled(p, ())


@pytest.mark.parametrize("backend", ["jax", "numpy"], indirect=True)
@pytest.mark.parametrize("at", [2, 5])
def test_ctrl_c_within_an_epoch(
    at: int,
    backend: Backend,
    samples: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the first and in the second epoch of three steps: the estimator is fitted."""
    X, y = samples
    here, n_steps = backend.asarray(X), []
    for kind in (steps._FlatSteps, steps._PiecewiseSteps):
        plain = kind.take

        def step(self: Any, *args: Any, plain: Any = plain) -> Any:
            total = plain(self, *args)
            n_steps.append(1)
            if len(n_steps) == at:
                raise KeyboardInterrupt
            return total

        monkeypatch.setattr(kind, "take", step)
    monkeypatch.setattr(steps._PiecewiseSteps, "at_once", 1)
    clf = classifier(max_iter=5)
    with pytest.warns(UserWarning, match="interrupted by user"):
        clf.fit(here, y)
    assert len(n_steps) == at
    assert clf.n_iter_ == at // 3
    probs = to_numpy(clf.predict_proba(here))
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    before = [np.array(to_numpy(W)) for W in clf.coefs_]
    clf.partial_fit(here, y)
    assert clf.n_iter_ == 1
    for W, W_before in zip(clf.coefs_, before, strict=True):
        assert np.all(np.isfinite(to_numpy(W)))
        assert not np.array_equal(to_numpy(W), W_before)


# ------------------------------------------------------------------ threads of the BLAS


@pytest.fixture
def blas_threads() -> Iterator[Callable[[], set[int]]]:
    """Two threads outside, and what there are at the moment."""
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def count() -> set[int]:
        pools = threadpoolctl.threadpool_info()
        return {p["num_threads"] for p in pools if p["user_api"] == "blas"}

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if count() != {2}:
            pytest.skip("NumPy's BLAS can't have two threads here")
        yield count
        assert count() == {2}


@pytest.mark.parametrize(
    ("backend", "width", "inside"),
    [("numpy", 5, {1}), ("numpy", 2000, {2}), ("strict", 5, {2})],
    indirect=["backend"],
)
def test_threads_within_an_epoch_and_between_two(
    backend: Backend,
    width: int,
    inside: set[int],
    blas_threads: Callable[[], set[int]],
    rng: np.random.Generator,
) -> None:
    """A batch of 8 rows by 5 x width weights decides."""
    problem = Problem.draw(rng, (width,) * 2 if width > 5 else (width,)).on(backend)
    seen: list[set[int]] = []

    def loss(*args: Any, **kwargs: Any) -> Any:
        seen.append(blas_threads())
        return softmax_cross_entropy(*args, **kwargs)

    optimizer = SGD()
    progress = Progress(
        problem.params,
        optimizer.init(problem.params),
        Constant(0.0),
        Plateau(0.0, math.inf),
        np.random.RandomState(0),
    )
    data = Data(problem.X, problem.targets)
    objective = Objective(problem.network, loss)
    epochs = train(progress, objective, optimizer, data, batch_size=4, max_iter=3)
    for _ in range(2):
        next(epochs)
        assert blas_threads() == {2}
    epochs.close()
    assert seen == [inside] * 4


def test_threads_after_an_error(
    blas_threads: Callable[[], set[int]], problem: Problem
) -> None:
    def loss(*args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        assert blas_threads() == {1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(problem, loss=loss)
    assert blas_threads() == {2}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_threads_between_the_epochs_of_iter_fit(
    blas_threads: Callable[[], set[int]], samples: tuple[np.ndarray, np.ndarray]
) -> None:
    for _ in classifier(max_iter=2).iter_fit(*samples):
        assert blas_threads() == {2}
