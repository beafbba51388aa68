"""``xpnet predict``."""

import csv
import io

import typer
from sklearn.pipeline import Pipeline

from xpnet._targets import Multilabel, MultiOutput
from xpnet.classifier import MLPClassifier
from xpnet.cli import options
from xpnet.cli.data import load_samples
from xpnet.exceptions import ModelFileError
from xpnet.persistence import check_writable, load, write_aside


def predict(
    model: options.Model,
    data: options.Samples,
    output: options.Output = None,
    data_home: options.DataHome = None,
) -> None:
    """Predict classes and their probabilities, as CSV.

    The columns are [bold]class[/bold] and, one for each class, [bold]p_LABEL[/bold].

    [bold]Examples[/bold]

    xpnet predict digits.safetensors digits

    xpnet predict iris.safetensors flowers.csv --output classes.csv
    """
    if output is not None:
        check_writable(output)
    estimator = load(model)
    network = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(network, MLPClassifier) or isinstance(
        network._targets, (Multilabel, MultiOutput)
    ):
        msg = (
            f"{model} holds {network!r}: xpnet predict writes the classes of a "
            "classifier with one label a sample. Use xpnet.load and predict in Python."
        )
        raise ModelFileError(msg)
    X = load_samples(data, data_home=data_home, model=estimator)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", *(f"p_{label}" for label in estimator.classes_)])
    for label, probs in zip(
        estimator.predict(X), estimator.predict_proba(X), strict=True
    ):
        writer.writerow([label, *probs])
    if output is None:
        typer.echo(text.getvalue(), nl=False)
    else:
        write_aside(output, text.getvalue().encode())
        typer.echo(f"Wrote {len(X):,} predictions to {output}.")
