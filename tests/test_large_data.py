"""Batches that come one by one: from iterators, Parquet files and dask arrays."""

import _thread
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from tolerances import DRIFTING, EXACT, FITTED

from xpnet import Backend, MLPClassifier, MLPRegressor
from xpnet import _namespace as ops
from xpnet._streams._blocks import mixed
from xpnet.callbacks import Checkpoint, EarlyStopping, History, TimeLimit
from xpnet.datasets import Batches
from xpnet.exceptions import DataError, DivergenceError, MissingDependencyError
from xpnet.inspection import find_learning_rate
from xpnet.testing import assert_close
from xpnet.training import ahead

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

SIZE = 64
N = 330  # the last batch is short
Made = Callable[[], Iterator[Any]]

quick = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(N, 5))


@pytest.fixture
def y(X: np.ndarray) -> np.ndarray:
    return np.digitize(X[:, 0] - X[:, 1], [-0.5, 0.5])


def cut(*arrays: Any) -> Made:
    """Return a function that makes batches of arrays in their order."""
    return lambda: (
        tuple(_rows(x, start) for x in arrays) for start in range(0, N, SIZE)
    )


def _rows(x: Any, start: int) -> Any:
    rows = slice(start, min(start + SIZE, N))
    return x[rows, :] if x.ndim == 2 else x[rows]


def assert_same_weights(actual: Any, desired: Any, factor: float = EXACT) -> None:
    arrays = [e.coefs_ + e.intercepts_ for e in (actual, desired)]
    for one, other in zip(*arrays, strict=True):
        assert_close(one, other, factor=factor)


# ------------------------------------------------------------------------ the same as arrays

VARIANTS = [
    {},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"learning_rate": "cosine", "solver": "adamw"},
    {"dropout": 0.3, "input_dropout": 0.1, "mixup": 0.4},
    {"normalization": "batch", "label_smoothing": 0.1, "ema_decay": 0.9},
    {"solver": "muon", "clip_norm": 1.0, "max_norm": 2.0, "l1": 1e-3},
    {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda x: "-".join(x) or "plain")
def test_the_same_batches_give_the_same_bits(
    variant: dict[str, Any], X: np.ndarray, y: np.ndarray
) -> None:
    desired = MLPClassifier(**quick, **variant, shuffle=False, batch_size=SIZE)
    desired.fit(X, y)
    source = [*cut(X, y)()]  # a list has a length, which plans ask for
    actual = MLPClassifier(**quick, **variant).fit(Batches(source))
    assert actual.loss_curve_ == desired.loss_curve_
    assert actual.t_ == desired.t_
    assert_same_weights(actual, desired)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_batches_on_each_backend(
    backend: Backend, dtype: str, weighted: bool, X: np.ndarray, y: np.ndarray
) -> None:
    X = X.astype(dtype)
    weights = np.linspace(0.5, 1.5, N).astype(dtype)
    arrays = (X, y, weights) if weighted else (X, y)
    there = [backend.asarray(X), *arrays[1:]]
    clf = MLPClassifier(**quick, dtype=dtype, dropout=0.2, normalization="batch")
    desired = MLPClassifier(**clf.get_params()).set_params(
        shuffle=False, batch_size=SIZE
    )
    desired.fit(*there)
    clf.fit(Batches(cut(*there)))
    assert_same_weights(clf, desired, FITTED)
    assert type(clf.coefs_[0]) is type(desired.coefs_[0])
    held = MLPClassifier(**quick, backend=backend.name, dtype=dtype)  # moved by batch
    assert backend.holds(held.fit(Batches(cut(*arrays))).coefs_[0])


def test_a_regressor_of_two_outputs_and_sparse_batches(
    X: np.ndarray, rng: np.random.Generator
) -> None:
    targets = rng.normal(size=(N, 2))
    reg = MLPRegressor(**quick)
    desired = MLPRegressor(**quick, shuffle=False, batch_size=SIZE).fit(X, targets)
    assert_same_weights(reg.fit(cut(X, targets)), desired)
    sparse = scipy.sparse.csr_array(X)
    desired.fit(sparse, targets)
    assert_same_weights(reg.fit(Batches(cut(sparse, targets))), desired)


def test_a_source_may_write_into_its_arrays_again(X: np.ndarray) -> None:
    buffers = np.empty((SIZE, 5)), np.empty(SIZE)

    def make() -> Iterator[Any]:
        for X_batch, y_batch in cut(X, X[:, 0])():
            n = len(X_batch)
            buffers[0][:n], buffers[1][:n] = X_batch, y_batch
            yield buffers[0][:n], buffers[1][:n]

    desired = MLPRegressor(**quick).fit(Batches(cut(X, X[:, 0])))
    assert_same_weights(MLPRegressor(**quick).fit(Batches(make)), desired)


def test_iter_fit_and_going_on(X: np.ndarray, y: np.ndarray) -> None:
    whole = MLPClassifier(**quick).fit(Batches(cut(X, y)))
    stepwise = MLPClassifier(**quick)
    assert [epoch.loss for epoch in stepwise.iter_fit(cut(X, y))] == whole.loss_curve_
    assert_same_weights(stepwise, whole)
    warm = MLPClassifier(**(quick | {"max_iter": 2}), warm_start=True)
    for _ in range(2):
        warm.fit(Batches(cut(X, y)))
    assert_same_weights(warm, whole)


# ---------------------------------------------------------------------------------- labels


def test_labels_are_found_in_all_batches(X: np.ndarray) -> None:
    y = np.repeat(["a", "b", "cc"], N // 3)  # the first batch has one of them
    clf = MLPClassifier(**quick).fit(Batches(cut(X, y)))
    assert clf.classes_.tolist() == ["a", "b", "cc"]
    listed = MLPClassifier(**quick).fit(Batches(cut(X, y), classes=["cc", "a", "b"]))
    assert_same_weights(listed, clf)


def test_several_outputs_and_several_labels(X: np.ndarray, y: np.ndarray) -> None:
    two = np.stack([y, np.arange(N) // 90 + 5], axis=1)
    clf = MLPClassifier(**quick).fit(Batches(cut(X, two)))
    assert [each.tolist() for each in clf.classes_] == [[0, 1, 2], [5, 6, 7, 8]]
    labels = np.stack([y > 0, y > 1], axis=1).astype(int)
    assert MLPClassifier(**quick).fit(Batches(cut(X, labels))).n_outputs_ == 2


def test_an_unknown_label_names_its_batch(X: np.ndarray, y: np.ndarray) -> None:
    y[200] = 7
    with pytest.raises(DataError, match=r"Batch 4 of the epoch.*\[7\]"):
        MLPClassifier(**quick).fit(Batches(cut(X, y), classes=[0, 1, 2]))


# --------------------------------------------------------------------- what an epoch is


def test_steps_per_epoch_cut_what_never_ends(X: np.ndarray, y: np.ndarray) -> None:
    def forever() -> Iterator[Any]:
        while True:
            yield from cut(X, y)()

    given = {"steps_per_epoch": 3, "classes": [0, 1, 2]}
    made = MLPClassifier(**quick).fit(Batches(forever, **given))
    assert made.t_ == 2 * N  # four epochs of three, of six batches that come round
    once = MLPClassifier(**quick).fit(Batches(forever(), **given))
    round_again = MLPClassifier(**quick).fit(Batches(cut(X, y), **given))
    assert_same_weights(once, made)
    assert_same_weights(round_again, made)


def test_a_generator_is_refused_with_the_remedy(X: np.ndarray, y: np.ndarray) -> None:
    for source in (cut(X, y)(), iter([(X, y)])):
        with pytest.raises(DataError, match=r"pass the function.*steps_per_epoch"):
            MLPClassifier(**quick).fit(source)


def test_what_is_used_up_is_named(X: np.ndarray, y: np.ndarray) -> None:
    used = cut(X, y)()
    with pytest.raises(DataError, match="a new iterator each time"):
        MLPClassifier(**quick).fit(Batches(lambda: used, classes=[0, 1, 2]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lbfgs"}, "all samples at once"),
        ({"early_stopping": True}, "pass X_val"),
        ({"class_weight": "balanced"}, "all labels at once"),
        ({"accumulate": 2}, "more samples"),
        ({"solver": "sgd", "learning_rate": "cosine"}, "steps_per_epoch"),
    ],
)
def test_what_needs_all_samples_is_refused(
    parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    clf = MLPClassifier(**quick, **parameters)
    with pytest.raises(DataError, match=message):
        clf.fit(Batches(cut(X, y)))
    assert not hasattr(clf, "coefs_")


def test_what_is_passed_beside_batches(X: np.ndarray, y: np.ndarray) -> None:
    batches = Batches(cut(X, y))
    with pytest.raises(DataError, match="pass nothing beside"):
        MLPClassifier(**quick).fit(batches, y)
    with pytest.raises(DataError, match="for fit and iter_fit alone"):
        MLPClassifier(**quick).partial_fit(batches, None, classes=[0, 1, 2])
    with pytest.raises(DataError, match="for fit and iter_fit alone"):
        find_learning_rate(MLPClassifier(**quick), batches, None)
    with pytest.warns(UserWarning, match="batch_size=7 is ignored"):
        MLPClassifier(**quick, batch_size=7).fit(batches)
    with pytest.raises(DataError, match="steps_per_epoch must be"):
        Batches([], steps_per_epoch=0)
    with pytest.raises(DataError, match="got 3"):
        Batches(3)
    with pytest.raises(ValueError, match="requires y"):
        MLPClassifier(**quick).fit(X)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (X * np.nan, y), "NaN"),
        (lambda X, y: (X[:, 1:], y), "4 features"),
        (lambda X, y: (X, y[1:]), "inconsistent"),
        (lambda X, y: (X, y, -np.ones(len(X))), "[Nn]egative"),
        (lambda *batch: batch[0], r"expected \(X, y\)"),
        (lambda X, y: (X, y, None, None), "of 4"),
    ],
    ids=["finite", "features", "length", "weights", "no-pair", "too-many"],
)
def test_a_failing_batch_leaves_the_last_epoch(
    backend: Backend, spoil: Any, message: str, X: np.ndarray, y: np.ndarray
) -> None:
    n_epochs, n_closed = 0, 0

    def make() -> Iterator[Any]:
        nonlocal n_epochs, n_closed
        n_epochs += 1
        try:
            for i, (X_batch, y_batch) in enumerate(cut(X, y)()):
                bad = n_epochs == 4 and i == 4  # the first look, and the third epoch
                yield spoil(X_batch, y_batch) if bad else (X_batch, y_batch)
        finally:
            n_closed += 1

    parameters = quick | {"backend": backend.name, "normalization": "batch"}
    two = MLPClassifier(**(parameters | {"max_iter": 2}))
    two.fit(Batches(cut(X, y), classes=[0, 1, 2]))
    clf = MLPClassifier(**parameters)
    with pytest.raises(DataError, match=f"Batch 5 of the epoch.*{message}") as raised:
        clf.fit(Batches(make, classes=[0, 1, 2]))
    assert n_closed == n_epochs == 4, raised  # which would keep a source alive
    assert (clf.n_iter_, clf.t_) == (2, 2 * N)
    assert clf.loss_curve_ == two.loss_curve_
    assert_same_weights(clf, two)
    for one, other in zip(clf.means_, two.means_, strict=True):
        assert_close(one, other, factor=EXACT)
    assert not workers()


def test_divergence_leaves_the_last_epoch(X: np.ndarray) -> None:
    scale = iter([1.0, 1.0] + [1e200] * 9)

    def make() -> Iterator[Any]:
        s = next(scale)
        return ((s * X, y) for X, y in cut(X, X[:, 0])())

    reg = MLPRegressor(**quick, solver="sgd")
    with pytest.raises(DivergenceError):
        reg.fit(Batches(make))
    assert reg.n_iter_ == 1
    assert all(np.isfinite(W).all() for W in reg.coefs_)


# ------------------------------------------------------------------------ following it


def test_callbacks_see_epochs(X: np.ndarray, y: np.ndarray) -> None:
    history = History()
    clf = MLPClassifier(**quick, verbose=True)
    clf.set_callbacks(history, EarlyStopping(monitor="validation_score"))
    clf.fit(Batches(cut(X, y)), X_val=X, y_val=y)
    assert len(history.loss_curve_) == len(clf.validation_scores_) == clf.n_iter_
    stopped = MLPClassifier(**quick, early_stopping=True, n_iter_no_change=1, tol=9.0)
    assert stopped.fit(Batches(cut(X, y)), X_val=X, y_val=y).n_iter_ < 4
    clf = MLPClassifier(**(quick | {"max_iter": 10**6})).set_callbacks(TimeLimit(0.2))
    assert clf.fit(Batches(cut(X, y))).n_iter_ < 10**6


class Mixed:
    """A source that shuffles."""

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y, self.orders = X, y, []

    def __iter__(self) -> Iterator[Any]:
        return cut(self.X, self.y)()

    def shuffled(self, random_state: np.random.RandomState) -> Iterator[Any]:
        order = random_state.permutation(N)
        self.orders.append(order.tolist())
        return cut(self.X[order], self.y[order])()


def test_a_checkpoint_goes_on_with_the_same_orders(
    X: np.ndarray, y: np.ndarray, tmp_path: Path
) -> None:
    batches = Batches(Mixed(X, y))
    whole = MLPClassifier(**quick).fit(batches)
    assert len({tuple(order) for order in batches.source.orders}) == 4
    ordered = MLPClassifier(**quick, shuffle=False).fit(batches)
    assert ordered.loss_curve_ != whole.loss_curve_
    clf = MLPClassifier(**quick).set_callbacks(Checkpoint(tmp_path / "one"))
    for epoch in clf.iter_fit(batches):
        if epoch.n_iter == 3:
            break
    resumed = MLPClassifier(**quick).set_callbacks(Checkpoint(tmp_path / "one"))
    assert next(iter(resumed.iter_fit(batches))).n_iter == 3
    assert resumed.fit(batches).loss_curve_ == whole.loss_curve_
    assert_same_weights(resumed, whole)


def test_statistics_are_of_the_whole_epoch(X: np.ndarray) -> None:
    many = 200  # batches of 64: more rows than are kept, in an order that drifts

    def make() -> Iterator[Any]:
        for i in range(many):
            yield X[:SIZE] + i / many, X[:SIZE, 0]

    reg = MLPRegressor(**(quick | {"max_iter": 1}), normalization="batch")
    reg.fit(Batches(make))
    W, mean = reg.coefs_[0], X[:SIZE].mean(axis=0) + 0.5
    spread = np.abs(np.sum(W, axis=0)) / 12**0.5  # of the drift, one sigma
    assert np.all(np.abs(reg.means_[0] - mean @ W) < DRIFTING * spread)


# ---------------------------------------------------------------------- the thread ahead


def workers() -> list[threading.Thread]:
    return [x for x in threading.enumerate() if x.name == "xpnet-batches"]


def test_items_are_made_ahead_of_their_use() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for i in range(10):
            made.append(i)
            yield i

    items = ahead(make())
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]  # one in use, two ready, one that waits
    items.close()
    assert not workers()


def test_making_and_using_overlap() -> None:
    delay, n = 0.02, 15

    def make() -> Iterator[int]:
        for i in range(n):
            time.sleep(delay)
            yield i

    start = time.monotonic()
    for _ in ahead(make()):
        time.sleep(delay)
    assert time.monotonic() - start < 1.6 * n * delay  # one after the other: 2


def test_errors_and_closings_of_the_thread() -> None:
    closed = []

    def make() -> Iterator[int]:
        try:
            yield 1
            msg = "no more"
            raise LookupError(msg)
        finally:
            closed.append(threading.current_thread().name)

    items = ahead(make())
    assert next(items) == 1
    with pytest.raises(LookupError, match="no more"):
        next(items)
    left = ahead(make())
    next(left)
    left.close()
    assert closed == ["xpnet-batches"] * 2
    assert not workers()


def test_ctrl_c_keeps_the_last_epoch(X: np.ndarray, y: np.ndarray) -> None:
    desired = MLPClassifier(**(quick | {"max_iter": 2})).fit(Batches(cut(X, y)))

    class Stop(History):
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            super().on_fit_task_begin(estimator, context)
            if len(self.learning_rates_) == 3:
                raise KeyboardInterrupt

    clf = MLPClassifier(**quick).set_callbacks(Stop())
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(Batches(cut(X, y)))
    assert_same_weights(clf, desired)
    assert not workers()


def test_ctrl_c_within_an_epoch(X: np.ndarray, y: np.ndarray) -> None:
    desired = MLPClassifier(**(quick | {"max_iter": 2})).fit(Batches(cut(X, y)))
    n_epochs = 0

    def make() -> Iterator[Any]:
        nonlocal n_epochs
        n_epochs += 1
        for i, batch in enumerate(cut(X, y)()):
            if n_epochs == 4 and i == 4:  # the first look, and then the third epoch
                _thread.interrupt_main()
                time.sleep(0.1)
            yield batch

    clf = MLPClassifier(**quick)
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(Batches(make, classes=[0, 1, 2]))
    assert clf.n_iter_ == 2
    assert_same_weights(clf, desired)
    assert not workers()
    more = MLPClassifier(**quick, max_time=1e-9).fit(Batches(cut(X, y)))
    assert (more.n_iter_, more.t_) == (1, SIZE)  # the step under way is the last
    assert not workers()


# ----------------------------------------------------------------------------- Parquet


@pytest.fixture
def folder(X: np.ndarray, y: np.ndarray, tmp_path: Path) -> Path:
    """Two files of three row groups."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = np.asarray(["low", "middle", "high"])[y]
    columns = {f"x{j}": X[:, j] for j in range(5)}
    columns |= {"name": names, "number": X[:, 0] ** 2, "weight": np.ones(N)}
    for i, rows in enumerate((slice(0, 165), slice(165, N))):
        table = pa.table({name: column[rows] for name, column in columns.items()})
        parquet.write_table(table, tmp_path / f"{i}.parquet", row_group_size=55)
    return tmp_path


FEATURES = [f"x{j}" for j in range(5)]


def test_parquet_in_order_is_the_same_as_arrays(
    folder: Path, X: np.ndarray, y: np.ndarray
) -> None:
    names = np.asarray(["low", "middle", "high"])[y]
    batches = Batches.from_parquet(
        folder, "name", features=FEATURES, sample_weight="weight", batch_size=SIZE
    )
    clf = MLPClassifier(**quick, shuffle=False).fit(batches)
    desired = MLPClassifier(**quick, shuffle=False, batch_size=SIZE)
    assert_same_weights(clf, desired.fit(X, names, np.ones(N)))
    assert clf.classes_.tolist() == ["high", "low", "middle"]
    assert clf.feature_names_in_.tolist() == FEATURES
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=FEATURES)
    assert clf.predict(table).tolist() == desired.predict(X).tolist()


def test_parquet_is_shuffled_anew_in_each_epoch(folder: Path, X: np.ndarray) -> None:
    options: Any = {"features": FEATURES, "batch_size": SIZE, "shuffle_buffer": 100}
    batches = Batches.from_parquet(
        [folder / "0.parquet", folder / "1.parquet"], "number", **options
    )
    assert batches.n_batches == 6
    random_state = np.random.RandomState(0)
    passes = [
        np.concatenate([X for X, _ in batches.begin(random_state)]) for _ in range(2)
    ]
    assert not np.array_equal(*passes)
    for rows in passes:
        assert not np.array_equal(rows, X)
        assert np.array_equal(np.sort(rows[:, 0]), np.sort(X[:, 0]))
    assert np.array_equal(np.concatenate([X for X, _ in batches]), X)
    table = pytest.importorskip("pandas").DataFrame(X, columns=FEATURES)
    reg = MLPRegressor(hidden_layer_sizes=(30,), learning_rate_init=0.01, max_iter=60)
    reg.set_params(random_state=0).fit(batches)
    assert reg.score(table, X[:, 0] ** 2) > 0.9
    again = MLPRegressor(**reg.get_params()).fit(batches)
    assert_same_weights(again, reg)


def test_row_groups_and_rows_are_mixed(folder: Path, X: np.ndarray) -> None:
    groups = {group.tobytes() for group in X.reshape(6, 55, 5)}
    random_state = np.random.RandomState(0)
    batches = Batches.from_parquet(
        folder, "name", features=FEATURES, batch_size=55, shuffle_buffer=1
    )
    rows = [X for X, _ in batches.begin(random_state)]
    assert {group.tobytes() for group in rows} == groups  # in another order
    assert not np.array_equal(np.concatenate(rows), X)
    [whole] = mixed([(X, X[:, 0])], N, random_state)
    assert np.array_equal(whole[0][:, 0], whole[1])
    assert np.array_equal(np.sort(whole[1]), np.sort(X[:, 0]))
    assert np.sum(whole[1] == X[:, 0]) < N / 2
    pairs = [len(x) for (x,) in mixed([(X[:40, 0],)] * 3, 60, random_state)]
    assert pairs == [80, 40]


def test_columns_that_cant_be_used(folder: Path) -> None:
    for arguments, message in [
        (("nothing",), r"no columns \['nothing'\]"),
        (("number",), "'name' holds string"),
    ]:
        with pytest.raises(DataError, match=message):
            Batches.from_parquet(folder, *arguments)
    with pytest.raises(DataError, match="no columns that are features"):
        Batches.from_parquet(folder, "name", features=[])


def test_types_and_missing_values(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    dictionary = pa.array(["u", "v", "u"]).dictionary_encode()
    table = pa.table(
        {
            "single": pa.array([1.5, 2.5, 3.5], pa.float32()),
            "flag": [True, None, False],
            "kind": dictionary,
            "gap": [1, None, 3],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    path = tmp_path / "a.parquet"
    [(X, y)] = Batches.from_parquet(path, "kind", features=["single"])
    assert X.dtype == np.float32
    assert y.tolist() == ["u", "v", "u"]
    [(X, _)] = Batches.from_parquet(path, "kind")
    assert X.dtype == np.float64
    assert np.isnan(X[1]).tolist() == [False, True, True]
    with pytest.raises(DataError, match=r"Batch 1 of the epoch.*NaN"):
        MLPClassifier().fit(Batches.from_parquet(path, "kind"))
    with pytest.raises(DataError, match=r"'gap' lacks 1 values in .*a.parquet"):
        list(Batches.from_parquet(path, "gap", features=["single"]))


def test_pyarrow_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
    with pytest.raises(MissingDependencyError, match=r"xpnet\[cli\]"):
        Batches.from_parquet("somewhere", "y")


# -------------------------------------------------------------------------------- dask


def test_dask_arrays_block_by_block(X: np.ndarray, y: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    lazy = da.from_array(X, chunks=(100, 2)), da.from_array(y, chunks=70)
    clf = MLPClassifier(**quick, shuffle=False, batch_size=SIZE)
    desired = MLPClassifier(**clf.get_params()).fit(X, y)
    assert_same_weights(clf.fit(*lazy), desired)
    assert_same_weights(clf.fit(lazy[0], y), desired)
    shuffled = MLPClassifier(**quick).fit(*lazy, sample_weight=da.ones(N, chunks=N))
    assert shuffled.loss_curve_ != desired.loss_curve_
    assert shuffled.t_ == 4 * N
    largest = 0

    def noted(block: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(block))
        return block

    watched = lazy[0].map_blocks(noted, dtype=X.dtype)
    rows = np.concatenate([X for X, *_ in Batches.from_dask(watched, y)])
    assert np.array_equal(rows, X)
    assert largest == 100


def test_dask_arrays_that_cant_be_used(X: np.ndarray, y: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    lazy = da.from_array(X, chunks=100)
    with pytest.raises(DataError, match="y is None"):
        MLPClassifier().fit(lazy)
    with pytest.raises(DataError, match="X has 330 rows, and y has 329"):
        MLPClassifier().fit(lazy, y[1:])
    with pytest.raises(DataError, match="compute_chunk_sizes"):
        MLPClassifier().fit(lazy[lazy[:, 0] > 0], y)
    with pytest.raises(DataError, match="two dimensions"):
        MLPClassifier().fit(lazy[:, 0], y)


# ------------------------------------------------------------------------------ memory

MEASURE = """
import sys, threading, time, warnings
import numpy as np
from xpnet import MLPRegressor
from xpnet.datasets import Batches
warnings.simplefilter("ignore")
kind, path = sys.argv[1:]
reg = MLPRegressor(hidden_layer_sizes=(8,), max_iter=2, random_state=0, batch_size="auto")
def resident():
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["RssAnon" if kind == "map" else "VmRSS"].split()[0]) / 1024
X = np.zeros((400, 25), np.float32)
MLPRegressor(hidden_layer_sizes=(8,), max_iter=1).fit(X, X[:, 0])  # what libraries take themselves
if kind == "parquet":
    import pyarrow.dataset, pyarrow.parquet
    data = (Batches.from_parquet(path, "x0"),)
else:
    X = np.load(path, mmap_mode="r")
    data = X, np.array(X[:, 0])
before, peak, over = resident(), 0.0, False
def watch():
    global peak
    while not over:
        peak = max(peak, resident())
        time.sleep(0.005)
watching = threading.Thread(target=watch)
watching.start()
reg.fit(*data)
over = True
watching.join()
print(peak - before)
"""


def added_megabytes(kind: str, path: Path) -> float:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, path],
        capture_output=True,
        text=True,
        check=False,
        # Arrow's other pools give memory back when they like.
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        },
    )
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout)


linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from /proc"
)


@linux
@pytest.mark.slow
def test_a_parquet_file_larger_than_what_it_takes(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "large.parquet"
    names = [f"x{j}" for j in range(26)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with parquet.ParquetWriter(path, schema, compression="none") as file:
        for _ in range(40):  # row groups of 5 MB
            block = rng.normal(size=(26, 25_000))
            columns = dict(zip(names, block, strict=True))
            file.write_table(pa.table(columns, schema=schema))
    assert path.stat().st_size > 200e6
    assert added_megabytes("parquet", path) < 100


@linux
def test_a_memory_map_is_not_read_into_memory(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "map.npy"
    X = np.lib.format.open_memmap(path, "w+", np.float32, (1_000_000, 25))
    for start in range(0, 1_000_000, 100_000):
        X[start : start + 100_000] = rng.normal(size=(100_000, 25))
    X.flush()
    del X
    assert added_megabytes("map", path) < 40  # of 100


# ---------------------------------------------------------------------------- on a GPU


def test_pinned_memory_is_copied_after_what_is_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for CuPy notes what is asked of it, and in which order."""
    asked: list[str] = []

    class Array(np.ndarray):
        def set(self, x: np.ndarray, stream: Any) -> None:
            asked.append(f"set on {stream.name}")
            self[...] = x

    class Stream:
        def __init__(self, non_blocking: bool = False) -> None:
            self.name = "own" if non_blocking else "steps'"

        def record(self) -> str:
            asked.append(f"record on {self.name}")
            return "event"

        def wait_event(self, event: str) -> None:
            asked.append(f"{self.name} waits for {event}")

        def synchronize(self) -> None:
            asked.append(f"synchronize {self.name}")

    class Place:
        def __enter__(self) -> None:
            asked.append("on the device")

        def __exit__(self, *_: object) -> None:
            asked.append("off")

    cuda = type(sys)("cupy.cuda")
    vars(cuda).update(Stream=Stream, get_current_stream=Stream)
    fake = type(sys)("cupy")
    fake.cuda = cuda
    fake.empty = lambda shape, dtype: np.empty(shape, dtype).view(Array)
    pinned = type(sys)("cupyx")
    pinned.empty_pinned = np.empty
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setitem(sys.modules, "cupyx", pinned)
    x = np.arange(6.0).reshape(2, 3).T  # not in C order
    moved = ops.staged(x, fake, Place(), np.float32)
    assert np.array_equal(moved, x)
    assert moved.dtype == np.float32
    assert asked == [
        "on the device",
        "record on steps'",
        "own waits for event",
        "set on own",
        "synchronize own",
        "off",
    ]


def test_a_plateau_needs_no_number_of_steps(X: np.ndarray, y: np.ndarray) -> None:
    batches = Batches(lambda: iter([(X, y)]))
    clf = MLPClassifier((4,), max_iter=2, learning_rate="plateau", random_state=0)
    assert clf.fit(batches).n_iter_ == 2
    with pytest.raises(ValueError, match="planned over all steps"):
        clf.set_params(learning_rate="cosine").fit(batches)
