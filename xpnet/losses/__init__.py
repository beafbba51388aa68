"""Losses: from outputs and targets to ``(loss, d_outputs)``.

Each has the form ``loss(outputs, targets, weights=None, *, out=None)``: the loss is
averaged over the samples, by their weights, and stays on the device; `out` is a hint
where the gradient may be written, the outputs' own array included.
"""

from collections.abc import Callable

from xpnet._typing import Array
from xpnet.losses.averages import average, average_all, total_weight
from xpnet.losses.classification import (
    multioutput_cross_entropy,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from xpnet.losses.errors import absolute_error, huber, quantile, squared_error
from xpnet.losses.likelihoods import gaussian_nll, poisson

__all__ = [
    "Loss",
    "absolute_error",
    "average",
    "average_all",
    "gaussian_nll",
    "huber",
    "multioutput_cross_entropy",
    "poisson",
    "quantile",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
    "total_weight",
]

Loss = Callable[..., tuple[Array, Array]]
"""``loss(outputs, targets, weights=None, *, out=None) -> (value, d_outputs)``"""
