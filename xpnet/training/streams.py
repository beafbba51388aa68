"""The epoch loop over batches that come one by one, the next while one computes."""

import contextlib
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from xpnet._namespace import array_namespace, asarray_like, dtype_name, threads_for
from xpnet.backends import captures, records
from xpnet.optimizers import Optimizer
from xpnet.training.batches import Data
from xpnet.training.coefficients import host_coefficients
from xpnet.training.loop import Epoch, Progress, end_epoch, finite_loss
from xpnet.training.noise import Numbers
from xpnet.training.objective import Differentiable
from xpnet.training.steps import Steps, make_steps

__all__ = ["ahead", "train_stream"]

T = TypeVar("T")


def train_stream(
    progress: Progress,
    objective: Differentiable,
    optimizer: Optimizer,
    epochs: Callable[[], Generator[Data, None, None]],
    *,
    first: Data,
    n_batches: int | None,
    max_iter: int,
    n_done: int = 0,
    watch: Callable[[float], float] | None = None,
    max_time: float = math.inf,
    compiled: bool | None = None,
) -> Iterator[Epoch]:
    """Train on batches that come one by one, and yield after each epoch.

    Each batch is a step. An epoch that fails leaves `progress` as the one before has.

    Parameters
    ----------
    progress, objective, optimizer, max_iter, n_done, watch, max_time, compiled
        As for :func:`train`. A step that would be captured or recorded runs eagerly:
        each batch lies elsewhere.
    epochs : callable
        Called once an epoch, returns a generator of its batches, on the device of
        ``progress.params``. A thread of its own goes through it.
    first : Data
        A batch like them.
    n_batches : int or None
        Batches of an epoch; None where that isn't known, which schedules that plan
        ahead can't do with.

    Yields
    ------
    Epoch
        One a pass.

    Raises
    ------
    DivergenceError
        Loss or parameters are no longer finite.
    """
    deadline = time.monotonic() + max_time
    kept = captures(progress.params) or records(progress.params)
    steps = make_steps(
        objective,
        optimizer,
        first,
        progress.params,
        progress.optimizer_state,
        sys.maxsize,
        compiled=False if kept else compiled,
    )
    params = progress.params
    zero = asarray_like(np.zeros((), dtype_name(params.dtype)), params)
    n_flops = 2.0 * first.X.shape[0] * objective.base.network.widest
    for n_iter in range(n_done + 1, max_iter + 1):
        rates = progress.schedule.rates(progress.n_steps + 1, n_batches or 1, max_iter)
        total, n_seen, n_steps, out_of_time = zero, 0, 0, False
        xp = array_namespace(params)  # steps may write into what is copied
        before, *state = (
            xp.asarray(x, copy=True)
            for x in (progress.params, *progress.optimizer_state)
        )
        ready = ahead(
            _with_numbers(epochs(), progress, objective, optimizer, steps, rates)
        )
        try:
            with threads_for(params, n_flops), contextlib.closing(ready):
                for data, numbers in ready:
                    steps.data, n_rows = data, data.X.shape[0]
                    total = steps.take(total, None, numbers, n_rows)
                    n_seen, n_steps = n_seen + n_rows, n_steps + 1
                    out_of_time = time.monotonic() > deadline
                    if out_of_time:
                        break
            progress.params, progress.optimizer_state = steps.result()
            loss = finite_loss(total, n_seen, progress.params, n_iter)
        except BaseException:
            progress.params, progress.optimizer_state = before, tuple(state)
            raise
        progress.n_steps += n_steps
        progress.n_seen += n_seen
        epoch = end_epoch(progress, n_iter, loss, watch, out_of_time=out_of_time)
        yield epoch
        if epoch.converged or out_of_time:
            return


def _with_numbers(
    batches: Generator[Data, None, None],
    progress: Progress,
    objective: Differentiable,
    optimizer: Optimizer,
    steps: Steps,
    rates: float | Sequence[float],
) -> Generator[tuple[Data, Numbers], None, None]:
    """Add to each batch what changes from step to step, on its device."""
    ref, dtype = progress.params, dtype_name(progress.params.dtype)
    with contextlib.closing(batches):
        for i, data in enumerate(batches):
            t, n_rows = progress.n_steps + 1 + i, data.X.shape[0]
            # A source that has grown goes on at the last rate.
            last = (
                rates[min(i, len(rates) - 1)] if isinstance(rates, Sequence) else rates
            )
            coefficients = host_coefficients(optimizer, last, t, 1, ref)
            draws = objective.base.draws(progress.seed, t, n_rows, n_rows, dtype)
            yield data, steps.bring(None, Numbers(coefficients, *draws))[1]


# ------------------------------------------------------------------------ one thread ahead

_DEPTH = 2  # what is ready: one to go on with, and one for a step that is sooner


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Go through a generator in a thread of its own, two items ahead.

    Parameters
    ----------
    items : generator
        It is closed in its thread, also where the loop over the items is left.

    Yields
    ------
    object
        The items, in their order; what their making raises is raised here.

    Examples
    --------
    >>> list(ahead(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue()
    room, left = threading.Semaphore(_DEPTH), threading.Event()

    def work() -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(items):
                for item in items:
                    room.acquire()
                    if left.is_set():
                        break
                    ready.put((False, item))
        except BaseException as error:  # noqa: BLE001 - it comes out of the loop
            end = error
        ready.put((True, end))

    # A daemon: a source that hangs must not keep the interpreter from ending.
    thread = threading.Thread(target=work, name="xpnet-batches", daemon=True)
    thread.start()
    try:
        while True:
            over, item = ready.get()
            if over:
                break
            room.release()
            yield item
        if item is not None:
            raise item
    finally:
        left.set()
        room.release()
        thread.join()  # nobody else may use the source before it is done
