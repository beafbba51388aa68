"""The mathematics of a network's layers, without state."""

from xpnet.functional.activations import ACTIVATIONS, Activation, get_activation
from xpnet.functional.counter import counter_hash, counter_uniform, keep_mask
from xpnet.functional.exponential import (
    elu,
    elu_backward,
    selu,
    selu_backward,
    softplus,
    softplus_backward,
)
from xpnet.functional.gated import (
    gelu,
    gelu_backward,
    mish,
    mish_backward,
    silu,
    silu_backward,
)
from xpnet.functional.rectifiers import (
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
)
from xpnet.functional.sigmoids import (
    identity,
    identity_backward,
    logistic,
    logistic_backward,
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
    "counter_hash",
    "counter_uniform",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "get_activation",
    "identity",
    "identity_backward",
    "keep_mask",
    "leaky_relu",
    "leaky_relu_backward",
    "log_sigmoid",
    "log_softmax",
    "log_softmax_backward",
    "logistic",
    "logistic_backward",
    "mish",
    "mish_backward",
    "one_hot",
    "relu",
    "relu_backward",
    "selu",
    "selu_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softmax_jacobian",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
]
