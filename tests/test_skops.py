"""Fitted estimators through skops, which loads types that a user trusts, and no code."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier, MLPRegressor
from xpnet._namespace import array_namespace, to_numpy

sio = pytest.importorskip("skops.io")

X, y = load_digits(return_X_y=True)
X = (X / 16.0).astype(np.float32)
TRUSTED = {
    MLPClassifier: ["xpnet.classifier.MLPClassifier"],
    MLPRegressor: ["xpnet.regressor.MLPRegressor"],
}
"""What docs/files.md lists."""


def fitted(estimator, X, y):
    for _ in estimator.set_params(max_iter=3, random_state=0).iter_fit(X, y):
        pass
    return estimator


def round_trip(estimator, trusted):
    data = sio.dumps(estimator)
    assert sio.get_untrusted_types(data=data) == trusted
    return sio.loads(data, trusted=trusted)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"activation": ["gelu", "tanh"], "solver": "sgd"},
        {"early_stopping": True, "class_weight": "balanced"},
        {"random_state": np.random.RandomState(0)},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "labels",
    [
        np.arange(10),
        np.asarray(list("abcdefghij")),
        np.eye(10, 3, dtype=int),
        np.stack([np.arange(10), np.arange(10) % 2], axis=1),
    ],
    ids=["numbers", "strings", "several labels", "several outputs"],
)
def test_classifier(labels, params):
    clf = fitted(MLPClassifier((8, 8)).set_params(**params), X, labels[y])
    loaded = round_trip(clf, TRUSTED[MLPClassifier])
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    desired = clf.predict_proba(X)
    for one, other in zip(loaded.predict_proba(X), desired, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    assert loaded.loss_curve_ == clf.loss_curve_
    assert loaded.get_params().keys() == clf.get_params().keys()


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "gaussian_nll"])
def test_regressor(loss):
    reg = fitted(MLPRegressor(loss, (8,)), X, np.stack([y, y % 2], axis=1))
    loaded = round_trip(reg, TRUSTED[MLPRegressor])
    np.testing.assert_array_equal(loaded.predict(X), reg.predict(X), strict=True)


def test_pipeline():
    scaler = StandardScaler()
    pipeline = make_pipeline(
        scaler, fitted(MLPClassifier((8,)), scaler.fit_transform(X), y)
    )
    loaded = round_trip(pipeline, TRUSTED[MLPClassifier])
    np.testing.assert_array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))


@pytest.mark.parametrize("dtype", ["float32"])
def test_trained_anywhere(backend, dtype):
    """It is back where it was trained, and its parameters are on the host in the file."""
    there = backend.asarray(X, dtype)
    clf = fitted(MLPClassifier((8,)), there, y)
    loaded = round_trip(clf, TRUSTED[MLPClassifier])
    assert array_namespace(loaded.coefs_[0]) is backend.xp
    np.testing.assert_array_equal(
        to_numpy(loaded.predict(there)), to_numpy(clf.predict(there))
    )


def test_a_loaded_network_trains_on():
    clf = MLPClassifier((8,), random_state=0).partial_fit(X, y, classes=np.arange(10))
    loaded = round_trip(clf, TRUSTED[MLPClassifier]).partial_fit(X, y)
    assert loaded.t_ == 2 * len(y)
    assert loaded.loss_ < clf.loss_


def test_nothing_is_loaded_that_is_not_trusted():
    data = sio.dumps(fitted(MLPClassifier((8,)), X, y))
    with pytest.raises(sio.exceptions.UntrustedTypesFoundException):
        sio.loads(data)
