"""The second compile seam: a whole training step, given to the library's compiler."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet._namespace import (
    array_namespace,
    is_cupy_namespace,
    is_jax_namespace,
    is_torch_namespace,
    numpy_namespace,
)
from xpnet._typing import Array
from xpnet.backends._constants import Constants
from xpnet.backends._recording import RecordedStep
from xpnet.backends._replays import warn_of

__all__ = ["captures", "compile_step", "compiles_by_default", "records"]


def compiles_by_default(ref: Array) -> bool:
    """Whether steps on arrays like `ref` are compiled unless one says otherwise.

    Parameters
    ----------
    ref : array
        Of the library in question.

    Returns
    -------
    bool
        True for JAX, where that pays from the first epoch on.
    """
    return is_jax_namespace(array_namespace(ref))


def captures(ref: Array) -> bool:
    """Whether compiled steps on arrays like `ref` are captured as a graph.

    Parameters
    ----------
    ref : array
        Of the library in question.

    Returns
    -------
    bool
        True for CuPy.
    """
    return is_cupy_namespace(array_namespace(ref))


def records(ref: Array) -> bool:
    """Whether compiled steps on arrays like `ref` are calls that have been recorded.

    Parameters
    ----------
    ref : array
        Of the library in question.

    Returns
    -------
    bool
        True for NumPy from 2.1 on, whose functions are the standard's.
    """
    return type(ref) is np.ndarray and numpy_namespace is np


def compile_step(
    step: Callable[..., Any],
    static: tuple[Any, ...],
    ref: Array,
    *,
    compiled: bool | None = None,
    donate: bool = True,
) -> Callable[..., Any]:
    """Compile a training step for the library that an array belongs to.

    Parameters
    ----------
    step : callable
        ``step(*static, params, state, *rest)``. It may write into the first two, and
        returns what they are afterwards.
    static : tuple
        What stays the same in all calls: the objective, the optimiser. What was
        compiled for equal ones serves again.
    ref : array
        Of the library in question.
    compiled : bool, optional
        Whether to compile, by default where :func:`compiles_by_default` says so:
        ``jax.jit``. ``torch.compile`` takes its time, CUDA graphs of CuPy need
        nvmath-python, and what NumPy is made to do can be recorded: all three are asked
        for by True. array-api-strict has no such compiler.
    donate : bool, default=True
        Whether results may take the memory of `params` and `state`.

    Returns
    -------
    callable
        ``step(params, state, *rest)``. Where compiling fails, it runs eagerly, after
        one warning.

    Examples
    --------
    >>> import numpy as np
    >>> def step(rate, p, state):
    ...     p -= rate * p
    ...     return p, state
    >>> compile_step(step, (0.5,), np.ones(1))(np.ones(1), ())
    (array([0.5]), ())
    """
    xp = array_namespace(ref)
    plain = functools.partial(step, *static)
    if compiles_by_default(ref) and compiled is not False:
        return _Guarded(plain, _jitted(step, Constants(*static), donate))
    if is_torch_namespace(xp) and compiled:
        by_torch = functools.partial(_by_torch, step, Constants(*static))
        return _Guarded(plain, by_torch)
    if captures(ref) and compiled:
        from xpnet.backends._graph import captured

        return _Guarded(plain, captured(plain))
    if records(ref) and compiled:
        return RecordedStep(plain)
    return plain


@functools.lru_cache(maxsize=64)  # what was compiled serves the next training, too
def _jitted(
    step: Callable[..., Any], static: Constants, donate: bool
) -> Callable[..., Any]:
    import jax

    plain = functools.partial(step, *static.copy())
    donated = (0, 1) if donate else ()
    jitted: Callable[..., Any] = jax.jit(plain, donate_argnums=donated)
    return jitted


@functools.lru_cache(maxsize=64)
def _compiled_by_torch(
    step: Callable[..., Any], static: Constants
) -> Callable[..., Any]:
    import torch

    compiled: Callable[..., Any] = torch.compile(
        functools.partial(step, *static.copy()), dynamic=False
    )
    return compiled


def _by_torch(step: Callable[..., Any], static: Constants, *args: Any) -> Any:
    return _compiled_by_torch(step, static)(*args)  # it refuses some Pythons at once


class _Guarded:
    """A compiled step, with the plain one behind it."""

    def __init__(self, plain: Callable[..., Any], compiled: Callable[..., Any]) -> None:
        self.plain = plain
        self.compiled: Callable[..., Any] | None = compiled

    def __call__(self, *args: Any) -> Any:
        if self.compiled is None:
            return self.plain(*args)
        try:
            return self.compiled(*args)
        except Exception as error:  # whatever a compiler raises
            if _given_away(args):
                raise
            result = self.plain(*args)  # a mistake of the step's own raises here
            self.compiled = None
            warn_of(error)
            return result


def _given_away(x: Any) -> bool:
    """Whether a step that failed while it ran has had the memory of its arguments."""
    if isinstance(x, (list, tuple)):
        return any(map(_given_away, x))
    return hasattr(x, "is_deleted") and bool(x.is_deleted())  # of JAX
