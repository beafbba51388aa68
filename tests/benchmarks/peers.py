"""The contestants' code: each library as its users write it, and write it well.

A builder returns a trainer for a network. What it compiles lives as long as the trainer;
weights and optimisers are new in every fit. Libraries are imported where they are used,
since each contestant has a process of its own.
"""
# ruff: noqa: PLC0415

import functools
import math
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits


class Net(NamedTuple):
    """A network and the batches it is trained on."""

    sizes: tuple[int, ...]
    batch_size: int


class Fitted(NamedTuple):
    """What a fit leaves."""

    loss: float | None
    """Of the last epoch: shows that all train the same."""
    predict: Callable[[Any], np.ndarray] | None
    """Samples to classes, which end on the host."""


class Trainer(NamedTuple):
    """How a contestant trains a network."""

    to_own: Callable[[np.ndarray], Any]
    """Moves an array to where it is trained on, before the clock starts."""
    fit: Callable[[Any, Any, int, int], Fitted]
    """Takes X, y, the number of epochs and a seed."""


LEARNING_RATE = 1e-3


# --------------------------------------------------------------------------- estimators


def _estimator(estimator: Any, net: Net, to_own: Any, to_host: Any) -> Trainer:
    def fit(X: Any, y: Any, epochs: int, seed: int) -> Fitted:
        classifier = estimator(
            net.sizes[1:-1],
            batch_size=net.batch_size,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=math.inf,  # all train to the last epoch
            random_state=seed,
        )
        with warnings.catch_warnings(action="ignore"):  # that it could go on
            warnings.filterwarnings("error", "The training step can't be compiled")
            classifier.fit(X, y)
        return Fitted(classifier.loss_, lambda X: to_host(classifier.predict(X)))

    return Trainer(to_own, fit)


def build_sklearn(net: Net, device: str) -> Trainer:  # noqa: ARG001
    from sklearn.neural_network import MLPClassifier

    return _estimator(MLPClassifier, net, np.asarray, np.asarray)


def build_xpnet(
    net: Net,
    device: str,
    *,
    library: str,
    compiled: bool | None = None,
    fused: bool = True,
) -> Trainer:
    from xpnet import MLPClassifier, _pointwise, get_backend

    if not fused:  # the process is this contestant's own

        def as_array_code(function: Any, args: Any, out: Any, _: int) -> Any:
            return function(*args) if out is None else function(*args, out=out)

        _pointwise._on_cupy = as_array_code
    estimator = functools.partial(MLPClassifier, compiled=compiled)
    name = f"{library}:{device}" if library in ("torch", "jax") else library
    to_host = get_backend("numpy").asarray
    return _estimator(estimator, net, get_backend(name).asarray, to_host)


# -------------------------------------------------------------------------------- torch


def _torch_model(net: Net) -> Any:
    import torch

    layers: list[Any] = []
    for fan_in, fan_out in pairwise(net.sizes):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def build_torch(
    net: Net, device: str, *, fused: bool = False, mode: str | None = None
) -> Trainer:
    import torch

    model = _torch_model(net).to(device)
    criterion = torch.nn.CrossEntropyLoss()

    def loss_of(X: Any, y: Any) -> Any:
        return criterion(model(X), y)

    if mode is not None:  # one kernel for full batches, one for the last
        loss_of = torch.compile(loss_of, mode=mode, dynamic=False)

    def fit(X: Any, y: Any, epochs: int, seed: int) -> Fitted:
        torch.manual_seed(seed)
        for layer in model[::2]:
            layer.reset_parameters()
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=fused)
        loss = math.nan
        for _ in range(epochs):
            total = torch.zeros((), device=device)
            order = torch.randperm(len(X), device=device)
            for batch in order.split(net.batch_size):
                optimizer.zero_grad()
                value = loss_of(X[batch], y[batch])
                value.backward()
                optimizer.step()
                total += value.detach() * len(batch)
            loss = float(total) / len(X)
        return Fitted(loss, predict)

    @torch.inference_mode()
    def predict(X: Any) -> np.ndarray:
        return model(X).argmax(1).cpu().numpy()

    return Trainer(lambda x: torch.from_numpy(x).to(device), fit)


def build_skorch(net: Net, device: str) -> Trainer:
    import torch
    from skorch import NeuralNetClassifier

    def fit(X: Any, y: Any, epochs: int, seed: int) -> Fitted:
        torch.manual_seed(seed)
        classifier = NeuralNetClassifier(
            _torch_model(net),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=net.batch_size,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            device=device,
        )
        classifier.fit(X, y)
        return Fitted(classifier.history[-1, "train_loss"], classifier.predict)

    return Trainer(np.asarray, fit)


# ---------------------------------------------------------------------------------- JAX


def build_jax(net: Net, device: str, *, scan: bool = False) -> Trainer:
    import jax
    import optax
    from jax import numpy as jnp

    jax.config.update("jax_platforms", device)
    optimizer = optax.adam(LEARNING_RATE)

    def logits_of(params: Any, X: Any) -> Any:
        for W, b in params[:-1]:
            X = jax.nn.relu(X @ W + b)
        W, b = params[-1]
        return X @ W + b

    def loss_of(params: Any, X: Any, y: Any) -> Any:
        logits = logits_of(params, X)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def step(state: Any, X: Any, y: Any, batch: Any) -> Any:
        params, moments, total = state
        value, grads = jax.value_and_grad(loss_of)(params, X[batch], y[batch])
        updates, moments = optimizer.update(grads, moments, params)
        params = optax.apply_updates(params, updates)
        return params, moments, total + value * len(batch)

    def steps(state: Any, X: Any, y: Any, batches: Any) -> Any:
        return jax.lax.scan(
            lambda state, batch: (step(state, X, y, batch), None), state, batches
        )[0]

    run = jax.jit(steps if scan else step, donate_argnums=0)
    predict = jax.jit(lambda params, X: logits_of(params, X).argmax(1))

    def batches_of(order: np.ndarray) -> list[np.ndarray]:
        full = len(order) // net.batch_size * net.batch_size
        batches = order[:full].reshape(-1, net.batch_size)
        rest = order[None, full:]
        if scan:  # all full batches in one call, the last in another
            return [batches, rest] if rest.size else [batches]
        return [*batches, *rest] if rest.size else [*batches]

    def fit(X: Any, y: Any, epochs: int, seed: int) -> Fitted:
        rng = np.random.default_rng(seed)
        params = [
            (
                jnp.asarray(rng.normal(0, (2 / m) ** 0.5, (m, n)), jnp.float32),
                jnp.zeros(n),
            )
            for m, n in pairwise(net.sizes)
        ]
        moments, loss = optimizer.init(params), math.nan
        for _ in range(epochs):
            state = params, moments, jnp.zeros(())
            for batches in batches_of(rng.permutation(len(X)).astype(np.int32)):
                state = run(state, X, y, batches)
            params, moments, total = state
            loss = float(total) / len(X)
        return Fitted(loss, lambda X: np.asarray(predict(params, X)))

    return Trainer(jnp.asarray, fit)


# ---------------------------------------------------------------------------- the floor


def _products(net: Net, xp: Any, **place: Any) -> Callable[[], None]:
    """Return what takes the matrix products of a step, and does nothing else."""
    batch = [xp.ones((net.batch_size, n), dtype=xp.float32, **place) for n in net.sizes]
    grads = [xp.ones_like(each) for each in batch]
    weights = [xp.ones(pair, dtype=xp.float32, **place) for pair in pairwise(net.sizes)]
    d_weights = [xp.ones_like(W) for W in weights]

    def step() -> None:
        for i, W in enumerate(weights):
            xp.matmul(batch[i], W, out=batch[i + 1])
        for i in reversed(range(len(weights))):
            xp.matmul(batch[i].T, grads[i + 1], out=d_weights[i])
            if i > 0:
                xp.matmul(grads[i + 1], weights[i].T, out=grads[i])

    return step


def _n_steps(net: Net, X: Any, epochs: int) -> int:
    return epochs * math.ceil(len(X) / net.batch_size)


def build_floor(net: Net, device: str) -> Trainer:
    """Multiply on the CPU with as many threads as are fastest; on a GPU in a graph."""
    return _graph_floor(net) if device == "cuda" else _numpy_floor(net)


def _numpy_floor(net: Net) -> Trainer:
    step = _products(net, np)

    def seconds(n_threads: int | None) -> float:
        with threadpool_limits(n_threads, user_api="blas"):
            step()
            start = time.perf_counter()
            for _ in range(50):
                step()
            return time.perf_counter() - start

    fastest = min((None, 1), key=seconds)  # one thread may be sooner for small products

    def fit(X: Any, y: Any, epochs: int, seed: int) -> Fitted:  # noqa: ARG001
        with threadpool_limits(fastest, user_api="blas"):
            for _ in range(_n_steps(net, X, epochs)):
                step()
        return Fitted(None, None)

    return Trainer(np.asarray, fit)


def _graph_floor(net: Net) -> Trainer:
    import torch

    step, graph, n_at_once = _products(net, torch, device="cuda"), None, 32
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        step()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(n_at_once):
            step()

    def fit(X: Any, y: Any, epochs: int, seed: int) -> Fitted:  # noqa: ARG001
        for _ in range(math.ceil(_n_steps(net, X, epochs) / n_at_once)):
            graph.replay()
        torch.cuda.synchronize()
        return Fitted(None, None)

    return Trainer(np.asarray, fit)
