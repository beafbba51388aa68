"""The whole objective's gradient: every activation, every loss, sparse and weighted.

Central differences in float64, on NumPy; other backends are in ``test_gradients.py``.
The worst error, relative to the largest entry, is a property of each test in ``pytest
-o junit_family=xunit1 --junitxml=FILE``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse

from xpnet import losses
from xpnet.functional import ACTIVATIONS
from xpnet.losses import Loss
from xpnet.network import Network
from xpnet.testing import check_gradients, numerical_gradient
from xpnet.training import Objective

N_SAMPLES, N_FEATURES, N_HIDDEN = 8, 4, 5
TWO_SIZES = np.asarray([[0.4, -2.0], [-0.3, 1.7]])
"""Errors of both signs, on either side of where Huber's loss turns linear."""


def far_off(outputs: np.ndarray, n_targets: int) -> np.ndarray:
    """Return targets that no output is near: there some losses have kinks."""
    errors = np.resize(TWO_SIZES, (N_SAMPLES, n_targets))
    return outputs[:, :n_targets] - errors


class Case(NamedTuple):
    """A loss, a number of outputs, and targets that suit them."""

    function: Loss
    n_outputs: int
    targets: Callable[[np.ndarray], np.ndarray]


CASES = {
    "softmax": Case(
        losses.softmax_cross_entropy, 3, lambda _: np.eye(3)[np.arange(8) % 3]
    ),
    "sigmoid": Case(
        losses.sigmoid_cross_entropy, 2, lambda _: np.eye(2)[np.arange(8) % 2]
    ),
    "several classes": Case(
        partial(losses.multioutput_cross_entropy, n_classes=(2, 3)),
        5,
        lambda _: np.stack([np.arange(8) % 2, np.arange(8) % 3], axis=1),
    ),
    "squared": Case(losses.squared_error, 2, partial(far_off, n_targets=2)),
    "absolute": Case(losses.absolute_error, 2, partial(far_off, n_targets=2)),
    "huber": Case(losses.huber, 2, partial(far_off, n_targets=2)),
    "quantile": Case(
        partial(losses.quantile, level=0.8), 2, partial(far_off, n_targets=2)
    ),
    "poisson": Case(
        losses.poisson, 2, lambda _: np.resize([0.0, 1.0, 4.0], (N_SAMPLES, 2))
    ),
    "gaussian": Case(losses.gaussian_nll, 4, partial(far_off, n_targets=2)),
}


def test_no_loss_is_left_out() -> None:
    functions = {getattr(c.function, "func", c.function) for c in CASES.values()}
    named = {getattr(losses, name) for name in losses.__all__ if name != "Loss"}
    averages = {losses.average, losses.average_all, losses.total_weight}
    assert functions == named - averages


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_gradients(
    activation: str,
    name: str,
    sparse: bool,
    weighted: bool,
    rng: np.random.Generator,
    record_property: Callable[[str, object], None],
) -> None:
    loss, n_outputs, make_targets = CASES[name]
    network = Network.from_sizes([N_FEATURES, N_HIDDEN, n_outputs], [activation])
    X: Any = rng.normal(size=(N_SAMPLES, N_FEATURES))
    if sparse:
        X[rng.uniform(size=X.shape) < 0.4] = 0.0
    params = rng.normal(scale=0.5, size=network.n_params)
    (W, b), _ = network.views(params)
    b[...] = biases_between(X @ W)
    outputs = network.outputs(network.views(params), X)
    objective = Objective(network, loss, alpha=0.7)
    batch = scipy.sparse.csr_array(X) if sparse else X
    targets = make_targets(outputs)
    weights = rng.uniform(size=N_SAMPLES) if weighted else None

    def value_and_gradient(params: np.ndarray) -> tuple[Any, np.ndarray]:
        return objective.value_and_gradient(params, batch, targets, weights=weights)

    check_gradients(value_and_gradient, params)
    numeric = numerical_gradient(lambda x: value_and_gradient(x)[0], params)
    error = np.abs(value_and_gradient(params)[1] - numeric)
    record_property("error", float(np.max(error) / np.max(np.abs(numeric))))


def biases_between(Z: np.ndarray) -> np.ndarray:
    """Return biases that keep every unit from 0, where some activations have kinks."""
    ordered = np.sort(Z, axis=0)
    widest = np.argmax(np.diff(ordered, axis=0), axis=0)
    columns = np.arange(Z.shape[1])
    middle = (ordered[widest, columns] + ordered[widest + 1, columns]) / 2
    return -middle
