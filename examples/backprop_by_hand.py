"""Back-propagation by hand.

A network of two layers on the digits that scikit-learn brings, from the functions of
:mod:`xpnet.functional` and :mod:`xpnet.losses` alone: forward, backward, update. Its
gradient is compared with that of :class:`xpnet.network.Network`, the same chain for any
number of layers, and with finite differences.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

from xpnet.functional import logistic, logistic_backward, one_hot
from xpnet.initializers import lecun_normal
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Network
from xpnet.testing import check_gradients


def loss_and_gradients(W1, b1, W2, b2, X, targets):
    """Go forward through the two layers, and back."""
    A1 = logistic(X @ W1 + b1)  # (n_samples, 30)
    logits = A1 @ W2 + b2  # (n_samples, 10)
    loss, dZ2 = softmax_cross_entropy(logits, targets)

    dW2, db2 = A1.T @ dZ2, np.sum(dZ2, axis=0)
    dA1 = dZ2 @ W2.T
    dZ1 = logistic_backward(dA1, A1)
    dW1, db1 = X.T @ dZ1, np.sum(dZ1, axis=0)
    return loss, (dW1, db1, dW2, db2)


def compare_with_network(params, X, targets):
    """Assert that Network computes the same gradient."""
    _, (dW1, db1, dW2, db2) = loss_and_gradients(*params, X, targets)
    W1, b1, W2, b2 = params
    network = Network.from_sizes([64, 30, 10], ["logistic"])
    logits, backward = network.forward([(W1, b1), (W2, b2)], X)
    _, d_logits = softmax_cross_entropy(logits, targets)
    by_hand = network.flatten([(dW1, db1), (dW2, db2)])
    np.testing.assert_allclose(by_hand, backward(d_logits), rtol=0, atol=1e-14)
    print(f"Network has the same gradient, all {by_hand.size} numbers of it.")


def main():
    parser = argparse.ArgumentParser(description="Back-propagation by hand.")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=1.0)
    args = parser.parse_args()

    digits = load_digits()
    X, targets = digits.data / 16, one_hot(digits.target, 10, np.float64)
    rng = np.random.RandomState(0)
    params = [*lecun_normal(64, 30, rng), *lecun_normal(30, 10, rng)]

    compare_with_network(params, X, targets)
    few = X[:50], targets[:50]
    check_gradients(lambda *params: loss_and_gradients(*params, *few), *params)
    print("So have finite differences.")

    losses = []
    for i in range(args.iterations + 1):
        loss, gradients = loss_and_gradients(*params, X, targets)
        losses.append(loss)
        if i % 20 == 0:
            print(f"iteration {i:3}: loss {loss:.4f}")
        params = [
            p - args.learning_rate * dp for p, dp in zip(params, gradients, strict=True)
        ]

    assert losses[-1] < losses[0]


if __name__ == "__main__":
    main()
