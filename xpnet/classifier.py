"""The classifier: labels in, classes and probabilities out."""

from collections.abc import Callable
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from xpnet._mlp import BaseMLP
from xpnet._namespace import asarray_like, to_numpy
from xpnet._parameters import COMMON_CONSTRAINTS
from xpnet._targets import ClassTargets, is_multilabel, is_text, learn, listed, restore
from xpnet._typing import Array, DType
from xpnet._validation import HostArray, check_weights, check_y
from xpnet.exceptions import DataError
from xpnet.losses import Loss
from xpnet.training import Data

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]  # untyped
    r"""Multi-layer perceptron classifier.

    Hidden layers :math:`A^l = g(A^{l-1} W^l + b^l)`, a softmax over the classes (for
    two classes, and for each of several labels, the logistic sigmoid of one output),
    trained by back-propagation on the cross-entropy with an L2 penalty:

    .. math:: J = -\frac1n \sum_s \log a_{s, y_s} + \frac{\alpha}{2n} \sum_l
        \lVert W^l \rVert^2

    Names, defaults and, for the same `random_state`, the course of training are those
    of :class:`sklearn.neural_network.MLPClassifier`; the parameters behind `max_fun`
    are xpnet's own. Everything follows `X`: give CuPy, torch or JAX arrays, and the
    network lives and answers there.

    Parameters
    ----------
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
        The share of the samples that `early_stopping` holds out, with the
        classes' shares kept (of single-label targets).
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
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes: by label, for several outputs or labels a list with a
        dict for each, or inversely to how often they occur. They multiply
        `sample_weight` in the loss, of held-out samples too, and are no part of scores.
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
    label_smoothing : float, default=0.0
        The share of each target that goes to all classes alike, in [0, 1); in the loss
        of held-out samples too.
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
    classes_ : array, shape (n_classes,), or list of them
        The labels, sorted, where `X` lies; on the host where they are strings or dates,
        or numbers that the library would round. A list for several outputs.
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
    out_activation_ : {"softmax", "logistic"}
        Of the output layer.

    References
    ----------
    .. [1] D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by
       back-propagating errors", Nature 323, 1986.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from xpnet import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> X = scale(X)
    >>> clf = MLPClassifier((16,), learning_rate_init=0.05, random_state=0).fit(X, y)
    >>> clf.predict(X[:2])
    array([0, 0])
    >>> clf.score(X, y) > 0.97
    True

    Leave the loop to stop training:

    >>> for epoch in clf.iter_fit(X, y):
    ...     if clf.score(X, y) > 0.9:
    ...         break
    >>> clf.n_iter_ == epoch.n_iter
    True
    """

    _parameter_constraints = COMMON_CONSTRAINTS | {
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }
    _numeric = False

    def __init__(
        self,
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
        class_weight: Any = None,
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
        label_smoothing: float = 0.0,
        l1: float = 0.0,
        max_norm: float | None = None,
        mixup: float = 0.0,
    ) -> None:
        self._store(locals())

    # -------------------------------------------------------------------------- targets

    def _learn_targets(self, y: HostArray, classes: Any = None) -> None:
        targets = learn(y, classes)
        self.classes_ = targets.classes_
        self.n_outputs_ = targets.n_outputs
        self.out_activation_ = targets.out_activation

    @property
    def _targets(self) -> ClassTargets:
        return restore(self.classes_, self.n_outputs_, self.out_activation_)

    @property
    def _n_units(self) -> int:
        return self._targets.n_outputs

    @property
    def _stratify(self) -> bool:
        return self._targets.stratify

    def _encode(self, y: HostArray) -> HostArray:
        return self._targets.encode(y)

    def _loss(self, data: Data) -> Loss:  # noqa: ARG002
        if self.label_smoothing == 0.0 and self.mixup == 0.0:
            return self._targets.loss
        return self._targets.soft_loss(float(self.label_smoothing))

    @property
    def _soften(self) -> Callable[[Array, DType], Array]:
        return self._targets.soften

    def _weigh(
        self, y: HostArray, sample_weight: HostArray | None, y_val: HostArray | None
    ) -> tuple[HostArray | None, HostArray | None]:
        if self.class_weight is None:
            return sample_weight, None
        labels = y if y_val is None else np.concatenate([y, y_val])
        ends = [y.shape[0], labels.shape[0]]
        if self.class_weight == "balanced":  # counts in y alone
            rows = np.arange(y.shape[0])
            weights = compute_sample_weight("balanced", labels, indices=rows)
        else:  # is judged by all classes, of which a chunk may lack some
            labels = np.concatenate([labels, self._targets.every_class()])
            weights = compute_sample_weight(self.class_weight, labels)
        weights, weights_val, _ = np.split(weights, ends)
        if sample_weight is not None:
            weights = weights * sample_weight
        return weights, None if y_val is None else weights_val

    def _score_outputs(
        self, outputs: Array, y: HostArray, weights: HostArray | None
    ) -> float:
        return _accuracy(y, self._targets.predict(outputs, np.empty(0)), weights)

    @available_if(lambda self: self._check_stochastic("partial_fit"))  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: Array,
        y: Array,
        sample_weight: Array | None = None,
        classes: Array | None = None,
    ) -> Self:
        """Train for one epoch, from where the last call ended.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.
        y : array or array-like, shape (n_samples,) or (n_samples, n_labels)
            Labels; not every class needs to occur.
        sample_weight : array or array-like, shape (n_samples,), optional
            Weights of the samples.
        classes : array-like, shape (n_classes,), or list of them, optional
            All labels there will be, for several outputs those of each; needed at the
            first call, unless `y` is an indicator matrix.

        Returns
        -------
        MLPClassifier
            Itself.

        Raises
        ------
        ValueError
            As :meth:`fit`, and where `classes` is missing or has changed.
        AttributeError
            The solver is ``"lbfgs"``.
        """
        if self.class_weight == "balanced":
            msg = (
                "class_weight='balanced' needs all samples at once: for partial_fit, "
                "pass the weights of sklearn.utils.compute_class_weight as a dict."
            )
            raise DataError(msg)
        known = getattr(self, "classes_", None)
        if classes is not None:
            classes = listed(classes)
            parts = classes if isinstance(classes, list) else [classes]
            before = known if isinstance(known, list) else [known]
            if known is not None and not (
                len(before) == len(parts)
                and all(map(np.array_equal, map(to_numpy, before), parts))
            ):
                msg = (
                    f"`classes={classes!r}` is not the same as on last call to "
                    f"partial_fit, was: {known!r}"
                )
                raise DataError(msg)
        elif known is None and not is_multilabel(y):
            msg = "classes must be passed on the first call to partial_fit."
            raise DataError(msg)
        return self._partial_fit(X, y, sample_weight, classes)

    # ----------------------------------------------------------------------- prediction

    def decision_function(self, X: Array) -> Array:
        """Return the logits: the scores before softmax or sigmoid.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes), or (n_samples,) for two classes
            In the namespace and on the device of `X`; for several outputs a list of
            arrays, one an output.

        Raises
        ------
        ValueError
            There is no network yet; or `X` can't be used, or would have to be moved.
        """
        outputs, ref = self._outputs(X, "decision_function")
        return _answer(self._targets.decision(outputs), ref)

    def predict_log_proba(self, X: Array) -> Array:
        """Return logarithms of the classes' probabilities; finite for finite logits.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the order of `classes_`, in the namespace and on the device of `X`; for
            several outputs a list of arrays, one an output.

        Raises
        ------
        ValueError
            There is no network yet; or `X` can't be used, or would have to be moved.
        """
        outputs, ref = self._outputs(X, "predict_log_proba")
        return _answer(self._targets.log_proba(outputs), ref)

    def predict_proba(self, X: Array) -> Array:
        """Return the classes' probabilities.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the order of `classes_`, in the namespace and on the device of `X`; for
            several outputs a list of arrays, one an output.

        Raises
        ------
        ValueError
            There is no network yet; or `X` can't be used, or would have to be moved.
        """
        outputs, ref = self._outputs(X, "predict_proba")
        return _answer(self._targets.proba(outputs), ref)

    def predict(self, X: Array) -> Array:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs), dtype of `classes_`
            In the namespace and on the device of `X`; on the host where `classes_` have
            to be.

        Raises
        ------
        ValueError
            There is no network yet; or `X` can't be used, or would have to be moved.
        """
        outputs, ref = self._outputs(X, "predict")
        return self._targets.predict(outputs, ref)

    def score(self, X: Array, y: Array, sample_weight: Array | None = None) -> float:
        """Return the share of samples whose class, or all of whose labels, are right.

        Parameters
        ----------
        X : array, array-like or sparse matrix, shape (n_samples, n_features)
            Samples.
        y : array or array-like, shape (n_samples,) or (n_samples, n_outputs)
            Their labels.
        sample_weight : array or array-like, shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        float
            The accuracy, in [0, 1].

        Raises
        ------
        ValueError
            `X`, `y` or `sample_weight` can't be used.
        """
        predicted = self.predict(X)
        y = check_y(self, y, predicted.shape[0], numeric=False)
        if y.shape != predicted.shape:
            msg = f"Expected y of shape {tuple(predicted.shape)}, got {y.shape}."
            raise DataError(msg)
        weights, predicted = (
            check_weights(sample_weight, predicted),
            to_numpy(predicted),
        )
        if is_text(y) != is_text(predicted):  # nothing would be right, 1 nor "1"
            msg = (
                "Mix of label input types (string and number): the classifier has "
                f"labels like {predicted.flat[0]!r}, and y like {y.flat[0]!r}."
            )
            raise DataError(msg)
        return _accuracy(y, predicted, weights)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that several labels a sample are welcome."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _accuracy(y: HostArray, predicted: HostArray, weights: HostArray | None) -> float:
    right = y == predicted
    if right.ndim == 2:
        right = np.all(right, axis=1)
    return float(np.average(right, weights=weights))


def _answer(x: Array | list[Array], ref: Array) -> Array | list[Array]:
    """Move to where the question came from."""
    if isinstance(x, list):
        return [asarray_like(each, ref) for each in x]
    return asarray_like(x, ref)
