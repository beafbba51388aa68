"""What the classifier and the regressor share: from ``fit`` to the network's outputs.

Here, and only here, arrays change library and device.
"""

import importlib.metadata
import math
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xpnet._custom import check_activation
from xpnet._moving import Movable
from xpnet._namespace import (
    array_namespace,
    asarray_like,
    default_float,
    dtype_name,
    is_numpy_namespace,
    is_sparse,
    same_place,
)
from xpnet._parameters import (
    clip_batch_size,
    make_network,
    make_optimizer,
    make_schedule,
    print_epoch,
    warn_of_ignored,
)
from xpnet._run import HeldOut, Run
from xpnet._typing import Array, DType
from xpnet._validation import HostArray, check_weights, check_X, check_y, hidden_sizes
from xpnet.backends import Backend, backend_of, get_backend
from xpnet.exceptions import DataError, StaleFitError
from xpnet.initializers import draw
from xpnet.network import Network
from xpnet.training import (
    Data,
    Epoch,
    Objective,
    Plateau,
    Progress,
    train,
    train_lbfgs,
)

__all__ = ["BaseMLP"]


class BaseMLP(Movable):
    """Base class of the estimators; they add what is asked of the network, and answers.

    A subclass has the parameters as attributes, and says what targets are:
    ``_learn_targets`` finds their kind (and classes), ``_encode`` turns them into what
    ``_loss`` takes, ``_n_units`` counts the outputs it needs, and ``_score_outputs``
    is the default score.
    """

    def _store(self, parameters: dict[str, Any]) -> None:
        """Set the constructor's arguments as attributes, as scikit-learn asks."""
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    loss_curve_: list[float]
    best_loss_: float | None
    validation_loss_curve_: Any  # list of float, or None
    validation_scores_: Any
    best_validation_score_: Any  # float or None

    # ------------------------------------------------------------------------- training

    def fit(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None = None,
        X_val: Array | None = None,
        y_val: Array | None = None,
    ) -> Self:
        """Train on samples and their targets.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples, finite numbers.
        y : array or array-like, shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array or array-like, shape (n_samples,), optional
            Weights of the samples, not negative.
        X_val, y_val : array or array-like, optional
            Held-out samples and targets, looked at after each epoch; by default
            `early_stopping` splits off `validation_fraction`.

        Returns
        -------
        estimator
            Itself, fitted. Ctrl-C ends training and keeps what was learnt.

        Raises
        ------
        ValueError
            A parameter or the data can't be used, or training diverged.
        ImportError
            The backend can't be used on this machine.
        """
        run = self._prepare(X, y, sample_weight, X_val, y_val)
        try:
            if self.solver == "lbfgs":
                self._minimize(run)
                return self
            for epoch in self._epochs(run):
                stopped = epoch.converged or epoch.out_of_time
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
            return self
        if not stopped:
            msg = (
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                "the optimization hasn't converged yet."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=2)
        return self

    def iter_fit(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None = None,
        X_val: Array | None = None,
        y_val: Array | None = None,
    ) -> Iterator[Epoch]:
        """Train like :meth:`fit`, and come back after each epoch.

        Between two epochs the estimator is fitted: score it, plot it, or leave the loop
        to stop training.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val : array or array-like
            As for :meth:`fit`; they are checked before the first epoch.

        Returns
        -------
        iterator of xpnet.training.Epoch
            One an epoch, with `n_iter` and `loss`.

        Raises
        ------
        AttributeError
            The solver has no epochs.
        """
        self._check_stochastic("iter_fit")
        return self._epochs(self._prepare(X, y, sample_weight, X_val, y_val))

    def _partial_fit(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None,
        classes: Any = None,
    ) -> Self:
        if self.early_stopping:
            msg = "partial_fit does not support early_stopping=True"
            raise ValueError(msg)
        run = self._prepare(X, y, sample_weight, incremental=True, classes=classes)
        next(self._epochs(run))
        return self

    def _check_stochastic(self, method: str) -> bool:
        if self.solver == "lbfgs":
            msg = (
                f"{method} is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
            raise AttributeError(msg)
        return True

    def _epochs(self, run: Run) -> Iterator[Epoch]:
        """Train, and keep the fitted attributes up to date, epoch by epoch."""
        best = None
        if self.early_stopping and self.validation_scores_:  # of an earlier call
            best = array_namespace(run.progress.params).asarray(
                run.progress.params, copy=True
            )
        try:
            for epoch in train(
                run.progress,
                run.objective,
                make_optimizer(self),
                run.data,
                batch_size=run.batch_size,
                max_iter=self.max_iter,
                shuffle=self.shuffle,
                rows=run.rows,
                watch=lambda loss: self._watch(run, loss),
                max_time=self.max_time or math.inf,
            ):
                improved = self._record(run, epoch)
                if self.early_stopping and improved:
                    best = array_namespace(epoch.params).asarray(
                        epoch.params, copy=True
                    )
                yield epoch
                if self._progress is not run.token:
                    msg = (
                        "The estimator was fitted or moved since this iter_fit began, "
                        "which can't go on: begin another one."
                    )
                    raise StaleFitError(msg)
        finally:
            if best is not None and self._progress is run.token:
                self._keep_params(run.objective.network, best)

    def _minimize(self, run: Run) -> None:
        """Train with L-BFGS, and keep the fitted attributes up to date."""

        def on_iteration(epoch: Epoch) -> None:
            run.progress.params = epoch.params
            self._watch(run, epoch.loss)
            self._record(run, epoch)

        result = train_lbfgs(
            run.progress.params,
            run.objective,
            run.data,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            max_time=self.max_time or math.inf,
            on_iteration=on_iteration,
        )
        self.loss_ = float(result.fun)
        if not result.success:
            msg = (
                f"lbfgs failed to converge after {self.n_iter_} iteration(s): "
                f"{result.message}. You might also want to scale the data."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=3)

    def _watch(self, run: Run, loss: float) -> float:
        """Look at the held-out data; return what is to fall."""
        self._keep_params(run.objective.network, run.progress.params)
        if run.held_out is None:
            return loss
        value, score = run.held_out.look(self, run.objective)
        self.validation_loss_curve_.append(value)
        self.validation_scores_.append(score)
        return -score if self.early_stopping else loss

    def _record(self, run: Run, epoch: Epoch) -> bool:
        """Take down an epoch; say whether the held-out score is the best so far."""
        self.n_iter_ = epoch.n_iter
        self.t_ = run.progress.n_seen
        self.loss_ = epoch.loss
        self.loss_curve_.append(epoch.loss)
        if self.best_loss_ is not None:
            self.best_loss_ = min(self.best_loss_, epoch.loss)
        improved = False
        if run.held_out is not None:
            score = self.validation_scores_[-1]
            improved = bool(score > self.best_validation_score_)
            self.best_validation_score_ = max(self.best_validation_score_, score)
        if self.verbose:
            print_epoch(self, epoch, held_out=run.held_out is not None)
        return improved

    # ---------------------------------------------------------------------- preparation

    def _prepare(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None,
        X_val: Array | None = None,
        y_val: Array | None = None,
        *,
        incremental: bool = False,
        classes: Any = None,
    ) -> Run:
        """Check everything, bring it to the backend, and set the fitted attributes."""
        self._validate_params()
        warn_of_ignored(self)
        if (X_val is None) != (y_val is None):
            msg = "X_val and y_val belong together: pass both, or neither."
            raise DataError(msg)
        first = not (hasattr(self, "coefs_") and (self.warm_start or incremental))
        X = check_X(self, X, reset=first)
        y = check_y(self, y, X.shape[0], numeric=self._numeric)
        weights = self._weigh(y, check_weights(sample_weight, X))
        if first:
            self._learn_targets(y, classes)
        backend = self._place(X) if first else backend_of(self.coefs_[0])
        dtype = self._float(X, backend) if first else self.coefs_[0].dtype
        sizes = [X.shape[1], *hidden_sizes(self.hidden_layer_sizes), self._n_units]
        network = make_network(sizes, self.activation)
        for layer in network.layers:
            if not isinstance(layer.activation, str):
                check_activation(layer.activation, backend, dtype)
        data = self._move(X, y, weights, backend, dtype)
        if first:
            progress = self._start(network, backend, dtype)
        else:
            progress = self._resume(network)
        run = Run(Objective(network, self._loss(data), self.alpha), data, progress)
        if X_val is not None:
            X_val = check_X(self, X_val, reset=False)
            y_val = check_y(self, y_val, X_val.shape[0], numeric=self._numeric)
            val = self._move(X_val, y_val, None, backend, dtype)
            run.held_out = HeldOut(val, y_val, None)
        elif self.early_stopping and self.solver != "lbfgs":
            run.hold_out(y, weights, self.validation_fraction, stratify=self._stratify)
        if run.held_out is not None and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
            self.best_validation_score_ = -math.inf
        if self.solver != "lbfgs":
            run.batch_size = clip_batch_size(self.batch_size, run.n_samples)
        self._keep_params(network, progress.params)
        self._progress = run.token = (self._settings, progress)
        self.n_iter_ = 0
        return run

    def _weigh(
        self,
        y: HostArray,  # noqa: ARG002
        weights: HostArray | None,
    ) -> HostArray | None:
        """Return the samples' weights; a classifier multiplies those of the classes."""
        return weights

    def _place(self, X: Array) -> Backend:
        """Return where to train: the named backend, or where `X` lies."""
        if self.backend is not None:
            return get_backend(self.backend)
        return get_backend("numpy") if is_sparse(X) else backend_of(X)

    def _float(self, X: Array, backend: Backend) -> DType:
        name = self.dtype
        if name is None and dtype_name(X.dtype) in ("float16", "bfloat16", "float32"):
            name = "float32"
        return default_float(backend.xp, backend.device, name)

    def _move(
        self,
        X: Array,
        y: HostArray,
        weights: HostArray | None,
        backend: Backend,
        dtype: DType,
    ) -> Data:
        """Bring samples, encoded targets and weights to the backend."""
        if not is_sparse(X):
            X = backend.asarray(X, dtype)
        elif is_numpy_namespace(backend.xp):
            X = X.astype(dtype, copy=False)
        else:
            msg = (
                f"Sparse X can be trained on NumPy only, not on {backend.name!r}: leave "
                "backend=None, or pass X.toarray()."
            )
            raise DataError(msg)
        targets = backend.asarray(self._encode(y), dtype if self._numeric else None)
        if weights is not None:
            weights = backend.asarray(weights, dtype)
        return Data(X, targets, weights)

    def _start(self, network: Network, backend: Backend, dtype: DType) -> Progress:
        """Draw first weights, and begin all curves anew."""
        random_state = check_random_state(self.random_state)
        hidden = [layer.activation for layer in network.layers[:-1]]
        drawn = draw(self.init, network.sizes, hidden, random_state)
        params = backend.asarray(network.flatten(drawn), dtype, copy=True)
        self.n_layers_ = len(network.layers) + 1
        self.t_ = 0
        self.loss_curve_ = []
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_loss_curve_ = None
        self.validation_scores_ = None
        self.best_validation_score_ = None
        return self._progress_from(params, random_state)

    def _resume(self, network: Network) -> Progress:
        """Go on from the fitted weights, with the optimiser as the last call left it."""
        if self._sizes != network.sizes:
            msg = (
                f"The fitted network has layers of {self._sizes} units, and the parameters ask "
                f"for {network.sizes}: fit anew, with warm_start=False."
            )
            raise DataError(msg)
        params = network.flatten(self._weights)
        settings, progress = getattr(self, "_progress", (None, None))
        if not isinstance(progress, Progress):  # a pickle has the weights only
            return self._progress_from(params, check_random_state(self.random_state))
        if settings != self._settings:
            self.best_loss_ = min(self.loss_curve_, default=math.inf)
            if self.early_stopping:
                self.best_loss_ = None
            if self.validation_scores_ is not None:
                self.best_validation_score_ = -math.inf
            return self._progress_from(params, progress.random_state)
        progress.params = params
        progress.optimizer_state = tuple(  # the weights may have been moved
            asarray_like(moment, params) for moment in progress.optimizer_state
        )
        progress.plateau.tol = self.tol
        progress.plateau.patience = self.n_iter_no_change
        return progress

    def _progress_from(
        self, params: Array, random_state: np.random.RandomState
    ) -> Progress:
        return Progress(
            params,
            make_optimizer(self).init(params),
            make_schedule(self),
            Plateau(self.tol, self.n_iter_no_change),
            random_state,
            n_seen=self.t_,
        )

    @property
    def _settings(self) -> tuple[Any, ...]:
        """What the optimiser's state, the schedule and the plateau depend on."""
        rate = self.learning_rate, self.learning_rate_init, self.power_t
        watched = self.early_stopping, self.scoring
        return self.solver, self.momentum == 0.0, rate, watched

    def _keep_params(self, network: Network, params: Array) -> None:
        weights, biases = zip(*network.views(params), strict=True)
        self.coefs_, self.intercepts_ = list(weights), list(biases)

    # ----------------------------------------------------------------------- prediction

    def _outputs(self, X: Array, method: str) -> tuple[Array, Array]:
        """Return the network's outputs, where it lives, and where to answer."""
        check_is_fitted(self, "coefs_")
        X = check_X(self, X, reset=False)
        W = self.coefs_[0]
        ref = np.empty(0) if is_sparse(X) else X  # where the answer is to be
        if self.backend is None and not same_place(ref, W):
            name, here, there = type(self).__name__, backend_of(ref), backend_of(W)
            msg = (
                f"Inputs passed to {name}.{method}() must use the same namespace and "
                f"the same device as those passed to fit(): it was fitted on "
                f"{there.name!r}, and X is on {here.name!r}. Convert X, or name the "
                f"backend: {name}(backend={there.name!r}) moves what it is given."
            )
            raise DataError(msg)
        network = make_network(self._sizes, self.activation)
        return network.outputs(self._weights, X), ref

    def _get_doc_link(self) -> str:
        """Return the address of the class's page, for the HTML representation.

        It lies below the documentation that the package's metadata name; where they
        name none, the representation has no link.
        """
        for url in importlib.metadata.metadata("xpnet").get_all("Project-URL") or ():
            label, _, home = url.partition(", ")
            if label == "Documentation":
                page = f"xpnet.{type(self).__name__}.html"
                return f"{home.rstrip('/')}/api/generated/{page}"
        return ""

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that sparse and array-API inputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags
