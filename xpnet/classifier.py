"""The classifier: the network behind scikit-learn's interface."""

import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xpnet._namespace import (
    array_namespace,
    asarray_like,
    default_float,
    dtype_name,
    same_place,
    to_numpy,
)
from xpnet._typing import Array
from xpnet._validation import (
    MLP_CONSTRAINTS,
    check_X,
    encode_labels,
    hidden_sizes,
)
from xpnet.backends import backend_of, get_backend
from xpnet.exceptions import DataError
from xpnet.functional import log_sigmoid, log_softmax, one_hot
from xpnet.initializers import get_initializer
from xpnet.losses import sigmoid_cross_entropy, softmax_cross_entropy
from xpnet.network import Network
from xpnet.optimizers import SGD, Adam, Optimizer
from xpnet.training import Epoch, Objective, Plateau, train

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    r"""Multi-layer perceptron classifier.

    Hidden layers :math:`A^l = g(A^{l-1} W^l + b^l)`, a softmax over the classes (for
    two classes the logistic sigmoid of one output), trained by back-propagation on the
    cross-entropy with an L2 penalty:

    .. math:: J = -\frac1n \sum_s \log a_{s, y_s} + \frac{\alpha}{2n} \sum_l
        \lVert W^l \rVert^2

    Names, defaults and, for the same `random_state`, the course of training are those
    of :class:`sklearn.neural_network.MLPClassifier`; the last three parameters are
    xpnet's own. Everything follows `X`: give CuPy, torch or JAX arrays, and the network
    lives and answers there.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden layers.
    solver : {"sgd", "adam"}, default="adam"
        Gradient descent with momentum, or Adam.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights; it is divided by the batch's size.
    batch_size : int or "auto", default="auto"
        Samples a step; ``"auto"`` is ``min(200, n_samples)``.
    learning_rate_init : float, default=0.001
        The learning rate of every step.
    max_iter : int, default=200
        Epochs, passes over the data, at most.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    random_state : int, RandomState or None, default=None
        Where first weights and orders are drawn from, on the host: the same number
        gives the same draws on every backend.
    tol : float, default=0.0001
        The least improvement of the loss that counts.
    verbose : bool, default=False
        Print the loss of each epoch.
    momentum : float, default=0.9
        Of ``"sgd"``, in [0, 1].
    nesterovs_momentum : bool, default=True
        Of ``"sgd"``: look ahead along the momentum.
    n_iter_no_change : int, default=10
        Training stops when the loss of more than this many epochs in a row is not
        better than the best by `tol`.
    backend : str or None, default=None
        Where to train, a name that :func:`xpnet.get_backend` takes: `X` and `y` move
        there once, and answers come back where they were asked for. None follows `X`.
    dtype : {"float32", "float64"} or None, default=None
        What to compute in. None keeps float32 and float64, takes float32 for float16
        and the backend's widest float for integers.
    init : str, default="glorot_uniform"
        How first weights are drawn: a key of :data:`xpnet.initializers.INITIALIZERS`.
        The default is scikit-learn's.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted, on the host.
    coefs_ : list of array, shapes (fan_in, fan_out)
        Weights of each layer, in the backend's namespace.
    intercepts_ : list of array, shapes (fan_out,)
        Biases of each layer.
    loss_curve_ : list of float
        The objective of each epoch, in nats: the average over its steps of the value
        before each.
    loss_, best_loss_ : float
        The last of them, and the least.
    n_iter_ : int
        Epochs run.
    t_ : int
        Samples seen.
    n_features_in_ : int
        Features of `X`.
    feature_names_in_ : ndarray, shape (n_features_in_,)
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
    """

    _parameter_constraints = MLP_CONSTRAINTS

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        n_iter_no_change: float = 10,
        backend: str | None = None,
        dtype: str | None = None,
        init: str = "glorot_uniform",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.n_iter_no_change = n_iter_no_change
        self.backend = backend
        self.dtype = dtype
        self.init = init

    # ------------------------------------------------------------------------- training

    def fit(self, X: Array, y: Array) -> Self:
        """Train on samples and their labels.

        Parameters
        ----------
        X : array or array-like, shape (n_samples, n_features)
            Samples, finite numbers.
        y : array or array-like, shape (n_samples,)
            Labels of two classes or more: numbers or strings.

        Returns
        -------
        MLPClassifier
            The estimator, fitted. Ctrl-C ends training and keeps what was learnt.

        Raises
        ------
        ValueError
            A parameter or the data can't be used, or training diverged.
        ImportError
            The backend can't be used on this machine.
        """
        try:
            for epoch in self.iter_fit(X, y):
                if self.verbose:
                    print(f"Iteration {epoch.n_iter}, loss = {epoch.loss:.8f}")  # noqa: T201
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
            return self
        if not epoch.converged:
            msg = (
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                "the optimization hasn't converged yet."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=2)
        return self

    def iter_fit(self, X: Array, y: Array) -> Iterator[Epoch]:
        """Train like :meth:`fit`, and come back after each epoch.

        Between two epochs the estimator is fitted: score it, plot it, or leave the loop
        to stop training.

        Parameters
        ----------
        X, y : array or array-like
            As for :meth:`fit`; they are checked before the first epoch.

        Returns
        -------
        iterator of xpnet.training.Epoch
            One an epoch, with `n_iter` and `loss`.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = MLPClassifier(random_state=0)
        >>> for epoch in clf.iter_fit(X[:1000] / 16, y[:1000]):
        ...     if clf.score(X[1000:] / 16, y[1000:]) > 0.85:
        ...         break
        >>> clf.n_iter_ == epoch.n_iter
        True
        """
        self._validate_params()
        sizes = hidden_sizes(self.hidden_layer_sizes)
        X = check_X(self, X, reset=True)
        self.classes_, codes = encode_labels(y, X.shape[0])
        backend = backend_of(X) if self.backend is None else get_backend(self.backend)
        dtype = default_float(backend.xp, backend.device, self._float_name(X))
        random_state = check_random_state(self.random_state)

        n_classes = self.classes_.shape[0]
        n_outputs = 1 if n_classes == 2 else n_classes
        network = Network.from_sizes([X.shape[1], *sizes, n_outputs], self.activation)
        initializer = get_initializer(self.init, self.activation)
        params = network.flatten(
            [
                initializer(layer.fan_in, layer.fan_out, random_state)
                for layer in network.layers
            ]
        )
        self.n_layers_ = len(network.layers) + 1
        self.n_outputs_ = n_outputs
        self.out_activation_ = "logistic" if n_outputs == 1 else "softmax"
        self.loss_curve_: list[float] = []
        self.n_iter_ = self.t_ = 0
        epochs = train(
            Objective(network, _cross_entropy, self.alpha),
            self._optimizer(),
            params := backend.asarray(params, dtype, copy=True),
            backend.asarray(X, dtype),
            backend.asarray(codes),
            learning_rate=self.learning_rate_init,
            batch_size=self._batch_size(X.shape[0]),
            max_iter=self.max_iter,
            plateau=Plateau(self.tol, self.n_iter_no_change),
            random_state=random_state,
            shuffle=self.shuffle,
        )
        self._keep_params(network, params)
        return self._record(epochs, network, X.shape[0])

    def _record(
        self, epochs: Iterator[Epoch], network: Network, n_samples: int
    ) -> Iterator[Epoch]:
        """Keep the fitted attributes up to date, epoch by epoch."""
        for epoch in epochs:
            self._keep_params(network, epoch.params)
            self.n_iter_ = epoch.n_iter
            self.t_ += n_samples
            self.loss_ = epoch.loss
            self.loss_curve_.append(epoch.loss)
            self.best_loss_ = min(self.loss_curve_)
            yield epoch

    def _keep_params(self, network: Network, params: Array) -> None:
        weights, biases = zip(*network.views(params), strict=True)
        self.coefs_, self.intercepts_ = list(weights), list(biases)

    def _float_name(self, X: Array) -> str | None:
        if self.dtype is None and dtype_name(X.dtype) in (
            "float16",
            "bfloat16",
            "float32",
        ):
            return "float32"
        return self.dtype

    def _optimizer(self) -> Optimizer:
        if self.solver == "sgd":
            return SGD(self.momentum, self.nesterovs_momentum)
        return Adam()

    def _batch_size(self, n_samples: int) -> int:
        if isinstance(self.batch_size, str):  # "auto"
            return min(200, n_samples)
        if self.batch_size > n_samples:
            msg = (
                f"Got batch_size={self.batch_size}, larger than the sample size "
                f"{n_samples}. It is going to be clipped."
            )
            warnings.warn(msg, stacklevel=4)
        return min(self.batch_size, n_samples)

    # ----------------------------------------------------------------------- prediction

    def _logits(self, X: Array, method: str) -> tuple[Array, Array]:
        """Return the logits where the network lives, and `X` as it was checked."""
        check_is_fitted(self, "coefs_")
        X = check_X(self, X, reset=False)
        W = self.coefs_[0]
        if self.backend is None and not same_place(X, W):
            name, here, there = type(self).__name__, backend_of(X), backend_of(W)
            msg = (
                f"Inputs passed to {name}.{method}() must use the same namespace and "
                f"the same device as those passed to fit(): it was fitted on "
                f"{there.name!r}, and X is on {here.name!r}. Convert X, or name the "
                f"backend: {name}(backend={there.name!r}) moves what it is given."
            )
            raise DataError(msg)
        sizes = [self.n_features_in_, *(b.shape[0] for b in self.intercepts_)]
        network = Network.from_sizes(sizes, self.activation)
        weights = list(zip(self.coefs_, self.intercepts_, strict=True))
        logits, _ = network.forward(weights, asarray_like(X, W, W.dtype))
        return logits, X

    def decision_function(self, X: Array) -> Array:
        """Return the logits: the scores before softmax or sigmoid.

        Parameters
        ----------
        X : array or array-like, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes), or (n_samples,) for two classes
            In the namespace and on the device of `X`.
        """
        logits, X = self._logits(X, "decision_function")
        return asarray_like(logits[:, 0] if self.n_outputs_ == 1 else logits, X)

    def predict_log_proba(self, X: Array) -> Array:
        """Return logarithms of the classes' probabilities; finite for finite logits.

        Parameters
        ----------
        X : array or array-like, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the order of `classes_`, in the namespace and on the device of `X`.
        """
        logits, X = self._logits(X, "predict_log_proba")
        return asarray_like(_log_proba(logits), X)

    def predict_proba(self, X: Array) -> Array:
        """Return the classes' probabilities.

        Parameters
        ----------
        X : array or array-like, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the order of `classes_`, in the namespace and on the device of `X`.
        """
        logits, X = self._logits(X, "predict_proba")
        return asarray_like(array_namespace(logits).exp(_log_proba(logits)), X)

    def predict(self, X: Array) -> Array:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array or array-like, shape (n_samples, n_features)
            Samples.

        Returns
        -------
        array, shape (n_samples,), dtype of `classes_`
            In the namespace and on the device of `X`; strings on the host.
        """
        logits, X = self._logits(X, "predict")
        xp = array_namespace(logits)
        if self.n_outputs_ == 1:
            codes = xp.astype(logits[:, 0] > 0.0, xp.int32)
        else:
            codes = xp.argmax(logits, axis=1)
        if self.classes_.dtype.kind not in "biuf":  # strings live on the host
            return self.classes_[to_numpy(codes)]
        classes, codes = asarray_like(self.classes_, X), asarray_like(codes, X)
        return array_namespace(X).take(classes, codes, axis=0)

    def score(self, X: Array, y: Array, sample_weight: Array | None = None) -> float:
        """Return the share of samples whose class is predicted right.

        Parameters
        ----------
        X : array or array-like, shape (n_samples, n_features)
            Samples.
        y : array or array-like, shape (n_samples,)
            Their labels.
        sample_weight : array-like, shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        float
            The accuracy, in [0, 1].
        """
        predicted = to_numpy(self.predict(X))
        return float(
            accuracy_score(to_numpy(y), predicted, sample_weight=sample_weight)
        )


def _cross_entropy(
    logits: Array, codes: Array, *, out: Array | None = None
) -> tuple[Array, Array]:
    """Cross-entropy with class numbers: of one logit for two classes, else one each."""
    n_outputs = logits.shape[1]
    if n_outputs == 1:
        targets = array_namespace(codes).astype(codes[:, None], logits.dtype)
        return sigmoid_cross_entropy(logits, targets, out=out)
    targets = one_hot(codes, n_outputs, logits.dtype)
    return softmax_cross_entropy(logits, targets, out=out)


def _log_proba(logits: Array) -> Array:
    """Logarithms of the classes' probabilities, one column a class."""
    if logits.shape[1] > 1:
        return log_softmax(logits)
    return log_sigmoid(array_namespace(logits).concat([-logits, logits], axis=1))
