"""Training: the objective and its step, batches, the epoch loop, L-BFGS, stopping."""

from xpnet.training.batches import Data, batches
from xpnet.training.coefficients import step_coefficients
from xpnet.training.gradients import Accumulated, Clipped
from xpnet.training.lbfgs import train_lbfgs
from xpnet.training.loop import Epoch, Progress, train
from xpnet.training.noise import Mixup
from xpnet.training.objective import Differentiable, Objective, training_step
from xpnet.training.stopping import Plateau, check_finite
from xpnet.training.streams import ahead, train_stream

__all__ = [
    "Accumulated",
    "Clipped",
    "Data",
    "Differentiable",
    "Epoch",
    "Mixup",
    "Objective",
    "Plateau",
    "Progress",
    "ahead",
    "batches",
    "check_finite",
    "step_coefficients",
    "train",
    "train_lbfgs",
    "train_stream",
    "training_step",
]
