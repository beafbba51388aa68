"""The assertions assert, and the harness fails where it should."""

import operator
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xpnet import Backend, get_backend
from xpnet._typing import Array
from xpnet.exceptions import DataError
from xpnet.testing import assert_close, check_gradients, numerical_gradient

# ------------------------------------------------------------------------ assert_close


@pytest.fixture
def x(backend: Backend, dtype: str) -> Array:
    return backend.asarray([[1.0, -2.0], [0.0, 4.0]], dtype)


def test_an_array_is_close_to_itself(x: Array) -> None:
    assert_close(x, x, factor=0)


def test_the_tolerance_is_of_the_size_of_the_array(
    x: Array, backend: Backend, dtype: str
) -> None:
    """At zero, the largest value is the measure: c ε 4; at 4, twice that."""
    ulps = 4.0 * np.finfo(dtype).eps
    near, far = (
        x + backend.asarray([[0.0, 0.0], [n_ulps * ulps, 0.0]], dtype)
        for n_ulps in (9, 11)
    )
    assert_close(near, x, factor=10)
    with pytest.raises(AssertionError, match=r"1 of 4 values are not close"):
        assert_close(far, x, factor=10)
    near, far = (
        x + backend.asarray([[0.0, 0.0], [0.0, n_ulps * ulps]], dtype)
        for n_ulps in (19, 21)
    )
    assert_close(near, x, factor=10)
    with pytest.raises(AssertionError, match=r"at index \(1, 1\)"):
        assert_close(far, x, factor=10)


def test_the_message_shows_the_worst_value(backend: Backend) -> None:
    desired = backend.asarray(np.asarray([1.0, 2.0, 3.0]))
    actual = backend.asarray(np.asarray([1.0, 2.5, 3.25]))
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, desired, factor=2)
    assert str(caught.value) == (
        "2 of 3 values are not close. The worst is at index (1,):\n"
        "  actual   2.5\n"
        "  desired  2.0\n"
        "  error    0.5, allowed 2.2e-15"
    )


@pytest.mark.parametrize(
    ("actual", "desired"),
    [
        (np.nan, 0.0),
        (0.0, np.nan),
        (np.inf, 1.0),
        (1.0, np.inf),
        (-np.inf, np.inf),
        (np.nan, np.inf),
    ],
)
def test_what_is_not_finite_must_be_the_same(
    actual: float, desired: float, backend: Backend
) -> None:
    a, d = (backend.asarray(np.asarray([1.0, x])) for x in (actual, desired))
    for same in (a, d):
        assert_close(same, same, factor=1e9)
    with pytest.raises(AssertionError, match=r"at index \(1,\)"):
        assert_close(a, d, factor=1e9)


def test_an_infinity_doesnt_widen_the_tolerance() -> None:
    with pytest.raises(AssertionError, match=r"1 of 2 values"):
        assert_close(np.asarray([1.1, np.inf]), np.asarray([1.0, np.inf]), factor=1e3)


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
def test_integers_and_bools_must_be_equal(kind: str, backend: Backend) -> None:
    a, d = (backend.asarray(np.asarray(x, kind)) for x in ([0, 1], [1, 1]))
    assert_close(a, a, factor=1e9)
    with pytest.raises(AssertionError, match=r"at index \(0,\)"):
        assert_close(a, d, factor=1e9)


def test_integers_that_no_float_tells_apart() -> None:
    big = np.asarray([2**60])
    with pytest.raises(AssertionError):
        assert_close(big + 1, big, factor=1)


def test_numbers_and_nothing() -> None:
    assert_close(np.float64(1.0), np.asarray(1.0), factor=0)
    assert_close(np.zeros((0, 3)), np.zeros((0, 3)), factor=0)
    with pytest.raises(AssertionError, match=r"at index \(\)"):
        assert_close(np.float64(1.0), np.float64(2.0), factor=1)


@pytest.mark.parametrize("backend", ["strict", "torch", "jax", "cupy"], indirect=True)
def test_namespaces_must_agree(backend: Backend) -> None:
    x = np.zeros(2)
    with pytest.raises(AssertionError, match="namespace should be"):
        assert_close(backend.asarray(x), x, factor=1)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: strict("strict:device2", np.zeros(2)), "device"),
        (lambda: strict("strict:device1", np.zeros(2, "float32")), "dtype"),
        (lambda: strict("strict:device1", np.zeros((1, 2))), "shape"),
    ],
)
def test_all_else_must_agree(other: Callable[[], Array], what: str) -> None:
    x = strict("strict:device1", np.zeros(2))
    with pytest.raises(AssertionError, match=f"The {what} should be .*, but is"):
        assert_close(other(), x, factor=1e9)


def strict(name: str, x: np.ndarray) -> Array:
    return get_backend(name).asarray(x)


# --------------------------------------------------------------------------- gradients


def test_numerical_gradient(backend: Backend) -> None:
    xp = backend.xp
    x = backend.asarray(np.asarray([[1.0, -2.0], [0.5, 0.0]]))
    check_gradients(lambda x: (xp.sum(x**3), 3.0 * x**2), x)
    gradient = numerical_gradient(lambda x: xp.sum(x**3), x)
    check_gradients(lambda x: (xp.sum(x**3), gradient), x)
    assert_close(x, backend.asarray([[1.0, -2.0], [0.5, 0.0]], "float64"), factor=0)


def test_a_number_has_a_gradient() -> None:
    gradient = numerical_gradient(lambda x: 3.0 * x, np.asarray(2.0))
    check_gradients(lambda x: (3.0 * x, gradient), np.asarray(2.0))


def test_finite_differences_need_float64(backend: Backend) -> None:
    x = backend.asarray([1.0], "float32")
    with pytest.raises(DataError, match="need float64, got float32"):
        numerical_gradient(lambda x: x[0], x)


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sign": lambda x: -2.0 * x,
    "factor": lambda x: 2.0 * x / 3,
    "order": lambda x: 2.0 * np.flip(x),
    "one value": lambda x: 2.0 * x + np.asarray([0.0, 0.0, 1e-5]),
    "dtype": lambda x: (2.0 * x).astype(np.float32),
    "shape": lambda x: 2.0 * x[None],
    "NaN": lambda x: x * np.nan,
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_gradients_are_found(what: str) -> None:
    x, y = np.asarray([1.0, -2.0, 0.5]), np.ones(2)

    def value_and_gradients(x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
        return np.sum(x**2) + np.sum(y), (WRONG[what](x), np.ones_like(y))

    with pytest.raises(AssertionError, match="The gradient by argument 0 is wrong"):
        check_gradients(value_and_gradients, x, y)


def test_a_gradient_for_every_array() -> None:
    x = np.ones(2)
    with pytest.raises(ValueError, match="shorter"):
        check_gradients(lambda x, y: (np.sum(x * y), y), x, x)


def test_gradients_of_functions_that_write_into_their_arguments() -> None:
    x = np.asarray([1.0, -2.0])

    def value_and_gradient(x: np.ndarray) -> tuple[Any, np.ndarray]:
        value = np.sum(x**2)
        x *= 2.0
        return value, x

    check_gradients(value_and_gradient, x)
    assert_close(x, np.asarray([1.0, -2.0]), factor=0)


# ------------------------------------------------------------------------- the harness

HOST_READS: dict[str, Callable[[Array], Any]] = {
    "float": float,
    "int": int,
    "bool": bool,
    "complex": complex,
    "index": lambda x: operator.index(x.__array_namespace__().astype(x, int64(x))),
    "DLPack": np.from_dlpack,
    "to the CPU": lambda x: x.to_device(type(x.device)("CPU_DEVICE")),
}


def int64(x: Array) -> Any:
    return x.__array_namespace__().int64


@pytest.mark.parametrize("how", HOST_READS)
@pytest.mark.parametrize("backend", ["strict", "strict-device1"], indirect=True)
def test_planted_host_reads(
    how: str, backend: Backend, host_reads: Any, sync_guard: Any
) -> None:
    read, x = HOST_READS[how], backend.asarray([2.0], "float64")[0]
    on_cpu = backend.name == "strict"
    with host_reads() as reads:
        read(x)
    assert len(reads) == (0 if on_cpu else 1)
    if on_cpu:
        with sync_guard():
            read(x)
    else:
        with sync_guard(), pytest.raises(pytest.fail.Exception, match="the host reads"):
            read(x)
    read(x)  # allowed again


@pytest.mark.parametrize("backend", ["strict-device1"], indirect=True)
def test_the_flags_of_strict_are_on(backend: Backend) -> None:
    x = backend.asarray(np.asarray([1.0, -1.0]))
    with pytest.raises(RuntimeError, match="boolean"):
        x[x > 0.0]
    with pytest.raises(RuntimeError, match="data-dependent"):
        backend.xp.nonzero(x)


def test_the_flags_of_strict_are_off_again() -> None:
    x = get_backend("strict").asarray(np.asarray([1.0, -1.0]))
    assert x[x > 0.0].shape == (1,)


@pytest.mark.parametrize(
    ("backend", "dtype"), [("jax", "float32"), ("jax", "float64")], indirect=["backend"]
)
def test_jax_has_the_width_of_the_test(backend: Backend, dtype: str) -> None:
    assert str(backend.xp.asarray(1.0).dtype) == dtype


def run_harness(*options: str, **environment: str) -> tuple[int, str]:
    """Run a test of the suite on JAX, where there is none."""
    script = "import sys, pytest; sys.modules['jax'] = None; sys.exit(pytest.main())"
    found = subprocess.run(
        [
            *(sys.executable, "-c", script, "-p", "no:cacheprovider", *options),
            "test_namespace.py::test_namespace_is_the_arrays_own[jax]",
        ],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parent,
        env=os.environ | environment,
        text=True,
        timeout=120,
    )
    return found.returncode, found.stdout + found.stderr


def test_a_backend_that_cant_be_used_is_skipped_with_the_reason() -> None:
    code, output = run_harness(XPNET_REQUIRE_BACKENDS="numpy")
    assert code == pytest.ExitCode.OK
    assert "1 skipped" in output
    assert "backend='jax' can't be used" in output


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["--require-backend", "torch", "--require-backend", "jax"], {}),
        ([], {"XPNET_REQUIRE_BACKENDS": "torch, jax"}),
    ],
)
def test_a_backend_that_is_required_is_not_skipped(
    options: list[str], environment: dict[str, str]
) -> None:
    code, output = run_harness(*options, **environment)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "jax is required, but backend='jax' can't be used" in output


def test_an_unknown_backend_cant_be_required() -> None:
    code, output = run_harness("--require-backend", "juax")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "unknown backends ['juax'] are required" in output
