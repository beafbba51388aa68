"""``xpnet bench``."""

import functools
import importlib.util
import json
import math
import multiprocessing
import os
import statistics
import time
import warnings
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table
from sklearn.datasets import load_digits, make_classification
from sklearn.neural_network import MLPClassifier as Theirs
from threadpoolctl import threadpool_info

from xpnet import __version__
from xpnet.backends import get_backend
from xpnet.classifier import MLPClassifier
from xpnet.cli.progress import console
from xpnet.exceptions import BackendUnavailableError
from xpnet.persistence import check_writable, write_aside

OTHERS = ("cupy", "torch", "jax")
"""Backends beside NumPy that take part where they can be used."""

THEIRS = "scikit-learn"


class Case(NamedTuple):
    """A network to fit to data."""

    hidden_layer_sizes: tuple[int, ...]
    batch_size: int
    n_samples: int
    epochs: int

    @property
    def n_steps(self) -> int:
        """Of a fit."""
        return self.epochs * math.ceil(self.n_samples / self.batch_size)


CASES = {
    "digits, 64-100-10": Case((100,), 200, 1_797, 50),
    "synthetic, 20-64-64-3": Case((64, 64), 256, 20_000, 5),
}

Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        help="Where xpnet trains: see [bold]xpnet backends[/bold]; once for each.",
        metavar="NAME",
        show_default="all that can be used",
    ),
]
Repeats = Annotated[int, typer.Option(help="Timed fits of each.", min=1)]
WarmUp = Annotated[
    float, typer.Option(help="Seconds that each fits before.", min=0.0, max=60.0)
]
JsonPath = Annotated[
    Path | None,
    typer.Option("--json", help="The figures, to write.", metavar="FILE.json"),
]


def bench(
    backend: Backends = None,
    repeats: Repeats = 5,
    warm_up: WarmUp = 3.0,
    json_path: JsonPath = None,
) -> None:
    """Time xpnet and scikit-learn on this machine, in about half a minute.

    They train the same networks on the same data, in float32, and take turns. Each has a
    process of its own, where it compiles what it compiles before it is timed.

    [bold]Examples[/bold]

    xpnet bench

    xpnet bench --backend numpy --backend torch:cuda --json times.json
    """
    if json_path is not None:
        check_writable(json_path)
    found: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        players = _players(stack, backend)
        if console.is_interactive:
            stack.enter_context(console.status("Measuring …"))
        for player in players.values():
            player.submit(_warm_up, warm_up).result()
        for title in CASES:
            times: dict[str, list[float]] = {name: [] for name in players}
            for player in players.values():  # compiles for this case
                player.submit(_fit, title).result()
            for _ in range(repeats):
                for name, player in players.items():
                    times[name].append(player.submit(_fit, title).result())
            found[title] = times
    console.print(_table(found))
    console.print(_machine())
    if importlib.util.find_spec("numba") is None:
        console.print("On NumPy xpnet is faster with numba: pip install 'xpnet[fast]'")
    if json_path is not None:
        figures = {"xpnet": __version__, "machine": _machine(), "microseconds": found}
        write_aside(json_path, (json.dumps(figures, indent=1) + "\n").encode())
        console.print(f"Wrote the times to {json_path}.")


# ------------------------------------------------------------------------ the processes


def _players(stack: ExitStack, backends: list[str] | None) -> dict[str, Executor]:
    """Start a process for each contestant, by its name."""
    players = {THEIRS: _process(stack, None)}
    for name in dict.fromkeys(backends or ("numpy", *OTHERS)):
        player = _process(stack, name)
        try:
            player.submit(_probe, name).result()
        except BackendUnavailableError:
            if backends:
                raise
        else:
            players[f"xpnet, {name}{_with_numba(name)}"] = player
    return players


def _with_numba(backend: str) -> str:
    on_numpy = backend.partition(":")[0] == "numpy"
    return " with numba" if on_numpy and importlib.util.find_spec("numba") else ""


def _process(stack: ExitStack, backend: str | None) -> Executor:
    executor = ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_trains_on,
        initargs=(backend,),
    )
    return stack.enter_context(executor)


_backend: str | None = None
"""Of this process; None is scikit-learn."""


def _trains_on(backend: str | None) -> None:
    global _backend  # noqa: PLW0603 - a process of a pool has no other state
    _backend = backend


def _probe(name: str) -> None:
    get_backend(name)


@functools.cache
def _data(title: str) -> tuple[Any, Any]:
    """Return a case's samples, where they are trained on, and its classes."""
    if title.startswith("digits"):
        X, y = load_digits(return_X_y=True)
        X = X / 16.0
    else:
        X, y = make_classification(
            CASES[title].n_samples, 20, n_informative=10, n_classes=3, random_state=0
        )
    X = X.astype(np.float32)
    return (X if _backend is None else get_backend(_backend).asarray(X)), y


def _fit(title: str) -> float:
    """Return the microseconds of a step, from a whole fit."""
    X, y = _data(title)
    case = CASES[title]
    classifier = (Theirs if _backend is None else MLPClassifier)(
        case.hidden_layer_sizes,
        batch_size=case.batch_size,
        max_iter=case.epochs,
        tol=0.0,
        n_iter_no_change=math.inf,  # all train to the last epoch
        random_state=0,
    )
    with warnings.catch_warnings(action="ignore"):  # that they could go on
        start = time.perf_counter()
        classifier.fit(X, y)
        seconds = time.perf_counter() - start
    return 1e6 * seconds / case.n_steps


def _warm_up(seconds: float) -> None:
    """Fit for a while: numba is loaded once there is much to do."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        _fit(next(iter(CASES)))


# --------------------------------------------------------------------------- the report


def _table(found: dict[str, dict[str, list[float]]]) -> Table:
    table = Table("", "µs a step", "from", "to", f"speed, {THEIRS} = 1")
    for column in table.columns[1:]:
        column.justify = "right"
    for title, times in found.items():
        table.add_row(title, style="bold")
        theirs = statistics.median(times[THEIRS])
        for name, each in times.items():
            median = statistics.median(each)
            numbers = (median, min(each), max(each))
            table.add_row(
                f"  {name}", *(f"{n:,.0f}" for n in numbers), f"{theirs / median:.2f}"
            )
        table.add_section()
    return table


def _machine() -> str:
    """Return versions, kernels and cores."""
    pools = {
        f"{pool['internal_api']} {pool['version']} for {pool['architecture']}"
        for pool in threadpool_info()
        if "numpy" in pool["filepath"] and "architecture" in pool
    }
    parts = [f"{os.cpu_count()} cores", f"NumPy {np.__version__}", *sorted(pools)]
    return f"Medians, on {', '.join(parts)}."
