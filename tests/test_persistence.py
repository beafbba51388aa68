"""Model files: nothing is lost, and nothing that is wrong is loaded."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save as to_bytes
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier, MLPRegressor, load, persistence, save
from xpnet._namespace import array_namespace, device, to_numpy
from xpnet.exceptions import (
    FileWriteError,
    MissingDependencyError,
    ModelFileError,
    UnknownBackendError,
    XpnetError,
)
from xpnet.persistence import check_writable, write_aside
from xpnet.schedules import Cosine, OneCycle, Warmup

LABELS = {
    "int": np.asarray([3, -1, 7]),
    "uint8": np.asarray([0, 9, 255], np.uint8),
    "big-endian": np.asarray([1, 2, 3], ">i4"),
    "float": np.asarray([1.0, 2.0, -3.0]),
    "str": np.asarray(["tern", "Möwe", "gull"]),
    "object": np.asarray(["tern", "Möwe", "gull"], object),
    "bool": np.asarray([False, True]),
    "two": np.asarray(["no", "yes"]),
    "days": np.asarray(["2020-02-29", "2021-03-01"], "datetime64[D]"),
    "nanoseconds": np.asarray(["2020-02-29", "2021-03-01"], "datetime64[ns]"),
    "durations": np.asarray([3, 4], "timedelta64[D]"),
}


def fitted(X, y, **params):
    """Return a classifier after three epochs."""
    clf = MLPClassifier((5, 4), max_iter=3, random_state=0).set_params(**params)
    for _ in clf.iter_fit(X, y):
        pass
    return clf


@pytest.fixture
def X(rng):
    return rng.normal(size=(60, 3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def assert_same(actual, desired):
    """Two values are equal in type, dtype and bits, down to the elements of lists."""
    if isinstance(desired, np.generic):  # a scalar becomes a number of Python
        desired = desired.item()
    assert type(actual) is type(desired)
    if isinstance(desired, np.ndarray):
        # Arrays are kept in native byte order.
        desired = desired.astype(desired.dtype.newbyteorder("="))
        np.testing.assert_array_equal(actual, desired, strict=True)
    elif isinstance(desired, list):
        for one, other in zip(actual, desired, strict=True):
            assert_same(one, other)
    else:
        assert actual == desired


def assert_same_attributes(actual, desired):
    assert type(actual) is type(desired)
    assert vars(actual).keys() == vars(desired).keys() - {"_progress"}
    for name, value in vars(actual).items():
        assert_same(value, getattr(desired, name))


# ------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_classifier(X, path, labels, dtype):
    clf = fitted(X, labels[np.arange(60) % len(labels)], dtype=dtype)
    save(clf, path)
    loaded = load(path)
    assert_same_attributes(loaded, clf)
    for method in ("predict", "predict_proba", "decision_function"):
        assert_same(getattr(loaded, method)(X), getattr(clf, method)(X))


TARGETS = {
    "labels": lambda y: np.stack([y > 0, y > 1, y == 1], axis=1) + 0,
    "outputs": lambda y: np.stack([y, 5 + y % 2], axis=1),
    "named outputs": lambda y: LABELS["str"][np.stack([y, y % 2], axis=1)],
}


@pytest.mark.parametrize("kind", TARGETS)
def test_several_targets(X, path, kind):
    Y = TARGETS[kind](np.arange(60) % 3)
    clf = fitted(X, Y, class_weight="balanced")
    save(clf, path)
    loaded = load(path)
    assert_same_attributes(loaded, clf)
    assert_same(loaded.predict(X), clf.predict(X))
    assert_same(loaded.predict_proba(X), clf.predict_proba(X))
    assert loaded.score(X, Y) == clf.score(X, Y)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "poisson"},
        {"loss": "gaussian_nll"},
        {"loss": "quantile", "quantile": 0.9},
        {"loss": "huber", "huber_delta": 0.5, "activation": "gelu"},
        {"early_stopping": True, "scoring": "loss"},
        {"hidden_layer_sizes": ()},
        {"dtype": "float32"},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressor(X, path, params, n_outputs):
    Y = np.abs(X[:, :n_outputs])
    reg = MLPRegressor(hidden_layer_sizes=(5, 4), max_iter=3, random_state=0)
    reg.set_params(**params)
    for _ in reg.iter_fit(X, Y if n_outputs > 1 else Y[:, 0]):
        pass
    save(reg, path)
    loaded = load(path)
    assert_same_attributes(loaded, reg)
    assert_same(loaded.get_params(), reg.get_params())
    assert_same(loaded.predict(X), reg.predict(X))
    if reg.loss == "gaussian_nll":
        assert_same(
            list(loaded.predict(X, return_std=True)),
            list(reg.predict(X, return_std=True)),
        )


def test_pipeline_takes_raw_features(X, path):
    frame = pd.DataFrame(1000.0 + 50.0 * X, columns=["a", "b", "ü"])
    scaler = StandardScaler()
    clf = fitted(scaler.fit_transform(frame), np.arange(60) % 3)
    pipeline = Pipeline([("scale", scaler), ("network", clf)])
    save(pipeline, path)
    loaded = load(path)
    assert [name for name, _ in loaded.steps] == ["scale", "network"]
    assert_same_attributes(loaded["scale"], scaler)
    assert_same_attributes(loaded["network"], clf)
    assert loaded.feature_names_in_.tolist() == ["a", "b", "ü"]
    assert_same(loaded.predict_proba(frame), pipeline.predict_proba(frame))


@pytest.mark.parametrize(
    "params",
    [
        {"hidden_layer_sizes": (4, 3)},
        {"hidden_layer_sizes": [4, 3]},
        {"hidden_layer_sizes": 4},
        {"hidden_layer_sizes": np.asarray([4, 3])},
        {"n_iter_no_change": np.inf, "tol": 0.0},
        {"alpha": 0.1 + 0.2},
        {"random_state": 2**32 - 1},
        {"activation": ["tanh", "gelu"]},
        {"activation": ("tanh", "gelu")},
        {"learning_rate": Warmup(2, then=Cosine(0.1))},
        {"learning_rate": OneCycle(), "ema_decay": 0.5, "solver": "muon"},
        {"class_weight": {0: 2.0, 1: 1.0, 2: 0.5}},
        {"class_weight": "balanced", "max_time": 60.0},
        {"early_stopping": True, "scoring": "f1_macro"},
    ],
    ids=str,
)
def test_parameters(X, path, params):
    clf = fitted(X, np.arange(60) % 3, **params)
    save(clf, path)
    loaded = load(path).get_params()
    for name, value in clf.get_params().items():
        assert_same(loaded[name], value)


def test_parameters_of_numpy_types_become_plain(X, path):
    clf = fitted(X, np.arange(60) % 3, alpha=np.float32(0.5), random_state=np.int64(3))
    save(clf, path)
    loaded = load(path)
    assert_same([loaded.alpha, loaded.random_state], [0.5, 3])


def test_a_generator_is_not_kept(X, path):
    clf = fitted(X, np.arange(60) % 3, random_state=np.random.RandomState(0))
    save(clf, path)
    assert load(path).random_state is None
    assert isinstance(clf.random_state, np.random.RandomState)


def test_class_weights_by_name(X, path):
    clf = fitted(X, LABELS["str"][np.arange(60) % 3], class_weight={"tern": 2.5})
    save(clf, path)
    assert_same(load(path).class_weight, {"tern": 2.5})


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_a_loaded_network_trains_on(X, path, cls):
    """From its weights, with a new optimiser, and with the curve it had."""
    y = np.arange(60) % 3
    network = cls(hidden_layer_sizes=(5,), random_state=0)
    for _ in range(3):
        network.partial_fit(X, y, **CLASSES_OF[cls])
    save(network, path)
    loaded = load(path)
    before = loaded.coefs_[0].copy()
    loaded.partial_fit(X, y)
    assert len(loaded.loss_curve_) == 4
    assert loaded.loss_curve_[:3] == network.loss_curve_
    assert loaded.loss_ < network.loss_
    assert np.any(loaded.coefs_[0] != before)
    assert loaded.t_ == 4 * 60


CLASSES_OF = {MLPClassifier: {"classes": [0, 1, 2]}, MLPRegressor: {}}


def test_objects_of_ones_own_are_refused(X, path):
    """They are code, which a model file doesn't hold."""

    class Square:
        def value(self, Z):
            return Z * Z

        def derivative(self, Z):
            return 2.0 * Z

    clf = fitted(X, np.arange(60) % 3, activation=Square())
    with pytest.raises(TypeError, match="activation is of type Square"):
        save(clf, path)
    assert not path.exists()


def test_a_loaded_classifier_can_be_fitted_again(X, path):
    y = np.arange(60) % 3
    save(fitted(X, y), path)
    loaded = load(path)
    before = loaded.coefs_[0].copy()
    for _ in loaded.iter_fit(X, y):
        pass
    np.testing.assert_array_equal(loaded.coefs_[0], before, strict=True)


# ---------------------------------------------------------------------------- backends


def test_trained_anywhere_it_loads_on_numpy(X, path, backend):
    y = np.arange(60) % 3
    X = X.astype(np.float32)
    clf = fitted(X, y, backend=backend.name)
    save(clf, path)
    loaded = load(path)
    assert loaded.backend is None
    for loaded_W, W in zip(loaded.coefs_, clf.coefs_, strict=True):
        assert_same(loaded_W, to_numpy(W))
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))


def test_loads_on_a_backend(X, path, backend):
    X = X.astype(np.float32)
    clf = fitted(X, np.arange(60) % 3)
    save(clf, path)
    loaded = load(path, backend=backend.name)
    for array in (*loaded.coefs_, *loaded.intercepts_):
        assert array_namespace(array) is backend.xp
        assert device(array) == backend.device
    for answer in (loaded.predict(X), to_numpy(loaded.predict(backend.asarray(X)))):
        assert_same(answer, clf.predict(X))


def test_a_gpu_is_not_needed_to_load_what_it_learnt(X, path, monkeypatch):
    clf = fitted(X, np.arange(60) % 3)
    expected = clf.predict(X)
    clf.backend = "cupy"
    save(clf, path)
    monkeypatch.setitem(sys.modules, "cupy", None)
    loaded = load(path)
    assert loaded.backend is None
    np.testing.assert_array_equal(loaded.predict(X), expected)


def test_the_backend_is_checked_before_the_file(path):
    with pytest.raises(UnknownBackendError):
        load(path, backend="abacus")


# ------------------------------------------------------------------- what isn't saved


def test_not_fitted(path):
    with pytest.raises(NotFittedError):
        save(MLPClassifier(), path)
    with pytest.raises(NotFittedError):
        save(make_pipeline(StandardScaler(), MLPClassifier()), path)
    assert not path.exists()


class Subclass(MLPClassifier):
    """Its name is not in the table, nor should it be."""


Impostor = type("StandardScaler", (PCA,), {})


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(),
        Subclass(),
        Impostor(),
        make_pipeline(PCA(), MLPClassifier()),
        make_pipeline("passthrough", MLPClassifier()),
        "a string",
    ],
    ids=["PCA", "subclass", "impostor", "PCA in a pipeline", "passthrough", "string"],
)
def test_not_a_model(estimator, path):
    with pytest.raises(
        TypeError, match="holds MLPClassifier or MLPRegressor or Standard"
    ):
        save(estimator, path)


def test_what_json_does_not_hold(X, path):
    clf = fitted(X, np.arange(60) % 3)
    clf.tol = {1, 2}
    with pytest.raises(TypeError, match="tol is of type set"):
        save(clf, path)


# ------------------------------------------------------------------------ the format


def test_any_safetensors_reader_can_open_it(X, path):
    clf = fitted(X, np.arange(60) % 3, n_iter_no_change=np.inf)
    scaler = StandardScaler().fit(X)
    save(Pipeline([("scale", scaler), ("network", clf)]), path)
    with safe_open(path, "np") as file:
        np.testing.assert_array_equal(
            file.get_tensor("network.coefs_.1"), clf.coefs_[1]
        )
        np.testing.assert_array_equal(file.get_tensor("scale.mean_"), scaler.mean_)
        (name, text), *others = file.metadata().items()
    assert name == "xpnet"
    assert not others

    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    config = json.loads(text, parse_constant=refuse)
    assert config["format_version"] == 1
    assert [name for name, _ in config["model"]] == ["scale", "network"]
    assert config["model"][1][1]["fitted"]["loss_curve_"] == clf.loss_curve_


def test_the_same_model_is_the_same_file(X, path, tmp_path):
    clf = fitted(X, np.arange(60) % 3)
    save(clf, path)
    save(load(path), tmp_path / "again")
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


# ----------------------------------------------------------------------- bad files


@pytest.fixture
def model_bytes(X, path):
    save(fitted(X, np.arange(60) % 3), path)
    return path.read_bytes()


def assert_refused(path, problem):
    with pytest.raises(ModelFileError, match=problem) as raised:
        load(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -300, -1])
def test_cut_short(model_bytes, path, length):
    path.write_bytes(model_bytes[:length])
    assert_refused(path, r"not a complete safetensors file.*cut short")


@pytest.mark.parametrize("data", [b"PK\3\4 a zip archive", b"\x80\x04\x95 a pickle"])
def test_no_safetensors(path, data):
    path.write_bytes(data)
    assert_refused(path, "not a complete safetensors file")


def test_too_long(model_bytes, path):
    path.write_bytes(model_bytes + b"!")
    assert_refused(path, "not a complete safetensors file")


def test_any_damaged_byte(X, path):
    """It is found, or it is where no number of the model is."""
    clf = fitted(X, LABELS["str"][np.arange(60) % 3], hidden_layer_sizes=(2,))
    save(clf, path)
    whole, n_refused = path.read_bytes(), 0
    places = range(0, len(whole), 3)
    for i in places:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        try:
            loaded = load(path)
        except ModelFileError:
            n_refused += 1
        else:
            assert_same_attributes(loaded, clf)
            assert_same(loaded.get_params(), clf.get_params())
    assert n_refused > 0.9 * len(places)


def test_a_damaged_weight(model_bytes, path):
    path.write_bytes(model_bytes[:-1] + bytes([model_bytes[-1] ^ 1]))
    assert_refused(path, "is damaged: .*another copy of it")


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"xpnet": "{"}, {"xpnet": "[]"}, {"xpnet": "{}"}],
    ids=str,
)
def test_not_ours(path, metadata):
    path.write_bytes(to_bytes({"W": np.zeros(3)}, metadata))
    assert_refused(path, "not one that xpnet saved")


def test_absent(path):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load(path)


@pytest.fixture
def edited(model_bytes, path):  # noqa: ARG001 - what is edited
    """Edit the configuration and the tensors of a file."""

    def edit(change):
        with safe_open(path, "np") as file:
            config = json.loads(file.metadata()["xpnet"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        del config["sha256"]
        change(config, tensors)
        config["sha256"] = persistence._checksum(config, tensors)
        path.write_bytes(to_bytes(tensors, {"xpnet": json.dumps(config)}))
        return path

    return edit


def test_newer_format(edited):
    def change(config, _):
        config.update(format_version=2, xpnet_version="9.0")

    assert_refused(edited(change), "format version 2, of xpnet 9.0.*pip install --upgr")


@pytest.mark.parametrize("name", ["coefs_.1", "intercepts_.0", "classes_"])
def test_missing_tensor(edited, name):
    assert_refused(
        edited(lambda _, tensors: tensors.pop(name)), f"tensor '{name}' is missing"
    )


@pytest.mark.parametrize(
    ("name", "shape", "problem"),
    [
        ("coefs_.0", (4, 5), r"coefs_ has shape .*\(4, 5\).*, expected .*\(3, 5\)"),
        ("coefs_.1", (20,), "tuple index out of range"),
        ("coefs_.2", (4, 2), "coefs_ has shape"),
        ("intercepts_.1", (3,), "intercepts_ has shape"),
        ("intercepts_.1", (4, 1), "intercepts_ has shape"),
        ("intercepts_.2", (2,), "intercepts_ has shape"),
        ("classes_", (2,), r"classes_ has shape \(2,\), expected \(3,\)"),
    ],
)
def test_inconsistent_shapes(edited, name, shape, problem):
    def change(_, tensors):
        tensors[name] = np.zeros(shape)

    assert_refused(edited(change), problem)


@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_a_layer_less(edited, name):
    def change(config, _):
        config["model"]["fitted"][name].pop()

    assert_refused(edited(change), f"{name} has shape")


@pytest.mark.parametrize(
    ("part", "key", "value", "problem"),
    [
        ("fitted", "n_outputs_", 4, "classes_ has shape"),
        ("fitted", "n_features_in_", 7, "coefs_ has shape"),
        ("params", "activation", "sinus", "'activation' parameter"),
        ("params", "momenta", 1.0, "unexpected keyword argument 'momenta'"),
    ],
)
def test_wrong_configuration(edited, part, key, value, problem):
    def change(config, _):
        config["model"][part][key] = value

    assert_refused(edited(change), problem)


@pytest.mark.parametrize("key", ["class", "params", "fitted"])
def test_incomplete_configuration(edited, key):
    assert_refused(edited(lambda config, _: config["model"].pop(key)), key)


@pytest.mark.parametrize("key", ["coefs_", "n_features_in_", "n_outputs_"])
def test_incomplete_attributes(edited, key):
    assert_refused(edited(lambda config, _: config["model"]["fitted"].pop(key)), key)


def test_only_known_classes_are_made(edited):
    def change(config, _):
        config["model"]["class"] = "Popen"

    assert_refused(edited(change), "it holds 'Popen', expected MLPClassifier")


def test_steps_of_different_widths(X, path):
    clf = fitted(X, np.arange(60) % 3)
    scaler = StandardScaler().fit(X[:, :2])
    save(make_pipeline(scaler, clf), path)
    assert_refused(path, r"different numbers of features, \[2, 3\]")


def test_without_safetensors(X, path, monkeypatch):
    clf = fitted(X, np.arange(60) % 3)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for work in (lambda: save(clf, path), lambda: load(path)):
        with pytest.raises(MissingDependencyError, match=r"'xpnet\[cli\]'"):
            work()


# ---------------------------------------------------------------------- writing files


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_write_aside(file):
    write_aside(file, b"first")
    write_aside(str(file), b"second")
    assert file.read_bytes() == b"second"
    assert names(file.parent) == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_gets_the_usual_mode(file, umask):
    before = os.umask(umask)
    try:
        write_aside(file, b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_an_old_file_keeps_its_mode(file):
    file.touch(0o600)
    write_aside(file, b"secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_stays_a_link(file, tmp_path):
    target = tmp_path / "behind"
    target.write_bytes(b"old")
    file.symlink_to(target)
    write_aside(file, b"new")
    assert file.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_an_old_file_survives(file, monkeypatch, step, failure):
    file.write_bytes(b"old")

    def fail(*_):
        raise failure

    monkeypatch.setattr(step, fail)
    expected = FileWriteError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as raised:
        write_aside(file, b"new")
    if expected is FileWriteError:
        assert f"{file} could not be written: No space left" in str(raised.value)
        assert isinstance(raised.value, (XpnetError, OSError))
    assert file.read_bytes() == b"old"
    assert names(file.parent) == ["file"]


FULL_DISK = """
import resource, sys
from xpnet.persistence import write_aside
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_aside(sys.argv[1], bytes(2000))
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limit of file sizes")
def test_a_write_that_the_system_stops(file):
    file.write_bytes(b"old")
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, file],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(f"FileWriteError {file} could not be written: File")
    assert file.read_bytes() == b"old"
    assert names(file.parent) == ["file"]


@pytest.mark.parametrize("write", [check_writable, lambda path: write_aside(path, b"")])
def test_what_can_not_be_written(write, tmp_path, monkeypatch):
    with pytest.raises(FileWriteError, match=r"there is no folder .*nowhere"):
        write(tmp_path / "nowhere" / "file")
    with pytest.raises(FileWriteError, match="not a regular file"):
        write(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileWriteError, match="not a regular file"):
        write(tmp_path / "pipe")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    # Root may do everything, hence no file that is protected for real.
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(FileWriteError, match="Permission denied"):
        write(tmp_path / "file")


def test_check_writable_leaves_nothing(file):
    check_writable(file)
    assert names(file.parent) == []
    file.write_bytes(b"old")
    check_writable(file)
    assert file.read_bytes() == b"old"
    assert names(file.parent) == ["file"]
