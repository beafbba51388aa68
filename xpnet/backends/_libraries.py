"""What each array library needs: to be imported, probed for use, and asked for devices.

Imports are lazy, and probes try a device: CuPy imports happily on a machine that has no
GPU. An opener is given the text behind the colon of a backend's name, "" for none.
"""

import importlib.metadata
from collections.abc import Callable
from typing import NamedTuple

from xpnet._namespace import numpy_namespace
from xpnet._typing import Device, Namespace

__all__ = ["LIBRARIES", "Library", "Opened"]


class Opened(NamedTuple):
    """A library that can be used."""

    xp: Namespace
    device: Device
    devices: tuple[str, ...]
    """The names of all its devices."""


class Library(NamedTuple):
    """How to open a library, name its devices, and install it.

    `open` raises ImportError where the library is missing, and RuntimeError with the
    reason where it can't be used.
    """

    open: Callable[[str], Opened]
    device_name: Callable[[Device], str]
    distributions: tuple[str, ...]
    remedy: str

    @property
    def version(self) -> str | None:
        """The version that is installed, or None."""
        for distribution in self.distributions:
            try:
                return importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    def why_not(self, error: Exception) -> str:
        """Say why the library can't be used, and what to do."""
        if self.version is None:
            return f"it is not installed; {self.remedy}."
        if isinstance(error, RuntimeError):
            return f"{error}."
        return f"{type(error).__name__}: {error}."


def _no_such_device(which: str, name: str, devices: tuple[str, ...]) -> RuntimeError:
    names = ", ".join(f"{name}:{device}" for device in devices)
    return RuntimeError(f"{name} has no device {which!r} here; it has {names}")


def _numpy(which: str) -> Opened:
    if which not in ("", "cpu"):
        raise _no_such_device(which, "numpy", ("cpu",))
    return Opened(numpy_namespace, "cpu", ("cpu",))


def _cupy(which: str) -> Opened:
    import cupy
    from array_api_compat import cupy as xp

    if not cupy.is_available():
        msg = (
            "CuPy is installed, but finds no CUDA GPU that it can use; it needs an "
            "NVIDIA card and a driver as new as the CUDA version it was built for"
        )
        raise RuntimeError(msg)
    devices = tuple(map(str, range(cupy.cuda.runtime.getDeviceCount())))
    if which and which not in devices:
        raise _no_such_device(which, "cupy", devices)
    device = cupy.cuda.Device(int(which)) if which else cupy.cuda.Device()
    with device:
        cupy.zeros(1).sum()
    return Opened(xp, device, devices)


def _torch(which: str) -> Opened:
    import torch
    from array_api_compat import torch as xp

    devices = ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())))
    if torch.backends.mps.is_available():
        devices += ("mps:0",)
    try:
        device = torch.empty(0, device=which or "cpu").device
    except (RuntimeError, AssertionError) as error:
        raise _no_such_device(which, "torch", devices) from error
    return Opened(xp, device, devices)


def _jax(which: str) -> Opened:
    import jax
    import jax.numpy as xp

    found = [*jax.devices(), *jax.devices("cpu")]
    by_name = {_jax_device_name(device): device for device in found}
    which = which.replace("gpu", "cuda")
    matches = [
        device
        for name, device in by_name.items()
        if name in (which or name, f"{which}:0")
    ]
    if not matches:
        raise _no_such_device(which, "jax", tuple(by_name))
    return Opened(xp, matches[0], tuple(by_name))


def _jax_device_name(device: Device) -> str:
    platform = device.platform.replace("gpu", "cuda")  # as torch calls it
    return f"{platform}:{device.id}"


def _strict(which: str) -> Opened:
    import array_api_strict as xp

    devices = ("CPU_DEVICE", "device1", "device2", "no_float64", "no_x64")
    if which and which not in devices:
        raise _no_such_device(which, "strict", devices)
    return Opened(xp, xp.Device(which or devices[0]), devices)


LIBRARIES: dict[str, Library] = {
    "numpy": Library(_numpy, str, ("numpy",), "pip install numpy"),
    "cupy": Library(
        _cupy,
        lambda device: str(device.id),
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        "pip install 'xpnet[cuda13]', or 'xpnet[cuda12]' for an older driver",
    ),
    "torch": Library(_torch, str, ("torch",), "pip install 'xpnet[torch]'"),
    "jax": Library(_jax, _jax_device_name, ("jax",), "pip install 'xpnet[jax]'"),
    "strict": Library(
        _strict,
        lambda device: str(device).split("'")[1],  # array_api_strict.Device('device1')
        ("array-api-strict",),
        "pip install array-api-strict",
    ),
}
