"""Names of dtypes, and which there are on a device."""

import array_api_compat
import numpy as np

from xpnet._typing import Device, DType, Namespace
from xpnet.exceptions import DataError

__all__ = ["default_float", "dtype_name", "supports_dtype"]


def dtype_name(dtype: DType) -> str:
    """Return the standard's name of a dtype: ``"float32"`` for ``torch.float32``."""
    try:
        return np.dtype(dtype).name
    except TypeError:
        return str(dtype).rpartition(".")[2]


def supports_dtype(xp: Namespace, device: Device, name: str) -> bool:
    """Whether the namespace has the dtype `name` on the device."""
    return name in xp.__array_namespace_info__().dtypes(device=device)


def default_float(xp: Namespace, device: Device, name: str | None) -> DType:
    """Return the dtype to compute in.

    Parameters
    ----------
    xp : module
        The namespace.
    device : device of `xp`, or None
        The device.
    name : {"float32", "float64"} or None
        None is float64 where the device has it, else float32.

    Returns
    -------
    dtype of `xp`
        The dtype.

    Raises
    ------
    DataError
        The device has no such dtype.
    """
    if name is None:
        name = "float64" if supports_dtype(xp, device, "float64") else "float32"
    elif not supports_dtype(xp, device, name):
        msg = (
            f"dtype={name!r} was asked for, but {xp.__name__} has no {name} here; "
            "use dtype='float32'"
        )
        if array_api_compat.is_jax_namespace(xp):
            msg += ", or enable it: jax.config.update('jax_enable_x64', True)"
        raise DataError(msg + ".")
    return getattr(xp, name)
