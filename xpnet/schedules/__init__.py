"""How the learning rate changes: from step to step, between epochs, on a plateau.

A schedule is told when an epoch begins and ends, and when the loss has stopped falling.
scikit-learn's three change between epochs. The others are *plans*: values that say by
which factor the first learning rate is multiplied at each step, and that
``learning_rate`` of an estimator takes, alone or one in front of another.
:class:`Planned` follows a plan.
"""

from xpnet.schedules.base import Schedule
from xpnet.schedules.epochs import Adaptive, Constant, InverseScaling
from xpnet.schedules.planned import Planned
from xpnet.schedules.plans import (
    PLANS,
    Cosine,
    Exponential,
    OneCycle,
    Plan,
    ReduceOnPlateau,
    Step,
    Warmup,
)

__all__ = [
    "PLANS",
    "Adaptive",
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "OneCycle",
    "Plan",
    "Planned",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Warmup",
]
