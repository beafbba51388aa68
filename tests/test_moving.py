"""From backend to backend: ``to``, pickles, and two at a time."""

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerances import EXACT, FITTED, ONE_PASS

from xpnet import (
    Backend,
    MLPClassifier,
    MLPRegressor,
    backends,
    get_backend,
    load,
    save,
)
from xpnet._namespace import to_numpy
from xpnet.exceptions import BackendUnavailableError
from xpnet.testing import assert_close

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y() -> np.ndarray:
    return np.arange(60) % 3


def quick(**parameters: Any) -> MLPClassifier:
    defaults = {"max_iter": 3, "batch_size": 15, "random_state": 0}
    return MLPClassifier((5,), **(defaults | parameters))


def test_to_moves_a_fitted_network(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    clf = quick().fit(X, y)
    desired = clf.predict_proba(X)
    assert clf.to(backend.name) is clf
    assert all(backend.holds(x) for x in (*clf.coefs_, *clf.intercepts_))
    actual = clf.predict_proba(backend.asarray(X))
    assert_close(actual, backend.asarray(desired), factor=FITTED)
    np.testing.assert_array_equal(
        clf.to("numpy").predict(X), quick().fit(X, y).predict(X)
    )


def test_training_goes_on_where_the_network_was_moved(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """The optimiser's moments and the stream of orders come along."""
    here = quick(warm_start=True).fit(X, y).fit(X, y)
    there = quick(warm_start=True).fit(X, y).to(backend.name)
    there.fit(backend.asarray(X), y)
    for actual, desired in zip(there.coefs_, here.coefs_, strict=True):
        assert backend.holds(actual)
        assert_close(actual, backend.asarray(desired), factor=FITTED)


def test_a_pickle_comes_back_to_its_backend(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here = backend.asarray(X)
    clf = quick().fit(here, y)
    again = pickle.loads(pickle.dumps(clf))
    assert all(backend.holds(W) for W in again.coefs_)
    assert_close(again.predict_proba(here), clf.predict_proba(here), factor=EXACT)


def test_a_pickle_from_a_gpu_opens_without_one(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = get_backend("strict:device1").asarray(X)
    clf = quick(backend="strict:device1").fit(here, y)
    desired = clf.predict(X)
    dumped = pickle.dumps(clf)

    def fail(_: str) -> None:
        msg = "there is no GPU"
        raise RuntimeError(msg)

    library = backends.LIBRARIES["strict"]._replace(open=fail)
    monkeypatch.setitem(backends.LIBRARIES, "strict", library)
    with pytest.raises(BackendUnavailableError):
        get_backend("strict:device1")
    with pytest.warns(
        UserWarning, match=r"fitted on 'strict:device1'.*there is no GPU"
    ):
        again = pickle.loads(dumped)
    assert isinstance(again.coefs_[0], np.ndarray)
    np.testing.assert_array_equal(again.predict(X), desired)


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_a_model_saved_there_is_loaded_here_and_back(
    cls: type,
    backend: Backend,
    dtype: str,
    tmp_path: Path,
    X: np.ndarray,
    y: np.ndarray,
) -> None:
    path = tmp_path / "model.safetensors"
    there = backend.asarray(X, dtype)
    model = cls(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(there, y)
    outputs = "predict_proba" if cls is MLPClassifier else "predict"
    desired = to_numpy(getattr(model, outputs)(there))
    save(model, path)
    here = getattr(load(path), outputs)(X.astype(dtype))
    assert isinstance(here, np.ndarray)
    assert_close(here, desired, factor=ONE_PASS)
    save(load(path), path)
    again = getattr(load(path, backend=backend.name), outputs)(there)
    assert_close(again, backend.asarray(desired), factor=EXACT)


def test_unfitted_estimators_pickle_and_do_not_move() -> None:
    clf = pickle.loads(pickle.dumps(quick()))
    assert not hasattr(clf, "coefs_")
    with pytest.raises(ValueError, match="not fitted"):
        clf.to("numpy")


def interleave(first: Any, second: Any) -> None:
    for _ in zip(first, second, strict=True):
        pass


@pytest.mark.parametrize("backend", ["strict-device1", "torch", "jax"], indirect=True)
def test_two_backends_take_turns(
    backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    here, there = quick(), quick()
    moved = backend.asarray(X)
    interleave(here.iter_fit(X, y), there.iter_fit(moved, y))
    alone = quick().fit(X, y)
    np.testing.assert_array_equal(here.coefs_[0], alone.coefs_[0])
    alone = quick().fit(moved, y)
    assert_close(there.coefs_[0], alone.coefs_[0], factor=EXACT)


@pytest.mark.parametrize("backend", ["strict-device1", "torch", "jax"], indirect=True)
def test_two_backends_in_threads(backend: Backend, X: np.ndarray) -> None:
    fitted: dict[str, Any] = {}
    t = X @ np.ones(4)

    def fit(name: str, X: Any) -> None:
        reg = MLPRegressor(hidden_layer_sizes=(5,), max_iter=20, random_state=0)
        fitted[name] = reg.fit(X, t)

    moved = backend.asarray(X)
    threads = [
        threading.Thread(target=fit, args=args) for args in [("a", X), ("b", moved)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, data in (("a", X), ("b", moved)):
        alone = MLPRegressor(hidden_layer_sizes=(5,), max_iter=20, random_state=0)
        alone.fit(data, t)
        desired = to_numpy(alone.coefs_[0])
        np.testing.assert_array_equal(to_numpy(fitted[name].coefs_[0]), desired)
