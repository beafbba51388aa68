"""The captured step, as far as that goes without a GPU.

Here arrays of NumPy's play CuPy's part. While a *tape* runs, as while a stream captures,
what is asked for is written down and not computed; results are allocated, and hold NaN.
Replaying works on the same memory. So a step that is replayed shows what a graph would:
whether it reads what changes where that is put, and whether it writes in place.
"""

import ctypes
import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tolerances import EXACT, TEN_STEPS

from xpnet import _namespace as ops
from xpnet.backends import _graph, _products, _steps
from xpnet.backends._graph import CapturedStep
from xpnet.backends._products import Products, gemm
from xpnet.exceptions import MissingDependencyError
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Network
from xpnet.optimizers import SGD, Adam, AdamW, Averaged, Muon, NAdam, RMSProp
from xpnet.testing import assert_close
from xpnet.training import Accumulated, Clipped, Objective, step_coefficients
from xpnet.training.batches import Data, batches
from xpnet.training.gradients import PartBuffers
from xpnet.training.noise import Mixup, Numbers
from xpnet.training.steps import _flat_steps

OPTIMIZERS = [
    SGD(),
    SGD(0.0),
    SGD(nesterov=False),
    Adam(),
    AdamW(),
    NAdam(),
    RMSProp(),
    Muon(((4, 5),)),
    Averaged(Muon(((4, 5),)), 0.9),
]

# ------------------------------------------------------------------------------ the GPU


class Tape:
    """What a stream captures."""

    running: "Tape | None" = None

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []

    def launch(self) -> None:
        for call in self.calls:
            call()


def plain(x: Any) -> Any:
    """Return NumPy's view of the memory of arrays, in whatever they are held."""
    if isinstance(x, tuple | list):
        return type(x)(map(plain, x))
    return x.view(np.ndarray) if isinstance(x, Taped) else x


def taped(x: Any) -> Any:
    """Return arrays that a tape can take over, in whatever they are held."""
    if isinstance(x, tuple | list):
        items = map(taped, x)
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    return x.view(Taped) if isinstance(x, np.ndarray) else x


def launched(compute: Callable[[], Any], out: Any = None) -> Any:
    """Compute, or write down how, into memory of its own."""
    result = compute()
    if Tape.running is None:
        return result if out is not None else np.asarray(result).view(Taped)
    memory = np.array(result)
    memory[...] = np.nan if memory.dtype.kind == "f" else 0

    def write() -> None:
        memory[...] = compute()

    Tape.running.calls.append(write)
    return memory.view(Taped)


class Taped(np.ndarray):
    """An array that a tape can take over."""

    __module__ = "numpy"  # where operations look for theirs

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        if function in (np.astype, np.copy, np.take, np.where, np.ones_like):
            return launched(lambda: function(*plain(args), **kwargs))
        known = (np.reshape, np.sum, np.max)  # views, or ufuncs in the end
        if Tape.running is not None and function not in known:
            msg = f"a tape doesn't know {function.__name__}"
            raise NotImplementedError(msg)
        return super().__array_function__(function, types, args, kwargs)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *args: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        args = plain(args)
        call = partial(getattr(ufunc, method), *args, **kwargs)
        if out is None:
            return launched(call)
        (target,) = out
        into = partial(call, out=plain(target))
        if Tape.running is None:
            into()
        else:
            Tape.running.calls.append(into)
        return target

    def copy(self, order: str = "C") -> Any:  # type: ignore[override]
        return launched(lambda: plain(self).copy(order=order))

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        return launched(lambda: plain(self).astype(*args, **kwargs))

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if all(isinstance(i, int) for i in keys):
            key = (*keys, ...)  # CuPy gives an array without axes, a view
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        write = partial(plain(self).__setitem__, key, plain(value))
        if Tape.running is None:
            write()
        else:
            Tape.running.calls.append(write)

    def read(self, *_: Any) -> Any:
        if Tape.running is not None:
            msg = "the host reads while a stream captures"
            raise RuntimeError(msg)
        return plain(self).item()

    __float__ = __bool__ = __int__ = item = read  # type: ignore[assignment]


class Stream:
    """A stream that notes what it is asked for."""

    ptr = 7

    def __init__(self, log: list[str], *, non_blocking: bool = False) -> None:
        assert non_blocking
        self.log = log

    def __enter__(self) -> None:
        self.log.append("enter")

    def __exit__(self, *_: object) -> None:
        self.log.append("exit")

    def synchronize(self) -> None:
        assert Tape.running is None, "it would end the capture"
        self.log.append("synchronize")

    def begin_capture(self) -> None:
        self.log.append("begin")
        Tape.running = Tape()

    def end_capture(self) -> Any:
        self.log.append("end")
        tape, Tape.running = Tape.running, None
        return SimpleNamespace(launch=partial(self.launch, tape))

    def launch(self, tape: Tape) -> None:
        self.log.append("launch")
        tape.launch()


def fake_cupy(log: list[str]) -> Any:
    @contextmanager
    def using_allocator(_: Any) -> Iterator[None]:
        log.append("pool")
        yield
        log.append("pool back")

    current = SimpleNamespace(synchronize=lambda: log.append("wait for others"))
    return SimpleNamespace(
        arange=np.arange,
        empty=lambda shape, dtype: np.empty(shape, dtype).view(Taped),
        cuda=SimpleNamespace(
            Stream=partial(Stream, log),
            MemoryPool=lambda: SimpleNamespace(malloc=None),
            get_current_stream=lambda: current,
            using_allocator=using_allocator,
        ),
    )


class FakeCublas:
    """cuBLAS's product by its definition: matrices are read by columns."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def create(self) -> int:
        self.log.append("create")
        return 11

    def destroy(self, handle: int) -> None:
        self.log.append(("destroy", handle))

    def set_stream(self, handle: int, stream: int) -> None:
        self.log.append(("stream", handle, stream))

    def set_workspace(self, handle: int, address: int, n_bytes: int) -> None:
        assert address
        self.log.append(("workspace", handle, n_bytes))

    def gemm_ex(
        self,
        handle: int,
        transa: int,
        transb: int,
        m: int,
        n: int,
        k: int,
        alpha: int,
        a: int,
        atype: int,
        lda: int,
        b: int,
        btype: int,
        ldb: int,
        beta: int,
        c: int,
        ctype: int,
        ldc: int,
        compute_type: int,
        algo: int,
    ) -> None:
        assert handle == 11
        assert algo == -1
        kinds = {(0, 68): ctypes.c_float, (1, 70): ctypes.c_double}
        number = kinds[atype, compute_type]
        assert atype == btype == ctype
        assert number.from_address(alpha).value == 1.0
        assert number.from_address(beta).value == 0.0

        def matrix(address: int, rows: int, columns: int, ld: int) -> np.ndarray:
            assert ld >= max(rows, 1)  # or cuBLAS refuses
            size = ld * (columns - 1) + rows
            memory = np.ctypeslib.as_array((number * size).from_address(address))
            item = memory.itemsize
            return np.lib.stride_tricks.as_strided(
                memory, (rows, columns), (item, ld * item)
            )

        A = matrix(a, *((k, m) if transa else (m, k)), lda)
        B = matrix(b, *((n, k) if transb else (k, n)), ldb)
        C = matrix(c, m, n, ldc)

        def multiply() -> None:
            C[...] = (A.T if transa else A) @ (B.T if transb else B)

        if Tape.running is None:
            multiply()
        else:
            Tape.running.calls.append(multiply)


@pytest.fixture(autouse=True)
def numpys_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_products, "_address", lambda x: x.ctypes.data)
    yield
    assert Tape.running is None, "a capture was never ended"


# --------------------------------------------------------------------- matrix products


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the same numbers, in memory of every kind."""
    rows, columns = x.shape
    wide = np.full((rows, columns + 3), np.nan, x.dtype)
    wide[:, :columns] = x
    tall = np.full((rows + 2, columns), np.nan, x.dtype, order="F")
    tall[:rows] = x
    apart = np.full((2 * rows, 2 * columns), np.nan, x.dtype)
    apart[::2, ::2] = x
    flat = np.concatenate([[np.nan], x.ravel()]).astype(x.dtype)
    return {
        "C": np.ascontiguousarray(x),
        "F": np.asfortranarray(x),
        "transposed": np.ascontiguousarray(x.T).T,
        "piece of a vector": flat[1:].reshape(x.shape),
        "first columns": wide[:, :columns],
        "first rows, by columns": tall[:rows],
        "apart": apart[::2, ::2],
        "reversed": np.ascontiguousarray(x[::-1])[::-1],
    }


LAYOUTS = list(layouts(np.zeros((1, 1))))
SHAPES = [(4, 3, 2), (1, 3, 2), (4, 1, 2), (4, 3, 1), (1, 3, 1), (1, 1, 1), (2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", list(product(LAYOUTS, LAYOUTS)), ids=" @ ".join)
def test_products(
    layout: tuple[str, str],
    shape: tuple[int, int, int],
    dtype: str,
    rng: np.random.Generator,
) -> None:
    """Every pair of layouts gives NumPy's product, in a buffer or without."""
    m, k, n = shape
    a = layouts(rng.integers(-8, 8, (m, k)).astype(dtype))[layout[0]]
    b = layouts(rng.integers(-8, 8, (k, n)).astype(dtype))[layout[1]]
    products = Products(fake_cupy([]), FakeCublas(), Stream([], non_blocking=True))
    out = np.full((m + 2, n), 0.25, dtype)
    result = products(a, b, out[1:-1])
    assert result.base is out
    assert_close(out[1:-1], a @ b, factor=EXACT)
    assert np.all(out[[0, -1]] == 0.25)
    assert_close(plain(products(a, b)), a @ b, factor=EXACT)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_what_lies_apart_is_copied(layout: str) -> None:
    a = layouts(np.ones((4, 3)))[layout]
    b = layouts(np.ones((3, 2)))[layout]
    found = gemm(a, b, np.empty((4, 2)))
    copied = layout in ("apart", "reversed")
    assert (found.first is not b) == (found.second is not a) == copied


def test_a_layer_copies_nothing() -> None:
    """Forward, dW and dX: W is a piece of a vector, and X.T and W.T are views."""
    X, W, dZ = np.ones((8, 5)), np.ones(20)[5:].reshape(5, 3), np.ones((8, 3))
    for a, b in [(X, W), (X.T, dZ), (dZ, W.T)]:
        found = gemm(a, b, np.empty((a.shape[0], b.shape[1])))
        assert found.first is b
        assert found.second is a


def test_a_product_lies_by_rows() -> None:
    with pytest.raises(ValueError, match="by rows"):
        gemm(np.ones((4, 3)), np.ones((3, 2)), np.empty((2, 4)).T)


def test_the_handle_has_stream_and_workspace() -> None:
    cublas = FakeCublas()
    products = Products(fake_cupy([]), cublas, Stream([], non_blocking=True))
    # In this order: to set a stream takes the workspace away.
    assert cublas.log == ["create", ("stream", 11, 7), ("workspace", 11, 32 << 20)]
    del products
    gc.collect()
    assert cublas.log[-1] == ("destroy", 11)


# --------------------------------------------------------------------- captured, played


class Training:
    """A training on arrays that a tape can take over."""

    def __init__(
        self,
        optimizer: Any,
        *,
        weighted: bool = False,
        seed: int = 5,
        n: int = 22,
        network: dict[str, Any] | None = None,
        around: Callable[[Objective], Any] = lambda objective: objective,
        **options: Any,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.network = Network.from_sizes([4, 5, 3], ["tanh"], **(network or {}))
        self.optimizer = optimizer
        objective = Objective(self.network, softmax_cross_entropy, 0.1, **options)
        self.objective = around(objective)
        self.plain = partial(_flat_steps, self.objective, optimizer)
        weights = rng.uniform(0.5, 2.0, n).view(Taped) if weighted else None
        targets = np.eye(3)[rng.integers(3, size=n)].view(Taped)
        self.data = Data(rng.normal(size=(n, 4)).view(Taped), targets, weights)
        self.params = rng.normal(size=self.network.n_params).view(Taped)
        self.state = taped(optimizer.init(self.params))
        self.orders = [rng.permutation(n).astype(np.int32) for _ in range(20)]

    def buffers(self, n_rows: int) -> Any:
        buffers = taped(self.objective.buffers(self.params, n_rows))
        if isinstance(buffers, PartBuffers):
            parts = [part._replace(params=self.params) for part in buffers.parts]
            return buffers._replace(parts=parts)
        return buffers._replace(params=self.params)

    def run(
        self, step: Callable[..., Any], n_epochs: int = 20, *, shuffle: bool = True
    ) -> Iterator[float]:
        """Take five steps an epoch, in two calls; yield the epoch's loss.

        The first call takes three steps, the second two, the last one on fewer rows.
        """
        full, short = self.buffers(5), self.buffers(2)
        plans = {
            15: ((0, 5, full), (5, 10, full), (10, 15, full)),
            7: ((0, 5, full), (5, 7, short)),
        }
        zero = np.zeros(()).view(Taped)
        for epoch in range(n_epochs):
            rate = 0.05 / (1 + epoch)
            table = step_coefficients(
                self.optimizer, rate, 5 * epoch + 1, 5, plain(self.params)
            )
            draws = self.objective.base.draws(3, 5 * epoch + 1, 22, 5, "float64")
            given = Numbers(np.asarray(table), *draws)
            numbers = taped(Numbers(*(None if x is None else x.copy() for x in given)))
            order = self.orders[epoch].copy().view(Taped) if shuffle else None
            total = zero
            for i, rows in enumerate(batches(22, 15, order)):
                self.params, self.state, total = step(
                    self.params,
                    self.state,
                    total,
                    self.data,
                    rows,
                    numbers.between(3 * i, 3 + 2 * i, 15 * i, 15 + 7 * i),
                    plans[7 if i else 15],
                )
            # What it was handed is its callers'.
            assert float(zero) == 0.0
            for x, kept in zip(numbers, given, strict=True):
                assert kept is None or np.array_equal(plain(x), kept)
            assert order is None or np.array_equal(plain(order), self.orders[epoch])
            yield float(total)


def capturing(step: Callable[..., Any], log: list[str]) -> CapturedStep:
    cupy, cublas = fake_cupy(log), FakeCublas()
    return CapturedStep(step, lambda: (cupy, cublas))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_hundred_steps(optimizer: Any, weighted: bool, shuffle: bool) -> None:
    """Replayed steps are eager ones: rates, rows, and a short last batch change."""
    eager, replayed = (Training(optimizer, weighted=weighted) for _ in range(2))
    log: list[str] = []
    params, state = replayed.params, replayed.state
    step = capturing(replayed.plain, log)
    desired = list(eager.run(eager.plain, shuffle=shuffle))
    actual = list(replayed.run(step, shuffle=shuffle))
    assert len(step.graphs) == 2
    assert log.count("begin") == log.count("end") == 2
    assert log.count("launch") == 40
    assert replayed.params is params
    assert all(x is y for x, y in zip(replayed.state, state, strict=True))
    assert_close(np.asarray(actual), np.asarray(desired), factor=TEN_STEPS)
    for a, d in zip(
        [replayed.params, *replayed.state], [eager.params, *eager.state], strict=True
    ):
        assert_close(plain(a), plain(d), factor=TEN_STEPS)


REGULARISED: dict[str, dict[str, Any]] = {
    "dropout": {"network": {"dropout": [0.2, 0.5]}},
    "layer": {"network": {"normalization": "layer"}},
    "batch": {"network": {"normalization": "batch"}},
    "l1": {"l1": 0.3},
    "max_norm": {"max_norm": 0.5},
    "mixup": {"mixup": Mixup(0.5, lambda targets, _: targets)},
}


@pytest.mark.parametrize("name", REGULARISED)
def test_regularised_steps(name: str) -> None:
    """Masks and mixtures change between replays, and what is new is in place."""
    eager, replayed = (Training(Adam(), **REGULARISED[name]) for _ in range(2))
    step = capturing(replayed.plain, [])
    desired = list(eager.run(eager.plain))
    actual = list(replayed.run(step))
    assert len(step.graphs) == 2
    assert_close(np.asarray(actual), np.asarray(desired), factor=TEN_STEPS)
    assert_close(plain(replayed.params), plain(eager.params), factor=TEN_STEPS)
    without = Training(Adam())
    assert not np.allclose(actual, list(without.run(without.plain)))


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(
    "around",
    [
        partial(Clipped, max_norm=0.1),
        partial(Accumulated, part_size=2),
        lambda objective: Clipped(Accumulated(objective, 2), 0.1),
    ],
    ids=["clipped", "in parts", "both"],
)
def test_what_is_around_the_step_is_captured_too(
    around: Callable[[Objective], Any], weighted: bool
) -> None:
    optimizer = Averaged(Adam(), 0.9)
    eager, replayed = (
        Training(optimizer, weighted=weighted, around=around) for _ in range(2)
    )
    log: list[str] = []
    step = capturing(replayed.plain, log)
    actual, desired = [*replayed.run(step)], [*eager.run(eager.plain)]
    assert_close(np.asarray(actual), np.asarray(desired), factor=TEN_STEPS)
    assert log.count("launch") == 40
    for a, d in zip(
        [replayed.params, *replayed.state], [eager.params, *eager.state], strict=True
    ):
        assert_close(plain(a), plain(d), factor=TEN_STEPS)


def test_the_order_of_capturing() -> None:
    log: list[str] = []
    training = Training(Adam())
    next(training.run(capturing(training.plain, log)))
    capture = ["wait for others", "enter", "pool", "synchronize", "begin", "end"]
    capture += ["pool back", "exit", "launch"]
    assert log == [*capture, *capture]


def test_all_in_one_batch() -> None:
    """Nothing is gathered, and there are no row numbers to bring."""
    eager, replayed = Training(Adam()), Training(Adam())
    log: list[str] = []
    results = []
    for training, step in [
        (eager, eager.plain),
        (replayed, capturing(replayed.plain, log)),
    ]:
        plan = ((0, 22, training.buffers(22)),)
        total = np.zeros(()).view(Taped)
        for t in range(1, 4):
            table = np.asarray([training.optimizer.coefficients(0.1, t)])
            numbers = Numbers(table.view(Taped))
            training.params, training.state, total = step(
                training.params,
                training.state,
                total,
                training.data,
                None,
                numbers,
                plan,
            )
        results.append([plain(total), plain(training.params)])
    assert log.count("begin") == 1
    for a, d in zip(*results, strict=True):
        assert_close(a, d, factor=TEN_STEPS)


def test_two_trainings_take_turns() -> None:
    desired = [
        list(Training(Adam(), seed=s).run(Training(Adam()).plain)) for s in (1, 2)
    ]
    trainings = [Training(Adam(), seed=seed) for seed in (1, 2)]
    runs = [training.run(capturing(training.plain, [])) for training in trainings]
    actual = list(zip(*runs, strict=True))
    assert_close(np.asarray(actual).T, np.asarray(desired), factor=TEN_STEPS)


def test_a_step_that_returns_new_arrays() -> None:
    """What it returns is put where the next step looks for it."""

    def step(params: Any, state: Any, total: Any, *_: Any) -> Any:
        return params * 0.5, (state[0] + 1.0,), total + 1.0

    params, moments = np.ones(3).view(Taped), np.zeros(3).view(Taped)
    captured, total = capturing(step, []), np.zeros(()).view(Taped)
    numbers = Numbers(np.zeros((1, 1)).view(Taped))
    for _ in range(3):
        args = (params, (moments,), total, None, None, numbers, None)
        new_params, (new_moments,), total = captured(*args)
        assert new_params is params
        assert new_moments is moments
    assert_close(plain(params), np.full(3, 0.125), factor=EXACT)
    assert_close(plain(moments), np.full(3, 3.0), factor=EXACT)
    assert float(total) == 3.0


# ------------------------------------------------------------------------------ failures


def read_the_loss(step: Callable[..., Any], *args: Any) -> Any:
    params, state, total = step(*args)
    return params, state, total + 0.0 * float(total)


def fail_first(step: Callable[..., Any]) -> Callable[..., Any]:
    calls: list[int] = []

    def failing(*args: Any) -> Any:
        calls.append(1)
        result = step(*args)
        if len(calls) == 1:
            msg = "out of memory"
            raise MemoryError(msg)
        return result

    return failing


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda step: partial(read_the_loss, step), "RuntimeError: the host reads"),
        (fail_first, "MemoryError: out of memory"),
    ],
    ids=["while capturing", "while warming up"],
)
def test_a_failure_leaves_the_state_and_runs_eagerly(
    fault: Callable[..., Any], message: str
) -> None:
    """The capture is ended, nothing has moved, and there is one warning."""
    eager, failing = Training(Adam()), Training(Adam())
    log: list[str] = []
    step = _steps._Guarded(failing.plain, capturing(fault(failing.plain), log))
    desired = list(eager.run(eager.plain))
    with pytest.warns(RuntimeWarning, match="runs eagerly") as caught:
        actual = list(failing.run(step))
    (warning,) = caught
    assert message in str(warning.message)
    assert log.count("begin") == log.count("end")
    assert "launch" not in log
    assert ops.matrix_product.get() is None
    assert_close(np.asarray(actual), np.asarray(desired), factor=EXACT)
    assert_close(plain(failing.params), plain(eager.params), factor=EXACT)


def test_nvmath_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", SimpleNamespace())
    monkeypatch.setitem(__import__("sys").modules, "nvmath.bindings", None)
    _graph._import.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"xpnet\[graph\]"):
        _graph._import()


def test_only_who_asks_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_steps, "is_cupy_namespace", lambda _: True)
    kinds = [
        type(_steps.compile_step(lambda: None, (), np.ones(1), compiled=compiled))
        for compiled in (None, False, True)
    ]
    assert kinds == [partial, partial, _steps._Guarded]


def test_other_threads_and_libraries_multiply_as_ever() -> None:
    with warnings.catch_warnings(), _products.multiplying(lambda *_: "captured"):
        assert ops.matmul(np.ones((1, 1)).view(Taped), np.ones((1, 1))) == "captured"
        assert ops.matmul(np.ones((1, 1)), np.ones((1, 1))) == 1.0
    assert ops.matmul(np.ones((1, 1)).view(Taped), np.ones((1, 1))) == 1.0
