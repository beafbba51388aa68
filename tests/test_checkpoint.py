"""A training that is killed and goes on ends as if nothing had happened."""

import json
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import killed
import numpy as np
import pytest
from killed import assert_same, held_out, learnt, make, problem
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import Backend, MLPClassifier, MLPRegressor, load, save
from xpnet.callbacks import Checkpoint, EarlyStopping, History, TimeLimit
from xpnet.exceptions import (
    CallbackError,
    FileWriteError,
    ModelFileError,
    StaleFitError,
    XpnetError,
)
from xpnet.persistence import read_checkpoint, read_config, write_checkpoint
from xpnet.schedules import Warmup

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# ------------------------------------------------------------------------------ killed

KILLS = int(os.environ.get("XPNET_KILLS", "5"))
"""How often a training is killed; `XPNET_KILLS=50` for a thorough test."""

NUMPY = [(case, "numpy") for case in ("large", *killed.CASES)]
OTHERS = [
    *[("adam", "torch"), ("early stopping", "torch"), ("large", "torch")],
    *[("much", "torch"), ("much", "jax")],
    *[("adam", "jax"), ("callbacks", "jax"), ("no seed", "jax")],
    *[("adam", "strict"), ("callbacks", "strict:device1")],
]
ALL = NUMPY + OTHERS if len(NUMPY) < KILLS else NUMPY


def start(folder: Path, case: str, backend: str, seed: int) -> subprocess.Popen[str]:
    """Start a training, which says when an epoch is over."""
    arguments = [killed.__file__, str(folder), case, backend, str(seed)]
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True
    )


def epochs_of(process: subprocess.Popen[str]) -> Iterator[float]:
    """Yield the time when an epoch is over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Iteration"):
            yield time.monotonic()


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trainings that were not killed, with the times of their epochs."""
    known: dict[tuple[str, str], tuple[Any, list[float]]] = {}

    def reference(case: str, backend: str) -> tuple[Any, list[float]]:
        if (case, backend) not in known:
            folder = tmp_path_factory.mktemp("whole")
            with start(folder, case, backend, 5) as process:
                times = list(epochs_of(process))
                assert process.wait() == 0
            known[case, backend] = dict(np.load(folder / "learnt.npz")), times
        return known[case, backend]

    return reference


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="files that are open stay there")
@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_at_any_moment(kill: int, references: Any, tmp_path: Path) -> None:
    """In an epoch or in the writing of the file, of which there may be none yet."""
    case, backend = ALL[kill % len(ALL)]
    if backend in ("torch", "jax"):
        pytest.importorskip(backend)
    desired, times = references(case, backend)
    with start(tmp_path, case, backend, 5) as process:
        n_epochs = random.randrange(1, len(times))
        for _ in zip(range(n_epochs), epochs_of(process), strict=False):
            pass
        time.sleep(random.uniform(0.0, (times[-1] - times[0]) / len(times)))
        process.kill()
    left = sorted(path.name for path in tmp_path.iterdir())
    sys.stdout.write(f"{case} on {backend} left {left} after {n_epochs} epochs\n")
    # Where there is something to go on with, the process may draw other numbers.
    seed = 99 if any(name.startswith("run.ckpt") for name in left) else 5
    with start(tmp_path, case, backend, seed) as process:
        assert process.wait() == 0
    assert_same(dict(np.load(tmp_path / "learnt.npz")), desired)


# ------------------------------------------------------------------------- interrupted

CASES = [case for case in killed.CASES if case not in ("large", "no seed")]


def interrupted(
    case: str, path: Path, backend: Backend, n_iter: int, **params: Any
) -> Any:
    """Train for some epochs, as if killed in the next one, and return the data."""
    X, y = problem()
    data = backend.asarray(X, "float32"), y
    name = "callbacks" if case == "callbacks" else ""
    epochs = make(case, path, backend.name, **params).iter_fit(*data, **held_out(name))
    for epoch in epochs:
        if epoch.n_iter == n_iter:
            break
    return data


@pytest.mark.parametrize("case", CASES)
def test_goes_on_everywhere(case: str, backend: Backend, tmp_path: Path) -> None:
    """Twice interrupted, on every backend, in float32."""
    path = tmp_path / "run.ckpt"
    few = {"max_iter": 25}
    interrupted(case, path, backend, 7, **few)
    assert read_checkpoint(path)["n_iter"] == 6
    X, y = interrupted(case, path, backend, 11, **few)
    actual = make(case, path, backend.name, **few).fit(X, y, **held_out(case))
    desired = make(case, tmp_path / "other", backend.name, **few)
    desired.fit(X, y, **held_out(case))
    assert desired.n_iter_ > 11
    assert_same(learnt(actual), learnt(desired))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a training is kept."""
    return tmp_path / "run.ckpt"


def quick(path: Path | None, **params: Any) -> Any:
    return make("adam", path, "numpy", **{"max_iter": 8, **params})


def broken_off(path: Path, n_iter: int = 4, **params: Any) -> tuple[Any, Any]:
    """Leave a checkpoint of some epochs, and return the data."""
    data = problem()
    for epoch in quick(path, **params).iter_fit(*data):
        if epoch.n_iter == n_iter + 1:
            break
    assert read_checkpoint(path)["n_iter"] == n_iter
    return data


def fitted(path: Path | None = None, **params: Any) -> Any:
    return quick(path, **params).fit(*problem())


def test_a_checkpoint_changes_nothing(path: Path) -> None:
    assert_same(learnt(fitted(path)), learnt(fitted()))


def test_goes_on_epoch_by_epoch(path: Path) -> None:
    data = broken_off(path)
    clf = quick(path)
    epochs = clf.iter_fit(*data)
    assert clf.n_iter_ == 4
    assert len(clf.loss_curve_) == 4
    assert [epoch.n_iter for epoch in epochs] == [5, 6, 7, 8]
    assert_same(learnt(clf), learnt(fitted()))


@pytest.mark.parametrize(
    "params", [{}, {"ema_decay": 0.9, "normalization": "batch"}], ids=str
)
def test_a_training_that_is_over_is_not_trained_again(
    params: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desired = learnt(fitted(path, **params))
    monkeypatch.setattr("xpnet.training.steps._FlatSteps.take", None)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        again = quick(path, **params).fit(*problem())
    assert_same(learnt(again), desired)


def test_one_that_has_converged_is_over(path: Path) -> None:
    options = {"tol": 1.0, "n_iter_no_change": 2}
    desired = fitted(path, **options)
    assert desired.n_iter_ < 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = fitted(path, **options)
    assert_same(learnt(again), learnt(desired))


def test_a_float32_network_and_weights(path: Path) -> None:
    X, y = problem()
    data = X.astype(np.float32), y, np.linspace(0.5, 2.0, 200)
    desired = quick(None).fit(*data)
    next(epochs := quick(path).iter_fit(*data))
    next(epochs)
    epochs.close()
    assert_same(learnt(quick(path).fit(*data)), learnt(desired))


def test_sparse_samples_and_a_regressor(path: Path) -> None:
    X, y = problem()
    X = csr_array(np.where(np.abs(X) > 1.0, X, 0.0))
    settings: dict[str, Any] = {
        "hidden_layer_sizes": (5,),
        "max_iter": 6,
        "random_state": 0,
        "early_stopping": True,
    }
    desired = MLPRegressor(**settings).fit(X, y)
    for _ in range(2):
        reg = MLPRegressor(**settings).set_callbacks(Checkpoint(path))
        for epoch in reg.iter_fit(X, y):
            if epoch.n_iter == 3:
                break
    reg = MLPRegressor(**settings).set_callbacks(Checkpoint(path)).fit(X, y)
    assert learnt(reg)["0"].tobytes() == learnt(desired)["0"].tobytes()
    X.data[0] += 1.0
    with pytest.raises(CallbackError, match="X was 200"):
        MLPRegressor(**settings).set_callbacks(Checkpoint(path)).fit(X, y)


def test_a_generator_goes_on(path: Path) -> None:
    desired = fitted(random_state=np.random.RandomState(3))
    broken_off(path, random_state=np.random.RandomState(3))
    generator = np.random.RandomState(3)
    actual = fitted(path, random_state=generator)
    assert_same(learnt(actual), learnt(desired))
    assert actual._progress[1].random_state is generator


def test_the_split_of_no_seed_goes_on(path: Path) -> None:
    """What was held out is held out, whatever the generator would draw now."""
    options: dict[str, Any] = {"random_state": None, "early_stopping": True}
    options |= {"normalization": "batch", "dropout": 0.1}
    before = quick(path, **options)
    for epoch in before.iter_fit(*problem()):
        if epoch.n_iter == 5:
            break
    state = read_checkpoint(path)
    clf = quick(path, **options)
    epochs = clf.iter_fit(*problem())
    next(epochs)
    np.testing.assert_array_equal(clf._run.rows, state["rows"])
    np.testing.assert_array_equal(clf._run.held, state["held"])
    np.testing.assert_array_equal(clf._run.sample, problem()[0][state["rows"]])
    assert clf._progress[1].seed == state["progress"]["seed"]
    np.testing.assert_array_equal(clf._run.held_out.y, problem()[1][state["held"]])
    assert clf.validation_scores_ == before.validation_scores_
    epochs.close()


def test_every_some_epochs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    def spy(path: Path, state: Any, previous: Path) -> None:
        kept.append(state["n_iter"])
        write_checkpoint(path, state, previous)

    monkeypatch.setattr("xpnet.callbacks._checkpoint.write_checkpoint", spy)
    clf = quick(None).set_callbacks(Checkpoint(path, every=3))
    clf.fit(*problem())
    assert kept == [3, 6, 8]
    assert sorted(path.parent.iterdir()) == [path, Path(f"{path}.previous")]
    assert read_checkpoint(f"{path}.previous")["n_iter"] == 6


# ------------------------------------------------------------- stopped, for other reasons


def test_ctrl_c(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It strikes within the fifth epoch, which has changed the weights."""
    from xpnet.training.steps import _FlatSteps  # noqa: PLC0415

    take, calls = _FlatSteps.take, []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4 * 7 + 3:
            raise KeyboardInterrupt
        return take(*args)

    monkeypatch.setattr(_FlatSteps, "take", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user"):
        assert fitted(path).n_iter_ == 4
    monkeypatch.undo()
    assert read_checkpoint(path)["n_iter"] == 4
    assert_same(learnt(fitted(path)), learnt(fitted()))


def test_time_that_is_over_within_an_epoch(path: Path) -> None:
    options = {"max_iter": 10**6, "tol": 0.0, "n_iter_no_change": 10**6}
    n_iter = fitted(path, **options, max_time=0.3).n_iter_
    assert read_checkpoint(path)["n_iter"] == n_iter - 1
    more = make("adam", path, "numpy", **options).iter_fit(*problem())
    assert next(more).n_iter == n_iter


def test_a_time_limit_is_no_end(path: Path) -> None:
    options = {"tol": 0.0, "n_iter_no_change": 10**6}

    def limited(max_iter: int) -> Any:
        clf = make("adam", None, "numpy", max_iter=max_iter, **options)
        return clf.set_callbacks(TimeLimit(0.2), Checkpoint(path))

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a limit is no lack of convergence
        first = limited(10**6).fit(*problem())
        second = limited(10**6).fit(*problem())
    assert first.n_iter_ < second.n_iter_ < 10**6
    assert second.loss_curve_[: first.n_iter_] == first.loss_curve_


@pytest.mark.parametrize("by", ["plateau", "callback"])
def test_an_end_stays_one_when_the_time_is_over_as_well(by: str, path: Path) -> None:
    early = EarlyStopping(lambda clf: clf.loss_, mode="max", patience=3)
    others = [early] if by == "callback" else []
    options = {"max_iter": 200, "tol": 1e6, "n_iter_no_change": 5}
    if by == "callback":
        options |= {"tol": 0.0, "n_iter_no_change": 200}
    plain = make("adam", None, "numpy", **options)
    n_iter = plain.set_callbacks(*others).fit(*problem()).n_iter_
    limit = TimeLimit(1000.0)
    clf = make("adam", None, "numpy", **options)
    clf.set_callbacks(Checkpoint(path), limit, *others)
    for epoch in clf.iter_fit(*problem()):
        if epoch.n_iter == n_iter - 1:
            limit._deadline = 0.0
    state = read_checkpoint(path)
    assert (state["n_iter"], state["stopped"]) == (n_iter, True)


def test_stopped_by_a_callback(path: Path) -> None:
    def stopped(path: Path) -> Any:
        clf = make("adam", None, "numpy", max_iter=200)
        early = EarlyStopping(lambda clf: clf.loss_, mode="max", patience=3)
        return clf.set_callbacks(Checkpoint(path), early).fit(*problem())

    desired = stopped(path)
    assert desired.n_iter_ < 20
    state = read_checkpoint(path)
    assert state["stopped"]
    assert_same(learnt(stopped(path)), learnt(desired))


# ----------------------------------------------------------------------------- damaged


def test_every_byte_counts(path: Path) -> None:
    """A bit that flips anywhere, and a file that ends anywhere, are refused."""
    state = {"n_iter": 3, "W": np.arange(6.0), "x": [1.5, None, (2, "text")]}
    write_checkpoint(path, state)
    good = path.read_bytes()
    assert str(read_checkpoint(path)) == str(state)
    for i in range(len(good)):
        damaged = bytearray(good)
        damaged[i] ^= 1 << (i % 8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            read_checkpoint(path)
        path.write_bytes(good[:i])
        with pytest.raises(ModelFileError):
            read_checkpoint(path)


def flipped(data: bytes) -> bytes:
    i = len(data) // 2
    return data[:i] + bytes([data[i] ^ 16]) + data[i + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-9], lambda _: b""])
def test_the_one_before_is_used(path: Path, damage: Any) -> None:
    broken_off(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"goes on from the checkpoint before") as seen:
        clf = fitted(path)
    assert str(path) in str(seen[0].message)
    assert seen[0].filename == __file__
    assert_same(learnt(clf), learnt(fitted()))


def test_the_one_before_is_not_lost(path: Path) -> None:
    """Going on from it, a damaged file must not take its name."""
    broken_off(path)
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="goes on from the checkpoint before"):
        next(quick(path).iter_fit(*problem()))
    assert read_checkpoint(path)["n_iter"] == 3


def test_none_is_whole(path: Path) -> None:
    broken_off(path)
    path.write_bytes(b"")
    Path(f"{path}.previous").write_bytes(flipped(path.read_bytes() + b"12345678"))
    clf = quick(path)
    with pytest.raises(ModelFileError, match="delete both to begin anew"):
        clf.fit(*problem())
    assert not hasattr(clf, "coefs_")
    Path(f"{path}.previous").unlink()
    with pytest.raises(ModelFileError, match="no whole checkpoint before it"):
        clf.fit(*problem())


def test_killed_between_two_names(path: Path) -> None:
    """The new file has not taken its name yet, and the old one has lost it."""
    broken_off(path)
    path.replace(f"{path}.previous")
    assert_same(learnt(fitted(path)), learnt(fitted()))


def test_a_disk_that_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(path)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(FileWriteError, match="No space left"):
        fitted(path)
    monkeypatch.undo()
    assert_same(learnt(fitted(path)), learnt(fitted()))


def test_a_model_is_no_checkpoint(path: Path) -> None:
    clf = fitted()
    save(clf, path)
    with pytest.raises(ModelFileError, match="holds no checkpoint, but a model"):
        read_checkpoint(path)
    write_checkpoint(path, {})
    for read in (load, read_config):
        with pytest.raises(ModelFileError, match="holds no model, but a checkpoint"):
            read(path)


# --------------------------------------------------------------------- another training

X_0, Y_0 = problem()
OTHER: dict[str, tuple[dict[str, Any], Any, str]] = {
    "alpha": ({"alpha": 0.5}, (X_0, Y_0), "alpha was 0.0001 and is 0.5"),
    "max_iter": ({"max_iter": 9}, (X_0, Y_0), "max_iter was 8 and is 9"),
    "layers": (
        {"hidden_layer_sizes": (7,)},
        (X_0, Y_0),
        r"hidden_layer_sizes was \[20\] and is \[7\]",
    ),
    "seed": ({"random_state": 4}, (X_0, Y_0), "random_state was 3"),
    "dtype": ({"dtype": "float32"}, (X_0, Y_0), "dtype was None and is 'float32'"),
    "backend": ({"backend": "strict"}, (X_0, Y_0), "backend was numpy.* and is strict"),
    "rows": ({}, (X_0[1:], Y_0[1:]), "X was 200 .* is 199"),
    "X": ({}, (X_0 + 1e-9 * (X_0[9, 3] == X_0), Y_0), "X was 200"),
    "y": ({}, (X_0, np.roll(Y_0, 1)), "y was"),
    "float32": ({}, (X_0.astype(np.float32), Y_0), "X was 200 × float64"),
    "dropout": ({"dropout": 0.5}, (X_0, Y_0), r"dropout was 0\.0 and is 0\.5"),
    "average": ({"ema_decay": 0.9}, (X_0, Y_0), r"ema_decay was None and is 0\.9"),
    "plan": (
        {"learning_rate": Warmup(2, "cosine")},
        (X_0, Y_0),
        r"learning_rate was 'constant' and is Warmup\[.*2.*'cosine'\]",
    ),
    "weights": ({}, (X_0, Y_0, np.full(200, 2.0)), "sample_weight was None"),
}


@pytest.mark.parametrize("what", OTHER)
def test_another_training_is_refused(what: str, path: Path) -> None:
    params, data, message = OTHER[what]
    broken_off(path)
    before = path.read_bytes()
    clf = quick(path).set_params(**params)
    with pytest.raises(CallbackError, match=f"of another training: .*{message}") as why:
        clf.fit(*data)
    assert isinstance(why.value, (XpnetError, ValueError))
    assert not hasattr(clf, "coefs_")
    assert path.read_bytes() == before


def test_other_held_out_data_and_callbacks_are_refused(path: Path) -> None:
    X, y = problem()
    options = held_out("callbacks")
    X_val, y_val = options["X_val"], options["y_val"]

    def train(X_val: Any, *callbacks: Any) -> Any:
        clf = quick(None).set_callbacks(Checkpoint(path), *callbacks)
        return clf.fit(X, y, X_val=X_val, y_val=y_val)

    train(X_val, EarlyStopping(patience=3))
    with pytest.raises(CallbackError, match="X_val was 100"):
        train(X_val + 1.0, EarlyStopping(patience=3))
    with pytest.raises(CallbackError, match="callbacks was"):
        train(X_val, EarlyStopping(patience=4))
    with pytest.raises(CallbackError, match="callbacks was"):
        train(X_val)


def test_what_may_change(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken_off(path)
    clf = fitted(path, verbose=True, max_time=1e6)
    assert_same(learnt(clf), learnt(fitted()))
    assert capsys.readouterr().out.startswith(f"Going on after epoch 4, from {path}.\n")


def test_of_many_samples_some_are_compared(path: Path) -> None:
    X = np.zeros((20_001, 1))
    X[::2] = 1.0
    y = np.arange(20_001) % 2

    def train(X: Any) -> Any:
        clf = MLPClassifier((2,), max_iter=1, batch_size=5000, random_state=0)
        return clf.set_callbacks(Checkpoint(path)).fit(X, y)

    train(X)
    train(X)
    for row in (0, 20_000):
        other = X.copy()
        other[row] += 1.0
        with pytest.raises(CallbackError, match="X was 20001"):
            train(other)


def test_a_warm_start(path: Path) -> None:
    """It goes on from the same weights only."""
    X, y = problem()

    def warm(path: Path | None) -> Any:
        clf = quick(None, warm_start=True).fit(X, y)
        return clf if path is None else clf.set_callbacks(Checkpoint(path))

    desired = warm(None).fit(X, y)
    for epoch in warm(path).iter_fit(X, y):
        if epoch.n_iter == 3:
            break
    clf = warm(path).fit(X, y)
    assert clf.coefs_[0].tobytes() == desired.coefs_[0].tobytes()
    assert clf.loss_curve_ == desired.loss_curve_
    with pytest.raises(CallbackError, match="the weights to begin from was"):
        clf.fit(X, y)


# ------------------------------------------------------------------------ used otherwise


def test_lbfgs_is_refused(path: Path) -> None:
    clf = MLPClassifier(solver="lbfgs").set_callbacks(Checkpoint(path))
    with pytest.raises(CallbackError, match="L-BFGS, whose state is SciPy's"):
        clf.fit(*problem())
    assert not hasattr(clf, "coefs_")


def test_a_pipeline_has_it_inside(path: Path) -> None:
    X, y = problem()

    def pipe() -> Any:
        return make_pipeline(StandardScaler(), quick(path)).fit(X, y)

    first = pipe()
    assert_same(learnt(pipe()[-1]), learnt(first[-1]))


def test_one_file_for_two_trainings(path: Path) -> None:
    checkpoint = Checkpoint(path)
    data = problem()
    first = quick(None).set_callbacks(checkpoint).iter_fit(*data)
    next(first)
    quick(None).set_callbacks(checkpoint).fit(*data)
    with pytest.raises(StaleFitError, match="a callback of its own"):
        next(first)


@pytest.mark.parametrize("every", [0, 1.5, "2"])
def test_every_must_be_a_count(every: Any) -> None:
    with pytest.raises(CallbackError, match="every must be"):
        Checkpoint("run.ckpt", every=every)


def test_nowhere(path: Path) -> None:
    with pytest.raises(FileWriteError, match="there is no folder"):
        fitted(path / "nowhere")


def test_history_goes_on(path: Path) -> None:
    def watched(path: Path | None, n_iter: int) -> Any:
        history = History()
        callbacks = [history] if path is None else [Checkpoint(path), history]
        for epoch in quick(None).set_callbacks(*callbacks).iter_fit(*problem()):
            if epoch.n_iter == n_iter:
                break
        return history

    watched(path, 4)
    history = watched(path, 8)
    assert history.loss_curve_ == watched(None, 8).loss_curve_
    assert len(history.learning_rates_) == 8


def test_json_alone(path: Path) -> None:
    """Nothing in the file runs when it is read."""
    fitted(path)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert set(header["__metadata__"]) == {"xpnet"}
    assert json.loads(header["__metadata__"]["xpnet"])["format_version"] == 1
