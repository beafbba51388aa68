"""What ``verbose`` shows: a bar on a terminal, and a line an epoch elsewhere."""

import os
import sys
import time
from typing import Any, Protocol

from xpnet.training import Epoch

__all__ = ["Display", "Lines", "PlainBar", "RichBar", "open_display"]


class Display(Protocol):
    """Shows a training, epoch by epoch."""

    def show(self, epoch: Epoch, score: float | None) -> None:
        """Show an epoch, and the score on the held-out data where there is one."""

    def say(self, text: str) -> None:
        """Print a line."""

    def close(self) -> None:
        """Leave the terminal as a line of its own finds it."""


def open_display(estimator: Any, *, bar: bool) -> Display | None:
    """Return what the estimator's `verbose` asks for.

    Parameters
    ----------
    estimator : BaseMLP
        With ``verbose=1`` it wants a bar where the standard output is a terminal; with
        more, lines there, too.
    bar : bool
        Whether there are epochs enough for a bar.

    Returns
    -------
    Display or None
        Nothing, where it is silent.
    """
    if not estimator.verbose:
        return None
    dumb = not sys.stdout.isatty() or os.environ.get("TERM") == "dumb"
    if dumb or not bar or estimator.verbose > 1:
        return Lines()
    try:
        return RichBar(estimator.max_iter)
    except ImportError:
        return PlainBar(estimator.max_iter)


class Lines:
    """A line an epoch, in scikit-learn's words."""

    def show(self, epoch: Epoch, score: float | None) -> None:
        """Print loss and score."""
        self.say(f"Iteration {epoch.n_iter}, loss = {epoch.loss:.8f}")
        if score is not None:
            self.say(f"Validation score: {score:f}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text)  # noqa: T201

    def close(self) -> None:
        """Do nothing."""


class PlainBar:
    """A line of text that is written over."""

    width = 20

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs, self.start = n_epochs, time.monotonic()
        self.line, self.shown = "", -1.0

    def show(self, epoch: Epoch, score: float | None) -> None:
        """Write the line anew, ten times a second at most."""
        now = time.monotonic()
        filled = self.width * epoch.n_iter // self.n_epochs
        bar = "=" * filled + " " * (self.width - filled)
        self.line = (
            f"epoch {epoch.n_iter}/{self.n_epochs} [{bar}] {_figures(epoch, score)} "
            f"{now - self.start:.0f} s"
        )
        if now - self.shown > 0.1:
            self.shown = now
            self._write(self.line)

    def say(self, text: str) -> None:
        """Print a line above."""
        self._write(f"{text}\n")

    def close(self) -> None:
        """End the line, as it is after the last epoch."""
        if self.line:
            self._write(f"{self.line}\n")

    def _write(self, text: str) -> None:
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()


class RichBar:
    """A bar of rich's.

    Parameters
    ----------
    n_epochs : int
        At most.
    console : rich.console.Console, optional
        By default one on the standard output.
    transient : bool, default=False
        Whether the bar goes when training is over.

    Raises
    ------
    ImportError
        rich is not installed.
    """

    def __init__(
        self, n_epochs: int, console: Any = None, *, transient: bool = False
    ) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.console = console or Console(markup=False, highlight=False)
        self.progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            transient=transient,
            disable=not self.console.is_interactive,
        )
        self.progress.start()
        self.task = self.progress.add_task("", total=n_epochs, figures="loss –")

    def show(self, epoch: Epoch, score: float | None) -> None:
        """Move the bar on."""
        self.progress.update(
            self.task, completed=epoch.n_iter, figures=_figures(epoch, score)
        )

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text)

    def close(self) -> None:
        """Stop moving."""
        self.progress.stop()


def _figures(epoch: Epoch, score: float | None) -> str:
    text = f"loss {epoch.loss:.4f}"
    return text if score is None else f"{text}, score {score:.4f}"
