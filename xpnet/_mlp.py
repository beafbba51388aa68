"""What the classifier and the regressor share: from ``fit`` to the network's outputs."""

import contextlib
import importlib.metadata
import math
import warnings
from collections.abc import Generator, Iterator
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from xpnet._callbacks import CallbackSupportMixin, Tasks
from xpnet._display import Display, open_display
from xpnet._moving import Movable, answers_at
from xpnet._parameters import make_differentiable, make_network, make_optimizer
from xpnet._preparation import prepare
from xpnet._run import Run, without_warnings
from xpnet._streams import as_batches
from xpnet._typing import Array
from xpnet._validation import HostArray, check_X
from xpnet.exceptions import StaleFitError
from xpnet.inspection import summary
from xpnet.training import Data, Epoch, train, train_lbfgs, train_stream
from xpnet.training.steps import pays_to_record

__all__ = ["BaseMLP"]

INTERRUPTED = "Training interrupted by user."


class BaseMLP(CallbackSupportMixin, Movable):  # type: ignore[misc]  # untyped
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
        y: Array = None,
        sample_weight: Array | None = None,
        X_val: Array | None = None,
        y_val: Array | None = None,
    ) -> Self:
        """Train on samples and their targets.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples, finite numbers. Or :class:`xpnet.datasets.Batches`, or what it
            takes, where they don't fit into memory: `y` is left out then. Dask arrays
            are computed block by block.
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
        X, y, sample_weight = as_batches(self, X, y, sample_weight)
        run = prepare(self, X, y, sample_weight, X_val, y_val, streams=True)
        tasks = Tasks(self, X, y, sample_weight)
        try:
            if self.solver == "lbfgs":
                self._minimize(run, tasks)
                return self
            with contextlib.closing(self._epochs(run, tasks)) as epochs:
                for _ in epochs:
                    pass
        except KeyboardInterrupt:
            warnings.warn(INTERRUPTED, stacklevel=2)
            return self
        if not run.stopped:
            msg = (
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                "the optimization hasn't converged yet."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=2)
        return self

    def iter_fit(
        self,
        X: Array,
        y: Array = None,
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
        ValueError
            A parameter or the data can't be used; while it trains, training diverged.
        ImportError
            The backend can't be used on this machine.
        StaleFitError
            While it trains, the estimator was fitted or moved by another call.
        """
        self._check_stochastic("iter_fit")
        X, y, sample_weight = as_batches(self, X, y, sample_weight)
        run = prepare(self, X, y, sample_weight, X_val, y_val, streams=True)
        return self._epochs(run, Tasks(self, X, y, sample_weight))

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
        run = prepare(self, X, y, sample_weight, incremental=True, classes=classes)
        try:
            next(self._epochs(run, Tasks(self)))
        except KeyboardInterrupt:
            warnings.warn(INTERRUPTED, stacklevel=3)
        return self

    def _check_stochastic(self, method: str) -> bool:
        if self.solver == "lbfgs":
            msg = (
                f"{method} is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
            raise AttributeError(msg)
        return True

    def _epochs(self, run: Run, tasks: Tasks) -> Generator[Epoch, None, None]:
        """Train, and keep the fitted attributes up to date, epoch by epoch."""
        with self._followed(run, tasks) as display:
            epochs = self._trained(run)
            if run.n_iter < self.max_iter and not run.stopped:
                tasks.begin_epoch()
            for epoch in without_warnings(epochs):
                self._record(run, epoch, display)
                wanted = tasks.end_epoch()
                finished = wanted or epoch.converged
                run.stopped = finished or run.paused or epoch.out_of_time
                run.paused = run.stopped and not finished
                yield epoch
                if self._progress is not run.token:
                    msg = (
                        "The estimator was fitted or moved since this iter_fit began, "
                        "which can't go on: begin another one."
                    )
                    raise StaleFitError(msg)
                if run.stopped or epoch.n_iter == self.max_iter:
                    break
                tasks.begin_epoch()

    def _compiles(self, run: Run) -> bool | None:
        """Have small steps of NumPy recorded; functions of a user's own may change."""
        network = run.objective.network
        functions = [
            *(layer.activation for layer in network.layers),
            getattr(self, "loss", ""),
        ]
        own = all(isinstance(function, str) for function in functions)
        compiled: bool | None = self.compiled
        if compiled is not None or not own:
            return compiled
        small = pays_to_record(run.progress.params, network, run.batch_size)
        return True if small else None

    def _trained(self, run: Run) -> Iterator[Epoch]:
        """Take the steps, on arrays or on batches as they come."""
        what = (
            run.progress,
            make_differentiable(self, run.objective, run.batch_size),
            make_optimizer(self, run.objective.network),
        )
        options: dict[str, Any] = {
            "max_iter": self.max_iter,
            "n_done": self.max_iter if run.stopped else run.n_iter,
            "watch": lambda loss: self._watch(run, loss),
            "max_time": self.max_time or math.inf,
            "compiled": self._compiles(run),
        }
        if run.passes is None:
            return train(
                *what,
                run.data,
                batch_size=run.batch_size * self.accumulate,
                shuffle=self.shuffle,
                rows=run.rows,
                **options,
            )

        def begin() -> Generator[Data, None, None]:
            random_state = None
            if self.shuffle:  # the thread draws from a stream of its own
                seed = run.progress.random_state.randint(2**31)
                random_state = np.random.RandomState(seed)
            epoch: Generator[Data, None, None] = run.passes.epoch(random_state)
            return epoch

        n_batches = run.passes.batches.n_batches
        return train_stream(
            *what, begin, first=run.data, n_batches=n_batches, **options
        )

    def _minimize(self, run: Run, tasks: Tasks) -> None:
        """Train with L-BFGS, and keep the fitted attributes up to date."""
        with self._followed(run, tasks) as display:

            def on_iteration(epoch: Epoch) -> bool:
                tasks.begin_epoch()
                run.progress.params = epoch.params
                self._watch(run, epoch.loss)
                self._record(run, epoch, display)
                wanted = tasks.end_epoch() or run.paused
                run.stopped = wanted or epoch.out_of_time
                return wanted

            with np.errstate(over="ignore", invalid="ignore"):
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
        if not (result.success or run.stopped):
            msg = (
                f"lbfgs failed to converge after {self.n_iter_} iteration(s): "
                f"{result.message}. You might also want to scale the data."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=3)

    @contextlib.contextmanager
    def _followed(self, run: Run, tasks: Tasks) -> Iterator[Display | None]:
        """Have callbacks and a display follow a training; end it with the best weights.

        A training that is left or fails has no end, but all is torn down.
        """
        self._run, display = run, None
        try:
            display = open_display(self, bar=not run.incremental)
            try:
                tasks.begin()
                yield display
            except BaseException:
                if self._progress is run.token:
                    # Steps of the epoch that failed have written into the weights.
                    self._keep_params(run, run.progress.answering)
                raise
            finally:
                if run.best is not None and self._progress is run.token:
                    self._keep_params(run, run.best)
            tasks.end()
        finally:
            if display is not None:
                display.close()
            tasks.close()
            if run.rows is not None:
                run.progress.order = None  # the next rows will be others
            if self._run is run:
                del self._run

    def _watch(self, run: Run, loss: float) -> float:
        """Look at the held-out data; return what is to fall."""
        self._keep_params(run, run.progress.answering)
        if run.held_out is None:
            return loss
        value, score = run.held_out.look(self, run.objective)
        self.validation_loss_curve_.append(value)
        self.validation_scores_.append(score)
        return -score if self.early_stopping else loss

    def _record(self, run: Run, epoch: Epoch, display: Display | None) -> None:
        """Take down an epoch, keep its weights if they are the best, and show it."""
        run.n_iter, run.cut = epoch.n_iter, epoch.out_of_time
        self.n_iter_ = epoch.n_iter
        self.t_ = run.progress.n_seen
        self.loss_ = epoch.loss
        self.loss_curve_.append(epoch.loss)
        if self.best_loss_ is not None:
            self.best_loss_ = min(self.best_loss_, epoch.loss)
        score = None
        if run.held_out is not None:
            score = self.validation_scores_[-1]
            better = score > self.best_validation_score_
            if better and self.early_stopping and run.stochastic:
                run.keep(epoch.params)
            self.best_validation_score_ = max(self.best_validation_score_, score)
        if display is None:
            return
        display.show(epoch, score)
        if epoch.plateau:
            watched = "Validation score" if self.early_stopping else "Training loss"
            by_5 = self.learning_rate == "adaptive"
            then = f"{'Dividing' if by_5 else 'Reducing'} the learning rate"
            then = f"{then} by 5." if by_5 else f"{then}."
            then = "Stopping." if epoch.converged else then
            display.say(
                f"{watched} did not improve more than tol={self.tol:f} for "
                f"{self.n_iter_no_change} consecutive epochs. {then}"
            )

    def _weigh(
        self,
        y: HostArray,  # noqa: ARG002
        sample_weight: HostArray | None,
        y_val: HostArray | None,  # noqa: ARG002
    ) -> tuple[HostArray | None, HostArray | None]:
        """Return what the loss weighs samples by, and held-out ones of the user's.

        A classifier multiplies by the weights of the classes.
        """
        return sample_weight, None

    # ----------------------------------------------------------------------- prediction

    def _outputs(self, X: Array, method: str) -> tuple[Array, Array]:
        """Return the network's outputs, where it lives, and where to answer."""
        if not hasattr(self, "coefs_"):  # it takes as long as a layer to find one
            check_is_fitted(self, "coefs_")
        X = check_X(self, X, reset=False)
        self._check_place(X, method)
        network = make_network(
            self._sizes, self.activation, normalization=self._normalization
        )
        return network.outputs(self._weights, X), answers_at(X)

    def _repr_html_inner(self) -> str:
        """Return scikit-learn's HTML, and below it the table of layers once fitted."""
        representation: str = super()._repr_html_inner()
        if hasattr(self, "coefs_"):
            representation += summary(self).to_html()
        return representation

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Return what notebooks show, with the same HTML."""
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] = self._repr_html_inner()
        return bundle

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
