"""What may be wrong with a network or its data, in words."""

import contextlib
import copy
import textwrap
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from xpnet._preparation import prepare
from xpnet._typing import Array
from xpnet._validation import HostArray, check_y
from xpnet.backends import backend_of
from xpnet.inspection._findings import (
    Finding,
    of_classes,
    of_gradients,
    of_inputs,
    of_rates,
    of_units,
    of_updates,
)
from xpnet.inspection._measures import (
    Inputs,
    LayerHealth,
    measure_inputs,
    measure_layers,
)
from xpnet.inspection._rates import LearningRates, before_network, find_learning_rate
from xpnet.inspection._summary import network_of
from xpnet.inspection._text import align

__all__ = ["Diagnosis", "doctor"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`doctor` has measured, and what it complains of; it prints as a report."""

    title: str
    """Which network, and what it was looked at with."""
    findings: tuple[Finding, ...]
    """The complaints; empty for a network that is well."""
    layers: tuple[LayerHealth, ...]
    """What was measured on each layer."""
    inputs: Inputs
    """What was measured on each feature."""
    learning_rates: LearningRates | None
    """The range test; None for L-BFGS."""
    learning_rate: float
    """The rate that the estimator uses, `learning_rate_init`."""

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to complain of."""
        return not self.findings

    def __str__(self) -> str:
        """Return the report, at most 79 characters wide."""
        lines = [*textwrap.wrap(self.title, 79), "", *self._table(), ""]
        lines += [*self._inputs_line(), *self._rates_line(), ""]
        if self.healthy:
            return "\n".join([*lines, "nothing to complain of"])
        count = len(self.findings)
        lines.append(f"{count} {'complaint' if count == 1 else 'complaints'}:")
        for finding in self.findings:
            for text, first in ((finding.what, "- "), (finding.advice, "  ")):
                lines += textwrap.wrap(
                    text, 79, initial_indent=first, subsequent_indent="  "
                )
        return "\n".join(lines)

    __repr__ = __str__

    def _table(self) -> list[str]:
        header = "layer", "activation", "units", "dead", "saturated"
        rows = [[*header, "|gradient|", "update/weights"]]
        for place, layer in enumerate(self.layers, start=1):
            last = place == len(self.layers)
            update, saturated = layer.update_ratio, layer.saturated
            rows.append(
                [
                    str(place),
                    layer.activation,
                    f"{layer.n_units:,}",
                    "–" if last else f"{layer.n_dead:,}",
                    "–" if saturated is None else f"{saturated:.0%}",
                    f"{layer.gradient_norm:.1e}",
                    "–" if update is None else f"{update:.1e}",
                ]
            )
        return align(rows, [False, False, *[True] * 5])

    def _inputs_line(self) -> list[str]:
        n_zero = int(np.sum(self.inputs.constant & (self.inputs.low == 0.0)))
        text = f"inputs: {len(self.inputs.mean):,} features"
        text += f", {n_zero:,} of them always 0" if n_zero else ""
        sizes = self.inputs.rms[self.inputs.rms > 0.0]
        if sizes.size:
            text += f"; root mean squares from {sizes.min():.2g} to {sizes.max():.2g}"
        return textwrap.wrap(text, 79)

    def _rates_line(self) -> list[str]:
        found = self.learning_rates
        if found is None:
            return []
        text = f"learning rate: {self.learning_rate:.2g} is used"
        for what, rate in (
            ("suggested", found.suggestion),
            ("the loss falls most steeply at", found.steepest),
            ("training diverges at", found.diverging),
        ):
            text += "" if rate is None else f"; {what} {rate:.2g}"
        return textwrap.wrap(text, 79)


def doctor(
    estimator: BaseEstimator,
    X: Array,
    y: Array,
    sample_weight: Array | None = None,
) -> Diagnosis:
    """Look at a network on data, and tell what may be wrong with either.

    The estimator is left as it is. One that is fitted is looked at with its weights,
    one that is not with first weights as ``fit`` would draw them.

    ============================ =====================================================
    kind                         complained of where
    ============================ =====================================================
    ``"dead units"``             more than 30 % of a layer's units have slope 0 for
                                 every sample
    ``"saturated units"``        more than half of the outputs of a layer of tanh,
                                 logistic or the like are where it is level: the slope
                                 is below a twentieth of its maximum
    ``"vanishing gradients"``    a layer's gradient, by the root mean square of its
                                 entries, is below a thousandth of another layer's
    ``"exploding gradients"``    it is not finite, or larger than 10 times the weights,
                                 by the Euclidean norms
    ``"large updates"``          one step of the solver changes a layer's weights by
                                 more than half of their norm
    ``"small updates"``          one step changes every layer's weights by less than a
                                 millionth of their norm; looked for before training
    ``"high learning rate"``     `learning_rate_init` is where training diverges in the
                                 range test of
                                 :func:`xpnet.inspection.find_learning_rate`
    ``"low learning rate"``      it is below a thousandth of what that suggests
    ``"large inputs"``           the root mean square of a feature is above 10
    ``"uneven inputs"``          the largest standard deviation of a feature is more
                                 than 100 times the lower quartile
    ``"constant inputs"``        a feature has the same value for all samples, and that
                                 is not 0
    ``"imbalanced classes"``     a class weighs more than 10 times another, by the
                                 samples' and the classes' weights; where the network is
                                 fitted, only if it finds less than half of a class that
                                 is that rare
    ============================ =====================================================

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted or not. A pipeline's earlier steps transform `X`.
    X, y, sample_weight : array or array-like
        As for ``fit``, of any library: they move to where the network lives. Units and
        gradients are measured on at most 5,000 samples, drawn by `random_state`.

    Returns
    -------
    Diagnosis
        The findings, and host numbers; it prints as a report.

    Raises
    ------
    ValueError
        The data can't be used.
    TypeError
        It is no estimator of xpnet's.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from xpnet import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> doctor(MLPClassifier(random_state=0), X / 16, y).healthy
    True
    >>> diagnosis = doctor(MLPClassifier(random_state=0), X, y)
    >>> [finding.kind for finding in diagnosis.findings]
    ['large inputs']
    """
    network = network_of(estimator)
    fitted = hasattr(network, "coefs_")
    X = before_network(estimator, X, y)
    twin = copy.deepcopy(network) if fitted else clone(network)
    twin.early_stopping = False  # all samples are looked at
    twin.set_callbacks()  # what follows trainings is not to follow this
    if fitted:
        twin.backend = backend_of(twin.coefs_[0]).name  # X moves to the weights
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        # fit warns of what there is to warn of
        run = prepare(twin, X, y, sample_weight, incremental=fitted)
    labels = check_y(twin, y, run.n_samples, numeric=twin._numeric)
    inputs = measure_inputs(run.data.X)
    neglected = tuple(of_classes(twin, run, labels, fitted=fitted))
    layers = tuple(measure_layers(twin, run))
    rates = None
    if twin.solver != "lbfgs":
        rates = find_learning_rate(twin, X, y, sample_weight)
    findings = (
        *of_inputs(inputs, _names(estimator, twin)),
        *neglected,
        *of_units(layers),
        *of_gradients(layers),
        *of_updates(layers, trained=fitted),
        *of_rates(twin.learning_rate_init, rates),
    )
    sizes = "–".join(map(str, run.objective.network.sizes))
    title = (
        f"{type(network).__name__} {sizes}, {'fitted' if fitted else 'first weights'}; "
        f"looked at with {run.n_samples:,} samples"
    )
    return Diagnosis(
        title, findings, layers, inputs, rates, float(twin.learning_rate_init)
    )


def _names(estimator: BaseEstimator, network: BaseEstimator) -> HostArray | None:
    """Return what the network's features are called, where they have names."""
    if hasattr(network, "feature_names_in_"):
        names: HostArray = network.feature_names_in_
        return names
    if isinstance(estimator, Pipeline) and hasattr(estimator, "feature_names_in_"):
        with contextlib.suppress(AttributeError):  # a step that can't tell
            return np.asarray(estimator[:-1].get_feature_names_out())
    return None
