"""CuPy on a machine that has no GPU: everything of ours up to the first launch.

Arrays here are *shells*: real CuPy arrays over a pointer that nobody may follow. Shape,
strides, views, namespace, device and refusals are CuPy's own. What would launch a kernel
raises ``CUDARuntimeError`` instead, or, in a *rehearsal*, is recorded and answered with
another shell, so that the Python path of a whole training runs. Fused functions are
traced by ``cupy.fuse`` itself; what it writes is compiled for a GPU by NVRTC, and for this
machine by its C++ compiler, which runs it.

The module needs the one version of CuPy whose insides it looks into; it is skipped, with
the reason, where that isn't installed or a GPU can be used.
``XPNET_REQUIRE_CUPY_SHELLS=1`` turns the skip into an error.
"""

import ctypes
import importlib
import inspect
import math
import operator
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat.numpy as xnp
import numpy as np
import pytest
from problems import Problem
from test_backend_consistency import arguments, functions_of
from test_captured_step import FakeCublas
from tolerances import TEN_STEPS

import xpnet
from xpnet import (
    Backend,
    MLPClassifier,
    _pointwise,
    available_backends,
    functional,
    get_backend,
    losses,
)
from xpnet import _namespace as ops
from xpnet._pointwise import pointwise
from xpnet._typing import Array
from xpnet.backends import _products, backend_of
from xpnet.exceptions import BackendUnavailableError
from xpnet.functional.activations import ACTIVATIONS
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Dense, Network
from xpnet.optimizers import SGD, Adam, AdamW, Averaged, Muon, NAdam, RMSProp
from xpnet.testing import assert_close
from xpnet.training import Objective, training_step
from xpnet.training.batches import Data
from xpnet.training.noise import Mixup, Numbers
from xpnet.training.steps import make_steps

try:
    import cupy
except ImportError:
    cupy = None

VERSION = "14.2."


def why_not() -> str | None:
    if cupy is None:
        return "CuPy is not installed"
    if not cupy.__version__.startswith(VERSION):
        return f"CuPy {cupy.__version__} is installed, and the shells are {VERSION}x's"
    if cupy.is_available():
        return "a GPU can be used here, where the whole suite runs on CuPy"
    return None


if reason := why_not():
    if os.environ.get("XPNET_REQUIRE_CUPY_SHELLS") == "1":
        msg = f"XPNET_REQUIRE_CUPY_SHELLS=1, but {reason}"
        raise RuntimeError(msg)
    pytest.skip(reason, allow_module_level=True)

# Not before CuPy is known to be there.
import array_api_compat.cupy as xp
from cupy._core import _fusion_thread_local, fusion
from cupy.cuda import compiler
from cupy.cuda.runtime import CUDARuntimeError

NO_GPU = {35, 100}
"""cudaErrorInsufficientDriver, cudaErrorNoDevice"""


# ------------------------------------------------------------------------------- shells

_addresses = count(1 << 32, 1 << 20)  # a MiB each, so that shells don't overlap


def shell(
    shape: int | tuple[int, ...],
    dtype: Any = "float64",
    cls: type | None = None,
) -> Array:
    """Return a CuPy array that has everything but memory."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n_bytes = max(1, math.prod(shape)) * np.dtype(dtype).itemsize
    assert n_bytes <= 1 << 20
    memory = cupy.cuda.UnownedMemory(next(_addresses), n_bytes, None, 0)
    pointer = cupy.cuda.MemoryPointer(memory, 0)
    return (cls or cupy.ndarray)(shape, dtype, memptr=pointer)


def extent(x: Array) -> tuple[int, int]:
    """Return the addresses where an array begins and ends."""
    return x.data.ptr, x.data.ptr + x.nbytes


def overlap(x: Array, y: Array) -> bool:
    (x_begin, x_end), (y_begin, y_end) = extent(x), extent(y)
    return x_begin < y_end and y_begin < x_end


@dataclass(frozen=True)
class ShellBackend(Backend):
    """CuPy, whose arrays come without their numbers."""

    cls: type | None = None

    def asarray(
        self,
        x: Array,
        dtype: Any = None,
        *,
        copy: bool | None = None,  # noqa: ARG002
    ) -> Array:
        x = np.asarray(x)
        return shell(x.shape, x.dtype if dtype is None else dtype, self.cls)


def on_shells(cls: type | None = None) -> ShellBackend:
    return ShellBackend("cupy:0", xp, shell(1, cls=cls).device, cls)


def no_gpu(error: BaseException) -> bool:
    """Whether an error is that of a machine without a GPU, and not of the caller."""
    if isinstance(error, CUDARuntimeError):
        return error.status in NO_GPU
    return isinstance(error, ImportError) and "libcublas" in str(error)  # of matmul


def launch_fails(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    """Call; return whether that got as far as the GPU that isn't there."""
    try:
        function(*args, **kwargs)
    except (CUDARuntimeError, ImportError) as error:
        if no_gpu(error):
            return True
        raise
    return False


# ---------------------------------------------------------------------------- selector


@pytest.mark.parametrize("name", ["cupy", "cupy:0", "cupy:7"])
def test_the_selector_says_that_there_is_no_gpu(name: str) -> None:
    with pytest.raises(BackendUnavailableError) as caught:
        get_backend(name)
    message = str(caught.value)
    assert f"backend={name!r} can't be used: CuPy is installed" in message
    assert "finds no CUDA GPU" in message
    assert "driver" in message


def test_auto_is_numpy() -> None:
    assert get_backend("auto") == get_backend("numpy")


def test_the_status_has_version_and_reason() -> None:
    (status,) = [status for status in available_backends() if status.name == "cupy"]
    assert status.version == cupy.__version__
    assert status.devices == ()
    assert not status.usable
    assert "finds no CUDA GPU" in str(status.problem)


def test_an_estimator_refuses_before_any_work() -> None:
    with pytest.raises(BackendUnavailableError, match="finds no CUDA GPU"):
        MLPClassifier((2,), backend="cupy").fit(np.eye(4), [0, 1, 0, 1])


# -------------------------------------------------------------- namespace, device, dtype


def test_namespace() -> None:
    x = shell((2, 3))
    assert ops.array_namespace(x) is xp
    assert ops.array_namespace(x, 2.0, None, shell(1, "int32")) is xp


def test_backend_of() -> None:
    x = shell(2)
    backend = backend_of(x)
    assert backend.name == "cupy:0"
    assert backend.xp is xp
    assert backend.device == cupy.cuda.Device(0) == ops.device(x)
    assert backend.holds(x)
    assert not backend.holds(np.zeros(2))
    assert not backend.holds([0.0])
    assert not Backend("cupy:1", xp, cupy.cuda.Device(1)).holds(x)
    assert not get_backend("numpy").holds(x)


def test_same_place() -> None:
    assert ops.same_place(shell(2), shell((3, 1), "float32"))
    assert not ops.same_place(shell(2), np.zeros(2))
    assert not ops.same_place(np.zeros(2), shell(2))


def test_cupy_writes_into_buffers() -> None:
    assert ops.is_writable(shell(2))


@pytest.mark.parametrize("name", ["float32", "float64", "int32", "int64", "bool"])
def test_dtypes(name: str) -> None:
    x = shell(2, name)
    assert ops.dtype_name(x.dtype) == ops.dtype_name(getattr(xp, name)) == name
    assert ops.supports_dtype(xp, ops.device(x), name)


@pytest.mark.parametrize("name", [None, "float32", "float64"])
def test_default_float(name: str | None) -> None:
    found = ops.default_float(xp, ops.device(shell(1)), name)
    assert ops.dtype_name(found) == (name or "float64")


# ----------------------------------------------------------------- mixing and host reads


def test_arrays_of_two_libraries_do_not_mix() -> None:
    x, y = shell((2, 2)), np.zeros((2, 2))
    for _ in range(2):  # what is remembered by type must not hide it either
        with pytest.raises(TypeError, match=r"[Mm]ultiple namespaces"):
            ops.array_namespace(x, y)
    for operation in (ops.matmul, ops.add, ops.multiply):
        with pytest.raises(TypeError):
            operation(x, y)


@pytest.mark.parametrize(
    "loss",
    [loss for loss in functions_of(losses) if loss is not losses.total_weight],
    ids=lambda loss: loss.__name__,
)
def test_losses_refuse_targets_on_the_host(loss: Callable[..., Any]) -> None:
    # CuPy's own refusals are the latter two.
    refusal = "ultiple namespaces|function of NumPy's|is given a .*ndarray"
    with rehearsing() as seen:
        given = arguments(loss, seen.backend, "float64", np.random.default_rng(1))
        name = "codes" if "codes" in given else "targets"
        given[name] = np.ones(given[name].shape, given[name].dtype)
        errors = TypeError, AssertionError, pytest.fail.Exception
        with pytest.raises(errors, match=refusal):
            loss(**given)


def test_numpy_gets_nothing_by_accident() -> None:
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(shell(2))


@pytest.mark.parametrize(
    "move",
    [
        ops.to_numpy,
        lambda x: ops.asarray_like(x, np.zeros(1)),
        lambda x: ops.asarray_like(np.zeros(2), x),
        get_backend("numpy").asarray,
        float,
        bool,
    ],
    ids=["to_numpy", "to the host", "from the host", "asarray", "float", "bool"],
)
def test_moving_asks_the_gpu(move: Callable[[Array], Any]) -> None:
    assert launch_fails(move, shell(()))


# ------------------------------------------------------------------------------- views

NETWORK = Network.from_sizes([4, 5, 3, 2], ["tanh", "gelu"])


def test_views_share_the_vector_in_order(dtype: str) -> None:
    params = shell(NETWORK.n_params, dtype)
    views = NETWORK.views(params)
    Ws, bs = zip(*views, strict=True)
    assert [W.shape for W in Ws] == [(4, 5), (5, 3), (3, 2)]
    assert [b.shape for b in bs] == [(5,), (3,), (2,)]
    extents = [extent(piece) for piece in (*Ws, *bs)]
    assert extents[0][0], extents[-1][1] == extent(params)
    for (_, end), (begin, _) in pairwise(extents):
        assert end == begin
    for piece in (*Ws, *bs):
        assert piece.dtype == dtype
        assert piece.flags.c_contiguous
        assert ops.same_place(piece, params)


def test_flatten_reaches_the_gpu() -> None:
    assert launch_fails(NETWORK.flatten, NETWORK.views(shell(NETWORK.n_params)))


# --------------------------------------------------------------- up to the first launch


def takes_counter(function: Callable[..., Any]) -> bool:
    return "counter" in inspect.signature(function).parameters


FUNCTIONS = [
    function
    for module in (functional, losses)
    for function in functions_of(module)
    if not takes_counter(function)
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions_reach_the_gpu(function: Callable[..., Any], dtype: str) -> None:
    given = arguments(function, on_shells(), dtype, np.random.default_rng(1))
    if function in (functional.identity, functional.identity_backward):
        assert function(**given) is next(iter(given.values()))
    else:
        assert launch_fails(function, **given)


@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_layers_reach_the_gpu(activation: str) -> None:
    layer = Dense(3, 2, activation)
    assert launch_fails(layer.forward, shell((4, 3)), shell((3, 2)), shell(2))


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


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimizers_reach_the_gpu(optimizer: Any) -> None:
    params, d_params = shell(NETWORK.n_params), shell(NETWORK.n_params)
    n_arrays = {SGD: 1, RMSProp: 1, Averaged: 3}.get(type(optimizer), 2)
    state = tuple(shell(NETWORK.n_params) for _ in range(n_arrays))
    if optimizer == SGD(0.0):
        assert optimizer.init(params) == state[:0] == ()
        state = ()
    else:
        assert launch_fails(optimizer.init, params)
    numbers = [shell(()) for _ in optimizer.coefficients(0.1, 1)]
    assert launch_fails(optimizer.update, params, d_params, state, *numbers)


def test_a_step_reaches_the_gpu() -> None:
    problem = Problem.draw(np.random.default_rng(3)).on(on_shells())
    objective = Objective(problem.network, softmax_cross_entropy, alpha=0.1)
    adam = Adam()
    assert launch_fails(
        training_step,
        objective,
        adam,
        problem.params,
        (shell(problem.params.shape),) * 2,
        problem.X,
        problem.targets,
        (shell(()),),
    )


# --------------------------------------------------------------------------- rehearsals

NO_LAUNCH = {"broadcast_to", "expand_dims", "finfo", "iinfo", "isdtype"}
NO_LAUNCH |= {"matrix_transpose", "permute_dims", "reshape", "result_type", "squeeze"}
"""Functions that only look at an array, or return a view; they stay CuPy's own."""

WAITS = {"clip", "sign", "nonzero", "unique_all", "unique_values", "repeat"}
"""Functions of the namespace that make the host wait for the device."""

READS = ["__array__", "__bool__", "__complex__", "__float__", "__int__", "get", "item"]


@dataclass
class Place:
    """A device that can be entered where there is none."""

    id: int = 0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Rehearsal:
    """What would have been done with a GPU."""

    backend: ShellBackend
    launches: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    uploads: list[tuple[int, ...]] = field(default_factory=list)
    """Shapes of the host's arrays that were moved."""
    dtypes: set[str] = field(default_factory=set)
    """Of all results."""
    unfused: set[Callable[..., Any]] = field(default_factory=set)
    """Elementwise functions that ran as array code."""


def answer(
    seen: Rehearsal,
    name: str,
    real: Callable[..., Any],
    twin: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Array:
    """Do what CuPy would: its own checks, then a shell of the right dtype and shape.

    `twin` is NumPy's function of that name; its result on ones says what comes out.
    """
    if _fusion_thread_local.is_old_fusing():
        return real(*args, **kwargs)
    cls = seen.backend.cls
    if name in WAITS:
        pytest.fail(f"{name} would wait for the device")
    for x in args:
        check_argument(seen, name, x, cls)
    if not launch_fails(real, *args, **kwargs):  # it takes these arguments …
        return real(*args, **kwargs)  # … and needs no kernel for them
    seen.launches.append(name)
    n_inputs = getattr(real, "nin", len(args))  # an operator's own operand may be out
    out = kwargs.get("out", args[n_inputs] if len(args) > n_inputs else None)
    given = {key: x for key, x in kwargs.items() if key not in ("out", "device")}
    result = twin(*map(ones, args[:n_inputs]), **given)
    if isinstance(real, cupy.ufunc):
        check_loop(real, args[:n_inputs], result.dtype)
    seen.dtypes.add(result.dtype.name)
    if out is None:
        return shell(result.shape, result.dtype, cls)
    assert (out.shape, out.dtype) == (result.shape, result.dtype), f"{name} into {out}"
    if name == "matmul":
        assert out.flags.c_contiguous, "CuPy would copy the product"
        assert not any(overlap(out, x) for x in args), "CuPy would copy the product"
    return out


def check_argument(seen: Rehearsal, name: str, x: Any, cls: type | None) -> None:
    """Assert that CuPy takes `x`, and takes it as it is."""
    if isinstance(x, np.ndarray) and name == "asarray":
        seen.uploads.append(x.shape)
        return
    if isinstance(x, list | tuple):
        for item in x:
            check_argument(seen, name, item, cls)
        return
    known = isinstance(x, cls) or type(x) in (bool, int, float) or isinstance(x, type)
    assert known or isinstance(x, np.dtype), f"{name} is given a {type(x)}"
    if name == "matmul":
        assert x.flags.c_contiguous or x.flags.f_contiguous, "CuPy would copy a factor"


def check_loop(ufunc: Any, args: tuple[Any, ...], dtype: Any) -> None:
    """Assert that CuPy has a kernel for these dtypes, with the result NumPy gives."""
    arrays = [x.dtype for x in args if isinstance(x, cupy.ndarray)]
    dtypes = [
        x.dtype if isinstance(x, cupy.ndarray) else np.result_type(*arrays, x)
        for x in args
    ]
    loop = ufunc._ops._guess_routine_from_in_types(tuple(d.char for d in dtypes))
    assert loop is not None, f"{ufunc.name} has no kernel for {dtypes}"
    assert loop.out_types == (dtype,)


def fuse_for(
    seen: Rehearsal, function: Callable[..., Any], in_place: bool, hinted: bool
) -> Callable[..., Any]:
    """Return what traces a function as CuPy would, and records that it is launched."""
    kernel = FUSE(function, in_place, hinted)

    def launch(*args: Any) -> Any:
        if _fusion_thread_local.is_old_fusing():
            return kernel(*args)  # becomes part of another one
        for x in args:
            check_argument(seen, function.__name__, x, seen.backend.cls)
        assert launch_fails(kernel, *args)  # what can't be traced raises otherwise
        if kernel.new_fusion is not None:
            pytest.fail(f"{function.__name__} is not one elementwise kernel")
        seen.launches.append(function.__name__)
        results = function(*map(ones, args[hinted:]))
        results = results if isinstance(results, tuple) else (results,)
        seen.dtypes.update(result.dtype.name for result in results)
        if not in_place and not hinted:
            return shell(results[0].shape, results[0].dtype, seen.backend.cls)
        for target, result in zip(args, results, strict=False):
            if (target.shape, target.dtype) != (result.shape, result.dtype):
                pytest.fail(f"{function.__name__} can't write into {target}")
        return None

    return launch


FUSE = _pointwise._fuse


def ones(x: Any) -> Any:
    """Return the host's twin of a shell, or of a list of them."""
    if isinstance(x, list | tuple):
        return type(x)(map(ones, x))
    if isinstance(x, cupy.ndarray):
        # Row numbers of 0 are there.
        fill = np.zeros if x.dtype.kind == "i" else np.ones
        return fill(x.shape, x.dtype)
    return x


OPERATORS = {
    "__add__": "add",
    "__sub__": "subtract",
    "__mul__": "multiply",
    "__truediv__": "divide",
    "__pow__": "power",
    "__gt__": "greater",
    "__lt__": "less",
    "__ge__": "greater_equal",
    "__le__": "less_equal",
    "__eq__": "equal",
    "__ne__": "not_equal",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__rshift__": "right_shift",
    "__neg__": "negative",
    "__abs__": "absolute",
}
ARITHMETIC = ["add", "sub", "mul", "truediv", "pow"]
"""They have a reflected and an in-place form."""


def rehearsed_class(seen: Callable[[], Rehearsal]) -> type:
    """Return a class of shells whose operators and host reads are recorded."""

    def operate(name: str, *args: Any, **kwargs: Any) -> Array:
        twin = getattr(np, name)
        return answer(seen(), name, getattr(cupy, name), twin, *args, **kwargs)

    def forward(name: str) -> Callable[..., Array]:
        return lambda *args: operate(name, *args)

    def reflected(name: str) -> Callable[..., Array]:
        return lambda self, other: operate(name, other, self)

    def in_place(name: str) -> Callable[..., Array]:
        return lambda self, other: operate(name, self, other, self)

    def read(name: str) -> Callable[..., Any]:
        def method(self: Array, *_: Any, **__: Any) -> Any:
            seen().reads.append(name)
            value = ones(self)
            return value if name == "get" else getattr(value, name)()

        return method

    def numpy_function(*_: Any, **__: Any) -> Any:
        pytest.fail("a function of NumPy's is given CuPy's array")

    def getitem(self: Array, key: Any) -> Array:
        for item in key if isinstance(key, tuple) else (key,):
            known = item is None or item is Ellipsis or isinstance(item, int | slice)
            assert known, f"indexing by {type(item)} may wait for the device"
        return cupy.ndarray.__getitem__(self, key)

    namespace: dict[str, Any] = {
        "__module__": "rehearsed",  # where operations look for theirs
        "__getitem__": getitem,
        "__array_function__": numpy_function,
        "__array_ufunc__": numpy_function,
        "__hash__": None,
        "device": property(lambda _: Place()),
    }
    for name, function in OPERATORS.items():
        namespace[name] = forward(function)
    for name in ARITHMETIC:
        namespace[f"__r{name}__"] = reflected(OPERATORS[f"__{name}__"])
        namespace[f"__i{name}__"] = in_place(OPERATORS[f"__{name}__"])
    namespace |= {name: read(name) for name in READS}
    return type("Shell", (cupy.ndarray,), namespace)


@contextmanager
def rehearsing() -> Iterator[Rehearsal]:
    """Record every launch, and every read by the host."""
    seen: Rehearsal
    cls = rehearsed_class(lambda: seen)
    seen = Rehearsal(ShellBackend("cupy:0", xp, Place(), cls))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "rehearsed", xp)
        for name in set(dir(xp)) & set(dir(xnp)) - NO_LAUNCH:
            real, twin = getattr(xp, name), getattr(xnp, name)
            function = callable(real) and not isinstance(real, type)
            if function and not name.startswith("_"):
                patch.setattr(xp, name, partial(answer, seen, name, real, twin))
        patch.setattr(_pointwise, "_fuse", partial(fuse_for, seen))
        patch.setattr(_pointwise, "_not_fused", seen.unfused)
        yield seen


def like_numpy(
    function: Callable[[Backend, str], list[Array]], dtype: str
) -> tuple[Rehearsal, list[Array]]:
    """Rehearse; assert shapes and dtypes as on NumPy, and that the host reads nothing."""
    desired = function(get_backend("numpy"), dtype)
    with rehearsing() as seen:
        actual = function(seen.backend, dtype)
        assert seen.reads == []
        assert seen.uploads == []
        assert seen.unfused == set()
    for a, d in zip(actual, desired, strict=True):
        assert isinstance(a, cupy.ndarray)
        assert (a.shape, a.dtype) == (d.shape, d.dtype)
    # One float throughout: the other one never appears, not even in between.
    assert {name for name in seen.dtypes if name.startswith("float")} <= {dtype}
    return seen, actual


@pytest.mark.parametrize("name", ["counter_hash", "counter_uniform", "keep_mask"])
def test_random_numbers_of_a_counter(name: str, dtype: str) -> None:
    """Thirty-two bits throughout; keys that change are arrays."""

    def call(backend: Backend, _: str) -> list[Array]:
        counter = backend.asarray(np.arange(6).reshape(2, 3), "int32")
        key = backend.asarray(np.asarray(7), "int32")
        others = (0.5, getattr(backend.xp, dtype)) if name == "keep_mask" else ()
        return [getattr(functional, name)(counter, 3, key, *others)]

    with rehearsing() as seen:
        call(seen.backend, dtype)
    masks = {dtype, "bool"} if name == "keep_mask" else set()
    floats = {"float32"} if name == "counter_uniform" else set()
    assert seen.dtypes == {"int32"} | floats | masks
    assert (seen.reads, seen.uploads) == ([], [])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions(function: Callable[..., Any], dtype: str) -> None:
    def call(backend: Backend, dtype: str) -> list[Array]:
        given = arguments(function, backend, dtype, np.random.default_rng(1))
        results = function(**given)
        return list(results) if isinstance(results, tuple) else [results]

    seen, _ = like_numpy(call, dtype)
    assert seen.launches or function.__name__.startswith("identity")


@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_layers(activation: str, dtype: str) -> None:
    def call(backend: Backend, dtype: str) -> list[Array]:
        X, W, b, dA = (
            backend.asarray(np.ones(shape), dtype)
            for shape in [(4, 3), (3, 2), (2,), (4, 2)]
        )
        A, backward = Dense(3, 2, activation).forward(X, W, b)
        dX, (dW, db) = backward(dA)
        return [A, dX, dW, db]

    seen, _ = like_numpy(call, dtype)
    assert seen.launches.count("matmul") == 3


def take_step(
    backend: Backend,
    dtype: str,
    *,
    optimizer: Any,
    activation: str = "tanh",
    buffered: bool = True,
    weighted: bool = False,
) -> list[Array]:
    problem = Problem.draw(np.random.default_rng(3), (5, 3), activation)
    problem = problem.on(backend, dtype)
    params = problem.params
    numbers = optimizer.coefficients(0.05, 1)
    params, state, value = training_step(
        Objective(problem.network, softmax_cross_entropy, alpha=0.1),
        optimizer,
        params,
        optimizer.init(params),
        problem.X,
        problem.targets,
        tuple(backend.asarray(np.asarray(number), dtype) for number in numbers),
        problem.network.buffers(params, 8) if buffered else None,
        weights=backend.asarray(np.ones(8), dtype) if weighted else None,
    )
    assert params is problem.params
    return [params, *state, value]


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_steps(optimizer: Any, weighted: bool, buffered: bool, dtype: str) -> None:
    step = partial(take_step, optimizer=optimizer, weighted=weighted, buffered=buffered)
    seen, _ = like_numpy(step, dtype)
    # 3 forward, 3 for dW, 2 for dX, and the weights with themselves; of Muon's one
    # matrix the square, and three in each of five steps
    muons = 16 if "Muon" in repr(optimizer) else 0
    assert seen.launches.count("matmul") == 9 + muons
    # With buffers the layers write into the gradient; nothing has to be joined.
    assert ("concat" in seen.launches) == (not buffered)


@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_steps_of_each_activation(activation: str, dtype: str) -> None:
    like_numpy(partial(take_step, optimizer=Adam(), activation=activation), dtype)


def test_buffers_lie_in_one_gradient(dtype: str) -> None:
    params = shell(NETWORK.n_params, dtype)
    with rehearsing() as seen:
        params = seen.backend.asarray(np.ones(NETWORK.n_params), dtype)
        buffers = NETWORK.buffers(params, 8)
    begin, end = extent(buffers.d_params)
    assert end - begin == params.nbytes
    views = [(layer.dW, layer.db) for layer in buffers.layers]
    for (dW, db), (W, b) in zip(views, NETWORK.views(buffers.d_params), strict=True):
        assert (extent(dW), dW.shape) == (extent(W), W.shape)
        assert (extent(db), db.shape) == (extent(b), b.shape)
    for layer, hint in zip(NETWORK.layers, buffers.layers, strict=True):
        assert hint.A.shape == hint.dZ.shape == (8, layer.fan_out)
        assert hint.A.dtype == dtype
        assert not overlap(hint.A, buffers.d_params)
    assert buffers.layers[0].dX is None
    assert set(seen.launches) == {"empty"}  # an allocation


def test_a_whole_fit() -> None:
    """Two epochs of batches: the host reads what the documentation says, no more."""
    rng = np.random.default_rng(0)
    y = np.arange(20) % 3
    clf = MLPClassifier((5,), batch_size=6, max_iter=2, random_state=0, tol=0.0)
    with rehearsing() as seen:
        X = seen.backend.asarray(rng.normal(size=(20, 4)), "float32")
        for _ in clf.iter_fit(X, y):
            pass
        # Whether X is finite; the classes; an epoch's loss with its largest weight.
        assert seen.reads == ["__bool__", "get", *["get"] * 2]
        # Class numbers, weights, classes, a zero; an epoch's order and coefficients.
        n_params = 4 * 5 + 5 * 3 + 5 + 3
        assert seen.uploads == [(20,), (n_params,), (3,), (), *[(20,), (4, 1)] * 2]
        seen.reads.clear()
        probs = clf.predict_proba(X)
        assert seen.reads == ["__bool__"]  # whether X is finite
        assert (probs.shape, probs.dtype) == ((20, 3), np.float32)
    assert all(isinstance(W, seen.backend.cls) for W in clf.coefs_)
    assert {name for name in seen.dtypes if name.startswith("float")} == {"float32"}


# ----------------------------------------------------------------------- fused functions


SHAPES = {
    **dict.fromkeys(("b", "classes"), (3,)),
    **dict.fromkeys(("codes", "sums", "log_sums"), (4, 1)),
}
"""Of rows and columns, by the names of arguments; others are (4, 3)."""

CHANGING = {"learning_rate", "step_size", "rate_of_m", "rate_of_g", "keep", "squares"}
CHANGING |= {"share"}
"""Arguments of no dimension."""


class Fused(NamedTuple):
    """An elementwise function of the package, and how it is called."""

    function: Callable[..., Any]
    """Array code."""
    updates: int

    def arguments(self, dtype: str, rng: np.random.Generator) -> list[Any]:
        """Return numbers for a call: matrices, rows, and Python's own floats."""
        given: list[Any] = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            kind = str(parameter.annotation)
            if name == "counter":
                given.append(np.arange(12, dtype=np.int32).reshape(4, 3))
            elif name.startswith("key"):
                given.append(np.asarray(1234567891, np.int32))
            elif parameter.annotation is int:
                given.append(1 << 23)
            elif name in CHANGING:
                given.append(np.asarray(0.1, dtype))  # an array, since it changes
            elif "float" in kind:
                given.append(0.25)
            elif name != "out":
                shape = SHAPES.get(name, (4, 3))
                given.append(rng.uniform(-2.0, 2.0, shape).astype(dtype))
                if name in ("v", "sums"):  # a second moment, a sum of exponentials
                    given[-1] = np.abs(given[-1])
                if name in ("classes", "codes"):
                    given[-1] = rng.integers(3, size=shape).astype(np.int32)
        return given


def decorated() -> dict[str, Fused]:
    found = {}
    for info in pkgutil.walk_packages(xpnet.__path__, "xpnet."):
        if info.name.startswith(("xpnet.cli", "xpnet._pointwise")):
            continue
        for member in vars(importlib.import_module(info.name)).values():
            if not inspect.isfunction(member) or not hasattr(member, "__wrapped__"):
                continue
            if member.__code__.co_filename == _pointwise.__file__:
                updates = inspect.getclosurevars(member).nonlocals["updates"]
                found[member.__name__] = Fused(member.__wrapped__, updates)
    for name, g in ACTIVATIONS.items():
        if g.shifted is not None:
            found[f"shifted {name}"] = Fused(g.shifted.__wrapped__, 0)
    return found


DECORATED = decorated()

each_fused = pytest.mark.parametrize("name", sorted(DECORATED))


@dataclass
class Kernel:
    """What ``cupy.fuse`` writes."""

    kernel: Any
    dtypes: set[str]
    """That it computes in."""

    @classmethod
    def trace(cls, fused: Fused, args: list[Any], *, hinted: bool) -> "Kernel":
        body = _pointwise._fuse(fused.function, fused.updates > 0, hinted).func
        shells = [
            shell(x.shape, x.dtype) if isinstance(x, np.ndarray) else x for x in args
        ]
        out = [shell(args[0].shape, args[0].dtype)] if hinted else []
        history = fusion._FusionHistory()
        _fusion_thread_local.thread_local.history = history
        _fusion_thread_local.thread_local.is_old_fusing = True
        try:
            kernel, _ = history.get_fusion(body, (*out, *shells), "fused")
        finally:
            _fusion_thread_local.thread_local.history = None
            _fusion_thread_local.thread_local.is_old_fusing = False
        parts = history.submodules.values()
        return cls(kernel, {dtype.name for part in parts for dtype in part.dtypes})

    @property
    def params(self) -> list[Any]:
        return [*self.kernel.in_params, *self.kernel.out_params]

    def source(self, attributes: str, element: str) -> str:
        """Return a function that does one element, or all."""
        pointers = ", ".join(f"{x.ctype} *p_{x.name}" for x in self.params)
        strides = ", ".join(f"long n_{x.name}" for x in self.params)
        names = " ".join(
            f"{'const ' if x.is_const else ''}{x.ctype} &{x.name} = "
            f"p_{x.name}[i % n_{x.name}];"
            for x in self.params
        )
        body = f"{names} {self.kernel.operation}"
        return f"""{self.kernel.preamble}
        extern "C" {attributes} void fused(long n, {pointers}, {strides})
        {{ {element} {{ {body}; }} }}"""

    def cubin(self, monkeypatch: pytest.MonkeyPatch) -> bytes:
        """Compile it for an H100."""
        monkeypatch.setattr(
            compiler,
            "_get_arch_for_options_for_nvrtc",
            lambda arch=None: ("-arch=sm_90", "cubin"),  # noqa: ARG005
        )
        index = "long i = blockDim.x * (long)blockIdx.x + threadIdx.x; if (i < n)"
        include = Path(cupy.__file__).parent / "_core" / "include"
        source = self.source("__global__", index)
        options = (f"-I{include}", *INCLUDES)
        return compiler.compile_using_nvrtc(source, options, arch="90")[0]

    def run(self, folder: Path, arrays: list[Any]) -> None:
        """Compile it for this machine, and run it over all elements."""
        source = self.source("", "for (long i = 0; i < n; i++)")
        source = source.replace('#include "cupy/float16.cuh"', "")
        (folder / "fused.cpp").write_text(
            "#include <cmath>\n#include <algorithm>\nusing namespace std;\n"
            f"#define __device__\n#define NAN_ NAN\n{source}"
        )
        command = ["g++", "-O1", "-ffp-contract=off", "-shared", "-fPIC"]
        library = folder / "fused.so"
        subprocess.run(
            [*command, folder / "fused.cpp", "-o", library], check=True, cwd=folder
        )
        held = [
            np.asarray(x, dtype=param.dtype) if isinstance(x, int | float) else x
            for x, param in zip(arrays, self.params, strict=True)
        ]
        shape = arrays[0].shape
        held = [np.repeat(x, shape[1], 1) if x.shape[1:] == (1,) else x for x in held]
        sizes = [ctypes.c_long(x.size) for x in held]
        pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in held]
        n = ctypes.c_long(max(x.size for x in held))
        ctypes.CDLL(str(library)).fused(n, *pointers, *sizes)


INCLUDES = tuple(
    f"-I{folder}"
    for package in map(Path, cupy.__path__)
    for folder in (package.parent / "nvidia").glob("*/include")
)


def test_what_is_decorated_is_found() -> None:
    names = {"relu", "gelu_backward", "_shift", "_decay", "_sgd", "_momentum"}
    names |= {"_nesterov", "_adam", "_nadam", "_rmsprop", "_average"}
    assert names | {"_shorten", "_scale", "_add", "_look_ahead"} <= DECORATED.keys()


@pytest.mark.parametrize(
    ("name", "hinted"),
    [(name, False) for name in sorted(DECORATED)]
    + [(name, True) for name, found in sorted(DECORATED.items()) if not found.updates],
)
def test_each_is_one_kernel(
    name: str, hinted: bool, dtype: str, rng: np.random.Generator
) -> None:
    """In one dtype throughout, and it writes where the array code would."""
    fused = DECORATED[name]
    found = Kernel.trace(fused, fused.arguments(dtype, rng), hinted=hinted)
    assert type(found.kernel) is cupy.ElementwiseKernel
    # Of comparisons, and of counters.
    whole = {"int32", "int64"} if name in ("_of_classes", "_thin") else set()
    assert found.dtypes - {"bool"} - whole == {dtype}
    n_written = fused.updates or int(hinted)
    written = [not param.is_const for param in found.kernel.in_params]
    assert all(written[:n_written])
    if not fused.updates:
        assert not any(written[n_written:])
    assert len(found.kernel.out_params) == int(n_written == 0)


@each_fused
def test_each_compiles_for_a_gpu(
    name: str, dtype: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = DECORATED[name]
    args = fused.arguments(dtype, rng)
    found = Kernel.trace(fused, args, hinted=not fused.updates)
    cubin = found.cubin(monkeypatch)
    assert cubin.startswith(b"\x7fELF")
    assert b"fused" in cubin


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
@each_fused
def test_each_computes_what_the_array_code_does(
    name: str, dtype: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    """CuPy's kernel, run on this machine: array code and C++ differ by roundings."""
    fused = DECORATED[name]
    args = fused.arguments(dtype, rng)
    found = Kernel.trace(fused, args, hinted=not fused.updates)
    actual = [x.copy() if isinstance(x, np.ndarray) else x for x in args]
    out = [] if fused.updates else [np.full_like(args[0], np.nan)]
    found.run(tmp_path, [*out, *actual])
    desired = fused.function(*args)
    desired = desired if fused.updates > 1 else (desired,)
    for a, d in zip([*out, *actual], desired, strict=False):
        assert_close(a, d, factor=TEN_STEPS)


def test_what_cannot_be_fused_is_array_code() -> None:
    @pointwise()
    def scaled(x: Array, *, out: Array | None = None) -> Array:
        return ops.multiply(x, 1.0 / x.shape[0], out=out)  # a shape is not known to it

    with rehearsing() as seen:
        x = seen.backend.asarray(np.ones(3), "float32")
        for _ in range(2):
            assert scaled(x).shape == (3,)
            assert scaled(x, out=x) is x
    assert seen.launches == ["multiply"] * 4
    assert seen.unfused == {scaled.__wrapped__}


def test_a_mistake_of_the_callers_is_no_reason_to_stop_fusing() -> None:
    with rehearsing() as seen:
        x = seen.backend.asarray(np.ones((2, 3)), "float32")
        with pytest.raises(ValueError, match="broadcast"):
            functional.relu_backward(x, x[:, :2])
    assert seen.unfused == set()


@pytest.mark.parametrize(
    ("optimizer", "fused", "unfused"), [(SGD(), 29, 46), (Adam(), 29, 52)], ids=repr
)
def test_launches_of_a_step(optimizer: Any, fused: int, unfused: int) -> None:
    """With 64-100-10 units, batches of 200 that are gathered, and a penalty."""
    network = Network.from_sizes([64, 100, 10], ["relu"])
    objective = Objective(network, softmax_cross_entropy, alpha=1e-4)
    counts = []
    for without in (set(), {found.function for found in DECORATED.values()}):
        with rehearsing() as seen:
            seen.unfused |= without
            asarray = seen.backend.asarray
            data = Data(
                asarray(np.ones((400, 64)), "float32"),
                asarray(np.zeros(400), "int32"),
            )
            params = asarray(np.ones(network.n_params), "float32")
            steps = make_steps(
                objective, optimizer, data, params, optimizer.init(params), 200
            )
            table = np.asarray([optimizer.coefficients(0.1, 1)])
            rows, numbers = asarray(np.arange(200), "int32"), asarray(table, "float32")
            numbers = Numbers(numbers)
            total = asarray(np.asarray(0.0), "float32")
            steps.take(total, rows, numbers, 200)  # makes the buffers
            seen.launches.clear()
            steps.take(total, rows, numbers, 200)
            counts.append(len(seen.launches))
    assert counts == [fused, unfused]


REGULARISED: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "dropout": ({"dropout": [0.2, 0.5]}, {}, 6),
    "layer": ({"normalization": "layer"}, {}, 20),
    "batch": ({"normalization": "batch"}, {}, 20),
    "l1": ({}, {"l1": 0.1}, 7),
    "max_norm": ({}, {"max_norm": 2.0}, 6),
    "mixup": ({}, {"mixup": Mixup(0.2, lambda targets, _: targets)}, 10),
}
"""Options of network and objective, and launches more than without."""


@pytest.mark.parametrize("name", REGULARISED)
def test_launches_of_regularisation(name: str) -> None:
    """Everything new is fused, stays in one dtype, and asks the host for nothing."""
    in_network, in_objective, more = REGULARISED[name]

    def launches(network: Network, **options: Any) -> int:
        objective = Objective(network, softmax_cross_entropy, 1e-4, **options)
        sgd = SGD()
        with rehearsing() as seen:
            asarray = seen.backend.asarray
            data = Data(
                asarray(np.ones((400, 64)), "float32"),
                asarray(np.ones((400, 10)), "float32"),
            )
            params = asarray(np.ones(network.n_params), "float32")
            steps = make_steps(objective, sgd, data, params, sgd.init(params), 200)
            draws = objective.draws(1, 1, 400, 200, "float32")
            _, numbers = steps.bring(None, Numbers(np.ones((2, 1), "float32"), *draws))
            rows = asarray(np.arange(200), "int32")
            total = asarray(np.asarray(0.0), "float32")
            steps.take(total, rows, numbers.between(0, 1, 0, 200), 200)
            seen.launches.clear()
            seen.reads.clear()
            steps.take(total, rows, numbers.between(1, 2, 200, 400), 200)
            assert seen.reads == []
            assert seen.unfused == set()
            assert seen.dtypes <= {"float32", "int32", "bool"}
            return len(seen.launches)

    sizes, activations = [64, 100, 10], ["relu"]
    plain = launches(Network.from_sizes(sizes, activations))
    network = Network.from_sizes(sizes, activations, **in_network)
    assert launches(network, **in_objective) - plain == more


# ----------------------------------------------------------------------- captured step


def test_constants_and_arguments_are_those_of_cublas() -> None:
    """What tests/test_captured_step.py takes for granted of nvmath-python."""
    import nvmath  # noqa: PLC0415
    from nvmath.bindings import cublas  # noqa: PLC0415

    kinds, computed = nvmath.CudaDataType, cublas.ComputeType
    assert _products._TYPES["float32"][:2] == (kinds.CUDA_R_32F, computed.COMPUTE_32F)
    assert _products._TYPES["float64"][:2] == (kinds.CUDA_R_64F, computed.COMPUTE_64F)
    assert (cublas.Operation.N, cublas.Operation.T) == (False, True)
    assert _products._DEFAULT_ALGORITHM in list(cublas.GemmAlgo)
    words = str(cublas.gemm_ex.__doc__).partition("\n")[0].replace("intptr_t ", "")
    names = inspect.signature(FakeCublas.gemm_ex).parameters
    assert words.replace("int ", "") == f"gemm_ex({', '.join([*names][1:])})"
    for name in ("create", "destroy", "set_stream", "set_workspace"):
        assert f"{name}(" in str(getattr(cublas, name).__doc__)


def test_without_a_gpu_a_captured_step_runs_eagerly() -> None:
    """It is asked for, fails before anything has moved, and says so."""
    clf = MLPClassifier((5,), batch_size=6, max_iter=2, tol=0.0, compiled=True)
    with rehearsing() as seen:
        X = seen.backend.asarray(np.ones((20, 4)), "float32")
        with pytest.warns(RuntimeWarning, match="runs eagerly"):
            for _ in clf.iter_fit(X, np.arange(20) % 3):
                pass
    assert clf.n_iter_ == 2


# ----------------------------------------------------- the rehearsal notices what is wrong


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda x: xp.clip(x, 0.0, 1.0), "wait"),
        (lambda x: x[x > 0.0], "may wait"),
        (np.exp, "function of NumPy's"),
        (lambda x: np.float64(2.0) * x, "function of NumPy's"),
        (lambda x: x * np.float64(2.0), "is given a"),
        (lambda x: xp.add(x, np.ones(3)), "is given a"),
        (lambda x: operator.imul(x, shell(3, "float64", type(x))), "multiply into"),
        (lambda x: xp.matmul(xp.zeros((2, 9), dtype=x.dtype)[:, ::3], x), "copy"),
    ],
    ids=["clip", "mask", "np.exp", "r-scalar", "scalar", "host", "in place", "slice"],
)
def test_planted_faults(fault: Callable[[Array], Any], message: str) -> None:
    with rehearsing() as seen:
        x = seen.backend.asarray(np.ones(3), "float32")
        with pytest.raises((AssertionError, pytest.fail.Exception), match=message):
            fault(x)


@pytest.mark.parametrize(
    "read",
    [float, bool, int, ops.to_numpy, operator.methodcaller("item")],
    ids=["float", "bool", "int", "to_numpy", "item"],
)
def test_planted_reads(read: Callable[[Array], Any]) -> None:
    with rehearsing() as seen:
        read(seen.backend.asarray(np.ones(()), "float32"))
    assert len(seen.reads) == 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda x: xp.sum(x, axes=0),
        lambda x: xp.exp(x, where=True),
        lambda x: xp.matmul(x, xp.zeros((4, 2))),
        lambda x: xp.sum(x, axis=5),
    ],
    ids=["keyword", "where", "shape", "axis"],
)
def test_planted_arguments(fault: Callable[[Array], Any]) -> None:
    with rehearsing() as seen:
        x = seen.backend.asarray(np.ones((2, 3)), "float32")
        with pytest.raises((TypeError, ValueError)):
            fault(x)


def test_planted_float64() -> None:
    def promote(backend: Backend, dtype: str) -> list[Array]:
        x = backend.asarray(np.ones(3), dtype)
        wide = backend.xp.astype(x, backend.xp.float64)
        return [backend.xp.astype(2.0 * wide, x.dtype)]

    with pytest.raises(AssertionError, match="float64"):
        like_numpy(promote, "float32")
