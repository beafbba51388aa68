"""The options of the commands, and their help."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from xpnet.functional import ACTIVATIONS
from xpnet.schedules import PLANS

SOLVERS = ("adam", "adamw", "muon", "nadam", "rmsprop", "sgd")
"""Those that train in epochs."""


def _check_hidden(value: str) -> str:
    if all(size.strip().isdecimal() and int(size) > 0 for size in value.split(",")):
        return value
    msg = f"expected positive whole numbers, as in 128,64; got {value!r}"
    raise typer.BadParameter(msg)


def _check_rates(value: str) -> str:
    try:
        rates = list(map(float, value.split(",")))
    except ValueError:
        rates = []
    if rates and all(0.0 <= rate < 1.0 for rate in rates):
        return value
    msg = f"expected numbers in [0, 1), as in 0.5 or 0.2,0.5; got {value!r}"
    raise typer.BadParameter(msg)


def _check_fraction(value: float) -> float:
    if 0.0 < value < 1.0:
        return value
    msg = f"expected a number between 0 and 1, got {value}"
    raise typer.BadParameter(msg)


def _check_png(value: Path | None) -> Path | None:
    if value is None or value.suffix.lower() == ".png":
        return value
    msg = f"expected a name that ends in .png, got {str(value)!r}"
    raise typer.BadParameter(msg)


TrainingData: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="[bold]digits[/bold] (8 × 8 pixels, bundled), [bold]mnist[/bold], or a "
        "table with numeric features, TABLE.csv or TABLE.parquet.",
        metavar="DATA",
        show_default=False,
    ),
]
Target: TypeAlias = Annotated[
    str | None, typer.Option(help="A table's column of classes.", metavar="COLUMN")
]
DataHome: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="The folder of the four MNIST files, compressed or not.",
        metavar="FOLDER",
        show_default="$XPNET_DATA, else download",
    ),
]
TestFraction: TypeAlias = Annotated[
    float,
    typer.Option(
        help="How much of digits or a table to hold out.", callback=_check_fraction
    ),
]
Hidden: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Units of each hidden layer.", metavar="N[,N…]", callback=_check_hidden
    ),
]
Activation: TypeAlias = Annotated[
    str,
    typer.Option(help=f"{', '.join(ACTIVATIONS)}: of hidden layers.", metavar="NAME"),
]
Solver: TypeAlias = Annotated[
    str, typer.Option(help=f"{', '.join(SOLVERS)}.", metavar="NAME")
]
Schedule: TypeAlias = Annotated[
    str,
    typer.Option(
        help=f"constant, {', '.join(PLANS)}: how the learning rate changes.",
        metavar="NAME",
    ),
]
WeightDecay: TypeAlias = Annotated[
    float, typer.Option(help="Of adamw and muon.", min=0.0)
]
ClipNorm: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Length that gradients are clipped to.", show_default="none"),
]
EmaDecay: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Predict with an average of the weights, of this decay.",
        show_default="none",
    ),
]
EarlyStopping: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--early-stopping",
        help="Hold out a tenth of the training set, stop when its score no longer "
        "rises, and keep the best weights.",
    ),
]
Accumulate: TypeAlias = Annotated[int, typer.Option(help="Batches a step.", min=1)]
Epochs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Passes over the data, at most.", show_default="200; mnist 20", min=1
    ),
]
BatchSize: TypeAlias = Annotated[
    int | None, typer.Option(help="Samples a step.", show_default="200", min=1)
]
LearningRate: TypeAlias = Annotated[float, typer.Option(help="Of every step.")]
Alpha: TypeAlias = Annotated[
    float, typer.Option(help="Strength of the L2 penalty.", min=0.0)
]
Dropout: TypeAlias = Annotated[
    str,
    typer.Option(
        help="The share of hidden units that a step drops, or one for each layer.",
        metavar="P[,P…]",
        callback=_check_rates,
    ),
]
InputDropout: TypeAlias = Annotated[
    float, typer.Option(help="The share of features that a step drops.", min=0.0)
]
Normalization: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="layer, batch: what hidden layers standardise over.",
        metavar="NAME",
        show_default="none",
    ),
]
LabelSmoothing: TypeAlias = Annotated[
    float, typer.Option(help="The share of a target for all classes.", min=0.0)
]
L1: TypeAlias = Annotated[
    float, typer.Option("--l1", help="Strength of the L1 penalty.", min=0.0)
]
MaxNorm: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="The largest norm of a hidden unit's weights.", show_default="none"
    ),
]
Mixup: TypeAlias = Annotated[
    float,
    typer.Option(
        help="Train on mixtures, in shares of Beta(A, A).", metavar="A", min=0.0
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option(help="Of the split, the first weights and the batches.")
]
DType: TypeAlias = Annotated[
    str, typer.Option(help="float32, float64.", metavar="NAME")
]
BackendName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Where to train: see [bold]xpnet backends[/bold].",
        metavar="NAME",
        show_default="numpy",
    ),
]
Tutorial: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--tutorial",
        help="Rerun, on mnist, the tutorial that xpnet began from, and show its "
        "figures beside: some two minutes.",
    ),
]
SavePath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--save",
        help="The model to write.",
        metavar="FILE",
        show_default="DATA.safetensors",
    ),
]
PlotPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        help="The picture of the loss curve to write.",
        metavar="FILE.png",
        callback=_check_png,
        show_default="DATA.png",
    ),
]
MaxTime: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="When to stop, even within an epoch.",
        metavar="SECONDS",
        show_default="never",
    ),
]
CheckpointPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Keep the training here after each epoch; where the file exists, go on "
        "with it.",
        metavar="FILE",
        show_default="none",
    ),
]
Model: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="A model that [bold]xpnet train[/bold] saved.",
        metavar="MODEL",
        show_default=False,
    ),
]
Samples: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="A table, TABLE.csv or TABLE.parquet, whose columns are picked by their "
        "names; [bold]digits[/bold]; or [bold]mnist[/bold], which is its test set.",
        metavar="DATA",
        show_default=False,
    ),
]
OnnxPath: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--onnx",
        help="The ONNX model to write.",
        metavar="FILE",
        show_default=False,
    ),
]
LabelledSamples: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="[bold]digits[/bold]; [bold]mnist[/bold], which is its test set; or a table, "
        "TABLE.csv or TABLE.parquet, with the [bold]--target[/bold] column.",
        metavar="DATA",
        show_default=False,
    ),
]
RatesPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        help="The picture of the losses by learning rate to write.",
        metavar="FILE.png",
        callback=_check_png,
    ),
]
Output: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="The CSV file to write.", metavar="FILE", show_default="standard output"
    ),
]
