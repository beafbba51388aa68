"""What only a GPU can answer: ``nox -s gpu`` asks, and writes ``docs/gpu.md``.

    python tests/gpu.py

Without a usable GPU it says so, writes nothing, and ends with exit code 2; with one, it
ends with 1 where an answer is not the expected one.
"""

import datetime as dt
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from agreement import hardware, replaced, settings_of
from tolerances import GPU_LOSSES

from xpnet import Backend, available_backends, get_backend
from xpnet._namespace import to_numpy
from xpnet._typing import Array
from xpnet.exceptions import BackendUnavailableError
from xpnet.functional import counter_hash, counter_uniform
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Network
from xpnet.optimizers import Adam
from xpnet.training import Objective, step_coefficients, training_step

PAGE = Path(__file__).parent.parent / "docs" / "gpu.md"
MARK = "gpu"
OTHERS = ("torch:cuda", "jax:cuda")
"""Compared with where they are installed and find the GPU."""

SIZES = (
    ((64, 100, 10), 200),
    ((784, 100, 10), 200),
    ((784, 512, 512, 10), 128),
)
"""Units and batch sizes whose steps are timed."""


class Answer(NamedTuple):
    """What a run says to a question."""

    expected: bool
    text: str


class Setup(NamedTuple):
    """A training that can go on step by step."""

    objective: Objective
    params: Array
    state: tuple[Array, ...]
    X: Array
    targets: Array
    numbers: list[tuple[Array, ...]]
    """The optimiser's, a tuple a step."""


ADAM = Adam()


def set_up(
    backend: Backend, sizes: tuple[int, ...], batch_size: int, n_steps: int
) -> Setup:
    """Draw on the host, from one seed, and move, in float32."""
    rng = np.random.default_rng(0)
    network = Network.from_sizes(sizes, ["relu"] * (len(sizes) - 2))
    params = backend.asarray(0.05 * rng.normal(size=network.n_params), "float32")
    classes = rng.integers(sizes[-1], size=batch_size)
    return Setup(
        Objective(network, softmax_cross_entropy, alpha=1e-4),
        params,
        ADAM.init(params),
        backend.asarray(rng.normal(size=(batch_size, sizes[0])), "float32"),
        backend.asarray(np.eye(sizes[-1])[classes], "float32"),
        step_coefficients(ADAM, 1e-3, 1, n_steps, params),
    )


def take_steps(setup: Setup) -> list[Array]:
    """Return the objective before each step."""
    objective, params, state, X, targets, numbers = setup
    out, values = objective.network.buffers(params, X.shape[0]), []
    for coefficients in numbers:
        params, state, value = training_step(
            objective, ADAM, params, state, X, targets, coefficients, out
        )
        values.append(value)
    return values


def usable(names: tuple[str, ...]) -> list[Backend]:
    found = []
    for name in names:
        try:
            found.append(get_backend(name))
        except BackendUnavailableError:
            continue
    return found


# -------------------------------------------------------------------------- the questions


def losses_agree(cupy: Backend) -> Answer:
    """Do twenty steps from one seed give NumPy's losses, to 1e-5?"""
    sizes, batch_size = SIZES[0]
    numpy = get_backend("numpy")
    desired = np.stack(take_steps(set_up(numpy, sizes, batch_size, 20)))
    worst = {}
    for backend in (cupy, *usable(OTHERS)):
        with settings_of(backend.name, "float32"):
            values = take_steps(set_up(backend, sizes, batch_size, 20))
            actual = np.stack([to_numpy(value) for value in values])
        worst[backend.name] = float(np.max(np.abs(actual - desired) / desired))
    text = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    return Answer(max(worst.values()) < GPU_LOSSES, f"largest difference: {text}")


def bits_agree(backend: Backend) -> Answer:
    """Has the hash of the random numbers the same bits, eager and fused?"""
    import cupy  # noqa: PLC0415

    counter = np.arange(1 << 20, dtype=np.int32)
    here = backend.asarray(counter)
    fused = cupy.fuse()(lambda counter: counter_hash(counter, 3, 7))
    results = {
        "eager": np.array_equal(
            to_numpy(counter_hash(here, 3, 7)), counter_hash(counter, 3, 7)
        ),
        "fused": np.array_equal(to_numpy(fused(here)), counter_hash(counter, 3, 7)),
        "as uniform numbers": np.array_equal(
            to_numpy(counter_uniform(here, 3, 7)), counter_uniform(counter, 3, 7)
        ),
    }
    text = ", ".join(
        f"{how}: {'yes' if same else 'no'}" for how, same in results.items()
    )
    return Answer(all(results.values()), f"2^20 numbers; {text}")


def capture(function: Callable[[], object]) -> str | None:
    """Capture a function into a CUDA graph; return the error, or None."""
    import cupy  # noqa: PLC0415

    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    problem = None
    with stream, cupy.cuda.using_allocator(pool.malloc):
        function()  # compiles its kernels
        stream.synchronize()
        stream.begin_capture()
        try:
            function()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            problem = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        try:
            stream.end_capture()
        except Exception as error:  # noqa: BLE001
            problem = problem or f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return problem


def products_are_not_captured(backend: Backend) -> Answer:
    """Does CuPy still refuse to capture a matrix product into a CUDA graph?"""
    x = backend.asarray(np.eye(64), "float32")
    problem = capture(lambda: backend.xp.matmul(x, x))
    problem = problem or "no, it captures it"
    return Answer(problem.startswith("NotImplementedError"), problem)


def clip_waits(backend: Backend) -> Answer:
    """Does ``xp.clip`` wait for the device, where ``xp.where`` doesn't?"""
    xp, x = backend.xp, backend.asarray(np.linspace(-2.0, 2.0, 20_000), "float32")
    spellings: dict[str, Callable[[], Array]] = {
        "clip": lambda: xp.clip(x, 0.0, 1.0),
        "where": lambda: xp.where(x > 0.0, x, 0.0),
        "maximum": lambda: xp.maximum(x, 0.0),
    }
    waits = {
        name: capture(function) is not None for name, function in spellings.items()
    }
    texts = [
        f"{name} {'waits' if waits[name] else 'does not wait'}, "
        f"{microseconds(function, to_numpy):.0f} µs"
        for name, function in spellings.items()
    ]
    expected = {"clip": True, "where": False, "maximum": False}
    return Answer(waits == expected, "; ".join(texts))


def steps_never_wait(backend: Backend) -> Answer:
    """Is a step but for its products captured, and hence free of waiting?"""
    import cupy  # noqa: PLC0415

    def product(a: Array, b: Array, out: Array | None = None) -> Array:
        out = cupy.empty((a.shape[0], b.shape[1]), a.dtype) if out is None else out
        out.fill(0.5)
        return out

    sizes, batch_size = SIZES[0]
    setup = set_up(backend, sizes, batch_size, 1)
    with mock.patch.object(backend.xp, "matmul", product):
        problem = capture(lambda: take_steps(setup))
        control = capture(lambda: float(take_steps(setup)[0]))
    text = problem or "yes"
    text += f"; with the loss read: {control or 'captured too, so that proves nothing'}"
    return Answer(problem is None and control is not None, text)


def microseconds(
    function: Callable[[], Any], wait: Callable[[Any], object], n_calls: int = 200
) -> float:
    """Return the time of a call, the best of three rounds, waiting once a round."""
    wait(function())
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(n_calls):
            result = function()
        wait(result)
        best = min(best, time.perf_counter() - start)
    return 1e6 * best / n_calls


def step_times(cupy: Backend) -> Answer:
    """How long does a training step take, in float32 with Adam, eager?"""
    texts = []
    for sizes, batch_size in SIZES:
        times = []
        for backend in (get_backend("numpy"), cupy, *usable(OTHERS)):
            with settings_of(backend.name, "float32"):
                setup = set_up(backend, sizes, batch_size, 100)
                n_steps = len(setup.numbers)
                time_of_all = microseconds(
                    lambda setup=setup: take_steps(setup)[-1], to_numpy, n_calls=3
                )
            times.append(f"{backend.name} {time_of_all / n_steps:.0f} µs")
        units = "-".join(map(str, sizes))
        texts.append(f"{units}, batch {batch_size}: {', '.join(times)}")
    return Answer(expected=True, text="; ".join(texts))


QUESTIONS: tuple[Callable[[Backend], Answer], ...] = (
    losses_agree,
    bits_agree,
    products_are_not_captured,
    clip_waits,
    steps_never_wait,
    step_times,
)


# ------------------------------------------------------------------------------- the page


def ask(question: Callable[[Backend], Answer], backend: Backend) -> Answer:
    """Return the answer; an error is one, too."""
    try:
        return question(backend)
    except Exception as error:  # noqa: BLE001 - the other questions are still to be asked
        message = " ".join(str(error).split()) or "no message"
        return Answer(expected=False, text=f"{type(error).__name__}: {message}")


def machine(backend: Backend) -> str:
    """Return date, card, driver and versions."""
    import cupy  # noqa: PLC0415

    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        driver = ran.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    runtime = cupy.cuda.runtime
    supported, used = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    versions = [
        f"{status.name} {status.version}"
        for status in available_backends()
        if status.usable and status.name != "strict"
    ]
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return (
        f"Run on {date} on {hardware(backend)}: driver {driver} (CUDA "
        f"{supported // 1000}.{supported % 1000 // 10}), CUDA runtime "
        f"{used // 1000}.{used % 1000 // 10}; {', '.join(versions)}."
    )


def rendered(where: str, answers: dict[str, Answer]) -> str:
    """Return what the page says of a run."""
    lines = ["| question | as expected | answer |", "| --- | --- | --- |"]
    for question, (expected, text) in answers.items():
        cell = text.replace("|", "\\|")
        lines.append(f"| {question} | {'yes' if expected else '**no**'} | {cell} |")
    return "\n".join([where, "", *lines])


def main() -> int:
    """Ask everything, and write the page."""
    try:
        backend = get_backend("cupy")
    except BackendUnavailableError as error:
        sys.stderr.write(f"No GPU: {error}\n")
        return 2
    answers = {}
    for question in QUESTIONS:
        text = str(question.__doc__).replace("``", "`")
        answers[text] = ask(question, backend)
        sys.stdout.write(f"{text} {answers[text].text}\n")
    page = PAGE.read_text(encoding="utf-8")
    text = rendered(machine(backend), answers)
    PAGE.write_text(replaced(page, MARK, text), encoding="utf-8")
    return int(not all(answer.expected for answer in answers.values()))


if __name__ == "__main__":
    sys.exit(main())
