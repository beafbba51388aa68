"""Training as one watches it."""

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import typer
from rich.console import Console

from xpnet._display import RichBar
from xpnet.classifier import MLPClassifier
from xpnet.training import Epoch

# Brackets are text, as in 'xpnet[cli]', and a line that is long can still be copied.
console = Console(markup=False, highlight=False, soft_wrap=True)


Report: TypeAlias = Callable[[Epoch], None]


def fit(classifier: MLPClassifier, X: Any, y: Any, report: Report) -> bool:
    """Fit, with a progress bar on a terminal, and say how training ended.

    Parameters
    ----------
    classifier : MLPClassifier
        What to fit.
    X, y : array
        As for its ``fit``.
    report : callable
        Is given each epoch, and may print to the console.

    Returns
    -------
    bool
        Whether training ran to its end: False after Ctrl-C.
    """
    start = time.perf_counter()
    ending = "Trained to the last epoch"
    finished = True
    bar = RichBar(classifier.max_iter, console, transient=True)
    try:
        for epoch in classifier.iter_fit(X, y):
            report(epoch)
            bar.show(epoch, None)
            if epoch.converged:
                ending = "Stopped, since the loss no longer falls"
            elif epoch.out_of_time:
                ending = "Stopped, since the time is over"
    except KeyboardInterrupt:
        ending, finished = "Interrupted; what was learnt is kept", False
    finally:
        bar.close()
    n_iter = getattr(classifier, "n_iter_", 0)
    if n_iter == 0:
        console.print("Interrupted before the end of the first epoch: nothing to keep.")
        raise typer.Exit(130)
    seconds = time.perf_counter() - start
    console.print(f"{ending}: {n_iter} epochs in {seconds:.1f} s.")
    return finished
