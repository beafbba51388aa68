"""The harness: a test that takes ``backend`` runs on every array library.

A library that can't be used is skipped with the reason, unless it is required:
``--require-backend torch`` (again for each), or ``XPNET_REQUIRE_BACKENDS=torch,jax``,
turns the skip into a failure.
"""

import os
import signal

# Before SciPy is imported: scikit-learn skips its array-API checks without.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from harness import BACKENDS, GPU

from xpnet import Backend, get_backend
from xpnet.exceptions import BackendUnavailableError

# ---------------------------------------------------------------------- which backends


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-backend",
        action="append",
        default=[],
        metavar="NAME",
        help=f"fail where this backend can't be used: one of {', '.join(BACKENDS)}",
    )


def pytest_configure(config: pytest.Config) -> None:
    unknown = _required(config) - set(BACKENDS)
    if unknown:
        msg = f"unknown backends {sorted(unknown)} are required; known: {[*BACKENDS]}"
        raise pytest.UsageError(msg)
    # A job in the background ignores Ctrl-C, and so would the processes it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _required(config: pytest.Config) -> set[str]:
    names = os.environ.get("XPNET_REQUIRE_BACKENDS", "").split(",")
    return {*filter(None, map(str.strip, names)), *config.getoption("require_backend")}


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    for item in items:
        if _parameter(item, "backend") in GPU:
            item.add_marker(pytest.mark.gpu)
    # The device without 64 bits meets the tests that name float32.
    wide = [
        item
        for item in items
        if _parameter(item, "backend") == "strict-no_x64"
        and _parameter(item, "dtype") != "float32"
    ]
    config.hook.pytest_deselected(items=wide)
    items[:] = [item for item in items if item not in set(wide)]


def _parameter(item: pytest.Item, name: str) -> Any:
    callspec = getattr(item, "callspec", None)  # of parametrised tests
    return callspec.params.get(name) if callspec else None


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each backend in turn; ``backend.asarray`` moves the test's data there."""
    try:
        backend = get_backend(BACKENDS[request.param])
    except BackendUnavailableError as error:
        if request.param in _required(request.config):
            pytest.fail(f"{request.param} is required, but {error}")
        pytest.skip(str(error))
    with ExitStack() as stack:
        if request.param.startswith("strict"):
            stack.enter_context(
                backend.xp.ArrayAPIStrictFlags(
                    boolean_indexing=False, data_dependent_shapes=False
                )
            )
        if request.param.startswith("torch"):
            stack.enter_context(_one_torch_thread())
        if request.param.startswith("jax"):
            # JAX has 32 bits unless told otherwise: float32 meets it as users do.
            dtype = _parameter(request.node, "dtype")
            stack.enter_context(_jax_x64(enabled=dtype != "float32"))
        yield backend


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """On small arrays several threads only wait for each other."""
    import torch  # noqa: PLC0415

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _jax_x64(*, enabled: bool) -> Iterator[None]:
    import jax  # noqa: PLC0415

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", enabled)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """The dtypes that networks compute in."""
    return request.param


# -------------------------------------------------------------------------- host reads

Watch = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture
def host_reads() -> Watch:
    """``with host_reads() as reads``: what the host reads of strict's other devices.

    array-api-strict itself lets ``float``, ``bool`` and DLPack read from them, where a
    GPU would have to wait.
    """
    return _watch_host_reads


@pytest.fixture
def sync_guard() -> Watch:
    """``with sync_guard()``: there a host read fails the test."""
    return partial(_watch_host_reads, forbid=True)


@contextmanager
def _watch_host_reads(*, forbid: bool = False) -> Iterator[list[str]]:
    xp = get_backend("strict").xp
    cpu, cls = xp.Device("CPU_DEVICE"), type(xp.empty(0))
    reads: list[str] = []

    def watched(name: str) -> Callable[..., Any]:
        method = getattr(cls, name)

        def read(self: Any, *args: Any, **kwargs: Any) -> Any:
            to_cpu = name != "to_device" or args[0] == cpu
            if self.device != cpu and to_cpu:
                reads.append(name)
                if forbid:
                    pytest.fail(f"the host reads from {self.device} by {name}")
            return method(self, *args, **kwargs)

        return read

    with pytest.MonkeyPatch.context() as patch:
        for name in [
            "__bool__",
            "__complex__",
            "__dlpack__",
            "__float__",
            "__index__",
            "__int__",
            "to_device",
        ]:
            patch.setattr(cls, name, watched(name))
        yield reads


# -------------------------------------------------------------------------------- data


@pytest.fixture
def rng() -> np.random.Generator:
    """Draws a test's data, on the host."""
    return np.random.default_rng(2024)
