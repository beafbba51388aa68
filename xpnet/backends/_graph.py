"""CuPy's training steps as a CUDA graph: one launch where there were some thirty a step.

Steps are captured once for each number of rows, and replayed. A graph knows addresses, and
no arrays: it reads what changes from step to step from arrays of its own, and works on
memory that nobody else is given.

CuPy refuses to have its matrix products captured; :mod:`xpnet.backends._products` has
others.
"""

import functools
from collections.abc import Callable
from typing import Any

from xpnet.backends._products import Products, multiplying
from xpnet.backends._replays import Inputs, Result, StepArgs, restore
from xpnet.exceptions import MissingDependencyError

__all__ = ["CapturedStep", "captured"]


def captured(step: Callable[..., Any]) -> "CapturedStep":
    """Return a training step that runs as a CUDA graph.

    Parameters
    ----------
    step : callable
        ``step(params, state, total, data, rows, numbers, plan)``, one step or more, as
        an epoch takes them; it returns parameters, state and total afterwards.

    Returns
    -------
    CapturedStep
        To be called likewise. Its first call of a kind imports what it needs, and
        captures.
    """
    return CapturedStep(step, _import)


@functools.cache
def _import() -> tuple[Any, Any]:
    import cupy

    try:
        from nvmath.bindings import cublas
    except ImportError as error:
        msg = "capturing it needs nvmath-python: pip install 'xpnet[graph]'"
        raise MissingDependencyError(msg) from error
    return cupy, cublas


class CapturedStep:
    """A training step, and its graphs by what can't change between two replays."""

    def __init__(
        self, step: Callable[..., Any], libraries: Callable[[], tuple[Any, Any]]
    ) -> None:
        self.step, self.libraries = step, libraries
        self.graphs: dict[tuple[Any, ...], _Graph] = {}

    def __call__(self, *arguments: Any) -> Result:
        """Take a step, in place."""
        cupy, cublas = self.libraries()
        args = StepArgs(*arguments)
        if isinstance(args.rows, slice):
            rows = cupy.arange(args.rows.start, args.rows.stop, dtype="int32")
            args = args._replace(rows=rows)
        key = (args.n_rows, *map(id, args.fixed))
        graph = self.graphs.get(key)
        if graph is None:
            graph = self.graphs[key] = _Graph(self.step, args, cupy, cublas)
        return graph.replay(args)


class _Graph:
    """A step on certain arrays, which it keeps, hence their ids are no others'."""

    def __init__(
        self, step: Callable[..., Any], args: StepArgs, cupy: Any, cublas: Any
    ) -> None:
        self.inputs = Inputs(args)
        own = self.inputs.args
        written = [own.params, *own.state, own.total]

        def once() -> None:
            params, state, total = step(*own)
            for x, result in zip(written, [params, *state, total], strict=True):
                if result is not x:
                    x[...] = result

        before = [x.copy() for x in written]
        cupy.cuda.get_current_stream().synchronize()  # sync point
        stream = cupy.cuda.Stream(non_blocking=True)
        # Memory that was used while capturing goes back to this pool, not to others.
        self.pool = cupy.cuda.MemoryPool()
        with stream, cupy.cuda.using_allocator(self.pool.malloc):
            self.products = Products(cupy, cublas, stream)
            with multiplying(self.products):
                try:
                    once()  # compiles kernels, loads libraries
                finally:
                    restore(written, before)
                    stream.synchronize()  # sync point
                stream.begin_capture()
                try:
                    once()
                finally:  # after an error, too, or the stream goes on capturing
                    self.graph = stream.end_capture()

    def replay(self, args: StepArgs) -> Result:
        """Take the step with other numbers, on the current stream."""
        self.inputs.fill(args)
        self.graph.launch()
        return args.params, args.state, self.inputs.args.total
