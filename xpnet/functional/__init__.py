"""The mathematics of a network's layers, without state."""

from xpnet.functional.activations import ACTIVATIONS, Activation, get_activation
from xpnet.functional.counter import counter_hash, counter_uniform, dropout, keep_mask
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
from xpnet.functional.normalization import (
    affine,
    inverse_std,
    moments,
    standardize,
    standardize_backward,
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
    smooth_labels,
    softmax,
    softmax_backward,
    softmax_jacobian,
)

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "affine",
    "counter_hash",
    "counter_uniform",
    "dropout",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "get_activation",
    "identity",
    "identity_backward",
    "inverse_std",
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
    "moments",
    "one_hot",
    "relu",
    "relu_backward",
    "selu",
    "selu_backward",
    "silu",
    "silu_backward",
    "smooth_labels",
    "softmax",
    "softmax_backward",
    "softmax_jacobian",
    "softplus",
    "softplus_backward",
    "standardize",
    "standardize_backward",
    "tanh",
    "tanh_backward",
]
