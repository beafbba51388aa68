"""What scikit-learn before 1.9 lacks: enough of its protocol for xpnet's callbacks.

Hooks get estimator and context alone, and nothing is propagated: callbacks are set on
the network itself.
"""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

__all__ = ["CallbackContext", "CallbackSupportMixin", "with_callbacks"]


class CallbackContext:
    """A task of a training, and its place in the tree of tasks."""

    def __init__(
        self, callbacks: list[Any], task_name: str, parent: "CallbackContext | None"
    ) -> None:
        self._callbacks, self.task_name, self.parent = callbacks, task_name, parent

    def subcontext(self, task_name: str) -> "CallbackContext":
        """Return a task within this one."""
        return CallbackContext(self._callbacks, task_name, self)

    def call_on_fit_task_begin(self, *, estimator: Any, **_: Any) -> None:
        """Call each callback's hook."""
        for callback in self._callbacks:
            callback.on_fit_task_begin(estimator, self)

    def call_on_fit_task_end(self, *, estimator: Any, **_: Any) -> bool:
        """Call each callback's hook, and return whether one wants to stop."""
        stop = False
        for callback in self._callbacks:  # each of them, whatever the others want
            stop |= bool(callback.on_fit_task_end(estimator, self))
        return stop


class CallbackSupportMixin:
    """An estimator that has callbacks."""

    _skl_callbacks: list[Any]

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set the callbacks, instead of those there were; a clone has the same.

        Parameters
        ----------
        *callbacks : callback instances
            Of :mod:`xpnet.callbacks`, or with the same methods.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        TypeError
            One of them is no callback.
        """
        hooks = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")
        for callback in callbacks:
            if isinstance(callback, type) or not all(
                hasattr(callback, hook) for hook in hooks
            ):
                msg = f"callbacks must be instances with {', '.join(hooks)}; got {callback!r}."
                raise TypeError(msg)
        self._skl_callbacks = list(callbacks)
        return self

    def _init_callback_context(self, max_subtasks: int) -> CallbackContext:  # noqa: ARG002
        self._callback_fit_ctx = CallbackContext(self._skl_callbacks, "fit", None)
        self._skl_callbacks_to_teardown: list[Any] = []
        for callback in self._skl_callbacks:
            self._skl_callbacks_to_teardown.append(callback)
            callback.setup(self, self._callback_fit_ctx)
        return self._callback_fit_ctx

    def __sklearn_clone__(self) -> Any:
        """Return a clone with the same callbacks."""
        twin = super().__sklearn_clone__()  # type: ignore[misc]  # of BaseEstimator
        if hasattr(self, "_skl_callbacks"):
            twin._skl_callbacks = self._skl_callbacks
        return twin


def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
    """Tear callbacks down after the method."""

    @functools.wraps(method)
    def managed(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(estimator, *args, **kwargs)
        finally:
            if hasattr(estimator, "_callback_fit_ctx"):
                context = vars(estimator).pop("_callback_fit_ctx")
                with ExitStack() as stack:  # one that raises does not keep the others
                    for callback in vars(estimator).pop("_skl_callbacks_to_teardown"):
                        stack.callback(callback.teardown, estimator, context)

    return managed
