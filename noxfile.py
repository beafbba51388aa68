"""Everything a contributor runs, in environments of its own.

Examples::

    nox                          # lint, typecheck, tests
    nox -s tests -- -k softmax   # what stands behind -- goes to pytest
    nox -s tests_backends        # adds torch, JAX and numba
    nox -s tests_cupy            # CuPy on a machine without a GPU
    nox -s docs
    nox -s agreement             # writes the table at the end of docs/backends.md
    nox -s gpu                   # writes docs/gpu.md, on a machine with a GPU
    nox -s bench                 # writes docs/performance.md

MNIST's four files, for the tests that train on it, are found through the environment
variable XPNET_DATA; without it these tests are skipped.
"""

from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "typecheck", "tests"]
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent.resolve()
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
# What `tests_backends` is known to pass with; ranges are in pyproject.toml.
TORCH, JAX, NUMBA = "torch==2.13.0", "jax==0.10.2", "numba==0.68.1"
# Whose users `bench` compares with, beside those of scikit-learn.
PEERS = (TORCH, JAX, "optax==0.2.8", "skorch==1.4.0")
# Whose insides tests/test_cupy_without_gpu.py looks into.
CUPY = "cupy-cuda13x==14.2.0"
# What compiles its kernels, and what multiplies the matrices of a captured step.
CUDA = [f"nvidia-cuda-{part}>=13,<14" for part in ("nvrtc", "runtime", "cccl")]
NVMATH = "nvmath-python>=0.6"


def _install(session: nox.Session, *groups: str, extras: str = "cli,onnx,plot") -> None:
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("-e", f".[{extras}]", *requirements)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and that the formatter would change nothing."""
    session.install("ruff==0.17.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    _install(session, "lint")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite on NumPy and array-api-strict."""
    _install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def tests_backends(session: nox.Session) -> None:
    """Run the suite on torch and JAX too, with numba and a C++ compiler.

    None of them may be skipped.
    """
    _install(session, "test")
    session.install(TORCH, JAX, NUMBA)
    require = ["--require-backend=torch", "--require-backend=jax"]
    env = {"XPNET_REQUIRE_COMPILERS": "1"}
    session.run("pytest", *require, *session.posargs, env=env)


@nox.session
def tests_cupy(session: nox.Session) -> None:
    """Run on CuPy without a GPU what can be: our code up to the first launch."""
    test = nox.project.dependency_groups(PYPROJECT, "test")
    session.install("-e", ".", *test, CUPY, *CUDA, NVMATH)
    module = "tests/test_cupy_without_gpu.py"
    env = {"XPNET_REQUIRE_CUPY_SHELLS": "1"}
    session.run("pytest", module, *session.posargs, env=env)


@nox.session
def tests_gpu(session: nox.Session) -> None:
    """Run what needs a GPU, on CuPy; a skipped test is a failure."""
    _install(session, "test", extras="cli,onnx,plot,cuda13,graph")
    session.run("pytest", "-m", "gpu", "--require-backend=cupy", *session.posargs)


@nox.session
def agreement(session: nox.Session) -> None:
    """Measure how far each backend is from NumPy; what stands behind -- is installed.

    On a machine with a GPU: nox -s agreement -- 'cupy-cuda13x[ctk]' 'jax[cuda13]'
    """
    session.install("-e", ".", "array-api-strict", TORCH, JAX, *session.posargs)
    env = {"OPENBLAS_NUM_THREADS": "1"}
    session.run("python", "tests/agreement.py", env=env)


@nox.session
def gpu(session: nox.Session) -> None:
    """Answer on a GPU what only a GPU can, in docs/gpu.md.

    What stands behind -- is installed to be compared with: torch 'jax[cuda13]'
    """
    cupy = CUPY.replace("13x", "13x[ctk]")
    session.install("-e", ".[graph]", cupy, *session.posargs)
    session.run("python", "tests/gpu.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure xpnet and its peers side by side, and write docs/performance.md.

    What stands behind -- chooses a part: nox -s bench -- --cases digits --repeats 3
    """
    gpu = [CUPY.replace("13x", "13x[ctk]"), NVMATH, JAX.replace("jax", "jax[cuda13]")]
    extras = gpu if "cuda" in session.posargs else []
    session.install("-e", ".[fast]", *PEERS, *extras)
    env = {"PYTHONPATH": "tests"}
    session.run("python", "-m", "benchmarks", *session.posargs, env=env)


@nox.session
def min_versions(session: nox.Session) -> None:
    """Run the suite on the oldest versions that pyproject.toml allows."""
    _install(session, "test")
    oldest = [
        requirement.replace(">=", "==") + ".*"
        for requirement in PYPROJECT["project"]["dependencies"]
    ]
    # scikit-learn 1.6 hands pytest 9 what it warns of.
    session.install(*oldest, "pytest==8.*")
    # These hold xpnet to the current scikit-learn.
    current = ("trajectory", "differences", "sklearn_api")
    ignored = [f"--ignore=tests/test_{name}.py" for name in current]
    session.run("pytest", *ignored, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, "docs")
    session.run(
        "sphinx-build",
        "-W",
        "--keep-going",
        "docs",
        "docs/_build/html",
        *session.posargs,
    )


@nox.session
def build(session: nox.Session) -> None:
    """Build the source distribution and the wheel."""
    session.install("build")
    session.run("python", "-m", "build")
