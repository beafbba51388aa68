"""Where arrays live, how they move, and what is computed in a way of one's own."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import threadpoolctl
from tolerances import ELEMENTWISE, EXACT

from xpnet import Backend, get_backend
from xpnet import _namespace as ops
from xpnet.exceptions import DataError
from xpnet.testing import assert_close

LAYOUTS = {
    "contiguous": lambda x: x,
    "Fortran-ordered": np.asfortranarray,
    "negative strides": lambda x: x[::-1, ::-1],
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "no rows": lambda x: x[:0],
    "one number": lambda x: x[1, 1],
}


def test_namespace_is_the_arrays_own(backend: Backend) -> None:
    x = backend.asarray(np.zeros(2))
    assert ops.array_namespace(x) is backend.xp
    assert ops.array_namespace(x, 2.0, None) is backend.xp


@pytest.mark.parametrize("backend", ["strict", "torch", "jax", "cupy"], indirect=True)
def test_arrays_of_two_libraries_do_not_mix(backend: Backend) -> None:
    x = backend.asarray(np.zeros(2))
    for _ in range(2):  # what is remembered by type must not hide it either
        with pytest.raises(TypeError):
            ops.array_namespace(x, np.zeros(2))


def test_a_list_has_no_namespace() -> None:
    with pytest.raises(TypeError):
        ops.array_namespace([1.0])


# ---------------------------------------------------------------- operations with out=


@pytest.mark.parametrize(
    "name", ["add", "divide", "matmul", "maximum", "multiply", "subtract"]
)
def test_binary_operations(
    name: str, backend: Backend, rng: np.random.Generator
) -> None:
    x, y = rng.normal(size=(2, 3, 3))
    check_operation(name, backend, x, y)


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_unary_operations(
    name: str, backend: Backend, rng: np.random.Generator
) -> None:
    check_operation(name, backend, rng.normal(size=(2, 3)))


def check_operation(name: str, backend: Backend, *host: np.ndarray) -> None:
    arrays = [backend.asarray(x) for x in host]
    operation = getattr(ops, name)
    desired = getattr(backend.xp, name)(*arrays)
    assert_close(operation(*arrays), desired, factor=EXACT)
    if ops.is_writable(arrays[0]):
        out = ops.empty_like(arrays[0], desired.shape)
        assert operation(*arrays, out=out) is out
        assert_close(out, desired, factor=EXACT)


def test_row_sum(backend: Backend) -> None:
    x = backend.asarray(np.asarray([[1.0, 2.0], [3.0, 4.0]]))
    desired = backend.asarray(np.asarray([4.0, 6.0]))
    assert_close(ops.row_sum(x), desired, factor=EXACT)
    if ops.is_writable(x):
        out = ops.empty_like(x, (2,))
        ops.row_sum(x, out=out)
        assert_close(out, desired, factor=EXACT)


REDUCTIONS = {
    "row_sum": lambda x: np.sum(x, axis=0),
    "sum_in_row": lambda x: np.sum(x, axis=1, keepdims=True),
    "max_in_row": lambda x: np.max(x, axis=1, keepdims=True),
}
"""What they are in NumPy's own words."""


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 1), (1, 5), (200, 10), (5, 31), (5, 32), (3, 200)], ids=str
)
def test_reductions(
    name: str,
    shape: tuple[int, int],
    backend: Backend,
    dtype: str,
    rng: np.random.Generator,
) -> None:
    """NumPy's way and the libraries' own, where columns are few and where many."""
    x = rng.normal(size=shape).astype(dtype)
    exact = REDUCTIONS[name](np.abs(x).astype(np.float64)).astype(dtype)
    for host in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        actual = getattr(ops, name)(backend.asarray(host))
        desired = REDUCTIONS[name](x.astype(np.float64)).astype(dtype)
        # What is rounded is as large as the sum of magnitudes.
        padded = [
            backend.asarray(np.concatenate([ops.to_numpy(each), exact], axis=-1))
            for each in (actual, desired)
        ]
        assert_close(*padded, factor=ELEMENTWISE)
        assert backend.holds(actual)
        if backend.name.startswith("strict"):
            numpys = getattr(ops, name)(np.ascontiguousarray(host))
            assert_close(actual, backend.asarray(numpys), factor=EXACT)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_keep_infinity_and_nan_to_their_rows(
    name: str, backend: Backend
) -> None:
    x = np.ones((6, 5))
    x[0, 0], x[1, 1], x[2, 2] = np.inf, -np.inf, np.nan
    actual = ops.to_numpy(getattr(ops, name)(backend.asarray(x)))
    np.testing.assert_array_equal(actual, REDUCTIONS[name](x), strict=True)


@pytest.mark.parametrize("name", ["sum_in_row", "max_in_row"])
def test_reductions_of_no_rows(name: str, backend: Backend) -> None:
    x = backend.asarray(np.ones((0, 5)))
    assert tuple(getattr(ops, name)(x).shape) == (0, 1)


def test_a_sum_of_ones_is_not_written_into() -> None:
    """The ones that NumPy multiplies by are made once."""
    x = np.full((4, 3), 2.0)
    for _ in range(2):
        total = ops.row_sum(x)
        np.testing.assert_array_equal(total, [8.0, 8.0, 8.0])
        total += 1.0
        ops.row_sum(x, out=total)
        np.testing.assert_array_equal(total, [8.0, 8.0, 8.0])


@pytest.mark.parametrize("shape", [(13,), (7, 5)], ids=str)
def test_maximum_with_a_number(
    shape: tuple[int, ...], backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    x = rng.normal(size=shape).astype(dtype)
    desired = backend.asarray(np.maximum(x, x.dtype.type(0.1)))
    here = backend.asarray(x, copy=True)
    assert_close(ops.maximum(here, 0.1), desired, factor=EXACT)
    if ops.is_writable(here):
        assert ops.maximum(here, 0.1, out=here) is here
        assert_close(here, desired, factor=EXACT)


# ------------------------------------------------------------------ threads of the BLAS


def blas_threads() -> set[int]:
    pools = threadpoolctl.threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}


@pytest.fixture
def two_threads() -> Iterator[Callable[[], set[int]]]:
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("the BLAS can't have two threads here")
        yield blas_threads
        assert blas_threads() == {2}


def test_small_products_have_one_thread(
    two_threads: Callable[[], set[int]],
) -> None:
    x = np.ones(2)
    for _ in range(2):
        with ops.threads_for(x, 1e6):
            assert two_threads() == {1}
            with ops.threads_for(x, 1e3):
                assert two_threads() == {1}
            assert two_threads() == {1}
        assert two_threads() == {2}
    with ops.threads_for(x, 1e9):
        assert two_threads() == {2}


@pytest.mark.parametrize("backend", ["strict", "torch", "jax"], indirect=True)
def test_other_libraries_keep_their_threads(
    backend: Backend, two_threads: Callable[[], set[int]]
) -> None:
    before = two_threads()
    with ops.threads_for(backend.asarray(np.ones(2)), 1e3):
        assert two_threads() == before


def test_threads_come_back_after_an_error(
    two_threads: Callable[[], set[int]],
) -> None:
    context = ops.threads_for(np.ones(2), 1e3)
    with pytest.raises(ZeroDivisionError), context:
        raise ZeroDivisionError
    assert two_threads() == {2}


def test_threads_of_two_trainings_at_once(
    two_threads: Callable[[], set[int]],
) -> None:
    """One begins and ends before the other: the limit doesn't stay behind."""
    entered, may_leave = threading.Event(), threading.Event()

    def other() -> None:
        with ops.threads_for(np.ones(2), 1e3):
            entered.set()
            may_leave.wait(60)

    thread = threading.Thread(target=other)
    with ops.threads_for(np.ones(2), 1e3):
        thread.start()
        assert entered.wait(60)
        assert two_threads() == {1}
    may_leave.set()
    thread.join()
    assert two_threads() == {2}


def test_where_or_zero(backend: Backend) -> None:
    x = backend.asarray(np.asarray([[1.0, -2.0], [3.0, 4.0]]))
    desired = backend.asarray(np.asarray([[0.0, -2.0], [3.0, 0.0]]))
    condition = desired != 0.0
    assert_close(ops.where_or_zero(condition, x), desired, factor=EXACT)
    if ops.is_writable(x):
        assert ops.where_or_zero(condition, x, out=x) is x  # in place, as in backward
        assert_close(x, desired, factor=EXACT)


def test_only_libraries_that_write_get_buffers(backend: Backend) -> None:
    library = backend.name.partition(":")[0]
    x = backend.asarray(np.zeros(2))
    assert ops.is_writable(x) == (library in ("numpy", "torch", "cupy"))


def test_empty_like_keeps_dtype_and_device(backend: Backend, dtype: str) -> None:
    x = backend.asarray(np.zeros(2), dtype)
    y = ops.empty_like(x, (3, 1))
    assert tuple(y.shape) == (3, 1)
    assert y.dtype == x.dtype
    assert ops.same_place(y, x)


# ------------------------------------------------------------------- between libraries


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "uint8", "bool"])
def test_there_and_back(kind: str, backend: Backend) -> None:
    x = np.arange(6).reshape(2, 3).astype(kind)
    moved = ops.from_numpy(x, backend.xp, backend.device)
    assert backend.holds(moved)
    assert ops.dtype_name(moved.dtype) == kind
    back = ops.to_numpy(moved)
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, x, strict=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["float64", "int64"])
def test_any_layout_moves(layout: str, kind: str, backend: Backend, dtype: str) -> None:
    x = LAYOUTS[layout](np.arange(6).reshape(2, 3).astype(kind))
    moved = backend.asarray(x, dtype)
    assert ops.dtype_name(moved.dtype) == dtype
    np.testing.assert_array_equal(ops.to_numpy(moved), np.array(x, dtype), strict=True)


@pytest.mark.parametrize("layout", ["contiguous", "read-only"])
def test_a_copy_is_not_shared(layout: str, backend: Backend) -> None:
    x = LAYOUTS[layout](np.ones((2, 3)))
    moved = ops.from_numpy(x, backend.xp, backend.device, copy=True)
    moved *= 2.0
    np.testing.assert_array_equal(x, np.ones((2, 3)))


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_read_only_memory_is_never_written(backend: Backend) -> None:
    x = LAYOUTS["read-only"](np.ones((2, 3)))
    moved = ops.from_numpy(x, backend.xp, backend.device)  # torch takes it for writable
    moved *= 2.0
    np.testing.assert_array_equal(x, np.ones((2, 3)))


def test_asarray_like_leaves_what_is_there_already(backend: Backend) -> None:
    x = backend.asarray(np.asarray([1.0, 2.0]))
    assert ops.asarray_like(x, x) is x
    assert ops.asarray_like(x, x, x.dtype) is x


def test_asarray_like_moves_and_casts(backend: Backend, dtype: str) -> None:
    ref = backend.asarray(np.zeros(2), dtype)
    actual = ops.asarray_like(np.asarray([1, 2]), ref, ref.dtype)
    assert_close(actual, backend.asarray(np.asarray([1.0, 2.0]), dtype), factor=EXACT)


def test_asarray_like_moves_between_devices() -> None:
    x = get_backend("strict:device1").asarray(np.asarray([1.0, 2.0]))
    ref = get_backend("strict:device2").asarray(np.asarray([0.0]))
    assert_close(
        ops.asarray_like(x, ref),
        get_backend("strict:device2").asarray(np.asarray([1.0, 2.0])),
        factor=EXACT,
    )


def test_same_place_knows_devices() -> None:
    x, y = (
        get_backend(name).asarray(np.zeros(2)) for name in ("strict", "strict:device1")
    )
    assert ops.same_place(x, x)
    assert not ops.same_place(x, y)
    assert not ops.same_place(x, np.zeros(2))


def test_to_numpy_takes_what_numpy_takes() -> None:
    np.testing.assert_array_equal(ops.to_numpy([1, 2]), [1, 2])


@pytest.mark.parametrize("backend", ["torch"], indirect=True)
def test_to_numpy_leaves_the_graph(backend: Backend) -> None:
    x = backend.asarray(np.asarray([1.0])).requires_grad_()
    np.testing.assert_array_equal(ops.to_numpy(2.0 * x), [2.0])
    assert not ops.without_graph(x).requires_grad


# ------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize("name", ["float32", "float64", "int32", "bool"])
def test_dtype_name(name: str, backend: Backend) -> None:
    assert ops.dtype_name(getattr(backend.xp, name)) == name
    assert ops.dtype_name(name) == name


def test_default_float(backend: Backend) -> None:
    for name, expected in [
        (None, "float64"),
        ("float64", "float64"),
        ("float32", "float32"),
    ]:
        found = ops.default_float(backend.xp, backend.device, name)
        assert found == getattr(backend.xp, expected)


@pytest.mark.parametrize(
    ("backend", "dtype"), [("jax", "float32")], indirect=["backend"]
)
def test_jax_has_no_64_bits_by_itself(backend: Backend, dtype: str) -> None:
    xp, device = backend.xp, backend.device
    assert ops.default_float(xp, device, None) == getattr(xp, dtype)
    for kind in ("float64", "int64"):
        moved = ops.from_numpy(np.ones(2, kind), xp, device)
        assert ops.dtype_name(moved.dtype) == kind.replace("64", "32")
    with pytest.raises(DataError, match=r"dtype='float32'.*jax_enable_x64"):
        ops.default_float(xp, device, "float64")


def test_a_device_without_float64() -> None:
    strict = get_backend("strict:no_float64")
    assert ops.default_float(strict.xp, strict.device, None) == strict.xp.float32
    with pytest.raises(DataError, match=r"has no float64.*use dtype='float32'"):
        ops.default_float(strict.xp, strict.device, "float64")
