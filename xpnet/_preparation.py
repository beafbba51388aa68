"""What comes before the first step of a training: all checks, and all that moves.

Here `X` and `y` change library and device, once; answers change back in the estimators.
"""

import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from xpnet._callbacks import announce
from xpnet._custom import check_activation
from xpnet._moving import answers_at
from xpnet._namespace import (
    asarray_like,
    default_float,
    dtype_name,
    is_numpy_namespace,
    is_sparse,
)
from xpnet._parameters import (
    check_solver,
    clip_batch_size,
    make_optimizer,
    make_schedule,
    train_network,
    warn_of_ignored,
)
from xpnet._run import HeldOut, Run, check_scorer
from xpnet._streams import Batches, Passes, find_classes, first_of, named
from xpnet._targets import is_multilabel, listed, place
from xpnet._typing import Array, DType
from xpnet._validation import (
    HostArray,
    cast_weights,
    check_weights,
    check_X,
    check_y,
    hidden_sizes,
)
from xpnet.backends import Backend, backend_of, get_backend
from xpnet.exceptions import DataError
from xpnet.initializers import draw
from xpnet.network import Dense, Network
from xpnet.optimizers import Averaged
from xpnet.schedules import Planned, ReduceOnPlateau, Schedule
from xpnet.training import Data, Mixup, Objective, Plateau, Progress

__all__ = ["prepare"]


def prepare(
    estimator: Any,
    X: Array,
    y: Array,
    sample_weight: Array | None,
    X_val: Array | None = None,
    y_val: Array | None = None,
    *,
    incremental: bool = False,
    classes: Any = None,
    streams: bool = False,
) -> Run:
    """Check everything, bring it to the backend, and set the fitted attributes.

    Parameters
    ----------
    estimator : BaseMLP
        What is refused leaves it as it was.
    X, y, sample_weight, X_val, y_val : array or array-like
        As for ``fit``.
    incremental : bool, default=False
        Whether ``partial_fit`` asks: go on from the fitted weights, if there are any.
    classes : ndarray, or list of them, optional
        All labels there will be.
    streams : bool, default=False
        Whether X may be :class:`~xpnet.datasets.Batches`.

    Returns
    -------
    Run
        The training, ready to go.

    Raises
    ------
    ValueError
        A parameter or the data can't be used.
    ImportError
        The backend can't be used on this machine.
    """
    twin = estimator._twin()  # it is changed, until nothing can go wrong any more
    _check_parameters(twin)
    first = not (hasattr(twin, "coefs_") and (twin.warm_start or incremental))
    batches = X if isinstance(X, Batches) else None
    if batches is not None:
        _check_streamable(twin, batches, X_val, allowed=streams)
        X, y, sample_weight = first_of(batches)
    with nullcontext() if batches is None else named(1):
        X = check_X(twin, X, reset=first)
        y = check_y(twin, y, X.shape[0], numeric=twin._numeric)
        sample_weight = check_weights(sample_weight, X)
    if batches is not None and first:
        classes = _classes_of(twin, batches, y)
    X_val, y_val = _check_held_out(twin, X_val, y_val)
    if first:
        twin._learn_targets(y, classes)
    else:
        twin._check_place(X, "partial_fit" if incremental else "fit")
    backend = _backend(twin, X, first=first)
    dtype = _dtype(twin, X, backend, first=first)
    network = _network(twin, X.shape[1], backend, dtype)
    with nullcontext() if batches is None else named(1):
        targets = twin._encode(y)
        weights, weights_val = (
            cast_weights(each, dtype_name(dtype))
            for each in twin._weigh(y, sample_weight, y_val)
        )
    data = _move(twin, X, targets, weights, backend, dtype)
    objective = Objective(
        network,
        twin._loss(data),
        float(twin.alpha),
        l1=float(twin.l1),
        max_norm=None if twin.max_norm is None else float(twin.max_norm),
        mixup=Mixup(float(twin.mixup), twin._soften) if twin.mixup > 0.0 else None,
    )
    held_out = None
    if X_val is not None:
        targets = twin._encode(y_val)
        data_val = _move(twin, X_val, targets, weights_val, backend, dtype)
        held_out = HeldOut(data_val, y_val, None)
    begin = _start if first else _resume
    progress = begin(twin, network, backend, dtype)
    if objective.noisy and progress.seed is None:
        progress.seed = int(progress.random_state.randint(2**31))
    run = Run(objective, data, progress, held_out=held_out)
    run.incremental, run.warm = incremental, not first
    if batches is not None:
        keeps_sample = network.layers[0].normalization == "batch"
        load = partial(_load, twin._twin(), backend, dtype)
        run.passes = Passes(batches, load, keeps_sample=keeps_sample)
        names = getattr(batches.source, "feature_names", None)
        if first and names is not None:  # after `load` has its twin: arrays have none
            twin.feature_names_in_ = np.asarray(names, dtype=object)
    if twin.solver != "lbfgs":
        if twin.early_stopping and held_out is None:
            fraction, stratify = twin.validation_fraction, twin._stratify
            run.hold_out(y, sample_weight, weights, fraction, stratify=stratify)
        run.batch_size = clip_batch_size(twin.batch_size, run.n_samples)
    _set_fitted(twin, run, answers_at(X))
    if not incremental:
        announce(twin, run)
    estimator.__dict__ = twin.__dict__
    return run


def _check_parameters(estimator: Any) -> None:
    estimator._validate_params()
    check_solver(estimator)
    warn_of_ignored(estimator)
    if estimator.scoring not in (None, "loss"):
        check_scorer(estimator.scoring)


def _set_fitted(estimator: Any, run: Run, ref: Array) -> None:
    """Set the attributes that make the estimator a fitted one, before the first step."""
    if run.held_out is not None and estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.validation_loss_curve_ = [], []
        estimator.best_validation_score_ = -math.inf
    estimator._keep_params(run, run.progress.answering)
    if hasattr(estimator, "classes_"):
        estimator.classes_ = place(estimator.classes_, ref)
    # The best of an earlier call is to be beaten.
    if run.stochastic and estimator.early_stopping and estimator.validation_scores_:
        run.keep(run.progress.answering)
    estimator.n_iter_ = 0
    if not run.incremental:
        run.progress.schedule.begin(run.progress.n_steps)
    estimator._progress = run.token = (_settings(estimator), run.progress)


# ------------------------------------------------------------------- batches one by one


def _counts_steps(schedule: Schedule) -> bool:
    """Whether the learning rate depends on how many steps there will be."""
    return isinstance(schedule, Planned) and not isinstance(
        schedule.plan, ReduceOnPlateau
    )


def _check_streamable(
    estimator: Any, batches: Batches, X_val: Array | None, *, allowed: bool
) -> None:
    """Raise for what needs all samples at once."""
    problem = None
    if not allowed:
        problem = "Batches are for fit and iter_fit alone: pass arrays, of a batch, say"
    elif estimator.solver == "lbfgs":
        problem = "solver='lbfgs' descends all samples at once: choose 'adam', say"
    elif estimator.early_stopping and X_val is None:
        problem = (
            "early_stopping=True can split nothing off batches that come one by one: "
            "pass X_val and y_val"
        )
    elif getattr(estimator, "class_weight", None) == "balanced":
        problem = (
            "class_weight='balanced' needs all labels at once: pass the weights of "
            "sklearn.utils.compute_class_weight as a dict"
        )
    elif estimator.accumulate > 1:
        problem = "accumulate joins rows of arrays: let each batch hold more samples"
    elif batches.n_batches is None and _counts_steps(make_schedule(estimator)):
        problem = (
            f"learning_rate={estimator.learning_rate!r} is planned over all steps, whose "
            "number is unknown here: pass Batches(..., steps_per_epoch=...)"
        )
    if problem is not None:
        msg = f"{problem}."
        raise DataError(msg)


def _classes_of(estimator: Any, batches: Batches, y: HostArray) -> Any:
    """Return all labels of a classifier, as they were listed or by looking at all."""
    if estimator._numeric:
        return None
    if batches.classes is not None:
        return listed(batches.classes)
    if is_multilabel(y):
        return None
    return find_classes(batches, lambda y: check_y(estimator, y, len(y), numeric=False))


def _load(
    estimator: Any, backend: Backend, dtype: DType, X: Array, y: Array, weights: Any
) -> Data:
    """Check a batch, and copy it to the backend."""
    X = check_X(estimator, X, reset=False)
    y = check_y(estimator, y, X.shape[0], numeric=estimator._numeric)
    weights, _ = estimator._weigh(y, check_weights(weights, X), None)
    weights = cast_weights(weights, dtype_name(dtype))
    targets = estimator._encode(y)
    return _move(estimator, X, targets, weights, backend, dtype, copy=True)


# ---------------------------------------------------------- what, where, and in what dtype


def _check_held_out(
    estimator: Any, X_val: Array | None, y_val: Array | None
) -> tuple[Array, Array]:
    if (X_val is None) != (y_val is None):
        msg = "X_val and y_val belong together: pass both, or neither."
        raise DataError(msg)
    if X_val is None:
        return None, None
    X_val = check_X(estimator, X_val, reset=False)
    return X_val, check_y(estimator, y_val, X_val.shape[0], numeric=estimator._numeric)


def _backend(estimator: Any, X: Array, *, first: bool) -> Backend:
    """Return where to train: the named backend, or where network and `X` lie."""
    if estimator.backend is not None:
        return get_backend(estimator.backend)
    return backend_of(answers_at(X) if first else estimator.coefs_[0])


def _dtype(estimator: Any, X: Array, backend: Backend, *, first: bool) -> DType:
    """Return what to compute in: the named dtype, or that of the network, or of `X`."""
    name = estimator.dtype
    if name is None and not first:
        name = dtype_name(estimator.coefs_[0].dtype)
    if name is None and dtype_name(X.dtype) in ("float16", "bfloat16", "float32"):
        name = "float32"
    return default_float(backend.xp, backend.device, name)


def _network(
    estimator: Any, n_features: int, backend: Backend, dtype: DType
) -> Network:
    """Chain the layers; activations of the user's own are tried first."""
    hidden = hidden_sizes(estimator.hidden_layer_sizes)
    sizes = [n_features, *hidden, estimator._n_units]
    network = train_network(estimator, sizes)
    for layer in network.layers:
        if not isinstance(layer.activation, str):
            check_activation(layer.activation, backend, dtype)
    return network


def _move(
    estimator: Any,
    X: Array,
    targets: HostArray,
    weights: HostArray | None,
    backend: Backend,
    dtype: DType,
    *,
    copy: bool = False,
) -> Data:
    """Bring samples, encoded targets and weights to the backend."""
    bring = backend.stage if copy else backend.asarray
    if not is_sparse(X):
        X = bring(X, dtype)
    elif is_numpy_namespace(backend.xp):
        X = X.astype(dtype, copy=copy)
    else:
        msg = (
            f"Sparse X can be trained on NumPy only, not on {backend.name!r}: leave "
            "backend=None, or pass X.toarray()."
        )
        raise DataError(msg)
    numeric = dtype if estimator._numeric else None
    if weights is not None:
        weights = bring(weights, dtype)
    return Data(X, bring(targets, numeric), weights)


# ------------------------------------------------------------------- anew, or further on


def _start(
    estimator: Any, network: Network, backend: Backend, dtype: DType
) -> Progress:
    """Draw first weights, and begin all curves anew."""
    random_state = check_random_state(estimator.random_state)
    hidden = [layer.activation for layer in network.layers[:-1]]
    drawn = draw(estimator.init, network.sizes, hidden, random_state)
    layers = [
        (*W_and_b, *_gains(layer))
        for W_and_b, layer in zip(drawn, network.layers, strict=True)
    ]
    params = backend.asarray(network.flatten(layers), dtype, copy=True)
    estimator.n_layers_ = len(network.layers) + 1
    estimator.t_ = 0
    estimator.loss_ = math.nan  # until the first epoch is over
    estimator.loss_curve_ = []
    estimator.best_loss_ = None if estimator.early_stopping else math.inf
    estimator.validation_loss_curve_ = None
    estimator.validation_scores_ = None
    estimator.best_validation_score_ = None
    return _progress(estimator, network, params, random_state)


def _gains(layer: Dense) -> tuple[HostArray, ...]:
    """Return first gains: a layer that normalises begins with variance 1."""
    return () if layer.normalization is None else (np.ones(layer.fan_out),)


def _resume(
    estimator: Any, network: Network, backend: Backend, dtype: DType
) -> Progress:
    """Go on from the fitted weights, with the optimiser as the last call left it."""
    if estimator._sizes != network.sizes:
        msg = (
            f"The fitted network has layers of {estimator._sizes} units, and the "
            f"parameters ask for {network.sizes}: fit anew, with warm_start=False."
        )
        raise DataError(msg)
    if estimator._normalization != network.layers[0].normalization:
        msg = (
            f"The fitted network has normalization={estimator._normalization!r}, and "
            f"the parameters ask for {estimator.normalization!r}: fit anew, with "
            "warm_start=False."
        )
        raise DataError(msg)
    params = backend.asarray(network.flatten(estimator._weights), dtype)
    settings, progress = getattr(estimator, "_progress", (None, None))
    if not isinstance(progress, Progress):  # a pickle has the weights only
        random_state = check_random_state(estimator.random_state)
        return _progress(estimator, network, params, random_state)
    if settings != _settings(estimator):
        estimator.best_loss_ = min(estimator.loss_curve_, default=math.inf)
        if estimator.early_stopping:
            estimator.best_loss_ = None
        if estimator.validation_scores_ is not None:
            estimator.best_validation_score_ = -math.inf
        return _progress(estimator, network, params, progress.random_state)
    tol, patience = estimator.tol, estimator.n_iter_no_change
    state = [  # the weights may have been moved
        asarray_like(moment, params, params.dtype)
        for moment in progress.optimizer_state
    ]
    if progress.averaged:  # what is fitted is the average; steps go on from their own
        state[-1] = params
        params = asarray_like(progress.params, params, params.dtype)
    return replace(
        progress,
        params=params,
        optimizer_state=tuple(state),
        plateau=replace(progress.plateau, tol=tol, patience=patience),
    )


def _progress(
    estimator: Any,
    network: Network,
    params: Array,
    random_state: np.random.RandomState,
) -> Progress:
    optimizer = make_optimizer(estimator, network)
    return Progress(
        params,
        optimizer.init(params),
        make_schedule(estimator),
        Plateau(estimator.tol, estimator.n_iter_no_change),
        random_state,
        n_seen=estimator.t_,
        averaged=isinstance(optimizer, Averaged),
    )


def _settings(estimator: Any) -> tuple[Any, ...]:
    """Return what the optimiser's state, the schedule and the plateau depend on."""
    rate = estimator.learning_rate, estimator.learning_rate_init, estimator.power_t
    watched = estimator.early_stopping, estimator.scoring
    state = estimator.solver, estimator.momentum == 0.0, estimator.ema_decay is None
    return *state, rate, watched
