"""Training: the objective and its step, batches, the epoch loop, L-BFGS, stopping."""

from xpnet.training.batches import Data
from xpnet.training.lbfgs import train_lbfgs
from xpnet.training.loop import Epoch, Progress, step_coefficients, train
from xpnet.training.objective import Objective, training_step
from xpnet.training.stopping import Plateau, check_finite

__all__ = [
    "Data",
    "Epoch",
    "Objective",
    "Plateau",
    "Progress",
    "check_finite",
    "step_coefficients",
    "train",
    "train_lbfgs",
    "training_step",
]
