"""Names for what the array-API standard leaves without a class of its own.

Arrays, namespaces, devices and dtypes of five libraries share no base class, so these
are aliases of :data:`typing.Any`. Shapes are in the docstrings and at the line ends.
"""

from typing import Any, TypeAlias

Array: TypeAlias = Any
Namespace: TypeAlias = Any
Device: TypeAlias = Any
DType: TypeAlias = Any
