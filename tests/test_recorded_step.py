"""NumPy's steps as a list of calls: the same bits, or none of it."""

import gc
from collections import Counter
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from harness import compiler_or_give_up

from xpnet import MLPClassifier, MLPRegressor, _namespace, _pointwise
from xpnet._tape import Recorded, Tape
from xpnet.backends import _recording, compile_step
from xpnet.datasets import Batches
from xpnet.functional.activations import ACTIVATIONS
from xpnet.inspection import find_learning_rate
from xpnet.regressor import LOSSES

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
    pytest.mark.skipif(
        _namespace.numpy_namespace is not np, reason="NumPy 2.1 is the standard's first"
    ),
]

N_SAMPLES, BATCH, N_EPOCHS = 70, 20, 6  # the last batch has 10
PLAYED = {20: 3 * N_EPOCHS - 3, 10: N_EPOCHS - 3}
"""Two steps of a kind run as they are, and one is recorded."""


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often tapes have been played, by the number of rows."""
    counter, play = Counter[int](), Tape.play

    def watched(tape: Tape) -> None:
        take, (rows, *_) = tape.calls[0]
        counter[len(rows) if take.__name__ == "take" else 0] += 1
        play(tape)

    monkeypatch.setattr(Tape, "play", watched)
    monkeypatch.setattr(_recording, "_BEFORE", 2)
    return counter


@pytest.fixture(params=["numba", "plain", "numba comes"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without numba, with it, or with it from the middle of a training on."""
    loader = type(_pointwise._loader)()
    monkeypatch.setattr(_pointwise, "_loader", loader)
    if request.param == "plain":
        loader.absent = True
        return
    compiler_or_give_up("numba")
    comes = 0 if request.param == "numba" else 20_000
    monkeypatch.setattr(_pointwise, "_BREAK_EVEN", comes)


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(N_SAMPLES, 4))


@pytest.fixture
def y() -> np.ndarray:
    return np.arange(N_SAMPLES) % 3


def build(kind: Any = MLPClassifier, **parameters: Any) -> Any:
    usual = {"hidden_layer_sizes": (7,), "batch_size": BATCH, "max_iter": N_EPOCHS}
    return kind(**{"tol": 0.0, "random_state": 0, **usual, **parameters})


def check_same(one: Any, other: Any) -> None:
    assert one.loss_curve_ == other.loss_curve_
    for x, y in zip(
        [*one.coefs_, *one.intercepts_],
        [*other.coefs_, *other.intercepts_],
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


def check(played: Counter[int], X: Any, y: Any, plays: Any, **options: Any) -> None:
    """Train both ways; compare bits, and how often there was anything to compare."""
    weights = options.pop("sample_weight", None)
    eager, recorded = (
        build(**options, compiled=compiled).fit(X, y, sample_weight=weights)
        for compiled in (False, None)
    )
    check_same(recorded, eager)
    assert played == plays


OPTIONS: list[dict[str, Any]] = [
    *({"activation": name} for name in ACTIVATIONS),
    *({"solver": name} for name in ("adam", "adamw", "nadam", "rmsprop", "muon")),
    {"solver": "sgd"},
    {"solver": "sgd", "momentum": 0.0},
    {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (5, 20, 3)},
    {"alpha": 0.0},
    {"l1": 0.1},
    {"max_norm": 0.5},
    {"dropout": 0.5, "input_dropout": 0.2},
    {"normalization": "layer"},
    {"normalization": "batch"},
    {"label_smoothing": 0.1},
    {"mixup": 0.4},
    {"clip_norm": 0.1},
    {"ema_decay": 0.9},
    {"class_weight": "balanced"},
    {"dtype": "float32"},
    {"dtype": "float32", "dropout": 0.5, "mixup": 0.4, "normalization": "layer"},
]


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_classifier(
    options: dict[str, Any], played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    check(played, X, y, PLAYED, **options)


@pytest.mark.parametrize(
    ("options", "plays"),
    [
        ({"accumulate": 3, "max_iter": 12}, {60: 9, 10: 9}),
        ({"early_stopping": True, "max_iter": 10}, {20: 27, 3: 7}),
        ({"shuffle": False, "batch_size": N_SAMPLES, "max_iter": 8}, {0: 5}),
    ],
    ids=str,
)
def test_other_batches(
    options: Any, plays: Any, played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    check(played, X, y, plays, **options)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_regressor(loss: str, played: Counter[int], X: np.ndarray) -> None:
    check(played, X, np.exp(X[:, 0]), PLAYED, kind=MLPRegressor, loss=loss)


@pytest.mark.parametrize("kind", ["weights", "labels", "outputs"])
def test_other_targets(
    kind: str, played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    weights = np.linspace(0.0, 2.0, N_SAMPLES) if kind == "weights" else None
    Y = {"labels": np.stack([y > 0, y > 1], 1), "outputs": np.stack([y, y % 2], 1)}
    check(played, X, Y.get(kind, y), PLAYED, sample_weight=weights)


def test_a_memory_map(
    tmp_path: Any, played: Counter[int], X: np.ndarray, y: Any
) -> None:
    mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    mapped[...] = X
    check(played, mapped, y, PLAYED)


@pytest.mark.parametrize("reason", ["sparse", "unshuffled", "stream", "short", "large"])
def test_what_runs_as_it_is(
    reason: str, played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    if reason == "stream":
        blocks = [(X[i : i + 10], y[i : i + 10]) for i in range(0, N_SAMPLES, 10)]
        build(max_iter=8, batch_size="auto").fit(Batches(lambda: blocks))
        assert not played
    elif reason == "sparse":
        check(played, scipy.sparse.csr_array(X), y, {})
    else:
        options: dict[str, Any] = {
            "unshuffled": {"shuffle": False},
            "short": {"max_iter": 1},
            "large": {"hidden_layer_sizes": (2**18 // BATCH + 1,)},
        }[reason]
        check(played, X, y, {}, **options)


# ---------------------------------------------------------------- functions of a user's


class Square:
    """A function with no more than the array-API standard."""

    def value(self, Z: Any) -> Any:
        return Z * Z

    def derivative(self, Z: Any) -> Any:
        return 2.0 * Z


class Looks(Square):
    """One that reads numbers."""

    def value(self, Z: Any) -> Any:
        return Z * Z if bool(abs(Z[0, 0]) < 1e9) else Z


class Picks(Square):
    """One that copies what is no view."""

    def value(self, Z: Any) -> Any:
        return Z * Z + 0.0 * Z[:, (0,)]


class Noisy(Square):
    """One that leaves no trace of what it does."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def value(self, Z: Any) -> Any:
        return Z * Z + self.rng.normal(size=Z.shape)


class Counts(Square):
    """One that is not what it was a step before."""

    def __init__(self) -> None:
        self.factor = 1.0

    def value(self, Z: Any) -> Any:
        self.factor *= 0.9
        return self.factor * Z * Z

    def derivative(self, Z: Any) -> Any:
        return 2.0 * self.factor * Z


def test_a_function_of_a_users_own_is_called_each_step(
    played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    check(played, X, y, {}, activation=Square())


def test_unless_it_is_asked_for(
    played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    eager, recorded = (
        build(activation=Square(), compiled=compiled).fit(X, y)
        for compiled in (False, True)
    )
    check_same(recorded, eager)
    assert played == PLAYED


@pytest.mark.parametrize("activation", [Looks, Picks, Counts, Noisy])
def test_what_can_not_be_recorded_runs_eagerly_after_a_warning(
    activation: Any, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpnet._preparation.check_activation", lambda *_: None)
    with pytest.warns(RuntimeWarning, match="runs eagerly") as caught:
        model = build(activation=activation(), compiled=True).fit(X, y)
    assert [each.category for each in caught].count(RuntimeWarning) == 1
    if activation in (Looks, Picks):  # the others are not the same after a call in vain
        check_same(model, build(activation=activation(), compiled=False).fit(X, y))


@pytest.mark.parametrize("number", [np.float64(1.0), 1.0, 1])
def test_numbers_of_a_grid(number: Any, played: Counter[int], X: np.ndarray) -> None:
    options = {"loss": "huber", "huber_delta": number, "dtype": "float32"}
    check(played, X, X[:, 0], PLAYED, kind=MLPRegressor, **options)


def test_another_dtype_is_refused() -> None:
    def step(*args: Any) -> Any:
        params, state, total, *_ = args
        return params, state, total + np.float64(1.0)

    warns = pytest.warns(RuntimeWarning, match="another dtype")
    total = np.zeros((), np.float32)
    taken = take_steps(step, np.ones(1), total, _recording._BEFORE + 1, last=warns)
    assert taken[-1][2].dtype == np.float64


@pytest.mark.parametrize("where", ["recording", "checking", "playing"])
def test_what_interrupts_a_step_gets_out(
    where: str, X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alarm(*_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(_recording, "_BEFORE", 2)
    name = {"recording": "recorded", "checking": "play", "playing": "play"}[where]
    if where == "playing":
        check = _recording._Recording._check

        def checked(*args: Any) -> Any:
            result = check(*args)
            monkeypatch.setattr(Tape, "play", alarm)
            return result

        monkeypatch.setattr(_recording._Recording, "_check", checked)
    else:
        monkeypatch.setattr(Tape, name, alarm)
    with pytest.raises(TimeoutError):
        build().fit(X, y)


def test_trainings_that_take_turns(
    played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    models = [build(compiled=compiled) for compiled in (None, None, False)]
    for _ in zip(*(model.iter_fit(X, y) for model in models), strict=True):
        pass
    assert played[BATCH] == 2 * PLAYED[BATCH]
    for model in models[:2]:
        check_same(model, models[2])


def test_parameters_that_change_between_calls(
    played: Counter[int], X: np.ndarray, y: np.ndarray
) -> None:
    models = [build(compiled=compiled, warm_start=True) for compiled in (None, False)]
    for rate in (0.01, 0.1):
        for model in models:
            model.set_params(learning_rate_init=rate).fit(X, y)
    for scale in (0.5, 2.0):
        for model in models:
            for _ in model.iter_fit(X[:, ::-1], y):
                model.coefs_[0][...] *= scale
    check_same(*models)
    assert played[BATCH] > 3 * PLAYED[BATCH]  # of four trainings


def test_the_rates_that_are_tried(X: np.ndarray, y: np.ndarray) -> None:
    losses = find_learning_rate(build(), X, y).losses
    assert len(set(losses)) == len(losses)


def test_nothing_is_kept(played: Counter[int], X: np.ndarray, y: np.ndarray) -> None:
    gc.collect()
    gc.disable()
    try:
        model = build().fit(X, y)
        assert played == PLAYED
        assert not [x for x in gc.get_objects() if type(x) is Tape]
        assert model.n_iter_ == N_EPOCHS
    finally:
        gc.enable()


# ------------------------------------------------------------------------ arrays of tape


@pytest.fixture
def recorded() -> tuple[np.ndarray, Recorded]:
    x = np.arange(6.0).reshape(2, 3)
    return x, Recorded(x, Tape())


@pytest.mark.parametrize(
    "read",
    [
        bool,
        float,
        int,
        np.asarray,
        np.zeros(3).__getitem__,
        lambda x: x[x > 0.0],
        lambda x: x[[0, 1]],
        lambda x: x[:, (0, 1)],
        lambda x: x[:, True],
        lambda x: np.nan_to_num(x, copy=False),
        lambda x: np.clip(x, 0.0, 1.0, x),
        lambda x: np.arange(9.0).take(x),
        lambda x: np.split(x, 2),
        lambda x: np.copyto(x, 1.0),
        np.modf,
        lambda x: np.add.at(x, 0, 1.0),
        lambda x: x.sum(),
        hash,
        lambda x: np.add(x, 1.0, out=np.zeros((2, 3)), where=np.eye(2, 3) > 0.0),
        lambda x: np.zeros((2, 3)).__iadd__(x),
        lambda x: x.__setitem__(0, 1.0),
    ],
)
def test_what_leaves_the_tape_raises(read: Any, recorded: Any) -> None:
    _, x = recorded
    with pytest.raises((TypeError, AttributeError)):
        read(x[0, 0] if read in (bool, float, int) else x)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x + 1.0,
        lambda x: 1.0 - x.T,
        lambda x: -x[1, :],
        lambda x: x[1, 2] * x,
        lambda x: np.float64(2.0) * x[:, None, 0],
        lambda x: np.ones(2) @ x,
        lambda x: np.matmul(x, x.T, out=np.empty((2, 2))),
        lambda x: np.sum(x, axis=0),
        lambda x: np.sum(x, axis=0, out=np.empty(3)),
        np.max,
        lambda x: np.maximum.reduce(x, axis=1, keepdims=True),
        lambda x: np.take(x, np.asarray([1, 1, 0]), axis=0),
        lambda x: np.take(x, np.asarray([1, 0])),
        lambda x: np.copy(x.T, order="C"),
        lambda x: np.ones(np.shape(x), np.result_type(x)) * np.ndim(x) + x.mT.T,
        lambda x: np.reshape(x.T, (-1,)),
        lambda x: np.where(x > 2.0, x, 0.0),
        lambda x: np.concat([x, x], axis=1),
        lambda x: np.astype(x > 2.0, np.float32),
        lambda x: np.add(x, 1.0, out=x, where=np.eye(2, 3) > 0.0),
        np.zeros_like,
        lambda x: (x > 1.0) & (x < 4.0),
    ],
)
def test_a_tape_gives_what_the_code_gives(compute: Any, recorded: Any) -> None:
    x, traced = recorded
    result = compute(traced)
    np.testing.assert_array_equal(result.array, compute(x))
    x *= -3.0
    traced.tape.play()
    desired = compute(x)
    np.testing.assert_array_equal(result.array, desired)
    assert result.dtype == desired.dtype
    assert result.shape == desired.shape


def test_in_place(recorded: Any) -> None:
    x, traced = recorded
    y = traced
    y -= 1.0
    assert y is traced
    traced.tape.play()
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3) - 2.0)


class Nothing:
    """Data that no step asks for."""

    X = None


def take_steps(step: Any, params: Any, total: Any, n: int, last: Any) -> list[Any]:
    """Take some steps, compiled, the last one under a context; return the results."""
    compiled, data, taken = compile_step(step, (), params, compiled=True), Nothing(), []
    for i in range(n):
        with last if i == n - 1 else nullcontext():
            taken.append(compiled(params, (), total, data, None, (), ()))
    return taken


def test_each_total_is_an_array_of_its_own() -> None:
    def step(*args: Any) -> Any:
        params, state, total, *_ = args
        params += 1.0
        return params, state, total + params[0]

    n = _recording._BEFORE + 4
    taken = take_steps(step, np.zeros(2), np.zeros(()), n, last=nullcontext())
    assert [total.item() for _, _, total in taken] == [*range(1, n + 1)]


def test_a_step_that_fails_changes_nothing() -> None:
    def step(*args: Any) -> Any:
        params, state, total, *_ = args
        params -= 1.0
        float(params[0])
        return params, state, total

    params, n = np.zeros(2), _recording._BEFORE + 1
    warns = pytest.warns(RuntimeWarning, match="numbers of an array are read")
    take_steps(step, params, np.zeros(()), n, last=warns)
    np.testing.assert_array_equal(params, -n)
