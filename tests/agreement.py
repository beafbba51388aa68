"""How far each backend is from NumPy's float64, measured: ``nox -s agreement``.

    python tests/agreement.py

The table goes to ``docs/backends.md``, between two comments. A row that can't be run here
keeps what was measured elsewhere, with the hardware and the date of that run; if there is
nothing, it says why.
"""

import datetime as dt
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from xpnet import Backend, MLPClassifier, available_backends, get_backend
from xpnet._namespace import supports_dtype, to_numpy
from xpnet._typing import Array
from xpnet.exceptions import BackendUnavailableError
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Network
from xpnet.optimizers import Adam
from xpnet.training import Objective, step_coefficients, training_step

PAGE = Path(__file__).parent.parent / "docs" / "backends.md"
MARK = "agreement"

BACKENDS = (
    *("numpy", "strict:CPU_DEVICE", "strict:device1", "strict:device2"),
    *("strict:no_x64", "torch:cpu", "jax:cpu", "cupy", "torch:cuda", "jax:cuda"),
)
DTYPES = ("float64", "float32")

HEADER = (
    "| backend | dtype | loss | gradient | parameters | accuracy | library | hardware "
    "| date |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)
N_STEPS, BATCH_SIZE = 100, 200


# -------------------------------------------------------------------------------- places


@contextmanager
def settings_of(backend: str, dtype: str) -> Iterator[None]:
    """Compute in `dtype`, with no shorter products, in one thread."""
    if backend.startswith("torch"):
        import torch  # noqa: PLC0415

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)
    elif backend.startswith("jax"):
        import jax  # noqa: PLC0415

        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", dtype == "float64")
        with jax.default_matmul_precision("float32"):  # a GPU's default is TF32
            yield
        jax.config.update("jax_enable_x64", before)
    else:
        yield


def cpu() -> str:
    """Return the name of the host's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return f"{(names or [platform.processor() or platform.machine()])[0]} (CPU)"


def hardware(backend: Backend) -> str:
    """Return the name of the processor or card that a backend computes on."""
    library, _, which = backend.name.partition(":")
    if library == "cupy":
        import cupy  # noqa: PLC0415

        name = cupy.cuda.runtime.getDeviceProperties(backend.device.id)["name"]
        return name.decode()
    if which.startswith("cuda"):
        if library == "jax":
            return str(backend.device.device_kind)
        import torch  # noqa: PLC0415

        return str(torch.cuda.get_device_name(backend.device))
    return cpu()


# --------------------------------------------------------------------------- measurements


class Course(NamedTuple):
    """What one backend computes."""

    loss: Array
    gradient: Array
    """Of the first batch."""
    params: Array
    """After a hundred steps."""
    accuracy: float
    """Of a fitted classifier, on samples that it has not seen."""


def run(backend: Backend, dtype: str) -> Course:
    """Train on digits: 64 features, 100 hidden units, 10 classes.

    The steps are those of a smooth network. A rectifier has a kink, and a sample that
    rounding puts on the other side of it takes its weights some way along.
    """
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16.0, y, random_state=0)
    network = Network.from_sizes([64, 100, 10], ["tanh"])
    rng = np.random.default_rng(0)
    params = backend.asarray(0.1 * rng.normal(size=network.n_params), dtype)
    X_here = backend.asarray(X_train, dtype)
    targets = backend.asarray(np.eye(10)[y_train], dtype)
    objective = Objective(network, softmax_cross_entropy, alpha=1e-4)
    loss, gradient = objective.value_and_gradient(
        params, X_here[:BATCH_SIZE, :], targets[:BATCH_SIZE, :]
    )
    adam = Adam()
    state, out = adam.init(params), network.buffers(params, BATCH_SIZE)
    for i, numbers in enumerate(step_coefficients(adam, 1e-3, 1, N_STEPS, params)):
        start = (i % 6) * BATCH_SIZE
        rows = slice(start, start + BATCH_SIZE)
        params, state, _ = training_step(
            objective,
            adam,
            params,
            state,
            X_here[rows, :],
            targets[rows, :],
            numbers,
            out,
        )
    clf = MLPClassifier(
        (100,), learning_rate_init=0.01, max_iter=20, random_state=0, tol=0.0
    )
    for _ in clf.iter_fit(X_here, y_train):
        pass
    accuracy = clf.score(backend.asarray(X_test, dtype), y_test)
    return Course(loss, gradient, params, float(accuracy))


def deviation(actual: Array, desired: Array) -> float:
    """Return the largest error, relative to the largest magnitude of the array."""
    a, d = to_numpy(actual).astype(np.float64), to_numpy(desired)
    return float(np.max(np.abs(a - d)) / np.max(np.abs(d)))


def not_run(reason: str) -> list[str]:
    """Return the cells of a row without figures."""
    return [f"not run: {reason}", *[""] * 6]


def measure(name: str, dtype: str, reference: Course) -> list[str]:
    """Return the cells of a row, from the loss on."""
    try:
        backend = get_backend(name)
    except BackendUnavailableError as error:
        return not_run(str(error).partition("can't be used: ")[2].partition(";")[0])
    with settings_of(name, dtype):
        if not supports_dtype(backend.xp, backend.device, dtype):
            return not_run(f"the device has no {dtype}")
        course = run(backend, dtype)
    worst = [
        deviation(getattr(course, what), getattr(reference, what))
        for what in ("loss", "gradient", "params")
    ]
    library = name.partition(":")[0]
    (status,) = [status for status in available_backends() if status.name == library]
    return [
        *(f"{value:.1e}" if value else "0" for value in worst),
        f"{course.accuracy:.4f}",
        str(status.version),
        hardware(backend),
        dt.datetime.now(tz=dt.UTC).date().isoformat(),
    ]


# ----------------------------------------------------------------------------- the table


def between(page: str, mark: str) -> str:
    """Return what stands between the comments ``% mark: begin`` and ``% mark: end``."""
    _, begin, rest = page.partition(f"% {mark}: begin\n")
    text, end, _ = rest.partition(f"% {mark}: end\n")
    if not begin or not end:
        msg = f"the page has no comments '% {mark}: begin' and '% {mark}: end'"
        raise ValueError(msg)
    return text


def replaced(page: str, mark: str, text: str) -> str:
    """Return a page with `text` between the comments, and all else as it was."""
    begin, end = f"% {mark}: begin\n", f"% {mark}: end\n"
    return page.replace(begin + between(page, mark) + end, f"{begin}\n{text}\n\n{end}")


Rows = dict[tuple[str, str], list[str]]


def parsed(text: str) -> Rows:
    """Return the rows of a table by backend and dtype."""
    table = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    return {(row[0].strip("`"), row[1]): row[2:] for row in cells}


def merged(old: Rows, new: Rows) -> Rows:
    """Keep a row that was measured elsewhere where it can't be run here."""
    rows = dict(new)
    for key, cells in new.items():
        if cells[0].startswith("not run") and key in old:
            rows[key] = old[key] if not old[key][0].startswith("not run") else cells
    return rows


def rendered(rows: Rows) -> str:
    """Return the table."""
    lines = [
        f"| `{backend}` | {dtype} | {' | '.join(cells)} |"
        for (backend, dtype), cells in rows.items()
    ]
    return "\n".join([HEADER, *lines])


def main() -> None:
    """Measure every backend, and write the table."""
    reference = run(get_backend("numpy"), "float64")
    new: Rows = {}
    for name in BACKENDS:
        for dtype in DTYPES:
            new[name, dtype] = measure(name, dtype, reference)
            sys.stdout.write(f"{name} {dtype}: {' '.join(new[name, dtype])}\n")
    page = PAGE.read_text(encoding="utf-8")
    rows = merged(parsed(between(page, MARK)), new)
    PAGE.write_text(replaced(page, MARK, rendered(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
