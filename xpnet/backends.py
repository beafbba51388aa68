"""The selector: which array library, and which of its devices.

A :class:`Backend` is a value that is handed down; nothing here is set or remembered.
Libraries are imported when they are asked for, and probed for *use*: CuPy imports
happily on a machine without a GPU.
"""

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from xpnet._namespace import (
    array_namespace,
    device,
    dtype_name,
    from_numpy,
    is_array_api_obj,
    to_numpy,
)
from xpnet._typing import Array, Device, DType, Namespace
from xpnet.exceptions import BackendUnavailableError, UnknownBackendError

__all__ = [
    "Backend",
    "BackendStatus",
    "available_backends",
    "backend_of",
    "get_backend",
]

BackendName = Literal["numpy", "cupy", "torch", "jax", "strict"]


@dataclass(frozen=True)
class Backend:
    """An array library and one of its devices.

    Parameters
    ----------
    name : str
        As :func:`get_backend` takes it, ``"torch:cuda:0"`` say.
    xp : module
        The library's array-API namespace.
    device : device of `xp`, or None
        None is the library's default device.

    Examples
    --------
    >>> import numpy as np
    >>> get_backend("numpy").asarray([1, 2], dtype="float32")
    array([1., 2.], dtype=float32)
    """

    name: str
    xp: Namespace
    device: Device

    def asarray(
        self, x: Array, dtype: DType | None = None, *, copy: bool | None = None
    ) -> Array:
        """Bring an array here.

        Parameters
        ----------
        x : array or array-like
            Of any library and device.
        dtype : str or dtype, optional
            By default that of `x`.
        copy : bool, optional
            True never shares memory with `x`; by default it may.

        Returns
        -------
        array
            Of this library, on this device.
        """
        if dtype is not None:
            dtype = getattr(self.xp, dtype_name(dtype))
        if is_array_api_obj(x) and self.holds(x):
            return self.xp.asarray(x, dtype=dtype, copy=copy)
        return from_numpy(to_numpy(x), self.xp, self.device, dtype, copy=copy)

    def holds(self, x: Array) -> bool:
        """Whether the array is of this library, and on this device."""
        return array_namespace(x) is self.xp and (
            self.device is None or device(x) == self.device
        )


class BackendStatus(NamedTuple):
    """What :func:`available_backends` says of a backend."""

    name: str
    version: str | None
    devices: tuple[str, ...]
    problem: str | None
    """Why it can't be used and what to do; None where it can."""

    @property
    def usable(self) -> bool:
        """Whether :func:`get_backend` would return it."""
        return self.problem is None


# ------------------------------------------------------------------------ the libraries
# One function a library: given the text behind the colon ("" for none), it returns the
# namespace, the device and the names of all devices, or raises ImportError or
# RuntimeError with the reason.

Opened = tuple[Namespace, Device, tuple[str, ...]]


def _numpy(which: str) -> Opened:
    from array_api_compat import numpy as xp

    if which not in ("", "cpu"):
        raise RuntimeError(_no_such_device("numpy", which, ("cpu",)))
    return xp, "cpu", ("cpu",)


def _cupy(which: str) -> Opened:
    import cupy
    from array_api_compat import cupy as xp

    if not cupy.is_available():
        msg = "CuPy is installed, but finds no usable CUDA GPU (driver and card are needed)"
        raise RuntimeError(msg)
    devices = tuple(map(str, range(cupy.cuda.runtime.getDeviceCount())))
    if which and which not in devices:
        raise RuntimeError(_no_such_device("cupy", which, devices))
    device = cupy.cuda.Device(int(which)) if which else cupy.cuda.Device()
    with device:
        cupy.zeros(1).sum()
    return xp, device, devices


def _torch(which: str) -> Opened:
    import torch
    from array_api_compat import torch as xp

    devices = ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())))
    if torch.backends.mps.is_available():
        devices += ("mps",)
    try:
        device = torch.empty(0, device=which or "cpu").device
    except (RuntimeError, AssertionError) as error:
        raise RuntimeError(_no_such_device("torch", which, devices)) from error
    return xp, device, devices


def _jax(which: str) -> Opened:
    import jax
    import jax.numpy as xp

    by_name = {f"{d.platform}:{d.id}": d for d in jax.devices()}
    if jax.default_backend() != "cpu":
        by_name |= {f"cpu:{d.id}": d for d in jax.devices("cpu")}
    names = tuple(by_name)
    matches = [d for name, d in by_name.items() if name in (which, f"{which}:0")]
    if which and not matches:
        raise RuntimeError(_no_such_device("jax", which, names))
    return xp, matches[0] if matches else jax.devices()[0], names


def _strict(which: str) -> Opened:
    import array_api_strict as xp

    names = ("CPU_DEVICE", "device1", "device2", "no_float64", "no_x64")
    try:
        device = xp.Device(which or "CPU_DEVICE")
    except ValueError as error:
        raise RuntimeError(_no_such_device("strict", which, names)) from error
    return xp, device, names


def _no_such_device(name: str, which: str, devices: tuple[str, ...]) -> str:
    names = ", ".join(f"{name}:{device}" for device in devices)
    return f"{name} has no device {which!r} here; it has {names}"


class _Library(NamedTuple):
    open: Callable[[str], Opened]
    distributions: tuple[str, ...]
    remedy: str


_LIBRARIES: dict[str, _Library] = {
    "numpy": _Library(_numpy, ("numpy",), "pip install numpy"),
    "cupy": _Library(
        _cupy,
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        "pip install 'xpnet[cuda13]' (or 'xpnet[cuda12]', as your driver needs)",
    ),
    "torch": _Library(_torch, ("torch",), "pip install 'xpnet[torch]'"),
    "jax": _Library(_jax, ("jax",), "pip install 'xpnet[jax]'"),
    "strict": _Library(_strict, ("array-api-strict",), "pip install array-api-strict"),
}


def get_backend(name: str) -> Backend:
    """Return a backend by its name.

    Parameters
    ----------
    name : str
        ``"numpy"``, ``"cupy"``, ``"torch"``, ``"jax"`` or ``"strict"``
        (array-api-strict), and behind a colon the device: ``"cupy:1"``,
        ``"torch:cuda"``, ``"jax:cpu"``, ``"strict:device1"``. ``"auto"`` is CuPy where
        it can be used, else NumPy.

    Returns
    -------
    Backend
        Ready for use: the library is imported and the device was tried.

    Raises
    ------
    UnknownBackendError
        No backend has this name.
    BackendUnavailableError
        The library is not installed, or can't be used on this machine; the message
        says why and what to do.

    Examples
    --------
    >>> get_backend("numpy").name
    'numpy'
    """
    if name == "auto":
        try:
            return get_backend("cupy")
        except BackendUnavailableError:
            return get_backend("numpy")
    library_name, _, which = name.partition(":")
    library = _LIBRARIES.get(library_name)
    if library is None:
        known = ", ".join(repr(known) for known in ("auto", *_LIBRARIES))
        msg = (
            f"Unknown backend {name!r}: expected one of {known}, if need be with a "
            "device behind a colon, as in 'torch:cuda'."
        )
        raise UnknownBackendError(msg)
    try:
        xp, device, _ = library.open(which)
    except Exception as error:
        msg = f"backend={name!r} can't be used: {_reason(library, error)}"
        raise BackendUnavailableError(msg) from error
    return Backend(name, xp, device)


def backend_of(x: Array) -> Backend:
    """Return the backend that an array belongs to.

    Parameters
    ----------
    x : array
        Of any library and device.

    Returns
    -------
    Backend
        Its name is that of the library.

    Examples
    --------
    >>> import numpy as np
    >>> backend_of(np.zeros(2)).name
    'numpy'
    """
    xp = array_namespace(x)
    name = xp.__name__.removeprefix("array_api_compat.").removesuffix(".numpy")
    return Backend(name.removeprefix("array_api_"), xp, device(x))


def available_backends() -> list[BackendStatus]:
    """Probe every backend.

    Returns
    -------
    list of BackendStatus
        Name, version and devices, and for one that can't be used the reason and the
        remedy. Importing the libraries can take seconds.

    Examples
    --------
    >>> [status.usable for status in available_backends() if status.name == "numpy"]
    [True]
    """
    return [_status(name, library) for name, library in _LIBRARIES.items()]


def _status(name: str, library: _Library) -> BackendStatus:
    version = _version(library.distributions)
    try:
        _, _, devices = library.open("")
    except Exception as error:  # noqa: BLE001 - whatever a broken library raises
        return BackendStatus(name, version, (), _reason(library, error))
    return BackendStatus(name, version, devices, None)


def _reason(library: _Library, error: Exception) -> str:
    if _version(library.distributions) is None:
        return f"it is not installed; {library.remedy}."
    if isinstance(error, RuntimeError):
        return f"{error}."
    return f"{type(error).__name__}: {error}."


def _version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
