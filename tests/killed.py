"""A training for tests to kill: ``python killed.py FOLDER OPTIONS``.

It leaves what it has learnt in FOLDER, one file of arrays, when it comes to its end.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from xpnet import MLPClassifier, MLPRegressor, get_backend
from xpnet._namespace import to_numpy
from xpnet.callbacks import Checkpoint, EarlyStopping, History
from xpnet.callbacks._state import kept

CASES: dict[str, dict[str, Any]] = {
    "adam": {"max_iter": 60, "batch_size": 16},
    "no seed": {"max_iter": 60, "batch_size": 16},
    "early stopping": {
        "max_iter": 400,
        "batch_size": 32,
        "early_stopping": True,
        "n_iter_no_change": 30,
    },
    "adaptive": {
        "max_iter": 120,
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.2,
        "n_iter_no_change": 3,
        "tol": 1e-3,
    },
    "callbacks": {"max_iter": 400, "batch_size": 32},
    "large": {"max_iter": 12, "hidden_layer_sizes": (500, 400), "batch_size": 100},
}
"""Settings of the estimator; a large network spends its time in writing."""


def problem(n_samples: int = 200) -> tuple[Any, Any]:
    """Return the same samples and noisy labels each time."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n_samples, 10))
    return X, (X[:, 0] * X[:, 1] + rng.normal(size=n_samples) > 0).astype(int)


def make(
    case: str, path: Path | None, backend: str, every: int = 1, cls: Any = MLPClassifier
) -> Any:
    """Return the estimator with its callbacks."""
    settings = {"hidden_layer_sizes": (20,), "random_state": 3, **CASES[case]}
    if case == "no seed":
        settings["random_state"] = None
    callbacks: list[Any] = [] if path is None else [Checkpoint(path, every=every)]
    if case == "callbacks":  # behind the checkpoint, which must know of them all the same
        callbacks += [History(), EarlyStopping("validation_loss", patience=40)]
    return cls(**settings, backend=backend).set_callbacks(*callbacks)


def held_out(case: str) -> dict[str, Any]:
    """Return what ``fit`` is given beside samples and labels."""
    X, y = problem(300)
    return {"X_val": X[200:], "y_val": y[200:]} if case == "callbacks" else {}


def learnt(estimator: Any) -> dict[str, Any]:
    """Return everything that must be equal, bit by bit, as arrays and JSON."""
    arrays = {
        f"{name}{i}": to_numpy(x)
        for name in ("coefs_", "intercepts_")
        for i, x in enumerate(getattr(estimator, name))
    }
    progress = estimator._progress[1]
    arrays["params"] = to_numpy(progress.params)
    for i, moment in enumerate(progress.optimizer_state):
        arrays[f"moment{i}"] = to_numpy(moment)
    if progress.order is not None:
        arrays["order"] = progress.order
    arrays["random"] = progress.random_state.get_state()[1]
    found = {
        name: value
        for each in (estimator, *getattr(estimator, "_skl_callbacks", ()))
        for name, value in vars(each).items()
        if name.endswith("_") and isinstance(value, (int, float, list))
        if name not in ("coefs_", "intercepts_")
    }
    found["schedule"] = kept(progress.schedule)
    found["plateau"] = kept(progress.plateau)
    found["steps"] = [progress.n_steps, progress.n_seen]
    found["position"] = int(progress.random_state.get_state()[2])
    arrays["found"] = np.asarray(json.dumps(found, default=repr, sort_keys=True))
    return arrays


def main() -> None:
    """Train, and say so."""
    folder, case, backend = Path(sys.argv[1]), *sys.argv[2:4]
    warnings.simplefilter("ignore")
    X, y = problem()
    estimator = make(case, folder / "run.ckpt", backend)
    print("begins", flush=True)
    estimator.fit(X, y, **held_out(case))
    np.savez(folder / "learnt.npz", **learnt(estimator))


if __name__ == "__main__":
    main()
