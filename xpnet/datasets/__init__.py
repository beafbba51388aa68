"""Data to train on: the MNIST files, tables, and what is larger than memory.

Every function checks what it reads, so that a damaged file ends in one message and not
in a network that learns noise.
"""

from xpnet._streams import Batches
from xpnet.datasets._mnist import Mnist, load_mnist, read_idx
from xpnet.datasets._tables import numeric_features, read_table, split_target

__all__ = [
    "Batches",
    "Mnist",
    "load_mnist",
    "numeric_features",
    "read_idx",
    "read_table",
    "split_target",
]
