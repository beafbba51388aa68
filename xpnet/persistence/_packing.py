"""Estimators as JSON and tensors, and back."""

import math
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from xpnet._moving import LISTS
from xpnet._namespace import is_array_api_obj, to_numpy
from xpnet.backends import get_backend
from xpnet.classifier import MLPClassifier
from xpnet.regressor import MLPRegressor
from xpnet.schedules import PLANS, Plan

Tensors: TypeAlias = dict[str, np.ndarray[Any, Any]]

CLASSES = {cls.__name__: cls for cls in (MLPClassifier, MLPRegressor, StandardScaler)}
"""What a file may hold, alone or as steps of a pipeline."""

PLAN_CLASSES = {type(plan).__name__: type(plan) for plan in (Plan(), *PLANS.values())}


def pack_model(model: BaseEstimator, tensors: Tensors) -> Any:
    """Return a model as JSON values, and put its arrays of numbers into `tensors`."""
    if isinstance(model, Pipeline):
        return [
            [name, _pack_estimator(step, f"{name}.", tensors)]
            for name, step in model.steps
        ]
    return _pack_estimator(model, "", tensors)


def _pack_estimator(
    estimator: BaseEstimator, prefix: str, tensors: Tensors
) -> dict[str, Any]:
    name = type(estimator).__name__
    if CLASSES.get(name) is not type(estimator):
        msg = (
            f"A model file holds {' or '.join(CLASSES)}, or a Pipeline of them; got "
            f"{estimator!r}."
        )
        raise TypeError(msg)
    check_is_fitted(estimator)
    params = estimator.get_params(deep=False)
    if isinstance(params.get("random_state"), np.random.RandomState):
        params["random_state"] = None
    fitted = {
        key: value
        for key, value in vars(estimator).items()
        if key.endswith("_") and not key.startswith("_")
    }
    return {
        "class": name,
        "params": {
            key: pack_value(params[key], prefix + key, tensors) for key in params
        },
        "fitted": {
            key: pack_value(fitted[key], prefix + key, tensors) for key in fitted
        },
    }


def pack_value(value: Any, name: str, tensors: Tensors) -> Any:
    """Turn a value into JSON; arrays of numbers go to `tensors`, under `name`."""
    if isinstance(value, np.generic):
        value = value.item()
    elif is_array_api_obj(value):
        value = to_numpy(value)
    match value:
        case float() if not math.isfinite(value):  # JSON has no infinity
            return {"float": repr(value)}
        case None | bool() | int() | float() | str():
            return value
        case list():
            return [pack_value(x, f"{name}.{i}", tensors) for i, x in enumerate(value)]
        case dict():
            return {
                "dict": pack_value(
                    [list(item) for item in value.items()], name, tensors
                )
            }
        case tuple():
            return {"tuple": pack_value(list(value), name, tensors)}
        case Plan() if PLAN_CLASSES.get(type(value).__name__) is type(value):
            return {
                "plan": type(value).__name__,
                "fields": pack_value(vars(value), name, tensors),
            }
        case np.ndarray() if value.dtype.kind in "biuf":
            tensors[name] = np.array(value, value.dtype.newbyteorder("="), order="C")
            return {"tensor": name}
        case np.ndarray():
            plain = value.astype(np.int64) if value.dtype.kind in "mM" else value
            return {
                "array": pack_value(plain.tolist(), name, tensors),
                "dtype": value.dtype.str,
            }
    msg = f"{name} is of type {type(value).__name__}, which a model file doesn't hold."
    raise TypeError(msg)


def unpack_model(model: Any, tensors: Tensors, backend: str | None) -> Any:
    """Return the model that :func:`pack_model` took apart.

    Raises LookupError, TypeError, ValueError or AttributeError where parts don't fit.
    """
    if isinstance(model, dict):
        return _unpack_estimator(model, tensors, backend)
    pipeline = Pipeline(
        [(name, _unpack_estimator(step, tensors, backend)) for name, step in model]
    )
    widths = {step.n_features_in_ for _, step in pipeline.steps}
    if len(widths) > 1:
        msg = f"its steps take different numbers of features, {sorted(widths)}"
        raise ValueError(msg)
    return pipeline


def _unpack_estimator(
    packed: dict[str, Any], tensors: Tensors, backend: str | None
) -> BaseEstimator:
    params, fitted = (
        {key: unpack_value(value, tensors) for key, value in packed[part].items()}
        for part in ("params", "fitted")
    )
    if packed["class"] not in CLASSES:
        msg = f"it holds {packed['class']!r}, expected {' or '.join(CLASSES)}"
        raise ValueError(msg)
    estimator = CLASSES[packed["class"]](**params)
    estimator._validate_params()
    for key, value in fitted.items():
        setattr(estimator, key, value)
    _check_shapes(estimator)
    if "backend" in params:  # a network, and not a scaler
        estimator.backend = backend
        estimator._move_params(get_backend(backend or "numpy"))
    return estimator


def unpack_value(value: Any, tensors: Tensors) -> Any:
    """Return what :func:`pack_value` turned into JSON and tensors."""
    match value:
        case list():
            return [unpack_value(x, tensors) for x in value]
        case {"float": text}:
            return float(text)
        case {"tuple": values}:
            return tuple(unpack_value(values, tensors))
        case {"dict": items}:
            return dict(unpack_value(items, tensors))
        case {"plan": name, "fields": fields}:
            return PLAN_CLASSES[name](**unpack_value(fields, tensors))
        case {"tensor": name} if name not in tensors:
            msg = f"the tensor {name!r} is missing"
            raise ValueError(msg)
        case {"tensor": name}:
            return tensors[name]
        case {"array": values, "dtype": dtype}:
            return np.array(unpack_value(values, tensors), dtype)
    return value


def _check_shapes(estimator: BaseEstimator) -> None:
    n_features = estimator.n_features_in_
    shapes: dict[str, tuple[Any, Any]] = {
        name: (value.shape, (n_features,))
        for name, value in vars(estimator).items()
        if name.endswith("_") and isinstance(value, np.ndarray)
    }
    if hasattr(estimator, "coefs_"):
        hidden = [W.shape[1] for W in estimator.coefs_[:-1]]
        n_units = estimator._n_units
        if isinstance(estimator, MLPRegressor):  # whose loss may have changed since
            some = estimator.n_outputs_
            n_units = 2 * some if estimator.coefs_[-1].shape[1] == 2 * some else some
        sizes = [n_features, *hidden, n_units]
        shapes["coefs_"] = [W.shape for W in estimator.coefs_], list(pairwise(sizes))
        biases = [b.shape for b in estimator.intercepts_]
        shapes["intercepts_"] = biases, [(n_units,) for n_units in sizes[1:]]
        for name in LISTS[2:]:
            if hasattr(estimator, name):
                found = [x.shape for x in getattr(estimator, name)]
                shapes[name] = found, [(n_units,) for n_units in hidden]
    if "classes_" in shapes:
        n_classes = max(2, estimator.n_outputs_)  # two classes share one output
        shapes["classes_"] = estimator.classes_.shape, (n_classes,)
    for name, (found, expected) in shapes.items():
        if found != expected:
            msg = f"{name} has shape {found}, expected {expected}"
            raise ValueError(msg)
