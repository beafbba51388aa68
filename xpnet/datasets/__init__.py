"""Data to train on: the MNIST files, and tables.

Every function checks what it reads, so that a damaged file ends in one message and not
in a network that learns noise.
"""

from xpnet.datasets._mnist import Mnist, load_mnist, read_idx
from xpnet.datasets._tables import numeric_features, read_table, split_target

__all__ = [
    "Mnist",
    "load_mnist",
    "numeric_features",
    "read_idx",
    "read_table",
    "split_target",
]
