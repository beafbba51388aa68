"""``xpnet info``."""

import textwrap
from typing import Any

from sklearn.pipeline import Pipeline

from xpnet._namespace import dtype_name
from xpnet.classifier import MLPClassifier
from xpnet.cli import options
from xpnet.cli.progress import console
from xpnet.inspection import summary
from xpnet.persistence import load, read_config

_MOST = 10  # classes and features that are named


def info(model: options.Model) -> None:
    """Tell what a model file holds.

    [bold]Example[/bold]

    xpnet info digits.safetensors
    """
    config, estimator = read_config(model), load(model)
    steps = [estimator]
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps]
    network = steps[-1]
    parts = {
        "file": f"format {config['format_version']}, written by xpnet "
        f"{config['xpnet_version']}",
        "kind": ", ".join(type(step).__name__ for step in steps),
        "features": _listed(
            getattr(estimator, "feature_names_in_", []), estimator.n_features_in_
        ),
    }
    if isinstance(network, MLPClassifier):
        loss = "cross-entropy"
        parts["classes"] = _classes(network.classes_)
    else:
        loss = network.loss
        parts["outputs"] = f"{network.n_outputs_:,}"
    of = "iterations" if network.solver == "lbfgs" else "epochs"
    parts["loss"] = f"{loss}, {network.loss_:.4g} after {network.n_iter_:,} {of}"
    parts["dtype"] = dtype_name(network.coefs_[0].dtype)
    console.print(f"{model}\n")
    for name, text in parts.items():
        lines = textwrap.wrap(f"{name:<10}{text}", 79, subsequent_indent=10 * " ")
        console.print("\n".join(lines))
    console.print(f"\n{summary(network)}")


def _classes(classes: Any) -> str:
    if not isinstance(classes, list):
        return _listed(classes, len(classes))
    return f"of {len(classes):,} outputs: " + "; ".join(
        _listed(each, len(each)) for each in classes
    )


def _listed(names: Any, count: int) -> str:
    """Return how many there are, and the first of them by name."""
    shown = ", ".join(map(str, names[:_MOST]))
    more = ", …" if count > _MOST else ""
    return f"{count:,}: {shown}{more}" if shown else f"{count:,}"
