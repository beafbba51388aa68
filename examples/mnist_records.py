"""Test errors on MNIST beside the published ones, without augmentation.

Three networks that papers report, each trained from several seeds: what counts is the
mean. Hyperparameters were chosen on 10,000 samples that were held out of the training
set; ``--validate`` does so again.
"""

import argparse
import sys
import time
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from xpnet import MLPClassifier, get_backend
from xpnet.datasets import load_mnist
from xpnet.exceptions import DataError
from xpnet.schedules import Cosine, OneCycle


class Record(NamedTuple):
    """A published result, and how to reach it."""

    title: str
    error: float
    """In percent of the test set."""
    source: str
    sizes: tuple[int, ...]
    """Hidden units."""
    epochs: int
    settings: dict


SGD = {"solver": "sgd", "learning_rate": OneCycle(), "learning_rate_init": 0.2}
DROPOUT = {
    "dropout": 0.5,
    "input_dropout": 0.2,
    "learning_rate": Cosine(),
    "alpha": 0.0,
}
RECORDS = {
    "cross-entropy": Record(
        "800 units, cross-entropy",
        1.6,
        "Simard et al. 2003",
        (800,),
        60,
        {**SGD, "alpha": 0.03},
    ),
    "dropout": Record(
        "ReLU, dropout, 3 layers of 1024",
        1.25,
        "Srivastava et al. 2014",
        (1024,) * 3,
        120,
        {**DROPOUT, "learning_rate_init": 3e-4},
    ),
    "max-norm": Record(
        "ReLU, dropout, max-norm, 3 layers of 1024",
        1.06,
        "Srivastava et al. 2014",
        (1024,) * 3,
        120,
        {**DROPOUT, "learning_rate_init": 3e-4, "max_norm": 2.0},
    ),
}


def classifier(record: Record, epochs: int, seed: int, **others) -> MLPClassifier:
    return MLPClassifier(
        record.sizes,
        batch_size=128,
        max_iter=epochs,
        n_iter_no_change=epochs,  # no stopping before the last epoch
        tol=0.0,
        dtype="float32",
        random_state=seed,
        **{**record.settings, **others},
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECORDS)}; all")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--epochs", type=int, help="by default those of the record")
    parser.add_argument("--backend", default="numpy", help="where to train")
    parser.add_argument("--compiled", action="store_true", help="CUDA graphs on CuPy")
    parser.add_argument("--validate", action="store_true", help="on held-out samples")
    parser.add_argument("--data-home", help="the folder of MNIST's four files")
    args = parser.parse_args()

    try:
        X, y, X_test, y_test = load_mnist(data_home=args.data_home)
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    X, X_test = (x.astype(np.float32) / 255.0 for x in (X, X_test))
    if args.validate:
        X, y, X_test, y_test = X[:50_000], y[:50_000], X[50_000:], y[50_000:]
    backend = get_backend(args.backend)
    X, X_test = backend.asarray(X), backend.asarray(X_test)

    for name in args.names or RECORDS:
        record, errors = RECORDS[name], []
        epochs, start = args.epochs or record.epochs, time.perf_counter()
        for seed in range(args.seeds):
            model = classifier(record, epochs, seed, compiled=args.compiled or None)
            with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                model.fit(X, y)
            errors.append(100.0 * (1.0 - model.score(X_test, y_test)))
        seconds = (time.perf_counter() - start) / args.seeds
        each = ", ".join(f"{error:.2f}" for error in errors)
        print(
            f"{record.title}, {epochs} epochs: {np.mean(errors):.2f} % of the "
            f"{'held-out' if args.validate else 'test'} set wrong, ± {np.std(errors):.2f} "
            f"({each}); published {record.error} ({record.source}); "
            f"{seconds:.0f} s a run on {backend.name}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
