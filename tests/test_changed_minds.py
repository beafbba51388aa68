"""Parameters and data that change between two calls, and trainings that overlap."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from tolerances import EXACT, FITTED

from xpnet import Backend, MLPClassifier, MLPRegressor, load, network, save
from xpnet._namespace import dtype_name, to_numpy
from xpnet.exceptions import DataError, StaleFitError
from xpnet.testing import assert_close

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y() -> np.ndarray:
    return np.arange(60) % 3


def quick(**parameters: Any) -> MLPClassifier:
    return MLPClassifier((5,), **({"max_iter": 3, "random_state": 0} | parameters))


@pytest.mark.parametrize("momenta", [(0.0, 0.9), (0.9, 0.0, 0.9)])
def test_momentum_may_come_and_go(
    momenta: tuple[float, ...], X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick(solver="sgd", warm_start=True)
    for momentum in momenta:
        clf.set_params(momentum=momentum).fit(X, y)
    assert len(clf.loss_curve_) == 3 * len(momenta)


def test_a_plateau_of_scores_is_none_of_losses(X: np.ndarray, y: np.ndarray) -> None:
    clf = quick(early_stopping=True, warm_start=True, max_iter=20).fit(X, y)
    assert clf.best_loss_ is None
    clf.set_params(early_stopping=False, max_iter=40, tol=0.0).fit(X, y)
    assert clf.n_iter_ == 40
    assert clf.best_loss_ == min(clf.loss_curve_)
    clf.set_params(early_stopping=True, scoring="loss").fit(X, y)
    assert clf.best_validation_score_ < 0.0


def test_an_old_training_leaves_a_new_fit_alone(X: np.ndarray, y: np.ndarray) -> None:
    clf = quick(early_stopping=True, max_iter=20)
    epochs = clf.iter_fit(X, y)
    next(epochs), next(epochs)
    clf.fit(X[:, :2], y)
    epochs.close()
    assert clf.coefs_[0].shape == (2, 5)


@pytest.mark.parametrize("change", ["fit", "to"])
def test_an_old_training_can_not_go_on(
    change: str, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick()
    epochs = clf.iter_fit(X, y)
    next(epochs)
    clf.fit(X, y > 0) if change == "fit" else clf.to("strict:device1")
    with pytest.raises(StaleFitError, match="begin another"):
        next(epochs)


def test_the_classes_of_each_output_are_declared(X: np.ndarray, y: np.ndarray) -> None:
    Y, classes = np.stack([y % 2, y], axis=1), [[0, 1, 2], [0, 1, 2]]
    clf = quick()
    for _ in range(2):
        clf.partial_fit(X, Y, classes=classes)
    assert [each.tolist() for each in clf.classes_] == classes
    with pytest.raises(ValueError, match="not the same as on last call"):
        clf.partial_fit(X, Y, classes=[[0, 1], [0, 1, 2]])


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_another_kind_of_labels_is_refused(
    columns: int, X: np.ndarray, y: np.ndarray
) -> None:
    kinds = {1: y, 2: np.stack([y, y], axis=1), 3: np.stack([y, y, y], axis=1)}
    clf = quick(warm_start=True).fit(X, kinds.pop(columns))
    for other in kinds.values():
        with pytest.raises(ValueError, match="Expected"):
            clf.fit(X, other)
        with pytest.raises(ValueError, match="Expected y of shape"):
            clf.score(X, other)


def test_the_link_changes_with_the_loss(X: np.ndarray) -> None:
    t = np.exp(X[:, 0])
    reg = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, warm_start=True).fit(X, t)
    assert reg.out_activation_ == "identity"
    assert reg.set_params(loss="poisson").fit(X, t).out_activation_ == "exp"
    assert np.all(reg.predict(X) > 0.0)


def test_blocks_are_bounded_by_the_features_too(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = np.tile(X, (1, 10))
    clf = quick().fit(wide, y)
    rows: list[int] = []
    forward = network.Network.forward

    def spy(self: Any, weights: Any, block: Any, *args: Any) -> Any:
        rows.append(block.shape[0])
        return forward(self, weights, block, *args)

    monkeypatch.setattr(network.chain, "_BLOCK", 400)
    monkeypatch.setattr(network.Network, "forward", spy)
    clf.predict(wide)
    assert rows == [10] * 6


@pytest.mark.parametrize("backend", ["strict-device1", "torch", "jax"], indirect=True)
def test_sparse_samples_ask_a_network_elsewhere(
    backend: Any, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick(backend=backend.name).fit(X, y)
    actual = clf.predict_proba(scipy.sparse.csr_array(X))
    np.testing.assert_array_equal(actual, clf.predict_proba(X))


def test_verbose_tells_no_old_score(
    X: np.ndarray, y: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    clf = quick(warm_start=True, verbose=True).fit(X, y, X_val=X, y_val=y)
    assert "Validation score" in capsys.readouterr().out
    clf.fit(X, y)
    assert "Validation score" not in capsys.readouterr().out


REFUSED: dict[str, tuple[dict[str, Any], Any]] = {
    "labels of one class": ({}, lambda X, y: (X[:, :2], 0 * y)),
    "another number of features": ({"warm_start": True}, lambda X, y: (X[:, :2], y)),
    "numbers for labels": ({}, lambda X, y: (X[:, :2], y + 0.5)),
    "no such backend": ({"backend": "abacus"}, lambda X, y: (X[:, :2], y > 0)),
    "no such scoring": ({"scoring": "speed"}, lambda X, y: (X[:, :2], y > 0)),
    "too few activations": ({"activation": []}, lambda X, y: (X[:, :2], y > 0)),
    "no such class": ({"warm_start": True}, lambda X, y: (X, y + 1)),
    "other sizes": (
        {"warm_start": True, "hidden_layer_sizes": (4,)},
        lambda X, y: (X, y),
    ),
    "nothing to hold out": (
        {"early_stopping": True, "validation_fraction": 0.0},
        lambda X, y: (X[:, :2], y > 0),
    ),
    "a weightless class": (
        {"class_weight": {False: 0.0, True: -1.0}},
        lambda X, y: (X[:, :2], y > 0),
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_fit_changes_nothing(why: str, X: np.ndarray, y: np.ndarray) -> None:
    settings, change = REFUSED[why]
    clf = quick().fit(X, y)
    before, desired = dict(vars(clf)), clf.predict_proba(X)
    parameters = clf.get_params()
    clf.set_params(**settings)
    with pytest.raises(ValueError, match=r"."):
        clf.fit(*change(X, y))
    clf.set_params(**parameters)
    assert vars(clf).keys() == before.keys()
    assert all(vars(clf)[name] is before[name] for name in before)
    np.testing.assert_array_equal(clf.predict_proba(X), desired)


def test_a_refused_first_fit_leaves_no_attributes(X: np.ndarray, y: np.ndarray) -> None:
    clf, reg = quick(), MLPRegressor("poisson")
    with pytest.raises(ValueError, match="one class only"):
        clf.fit(X, 0 * y)
    with pytest.raises(ValueError, match="must not be negative"):
        reg.fit(X, y - 1.0)
    for estimator in (clf, reg):
        assert vars(estimator).keys() == estimator.get_params().keys()


@pytest.mark.parametrize("backend", ["strict-device1", "torch", "jax"], indirect=True)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_goes_on_where_the_network_lies(
    method: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """As predictions do: nothing moves unless a backend is named."""
    clf = quick(warm_start=True).fit(X, y)
    with pytest.raises(DataError, match=rf"{method}\(\) must use the same namespace"):
        getattr(clf, method)(backend.asarray(X), y)
    assert len(clf.loss_curve_) == 3


@pytest.mark.parametrize("backend", ["strict-device1", "torch", "jax"], indirect=True)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_goes_on_where_it_is_told(
    method: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """Weights and optimiser follow a backend and a dtype that are named later."""
    here = quick(warm_start=True).fit(X, y)
    there = copy.deepcopy(here).set_params(backend=backend.name)
    getattr(there, method)(X, y)
    getattr(here, method)(X, y)
    assert all(map(backend.holds, there.coefs_))
    for actual, desired in zip(there.coefs_, here.coefs_, strict=True):
        assert_close(to_numpy(actual), desired, factor=FITTED)
    there.set_params(dtype="float32")
    getattr(there, method)(X, y)
    assert {dtype_name(W.dtype) for W in there.coefs_} == {"float32"}
    there.set_params(dtype=None)
    getattr(there, method)(X, y)  # the network's own
    assert {dtype_name(W.dtype) for W in there.coefs_} == {"float32"}


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_deep_copy_trains_on_alike(
    cls: Any, solver: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """With the optimiser's state and the stream of orders, and on its own."""
    X = backend.asarray(X)
    original = cls(hidden_layer_sizes=(5,), solver=solver, max_iter=3, random_state=0)
    original.set_params(warm_start=True, batch_size=20).fit(X, y)
    copied = copy.deepcopy(original)
    before = to_numpy(original.coefs_[0]).copy()
    copied.fit(X, y)
    np.testing.assert_array_equal(to_numpy(original.coefs_[0]), before)
    original.fit(X, y)
    assert_close(copied.coefs_[0], original.coefs_[0], factor=EXACT)
    assert copied.loss_curve_ == original.loss_curve_


def test_a_changed_loss_changes_no_fitted_network(
    X: np.ndarray, tmp_path: Path
) -> None:
    t, path = X[:, 0], tmp_path / "model.safetensors"
    settings = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
    for fitted, other in [
        ("squared_error", "gaussian_nll"),
        ("gaussian_nll", "squared_error"),
    ]:
        reg = MLPRegressor(fitted, **settings).fit(X, t)
        desired = reg.predict(X)
        reg.set_params(loss=other)
        save(reg, path)
        for each in (reg, load(path)):
            np.testing.assert_array_equal(each.predict(X), desired)
            if fitted == "gaussian_nll":
                assert np.all(each.predict(X, return_std=True)[1] > 0.0)
            else:
                with pytest.raises(DataError, match="fit it with loss='gaussian_nll'"):
                    each.predict(X, return_std=True)
