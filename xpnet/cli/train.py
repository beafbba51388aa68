"""``xpnet train``."""

import io
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import typer
from sklearn.pipeline import make_pipeline

from xpnet.backends import get_backend
from xpnet.callbacks import Checkpoint
from xpnet.classifier import MLPClassifier
from xpnet.cli import options, tutorial
from xpnet.cli.data import BUNDLED, load_task
from xpnet.cli.progress import Report, console, fit
from xpnet.exceptions import DataError, MissingDependencyError
from xpnet.persistence import check_writable, save, write_aside
from xpnet.plotting import plot_loss_curve
from xpnet.training import Epoch

IDLE = {
    "digits": {"--target", "--data-home", "--tutorial"},
    "mnist": {"--target", "--test-fraction"},
    "a table": {"--data-home", "--tutorial"},
    "--tutorial": {
        "--accumulate",
        "--activation",
        "--alpha",
        "--batch-size",
        "--clip-norm",
        "--dropout",
        "--dtype",
        "--early-stopping",
        "--ema-decay",
        "--hidden",
        "--input-dropout",
        "--l1",
        "--label-smoothing",
        "--learning-rate",
        "--max-norm",
        "--mixup",
        "--normalization",
        "--schedule",
        "--seed",
        "--solver",
        "--weight-decay",
    },
}
"""Options that would have no effect."""


def train(
    ctx: typer.Context,
    data: options.TrainingData,
    target: options.Target = None,
    data_home: options.DataHome = None,
    test_fraction: options.TestFraction = 0.2,
    hidden: options.Hidden = "100",
    activation: options.Activation = "relu",
    solver: options.Solver = "adam",
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = 0.001,
    schedule: options.Schedule = "constant",
    alpha: options.Alpha = 0.0001,
    dropout: options.Dropout = "0",
    input_dropout: options.InputDropout = 0.0,
    normalization: options.Normalization = None,
    label_smoothing: options.LabelSmoothing = 0.0,
    l1: options.L1 = 0.0,
    max_norm: options.MaxNorm = None,
    mixup: options.Mixup = 0.0,
    weight_decay: options.WeightDecay = 0.01,
    clip_norm: options.ClipNorm = None,
    ema_decay: options.EmaDecay = None,
    early_stopping: options.EarlyStopping = False,
    accumulate: options.Accumulate = 1,
    seed: options.Seed = 0,
    dtype: options.DType = "float32",
    backend: options.BackendName = None,
    rerun: options.Tutorial = False,
    max_time: options.MaxTime = None,
    checkpoint_path: options.CheckpointPath = None,
    save_path: options.SavePath = None,
    plot_path: options.PlotPath = None,
) -> None:
    """Train a classifier, test it, and save it with a plot of its loss.

    Ctrl-C ends training and keeps what was learnt. With --checkpoint the same command
    goes on with it, as after a crash.

    [bold]Examples[/bold]

    xpnet train digits

    xpnet train mnist --hidden 256,128 --epochs 10

    xpnet train iris.csv --target species
    """
    _refuse_idle_options(ctx, data, rerun)
    rates = list(map(float, dropout.split(",")))
    classifier = MLPClassifier(
        tuple(map(int, hidden.split(","))),
        activation,
        solver=solver,
        alpha=alpha,
        batch_size="auto" if batch_size is None else batch_size,
        learning_rate=schedule,
        learning_rate_init=learning_rate,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        ema_decay=ema_decay,
        early_stopping=early_stopping,
        accumulate=accumulate,
        max_iter=20 if data == "mnist" else 200,
        random_state=seed,
        dtype=dtype,
        dropout=rates if len(rates) > 1 else rates[0],
        input_dropout=input_dropout,
        normalization=normalization,
        label_smoothing=label_smoothing,
        l1=l1,
        max_norm=max_norm,
        mixup=mixup,
        max_time=max_time,
    )
    if rerun:
        classifier.set_params(**tutorial.SETTINGS)
    if epochs is not None:
        classifier.max_iter = epochs
    if backend is not None:
        classifier.backend = get_backend(backend).name
    if checkpoint_path is not None:
        classifier.set_callbacks(Checkpoint(checkpoint_path))
    classifier._validate_params()  # before the data is read
    if classifier.solver not in options.SOLVERS:
        msg = f"{solver!r} is none of {', '.join(options.SOLVERS)}"
        raise typer.BadParameter(msg, param_hint="'--solver'")

    stem = Path(data).stem
    model_file = save_path or Path(f"{stem}.safetensors")
    picture_file = plot_path or Path(f"{stem}.png")
    written = {"model": model_file, "picture": picture_file}
    if checkpoint_path is not None:
        written["checkpoint"] = checkpoint_path
    files = [path.resolve() for path in (Path(data), *written.values())]
    if len(set(files)) < len(files):
        *others, last = (f"the {what} {path}" for what, path in written.items())
        number = {3: "three", 4: "four"}[len(files)]
        msg = (
            f"The data {data}, {', '.join(others)} and {last} must be {number} files: "
            "choose others by --save, --plot and --checkpoint."
        )
        raise DataError(msg)
    for path in written.values():
        check_writable(path)

    task = load_task(
        data,
        target=target,
        data_home=data_home,
        test_fraction=test_fraction,
        seed=seed,
    )
    train_set = task.scaler.transform(task.X_train), task.y_train
    test_set = task.scaler.transform(task.X_test), task.y_test
    console.print(
        f"{len(task.y_train):,} samples to train on, {len(task.y_test):,} to test with; "
        f"{task.scaler.n_features_in_} features, {len(np.unique(task.y_train))} classes."
    )
    if rerun:
        report = _tutorial_lines(classifier, *train_set)
    else:
        report = _epoch_lines(classifier, *test_set)
    finished = fit(classifier, *train_set, report)
    # Before anything else: what was learnt can't be lost any more.
    save(make_pipeline(task.scaler, classifier), model_file)
    for name, part in (("train", train_set), ("test", test_set)):
        console.print(f"{name:>5} accuracy {classifier.score(*part):.2%}")
    if rerun:
        console.print(tutorial.FINAL)
    console.print(f"Wrote the model to {model_file}.")
    try:
        write_aside(picture_file, _png(classifier))
        console.print(f"Wrote the loss curve to {picture_file}.")
    except MissingDependencyError as error:
        if plot_path is not None:
            raise
        console.print(f"Wrote no loss curve. {error}")
    home = [] if data_home is None else ["--data-home", str(data_home)]
    console.print(
        "Next:", shlex.join(["xpnet", "predict", str(model_file), data, *home])
    )
    if not finished:
        if checkpoint_path is not None:
            console.print("The same command goes on with the training.")
        raise typer.Exit(130)


def _refuse_idle_options(ctx: typer.Context, data: str, rerun: bool) -> None:
    kinds = [data if data in BUNDLED else "a table"]
    if rerun:
        kinds.append("--tutorial")
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if source is None or source.name != "COMMANDLINE":
            continue
        for kind in kinds:
            if IDLE[kind].intersection(param.opts):
                msg = f"it has no effect with {kind}; leave it out"
                raise typer.BadParameter(msg, param_hint=f"'{param.opts[0]}'")


def _epoch_lines(classifier: MLPClassifier, X_test: Any, y_test: Any) -> Report:
    every = math.ceil(classifier.max_iter / 10)

    def report(epoch: Epoch) -> None:
        if epoch.n_iter == 1 or epoch.n_iter % every == 0 or epoch.converged:
            accuracy = classifier.score(X_test, y_test)
            console.print(
                f"epoch {epoch.n_iter:>4}   loss {epoch.loss:.4f}   "
                f"test accuracy {accuracy:.2%}"
            )

    return report


def _tutorial_lines(classifier: MLPClassifier, X_train: Any, y_train: Any) -> Report:
    console.print(tutorial.HEADER)

    def report(epoch: Epoch) -> None:
        iteration = epoch.n_iter - 1
        if iteration in tutorial.TABLE:
            cost = epoch.loss / len(classifier.classes_)
            accuracy = 100.0 * classifier.score(X_train, y_train)
            console.print(tutorial.line(iteration, tutorial.Row(cost, accuracy)))

    return report


def _png(classifier: MLPClassifier) -> bytes:
    buffer = io.BytesIO()
    ax: Any = plot_loss_curve(classifier)
    ax.figure.savefig(buffer, format="png")
    return buffer.getvalue()
