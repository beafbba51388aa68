"""A training that outlives its process."""

import os
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

from xpnet._callbacks import callbacks_of
from xpnet._namespace import asarray_like
from xpnet.backends import backend_of
from xpnet.callbacks._base import NetworkCallback, is_epoch
from xpnet.callbacks._state import describe, fingerprint, kept, restored
from xpnet.exceptions import CallbackError, ModelFileError
from xpnet.persistence import check_writable, read_checkpoint, write_checkpoint

__all__ = ["Checkpoint"]

FREE = {"max_time", "verbose"}
"""Parameters that may change when a training goes on: they don't change its course."""


class Checkpoint(NetworkCallback):
    """Keep a training in a file, and go on with it where the file exists.

    Run the same script again after it was killed, and training goes on from the last
    epoch that was kept; it ends as if nothing had happened, bit for bit, on the same
    machine. A training that is over is not trained again: its network is in the file.
    (Batches with ``steps_per_epoch`` begin anew with their source, so there the samples
    that follow are others.)

    The file holds the weights, the optimiser's state, the schedule, the streams of
    random numbers, the held-out rows, the curves, and what :class:`EarlyStopping` and
    :class:`History` know. It is written aside and replaced when it is complete, and the
    one before is kept beside it, ``*.previous``. One that is damaged is told by its
    checksum, and the one before is used.

    Parameters
    ----------
    path : str or path-like
        The file, one for each training.
    every : int, default=1
        Epochs from one time to the next; the last is always kept.

    Raises
    ------
    ValueError
        `every` can't be used. When training begins: the file is of a training with
        other parameters or data, or the solver is L-BFGS, whose state is SciPy's.
    ModelFileError
        When training begins: the file is damaged, and so is the one before, if there is
        one.
    FileWriteError
        The file can't be written.
    MissingDependencyError
        safetensors is not installed.

    Notes
    -----
    Of more than 10,000 samples as many are compared, evenly spaced. ``max_time`` and
    ``verbose`` may change, and count from when training goes on.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from xpnet import MLPClassifier
    >>> from xpnet.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(f"{folder}/iris.ckpt")
    ...     clf = MLPClassifier(solver="sgd", random_state=0).set_callbacks(checkpoint)
    ...     for epoch in clf.iter_fit(X, y):
    ...         if epoch.n_iter == 5:
    ...             break
    ...     [epoch.n_iter for epoch in clf.iter_fit(X, y)][:3]
    [5, 6, 7]
    """

    path: str | os.PathLike[str]
    every: int

    def __init__(self, path: str | os.PathLike[str], *, every: int = 1) -> None:
        if not (isinstance(every, Integral) and every >= 1):
            msg = f"every must be an int of at least 1, got {every!r}."
            raise CallbackError(msg)
        self.path, self.every = path, every

    @property
    def previous(self) -> Path:
        """Where the checkpoint before the last is."""
        path = Path(self.path).resolve()
        return path.with_name(f"{path.name}.previous")

    def _begin(self, estimator: Any, run: Any) -> None:
        super()._begin(estimator, run)
        if estimator.solver == "lbfgs":
            msg = (
                "Checkpoint can't keep a training by L-BFGS, whose state is SciPy's: "
                "choose another solver, or leave the callback out."
            )
            raise CallbackError(msg)
        check_writable(self.path)

    def _resume(self, estimator: Any, run: Any) -> None:
        """Go on with the training in the file, if there is one."""
        self._identity = _identify(estimator, run)
        self._n_kept = 0
        state = self._read()
        if state is None:
            return
        self._check(state["identity"])
        _restore(estimator, run, state)
        self._n_kept = run.n_iter
        if estimator.verbose:
            print(f"Going on after epoch {run.n_iter}, from {self.path}.")  # noqa: T201

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Keep what the epoch before has left: no callback has more to say about it."""
        super().on_fit_task_begin(estimator, context)
        n_iter = estimator._run.n_iter
        if is_epoch(context) and n_iter >= self._n_kept + self.every:
            self._write(estimator)

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Keep the end. An epoch that was cut short is not kept, but begun anew."""
        run = estimator._run
        if not is_epoch(context) and not run.cut:
            self._write(estimator)
        return False

    def _write(self, estimator: Any) -> None:
        state = {"identity": self._identity, **_state(estimator, estimator._run)}
        write_checkpoint(self.path, state, self.previous)
        self._n_kept = estimator._run.n_iter

    def _read(self) -> dict[str, Any] | None:
        """Return the last state that is whole, or None where none was ever written."""
        path, previous = Path(self.path), self.previous
        try:
            return read_checkpoint(path)
        except FileNotFoundError:  # it may have been killed between the two
            return read_checkpoint(previous) if previous.exists() else None
        except ModelFileError as error:
            try:
                state = read_checkpoint(previous)
            except (FileNotFoundError, ModelFileError):
                msg = (
                    f"{error} There is no whole checkpoint before it, {previous}: delete "
                    "both to begin anew."
                )
                raise ModelFileError(msg) from error
            msg = f"{error} Training goes on from the checkpoint before, {previous}."
            warnings.warn(msg, UserWarning, stacklevel=7)
            previous.replace(path)  # the damaged one must not become the one before
            return state

    def _check(self, identity: dict[str, str]) -> None:
        differences = [
            f"{name} was {identity.get(name)} and is {value}"
            for name, value in self._identity.items()
            if identity.get(name) != value
        ]
        if differences:
            msg = (
                f"{self.path} is of another training: {'; '.join(differences)}. Name "
                "another file, or delete it to begin anew."
            )
            raise CallbackError(msg)


def _identify(estimator: Any, run: Any) -> dict[str, str]:
    """Return what must be the same when a training goes on."""
    identity = {
        "class": type(estimator).__name__,
        **{
            name: describe(value)
            for name, value in estimator.get_params(deep=False).items()
            if name not in FREE
        },
        "backend": backend_of(run.progress.params).name,
        "callbacks": describe(_others(estimator)),
        **fingerprint(run.data),
    }
    if run.held_out is not None and run.rows is None:  # X_val, of the user's
        theirs = fingerprint(run.held_out.data)
        identity.update({f"{name}_val": theirs[name] for name in theirs})
    if run.warm:
        identity["the weights to begin from"] = describe(run.progress.params)
    return identity


def _others(estimator: Any) -> list[Any]:
    return [
        each
        for each in callbacks_of(estimator)
        if isinstance(each, NetworkCallback) and not isinstance(each, Checkpoint)
    ]


def _state(estimator: Any, run: Any) -> dict[str, Any]:
    return {
        "n_iter": run.n_iter,
        "stopped": run.stopped and not run.paused,
        "progress": kept(run.progress),
        "best": run.best,
        "rows": run.rows,
        "held": run.held,
        "fitted": _found(estimator),
        "callbacks": [_found(each) for each in _others(estimator)],
    }


def _restore(estimator: Any, run: Any, state: dict[str, Any]) -> None:
    run.n_iter, run.stopped = state["n_iter"], state["stopped"]
    restored(run.progress, state["progress"])
    if state["best"] is not None:
        run.best = asarray_like(state["best"], run.progress.params)
    if state["rows"] is not None:
        run.split(state["rows"], state["held"])
    estimator._keep_params(run, run.progress.answering)
    vars(estimator).update(state["fitted"])
    for callback, found in zip(_others(estimator), state["callbacks"], strict=True):
        vars(callback).update(found)


def _found(it: Any) -> dict[str, Any]:
    """Return numbers and lists of them that training has set."""
    return {
        name: value
        for name, value in vars(it).items()
        if name.endswith("_") and not name.startswith("_") and _is_numeric(value)
    }


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return value is None or isinstance(value, (bool, int, float))
