"""The mathematics of a network's layers, without state."""

from xpnet.functional.activations import (
    ACTIVATIONS,
    Activation,
    identity,
    identity_backward,
    logistic,
    logistic_backward,
    relu,
    relu_backward,
    tanh,
    tanh_backward,
)
from xpnet.functional.softmax import (
    log_sigmoid,
    log_softmax,
    log_softmax_backward,
    one_hot,
    softmax,
    softmax_backward,
    softmax_jacobian,
)

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "identity",
    "identity_backward",
    "log_sigmoid",
    "log_softmax",
    "log_softmax_backward",
    "logistic",
    "logistic_backward",
    "one_hot",
    "relu",
    "relu_backward",
    "softmax",
    "softmax_backward",
    "softmax_jacobian",
    "tanh",
    "tanh_backward",
]
