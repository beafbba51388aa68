"""The selector: names in, usable libraries or clear refusals out."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import numpy as np
import pytest
from tolerances import EXACT

import xpnet
from xpnet import Backend, available_backends, get_backend
from xpnet.backends import backend_of
from xpnet.exceptions import BackendUnavailableError, UnknownBackendError, XpnetError
from xpnet.testing import assert_close

NAMES = ["numpy", "cupy", "torch", "jax", "strict"]


# --------------------------------------------------------------------------- the value


def test_arrays_come_to_the_backend(backend: Backend, dtype: str) -> None:
    x = backend.asarray([[1, 2], [3, 4]], dtype)
    assert backend.holds(x)
    assert x.dtype == getattr(backend.xp, dtype)
    # A dtype is known by the library's own object, and by NumPy's, as well.
    for same in (x.dtype, np.dtype(dtype), getattr(np, dtype)):
        assert_close(backend.asarray(x, same), x, factor=EXACT)


def test_arrays_come_from_any_backend(backend: Backend) -> None:
    x = backend.asarray(np.asarray([1.0, 2.0]))
    numpy = get_backend("numpy")
    assert_close(numpy.asarray(x), np.asarray([1.0, 2.0]), factor=EXACT)


def test_a_copy_leaves_the_original(backend: Backend) -> None:
    x = backend.asarray(np.asarray([1.0, 2.0]))
    y = backend.asarray(x, copy=True)
    y *= 2.0
    assert_close(x, backend.asarray(np.asarray([1.0, 2.0])), factor=EXACT)


def test_holds_knows_library_and_device() -> None:
    strict, other = get_backend("strict:device1"), get_backend("strict:device2")
    x = strict.asarray(np.zeros(2))
    assert strict.holds(x)
    assert not other.holds(x)
    assert not strict.holds(np.zeros(2))
    assert not strict.holds([0.0])


def test_a_backend_is_a_value() -> None:
    assert get_backend("numpy") == get_backend("numpy")
    with pytest.raises(AttributeError):
        get_backend("numpy").name = "cupy"


def test_backend_of_an_array_is_selected_by_its_name(backend: Backend) -> None:
    x = backend.asarray(np.zeros(2))
    found = backend_of(x)
    assert found.holds(x)
    assert get_backend(found.name) == found


# ------------------------------------------------------------------------ the selector


def test_names_with_devices(backend: Backend) -> None:
    status = {status.name: status for status in available_backends()}
    library = backend.name.partition(":")[0]
    for device in status[library].devices:
        found = get_backend(f"{library}:{device}")
        assert found.name == f"{library}:{device}"
        assert found.xp is backend.xp


def test_every_backend_has_a_status() -> None:
    statuses = available_backends()
    assert [status.name for status in statuses] == NAMES
    for status in statuses:
        if status.usable:
            assert status.devices
            assert get_backend(status.name).name == status.name
        else:
            assert status.devices == ()
            with pytest.raises(BackendUnavailableError) as caught:
                get_backend(status.name)
            assert status.problem in str(caught.value)


def test_versions_are_those_installed() -> None:
    versions = {status.name: status.version for status in available_backends()}
    assert versions["numpy"] == np.__version__
    for name in ("torch", "jax"):
        try:
            assert versions[name] == version(name)
        except PackageNotFoundError:
            assert versions[name] is None


@pytest.mark.parametrize("name", ["", "Numpy", "tensorflow", "torch/cuda", ":1"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(UnknownBackendError) as caught:
        get_backend(name)
    message = str(caught.value)
    assert repr(name) in message
    assert all(repr(known) in message for known in ["auto", *NAMES])
    assert isinstance(caught.value, XpnetError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("backend", ["numpy", "strict", "torch", "jax"], indirect=True)
def test_unknown_devices(backend: Backend) -> None:
    with pytest.raises(BackendUnavailableError) as caught:
        get_backend(f"{backend.name}:moon")
    message = str(caught.value)
    assert f"{backend.name} has no device 'moon' here" in message
    assert f"it has {backend.name}:" in message
    assert isinstance(caught.value, XpnetError)
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("cupy", "pip install 'xpnet[cuda13]', or 'xpnet[cuda12]'"),
        ("torch", "pip install 'xpnet[torch]'"),
        ("jax", "pip install 'xpnet[jax]'"),
        ("strict", "pip install array-api-strict"),
    ],
)
def test_a_library_that_is_not_installed(
    name: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_distribution(distribution: str) -> str:
        raise PackageNotFoundError(distribution)

    monkeypatch.setitem(sys.modules, name.replace("strict", "array_api_strict"), None)
    monkeypatch.setattr("importlib.metadata.version", no_distribution)
    with pytest.raises(BackendUnavailableError) as caught:
        get_backend(name)
    assert f"backend={name!r} can't be used: it is not installed" in str(caught.value)
    assert remedy in str(caught.value)


def test_a_library_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "array_api_strict", None)
    with pytest.raises(BackendUnavailableError, match="ModuleNotFoundError: import of"):
        get_backend("strict")


class JaxDevice(NamedTuple):
    """What JAX says of a device; it calls all platforms of GPUs ``gpu``."""

    platform: str
    id: int


@pytest.mark.parametrize("backend", ["jax"], indirect=True)
def test_gpus_of_jax(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, *gpus = JaxDevice("cpu", 0), JaxDevice("gpu", 0), JaxDevice("gpu", 1)

    def devices(platform: str = "gpu") -> list[JaxDevice]:
        return {"cpu": [cpu], "gpu": gpus}[platform]

    monkeypatch.setattr("jax.devices", devices)
    (jax,) = [status for status in available_backends() if status.name == backend.name]
    assert jax.devices == ("cuda:0", "cuda:1", "cpu:0")
    for name in ("jax", "jax:cuda", "jax:cuda:0", "jax:gpu", "jax:gpu:0"):
        assert get_backend(name).device == gpus[0]
    assert get_backend("jax:cuda:1").device == gpus[1]
    assert get_backend("jax:cpu").device == cpu


class CupyWithoutGPU:
    """What CuPy is on a machine that has none."""

    @staticmethod
    def is_available() -> bool:
        return False


def test_cupy_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", CupyWithoutGPU())
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", CupyWithoutGPU())
    monkeypatch.setattr("array_api_compat.cupy", CupyWithoutGPU(), raising=False)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "14.0.0")
    with pytest.raises(BackendUnavailableError, match=r"finds no CUDA GPU"):
        get_backend("cupy")
    assert get_backend("auto") == get_backend("numpy")


@pytest.mark.parametrize("backend", ["cupy"], indirect=True)
def test_auto_is_cupy_where_it_can_be_used(backend: Backend) -> None:
    assert get_backend("auto") == backend


def test_the_selector_is_public() -> None:
    assert xpnet.get_backend is get_backend
