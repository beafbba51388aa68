"""The regressor: numbers in, numbers out."""

from functools import partial
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from xpnet import losses
from xpnet._custom import adapt_loss, check_loss
from xpnet._mlp import BaseMLP
from xpnet._namespace import array_namespace, asarray_like, to_numpy
from xpnet._parameters import COMMON_CONSTRAINTS, Sloped
from xpnet._typing import Array, DType
from xpnet._validation import HostArray, check_weights, check_y
from xpnet.backends import backend_of
from xpnet.exceptions import DataError
from xpnet.losses import Loss
from xpnet.training import Data

__all__ = ["LOSSES", "MLPRegressor"]

LOSSES: dict[str, Loss] = {
    "squared_error": losses.squared_error,
    "poisson": losses.poisson,
    "absolute_error": losses.absolute_error,
    "huber": losses.huber,
    "quantile": losses.quantile,
    "gaussian_nll": losses.gaussian_nll,
}


def _as_they_are(targets: Array, dtype: DType) -> Array:  # noqa: ARG001
    """Numbers can be mixed."""
    return targets


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]  # untyped
    r"""Multi-layer perceptron regressor.

    Hidden layers :math:`A^l = g(A^{l-1} W^l + b^l)`, a linear output, trained by
    back-propagation on a loss with an L2 penalty, by default

    .. math:: J = \frac{1}{2nk} \sum_s \sum_i (a_{si} - y_{si})^2 +
        \frac{\alpha}{2n} \sum_l \lVert W^l \rVert^2

    Names, defaults and, for the same `random_state`, the course of training are those
    of :class:`sklearn.neural_network.MLPRegressor`; the parameters behind `max_fun` are
    xpnet's own. Everything follows `X`: give CuPy, torch or JAX arrays, and the network
    lives and answers there.

    Parameters
    ----------
    loss : str or object, default="squared_error"
        ``"squared_error"``, ``"poisson"`` (the network computes the logarithm of the
        mean), ``"absolute_error"``, ``"huber"``, ``"quantile"``, ``"gaussian_nll"``
        (mean and variance are learnt), or an object with two methods on arrays of shape
        (n_samples, n_outputs): ``value(outputs, targets)``, the loss of each sample,
        and ``derivative(outputs, targets)``, which are checked against each other.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` for none.
    activation : str, object, or a list of them, default="relu"
        Of the hidden layers, one for all or one for each: ``"identity"``,
        ``"logistic"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"``, ``"elu"``, ``"selu"``,
        ``"softplus"``, ``"gelu"``, ``"silu"``, ``"mish"``, or an object with two methods
        on arrays, ``value(Z)`` and ``derivative(Z)``, which are checked against each
        other.
    solver : str, default="adam"
        L-BFGS on all samples at once, ``"lbfgs"``, or an optimiser of steps on batches:
        ``"sgd"``, gradient descent with momentum, ``"adam"``, ``"adamw"``, ``"nadam"``,
        ``"rmsprop"`` or ``"muon"``.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights; it is divided by the batch's size, or
        its weight.
    batch_size : int or "auto", default="auto"
        Samples a step; ``"auto"`` is ``min(200, n_samples)``.
    learning_rate : str or xpnet.schedules.Plan, default="constant"
        How it changes: ``"constant"``; ``"invscaling"``, divided by
        ``(t + 1) ** power_t`` after t samples, epoch by epoch; ``"adaptive"``, divided
        by 5 on each plateau (both have no effect on ``"adam"``, as in scikit-learn);
        ``"step"``, ``"exponential"``, ``"cosine"``, ``"one_cycle"``, ``"warmup"``,
        ``"plateau"``, or an object of :mod:`xpnet.schedules` that says more.
    learning_rate_init : float, default=0.001
        The learning rate of the first step; with a warm-up or one cycle the highest.
    power_t : float, default=0.5
        The exponent of ``"invscaling"``.
    max_iter : int, default=200
        Epochs, passes over the data, at most; for ``"lbfgs"`` iterations.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    random_state : int, RandomState or None, default=None
        Where first weights, held-out samples and orders are drawn from, on the host:
        the same number gives the same draws on every backend.
    tol : float, default=0.0001
        The least improvement that counts; for ``"lbfgs"`` the largest entry of the
        gradient to stop at.
    verbose : bool or int, default=False
        Show a bar on a terminal, and print the loss of each epoch elsewhere; with 2,
        print it there, too.
    warm_start : bool, default=False
        Whether :meth:`fit` goes on where the last call ended: weights, optimiser, and
        the stream of orders.
    momentum : float, default=0.9
        Of ``"sgd"`` and ``"muon"``, in [0, 1].
    nesterovs_momentum : bool, default=True
        Of both: look ahead along the momentum.
    early_stopping : bool, default=False
        Watch the score on held-out samples instead of the loss, and end with the
        weights that had the best.
    validation_fraction : float, default=0.1
        The share of the samples that `early_stopping` holds out.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the moments, in [0, 1), of ``"adam"``, ``"adamw"``, ``"nadam"``, and
        what ``"muon"`` leaves to ``"adamw"``.
    epsilon : float, default=1e-8
        Of these and ``"rmsprop"``: added to the denominator.
    n_iter_no_change : int, default=10
        Training stops when more than this many epochs in a row have not improved by
        `tol`.
    max_fun : int, default=15000
        Of ``"lbfgs"``: evaluations at most.
    quantile : float, default=0.5
        The level of ``"quantile"``, in (0, 1).
    huber_delta : float, default=1.0
        Where ``"huber"`` turns from squared to absolute, in the unit of `y`.
    weight_decay : float, default=0.01
        Of ``"adamw"`` and ``"muon"``: what a step takes off weights and biases, times
        the learning rate. The L2 penalty, `alpha`, comes on top.
    rho : float, default=0.99
        Of ``"rmsprop"``: decay of the mean square, in [0, 1).
    clip_norm : float or None, default=None
        The length, over all layers, that gradients are clipped to.
    ema_decay : float or None, default=None
        Predict with the exponential moving average of the weights over the steps, of
        this decay in (0, 1): it is what `coefs_` holds, and what held-out samples are
        scored with. Training goes on with the weights themselves.
    accumulate : int, default=1
        Batches a step: their gradients are added up, as if the batch were so many times
        as large, in the memory of one. (Batch normalisation is by batch all the same.)
    scoring : str, callable or None, default=None
        The score of the held-out samples: None is that of :meth:`score`, ``"loss"`` the
        negative loss, else as :func:`sklearn.metrics.get_scorer` takes it. It is given
        the `sample_weight` of samples that were split off, if it takes one.
    max_time : float or None, default=None
        Seconds after which training ends with the step under way.
    backend : str or None, default=None
        Where to train, a name that :func:`xpnet.get_backend` takes: `X` and `y` move
        there once, and answers come back where they were asked for. None follows `X`.
    dtype : {"float32", "float64"} or None, default=None
        What to compute in. None keeps float32 and float64, takes float32 for float16
        and the backend's widest float for integers.
    init : str, default="glorot_uniform"
        How first weights are drawn: a key of :data:`xpnet.initializers.INITIALIZERS`.
        The default is scikit-learn's.
    compiled : bool or None, default=None
        Whether the stochastic solvers' step is given to the library's compiler as a
        whole: ``jax.jit``, ``torch.compile``, a CUDA graph on CuPy; of NumPy the calls
        are recorded. None does so where that pays of itself, on JAX and, where steps
        are small and all functions xpnet's, on NumPy.
    dropout : float or list of float, default=0.0
        The share of the hidden units that each step drops, one for all hidden layers or
        one for each; the others are scaled up, and nothing is dropped in predictions.
    input_dropout : float, default=0.0
        The share of the features that each step drops.
    normalization : {"layer", "batch"} or None, default=None
        What hidden layers standardise between weights and activation: the units of each
        sample, or each unit over the batch. The intercepts are added afterwards, to
        what is scaled by `gains_`. Predictions after ``"batch"`` take `means_` and
        `variances_`.
    l1 : float, default=0.0
        Strength of the L1 penalty on the weights, divided as `alpha` is.
    max_norm : float or None, default=None
        The largest norm of the weights of what comes in to a hidden unit; longer ones
        are scaled back after each step.
    mixup : float, default=0.0
        Train on mixtures of two samples and their targets, in shares that are drawn
        from Beta(mixup, mixup); 0 doesn't mix.

    Attributes
    ----------
    coefs_ : list of array, shapes (fan_in, fan_out)
        Weights of each layer, in the backend's namespace.
    intercepts_ : list of array, shapes (fan_out,)
        Biases of each layer.
    gains_ : list of array, shapes (fan_out,)
        Gains of the hidden layers, with `normalization` only.
    means_, variances_ : list of array, shapes (fan_out,)
        With ``normalization="batch"`` only: mean and variance, over the samples that
        were trained on (over 8192 of them where there are more), of what each hidden
        layer standardises.
    loss_curve_ : list of float
        The objective of each epoch: the average over its steps of the value before
        each. For ``"lbfgs"`` the value after each iteration.
    loss_, best_loss_ : float
        The last of them, NaN before there is one, and the least (None with
        `early_stopping`).
    validation_loss_curve_, validation_scores_ : list of float, or None
        Loss, without the penalty, and score of the held-out samples at each epoch.
    best_validation_score_ : float or None
        The best of the scores.
    n_iter_ : int
        Epochs, or iterations, of the last training.
    t_ : int
        Samples that the steps have seen.
    n_features_in_ : int
        Features of `X`.
    feature_names_in_ : ndarray, shape (n_features,)
        Column names, where `X` was a frame with string names.
    n_layers_, n_outputs_ : int
        Layers, the input's included, and outputs.
    out_activation_ : {"identity", "exp"}
        Of the output layer.

    References
    ----------
    .. [1] D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by
       back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from xpnet import MLPRegressor
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> reg = MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", random_state=0)
    >>> reg = reg.fit(X, y / 100)
    >>> reg.score(X, y / 100) > 0.99
    True
    """

    _parameter_constraints = COMMON_CONSTRAINTS | {
        "loss": [StrOptions(set(LOSSES)), Sloped()],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }
    _numeric = True
    _stratify = False

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        quantile: float = 0.5,
        huber_delta: float = 1.0,
        weight_decay: float = 0.01,
        rho: float = 0.99,
        clip_norm: float | None = None,
        ema_decay: float | None = None,
        accumulate: int = 1,
        scoring: Any = None,
        max_time: float | None = None,
        backend: str | None = None,
        dtype: str | None = None,
        init: str = "glorot_uniform",
        compiled: bool | None = None,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        normalization: str | None = None,
        l1: float = 0.0,
        max_norm: float | None = None,
        mixup: float = 0.0,
    ) -> None:
        self._store(locals())

    # -------------------------------------------------------------------------- targets

    def _learn_targets(self, y: HostArray, classes: None = None) -> None:  # noqa: ARG002
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]

    @property
    def _n_units(self) -> int:
        return self.n_outputs_ * (2 if self.loss == "gaussian_nll" else 1)

    def _encode(self, y: HostArray) -> HostArray:
        y = y.reshape(y.shape[0], -1)
        if y.shape[1] != self.n_outputs_:
            msg = f"Expected y with {self.n_outputs_} outputs, got {y.shape[1]}."
            raise DataError(msg)
        if self.loss == "poisson" and np.any(y < 0.0):
            msg = (
                "loss='poisson' takes counts or rates: y must not be negative, and its "
                f"least value is {np.min(y)}."
            )
            raise DataError(msg)
        return y

    def _loss(self, data: Data) -> Loss:
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        if not isinstance(self.loss, str):
            some = data.targets[:16, ...]
            check_loss(self.loss, self._n_units, some, backend_of(some))
            return adapt_loss(self.loss)
        if self.loss == "quantile":
            return partial(losses.quantile, level=float(self.quantile))
        if self.loss == "huber":
            return partial(losses.huber, delta=float(self.huber_delta))
        return LOSSES[self.loss]

    _soften = staticmethod(_as_they_are)

    def _score_outputs(
        self, outputs: Array, y: HostArray, weights: HostArray | None
    ) -> float:
        return _r2(y, to_numpy(self._means(outputs)), weights)

    @available_if(lambda self: self._check_stochastic("partial_fit"))  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Array, y: Array, sample_weight: Array | None = None
    ) -> Self:
        """Train for one epoch, from where the last call ended.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.
        y : array or array-like, shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array or array-like, shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        MLPRegressor
            Itself.

        Raises
        ------
        ValueError
            As :meth:`fit`.
        AttributeError
            The solver is ``"lbfgs"``.
        """
        return self._partial_fit(X, y, sample_weight)

    # ----------------------------------------------------------------------- prediction

    def _means(self, outputs: Array) -> Array:
        """Return what is predicted, (n_samples,) or (n_samples, n_outputs)."""
        means = outputs[:, : self.n_outputs_]
        if self.out_activation_ == "exp":
            means = array_namespace(means).exp(means)
        return means[:, 0] if self.n_outputs_ == 1 else means

    def predict(
        self, X: Array, *, return_std: bool = False
    ) -> Array | tuple[Array, Array]:
        """Return the predicted numbers.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.
        return_std : bool, default=False
            Return standard deviations too; with ``loss="gaussian_nll"`` only.

        Returns
        -------
        y : array, shape (n_samples,) or (n_samples, n_outputs)
            In the namespace and on the device of `X`.
        std : array of the same shape
            With `return_std`.

        Raises
        ------
        ValueError
            `X` can't be used, there is no network yet, or `return_std` was asked of a network that was trained
            on another loss.
        """
        outputs, ref = self._outputs(X, "predict")
        if return_std and outputs.shape[1] != 2 * self.n_outputs_:
            msg = (
                "return_std=True needs a network that learnt variances: fit it with "
                "loss='gaussian_nll'."
            )
            raise DataError(msg)
        means = asarray_like(self._means(outputs), ref)
        if not return_std:
            return means
        std = array_namespace(outputs).exp(0.5 * outputs[:, self.n_outputs_ :])
        return means, asarray_like(std[:, 0] if self.n_outputs_ == 1 else std, ref)

    def score(self, X: Array, y: Array, sample_weight: Array | None = None) -> float:
        r"""Return the coefficient of determination, :math:`R^2`.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.
        y : array or array-like, shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array or array-like, shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        float
            At most 1, which is best.

        Raises
        ------
        ValueError
            `X`, `y` or `sample_weight` can't be used.
        """
        predicted = to_numpy(self.predict(X))
        y = check_y(self, y, predicted.shape[0], numeric=True)
        return _r2(y, predicted, check_weights(sample_weight, predicted))


def _r2(y: HostArray, predicted: HostArray, weights: HostArray | None) -> float:
    if not np.all(np.isfinite(predicted)):
        return float("nan")
    return float(r2_score(y, predicted, sample_weight=weights))
