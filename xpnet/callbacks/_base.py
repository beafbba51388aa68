"""What callbacks of a network share: hooks that do nothing, and one training at a time."""

import weakref
from typing import Any

from xpnet.exceptions import CallbackError, StaleFitError

__all__ = ["NetworkCallback", "is_epoch"]


class NetworkCallback:
    """A callback that is set on a network, and follows one training after the other.

    What it has found out is in attributes whose names end in an underscore: numbers,
    and lists of them, which a checkpoint keeps.
    """

    _run: Any = None  # a weak reference to the training that it follows

    def _begin(self, estimator: Any, run: Any) -> None:  # noqa: ARG002
        """Meet a training that is prepared, and follow the one before no longer."""
        self._run = weakref.ref(run)

    def setup(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        """Refuse what is no network."""
        if not hasattr(estimator, "_run"):
            msg = (
                f"{type(self).__name__} follows a network of xpnet, and not a "
                f"{type(estimator).__name__}: call set_callbacks of the network itself."
            )
            raise CallbackError(msg)

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        """Refuse a training that is no longer followed."""
        if self._run is None or self._run() is not estimator._run:
            msg = (
                f"This {type(self).__name__} follows another training that began later. "
                "Give each estimator a callback of its own, or end one training before "
                "the next."
            )
            raise StaleFitError(msg)

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:  # noqa: ARG002
        """Let it go on."""
        return False

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing: what was found out is kept."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the training out of a pickle, and of a copy."""
        return {name: value for name, value in vars(self).items() if name != "_run"}


def is_epoch(context: Any) -> bool:
    """Whether a task is an epoch, and not the whole training."""
    return bool(context.task_name == "epoch")
