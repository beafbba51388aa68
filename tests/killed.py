"""A training for tests to kill: ``python killed.py FOLDER CASE BACKEND SEED``.

At its end it leaves in FOLDER what it has learnt.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from xpnet import MLPClassifier
from xpnet._moving import LISTS
from xpnet._namespace import to_numpy
from xpnet.callbacks import Checkpoint, EarlyStopping, History
from xpnet.callbacks._state import kept

CASES: dict[str, dict[str, Any]] = {
    "adam": {"max_iter": 60},
    "no seed": {
        "max_iter": 60,
        "early_stopping": True,
        "n_iter_no_change": 20,
        "dropout": 0.1,
        "normalization": "batch",
        "random_state": None,
    },
    "early stopping": {
        "max_iter": 200,
        "early_stopping": True,
        "n_iter_no_change": 30,
    },
    "adaptive": {
        "max_iter": 90,
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.2,
        "n_iter_no_change": 3,
        "tol": 1e-3,
    },
    "invscaling": {
        "max_iter": 40,
        "solver": "sgd",
        "learning_rate": "invscaling",
        "momentum": 0.0,
        "shuffle": False,
    },
    "callbacks": {"max_iter": 200},
    "much": {
        "max_iter": 40,
        "solver": "muon",
        "learning_rate": "cosine",
        "learning_rate_init": 0.02,
        "weight_decay": 0.1,
        "batch_size": 16,
        "accumulate": 2,
        "clip_norm": 0.5,
        "ema_decay": 0.9,
        "hidden_layer_sizes": (20, 10),
        "dropout": 0.2,
        "input_dropout": 0.1,
        "normalization": "batch",
        "label_smoothing": 0.1,
        "l1": 1e-4,
        "max_norm": 2.0,
        "mixup": 0.3,
        "early_stopping": True,
        "n_iter_no_change": 40,
    },
    "large": {"max_iter": 10, "hidden_layer_sizes": (500, 400), "batch_size": 100},
}
"""Settings of the estimator; a large network spends its time in writing."""


def problem(n_samples: int = 200) -> tuple[Any, Any]:
    """Return the same samples and noisy labels each time."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n_samples, 10))
    return X, (X[:, 0] * X[:, 1] + rng.normal(size=n_samples) > 0).astype(int)


def held_out(case: str) -> dict[str, Any]:
    """Return what ``fit`` is given beside samples and labels."""
    X, y = problem(300)
    return {"X_val": X[200:], "y_val": y[200:]} if case == "callbacks" else {}


def make(case: str, path: Path | None, backend: str, **params: Any) -> Any:
    """Return the estimator with its callbacks."""
    settings = {
        "hidden_layer_sizes": (20,),
        "batch_size": 32,
        "random_state": 3,
        "backend": backend,
        **CASES[case],
        **params,
    }
    callbacks: list[Any] = [] if path is None else [Checkpoint(path)]
    if case == "callbacks":  # the checkpoint must know of those behind it, too
        callbacks += [History(), EarlyStopping("validation_loss", patience=40)]
    return MLPClassifier(**settings).set_callbacks(*callbacks)


def learnt(estimator: Any) -> dict[str, Any]:
    """Return everything that must be equal, bit by bit."""
    progress = estimator._progress[1]
    arrays = [
        *(x for name in LISTS for x in getattr(estimator, name, [])),
        progress.params,
        *progress.optimizer_state,
    ]
    found: dict[str, Any] = {
        name: value
        for each in (estimator, *getattr(estimator, "_skl_callbacks", ()))
        for name, value in vars(each).items()
        if name.endswith("_") and name not in ("classes_", *LISTS)
    }
    found["progress"] = [
        kept(progress.schedule),
        kept(progress.plateau),
        kept(progress.random_state),
        progress.n_steps,
        progress.n_seen,
        progress.seed,
        progress.averaged,
        progress.order,
    ]
    return {
        "found": np.asarray(json.dumps(found, default=np.ndarray.tolist)),
        **{str(i): to_numpy(x) for i, x in enumerate(arrays)},
    }


def assert_same(actual: Any, desired: Any) -> None:
    """Bit by bit."""
    assert set(actual) == set(desired)
    assert str(actual["found"]) == str(desired["found"])
    for name in desired:
        assert actual[name].dtype == desired[name].dtype
        assert actual[name].tobytes() == desired[name].tobytes(), name


def main() -> None:
    """Train, and say when an epoch is over."""
    folder, case, backend, seed = sys.argv[1:]
    warnings.simplefilter("ignore")
    np.random.seed(int(seed))  # noqa: NPY002  # of random_state=None
    X, y = problem()
    estimator = make(case, Path(folder, "run.ckpt"), backend, verbose=True)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    estimator.fit(X, y, **held_out(case))
    np.savez(Path(folder, "learnt.npz"), **learnt(estimator))


if __name__ == "__main__":
    main()
