"""What is complained of, and from where on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from xpnet._namespace import to_numpy
from xpnet._run import Run
from xpnet._validation import HostArray
from xpnet.inspection._measures import Inputs, LayerHealth
from xpnet.inspection._rates import LearningRates

__all__ = [
    "Finding",
    "of_classes",
    "of_gradients",
    "of_inputs",
    "of_rates",
    "of_units",
    "of_updates",
]

# From where on a figure is complained of.
_DEAD = 0.3  # share of a layer's units; healthy ones have up to 0.26
_SATURATED = 0.5  # share of a layer's outputs
_VANISHING = 1e-3  # of the largest layer's gradient, by the root mean squares
_NO_GRADIENT = 1e-12  # below, the network has nothing left to learn
_EXPLODING = 10.0  # gradient by weights
_LARGE_UPDATE = 0.5  # update by weights
_SMALL_UPDATE = 1e-6
_LOW_RATE = 1e-3  # of what is suggested
_LARGE_INPUT = 10.0  # root mean square of a feature
_UNEVEN = 100.0  # the largest standard deviation by the lower quartile
_IMBALANCED = 10.0  # the heaviest class by the lightest
_FORGOTTEN = 0.5  # recall of a class
_FEW = 5  # features that are named


@dataclass(frozen=True)
class Finding:
    """Something that may be wrong, and what to do."""

    kind: str
    """One of the kinds that :func:`doctor` lists."""
    what: str
    """What was found, with the figures."""
    advice: str
    """What may help."""
    layer: int | None = None
    """The layer it concerns, counted from 1."""
    features: tuple[int, ...] = ()
    """The features it concerns, counted from 0."""
    classes: tuple[Any, ...] = ()
    """The classes it concerns."""


# --------------------------------------------------------------------------- the inputs


def of_inputs(inputs: Inputs, names: HostArray | None) -> Iterator[Finding]:
    """Complain of features that are large, uneven or constant."""
    scale = "Put a StandardScaler before the network, or divide by a fixed range."
    large = np.flatnonzero(inputs.rms > _LARGE_INPUT)
    if large.size:
        what = (
            f"large inputs: {_features(large, names)} with a root mean square of up to "
            f"{inputs.rms.max():.2g}, where about 1 is good."
        )
        yield Finding("large inputs", what, scale, features=_ints(large))
    varied = inputs.std[~inputs.constant]
    if varied.size:
        quartile = np.quantile(varied, 0.25, method="lower")
        wide = np.flatnonzero(inputs.std > _UNEVEN * quartile)
        if wide.size:
            what = (
                f"uneven inputs: {_features(wide, names)} with a standard deviation of "
                f"up to {varied.max():.2g}, where a quarter of the features have at most "
                f"{quartile:.2g}: beside that they are hardly seen."
            )
            yield Finding("uneven inputs", what, scale, features=_ints(wide))
    constant = np.flatnonzero(inputs.constant & (inputs.low != 0.0))
    if constant.size:
        what = (
            f"constant inputs: {_features(constant, names)} the same for all samples. "
            "It tells nothing, and acts as a second bias."
        )
        advice = "Drop it, or look for what went wrong where it was read."
        yield Finding("constant inputs", what, advice, features=_ints(constant))


def _features(numbers: HostArray, names: HostArray | None) -> str:
    """Name a few features, by their columns' names where there are any."""
    shown = [str(i if names is None else repr(names[i])) for i in numbers[:_FEW]]
    more = numbers.size - len(shown)
    plural = "feature" if numbers.size == 1 else "features"
    return f"{plural} {', '.join(shown)}" + (f" and {more:,} more" if more else "")


def _ints(numbers: HostArray) -> tuple[int, ...]:
    return tuple(map(int, numbers))


# -------------------------------------------------------------------------- the classes


def of_classes(
    estimator: Any, run: Run, y: HostArray, *, fitted: bool
) -> Iterator[Finding]:
    """Complain of classes that are rare and, if the network is fitted, not found."""
    if not is_classifier(estimator) or y.ndim != 1:
        return
    classes, codes = np.unique(y, return_inverse=True)
    weights = run.data.weights
    sums = np.bincount(codes, None if weights is None else to_numpy(weights))
    recalls = _recalls(estimator, run, y, classes) if fitted else np.zeros(len(classes))
    neglected = (sums * _IMBALANCED < sums.max()) & (recalls < _FORGOTTEN)
    rare = classes[neglected].tolist()
    if not rare:
        return
    shown = ", ".join(map(repr, rare[:_FEW])) + (", …" if len(rare) > _FEW else "")
    found = ", and the network finds less than half of them" if fitted else ""
    what = (
        f"imbalanced classes: {shown} {'weigh' if len(rare) > 1 else 'weighs'} down to "
        f"{sums.min() / sums.sum():.2%} of all samples, the commonest class "
        f"{sums.max() / sums.sum():.0%}{found}."
    )
    advice = (
        "Set class_weight='balanced', and judge by scoring='balanced_accuracy' rather "
        "than by accuracy."
    )
    yield Finding("imbalanced classes", what, advice, classes=tuple(rare))


def _recalls(estimator: Any, run: Run, y: HostArray, classes: HostArray) -> HostArray:
    """Return which share of each class a fitted classifier finds."""
    outputs = run.objective.network.outputs(estimator._weights, run.data.X)
    found = to_numpy(estimator._targets.predict(outputs, np.empty(0))) == y
    return np.asarray([np.mean(found[y == label]) for label in classes])


# ------------------------------------------------------------- the layers and their step


def of_units(layers: tuple[LayerHealth, ...]) -> Iterator[Finding]:
    """Complain of units that pass no gradient, or hardly any."""
    for place, layer in enumerate(layers[:-1], start=1):
        name = layer.activation
        if layer.n_dead > _DEAD * layer.n_units:
            what = (
                f"dead units: {layer.n_dead:,} of {layer.n_units:,} units of layer "
                f"{place} ({name}) have slope 0 for every sample: they learn no more."
            )
            advice = (
                "Scale the inputs, lower the learning rate, or take an activation that "
                "is never level, 'leaky_relu' or 'elu'; then fit anew."
            )
            yield Finding("dead units", what, advice, layer=place)
        if layer.saturated is not None and layer.saturated > _SATURATED:
            what = (
                f"saturated units: {layer.saturated:.0%} of the outputs of layer {place} "
                f"({name}) are where it is level, and hardly pass a gradient."
            )
            advice = (
                "Scale the inputs, lower the learning rate, raise alpha to keep the "
                "weights small, or take 'relu'; then fit anew."
            )
            yield Finding("saturated units", what, advice, layer=place)


def of_gradients(layers: tuple[LayerHealth, ...]) -> Iterator[Finding]:
    """Complain of gradients that are much smaller than others, or huge."""
    largest = max(layer.gradient_rms for layer in layers)
    for place, layer in enumerate(layers, start=1):
        size = layer.gradient_rms
        if not layer.gradient_ratio <= _EXPLODING:  # NaN, too
            what = (
                f"exploding gradients: that of layer {place} has norm "
                f"{layer.gradient_norm:.2g}, its weights {layer.weight_norm:.2g}."
            )
            advice = (
                "Scale the inputs, and the targets of a regressor; lower the learning "
                "rate; begin from smaller weights, or with fewer layers."
            )
            yield Finding("exploding gradients", what, advice, layer=place)
        elif largest > _NO_GRADIENT and size < _VANISHING * largest:
            what = (
                f"vanishing gradients: the entries of layer {place}'s are about "
                f"{size:.1e}, the largest layer's {largest:.1e}: it hardly learns."
            )
            advice = (
                "Take fewer layers, an activation that passes gradients on, 'relu' or "
                "'selu', or first weights that fit it, init='he_normal'."
            )
            yield Finding("vanishing gradients", what, advice, layer=place)


def of_updates(layers: tuple[LayerHealth, ...], *, trained: bool) -> Iterator[Finding]:
    """Complain of a step that changes the weights too much, or not at all."""
    ratios = [r for layer in layers if (r := layer.update_ratio) is not None]
    for place, ratio in enumerate(ratios, start=1):
        if not ratio <= _LARGE_UPDATE:
            what = (
                f"large updates: one step changes the weights of layer {place} by "
                f"{ratio:.2g} of their norm; about 0.001 to 0.1 is good."
            )
            yield Finding(
                "large updates", what, "Lower learning_rate_init.", layer=place
            )
    if ratios and not trained and max(ratios) < _SMALL_UPDATE:
        what = (
            f"small updates: one step changes no layer's weights by more than "
            f"{max(ratios):.1e} of their norm; about 0.001 is good."
        )
        yield Finding("small updates", what, "Raise learning_rate_init.")


def of_rates(used: float, rates: LearningRates | None) -> Iterator[Finding]:
    """Complain of a rate that the range test speaks against."""
    if rates is None:
        return
    advice = "" if rates.suggestion is None else f"{rates.suggestion:.2g} is suggested."
    if rates.diverging is not None and used >= rates.diverging:
        what = (
            f"high learning rate: learning_rate_init is {used:.2g}, and in a range test "
            f"training diverged at {rates.diverging:.2g}."
        )
        advice = advice or "Scale the inputs first: no rate was found that learns."
        yield Finding("high learning rate", what, advice)
    elif rates.suggestion is not None and used < _LOW_RATE * rates.suggestion:
        what = (
            f"low learning rate: learning_rate_init is {used:.2g}, less than a "
            "thousandth of what a range test suggests: training will take long."
        )
        yield Finding("low learning rate", what, advice)
