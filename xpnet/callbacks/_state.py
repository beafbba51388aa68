"""What a training is made of, as plain values: to be kept, restored and compared."""

import hashlib
from typing import Any

import numpy as np

from xpnet._namespace import asarray_like, is_array_api_obj, is_sparse, to_numpy
from xpnet.schedules import Plan
from xpnet.training import Data

__all__ = ["describe", "fingerprint", "kept", "restored"]

N_ROWS = 10_000
"""Of more samples than these, as many are compared, evenly spaced."""


def kept(value: Any) -> Any:
    """Return the state of a value.

    Numbers, text and arrays are their own; lists, tuples and dicts have that of their
    elements, a RandomState that of its stream, a function and a plan none, and another
    object that of its attributes.
    """
    match value:
        case np.random.RandomState():
            return value.get_state(legacy=False)
        case list() | tuple():
            return [kept(each) for each in value]
        case dict():
            return {key: kept(each) for key, each in value.items()}
        case _ if _is_fixed(value):
            return None
        case _ if hasattr(value, "__dict__") and not is_array_api_obj(value):
            return kept(vars(value))
    return value


def restored(value: Any, state: Any) -> Any:
    """Return a value with a state that was kept.

    Objects get it themselves, and arrays are brought to where `value` is.
    """
    match value:
        case _ if state is None:
            return value if _is_fixed(value) else None
        case np.random.RandomState():
            value.set_state(state)
        case list() | tuple() if len(value) == len(state):
            pairs = zip(value, state, strict=True)
            return type(value)([restored(each, of_each) for each, of_each in pairs])
        case tuple():
            return tuple(state)
        case dict():
            return {key: restored(value.get(key), state[key]) for key in state}
        case _ if is_array_api_obj(value):
            return asarray_like(state, value, value.dtype)
        case _ if hasattr(value, "__dict__"):
            for name, each in state.items():
                setattr(value, name, restored(getattr(value, name), each))
        case _:
            return state
    return value


def _is_fixed(value: Any) -> bool:
    """Whether it is a parameter, which training doesn't change."""
    return callable(value) or isinstance(value, Plan)


def describe(value: Any) -> str:
    """Return what tells a parameter from another, in this process or the next."""
    match value:
        case np.generic():
            return repr(value.item())
        case None | bool() | int() | float() | str():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(describe, value))}]"
        case dict():
            return describe(list(value.items()))
        case np.random.RandomState():  # it goes on from where it was
            return "RandomState"
        case _ if is_array_api_obj(value):
            return _digest(value)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    public = {
        key: each
        for key, each in getattr(value, "__dict__", {}).items()
        if not key.startswith("_") and not key.endswith("_")
    }
    return f"{name}{describe(public) if public else ''}"


def fingerprint(data: Data) -> dict[str, str]:
    """Return what tells samples, targets and weights from others.

    Shapes, dtypes, and a digest of the rows: of :data:`N_ROWS` of them, where there are
    more.
    """
    n_samples = data.X.shape[0]
    part = data
    if n_samples > N_ROWS:
        rows = np.linspace(0, n_samples - 1, N_ROWS).astype(np.int32)
        part = data.take(data.on_device(rows))
    return {
        "X": f"{n_samples} × {_digest(part.X)}",
        "y": _digest(part.targets),
        "sample_weight": "None" if part.weights is None else _digest(part.weights),
    }


def _digest(x: Any) -> str:
    arrays = [x.data, x.indices, x.indptr] if is_sparse(x) else [to_numpy(x)]
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{arrays[0].dtype} {x.shape} {digest.hexdigest()[:16]}"
