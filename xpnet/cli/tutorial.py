"""The tutorial that xpnet began from: its settings, and the figures it printed.

A network 784-50-10 of logistic units is trained on MNIST by plain gradient descent on
all images at once. The figures are those printed in "Understanding and implementing
Neural Network with SoftMax in Python from scratch", A Developer Diary.
"""

import math
from typing import Any, NamedTuple

SETTINGS: dict[str, Any] = {
    "hidden_layer_sizes": (50,),
    "activation": "logistic",
    "solver": "sgd",
    "alpha": 0.0,
    "batch_size": 60_000,
    "learning_rate_init": 0.1,
    "max_iter": 1000,
    "random_state": 1,
    "tol": 0.0,
    "momentum": 0.0,
    "n_iter_no_change": math.inf,
    "dtype": "float64",
    "init": "lecun_normal",
}
"""Parameters of MLPClassifier; the pixels are divided by 255."""


class Row(NamedTuple):
    """What the tutorial printed for an iteration."""

    cost: float
    """Before its update: the mean cross-entropy over the number of classes."""
    train_accuracy: float
    """After its update, in per cent."""


TABLE = {
    0: Row(0.24014291022543646, 8.393333333333333),
    100: Row(0.16293340442170298, 70.35833333333333),
    200: Row(0.11068081204697405, 79.54833333333333),
    300: Row(0.08353159072761683, 83.24833333333333),
    400: Row(0.06871067093157585, 85.32),
    500: Row(0.05959970354422914, 86.56666666666666),
    600: Row(0.05347708397827516, 87.46333333333334),
    700: Row(0.049101880831507155, 88.12),
    800: Row(0.04583107963137556, 88.59666666666666),
    900: Row(0.04329685602394087, 89.00833333333334),
}

FINAL_TRAIN_ACCURACY = 89.31333333333333
FINAL_TEST_ACCURACY = 89.89
"""In per cent, after all 1,000 updates."""

FINAL = (
    f"The tutorial's, after {SETTINGS['max_iter']:,} iterations: "
    f"train {FINAL_TRAIN_ACCURACY:.2f}%, test {FINAL_TEST_ACCURACY:.2f}%"
)

HEADER = "iteration  cost                  tutorial's            train %   tutorial's"


def line(iteration: int, row: Row) -> str:
    """Set a row of a rerun beside the tutorial's."""
    printed = TABLE[iteration]
    return (
        f"{iteration:>9}  {row.cost!r:<20}  {printed.cost!r:<20}  "
        f"{row.train_accuracy:<8.5f}  {printed.train_accuracy:.5f}"
    )
