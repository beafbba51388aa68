"""Looking at networks: their layers, their health, and their learning rate."""

from xpnet.inspection._display import LearningRateDisplay
from xpnet.inspection._doctor import Diagnosis, doctor
from xpnet.inspection._findings import Finding
from xpnet.inspection._measures import Inputs, LayerHealth
from xpnet.inspection._rates import LearningRates, find_learning_rate
from xpnet.inspection._summary import LayerRow, Summary, summary

__all__ = [
    "Diagnosis",
    "Finding",
    "Inputs",
    "LayerHealth",
    "LayerRow",
    "LearningRateDisplay",
    "LearningRates",
    "Summary",
    "doctor",
    "find_learning_rate",
    "summary",
]
