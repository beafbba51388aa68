"""Data that comes batch by batch, because all of it would not fit into memory."""

from xpnet._streams._batches import Batches, as_batches
from xpnet._streams._passes import Passes, find_classes, first_of, named

__all__ = ["Batches", "Passes", "as_batches", "find_classes", "first_of", "named"]
