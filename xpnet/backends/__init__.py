"""The selector: which array library, and which of its devices.

A :class:`Backend` is a value that is handed down; nothing here is set or remembered.
"""

from dataclasses import dataclass
from typing import NamedTuple

from xpnet._namespace import (
    array_namespace,
    device,
    dtype_name,
    from_numpy,
    is_array_api_obj,
    staged,
    to_numpy,
)
from xpnet._typing import Array, Device, DType, Namespace
from xpnet.backends._libraries import LIBRARIES
from xpnet.backends._steps import (
    captures,
    compile_step,
    compiles_by_default,
    records,
)
from xpnet.exceptions import BackendUnavailableError, UnknownBackendError

__all__ = [
    "Backend",
    "BackendStatus",
    "available_backends",
    "backend_of",
    "captures",
    "compile_step",
    "compiles_by_default",
    "get_backend",
    "records",
]


@dataclass(frozen=True)
class Backend:
    """An array library and one of its devices.

    Parameters
    ----------
    name : str
        As :func:`get_backend` takes it, ``"torch:cuda:0"`` say.
    xp : module
        The library's array-API namespace.
    device : device of `xp`
        Where its arrays lie.

    Examples
    --------
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
        if self.holds(x):
            return self.xp.asarray(x, dtype=dtype, copy=copy)
        return from_numpy(to_numpy(x), self.xp, self.device, dtype, copy=copy)

    def stage(self, x: Array, dtype: DType | None = None) -> Array:
        """Bring a copy of an array here, while steps may run.

        Parameters
        ----------
        x, dtype
            As for :meth:`asarray`.

        Returns
        -------
        array
            Of this library, on this device; it shares no memory with `x`.
        """
        if self.holds(x):
            return self.asarray(x, dtype, copy=True)
        if dtype is not None:
            dtype = getattr(self.xp, dtype_name(dtype))
        return staged(to_numpy(x), self.xp, self.device, dtype)

    def holds(self, x: Array) -> bool:
        """Whether `x` is an array of this library on this device."""
        return (
            is_array_api_obj(x)
            and array_namespace(x) is self.xp
            and device(x) == self.device
        )


class BackendStatus(NamedTuple):
    """What :func:`available_backends` says of a library."""

    name: str
    version: str | None
    devices: tuple[str, ...]
    problem: str | None
    """Why it can't be used and what to do; None where it can."""

    @property
    def usable(self) -> bool:
        """Whether :func:`get_backend` would return it."""
        return self.problem is None


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
    library = LIBRARIES.get(library_name)
    if library is None:
        known = ", ".join(repr(known) for known in ("auto", *LIBRARIES))
        msg = (
            f"Unknown backend {name!r}: expected one of {known}, if need be with a "
            "device behind a colon, as in 'torch:cuda'."
        )
        raise UnknownBackendError(msg)
    try:
        opened = library.open(which)
    except Exception as error:
        msg = f"backend={name!r} can't be used: {library.why_not(error)}"
        raise BackendUnavailableError(msg) from error
    return Backend(name, opened.xp, opened.device)


def backend_of(x: Array) -> Backend:
    """Return the backend that an array belongs to.

    Parameters
    ----------
    x : array
        Of any library and device.

    Returns
    -------
    Backend
        Its name has the device behind a colon.

    Examples
    --------
    >>> import numpy as np
    >>> backend_of(np.zeros(2)).name
    'numpy:cpu'
    """
    xp, x_device = array_namespace(x), device(x)
    # array_api_compat.torch, array_api_strict, jax.numpy …
    name = next(name for name in reversed(LIBRARIES) if name in xp.__name__)
    return Backend(f"{name}:{LIBRARIES[name].device_name(x_device)}", xp, x_device)


def available_backends() -> list[BackendStatus]:
    """Probe every array library.

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
    statuses = []
    for name, library in LIBRARIES.items():
        devices: tuple[str, ...] = ()
        problem = None
        try:
            devices = library.open("").devices
        except Exception as error:  # noqa: BLE001 - whatever a broken library raises
            problem = library.why_not(error)
        statuses.append(BackendStatus(name, library.version, devices, problem))
    return statuses
