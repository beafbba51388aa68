"""``xpnet doctor``."""

import io

import typer

from xpnet import inspection
from xpnet.cli import options
from xpnet.cli.data import BUNDLED, load_labelled
from xpnet.cli.progress import console
from xpnet.exceptions import DataError
from xpnet.inspection import LearningRateDisplay
from xpnet.persistence import check_writable, load, write_aside
from xpnet.plotting._axes import loss_name, new_axes


def doctor(
    model: options.Model,
    data: options.LabelledSamples,
    target: options.Target = None,
    data_home: options.DataHome = None,
    plot_path: options.RatesPath = None,
) -> None:
    """Look at a model on data, and tell what may be wrong with either.

    It looks for dead and saturated units, gradients and updates that are too
    small or too large, inputs that should be scaled, rare classes that are not
    found, and a learning rate that doesn't fit.

    [bold]Examples[/bold]

    xpnet doctor digits.safetensors digits

    xpnet doctor iris.safetensors flowers.csv --target species --plot rates.png
    """
    if data in BUNDLED and target is not None:
        msg = f"it has no effect with {data}; leave it out"
        raise typer.BadParameter(msg, param_hint="'--target'")
    ax = None
    if plot_path is not None:  # before any work
        check_writable(plot_path)
        ax = new_axes()
    estimator = load(model)
    X, y = load_labelled(data, target=target, data_home=data_home, model=estimator)
    diagnosis = inspection.doctor(estimator, X, y)
    console.print(str(diagnosis))
    if ax is None or plot_path is None:
        return
    if diagnosis.learning_rates is None:
        msg = f"{plot_path} was not written: solver='lbfgs' has no learning rate."
        raise DataError(msg)
    buffer = io.BytesIO()
    display = LearningRateDisplay(
        diagnosis.learning_rates, loss_name=loss_name(estimator)
    )
    display.plot(ax).figure_.savefig(buffer, format="png")
    write_aside(plot_path, buffer.getvalue())
    console.print(f"\nWrote the range test to {plot_path}.")
