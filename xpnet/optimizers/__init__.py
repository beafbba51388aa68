"""Optimisers: pure ``init`` and ``update`` on the flat parameter vector.

``update(params, d_params, state, *coefficients)`` returns the new parameters and state;
it writes into the arrays it was given where the library can, so use what it returns.
What changes from step to step (learning rates, bias corrections) is computed on the
host in double precision by ``coefficients`` and enters ``update`` as 0-d arrays, so
that one compiled or captured step serves the whole training.
"""

from xpnet.optimizers.adaptive import Adam, AdamW, NAdam, RMSProp
from xpnet.optimizers.average import Averaged
from xpnet.optimizers.base import Optimizer, State, Update
from xpnet.optimizers.descent import SGD
from xpnet.optimizers.muon import Muon, orthogonalize

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Averaged",
    "Muon",
    "NAdam",
    "Optimizer",
    "RMSProp",
    "State",
    "Update",
    "orthogonalize",
]
