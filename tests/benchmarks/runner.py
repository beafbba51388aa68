"""Processes that take turns, and what is made of their times."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from .contestants import CONTESTANTS

T = TypeVar("T")
Found = dict[str, Any]

TESTS = Path(__file__).parent.parent

UNSET = (
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "XLA_FLAGS"),
)
"""Variables that workers don't inherit: each library chooses kernels and threads."""


class NotRunError(Exception):
    """A contestant can't do what it was asked for."""


def command(device: str, name: str) -> list[str]:
    """Return the command of a contestant's process."""
    return [sys.executable, "-m", "benchmarks.worker", device, name]


def environment(device: str, name: str, folder: Path) -> dict[str, str]:
    """Return the variables of a contestant's process.

    What is compiled is kept in the run's folder, so that first fits do compile.
    """
    kept = {key: value for key, value in os.environ.items() if key not in UNSET}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(TESTS), kept.get("PYTHONPATH")])
        ),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        **dict(CONTESTANTS[device][name].env),
    }


class Worker:
    """The process of a contestant."""

    def __init__(self, device: str, name: str, folder: Path) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command(device, name),
            env=environment(device, name, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **request: Any) -> Found:
        """Wait for an answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer is missing, too
        line = self.process.stdout.readline()
        if not line:
            msg = f"its process ended with code {self.process.wait()}"
            raise NotRunError(msg)
        answer = json.loads(line)
        if "error" in answer:
            raise NotRunError(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # closes stdin, which ends it


class Runner:
    """The contestants of a run, and how often they take turns."""

    def __init__(
        self,
        folder: Path,
        device: str,
        names: Iterable[str],
        repeats: int,
        warm_up: float,
    ) -> None:
        self.folder, self.device, self.repeats = folder, device, repeats
        self.warm_up = warm_up
        """Seconds that a process fits before it is timed."""
        self.names = list(names)
        self.left_out: dict[str, str] = {}
        """What was not run, and why."""
        self._workers: dict[str, Worker] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fresh(self, name: str) -> Worker:
        """Return a process that has done nothing yet; the caller ends it."""
        return Worker(self.device, name, self.folder)

    def ask(self, name: str, do: str, **request: Any) -> Found:
        """Ask the contestant's own process, which lives as long as the run."""
        worker = self._workers.get(name)
        if worker is None or worker.process.poll() is not None:
            worker = self._stack.enter_context(self.fresh(name))
            self._workers[name] = worker
        return worker.ask(do, **request)

    def try_all(
        self, what: str, question: Callable[[str], T], names: Iterable[str]
    ) -> dict[str, T]:
        """Put a question to each; who can't answer it is left out, with the reason."""
        answers = {}
        for name in names:
            try:
                answers[name] = question(name)
            except NotRunError as error:
                self.left_out[f"{name}, {what}"] = str(error)
        return answers

    def take_turns(
        self, what: str, question: Callable[[str], Found], names: Iterable[str]
    ) -> dict[str, list[Found]]:
        """Ask each in turn, round after round, beginning with another each time."""
        order = list(names)
        answers: dict[str, list[Found]] = {name: [] for name in order}
        for _ in range(self.repeats):
            for name, answer in self.try_all(what, question, order).items():
                answers[name].append(answer)
            order = order[1:] + order[:1]
        return {
            name: each for name, each in answers.items() if len(each) == self.repeats
        }


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    values = list(values)
    if len(values) == 1:
        values *= 2
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def spreads(
    answers: Mapping[str, list[Found]], key: str
) -> dict[str, dict[str, float]]:
    """Return the median and the quartiles of one value of each contestant's answers."""
    return {
        name: spread(answer[key] for answer in each) for name, each in answers.items()
    }
