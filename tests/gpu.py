"""What only a GPU can answer: ``nox -s gpu`` asks, and writes ``docs/gpu.md``.

    python tests/gpu.py

Without a usable GPU it says so, writes nothing, and ends with exit code 2; with one, it
ends with 1 where an answer is not the expected one.
"""

import datetime as dt
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from agreement import hardware, replaced, settings_of
from sklearn.exceptions import ConvergenceWarning
from tolerances import GPU_LOSSES, GPU_STEPS

from xpnet import Backend, MLPClassifier, _pointwise, available_backends, get_backend
from xpnet._namespace import asarray_like, to_numpy
from xpnet._typing import Array
from xpnet.backends._products import multiplying
from xpnet.exceptions import BackendUnavailableError
from xpnet.functional import counter_hash, counter_uniform
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Network
from xpnet.optimizers import Adam
from xpnet.training import Data, Objective, step_coefficients, training_step
from xpnet.training.coefficients import host_coefficients
from xpnet.training.noise import Numbers
from xpnet.training.steps import make_steps, spans

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

N_TIMED = 64
"""Steps in a row."""


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


class _Everything(Container[Any]):
    def __contains__(self, _: object) -> bool:
        return True


@contextmanager
def array_code() -> Iterator[None]:
    """Let nothing be fused."""
    with mock.patch.object(_pointwise, "_not_fused", _Everything()):
        yield


def stepper(setup: Setup, *, compiled: bool) -> Callable[[], Array]:
    """Return what takes all steps, gathering one batch, and returns the losses' sum."""
    objective, params, state, X, targets, numbers = setup
    n_rows, n_steps = X.shape[0], len(numbers)
    steps = make_steps(
        objective, ADAM, Data(X, targets), params, state, n_rows, compiled=compiled
    )
    order = np.tile(np.arange(n_rows, dtype=np.int32), n_steps)
    coefficients = host_coefficients(ADAM, 1e-3, 1, n_steps, params)
    zero = asarray_like(np.zeros((), np.float32), params)

    def run() -> Array:
        brought, total = steps.bring(order, Numbers(coefficients)), zero
        for span in spans(order.shape[0], n_rows, steps.at_once, *brought):
            total = steps.take(total, *span)
        return total

    return run


def training(
    backend: Backend, seed: int, *, compiled: bool
) -> tuple[MLPClassifier, Iterator[Any]]:
    """Return a training of 100 steps, the last of each epoch on fewer rows."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(200, 20)), rng.integers(4, size=200)
    clf = MLPClassifier(
        (32,),
        batch_size=64,
        max_iter=25,
        tol=0.0,
        n_iter_no_change=25,
        random_state=seed,
        compiled=compiled,
    )
    return clf, clf.iter_fit(backend.asarray(X, "float32"), y)


def finish(clf: MLPClassifier, epochs: Iterator[Any]) -> list[Array]:
    """Train to the end; return weights and biases on the host."""
    for _ in epochs:
        pass
    return [to_numpy(x) for x in (*clf.coefs_, *clf.intercepts_)]


@contextmanager
def no_falling_back() -> Iterator[None]:
    """Make an error of the warning that a step runs eagerly."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def difference(actual: list[Array], desired: list[Array]) -> float:
    """Return the largest error, relative to the largest magnitude of its array."""
    return max(
        float(np.max(np.abs(a - d)) / np.max(np.abs(d)))
        for a, d in zip(actual, desired, strict=True)
    )


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

    @cupy.fuse(kernel_name="fused")
    def fused(counter: Array) -> Array:
        return counter_hash(counter, 3, 7)

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


def products_are_captured_by_cublas(backend: Backend) -> Answer:
    """Are products captured by way of nvmath-python, and equal to CuPy's?"""
    import cupy  # noqa: PLC0415
    from nvmath.bindings import cublas  # noqa: PLC0415

    from xpnet.backends._products import Products  # noqa: PLC0415

    rng, worst = np.random.default_rng(0), 0.0
    X, W, dZ = (
        backend.asarray(rng.normal(size=shape), "float32")
        for shape in ((200, 64), (64, 100), (200, 100))
    )
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    for a, b in ((X, W), (X.T, dZ), (dZ, W.T)):
        with stream:
            products = Products(cupy, cublas, stream)
            out = products(a, b)
            out.fill(0.0)
            stream.synchronize()
            stream.begin_capture()
            try:
                products(a, b, out)
            finally:
                graph = stream.end_capture()
            graph.launch()
            stream.synchronize()
        worst = max(worst, difference([to_numpy(out)], [to_numpy(a @ b)]))
    return Answer(worst < GPU_LOSSES, f"largest difference: {worst:.1e}")


@no_falling_back()
def fused_is_plain(backend: Backend) -> Answer:
    """Do 100 steps of fused functions give what array code does?"""
    with array_code():
        desired = finish(*training(backend, 0, compiled=False))
    with mock.patch.object(_pointwise, "_not_fused", set()) as not_fused:
        actual = finish(*training(backend, 0, compiled=False))
    worst = difference(actual, desired)
    text = f"largest difference of weights: {worst:.1e}"
    if unfused := {function.__name__ for function in not_fused}:
        text += f"; not fused: {', '.join(sorted(unfused))}"
    return Answer(worst < GPU_STEPS and not unfused, text)


@no_falling_back()
def captured_is_eager(backend: Backend) -> Answer:
    """Do 100 captured steps, every fourth on fewer rows, give what eager ones do?"""
    desired = finish(*training(backend, 0, compiled=False))
    clf, epochs = training(backend, 0, compiled=True)

    def with_junk() -> Iterator[Any]:
        # What a graph's memory would be given to, if it weren't kept for the graph.
        for epoch in epochs:
            for n in (10, 1_000, 100_000):
                backend.xp.full(n, float("nan"), dtype=backend.xp.float32)
            yield epoch

    worst = difference(finish(clf, with_junk()), desired)
    return Answer(worst < GPU_STEPS, f"largest difference of weights: {worst:.1e}")


@no_falling_back()
def two_at_once(backend: Backend) -> Answer:
    """Do two captured trainings disturb each other, taking turns or in two threads?"""
    seeds = (1, 2)
    desired = [finish(*training(backend, seed, compiled=False)) for seed in seeds]
    pairs = [training(backend, seed, compiled=True) for seed in seeds]
    for _ in zip(*(epochs for _, epochs in pairs), strict=True):
        pass
    turns = [finish(*pair) for pair in pairs]
    with ThreadPoolExecutor(2) as pool:
        threads = list(
            pool.map(
                lambda seed: finish(*training(backend, seed, compiled=True)), seeds
            )
        )
    worst = {
        how: max(map(difference, results, desired))
        for how, results in (("in turns", turns), ("in threads", threads))
    }
    text = ", ".join(f"{how} {value:.1e}" for how, value in worst.items())
    text = f"largest difference of weights: {text}"
    return Answer(max(worst.values()) < GPU_STEPS, text)


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
    with multiplying(product):
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
    """How long does a training step take, in float32 with Adam?"""
    texts = []
    for sizes, batch_size in SIZES:
        times = []
        for how, taken in times_on_cupy(cupy, sizes, batch_size).items():
            times.append(f"cupy {how} {taken:.0f} µs")
        units = "-".join(map(str, sizes))
        texts.append(f"{units}, batch {batch_size}: {', '.join(times)}")
    return Answer(expected=True, text="; ".join(texts))


def times_on_cupy(
    cupy: Backend, sizes: tuple[int, ...], batch_size: int
) -> dict[str, float]:
    """Return microseconds a step: as array code, fused, and as a graph."""
    times = {}
    for how in ("eager", "fused", "graph"):
        with array_code() if how == "eager" else nullcontext():
            setup = set_up(cupy, sizes, batch_size, N_TIMED)
            run = stepper(setup, compiled=how == "graph")
            times[how] = microseconds(run, to_numpy, n_calls=2) / N_TIMED
    return times


QUESTIONS: tuple[Callable[[Backend], Answer], ...] = (
    losses_agree,
    bits_agree,
    products_are_not_captured,
    products_are_captured_by_cublas,
    fused_is_plain,
    captured_is_eager,
    two_at_once,
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
