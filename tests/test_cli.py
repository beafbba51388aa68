"""The command line: what it does, says and writes, and how it fails."""

import csv
import gzip
import io
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits
from tolerances import ONNX, SUM_OF_PROBS, TRAINED
from typer.testing import CliRunner

import xpnet
from xpnet import MLPClassifier, load
from xpnet.cli import tutorial
from xpnet.cli.app import app

XPNET = [sys.executable, "-c", "from xpnet.cli import main; main()"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, no data elsewhere, and one thread.

    On matrices this small several threads only wait for each other. Processes buffer
    their output, as they do by default.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    with threadpool_limits(1):
        yield tmp_path


def xp(*args, code=0):
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(map(str, args)))
    assert result.exit_code == code, result.output
    return result


def fails(*args):
    """Run a command that ends in one message and no traceback; return the message."""
    result = xp(*args, code=2)
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    # Usage errors are in a box.
    return re.sub(r"[│\s]+", " ", result.stderr)


def quick(data, *args):
    """Train a small network for an instant."""
    return xp("train", data, "--hidden", 4, "--epochs", 2, *args)


def read_csv(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, np.asarray([row[0] for row in rows]), np.asarray(rows)[:, 1:]


def files():
    return sorted(path.name for path in Path().iterdir())


def next_command(result):
    line = result.stdout.splitlines()[-1]
    assert line.startswith("Next: xpnet predict ")
    return shlex.split(line.removeprefix("Next: xpnet "))


@pytest.fixture
def iris():
    """A table of flowers."""
    bunch = load_iris(as_frame=True)
    frame = bunch.data.assign(species=bunch.target_names[bunch.target])
    frame.to_csv("iris.csv", index=False)
    return frame


@pytest.fixture
def mnist(folder, rng):
    """A folder of files like MNIST's: bright upper halves are class 1."""
    home = folder / "my data"
    home.mkdir()
    for part, n_samples in (("train", 60), ("t10k", 20)):
        labels = (np.arange(n_samples) % 2).astype(np.uint8)
        images = rng.integers(100, size=(n_samples, 28, 28), dtype=np.uint8)
        images[labels == 1, :14] += 155
        header = struct.pack(">4B3I", 0, 0, 8, 3, n_samples, 28, 28)
        (home / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">4BI", 0, 0, 8, 1, n_samples)
        (home / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return home


# --------------------------------------------------------------------------- training


def test_train_digits():
    result = xp("train", "digits")
    assert files() == ["digits.png", "digits.safetensors"]
    assert Path("digits.png").read_bytes().startswith(b"\x89PNG")
    assert "1,437 samples to train on, 360 to test with" in result.stdout
    epochs = re.findall(
        r"^epoch +(\d+)   loss [\d.]+   test acc", result.stdout, re.MULTILINE
    )
    assert epochs == ["1", *map(str, range(20, 201, 20))]
    accuracy = re.search(r"^ test accuracy ([\d.]+)%$", result.stdout, re.MULTILINE)
    assert float(accuracy[1]) >= 97.0
    assert "\x1b" not in result.stdout  # no bar where there is no terminal
    assert not result.stderr

    predicted = xp(*next_command(result))
    X, y = load_digits(return_X_y=True)
    header, classes, probs = read_csv(predicted.stdout)
    assert header == ["class", *(f"p_{digit}" for digit in range(10))]
    model = load("digits.safetensors")
    np.testing.assert_array_equal(classes.astype(int), model.predict(X))
    np.testing.assert_array_equal(probs.astype("float32"), model.predict_proba(X))
    assert np.mean(classes.astype(int) == y) > 0.98


def test_train_says_what_the_test_set_says():
    """The accuracy is that of the samples that were held out, with raw features."""
    result = quick("digits", "--test-fraction", 0.5, "--epochs", 30, "--seed", 7)
    assert "898 samples to train on, 899 to test with" in result.stdout
    X, y = load_digits(return_X_y=True)
    split = train_test_split(X, y, test_size=0.5, stratify=y, random_state=7)
    model = load("digits.safetensors")
    for name, X_part, y_part in (("train", *split[::2]), (" test", *split[1::2])):
        assert f"{name} accuracy {model.score(X_part, y_part):.2%}" in result.stdout


def test_options_reach_the_classifier():
    xp(
        *("train", "digits", "--hidden", "8, 4", "--activation", "tanh"),
        *("--solver", "adamw", "--epochs", 3, "--batch-size", 50, "--seed", 3),
        *("--schedule", "cosine", "--weight-decay", 0.1, "--clip-norm", 2),
        *("--ema-decay", 0.9, "--accumulate", 2),
        *("--learning-rate", 0.01, "--alpha", 0.5, "--dtype", "float64"),
        *("--backend", "numpy", "--save", "a.model", "--plot", "b.PNG"),
    )
    assert files() == ["a.model", "b.PNG"]
    clf = load("a.model")[-1]
    expected = {
        "hidden_layer_sizes": (8, 4),
        "activation": "tanh",
        "solver": "adamw",
        "learning_rate": "cosine",
        "weight_decay": 0.1,
        "clip_norm": 2.0,
        "ema_decay": 0.9,
        "accumulate": 2,
        "max_iter": 3,
        "batch_size": 50,
        "random_state": 3,
        "learning_rate_init": 0.01,
        "alpha": 0.5,
        "dtype": "float64",
    }
    assert clf.get_params() == MLPClassifier(**expected).get_params()
    assert clf.n_iter_ == 3
    assert [W.shape for W in clf.coefs_] == [(64, 8), (8, 4), (4, 10)]
    assert clf.coefs_[0].dtype == "float64"


def test_the_seed_decides():
    models = []
    for seed in (1, 1, 2):
        quick("digits", "--seed", seed)
        models.append(load("digits.safetensors")[-1].coefs_[0])
    np.testing.assert_array_equal(models[0], models[1])
    assert not np.array_equal(models[0], models[2])


def test_options_of_regularisation():
    expected = {
        "dropout": [0.25, 0.5],
        "input_dropout": 0.125,
        "normalization": "batch",
        "label_smoothing": 0.1,
        "l1": 0.01,
        "max_norm": 3.0,
        "mixup": 0.2,
    }
    args = []
    for name, value in expected.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        args += [f"--{name.replace('_', '-')}", text]
    xp("train", "digits", "--hidden", "8,4", "--epochs", 1, *args)
    clf = load("digits.safetensors")[-1]
    assert expected.items() <= clf.get_params().items()
    assert [gain.shape for gain in clf.gains_] == [(8,), (4,)]
    quick("digits", "--dropout", "0.5")
    assert load("digits.safetensors")[-1].dropout == 0.5


@pytest.mark.parametrize("backend", ["torch", "jax", "strict", "auto"])
def test_train_on_a_backend(backend):
    if backend != "auto":
        pytest.importorskip({"strict": "array_api_strict"}.get(backend, backend))
    quick("digits")
    expected = load("digits.safetensors")
    quick("digits", "--backend", backend)
    X = load_digits().data
    np.testing.assert_allclose(
        load("digits.safetensors").predict_proba(X),
        expected.predict_proba(X),
        rtol=TRAINED,
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_train_a_table(iris, suffix):
    iris.to_parquet("iris.parquet")
    result = xp(
        *("train", f"iris.{suffix}", "--target", "species", "--learning-rate", 0.02)
    )
    assert "120 samples to train on, 30 to test with; 4 features" in result.stdout
    assert "iris.safetensors" in files()
    header, classes, probs = read_csv(xp(*next_command(result)).stdout)
    assert header == ["class", "p_setosa", "p_versicolor", "p_virginica"]
    assert np.mean(classes == iris["species"]) > 0.95
    np.testing.assert_allclose(probs.astype(float).sum(axis=1), 1.0, rtol=SUM_OF_PROBS)


def test_features_of_a_table_are_scaled():
    values = np.arange(40.0)
    frame = pd.DataFrame({"x": 1e6 + values, "odd": values % 2, "y": values >= 20})
    frame.to_csv("t.csv", index=False)
    xp("train", "t.csv", "--target", "y", "--learning-rate", 0.05)
    model = load("t.safetensors")
    assert model.score(frame[["x", "odd"]], frame["y"]) > 0.9


def test_predict_picks_columns_by_name(iris):
    quick("iris.csv", "--target", "species")
    expected = xp("predict", "iris.safetensors", "iris.csv").stdout
    shuffled = iris[list(iris)[::-1]].drop(columns="species")
    shuffled.assign(note="text").to_csv("other.csv", index=False)
    assert xp("predict", "iris.safetensors", "other.csv").stdout == expected

    result = xp("predict", "iris.safetensors", "other.csv", "--output", "out.csv")
    assert result.stdout == "Wrote 150 predictions to out.csv.\n"
    assert Path("out.csv").read_text() == expected

    iris.iloc[:, [0, 2]].to_csv("less.csv", index=False)
    message = fails("predict", "iris.safetensors", "less.csv")
    assert "lacks the features 'sepal width (cm)', 'petal width (cm)'" in message


def test_predict_a_table_without_names_in_the_model():
    quick("digits")
    frame = pd.DataFrame(load_digits().data).rename(columns=str)
    frame.to_csv("pixels.csv", index=False)
    expected = xp("predict", "digits.safetensors", "digits").stdout
    assert xp("predict", "digits.safetensors", "pixels.csv").stdout == expected


@pytest.mark.parametrize("how", ["option", "environment"])
def test_train_mnist(mnist, how, monkeypatch):
    home = ["--data-home", mnist]
    if how == "environment":
        monkeypatch.setenv("XPNET_DATA", str(mnist))
        home = []
    result = quick("mnist", *home, "--epochs", 60)
    assert "60 samples to train on, 20 to test with; 784 features" in result.stdout
    assert " test accuracy 100.00%" in result.stdout
    assert load("mnist.safetensors")[0].scale_.tolist() == [255.0] * 784
    command = next_command(result)
    assert command == ["predict", "mnist.safetensors", "mnist", *map(str, home)]
    header, classes, _ = read_csv(xp(*command).stdout)
    assert header == ["class", "p_0", "p_1"]
    assert classes.tolist() == ["0", "1"] * 10


@pytest.mark.filterwarnings("ignore:Got batch_size=60000")
def test_tutorial(mnist):
    result = xp("train", "mnist", "--tutorial", "--data-home", mnist, "--epochs", 201)
    lines = result.stdout.splitlines()
    table = [line.split() for line in lines if re.match(r" +\d+  0\.", line)]
    assert [row[0] for row in table] == ["0", "100", "200"]
    clf = load("mnist.safetensors")[-1]
    for row in table:
        printed = tutorial.TABLE[int(row[0])]
        assert float(row[1]) == clf.loss_curve_[int(row[0])] / 2  # two classes
        assert [float(row[2]), float(row[4])] == [
            printed.cost,
            round(printed.train_accuracy, 5),
        ]
    settings = MLPClassifier(**tutorial.SETTINGS).set_params(max_iter=201)
    assert clf.get_params() == settings.get_params()
    assert "test 89.89%" in result.stdout


def test_tutorial_figures():
    assert list(tutorial.TABLE) == list(range(0, 1000, 100))
    assert (
        max(map(len, (tutorial.line(0, row) for row in tutorial.TABLE.values()))) < 80
    )


# ------------------------------------------------------------------------ interruption


def test_a_checkpoint_goes_on(monkeypatch):
    iter_fit = MLPClassifier.iter_fit

    def interrupted(self, X, y):
        for epoch in iter_fit(self, X, y):
            yield epoch
            if epoch.n_iter == 3:
                raise KeyboardInterrupt

    options = ("digits", "--hidden", 4, "--epochs", 5)
    with monkeypatch.context() as patch:
        patch.setattr(MLPClassifier, "iter_fit", interrupted)
        result = xp("train", *options, "--checkpoint", "run.ckpt", code=130)
    assert "The same command goes on" in result.stdout
    result = xp("train", *options, "--checkpoint", "run.ckpt")
    assert [line.split()[1] for line in result.stdout.splitlines() if "loss" in line][
        :3
    ] == ["3", "4", "5"]
    whole = quick_weights(*options)
    np.testing.assert_array_equal(whole, load("digits.safetensors")[-1].coefs_[0])
    xp("train", *options, "--checkpoint", "run.ckpt")  # it is over
    np.testing.assert_array_equal(whole, load("digits.safetensors")[-1].coefs_[0])
    message = fails("train", *options, "--alpha", 1, "--checkpoint", "run.ckpt")
    assert "run.ckpt is of another training: alpha was 0.0001 and is 1.0" in message


def quick_weights(*options):
    xp("train", *options, "--save", "whole.safetensors")
    return load("whole.safetensors")[-1].coefs_[0]


def test_a_checkpoint_of_its_own():
    message = fails("train", "digits", "--checkpoint", "digits.png")
    assert "must be four files" in message
    assert "no folder" in fails("train", "digits", "--checkpoint", "no/where.ckpt")


def test_the_time_is_over():
    result = xp("train", "digits", "--epochs", 10**6, "--max-time", 0.3)
    assert "Stopped, since the time is over" in result.stdout


def test_interrupted_after_some_epochs(monkeypatch):
    iter_fit = MLPClassifier.iter_fit

    def interrupted(self, X, y):
        for epoch in iter_fit(self, X, y):
            yield epoch
            if epoch.n_iter == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(MLPClassifier, "iter_fit", interrupted)
    result = xp("train", "digits", code=130)
    assert "Interrupted; what was learnt is kept: 3 epochs" in result.stdout
    assert next_command(result) == ["predict", "digits.safetensors", "digits"]
    assert load("digits.safetensors")[-1].n_iter_ == 3


def test_interrupted_before_the_first_epoch(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(MLPClassifier, "iter_fit", interrupted)
    result = xp("train", "digits", code=130)
    assert "nothing to keep" in result.stdout
    assert files() == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c():
    """In a process of its own, which gets the signal in the midst of a long training."""
    process = subprocess.Popen(
        [*XPNET, "train", "digits", "--hidden", "1000,1000", "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not stderr
    assert "Interrupted; what was learnt is kept" in stdout
    assert "Next: xpnet predict digits.safetensors digits" in stdout
    clf = load("digits.safetensors")[-1]
    assert 0 < clf.n_iter_ < 100000
    assert len(clf.loss_curve_) == clf.n_iter_


# --------------------------------------------------------------------------- terminals


def test_a_bar_on_a_terminal():
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*XPNET, "train", "digits", "--epochs", "20"],
        stdout=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "20/20" in text
    assert "━" in text
    assert re.search(r"epoch   20   loss [\d.]+   test accuracy", text)


def test_a_reader_that_has_had_enough(iris):
    quick("iris.csv", "--target", "species")
    iris.loc[np.arange(20_000) % 150].to_csv("long.csv", index=False)
    with subprocess.Popen(
        [*XPNET, "predict", "iris.safetensors", "long.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline().startswith(b"class,p_setosa")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# ------------------------------------------------------------------- the other commands


def test_version():
    assert xp("--version").stdout == f"xpnet {xpnet.__version__}\n"


def test_entry_point():
    ran = subprocess.run([*XPNET, "--version"], capture_output=True, check=True)
    assert ran.stdout.decode() == f"xpnet {xpnet.__version__}\n"


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ([], "xpnet train digits"),
        (["train"], "xpnet train iris.csv --target species"),
        (["predict"], "xpnet predict digits.safetensors digits"),
        (["export"], "xpnet export digits.safetensors --onnx digits.onnx"),
        (["info"], "xpnet info digits.safetensors"),
        (["doctor"], "xpnet doctor digits.safetensors digits"),
        (["backends"], "which array libraries can be used"),
    ],
)
def test_help(command, example):
    assert example in xp(*command, "--help").stdout


def test_backends():
    rows = [line.split() for line in xp("backends").stdout.splitlines()]
    table = {row[1]: row for row in rows if len(row) > 2}
    assert table["numpy"][3::2] == [np.__version__, "cpu", "yes"]
    for status in xpnet.available_backends():
        assert table[status.name][7] == ("yes" if status.usable else "no:")


def test_backends_shows_the_remedy(monkeypatch):
    monkeypatch.setattr(
        "xpnet.cli.app.available_backends",
        lambda: [
            xpnet.backends.BackendStatus(
                "cupy", None, (), "it is not installed; pip install 'xpnet[cuda13]'."
            )
        ],
    )
    shown = re.sub(r"[│\s]+", " ", xp("backends").stdout)
    assert "no: it is not installed; pip install 'xpnet[cuda13]'." in shown


# --------------------------------------------------------------------------- exporting


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_export(iris, dtype):
    """The ONNX model takes raw features, like the model."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    quick("iris.csv", "--target", "species", "--dtype", dtype)
    result = xp("export", "iris.safetensors", "--onnx", "iris.onnx")
    assert result.stdout == "Wrote the ONNX model to iris.onnx.\n"
    session = runtime.InferenceSession("iris.onnx")
    X = iris.drop(columns="species")
    label, probs = session.run(["label", "probabilities"], {"X": X.to_numpy()})
    model = load("iris.safetensors")
    np.testing.assert_array_equal(label, model.predict(X))
    np.testing.assert_allclose(probs, model.predict_proba(X), **ONNX[dtype])


def test_what_can_not_be_exported():
    pytest.importorskip("onnx")
    days = np.asarray(["2020-02-29", "2021-03-01"], "datetime64[D]")
    X = np.arange(20.0).reshape(10, 2)
    clf = MLPClassifier((2,), solver="lbfgs").fit(X, days[np.arange(10) % 2])
    xpnet.save(clf, "days.safetensors")
    assert "datetime64" in fails("export", "days.safetensors", "--onnx", "days.onnx")
    quick("digits")
    assert "no folder" in fails("export", "digits.safetensors", "--onnx", "a/b")
    assert files() == ["days.safetensors", "digits.png", "digits.safetensors"]


@pytest.mark.usefixtures("iris")
def test_info():
    quick("iris.csv", "--target", "species", "--dtype", "float64")
    shown = xp("info", "iris.safetensors").stdout
    assert max(map(len, shown.splitlines())) < 80
    model = load("iris.safetensors")
    words = " ".join(shown.split())
    for part in (
        "file format 1, written by xpnet",
        "kind StandardScaler, MLPClassifier features 4: sepal length (cm), sepal width",
        "classes 3: setosa, versicolor, virginica",
        f"loss cross-entropy, {model[-1].loss_:.4g} after 2 epochs",
        "dtype float64",
    ):
        assert part in words
    assert shown.endswith(f"\n\n{xpnet.summary(model)}\n")
    assert re.search(r"^total +35 +280$", shown, re.MULTILINE)
    assert files() == ["iris.csv", "iris.png", "iris.safetensors"]


def test_info_of_other_models(rng):
    X = rng.normal(size=(30, 2))
    labels = np.arange(30)[:, None] % [2, 3]
    quantile = xpnet.MLPRegressor(
        "quantile", (2,), solver="lbfgs", max_iter=3, random_state=0
    )
    several = MLPClassifier((2,), max_iter=1)
    for model, y, part in (
        (quantile, X, "outputs   2\nloss      quantile, "),
        (quantile, X, "after 3 iterations\n"),
        (several, labels, "classes   of 2 outputs: 2: 0, 1; 3: 0, 1, 2\n"),
        (MLPClassifier((2,), max_iter=1), np.arange(30), "30: 0, 1, 2, 3, 4, 5, 6,"),
    ):
        with warnings.catch_warnings(action="ignore"):
            xpnet.save(model.fit(X, y), "other.safetensors")
        assert part in xp("info", "other.safetensors").stdout


def test_doctor():
    quick("digits", "--epochs", 20)
    result = xp("doctor", "digits.safetensors", "digits")
    model = load("digits.safetensors")
    X, y = load_digits(return_X_y=True)
    assert result.stdout == f"{xpnet.doctor(model, X, y)}\n"
    assert max(map(len, result.stdout.splitlines())) < 80
    assert files() == ["digits.png", "digits.safetensors"]


def test_doctor_complains_of_a_model_and_its_data(iris):
    """It is no failure: the command has done what was asked."""
    quick("iris.csv", "--target", "species", "--epochs", 20)
    iris.iloc[:, 0] *= 1e4
    iris.assign(note="text").to_csv("other.csv", index=False)
    result = xp("doctor", "iris.safetensors", "other.csv", "--target", "species")
    assert "large inputs: feature 'sepal length (cm)' with" in result.stdout
    assert "nothing to complain of" not in result.stdout


def test_doctor_draws_the_range_test(mnist):
    quick("mnist", "--data-home", mnist)
    result = xp(
        *("doctor", "mnist.safetensors", "mnist", "--data-home", mnist),
        *("--plot", "rates.png"),
    )
    assert "looked at with 20 samples" in result.stdout
    assert result.stdout.endswith("\nWrote the range test to rates.png.\n")
    assert Path("rates.png").read_bytes().startswith(b"\x89PNG")


def test_doctor_of_lbfgs_has_no_range_test():
    X, y = load_digits(return_X_y=True)
    clf = MLPClassifier((4,), solver="lbfgs", max_iter=3, random_state=0)
    with warnings.catch_warnings(action="ignore"):
        xpnet.save(clf.fit(X / 16.0, y), "clf.safetensors")
    assert "learning rate" not in xp("doctor", "clf.safetensors", "digits").stdout
    message = fails("doctor", "clf.safetensors", "digits", "--plot", "rates.png")
    assert "rates.png was not written: solver='lbfgs'" in message
    assert files() == ["clf.safetensors"]


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--hidden", "12,abc"], "as in 128,64; got '12,abc'"),
        (["--hidden", ""], "as in 128,64; got ''"),
        (["--hidden", "0"], "positive whole numbers"),
        (["--hidden", "-5"], "positive whole numbers"),
        (["--hidden", "1.5"], "positive whole numbers"),
        (["--hidden", "9,"], "positive whole numbers"),
        (["--hidden", "10,100000000000"], "Unable to allocate"),
        (["--dropout", "0.5,half"], "as in 0.5 or 0.2,0.5; got '0.5,half'"),
        (["--dropout", "1"], "numbers in [0, 1)"),
        (["--dropout", "0.5,0.5"], "for each of the 1 hidden layers"),
        (["--input-dropout", "1"], "'input_dropout' parameter"),
        (["--normalization", "group"], "must be a str among"),
        (["--max-norm", "0"], "'max_norm' parameter"),
        (["--epochs", "0"], "--epochs"),
        (["--batch-size", "0"], "--batch-size"),
        (["--alpha", "-1"], "--alpha"),
        (["--learning-rate", "0"], "'learning_rate_init' parameter"),
        (["--activation", "sinus"], "must be a str among"),
        (["--solver", "newton"], "must be a str among"),
        (["--schedule", "falling"], "must be a str among"),
        (["--weight-decay", "-1"], "--weight-decay"),
        (["--clip-norm", "0"], "'clip_norm' parameter"),
        (["--ema-decay", "1"], "'ema_decay' parameter"),
        (["--accumulate", "0"], "--accumulate"),
        (["--dtype", "float16"], "must be a str among"),
        (["--test-fraction", "1"], "between 0 and 1, got 1.0"),
        (["--test-fraction", "0.0001"], "test_size"),
        (["--backend", "abacus"], "Unknown backend 'abacus': expected one of 'auto'"),
        (["--backend", "torch:abacus"], "backend='torch:abacus' can't be used"),
        (["--plot", "loss.pdf"], "ends in .png, got 'loss.pdf'"),
        (["--save", "nowhere/a.safetensors"], "there is no folder"),
        (["--plot", "nowhere/a.png"], "there is no folder"),
        (["--save", "."], "not a regular file"),
        (["--target", "y"], "'--target': it has no effect with digits"),
        (["--data-home", "."], "'--data-home': it has no effect with digits"),
        (["--tutorial"], "'--tutorial': it has no effect with digits"),
        (
            ["--solver", "sgd", "--learning-rate", "1e30"],
            "Training diverged in epoch 1",
        ),
        (["--colour", "red"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(options, problem):
    assert problem in fails("train", "digits", *options)
    assert files() == []


def test_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "backend='cupy' can't be used" in fails(
        "train", "digits", "--backend", "cupy"
    )


def test_bad_options_of_mnist(mnist):
    home = ["--data-home", mnist]
    assert "no effect with mnist" in fails("train", "mnist", *home, "--target", "y")
    for option in ("--hidden", "--seed", "--dtype", "--max-norm", "--mixup"):
        message = fails("train", "mnist", *home, "--tutorial", option, "1")
        assert f"'{option}': it has no effect with --tutorial" in message


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["predict", "digits.safetensors"], "Missing argument 'DATA'"),
        (["train", "digts"], "'digts' is no data: expected digits, mnist or the file"),
        (["train", "none.csv", "--target", "y"], "'none.csv' is no data"),
        (["train", "text.txt", "--target", "y"], "ends in .csv or .parquet"),
        (["train", "empty.csv", "--target", "y"], "can't be read as csv"),
        (["train", "no_rows.csv", "--target", "y"], "is empty"),
        (["train", "good.csv"], "No target column: name the one with the classes"),
        (["train", "good.csv", "--target", "z"], "No column 'z': name .* 'x', 'y'"),
        (["train", "text.csv", "--target", "y"], "'x' holds 'two' in row 2"),
        (["train", "gap.csv", "--target", "y"], "'x' has no value in row 2"),
        (["train", "gap.csv", "--target", "x"], "'x' has no value in 1 of 4 rows"),
        (["train", "infinite.csv", "--target", "y"], "'x' holds inf in row 2"),
        (["train", "one_class.csv", "--target", "y"], "one class only"),
        (["train", "lone.csv", "--target", "y"], "too few"),
        (["train", "price.csv", "--target", "y"], "Unknown label type: continuous"),
        (["train", "good.csv", "--target", "y", "--data-home", "."], "with a table"),
        (["predict", "none.safetensors", "digits"], "none.safetensors: No such file"),
        (["predict", "text.txt", "digits"], "not a complete safetensors file"),
        (["predict", "cut.safetensors", "digits"], "not a complete safetensors file"),
        (["predict", "other.safetensors", "digits"], "not one that xpnet saved"),
        (["predict", "digits.safetensors", "good.csv"], "expecting 64 features"),
        (["predict", "digits.safetensors", "gap.csv"], "no value in row 2"),
        (["predict", "digits.safetensors", "none.csv"], "'none.csv' is no data"),
        (["predict", "digits.safetensors", "digits", "--output", "a/b"], "no folder"),
        (["export", "digits.safetensors"], "Missing option '--onnx'"),
        (["export", "none.safetensors", "--onnx", "a"], "No such file"),
        (["export", "cut.safetensors", "--onnx", "a"], "not a complete safetensors"),
        (
            ["export", "digits.safetensors", "--onnx", "./digits.safetensors"],
            "is the model itself: name another file",
        ),
        (["info", "none.safetensors"], "none.safetensors: No such file"),
        (["info", "cut.safetensors"], "not a complete safetensors file"),
        (["info", "other.safetensors"], "not one that xpnet saved"),
        (["doctor", "digits.safetensors"], "Missing argument 'DATA'"),
        (["doctor", "other.safetensors", "digits"], "not one that xpnet saved"),
        (["doctor", "digits.safetensors", "good.csv"], "No target column: name"),
        (["doctor", "digits.safetensors", "none.csv"], "'none.csv' is no data"),
        (
            ["doctor", "digits.safetensors", "good.csv", "--target", "y"],
            "expecting 64 features",
        ),
        (
            ["doctor", "digits.safetensors", "digits", "--target", "y"],
            "'--target': it has no effect with digits",
        ),
        (["doctor", "digits.safetensors", "digits", "--plot", "a.pdf"], "in .png"),
        (["doctor", "digits.safetensors", "digits", "--plot", "a/b.png"], "no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_files(args, problem):
    contents = {
        "text.txt": "a file of text",
        "empty.csv": "",
        "no_rows.csv": "x,y\n",
        "good.csv": "x,y\n1,0\n2,1\n3,0\n4,1\n",
        "text.csv": "x,y\n1,0\ntwo,1\n3,0\n4,1\n",
        "gap.csv": "x,y\n1,0\n,1\n3,0\n4,1\n",
        "infinite.csv": "x,y\n1,0\ninf,1\n3,0\n4,1\n",
        "one_class.csv": "x,y\n1,0\n2,0\n3,0\n4,0\n5,0\n",
        "lone.csv": "x,y\n1,0\n2,1\n3,0\n4,0\n",
        "price.csv": "x,y\n1,0.5\n2,1.5\n3,0.7\n4,0.3\n",
    }
    for name, content in contents.items():
        Path(name).write_text(content)
    save_file({"W": np.zeros(3)}, "other.safetensors")
    quick("digits")
    data = Path("digits.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(data[:-10])
    before = files()
    message = fails(*args)
    assert re.search(problem, message), message
    assert files() == before


@pytest.mark.parametrize("damage", ["truncate", "compress", "remove", "relabel"])
def test_damaged_mnist(mnist, damage):
    images = mnist / "t10k-images-idx3-ubyte"
    labels = mnist / "t10k-labels-idx1-ubyte"
    data = images.read_bytes()
    if damage == "truncate":
        images.write_bytes(data[:-1])
        problem = f"{images.name} can't be used: it is cut short"
    elif damage == "compress":
        images.write_bytes(gzip.compress(data)[:-10])
        problem = f"{images.name} can't be used: its gzip compression is broken"
    elif damage == "remove":
        images.unlink()
        problem = f"has no file {images.name}"
    else:
        labels.write_bytes(labels.read_bytes()[:-1] + b"\x0a")
        problem = f"{labels.name} can't be used: expected n uint8 labels"
    assert problem in fails("train", "mnist", "--data-home", mnist)


def test_no_network(monkeypatch):
    def fetch(*_args, **_kwargs):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("xpnet.datasets._mnist.fetch_openml", fetch)
    message = fails("train", "mnist")
    assert "could not be fetched from OpenML" in message
    assert "--data-home FOLDER" in message
    assert "XPNET_DATA" in message


def unreachable(*_args, **_kwargs):
    pytest.fail("nothing should be loaded")


@pytest.mark.parametrize("option", ["--save", "--plot"])
def test_a_folder_is_tried_before_training(monkeypatch, option):
    monkeypatch.setattr("xpnet.cli.train.load_task", unreachable)
    assert "there is no folder" in fails("train", "digits", option, "nowhere/a.png")


def test_the_backend_is_tried_before_the_data(monkeypatch):
    monkeypatch.setattr("xpnet.cli.train.load_task", unreachable)
    assert "Unknown backend" in fails("train", "digits", "--backend", "abacus")


FULL_DISK = """
import resource
from xpnet.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk():
    quick("digits")
    before = Path("digits.safetensors").read_bytes()
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, "train", "digits", "--epochs", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("Error: digits.safetensors could not be written: File")
    assert ran.stderr.count("\n") == 1
    assert Path("digits.safetensors").read_bytes() == before
    assert files() == ["digits.png", "digits.safetensors"]


def test_warnings_are_one_line():
    ran = subprocess.run(
        [*XPNET, "train", "digits", "--epochs", "1", "--batch-size", "5000"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr.startswith("Warning: Got batch_size=5000")
    assert ran.stderr.count("\n") == 1


# ---------------------------------------------------------------------- without extras


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_the_extra(name):
    code = (
        f"import sys; sys.modules[{name!r}] = None; from xpnet.cli import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == (
        "xpnet's command line needs typer and rich: pip install 'xpnet[cli]'\n"
    )


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = quick("digits")
    assert "Wrote no loss curve. Plots need matplotlib: pip" in result.stdout
    assert next_command(result)[0] == "predict"
    assert files() == ["digits.safetensors"]

    message = fails("train", "digits", "--epochs", 1, "--plot", "loss.png")
    assert "pip install 'xpnet[plot]'" in message
    message = fails("doctor", "digits.safetensors", "digits", "--plot", "rates.png")
    assert "pip install 'xpnet[plot]'" in message


def test_without_onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    quick("digits")
    message = fails("export", "digits.safetensors", "--onnx", "digits.onnx")
    assert "pip install 'xpnet[onnx]'" in message
    assert files() == ["digits.png", "digits.safetensors"]


# --------------------------------------------------------------- files that are the same


def test_the_model_does_not_overwrite_picture_or_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = "a,b,label\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    for arguments in (
        ["train", "digits", "--save", "a.png", "--plot", "a.png"],
        ["train", "t.csv", "--target", "label", "--save", "t.csv"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert "must be three files" in result.output
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == table


def test_a_solver_without_epochs_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "digits", "--solver", "lbfgs"])
    assert result.exit_code == 2
    message = re.sub(r"[│\s]+", " ", result.output)
    assert "adam, adamw, muon, nadam, rmsprop, sgd" in message


def test_a_regressor_has_no_classes_to_write(tmp_path):
    X = np.arange(20.0).reshape(10, 2)
    path = tmp_path / "reg.safetensors"
    xpnet.save(
        xpnet.MLPRegressor(hidden_layer_sizes=(2,), solver="lbfgs").fit(X, X[:, 0]),
        path,
    )
    result = CliRunner().invoke(app, ["predict", str(path), "digits"])
    assert result.exit_code == 2
    assert "one label a sample" in result.output.replace("\n", " ")


def test_early_stopping():
    quick("digits", "--early-stopping")
    clf = load("digits.safetensors")[-1]
    assert clf.early_stopping
    assert len(clf.validation_scores_) == 2
