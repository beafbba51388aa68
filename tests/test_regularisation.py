"""Dropout, normalisation, penalties and limits, smoothed and mixed targets."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from problems import WRITING, Problem
from test_gradient_grid import biases_between
from tolerances import EXACT, FITTED, ONE_PASS, ROUNDING, SIGMAS, TEN_STEPS

from xpnet import Backend, MLPClassifier, MLPRegressor
from xpnet._namespace import to_numpy
from xpnet._parameters import make_optimizer
from xpnet._preparation import prepare
from xpnet.exceptions import DataError
from xpnet.functional import (
    ACTIVATIONS,
    dropout,
    keep_mask,
    smooth_labels,
    standardize,
    standardize_backward,
)
from xpnet.losses import softmax_cross_entropy
from xpnet.network import Dense, Network
from xpnet.persistence import load, save
from xpnet.testing import assert_close, check_gradients
from xpnet.training import Data, Mixup, Objective
from xpnet.training.noise import Draws, Numbers, StepNoise

OPTIONS: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": [0.2, 0.5]},
    "input_dropout": {"input_dropout": 0.3},
    "layer": {"normalization": "layer"},
    "batch": {"normalization": "batch"},
    "label_smoothing": {"label_smoothing": 0.1},
    "l1": {"l1": 0.1},
    "max_norm": {"max_norm": 0.5},
    "mixup": {"mixup": 0.4},
    "all": {
        "dropout": 0.2,
        "input_dropout": 0.1,
        "normalization": "batch",
        "label_smoothing": 0.1,
        "l1": 0.01,
        "max_norm": 1.0,
        "mixup": 0.2,
    },
}
"""Each alone, and all together."""

each_option = pytest.mark.parametrize("name", OPTIONS)


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(50, 4))


@pytest.fixture
def y(X: np.ndarray) -> np.ndarray:
    return np.argmax(X[:, :3] + X[:, 1:4], axis=1)


def classifier(**options: Any) -> MLPClassifier:
    settings = {
        "hidden_layer_sizes": (8, 6),
        "activation": "tanh",
        "batch_size": 16,
        "learning_rate_init": 0.02,
        "max_iter": 3,
        "random_state": 3,
        "tol": 0.0,
        "n_iter_no_change": np.inf,
    }
    return MLPClassifier(**settings | options)


def fit(estimator: Any, *args: Any, **named: Any) -> Any:
    for _ in estimator.iter_fit(*args, **named):
        pass
    return estimator


# ------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("hinted", [False, True])
def test_dropout_is_its_mask(
    rate: float, hinted: bool, backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    """Bit by bit, on every backend, with keys that are numbers or arrays."""
    host = rng.normal(size=(50, 20)).astype(dtype)
    counter = np.arange(1000, dtype=np.int32).reshape(50, 20)
    desired = host * keep_mask(counter, -77, 123456789, rate, np.dtype(dtype))
    for key in (-77, np.asarray(-77, np.int32)):
        there = backend.asarray(host, copy=True)
        key_0 = key if isinstance(key, int) else backend.asarray(key)
        hint = {"out": there} if hinted and backend.name in WRITING else {}
        actual = dropout(there, key_0, 123456789, rate, **hint)
        np.testing.assert_array_equal(to_numpy(actual), desired)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_sparse_features_are_dropped_alike(
    kind: Callable[..., Any], rng: np.random.Generator
) -> None:
    dense = rng.normal(size=(30, 20)) * (rng.uniform(size=(30, 20)) < 0.3)
    thinned = dropout(kind(dense), 5, 7, 0.4)
    np.testing.assert_array_equal(thinned.toarray(), dropout(dense, 5, 7, 0.4))


def test_layers_and_steps_have_masks_of_their_own() -> None:
    """No two are correlated; and those of a step depend on seed and number alone."""
    network = Network.from_sizes([256] * 4, ["identity"] * 2, dropout=[0.5] * 3)
    ones, unit = np.ones((64, 256)), np.eye(256)
    masks = []

    class Watched(Dense):
        def forward(self, X: Any, *pieces: Any, **named: Any) -> Any:
            masks.append(dropout(ones, *named["keys"], self.dropout))
            return super().forward(X, *pieces, **named)

    watched = Network(
        tuple(
            Watched(layer.fan_in, layer.fan_out, dropout=0.5)
            for layer in network.layers
        )
    )
    draws = Draws.make(3, 1, 4, 1, "float64", masks=True, mixup=None)
    for key in draws.keys:
        watched.forward([(unit, ones[0])] * 3, ones, key=key)
    x = np.stack([mask.ravel() for mask in masks])
    z = np.corrcoef(x)[np.triu_indices(len(x), k=1)] * np.sqrt(ones.size)
    assert np.abs(z).max() < SIGMAS
    later = Draws.make(3, 3, 2, 1, "float64", masks=True, mixup=None)
    np.testing.assert_array_equal(later.keys, draws.keys[2:])
    other = Draws.make(4, 1, 4, 1, "float64", masks=True, mixup=None)
    assert not np.any(other.keys == draws.keys)


def test_nothing_is_dropped_in_predictions(X: np.ndarray, y: np.ndarray) -> None:
    clf = fit(classifier(dropout=0.5, input_dropout=0.5), X, y)
    A = X
    for W, b in zip(clf.coefs_[:-1], clf.intercepts_[:-1], strict=True):
        A = np.tanh(A @ W + b)
    logits = A @ clf.coefs_[-1] + clf.intercepts_[-1]
    assert_close(clf.decision_function(X), logits, factor=ONE_PASS)


# --------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("axis", [0, 1])
def test_standardize(axis: int, backend: Backend, rng: np.random.Generator) -> None:
    Z, dN = (backend.asarray(x) for x in rng.normal(size=(2, 5, 4)))

    def value_and_gradient(Z: Any) -> tuple[Any, Any]:
        N, scale = standardize(Z, axis=axis)
        dZ = standardize_backward(dN, N, scale, axis=axis)
        return backend.xp.sum(N * dN), dZ

    check_gradients(value_and_gradient, Z)
    N, _ = standardize(Z, axis=axis)
    assert np.abs(to_numpy(N).mean(axis=axis)).max() < ROUNDING["rtol"]


def regularised(
    rng: np.random.Generator, activation: str, **options: Any
) -> tuple[Problem, Objective]:
    """A problem whose units stay away from the corners of their activations."""
    problem = Problem.draw(rng, (5, 3), activation)
    penalties = {name: options.pop(name) for name in ("l1",) if name in options}
    network = Network.from_sizes([4, 5, 3, 3], [activation] * 2, **options)
    params = rng.normal(size=network.n_params)
    W = params[: network.n_weights]
    W[np.abs(W) < 0.1] = 0.3  # from the corner of |W| too
    params[network.n_params - 8 :] = rng.uniform(0.5, 1.5, 8)  # gains, if there are any
    layers = network.views(params)
    A, key = problem.X, 99
    for depth, (layer, pieces) in enumerate(zip(network.layers, layers, strict=True)):
        plain = replace(layer, activation="identity")
        pieces[1][...] = 0.0
        head = Network((*network.layers[:depth], plain))
        A, _ = head.forward(layers[: depth + 1], problem.X, key=key)
        pieces[1][...] = biases_between(A)
    objective = Objective(network, softmax_cross_entropy, 0.7, **penalties)
    return replace(problem, network=network, params=params), objective


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "options",
    [
        {"dropout": [0.2, 0.5, 0.5]},
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"normalization": "batch", "dropout": [0.2, 0.0, 0.5], "l1": 0.3},
    ],
    ids=["dropout", "layer", "batch", "all"],
)
def test_gradients(
    options: dict[str, Any],
    activation: str,
    backend: Backend,
    rng: np.random.Generator,
) -> None:
    problem, objective = regularised(rng, activation, **options)
    here = problem.on(backend)
    weights = backend.asarray(rng.uniform(size=8)) if "l1" in options else None
    key = backend.asarray(np.asarray(99, np.int32))

    def value_and_gradient(params: Any) -> tuple[Any, Any]:
        return objective.value_and_gradient(
            params, here.X, here.targets, weights=weights, key=key
        )

    check_gradients(value_and_gradient, here.params)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_buffers_change_no_number(
    activation: str,
    normalization: str | None,
    backend: Backend,
    dtype: str,
    rng: np.random.Generator,
) -> None:
    options = {"normalization": normalization, "dropout": [0.2, 0.5, 0.0], "l1": 0.3}
    problem, objective = regularised(rng, activation, **options)
    here = problem.on(backend, dtype)
    buffers = here.network.buffers(here.params, 8)
    key = backend.asarray(np.asarray(99, np.int32))
    args = here.params, here.X, here.targets
    value, d_params = objective.value_and_gradient(*args, key=key)
    for _ in range(2):  # the second time over what the first has left there
        actual = objective.value_and_gradient(*args, buffers, key=key)
        assert actual[1] is buffers.d_params
        assert_close(actual[0], value, factor=ONE_PASS)
        assert_close(actual[1], d_params, factor=ONE_PASS)
    assert_close(here.X, problem.on(backend, dtype).X, factor=EXACT)


@pytest.mark.parametrize("backend", ["jax"], indirect=True)
@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_jax_finds_the_gradient_that_is_written_out(
    normalization: str, backend: Backend, rng: np.random.Generator
) -> None:
    jax = pytest.importorskip("jax")
    options = {"normalization": normalization, "dropout": [0.2, 0.0, 0.5]}
    problem, objective = regularised(rng, "tanh", **options)
    here, key = problem.on(backend), np.int32(99)

    def both(params: Any) -> tuple[Any, Any]:
        return objective.value_and_gradient(params, here.X, here.targets, key=key)

    _, d_params = jax.jit(both)(here.params)
    desired = jax.grad(lambda params: both(params)[0])(here.params)
    assert_close(d_params, desired, factor=TEN_STEPS)


# ------------------------------------------------------------------------ normalisation


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_torchs_layers(kind: str, dtype: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    arrays = rng.normal(size=(7, 5)), rng.normal(size=(5, 6)), rng.normal(size=(3, 6))
    X, W, (b, gain, dA_row) = (x.astype(dtype) for x in arrays)
    dA = np.broadcast_to(dA_row, (7, 6)) * X[:, :1]
    layer = Dense(5, 6, "tanh", kind)
    A, backward = layer.forward(X, W, b, gain)
    dX, (dW, db, d_gain) = backward(dA)

    norm = torch.nn.LayerNorm(6) if kind == "layer" else torch.nn.BatchNorm1d(6)
    norm = norm.to(getattr(torch, dtype))
    with torch.no_grad():
        norm.weight[...], norm.bias[...] = torch.asarray(gain), torch.asarray(b)
    tX, tW = (torch.tensor(x, requires_grad=True) for x in (X, W))
    tA = torch.tanh(norm(tX @ tW))
    tA.backward(torch.tensor(dA))
    for actual, desired in [
        (A, tA.detach()),
        (dX, tX.grad),
        (dW, tW.grad),
        (db, norm.bias.grad),
        (d_gain, norm.weight.grad),
    ]:
        assert_close(actual, desired.numpy(), factor=TEN_STEPS)

    # And with statistics, as in predictions.
    if kind == "batch":
        mean, variance = layer.statistics(X, W)
        with torch.no_grad():
            norm.running_mean[...] = torch.asarray(mean)
            norm.running_var[...] = torch.asarray(variance)
            predicted = torch.tanh(norm.eval()(tX @ tW))
        actual, _ = layer.forward(X, W, b, gain, mean, variance)
        assert_close(actual, predicted.numpy(), factor=TEN_STEPS)
        assert_close(actual, A, factor=TEN_STEPS)  # of the batch that they are of


def test_statistics_are_those_of_the_training_data(
    X: np.ndarray, y: np.ndarray
) -> None:
    """Of all of it, layer by layer, with the weights as they are after each epoch."""
    clf = classifier(normalization="batch", batch_size=7)
    for _ in clf.iter_fit(X, y):
        A = X
        for k in range(2):
            Z = A @ clf.coefs_[k]
            assert_close(clf.means_[k], Z.mean(axis=0), factor=TEN_STEPS)
            assert_close(clf.variances_[k], Z.var(axis=0), factor=TEN_STEPS)
            N = (Z - Z.mean(axis=0)) / np.sqrt(Z.var(axis=0) + 1e-5)
            A = np.tanh(clf.gains_[k] * N + clf.intercepts_[k])
        logits = A @ clf.coefs_[2] + clf.intercepts_[2]
        assert_close(clf.decision_function(X), logits, factor=TEN_STEPS)


def test_statistics_leave_out_what_is_held_out(X: np.ndarray, y: np.ndarray) -> None:
    clf = classifier(
        normalization="batch", early_stopping=True, hidden_layer_sizes=(8,)
    )
    run = prepare(copy.deepcopy(clf), X, y, None)
    fit(clf, X, y)
    Z = X[run.rows] @ clf.coefs_[0]
    assert run.rows.size == 45
    assert_close(clf.means_[0], Z.mean(axis=0), factor=TEN_STEPS)


def test_a_sample_stands_for_many(rng: np.random.Generator) -> None:
    X = np.linspace(0.0, 1.0, 20_001)[:, None] * np.ones((1, 2))
    clf = classifier(
        normalization="batch", max_iter=1, batch_size=4000, hidden_layer_sizes=(3,)
    )
    run = prepare(clf, X, rng.integers(2, size=20_001), None)
    assert run.sample.shape == (2**13, 2)
    assert run.sample[0, 0] == 0.0
    assert run.sample[-1, 0] == 1.0


def test_gains_begin_at_one_and_learn(X: np.ndarray, y: np.ndarray) -> None:
    clf = classifier(normalization="layer")
    prepare(clf, X, y, None)
    plain = classifier()
    prepare(plain, X, y, None)
    assert [gain.tolist() for gain in clf.gains_] == [[1.0] * 8, [1.0] * 6]
    for a, d in zip(clf.coefs_, plain.coefs_, strict=True):  # the same first weights
        assert_close(a, d, factor=EXACT)
    fit(clf, X, y)
    assert all(np.all(gain != 1.0) for gain in clf.gains_)
    assert not hasattr(clf, "means_")
    assert not hasattr(fit(clf.set_params(normalization=None), X, y), "gains_")


def test_predictions_remember_what_was_fitted(X: np.ndarray, y: np.ndarray) -> None:
    clf = fit(classifier(normalization="batch"), X, y)
    before = clf.predict_proba(X)
    clf.set_params(normalization=None, warm_start=True)
    assert_close(clf.predict_proba(X), before, factor=EXACT)
    with pytest.raises(DataError, match=r"normalization='batch'.*ask for None"):
        clf.fit(X, y)


# --------------------------------------------------------------- targets and penalties


@pytest.mark.parametrize("weighted", [False, True])
def test_torchs_label_smoothing(weighted: bool, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    logits, codes = rng.normal(size=(9, 4)), rng.integers(4, size=9)
    weights = rng.uniform(size=9) if weighted else None
    clf = MLPClassifier(label_smoothing=0.3)
    clf._learn_targets(np.arange(4))
    value, d_logits = clf._loss(None)(logits, codes, weights)
    theirs = torch.tensor(logits, requires_grad=True)
    losses = torch.nn.CrossEntropyLoss(label_smoothing=0.3, reduction="none")(
        theirs, torch.tensor(codes)
    )
    share = np.full(9, 1 / 9) if weights is None else weights / weights.sum()
    desired = (losses * torch.tensor(share)).sum()
    desired.backward()
    np.testing.assert_allclose(value, desired.item(), **ROUNDING)
    np.testing.assert_allclose(d_logits, theirs.grad.numpy(), **ROUNDING)


def test_smoothed_labels_of_every_kind(
    backend: Backend, rng: np.random.Generator
) -> None:
    """A sigmoid moves towards a half, and each output's softmax towards its own share."""
    for y, n, desired in [
        (np.arange(6) % 2, 1, np.asarray([[0.1], [0.9]] * 3)),
        (
            np.eye(2, dtype=int)[np.arange(6) % 2],
            2,
            np.asarray([[0.9, 0.1], [0.1, 0.9]] * 3),
        ),
        (
            np.stack([np.arange(6) % 2, np.arange(6) % 3], axis=1),
            5,
            np.concatenate(
                [
                    smooth_labels(np.eye(2), 0.2, 2)[np.arange(6) % 2],
                    smooth_labels(np.eye(3), 0.2, 3)[np.arange(6) % 3],
                ],
                axis=1,
            ),
        ),
    ]:
        clf = MLPClassifier(label_smoothing=0.2)
        clf._learn_targets(y)
        outputs = backend.asarray(rng.normal(size=(6, n)))
        codes = backend.asarray(clf._encode(y))
        loss = clf._loss(None)
        value, d_outputs = loss(outputs, codes)
        soft = clf._soften(codes, outputs.dtype)  # what mixup mixes
        again, _ = loss(outputs, soft)
        assert_close(again, value, factor=EXACT)
        check_gradients(lambda Z, f=loss, c=codes: f(Z, c), outputs)
        probs = to_numpy(d_outputs) * 6 + desired  # from (A - Y) / n
        blocks = [probs[:, :2], probs[:, 2:]] if n == 5 else []
        for block in blocks:
            np.testing.assert_allclose(block.sum(axis=1), 1.0, **ROUNDING)
        if n != 5:
            logistic = 1.0 / (1.0 + np.exp(-to_numpy(outputs)))
            np.testing.assert_allclose(probs, logistic, **ROUNDING)


def test_l1_makes_weights_small_and_leaves_biases(X: np.ndarray, y: np.ndarray) -> None:
    def of(l1: float) -> MLPClassifier:
        return fit(classifier(l1=l1, max_iter=200, alpha=0.0), X, y)

    sizes = [sum(np.abs(W).sum() for W in of(l1).coefs_) for l1 in (0.0, 0.1, 1.0)]
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2]
    problem = Problem.draw(np.random.default_rng(1), (5,))
    objective = Objective(problem.network, softmax_cross_entropy, l1=0.8)
    problem.params[3] = 0.0
    plain = Objective(problem.network, softmax_cross_entropy)
    args = problem.params, problem.X, problem.targets
    (value, d), (value_0, d_0) = (
        f.value_and_gradient(*args) for f in (objective, plain)
    )
    n = problem.network.n_weights
    size = np.abs(problem.params[:n]).sum()
    np.testing.assert_allclose(value, value_0 + 0.1 * size, **ROUNDING)
    np.testing.assert_allclose(d[:n] - d_0[:n], 0.1 * np.sign(problem.params[:n]))
    np.testing.assert_array_equal(d[n:], d_0[n:])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_norms_are_limited(
    solver: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = classifier(max_norm=0.75, solver=solver, learning_rate_init=0.1)
    fit(clf, backend.asarray(X), y)
    *hidden, last = (np.linalg.norm(to_numpy(W), axis=0) for W in clf.coefs_)
    norms = np.concatenate(hidden)
    assert np.all(norms <= 0.75 * (1 + ROUNDING["rtol"]))
    assert np.isclose(norms.max(), 0.75)
    assert last.max() > 0.75


def test_short_weights_are_left_alone(X: np.ndarray, y: np.ndarray) -> None:
    limited, free = (fit(classifier(max_norm=c), X, y) for c in (1e6, None))
    for a, d in zip(limited.coefs_, free.coefs_, strict=True):
        assert_close(a, d, factor=EXACT)


# ------------------------------------------------------------------------------- mixup


@pytest.mark.parametrize("weighted", [False, True])
def test_mixtures(
    weighted: bool, backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    """The shares of two samples are those of their weights in the mixture's."""
    x, y, w = rng.normal(size=(4, 3)), rng.normal(size=(4, 2)), rng.uniform(size=4)
    partners = np.asarray([2, 0, 3, 1], np.int32)
    number = backend.asarray(np.asarray(0.75), dtype)
    noise = StepNoise(None, number, backend.asarray(partners))
    mixup = Mixup(1.0, lambda targets, dtype: targets)  # noqa: ARG005
    given = [backend.asarray(each, dtype) for each in (x, y, w)]
    mixed = mixup.mix(Data(*given) if weighted else Data(*given[:2]), noise)
    share = np.full((4, 1), 0.75)
    if weighted:
        weights = 0.75 * w + 0.25 * w[partners]
        share = (0.75 * w / weights)[:, None]
        desired = backend.asarray(weights, dtype)
        assert_close(mixed.weights, desired, factor=ONE_PASS)
    else:
        assert mixed.weights is None
    for actual, each in zip(mixed[:2], (x, y), strict=True):
        desired = backend.asarray(share * each + (1.0 - share) * each[partners], dtype)
        assert_close(actual, desired, factor=ONE_PASS)


def test_shares_are_of_beta_and_partners_permute() -> None:
    mixup = Mixup(0.4, lambda targets, dtype: targets)  # noqa: ARG005
    draws = Draws.make(7, 1, 5000 * 3 - 1, 3, "float64", masks=False, mixup=mixup)
    shares = np.asarray(draws.shares)
    variance = 1 / (4 * (2 * 0.4 + 1))  # of Beta(a, a)
    assert abs(shares.mean() - 0.5) < SIGMAS * np.sqrt(variance / 5000)
    assert abs(shares.var() / variance - 1.0) < SIGMAS * np.sqrt(2 / 5000)
    for i in (0, 1, 4999):
        partners = draws.partners[3 * i : 3 * i + 3]
        assert sorted(partners) == list(range(2 if i == 4999 else 3))
    later = Draws.make(7, 3, 6, 3, "float64", masks=False, mixup=mixup)
    np.testing.assert_array_equal(later.shares, shares[2:4])
    np.testing.assert_array_equal(later.partners, draws.partners[6:12])


def test_a_regressor_mixes_numbers(X: np.ndarray) -> None:
    """A step of mixup is one on mixtures that were made by hand."""
    target = X @ np.asarray([1.0, -1.0, 0.5, 2.0])
    settings = {"hidden_layer_sizes": (5,), "solver": "sgd", "momentum": 0.0}
    settings |= {"max_iter": 1, "random_state": 0, "alpha": 0.0}
    mixed = MLPRegressor(mixup=0.5, **settings)
    run = prepare(copy.deepcopy(mixed), X, target, None)
    draws = run.objective.draws(run.progress.seed, 1, 50, 50, "float64")
    (share,), partners = draws.shares, draws.partners
    fit(mixed, X, target)
    by_hand = MLPRegressor(**settings)
    fit(
        by_hand,
        share * X + (1 - share) * X[partners],
        share * target + (1 - share) * target[partners],
    )
    for a, d in zip(mixed.coefs_, by_hand.coefs_, strict=True):
        assert_close(a, d, factor=TEN_STEPS)


# -------------------------------------------------------------------------- estimators


@each_option
@pytest.mark.parametrize("compiled", [None, False])
def test_the_same_training_everywhere(
    name: str,
    compiled: bool | None,
    backend: Backend,
    X: np.ndarray,
    y: np.ndarray,
) -> None:
    weights = np.linspace(0.5, 2.0, 50)
    here, there = (
        fit(classifier(compiled=compiled, **OPTIONS[name]), data, y, weights)
        for data in (X, backend.asarray(X))
    )
    assert there.loss_ == pytest.approx(here.loss_)
    for attribute in ("coefs_", "intercepts_", "gains_", "means_", "variances_"):
        pairs = zip(
            getattr(there, attribute, []), getattr(here, attribute, []), strict=True
        )
        for a, d in pairs:
            assert_close(a, backend.asarray(d), factor=FITTED)
    proba = there.predict_proba(backend.asarray(X))
    assert_close(proba, backend.asarray(here.predict_proba(X)), factor=FITTED)


@each_option
def test_training_goes_on_as_it_would_have(
    name: str, X: np.ndarray, y: np.ndarray
) -> None:
    at_once = fit(classifier(**OPTIONS[name]), X, y)
    in_parts = classifier(**OPTIONS[name])
    for _ in range(3):
        in_parts.partial_fit(X, y, classes=[0, 1, 2])
    again = classifier(warm_start=True, max_iter=1, **OPTIONS[name])
    fit(again, X, y)
    fit(again.set_params(max_iter=2), X, y)
    for other in (in_parts, again):
        for a, d in zip(other.coefs_, at_once.coefs_, strict=True):
            assert_close(a, d, factor=EXACT)
        assert_close(other.predict_proba(X), at_once.predict_proba(X), factor=EXACT)


@each_option
def test_off_is_as_before(name: str, X: np.ndarray, y: np.ndarray) -> None:
    """And on, each does something; the same seed does the same."""
    plain, on, twin = (
        fit(classifier(**options), X, y).coefs_[0]
        for options in ({}, OPTIONS[name], OPTIONS[name])
    )
    assert_close(on, twin, factor=EXACT)
    assert not np.array_equal(plain, on)


@each_option
def test_copies_files_and_pickles(
    name: str, X: np.ndarray, y: np.ndarray, tmp_path: Any
) -> None:
    clf = fit(classifier(**OPTIONS[name]), X, y)
    save(clf, tmp_path / "model")
    desired = clf.predict_proba(X)
    for other in (
        load(tmp_path / "model"),
        pickle.loads(pickle.dumps(clf)),
        copy.deepcopy(clf).to("strict:device1").to("numpy"),
    ):
        assert other.get_params() == clf.get_params() | {"backend": None}
        assert_close(other.predict_proba(X), desired, factor=EXACT)
        other.partial_fit(X, y)
        assert not np.array_equal(other.predict_proba(X), desired)


def test_a_file_whose_gains_do_not_fit(
    X: np.ndarray, y: np.ndarray, tmp_path: Any
) -> None:
    clf = fit(classifier(normalization="layer"), X, y)
    clf.gains_ = clf.gains_[:1]
    save(clf, tmp_path / "model")
    with pytest.raises(ValueError, match="gains_ has shape"):
        load(tmp_path / "model")


def test_sparse_features(X: np.ndarray, y: np.ndarray) -> None:
    X = X * (np.abs(X) > 0.5)
    dense, sparse = (
        fit(classifier(**OPTIONS["all"]), data, y)
        for data in (X, scipy.sparse.csr_array(X))
    )
    for a, d in zip(sparse.coefs_, dense.coefs_, strict=True):
        assert_close(a, d, factor=FITTED)


def test_early_stopping_keeps_the_best_statistics(X: np.ndarray, y: np.ndarray) -> None:
    clf = classifier(
        normalization="batch", early_stopping=True, max_iter=30, n_iter_no_change=30
    )
    run = prepare(copy.deepcopy(clf), X, y, None)
    fit(clf, X, y)
    held = np.setdiff1d(np.arange(50), run.rows)
    assert clf.score(X[held], y[held]) == clf.best_validation_score_


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.5},
        {"dropout": [0.0, 0.1]},
        {"input_dropout": 0.1},
        {"normalization": "batch"},
        {"max_norm": 1.0},
        {"mixup": 1.0},
    ],
    ids=str,
)
def test_lbfgs_refuses_what_changes_from_step_to_step(
    options: dict[str, Any], X: np.ndarray, y: np.ndarray
) -> None:
    (name,) = options
    with pytest.raises(DataError, match=f"solver='lbfgs'.*{name}=.*choose"):
        classifier(solver="lbfgs", **options).fit(X, y)


@pytest.mark.filterwarnings("ignore:lbfgs")
@pytest.mark.filterwarnings("ignore:solver")
def test_lbfgs_takes_the_rest(X: np.ndarray, y: np.ndarray) -> None:
    clf = classifier(solver="lbfgs", normalization="layer", label_smoothing=0.1)
    clf.set_params(max_iter=30, dropout=[0.0, 0.0], batch_size="auto").fit(X, y)
    assert clf.score(X, y) > 0.95


def test_a_step_reads_nothing(
    sync_guard: Any, X: np.ndarray, y: np.ndarray, backend: Backend
) -> None:
    from xpnet.training.coefficients import host_coefficients  # noqa: PLC0415
    from xpnet.training.steps import make_steps  # noqa: PLC0415

    clf = classifier(**OPTIONS["all"])
    run = prepare(clf, backend.asarray(X, copy=True), y, None)
    progress = run.progress
    optimizer = make_optimizer(clf, run.objective.network)
    steps = make_steps(
        run.objective,
        optimizer,
        run.data,
        progress.params,
        progress.optimizer_state,
        16,
    )
    coefficients = host_coefficients(optimizer, 0.1, 1, 4, progress.params)
    draws = run.objective.draws(progress.seed, 1, 50, 16, "float64")
    order = np.arange(50, dtype=np.int32)
    order, numbers = steps.bring(order, Numbers(coefficients, *draws))
    total = backend.asarray(np.zeros(()))
    with sync_guard():
        for i in range(4):
            start, stop = 16 * i, min(16 * i + 16, 50)
            these = numbers.between(i, i + 1, start, stop)
            total = steps.take(total, order[start:stop], these, stop - start)
    assert np.isfinite(float(total))


def test_no_step_has_the_draws_of_another(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are counted through: epochs, calls of partial_fit, and warm starts."""
    asked: list[tuple[int, int]] = []
    draws = Objective.draws

    def watched(self: Objective, seed: int, t: int, *args: Any) -> Any:
        asked.append((seed, t))
        return draws(self, seed, t, *args)

    monkeypatch.setattr(Objective, "draws", watched)
    clf = fit(classifier(dropout=0.5, warm_start=True, max_iter=2), X, y)
    clf.partial_fit(X, y)
    fit(clf, X, y)
    seeds, numbers = zip(*asked, strict=True)
    assert numbers == (1, 5, 9, 13, 17)  # four steps each
    assert len(set(seeds)) == 1
    fit(classifier(dropout=0.5, random_state=4), X, y)
    assert asked[-1][0] not in (None, seeds[0])  # it is drawn from random_state


@pytest.mark.parametrize("kind", ["layer", "batch"])
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"], indirect=True)
def test_predictions_block_by_block(
    kind: str, backend: Backend, rng: np.random.Generator
) -> None:
    network = Network.from_sizes([2, 8, 3, 2], ["relu", "gelu"], normalization=kind)
    params = backend.asarray(rng.normal(size=network.n_params))
    X = backend.asarray(rng.normal(size=(2**15 + 100, 2)))
    layers = network.views(params)
    statistics = network.statistics(layers, X)
    layers = [(*a, *b) for a, b in zip(layers, statistics, strict=True)]
    desired, _ = network.forward(layers, X)
    assert_close(network.outputs(layers, X), desired, factor=ONE_PASS)


def test_what_weighs_nothing_has_no_part_in_a_mixture(
    backend: Backend, rng: np.random.Generator
) -> None:
    x, y, other = rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), 100.0
    w = np.asarray([1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 3.0, 0.0])
    mixup = Mixup(1.0, lambda targets, dtype: targets)  # noqa: ARG005
    partners = np.asarray([1, 0, 4, 5, 6, 7, 2, 3], np.int32)
    noise = StepNoise(
        None, backend.asarray(np.asarray(0.25)), backend.asarray(partners)
    )
    results = []
    for excluded in (0.0, other):
        data = Data(
            *(backend.asarray(a + excluded * (w == 0)[:, None]) for a in (x, y))
        )
        results.append(mixup.mix(data._replace(weights=backend.asarray(w)), noise))
    weights = 0.25 * w + 0.75 * w[partners]
    assert_close(results[0].weights, backend.asarray(weights), factor=ONE_PASS)
    counts = weights > 0.0
    for a, b in zip(results[0][:2], results[1][:2], strict=True):
        np.testing.assert_array_equal(to_numpy(a)[counts], to_numpy(b)[counts])
    share = 0.25 * w[2] / weights[2]
    desired = share * x[2] + (1.0 - share) * x[4]
    assert_close(results[0].X[2, :], backend.asarray(desired), factor=ONE_PASS)


def test_muon_refuses_a_momentum_that_forgets_the_gradient(
    X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(DataError, match="momentum must be below 1"):
        classifier(solver="muon", momentum=1.0).fit(X, y)


def test_an_interrupted_epoch_has_statistics_of_its_weights(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xpnet.training import steps  # noqa: PLC0415

    taken, plain = [], steps._FlatSteps.take

    def take(self: Any, *args: Any) -> Any:
        total = plain(self, *args)
        taken.append(1)
        if len(taken) == 3:
            raise KeyboardInterrupt
        return total

    monkeypatch.setattr(steps._FlatSteps, "take", take)
    clf = classifier(normalization="batch", batch_size=10, learning_rate_init=0.1)
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(X, y)
    Z = X @ clf.coefs_[0]
    np.testing.assert_allclose(clf.means_[0], Z.mean(axis=0))
