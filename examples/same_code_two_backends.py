"""The same code on two array libraries.

Everything follows ``X``: the function below names no library. It trains on NumPy
arrays, then on those of another library, and the two networks agree, since the first
weights and the order of the samples are drawn on the host from the same seed.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

from xpnet import MLPClassifier, get_backend
from xpnet.exceptions import BackendUnavailableError


def train(X, y):
    """Train a network where X lives, and answer there."""
    clf = MLPClassifier((32,), random_state=0)
    for epoch in clf.iter_fit(X, y):
        if epoch.n_iter == 20:
            break
    return clf, clf.predict_proba(X)


def main():
    parser = argparse.ArgumentParser(description="One code, two array libraries.")
    parser.add_argument(
        "--backend", default="strict", help="strict, torch, jax, cupy, torch:cuda …"
    )
    args = parser.parse_args()
    here = get_backend("numpy")
    try:
        there = get_backend(args.backend)
    except BackendUnavailableError as error:
        parser.error(str(error))

    X, y = load_digits(return_X_y=True)
    X = here.asarray(X / 16, dtype="float32")
    clf, probs = train(X, y)
    other_clf, other_probs = train(there.asarray(X), y)

    for name, c, p in [("numpy", clf, probs), (there.name, other_clf, other_probs)]:
        kind = f"{type(p).__module__}.{type(p).__name__}"
        print(f"{name}: loss {c.loss_:.6f}, probabilities of type {kind}")
    difference = np.max(np.abs(probs - here.asarray(other_probs)))
    print(f"largest difference of a probability: {difference:.1e}")

    assert difference < 1e-4


if __name__ == "__main__":
    main()
