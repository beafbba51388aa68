"""The tutorial that xpnet began from: its formulas, and its figures on MNIST.

MNIST's four files are looked for in the folder that ``XPNET_DATA`` names; without it
the figures are skipped, unless ``XPNET_REQUIRE_MNIST=1`` makes that a failure.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from harness import mnist_or_give_up
from problems import Problem
from tolerances import ONE_PASS, TUTORIAL_ELSEWHERE, TUTORIAL_ON_NUMPY

from xpnet import Backend, MLPClassifier
from xpnet.cli.tutorial import (
    FINAL_TEST_ACCURACY,
    FINAL_TRAIN_ACCURACY,
    SETTINGS,
    TABLE,
)
from xpnet.datasets import Mnist, load_mnist
from xpnet.functional import softmax_jacobian
from xpnet.losses import softmax_cross_entropy
from xpnet.testing import assert_close, check_gradients
from xpnet.training import Objective

# ------------------------------------------------------------------------ its formulas
# Written by hand, with weights of shape (out, in) as in the tutorial, and each held
# against central differences of the loss from there on.


def s(z: np.ndarray) -> np.ndarray:
    """The logistic sigmoid."""
    return 1.0 / (1.0 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@dataclass
class Tutorial:
    """A network 4-5-3-3, its passes, and where they are with xpnet."""

    problem: Problem

    def __post_init__(self) -> None:
        self.Y, self.n = self.problem.targets, self.problem.X.shape[0]
        pairs = self.problem.network.views(self.problem.params)
        # W[l], b[l], Z[l] and A[l] are those of layer l; A[0] is X.
        self.W = {level: W.T for level, (W, _) in enumerate(pairs, start=1)}
        self.b = {level: b for level, (_, b) in enumerate(pairs, start=1)}
        self.L = len(pairs)
        self.A, self.Z = {0: self.problem.X}, {}
        for level in range(1, self.L + 1):
            self.Z[level] = self.A[level - 1] @ self.W[level].T + self.b[level]
            self.A[level] = (softmax if level == self.L else s)(self.Z[level])

        self.dZ = {self.L: self.A[self.L] - self.Y}
        self.dA, self.dW, self.db = {}, {}, {}
        for level in range(self.L, 0, -1):
            self.dW[level] = self.dZ[level].T @ self.A[level - 1] / self.n
            self.db[level] = self.dZ[level].mean(axis=0)
            if level > 1:
                self.dA[level - 1] = self.dZ[level] @ self.W[level]
                slope = s(self.Z[level - 1]) * (1.0 - s(self.Z[level - 1]))
                self.dZ[level - 1] = self.dA[level - 1] * slope

    def loss(self, level: int, z: np.ndarray) -> np.float64:
        """The cross-entropy, averaged over samples, when Z of a layer is `z`."""
        for above in range(level + 1, self.L + 1):
            z = s(z) @ self.W[above].T + self.b[above]
        return -np.sum(self.Y * np.log(softmax(z))) / self.n


@pytest.fixture
def tutorial(rng: np.random.Generator) -> Tutorial:
    return Tutorial(Problem.draw(rng, (5, 3), "logistic"))


by_layer = pytest.mark.parametrize("level", [1, 2, 3])


def test_jacobian_of_softmax(rng: np.random.Generator) -> None:
    z = rng.normal(size=(1, 4))
    a = softmax(z)[0]
    J = np.asarray(
        [
            [a[i] * (1.0 - a[i]) if i == j else -a[i] * a[j] for j in range(4)]
            for i in range(4)
        ]
    )
    assert_close(np.diag(a) - np.outer(a, a), J, factor=ONE_PASS)
    assert_close(softmax_jacobian(a[None])[0], J, factor=ONE_PASS)
    for i in range(4):
        check_gradients(lambda z, i=i: (softmax(z)[0, i], J[None, i]), z)


def test_the_chain_rule_collapses(tutorial: Tutorial) -> None:
    """dL/dZ = J dL/dA, with dL/dA = -Y / A, is A - Y, because each y sums to 1."""
    A, Y = tutorial.A[3], tutorial.Y
    J = softmax_jacobian(A)
    dZ = np.einsum("sij,sj->si", J, -Y / A)
    assert_close(dZ, A - Y, factor=ONE_PASS)
    _, d_logits = softmax_cross_entropy(tutorial.Z[3], Y)
    assert_close(tutorial.n * d_logits, A - Y, factor=ONE_PASS)


@by_layer
def test_dZ(level: int, tutorial: Tutorial) -> None:
    """A - Y behind softmax, dA s'(Z) behind the sigmoid; the mean comes with dW."""
    dZ = tutorial.dZ[level] / tutorial.n
    check_gradients(lambda z: (tutorial.loss(level, z), dZ), tutorial.Z[level])


@by_layer
def test_dW(level: int, tutorial: Tutorial) -> None:
    below, b = tutorial.A[level - 1], tutorial.b[level]
    check_gradients(
        lambda W: (tutorial.loss(level, below @ W.T + b), tutorial.dW[level]),
        tutorial.W[level],
    )


@by_layer
def test_db(level: int, tutorial: Tutorial) -> None:
    products = tutorial.A[level - 1] @ tutorial.W[level].T
    check_gradients(
        lambda b: (tutorial.loss(level, products + b), tutorial.db[level]),
        tutorial.b[level],
    )


@pytest.mark.parametrize("level", [1, 2])
def test_dA(level: int, tutorial: Tutorial) -> None:
    W, b = tutorial.W[level + 1], tutorial.b[level + 1]
    dA = tutorial.dA[level] / tutorial.n
    check_gradients(
        lambda A: (tutorial.loss(level + 1, A @ W.T + b), dA), tutorial.A[level]
    )


def test_xpnet_computes_the_same(tutorial: Tutorial) -> None:
    problem = tutorial.problem
    value, d_params = Objective(
        problem.network, softmax_cross_entropy
    ).value_and_gradient(problem.params, problem.X, problem.targets)
    assert_close(value, tutorial.loss(3, tutorial.Z[3]), factor=ONE_PASS)
    levels = range(1, tutorial.L + 1)
    desired = [(tutorial.dW[level].T, tutorial.db[level]) for level in levels]
    assert_close(d_params, problem.network.flatten(desired), factor=ONE_PASS)


# ------------------------------------------------------------------------- its figures


@pytest.fixture(scope="module")
def mnist() -> Mnist:
    mnist_or_give_up()
    return load_mnist()


def n_right(per_cent: float, n_samples: int) -> int:
    return round(per_cent / 100 * n_samples)


def check_rows(
    clf: MLPClassifier, X: np.ndarray, y: np.ndarray, tolerance: float
) -> list[int]:
    """Train, compare each row on the way, and return the rows that were met."""
    rows, wrong = [], {}
    for epoch in clf.iter_fit(X, y):
        iteration = epoch.n_iter - 1
        if iteration not in TABLE:
            continue
        rows.append(iteration)
        cost = epoch.loss / 10  # averaged over the classes as well
        desired = TABLE[iteration]
        n_found = n_right(100 * clf.score(X, y), 60_000)
        if abs(cost - desired.cost) > tolerance * desired.cost or n_found != n_right(
            desired.train_accuracy, 60_000
        ):
            wrong[iteration] = (cost, n_found / 600), tuple(desired)
    assert wrong == {}
    return rows


@pytest.mark.slow
def test_the_table_on_numpy(mnist: Mnist) -> None:
    X, y = mnist.X_train / 255, mnist.y_train
    clf = MLPClassifier(**SETTINGS)
    assert check_rows(clf, X, y, TUTORIAL_ON_NUMPY) == list(TABLE)
    assert clf.n_iter_ == 1000
    n_train = n_right(100 * clf.score(X, y), 60_000)
    assert n_train == n_right(FINAL_TRAIN_ACCURACY, 60_000)
    n_test = n_right(100 * clf.score(mnist.X_test / 255, mnist.y_test), 10_000)
    assert n_test == n_right(FINAL_TEST_ACCURACY, 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["strict", "torch", "jax", "cupy"], indirect=True)
def test_the_first_rows_elsewhere(backend: Backend, mnist: Mnist) -> None:
    X = backend.asarray(mnist.X_train / 255)
    clf = MLPClassifier(**(SETTINGS | {"max_iter": 101}))
    assert check_rows(clf, X, mnist.y_train, TUTORIAL_ELSEWHERE) == [0, 100]
