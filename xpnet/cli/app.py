"""The commands, and how their errors are told."""

import warnings
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from xpnet import __version__, available_backends
from xpnet.cli.bench import bench
from xpnet.cli.doctor import doctor
from xpnet.cli.export import export
from xpnet.cli.info import info
from xpnet.cli.predict import predict
from xpnet.cli.progress import console
from xpnet.cli.train import train
from xpnet.exceptions import XpnetError


class Commands(TyperGroup):
    """Commands whose errors, where a user can mend them, are one message."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 2 where its input can't be used."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            # NumPy's overflows: where training diverges, xpnet says so itself.
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # the reader has had enough, as in `| head`
                raise
            except (XpnetError, OSError, ValueError, MemoryError) as error:
                _say("Error", _message(error), typer.colors.RED)
                raise typer.Exit(2) from error


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say("Warning", str(message), typer.colors.YELLOW)


def _say(what: str, message: str, colour: str) -> None:
    typer.secho(f"{what}: ", fg=colour, nl=False, err=True)
    typer.echo(message, err=True)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}."
    return str(error)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(no_args_is_help=True)(train)
app.command(no_args_is_help=True)(predict)
app.command(no_args_is_help=True)(export)
app.command(no_args_is_help=True)(info)
app.command(no_args_is_help=True)(doctor)
app.command()(bench)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"xpnet {__version__}")
        raise typer.Exit


@app.callback()
def xpnet(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Train softmax multi-layer perceptrons, and predict with them.

    Try [bold]xpnet train digits[/bold]: it needs no files and takes seconds.
    """


@app.command()
def backends() -> None:
    """Show which array libraries can be used, and why others can't."""
    table = Table("backend", "version", "devices", "can be used")
    for status in available_backends():
        table.add_row(
            status.name,
            status.version or "–",
            "\n".join(status.devices) or "–",
            "yes" if status.usable else f"no: {status.problem}",
        )
    console.print(table)
    console.print("Choose one by xpnet train … --backend NAME or NAME:DEVICE.")
