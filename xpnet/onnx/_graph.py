"""A graph under way: operators of the ONNX standard, and what they compute with.

It knows neither onnx nor skl2onnx: each of them is handed the finished description.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnet._validation import HostArray

__all__ = ["ELEMENT_TYPES", "OPSET", "Graph", "Node"]

OPSET = 13
"""All operators in use have had their present meaning since this one, of 2020."""

ELEMENT_TYPES = {"float32": 1, "int64": 7, "str": 8, "float64": 11}
"""The standard's numbers of the types in use."""


class Node(NamedTuple):
    """An operator with the names of its inputs and of its output."""

    operator: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]


class Graph:
    """Nodes in the order of computation, and constants by name.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        What to compute in.
    unique : callable
        ``unique(stem)`` is a name that no other value has.
    """

    def __init__(self, dtype: str, unique: Callable[[str], str]) -> None:
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.constants: dict[str, HostArray] = {}
        self._unique = unique

    def constant(self, values: Any, dtype: str | None = None) -> str:
        """Add a constant.

        Parameters
        ----------
        values : array, list or number
            On the host.
        dtype : str, optional
            By default the graph's own.

        Returns
        -------
        str
            Its name.
        """
        name = self._unique("constant")
        dtype = dtype or self.dtype
        self.constants[name] = np.asarray(values, object if dtype == "str" else dtype)
        return name

    def add(
        self,
        operator: str,
        *inputs: str | float,
        into: str | None = None,
        **attributes: Any,
    ) -> str:
        """Add a node.

        Parameters
        ----------
        operator : str
            Its name in the standard.
        *inputs : str or float
            Names of values; a number becomes a constant.
        into : str, optional
            The name of the output, by default a new one.
        **attributes
            Of the operator.

        Returns
        -------
        str
            The name of the output.
        """
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        output = into or self._unique(operator)
        self.nodes.append(Node(operator, names, output, attributes))
        return output

    def cast(self, value: str, dtype: str, into: str | None = None) -> str:
        """Add the conversion of a value to another dtype, and return its name."""
        return self.add("Cast", value, into=into, to=ELEMENT_TYPES[dtype])

    def columns(self, value: str, start: int, stop: int) -> str:
        """Add the choice of columns of a matrix, and return its name."""
        bounds = (self.constant([i], "int64") for i in (start, stop, 1))
        return self.add("Slice", value, *bounds)
