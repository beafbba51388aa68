"""``xpnet export``."""

import typer

from xpnet.cli import options
from xpnet.exceptions import DataError
from xpnet.onnx import save_onnx
from xpnet.persistence import load


def export(model: options.Model, onnx: options.OnnxPath) -> None:
    """Write a model for the runtimes of another format, ONNX.

    It takes raw features, as [bold]xpnet predict[/bold] does.

    [bold]Examples[/bold]

    xpnet export digits.safetensors --onnx digits.onnx
    """
    if onnx.resolve() == model.resolve():
        msg = f"{onnx} is the model itself: name another file by --onnx."
        raise DataError(msg)
    save_onnx(load(model), onnx)
    typer.echo(f"Wrote the ONNX model to {onnx}.")
