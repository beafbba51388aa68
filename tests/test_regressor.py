"""The regressor: its losses, what it predicts, and what it refuses."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import mean_pinball_loss, r2_score
from tolerances import ELEMENTWISE, EXACT, FITTED, ONE_PASS, REGRESSED, SIGMAS

from xpnet import Backend, MLPRegressor
from xpnet._namespace import array_namespace, dtype_name, to_numpy
from xpnet._typing import Array
from xpnet.exceptions import DataError, GradientError
from xpnet.regressor import LOSSES
from xpnet.testing import assert_close

pytestmark = pytest.mark.filterwarnings(
    "ignore:Stochastic Optimizer", "ignore:lbfgs failed"
)


def quick(**parameters: Any) -> MLPRegressor:
    """Return a regressor that trains for three epochs of four batches."""
    defaults = {"hidden_layer_sizes": (5,), "max_iter": 3, "batch_size": 15}
    return MLPRegressor(**(defaults | {"random_state": 0} | parameters))


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y(X: np.ndarray) -> np.ndarray:
    """Numbers that suit every loss: none is negative."""
    return np.abs(X[:, 0] + 0.5 * X[:, 1] ** 2)


# ------------------------------------------------------------------------------- losses


@pytest.fixture
def skewed(rng: np.random.Generator) -> np.ndarray:
    """Numbers whose mean, median and other quantiles are far apart."""
    return rng.exponential(scale=2.0, size=201)


MINIMISERS: list[tuple[dict[str, Any], Callable[[np.ndarray], float]]] = [
    ({"loss": "squared_error"}, np.mean),
    ({"loss": "poisson"}, np.mean),
    ({"loss": "gaussian_nll"}, np.mean),
    ({"loss": "absolute_error"}, np.median),
    ({"loss": "quantile"}, np.median),
    ({"loss": "quantile", "quantile": 0.9}, lambda y: float(np.quantile(y, 0.9))),
    ({"loss": "quantile", "quantile": 0.1}, lambda y: float(np.quantile(y, 0.1))),
    ({"loss": "huber", "huber_delta": 1e3}, np.mean),
    ({"loss": "huber", "huber_delta": 1e-4, "learning_rate_init": 100.0}, np.median),
]


@pytest.mark.parametrize(("settings", "statistic"), MINIMISERS)
def test_what_a_loss_estimates(
    settings: dict[str, Any],
    statistic: Callable[[np.ndarray], float],
    skewed: np.ndarray,
) -> None:
    """Without information the best answer is a constant: the loss's statistic."""
    defaults: dict[str, Any] = {"hidden_layer_sizes": (), "solver": "sgd"}
    defaults |= {"learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 0.0}
    defaults |= {"n_iter_no_change": 50, "momentum": 0.5, "batch_size": 201}
    reg = MLPRegressor(random_state=0, max_iter=5000, **(defaults | settings))
    predicted = reg.fit(np.zeros((201, 1)), skewed).predict(np.zeros((1, 1)))
    assert predicted[0] == pytest.approx(statistic(skewed), rel=REGRESSED)


def test_the_mean_is_not_the_median(skewed: np.ndarray) -> None:
    """Or the test above would not tell one loss from another."""
    assert abs(np.mean(skewed) - np.median(skewed)) > 10 * REGRESSED * np.mean(skewed)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_every_loss_trains_everywhere(
    loss: str, solver: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    batches = {"batch_size": "auto"} if solver == "lbfgs" else {}
    options = {"loss": loss, "solver": solver, "max_iter": 6, **batches}
    here = backend.asarray(X)
    reg = quick(**options).fit(here, backend.asarray(y))
    predicted = reg.predict(here)
    assert backend.holds(predicted)
    assert tuple(predicted.shape) == (60,)
    assert reg.loss_curve_[-1] < reg.loss_curve_[0]
    desired = quick(**options).fit(X, y)
    assert_close(to_numpy(predicted), desired.predict(X), factor=FITTED)
    assert reg.out_activation_ == ("exp" if loss == "poisson" else "identity")


def test_the_loss_of_a_fit_is_the_loss(X: np.ndarray, y: np.ndarray) -> None:
    """By scikit-learn's own formulas, without penalty, at the last iterate."""
    options = {"alpha": 0.0, "solver": "lbfgs", "batch_size": "auto"}
    reg = quick(**options).fit(X, y)
    half = np.mean((reg.predict(X) - y) ** 2) / 2
    assert_close(np.asarray(reg.loss_), np.asarray(half), factor=FITTED)
    reg = quick(loss="quantile", quantile=0.7, **options).fit(X, y)
    pinball = mean_pinball_loss(y, reg.predict(X), alpha=0.7)
    assert_close(np.asarray(reg.loss_), np.asarray(pinball), factor=FITTED)


def test_noise_that_varies(rng: np.random.Generator) -> None:
    """The mean is learnt, and a standard deviation that is 0.1 here and 1 there."""
    X = rng.uniform(-1.0, 1.0, size=(2000, 1))
    scale = np.where(X[:, 0] < 0.0, 0.1, 1.0)
    y = 2.0 * X[:, 0] + scale * rng.normal(size=2000)
    reg = MLPRegressor(
        "gaussian_nll", (20,), learning_rate_init=0.01, max_iter=60, random_state=0
    )
    mean, std = reg.fit(X, y).predict(np.asarray([[-0.5], [0.5]]), return_std=True)
    np.testing.assert_allclose(mean, [-1.0, 1.0], atol=SIGMAS * 0.1)
    assert 0.05 < std[0] < 0.2
    assert 0.8 < std[1] < 1.2
    np.testing.assert_array_equal(mean, reg.predict(np.asarray([[-0.5], [0.5]])))


def test_standard_deviations(backend: Backend, X: np.ndarray) -> None:
    """Of each output, where X is; the means come first."""
    here = backend.asarray(X)
    for Y, shape in [(X[:, 0], (60,)), (X[:, :3], (60, 3))]:
        reg = quick(loss="gaussian_nll").fit(here, backend.asarray(Y))
        mean, std = reg.predict(here, return_std=True)
        assert tuple(mean.shape) == tuple(std.shape) == shape
        assert backend.holds(mean)
        assert backend.holds(std)
        outputs, _ = reg._outputs(here, "predict")
        n = shape[1] if len(shape) == 2 else 1
        assert outputs.shape[1] == 2 * n == 2 * reg.n_outputs_
        flat = backend.xp.reshape(std, (60, n))
        assert_close(flat**2, backend.xp.exp(outputs[:, n:]), factor=ELEMENTWISE)
        assert_close(backend.xp.reshape(mean, (60, n)), outputs[:, :n], factor=EXACT)


def test_standard_deviations_need_their_loss(X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError, match="fit it with loss='gaussian_nll'"):
        quick(loss="huber").fit(X, y).predict(X, return_std=True)


def test_poisson_takes_no_negative_numbers(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(DataError, match=r"must not be negative.*least value is -"):
        quick(loss="poisson").fit(backend.asarray(X), backend.asarray(y - 9.0))


def test_poisson_predicts_rates(backend: Backend, X: np.ndarray, y: np.ndarray) -> None:
    here = backend.asarray(X)
    reg = quick(loss="poisson").fit(here, y)
    outputs, _ = reg._outputs(here, "predict")
    rates = backend.xp.exp(outputs[:, 0])
    assert_close(reg.predict(here), rates, factor=EXACT)


class LogCosh:
    """A loss of one's own, which can be told to be wrong."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong

    def value(self, outputs: Array, targets: Array) -> Array:
        xp = array_namespace(outputs)
        losses = xp.log(xp.cosh(outputs - targets))
        return losses if self.wrong == "value" else xp.sum(losses, axis=1)

    def derivative(self, outputs: Array, targets: Array) -> Array:
        slopes = array_namespace(outputs).tanh(outputs - targets)
        if self.wrong == "shape":
            return slopes[:, 0]
        return -slopes if self.wrong else slopes


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_loss_of_ones_own(
    solver: str, dtype: str, backend: Backend, X: np.ndarray
) -> None:
    batches = {"batch_size": "auto"} if solver == "lbfgs" else {}
    here = backend.asarray(X.astype(dtype))
    reg = quick(loss=LogCosh(), solver=solver, max_iter=6, **batches)
    reg.fit(here, backend.asarray(X[:, :2].astype(dtype)))
    assert reg.loss_curve_[-1] < reg.loss_curve_[0]
    assert dtype_name(reg.predict(here).dtype) == dtype
    weighted = clone(reg).fit(here, X[:, :2], sample_weight=np.arange(60.0))
    assert bool(backend.xp.any(weighted.coefs_[0] != reg.coefs_[0]))


def test_a_known_loss_as_ones_own_is_that_loss(X: np.ndarray, y: np.ndarray) -> None:
    class HalfSquare:
        def value(self, outputs: Array, targets: Array) -> Array:
            return 0.5 * (outputs[:, 0] - targets[:, 0]) ** 2

        def derivative(self, outputs: Array, targets: Array) -> Array:
            return outputs - targets

    for weights in (None, np.arange(60.0)):
        own, known = (
            quick(loss=loss).fit(X, y, sample_weight=weights)
            for loss in (HalfSquare(), "squared_error")
        )
        assert_close(own.coefs_[0], known.coefs_[0], factor=FITTED)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("sign", "its derivative doesn't fit its value"),
        ("value", r"`value` must return shape \(16,\)"),
        ("shape", r"`derivative` must return shape \(16, 2\)"),
    ],
)
def test_a_wrong_loss_is_found(
    wrong: str, message: str, backend: Backend, X: np.ndarray
) -> None:
    Y = backend.asarray(X[:, :2])
    with pytest.raises(GradientError, match=f"loss LogCosh: {message}"):
        quick(loss=LogCosh(wrong)).fit(backend.asarray(X), Y)


# ------------------------------------------------------------------------------ targets


def test_several_outputs(backend: Backend, X: np.ndarray) -> None:
    here, Y = backend.asarray(X), X[:, :2] ** 2
    reg = quick(max_iter=30).fit(here, backend.asarray(Y))
    assert (reg.n_outputs_, reg.out_activation_) == (2, "identity")
    predicted = reg.predict(here)
    assert backend.holds(predicted)
    assert tuple(predicted.shape) == (60, 2)
    expected = r2_score(Y, to_numpy(predicted))
    assert reg.score(here, backend.asarray(Y)) == pytest.approx(expected)
    with pytest.raises(DataError, match="Expected y with 2 outputs, got 3"):
        reg.partial_fit(here, X[:, :3])


def test_a_column_is_taken_with_a_warning(X: np.ndarray, y: np.ndarray) -> None:
    with pytest.warns(DataConversionWarning, match="column-vector"):
        reg = quick().fit(X, y[:, None])
    assert_close(reg.predict(X), quick().fit(X, y).predict(X), factor=EXACT)


def test_whole_numbers_are_numbers(backend: Backend, X: np.ndarray) -> None:
    y = np.arange(60)
    here = backend.asarray(X)
    whole = quick().fit(here, backend.asarray(y))
    assert_close(
        whole.predict(here), quick().fit(here, y + 0.0).predict(here), factor=EXACT
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y[:-1], "X has 60, y has 59"),
        (lambda y: np.where(y > 1, np.nan, y), "Input y contains NaN"),
        (lambda y: np.where(y > 1, np.inf, y), "Input y contains infinity"),
        (lambda y: y.astype(str), "numeric|strings"),
        (lambda _: None, r"requires y.*numbers to learn"),
        (lambda y: y[:, None, None], r"dim 3|1d array"),
    ],
    ids=["too few", "NaN", "infinity", "strings", "none", "three axes"],
)
def test_bad_targets(
    spoil: Callable[[np.ndarray], Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=message):
        quick().fit(X, spoil(y))


def test_score_takes_weights(X: np.ndarray, y: np.ndarray) -> None:
    reg = quick().fit(X, y)
    weights = np.arange(60.0)
    expected = r2_score(y, reg.predict(X), sample_weight=weights)
    assert reg.score(X, y, sample_weight=weights) == pytest.approx(expected)
    assert type(reg.score(X, y)) is float


def test_predicting_before_fitting(X: np.ndarray) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quick().predict(X)


@pytest.mark.parametrize("backend", ["strict", "torch", "jax", "cupy"], indirect=True)
def test_fit_on_one_library_and_predict_with_another(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    for fitted, other in [(X, backend.asarray(X)), (backend.asarray(X), X)]:
        reg = quick().fit(fitted, y)
        with pytest.raises(DataError, match=r"MLPRegressor.predict\(\) must use the"):
            reg.predict(other)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "cupy"], indirect=True)
def test_half_precision_is_computed_in_single(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X.astype(np.float16))
    reg = quick().fit(here, backend.asarray(y.astype(np.float16)))
    for array in (*reg.coefs_, *reg.intercepts_, reg.predict(here)):
        assert dtype_name(array.dtype) == "float32"


def test_the_dtype_follows_X(
    dtype: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """Whatever the dtype of the targets."""
    here = backend.asarray(X.astype(dtype))
    for targets in ("float32", "float64", "int64"):
        reg = quick().fit(here, backend.asarray(y.astype(targets)))
        assert dtype_name(reg.predict(here).dtype) == dtype


# --------------------------------------------------------------------------- parameters

PARAMETERS: dict[str, Any] = {
    "loss": "absolute_error",
    "hidden_layer_sizes": (5, 4),
    "activation": "tanh",
    "solver": "adam",
    "alpha": 1.0,
    "batch_size": 30,
    "learning_rate": "invscaling",
    "learning_rate_init": 0.02,
    "power_t": 0.1,
    "max_iter": 5,
    "shuffle": False,
    "random_state": 1,
    "tol": 1e9,
    "verbose": True,
    "warm_start": True,
    "momentum": 0.5,
    "nesterovs_momentum": False,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "epsilon": 0.1,
    "n_iter_no_change": 1,
    "max_fun": 3,
    "quantile": 0.9,
    "huber_delta": 0.1,
    "weight_decay": 0.5,
    "rho": 0.5,
    "clip_norm": 0.01,
    "ema_decay": 0.9,
    "accumulate": 2,
    "scoring": "loss",
    "max_time": 1e-9,
    "backend": "strict",
    "dtype": "float32",
    "init": "he_normal",
    "compiled": True,
    "dropout": [0.5],
    "input_dropout": 0.25,
    "normalization": "batch",
    "l1": 1.0,
    "max_norm": 0.1,
    "mixup": 1.0,
}
"""Another value for each."""

NEEDED: dict[str, dict[str, Any]] = {
    "power_t": {"learning_rate": "invscaling"},
    "validation_fraction": {"early_stopping": True},
    "scoring": {"early_stopping": True},
    **{name: {"solver": "adam"} for name in ("beta_1", "beta_2", "epsilon")},
    "weight_decay": {"solver": "adamw"},
    "rho": {"solver": "rmsprop"},
    "max_fun": {"solver": "lbfgs", "learning_rate_init": 0.001, "batch_size": "auto"},
    "quantile": {"loss": "quantile"},
    "huber_delta": {"loss": "huber"},
}
"""What else must be set for a parameter to have an effect."""


def test_no_parameter_is_left_out() -> None:
    assert set(PARAMETERS) == set(MLPRegressor().get_params())


# What `compiled` does, and that the numbers stay, is seen in test_steps.py.
@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "compiled"])
def test_every_parameter_does_something(
    name: str, X: np.ndarray, y: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    def outcome(**changed: Any) -> tuple:
        settings = {
            "solver": "sgd",
            "learning_rate_init": 0.05,
            "max_iter": 20,
            "tol": 1e9 if name == "n_iter_no_change" else 0.0,  # stop by it alone
            "n_iter_no_change": 10,
        }
        reg = quick(**(settings | NEEDED.get(name, {}) | changed)).fit(X, y)
        first = reg.n_iter_, repr(reg.coefs_), reg.validation_scores_
        reg.fit(X, y)  # again, for warm_start
        return *first, repr(reg.coefs_), capsys.readouterr().out

    assert outcome() == outcome()
    assert outcome() != outcome(**{name: PARAMETERS[name]})


def test_the_first_three_parameters_may_be_positional() -> None:
    parameters = inspect.signature(MLPRegressor).parameters
    kinds = [p.kind for p in parameters.values()]
    assert [*parameters][:3] == ["loss", "hidden_layer_sizes", "activation"]
    assert kinds[:3] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 3
    assert kinds[3:] == [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 3)


def test_without_hidden_layers_it_is_linear_regression(
    backend: Backend, X: np.ndarray
) -> None:
    """And L-BFGS finds what least squares does."""
    y = X @ np.asarray([1.0, -2.0, 0.5, 3.0]) + 0.7
    here = backend.asarray(X)
    reg = quick(
        hidden_layer_sizes=(),
        solver="lbfgs",
        batch_size="auto",
        alpha=0.0,
        tol=1e-8,
        max_iter=200,
    ).fit(here, y)
    np.testing.assert_allclose(
        to_numpy(reg.coefs_[0])[:, 0], [1.0, -2.0, 0.5, 3.0], rtol=REGRESSED
    )
    np.testing.assert_allclose(to_numpy(reg.intercepts_[0]), [0.7], rtol=REGRESSED)
    linear = here @ reg.coefs_[0] + reg.intercepts_[0]
    assert_close(reg.predict(here), linear[:, 0], factor=ONE_PASS)


BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("loss", "mean"),
    ("loss", object()),
    ("quantile", 0.0),
    ("quantile", 1.0),
    ("huber_delta", 0.0),
    ("activation", "softmax"),
    ("solver", "newton"),
    ("hidden_layer_sizes", (5, 0)),
]


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_bad_parameters(name: str, value: Any, X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{name}.* must be"):
        quick().set_params(**{name: value}).fit(X, y)


def test_an_object_without_a_derivative_is_no_loss(
    X: np.ndarray, y: np.ndarray
) -> None:
    class Half:
        def value(self, outputs: Array, targets: Array) -> Array:
            raise NotImplementedError

    with pytest.raises(ValueError, match=r"'loss' parameter .* must be"):
        quick(loss=Half()).fit(X, y)
