"""Callbacks, by scikit-learn's protocol: the only module that knows it.

The protocol came with scikit-learn 1.9, and may change without notice. Where it is
missing, a stand-in of a few lines serves xpnet's own callbacks.
"""

import copy
from collections.abc import Callable
from typing import Any

from xpnet._namespace import is_array_api_obj, to_numpy
from xpnet._typing import Array
from xpnet.backends import get_backend

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9
    from xpnet._callbacks._before import CallbackSupportMixin, with_callbacks

__all__ = ["CallbackSupportMixin", "Tasks", "announce", "callbacks_of"]


def callbacks_of(estimator: Any) -> list[Any]:
    """Return the callbacks that were set on an estimator, in their order."""
    return list(getattr(estimator, "_skl_callbacks", ()))


def announce(estimator: Any, run: Any) -> None:
    """Tell callbacks of xpnet of a training that is prepared, before it is adopted.

    All of them ``_begin`` before one may ``_resume``: what it restores is kept.

    Parameters
    ----------
    estimator : BaseMLP
        Its callbacks may raise; then ``fit`` has changed nothing.
    run : Run
        The training, which they may change.
    """
    for hook in ("_begin", "_resume"):
        for callback in callbacks_of(estimator):
            if hasattr(callback, hook):
                getattr(callback, hook)(estimator, run)


class Tasks:
    """What callbacks see of a training: the task "fit", and in it "epoch" by "epoch".

    An estimator without callbacks has no tasks, and every method returns at once.

    Parameters
    ----------
    estimator : BaseMLP
        It is trained.
    X, y, sample_weight : array or array-like, or None
        What its ``fit`` was given; nothing, where callbacks are not to see it.
        Callbacks get arrays on the host, as scikit-learn's metrics want them, and only
        where they ask.
    """

    def __init__(
        self,
        estimator: Any,
        X: Array = None,
        y: Array = None,
        sample_weight: Any = None,
    ) -> None:
        self.estimator = estimator
        self.needed = X is not None and bool(callbacks_of(estimator))
        self.fit: Any = None
        self.epoch: Any = None
        self._data: dict[str, Callable[[], Any]] = {
            "X": lambda: _on_host(X),
            "y": lambda: _on_host(y),
            "metadata": lambda: (
                None
                if sample_weight is None
                else {"sample_weight": _on_host(sample_weight)}
            ),
        }

    def begin(self) -> None:
        """Set the callbacks up, and tell that training begins."""
        if self.needed:
            n_epochs = self.estimator.max_iter
            self.fit = self.estimator._init_callback_context(max_subtasks=n_epochs)
            self._own = {name: vars(self.estimator)[name] for name in _CONTEXT}
            self.fit.call_on_fit_task_begin(estimator=self.estimator, **self._data)

    def begin_epoch(self) -> None:
        """Tell that an epoch begins."""
        if self.fit is not None:
            self.epoch = self.fit.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self._data)

    def end_epoch(self) -> bool:
        """Tell that it is over, and return whether a callback wants to stop."""
        return self.fit is not None and self._end(self.epoch)

    def end(self) -> None:
        """Tell that training is over."""
        if self.fit is not None:
            self._end(self.fit)

    def close(self) -> None:
        """Tear the callbacks down whose set-up has begun, however training ended."""
        if self.fit is not None:  # a fit within an iter_fit has put its own there
            vars(self.estimator).update(self._own)
        if self.needed:
            _tear_down(self.estimator)

    def _end(self, task: Any) -> bool:
        return bool(
            task.call_on_fit_task_end(
                estimator=self.estimator,
                reconstruction_attributes=self._snapshot,
                **self._data,
            )
        )

    def _snapshot(self) -> dict[str, Any]:
        """Return the fitted attributes as they are now: steps write into the arrays."""
        twin = self.estimator._twin()
        twin._move_params(get_backend("numpy"))
        return {
            name: copy.deepcopy(value)
            for name, value in vars(twin).items()
            if name.endswith("_") and not name.startswith("_")
        }


_CONTEXT = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
"""Attributes by which the protocol finds what to tear down."""


@with_callbacks  # type: ignore[untyped-decorator]
def _tear_down(estimator: Any) -> None:
    """Do nothing, after which the protocol tears down."""


def _on_host(x: Any) -> Any:
    return to_numpy(x) if is_array_api_obj(x) else x
