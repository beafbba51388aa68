"""What is measured: each function takes a runner, and returns what goes into JSON."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .cases import CASES, prepare, prepare_large
from .contestants import CONTESTANTS, FLOOR
from .runner import Found, NotRunError, Runner, environment, spread, spreads

ROWS = 1_000_000
GROWTH = (10_000, 100_000, ROWS)
ACCURACY = 0.975
ESTIMATORS = ("xpnet", "xpnet plain", "sklearn")


def players(runner: Runner) -> list[str]:
    """Return who trains; the products alone do not."""
    return [name for name in runner.names if name != FLOOR]


def estimators(runner: Runner) -> list[str]:
    """Return those whose memory map and growth are looked at."""
    return [name for name in ESTIMATORS if name in runner.names]


def steps(runner: Runner, case: str) -> Found:
    """Whole fits of a case: microseconds a step; seconds of a first fit of one epoch."""
    request = CASES[case].request(runner.folder)

    def first(name: str) -> Found:
        answer = runner.ask(name, "fit", **request | {"epochs": 1})
        runner.ask(name, "warm_up", **request, seconds=runner.warm_up)
        return answer

    firsts = runner.try_all(case, first, runner.names)
    answers = runner.take_turns(
        case, lambda name: runner.ask(name, "fit", **request), firsts
    )
    times = spreads(answers, "microseconds")
    return {
        name: {
            "microseconds": times[name],
            "first_fit_seconds": firsts[name]["seconds"],
            "loss": answers[name][-1]["loss"],
        }
        for name in answers
    }


def predict(runner: Runner) -> Found:
    """Predict 1,000,000 rows, and one: seconds, and memory of a first call."""
    fit = CASES["synthetic"].request(runner.folder, epochs=1)
    many = {"data": str(prepare(f"synthetic-{ROWS}", runner.folder)), "rows": ROWS}
    one = {"data": fit["data"], "rows": 1, "calls": 300}
    with ExitStack() as stack:
        workers = {}

        def first(name: str) -> Found:
            workers[name] = stack.enter_context(runner.fresh(name))
            workers[name].ask("fit", **fit)
            workers[name].ask("predict", **one)
            answer = workers[name].ask("predict", **many, calls=1)
            workers[name].ask("warm_up", **fit, seconds=runner.warm_up)
            return answer

        firsts = runner.try_all("predict", first, players(runner))
        of_many = runner.take_turns(
            "predict",
            lambda name: workers[name].ask("predict", **many, calls=1),
            firsts,
        )
        of_one = runner.take_turns(
            "predict", lambda name: workers[name].ask("predict", **one), of_many
        )
    many_seconds, one_seconds = (spreads(each, "seconds") for each in (of_many, of_one))
    return {
        name: {
            "rows_a_second": ROWS / many_seconds[name]["median"],
            "seconds": many_seconds[name],
            "extra_bytes": firsts[name].get("peak"),
            "one_row_seconds": one_seconds[name],
        }
        for name in of_one
    }


def start(runner: Runner) -> Found:
    """From the start of a process to a model fitted on digits, and its imports alone."""
    request = CASES["digits"].request(runner.folder)

    def fitted(name: str, epochs: int) -> float:
        begin = time.perf_counter()
        with runner.fresh(name) as worker:
            worker.ask("fit", **request | {"epochs": epochs})
            return time.perf_counter() - begin

    def imported(name: str) -> float:
        imports = CONTESTANTS[runner.device][name].imports
        code = f"{imports}; print(flush=True)"
        env = environment(runner.device, name, runner.folder)
        begin = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            return time.perf_counter() - begin

    def all_three(name: str) -> Found:
        return {
            "import_seconds": imported(name),
            "one_epoch_seconds": fitted(name, 1),
            "fit_seconds": fitted(name, request["epochs"]),
        }

    firsts = runner.try_all("start", all_three, players(runner))  # from the disk
    answers = runner.take_turns("start", all_three, firsts)
    keys = ("import_seconds", "one_epoch_seconds", "fit_seconds")
    return {
        name: {key: spread(each[key] for each in answers[name]) for key in keys}
        for name in answers
    }


def memory(runner: Runner) -> Found:
    """Memory that a first fit adds at its peak, the data being there."""

    def fit(name: str, case: str) -> int | None:
        request = CASES[case].request(runner.folder, epochs=1)
        with runner.fresh(name) as worker:
            return worker.ask("fit", **request).get("peak")

    return {
        case: runner.try_all(
            f"memory, {case}", lambda name, case=case: fit(name, case), players(runner)
        )
        for case in CASES
    }


def accuracy(runner: Runner) -> Found:
    """Seconds of the shortest fit with 97.5 % of MNIST's test set right, over seeds."""
    case = CASES["mnist-100"]
    seeds = {name: itertools.count() for name in runner.names}

    def first(name: str) -> Found:
        request = case.request(runner.folder, seconds=runner.warm_up)
        runner.ask(name, "fit", **request | {"epochs": 1})
        return runner.ask(name, "warm_up", **request)

    def reach(name: str) -> Found:
        request = case.request(runner.folder, seed=next(seeds[name]), accuracy=ACCURACY)
        return runner.ask(name, "reach", **request)

    firsts = runner.try_all("97.5 %", first, players(runner))
    answers = runner.take_turns("97.5 %", reach, firsts)
    seconds, epochs = spreads(answers, "seconds"), spreads(answers, "epochs")
    return {
        name: {"seconds": seconds[name], "epochs": epochs[name]} for name in answers
    }


IN_MEMORY = 1.0
"""Gigabytes of a memory map that are fitted from memory, too, to compare a step."""


def mapped(runner: Runner, gigabytes: float) -> Found:
    """Fit an epoch on a memory map, and on the same rows in memory, as far as they fit."""
    case = CASES["mnist-100"]
    folder = str(prepare_large(gigabytes, runner.folder))
    request = case.request(runner.folder, data=folder, epochs=1)
    rows = int(min(gigabytes, IN_MEMORY) * 1e9) // (4 * case.sizes[0])

    def fit(name: str, **settings: Any) -> Found:
        with runner.fresh(name) as worker:
            # Nothing of the rest is in this process's memory yet.
            few = request | {"rows": 1000, "epochs": 50, "mapped": True}
            worker.ask("warm_up", **few, seconds=runner.warm_up)
            return worker.ask("fit", **request | settings)

    def pairs(name: str) -> Found:
        on_disk, in_memory = [], []
        for _ in range(runner.repeats):
            on_disk.append(fit(name, mapped=True, sample=True))
            in_memory.append(fit(name, rows=rows, sample=True))
        return {
            "mapped_microseconds": spread(each["microseconds"] for each in on_disk),
            "memory_microseconds": spread(each["microseconds"] for each in in_memory),
            "anonymous_bytes": max(each["anonymous"] for each in on_disk),
            "peak_bytes": max(each.get("peak", 0) for each in on_disk),
        }

    found = runner.try_all("memory map", pairs, estimators(runner))
    return {"gigabytes": gigabytes, "rows_in_memory": rows, **found}


def growth(runner: Runner) -> Found:
    """Time an epoch at 10,000, 100,000 and 1,000,000 rows, over that of linear growth."""
    case = CASES["synthetic"]
    folder = str(prepare(f"synthetic-{ROWS}", runner.folder))

    def fit(name: str, rows: int) -> float:
        # About as many steps for each.
        epochs = GROWTH[-1] // rows
        request = case.request(runner.folder, data=folder, rows=rows, epochs=epochs)
        return runner.ask(name, "fit", **request)["seconds"] / epochs

    def runs(name: str) -> Found:
        request = case.request(runner.folder, seconds=runner.warm_up)
        runner.ask(name, "warm_up", **request)
        times: dict[int, list[float]] = {rows: [] for rows in GROWTH}
        for _ in range(runner.repeats):
            for rows in GROWTH:
                times[rows].append(fit(name, rows))
        return {str(rows): spread(each) for rows, each in times.items()}

    return runner.try_all("growth", runs, estimators(runner))


def about(runner: Runner) -> Found:
    """Versions and BLAS kernels, as the processes see them."""

    def ask(name: str) -> Found:
        with runner.fresh(name) as worker:
            worker.ask("fit", **CASES["digits"].request(runner.folder, epochs=1))
            return worker.ask("about")

    for name in runner.names:
        try:
            return ask(name)
        except NotRunError:
            continue
    return {"versions": {}, "blas": []}


MEASURES: dict[str, Callable[[Runner], Found]] = {
    "predict": predict,
    "start": start,
    "memory": memory,
    "accuracy": accuracy,
    "growth": growth,
}
"""Beside steps and mapped, which take more than a runner."""
