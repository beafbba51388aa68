"""The first compile seam: what numba makes of a function has the bits of its own body.

Every function that is decorated is found by walking the modules, and tested.
"""

import functools
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from harness import compiler_or_give_up

import xpnet
from xpnet import MLPClassifier, MLPRegressor, _pointwise
from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet.exceptions import DivergenceError
from xpnet.functional import elu_backward, leaky_relu, relu, relu_backward
from xpnet.functional.activations import ACTIVATIONS
from xpnet.losses.classification import _of_rows
from xpnet.network.chain import _decay
from xpnet.network.dense import _shift
from xpnet.optimizers.adaptive import _adam
from xpnet.optimizers.descent import _momentum, _sgd

# ------------------------------------------------------------------- what is decorated


class Decorated(NamedTuple):
    """A function that went through ``pointwise``, with what its decorator knows."""

    name: str
    function: Callable[..., Any]
    plain: Callable[..., Any]
    updates: int
    columns: int
    has_loop: bool
    loops: dict[Any, Any]

    @property
    def parameters(self) -> list[str]:
        return [p for p in inspect.signature(self.plain).parameters if p != "out"]


def decorated(function: Callable[..., Any]) -> Decorated:
    known = dict(inspect.getclosurevars(function).nonlocals)
    for inner in list(known.values()):
        if inspect.isfunction(inner) and inner.__code__.co_filename == OWN_FILE:
            known |= inspect.getclosurevars(inner).nonlocals
    return Decorated(
        function.__name__,
        function,
        undecorated(function),
        known["updates"],
        known["columns"],
        known["has_loop"],
        known["loops"],
    )


def undecorated(function: Any) -> Any:
    """Return the body, calling bodies where it calls others of its kind."""
    body = function.__wrapped__
    calls = {
        name: undecorated(called)
        for name, called in _pointwise.elementwise_calls(body).items()
    }
    cells = tuple(types.CellType(calls[name]) for name in body.__code__.co_freevars)
    names = {**body.__globals__, **calls}
    twin = types.FunctionType(body.__code__, names, body.__name__, None, cells)
    twin.__kwdefaults__ = body.__kwdefaults__
    return twin


OWN_FILE = _pointwise.__file__


def find() -> Iterator[Decorated]:
    names = [info.name for info in pkgutil.walk_packages(xpnet.__path__, "xpnet.")]
    for name in names:
        if name.startswith(("xpnet.cli", "xpnet._pointwise")):
            continue  # the command line's extras may be missing; the loops need numba
        for member in vars(importlib.import_module(name)).values():
            code = getattr(member, "__code__", None)
            if (
                getattr(member, "__module__", None) == name
                and code is not None
                and code.co_filename == OWN_FILE
            ):
                yield decorated(member)
    for name, g in ACTIVATIONS.items():
        if g.shifted is not None:
            yield decorated(g.shifted)._replace(name=f"shifted {name}")


ALL = sorted(find(), key=lambda found: found.name)
LOOPED = [found for found in ALL if found.has_loop]

each = pytest.mark.parametrize("found", LOOPED, ids=lambda found: found.name)


def test_all_are_found() -> None:
    names = {found.name for found in ALL}
    assert names >= {"relu", "tanh_backward", "mish", "_adam", "_sgd", "_shift"}
    looped = {found.name for found in LOOPED}
    assert looped >= {"relu", "shifted relu", "_adam", "_shift", "_decay", "_of_rows"}
    assert "shifted tanh" in names - looped


# ------------------------------------------------------------------------------- numba


class Numba(NamedTuple):
    """What the tests see of numba at work."""

    loader: Any
    done: list[bool]
    """What the loops have returned: whether they did the work."""


@functools.cache
def compiled_once(
    function: Callable[..., Any], dtype: Any, updates: int, columns: int
) -> Any:
    from xpnet._pointwise._loops import compile_loop  # noqa: PLC0415

    return compile_loop(function, dtype, updates=updates, columns=columns)


def forget_loops() -> None:
    for found in ALL:
        found.loops.clear()


@pytest.fixture
def no_loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A process that has done nothing yet."""
    loader = type(_pointwise._loader)()
    monkeypatch.setattr(_pointwise, "_loader", loader)
    forget_loops()
    yield loader
    forget_loops()


@pytest.fixture
def numba(no_loops: Any, monkeypatch: pytest.MonkeyPatch) -> Numba:
    """From the first element on."""
    compiler_or_give_up("numba")
    watched = Numba(no_loops, [])

    def compile_loop(
        function: Callable[..., Any], dtype: Any, *, updates: int, columns: int
    ) -> Any:
        loop = compiled_once(function, dtype, updates, columns)

        def watch(*arrays: Any) -> bool:
            watched.done.append(loop(*arrays))
            return watched.done[-1]

        return watch

    monkeypatch.setattr(_pointwise, "_BREAK_EVEN", 0)
    monkeypatch.setattr(no_loops, "compile", compile_loop)
    return watched


# -------------------------------------------------------------------------------- data

NUMBERS = {
    "learning_rate": 0.1,
    "step_size": 0.01,
    "momentum": 0.9,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "rest_1": 1.0 - 0.9,
    "rest_2": 1.0 - 0.999,
    "epsilon": 1e-8,
    "penalty": 0.3,
    "l1": 0.2,
    "share": 0.8,
    "key_0": 1234567891,
    "key_1": -7,
    "threshold": 1 << 23,
    "scale": 2.0,
}
"""Arguments that are numbers, and not as large as the others."""

ROWS = {"b", "classes"}

SHAPES = [(13,), (7, 5), (33, 64), (1, 1), (0,), (0, 3), (3, 0)]


def with_shapes(all_found: list[Decorated], shapes: list[tuple[int, ...]]) -> Any:
    """Parametrise by function and shape; columns stand beside matrices."""
    pairs = [
        pytest.param(found, shape, id=f"{found.name}-{shape}")
        for found in all_found
        for shape in shapes
        if len(shape) == 2 or not found.columns
    ]
    return pytest.mark.parametrize(("found", "shape"), pairs)


def specials(dtype: str) -> np.ndarray:
    info = np.finfo(dtype)
    sizes = [0.0, info.smallest_subnormal, info.tiny, info.eps, 0.5, 1.0, 88.0]
    sizes += [info.max, np.inf, np.nan]
    return np.asarray([*sizes, *(-size for size in sizes)], dtype)


def arguments(found: Decorated, shape: tuple[int, ...], dtype: str) -> list[Any]:
    """Draw arrays in which all pairs of extreme numbers meet, as far as there is room."""
    rng = np.random.default_rng(0)
    args: list[Any] = []
    for name in found.parameters:
        if name in NUMBERS:
            args.append(NUMBERS[name])
            continue
        if name == "counter":
            args.append(np.arange(np.prod(shape), dtype=np.int32).reshape(shape))
            continue
        drawn = rng.normal(size=shape).astype(dtype)
        extreme = rng.choice(specials(dtype), size=shape)
        array = np.where(rng.uniform(size=shape) < 0.5, drawn, extreme)
        if name in {"classes", "codes"}:
            array = rng.integers(3, size=shape).astype(np.int32)
        if name in found.parameters[len(found.parameters) - found.columns :]:
            array = array[:, :1] if array.shape[1] else np.ones((len(array), 1), dtype)
        elif name in ROWS and array.ndim == 2 and len(array):
            array = array[0]
        args.append(array)
    return args


def copies(args: list[Any]) -> list[Any]:
    return [x.copy(order="K") if isinstance(x, np.ndarray) else x for x in args]


def hint(found: Decorated, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Return what a function that returns a new array may write into."""
    return {} if found.updates else {"out": np.full(shape, 7.0, dtype)}


def results(function: Callable[..., Any], *args: Any, **named: Any) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        result = function(*args, **named)
    return result if isinstance(result, tuple) else (result,)


def bits(x: np.ndarray) -> bytes:
    """Signs of zeros count; that of NaN, and what else it carries, don't."""
    return np.where(np.isnan(x), x.dtype.type(np.nan), x).tobytes()


def check_bits(actual: tuple[np.ndarray, ...], desired: tuple[np.ndarray, ...]) -> None:
    for a, d in zip(actual, desired, strict=True):
        assert type(a) is np.ndarray
        assert (a.shape, a.dtype) == (d.shape, d.dtype)
        assert bits(a) == bits(d)


def check(
    found: Decorated, args: list[Any], named: dict[str, Any], numba: Numba
) -> None:
    """Compare the loop with the function's own body, and see what is written."""
    given = copies(args)
    actual = results(found.function, *given, **named)
    assert numba.done == [True]
    desired = results(
        found.plain, *copies(args), **{k: x + 1 for k, x in named.items()}
    )
    check_bits(actual, desired)
    targets = given[: found.updates] or [named["out"]]
    assert all(a is target for a, target in zip(actual, targets, strict=True))
    if not found.updates:
        for x, y in zip(given, args, strict=True):
            np.testing.assert_array_equal(x, y)


# ------------------------------------------------------------------------ the same bits


@with_shapes(LOOPED, SHAPES)
def test_the_bits_are_the_bodys(
    found: Decorated, shape: tuple[int, ...], dtype: str, numba: Numba
) -> None:
    check(found, arguments(found, shape, dtype), hint(found, shape, dtype), numba)


@with_shapes([found for found in LOOPED if not found.updates], SHAPES)
def test_in_place(
    found: Decorated, shape: tuple[int, ...], dtype: str, numba: Numba
) -> None:
    """As the backward pass writes dZ over dA."""
    args = arguments(found, shape, dtype)
    desired = results(found.plain, *args, **hint(found, shape, dtype))
    actual = results(found.function, *args, out=args[0])
    assert numba.done == [True]
    assert actual[0] is args[0]
    check_bits(actual, desired)


@pytest.mark.parametrize(
    "found",
    [found for found in LOOPED if NUMBERS.keys() & set(found.parameters)],
    ids=lambda found: found.name,
)
@pytest.mark.parametrize("kind", ["0-d array", "NumPy's number"])
def test_numbers(found: Decorated, kind: str, dtype: str, numba: Numba) -> None:
    """The coefficients of a step are such; else a number is Python's."""
    args = arguments(found, (7, 5), dtype)
    for k, x in enumerate(args):
        if isinstance(x, float):
            args[k] = (
                np.asarray(x, dtype) if kind == "0-d array" else np.dtype(dtype).type(x)
            )
    check(found, args, hint(found, (7, 5), dtype), numba)


@pytest.mark.parametrize("share", [0.3, np.float32(0.3), np.asarray(0.3, np.float32)])
def test_a_number_for_a_column(share: Any, numba: Numba) -> None:
    found = next(found for found in LOOPED if found.name == "_of_rows")
    args = [*arguments(found, (7, 5), "float32")[:-1], share]
    check(found, args, {}, numba)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran-ordered": np.asfortranarray,
    "every second column": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "negative strides": lambda x: x[..., ::-1].copy()[..., ::-1],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@with_shapes(LOOPED, [(13,), (7, 5)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(
    found: Decorated, layout: str, shape: tuple[int, ...], numba: Numba
) -> None:
    """Every second argument has another one."""
    args = arguments(found, shape, "float32")
    named = hint(found, shape, "float32")
    desired = results(
        found.plain, *copies(args), **{k: x + 1 for k, x in named.items()}
    )
    for k, x in enumerate(args):
        written = k < found.updates or found.parameters[k] == "g"
        if isinstance(x, np.ndarray) and k % 2 == 0:
            args[k] = x if written and layout == "read-only" else LAYOUTS[layout](x)
    actual = results(found.function, *args, **named)
    assert numba.done == [True]
    check_bits(actual, desired)


@each
def test_arguments_by_name(found: Decorated, dtype: str, numba: Numba) -> None:
    args = arguments(found, (7, 5), dtype)
    desired = results(found.plain, *copies(args), **hint(found, (7, 5), dtype))
    for n_positional in range(len(args)):
        given = copies(args)
        named = dict(zip(found.parameters, given, strict=True))
        for name in found.parameters[:n_positional]:
            del named[name]
        actual = results(
            found.function, *given[:n_positional], **named, **hint(found, (7, 5), dtype)
        )
        assert numba.done.pop()
        check_bits(actual, desired)


@each
def test_threads(found: Decorated, numba: Numba) -> None:
    """Both compile, and both compute, at once."""
    compiled_once.cache_clear()
    args = arguments(found, (33, 64), "float32")
    desired = results(found.plain, *copies(args), **hint(found, (33, 64), "float32"))
    barrier, actual = threading.Barrier(2), []

    def work() -> None:
        barrier.wait()
        for _ in range(20):
            named = hint(found, (33, 64), "float32")
            actual.append(results(found.function, *copies(args), **named))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numba.done == [True] * 40
    assert len(actual) == 40
    for each_time in actual:
        check_bits(each_time, desired)


# ----------------------------------------------------------------------- what falls back


def f4(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def read_only(x: np.ndarray) -> np.ndarray:
    x.flags.writeable = False
    return x


MISFITS: dict[str, Callable[[], tuple[Any, list[Any], Any]]] = {
    "three axes": lambda: (relu, [-f4(2, 3, 4)], f4(2, 3, 4)),
    "no axis": lambda: (relu, [-f4()], f4()),
    "an update without an axis": lambda: (_sgd, [f4(), f4(), 0.1], None),
    "integers": lambda: (relu, [np.arange(-3, 3)], np.arange(6)),
    "another byte order": lambda: (
        relu_backward,
        [np.ones(3), np.ones(3, ">f8")],
        np.zeros(3),
    ),
    "all in another byte order": lambda: (
        elu_backward,
        [np.ones(3, ">f8"), np.ones(3, ">f8")],
        np.zeros(3, ">f8"),
    ),
    "a wider argument": lambda: (_shift, [f4(2, 3), np.full(3, 0.1)], f4(2, 3)),
    "a narrower argument": lambda: (_shift, [np.ones((2, 3)), f4(3)], np.ones((2, 3))),
    "a wider result": lambda: (relu, [f4(2, 3)], np.zeros((2, 3))),
    "one row": lambda: (relu_backward, [f4(2, 3), f4(1, 3)], f4(2, 3)),
    "one column": lambda: (relu_backward, [f4(2, 3), f4(2, 1)], f4(2, 3)),
    "one number in a row": lambda: (_shift, [f4(2, 3), f4(1)], f4(2, 3)),
    "a row for a column": lambda: (
        _of_rows,
        [f4(3, 3), f4(3, 3), f4(3, 3), f4(3), f4(3, 1), 0.1],
        None,
    ),
    "a matrix for a column": lambda: (
        _of_rows,
        [f4(3, 3), f4(3, 3), f4(3, 3), f4(3, 3), f4(3, 1), 0.1],
        None,
    ),
    "a column for a vector": lambda: (
        _of_rows,
        [f4(3), f4(3), f4(3), np.asarray(1.0, np.float32), f4(3), 0.1],
        None,
    ),
    "a wider number": lambda: (_sgd, [f4(3), f4(3), np.asarray(0.1)], None),
}
"""NumPy computes with them: function, arguments, out."""


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_left_to_numpy(misfit: str, numba: Numba) -> None:
    function, args, out = MISFITS[misfit]()
    _, desired_args, desired_out = MISFITS[misfit]()
    hints = ({}, {}) if out is None else ({"out": out}, {"out": desired_out})
    actual = results(function, *args, **hints[0])
    desired = results(function.__wrapped__, *desired_args, **hints[1])
    assert True not in numba.done
    for a, d in zip(actual, desired, strict=True):
        np.testing.assert_array_equal(a, d, strict=True)


WRONG: dict[str, Callable[[], tuple[Any, list[Any], Any]]] = {
    "a longer argument": lambda: (relu_backward, [f4(2, 3), f4(2, 4)], f4(2, 3)),
    "more rows": lambda: (relu_backward, [f4(2, 3), f4(5, 3)], f4(2, 3)),
    "fewer rows": lambda: (relu_backward, [f4(4, 3), f4(2, 3)], f4(4, 3)),
    "a short row": lambda: (_shift, [f4(2, 3), f4(2)], f4(2, 3)),
    "a result too small": lambda: (relu, [f4(4, 3)], f4(2, 3)),
    "a row for a result": lambda: (relu, [f4(2, 3)], f4(3)),
    "a narrower result": lambda: (leaky_relu, [np.arange(-3, 3)], np.arange(6)),
    "more axes than the result": lambda: (
        relu_backward,
        [f4(3, 4), f4(2, 3, 4)],
        f4(3, 4),
    ),
    "a row for a velocity": lambda: (
        _momentum,
        [f4(2, 3), f4(3), f4(2, 3), 0.1, 0.9],
        None,
    ),
    "a short velocity": lambda: (_momentum, [f4(6), f4(4), f4(6), 0.1, 0.9], None),
    "a short gradient": lambda: (_sgd, [f4(6), f4(4), 0.1], None),
    "a read-only result": lambda: (relu, [f4(2, 3)], read_only(f4(2, 3))),
    "read-only parameters": lambda: (_sgd, [read_only(f4(3)), f4(3), 0.1], None),
    "a read-only moment": lambda: (
        _momentum,
        [f4(3), read_only(f4(3)), f4(3), 0.1, 0.9],
        None,
    ),
    "a short column": lambda: (
        _of_rows,
        [f4(3, 3), f4(3, 3), f4(3, 3), f4(2, 1), f4(3, 1), 0.1],
        None,
    ),
    "a list": lambda: (relu_backward, [f4(3), [1.0, 1.0, 1.0]], f4(3)),
    "a word": lambda: (_decay, [f4(3), f4(3), "0.1"], None),
    "nothing": lambda: (_decay, [f4(3), f4(3), None], None),
    "an argument too few": lambda: (relu_backward, [f4(3)], f4(3)),
    "an argument too many": lambda: (relu, [f4(3), f4(3)], f4(3)),
}
"""NumPy refuses them."""


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_gets_numpys_error(wrong: str, numba: Numba) -> None:
    function, args, out = WRONG[wrong]()
    hints = {} if out is None else {"out": out}
    with pytest.raises((TypeError, ValueError)) as desired:
        function.__wrapped__(*args, **hints)
    function, args, out = WRONG[wrong]()
    hints = {} if out is None else {"out": out}
    with pytest.raises(type(desired.value)) as actual:
        function(*args, **hints)
    assert str(actual.value) == str(desired.value)
    assert actual.value.__context__ is None
    assert True not in numba.done


@pytest.mark.parametrize("wrong", WRONG)
def test_a_loop_stays_inside_its_arrays(wrong: str, numba: Numba) -> None:
    """They are windows in larger arrays, whose frame is left alone."""
    function, args, out = WRONG[wrong]()
    frames = []

    def framed(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or not x.flags.writeable:
            return x
        frames.append(np.full([n + 8 for n in x.shape], 9, x.dtype))
        window = frames[-1][tuple(slice(4, -4) for _ in x.shape)]
        window[...] = x
        return window

    args, out = [framed(x) for x in args], framed(out)
    with pytest.raises((TypeError, ValueError)):
        function(*args, **({} if out is None else {"out": out}))
    assert True not in numba.done
    for frame in frames:
        frame[tuple(slice(4, -4) for _ in frame.shape)] = 9
        assert np.all(frame == 9)


@pytest.mark.parametrize(
    ("Z", "out"),
    [
        (lambda x: x[:-1], lambda x: x[1:]),
        (lambda x: x[1:], lambda x: x[:-1]),
        (lambda x: x.reshape(4, 4).T, lambda x: x.reshape(4, 4)),
        (lambda x: x[::-1], lambda x: x),
    ],
    ids=["behind", "before", "transposed", "reversed"],
)
def test_memory_that_overlaps_is_left_to_numpy(Z: Any, out: Any, numba: Numba) -> None:
    """Which reads all of an argument before it writes."""
    plain, looped = np.arange(16.0), np.arange(16.0)
    relu.__wrapped__(Z(plain), out=out(plain))
    relu(Z(looped), out=out(looped))
    np.testing.assert_array_equal(looped, plain)
    assert True not in numba.done


def test_a_mistake_does_not_spoil_the_next_call(numba: Numba) -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        _sgd(f4(3), f4(3))
    _sgd(f4(3), f4(3), 0.1)
    assert numba.done == [True]


def test_without_out_numpy_returns_a_new_array(numba: Numba) -> None:
    Z = f4(2, 3)
    assert not np.shares_memory(relu(Z), Z)
    assert numba.done == []


@pytest.mark.parametrize("backend", ["strict", "jax"], indirect=True)
def test_other_libraries_are_left_alone(backend: Any, numba: Numba) -> None:
    p, g = (backend.asarray(np.ones(3)) for _ in range(2))
    _sgd(p, g, backend.asarray(np.asarray(0.1)))
    relu(p)
    assert (numba.done, numba.loader.n_elements) == ([], 0)


# --------------------------------------------------------------------- torch, on a CPU


@with_shapes(LOOPED, [(13,), (7, 5), (0, 3)])
@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_torchs_memory_is_looped_over(
    found: Decorated, shape: tuple[int, ...], backend: Any, dtype: str, numba: Numba
) -> None:
    """The loop of NumPy's, from the first element on, hence NumPy's bits."""
    args = arguments(found, shape, dtype)
    named = hint(found, shape, dtype)
    desired = results(found.plain, *copies(args), **named)
    given = [
        backend.asarray(x, copy=True) if isinstance(x, np.ndarray) else x for x in args
    ]
    out = {name: backend.asarray(np.zeros_like(x)) for name, x in named.items()}
    actual = results(found.function, *given, **out)
    assert numba.done == [True]
    targets = given[: found.updates] or [out["out"]]
    assert all(a is target for a, target in zip(actual, targets, strict=True))
    check_bits(tuple(x.numpy() for x in actual), desired)


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_torchs_other_tensors_are_left_to_torch(backend: Any, numba: Numba) -> None:
    torch = pytest.importorskip("torch")
    ones = backend.asarray(np.ones((2, 3)))
    for Z in (ones.to(torch.bfloat16), torch.empty((2, 3), device="meta")):
        out = torch.empty_like(Z)
        assert relu(Z, out=out) is out
    with pytest.raises(RuntimeError, match="requires grad"):
        _sgd(ones.clone().requires_grad_(), ones, 0.1)
    with pytest.raises(RuntimeError, match="size"):
        relu_backward(ones, ones[:, :2], out=ones)
    assert True not in numba.done


# ------------------------------------------------------------------------ when it loads


def test_numba_waits_until_it_pays(
    no_loops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_or_give_up("numba")
    monkeypatch.setattr(_pointwise, "_BREAK_EVEN", 100)
    out = f4(33)
    for n_elements in (33, 66, 99):
        relu(f4(33), out=out)
        assert no_loops.n_elements == n_elements
        assert no_loops.compile is None
    relu(f4(33), out=out)
    assert no_loops.compile is not None
    assert decorated(relu).loops


WORK = """
import sys
import numpy as np
import xpnet
from xpnet import _pointwise
from xpnet.functional import relu
_pointwise._BREAK_EVEN = 1000
x = np.linspace(-1.0, 1.0, 400)
for _ in range(2):
    relu(x, out=np.empty_like(x))
assert sys.modules.get("numba") is None, "it is imported too soon"
for _ in range(2):
    np.testing.assert_array_equal(relu(x, out=np.empty_like(x)), np.maximum(x, 0.0))
print("numba.core" in sys.modules, _pointwise._loader.absent)
"""


def python(code: str, **env: str) -> list[str]:
    """Run a program in a process of its own, and return its words."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
    )
    return found.stdout.split()


def test_numba_is_imported_when_the_work_is_there() -> None:
    compiler_or_give_up("numba")
    assert python(WORK) == ["True", "False"]


def test_without_numba_array_code_goes_on() -> None:
    assert python("import sys; sys.modules['numba'] = None" + WORK) == ["False", "True"]


def test_without_its_compiler_numba_is_not_used() -> None:
    """Python's own loops over the elements would take a hundred times longer."""
    compiler_or_give_up("numba")
    assert python(WORK, NUMBA_DISABLE_JIT="1") == ["True", "True"]


# ----------------------------------------------------------------- half of a training

TRAININGS: list[tuple[Any, dict[str, Any]]] = [
    (MLPClassifier, {"solver": "adam"}),
    (MLPClassifier, {"solver": "adam", "early_stopping": True}),
    (MLPClassifier, {"solver": "sgd"}),
    (MLPClassifier, {"solver": "sgd", "nesterovs_momentum": False}),
    (MLPClassifier, {"solver": "sgd", "momentum": 0.0}),
    (MLPClassifier, {"solver": "nadam", "clip_norm": 0.1}),
    (MLPClassifier, {"solver": "rmsprop", "accumulate": 2}),
    (MLPClassifier, {"solver": "muon", "ema_decay": 0.9}),
    (MLPClassifier, {"solver": "muon", "nesterovs_momentum": False}),
    (MLPClassifier, {"activation": ["tanh", "leaky_relu"]}),
    (MLPClassifier, {"activation": ["logistic", "elu"]}),
    (MLPRegressor, {"activation": ["selu", "softplus"]}),
    (MLPRegressor, {"activation": ["gelu", "mish"]}),
]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(("cls", "parameters"), TRAININGS, ids=str)
def test_the_moment_has_no_influence(
    cls: Any,
    parameters: dict[str, Any],
    dtype: str,
    no_loops: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training that goes over to numba in its second epoch, and one without."""
    compiler_or_give_up("numba")
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 4)).astype(dtype), np.arange(60) % 3
    weights = rng.uniform(size=60)
    runs = []
    for switches in (False, True):
        forget_loops()
        no_loops.n_elements, no_loops.compile = 0, None
        monkeypatch.setattr(_pointwise, "_BREAK_EVEN", np.inf)
        model = cls(
            hidden_layer_sizes=(8, 6),
            batch_size=25,
            max_iter=4,
            alpha=0.1,
            random_state=0,
            **parameters,
        )
        for epoch in model.iter_fit(X, y, weights):
            if switches and epoch.n_iter == 1:
                assert no_loops.compile is None
                middle = no_loops.n_elements * 1.5
                monkeypatch.setattr(_pointwise, "_BREAK_EVEN", middle)
        assert (no_loops.compile is not None) == switches
        runs.append(model)
    plain, switched = runs
    assert plain.loss_curve_ == switched.loss_curve_
    for name in ("coefs_", "intercepts_"):
        for a, d in zip(getattr(switched, name), getattr(plain, name), strict=True):
            assert bits(a) == bits(d)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_divergence_is_seen_in_a_loop(numba: Numba) -> None:
    X, y = np.random.default_rng(3).normal(size=(60, 4)), np.arange(60) % 3
    clf = MLPClassifier((8,), solver="sgd", learning_rate_init=1e200, random_state=0)
    with pytest.raises(DivergenceError):
        clf.fit(X, y)
    assert True in numba.done


# ------------------------------------------------------------------------ the decorator


def test_what_is_decorated_keeps_its_name_and_signature() -> None:
    assert relu.__name__ == "relu"
    assert relu.__doc__.startswith("Rectified")
    assert list(inspect.signature(_adam).parameters)[:4] == ["p", "m", "v", "g"]


THIRD = 1.0 / 3.0


def test_constants_are_in_the_dtype_of_the_arrays(dtype: str, numba: Numba) -> None:
    """numba would take a Python float for a float64, and round once at the end."""

    @pointwise()
    def function(x: Any, *, out: Any = None) -> Any:
        return ops.multiply(x * 0.1, THIRD, out=out)

    x, out = np.linspace(0.0, 1.0, 50, dtype=dtype), np.empty(50, dtype)
    assert function(x, out=out) is out
    assert numba.done == [True]
    check_bits((out,), (x * 0.1 * THIRD,))
