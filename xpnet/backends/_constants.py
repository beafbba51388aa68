"""What stays the same in all calls of a compiled step, compared by value."""

import copy
import dataclasses
import io
import pickle
from types import FunctionType
from typing import Any

__all__ = ["Constants"]


class Constants:
    """Values that a step was compiled for, as a key of what was compiled.

    An activation of a user's own may have no hash, or change between two trainings.
    Hence objects are equal if all that they hold is; functions and classes are what
    they are, whatever their names. What can't be written down equals nothing else.

    Parameters
    ----------
    *values
        Any objects.

    Examples
    --------
    >>> from functools import partial
    >>> Constants(partial(max, key=abs)) == Constants(partial(max, key=abs))
    True
    >>> one, other = Constants([1.0]), Constants([2.0])
    >>> one == other
    False
    """

    def __init__(self, *values: Any) -> None:
        self.values = values
        self._notes: Any = None
        notes = _Notes()
        try:
            notes.dump(values)
        except Exception:  # noqa: BLE001 - there is no telling what objects do
            return
        self._notes = notes.file.getvalue(), tuple(notes.things)

    def copy(self) -> tuple[Any, ...]:
        """Return the values; those that another may be equal to, safe from changes."""
        return self.values if self._notes is None else copy.deepcopy(self.values)

    def __hash__(self) -> int:
        return hash(self._notes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constants):
            return NotImplemented
        return self is other or (
            self._notes is not None and self._notes == other._notes
        )


class _Notes(pickle.Pickler):
    """Writes down values; functions and classes are kept as things."""

    def __init__(self) -> None:
        self.file, self.things = io.BytesIO(), list[Any]()
        super().__init__(self.file)

    def persistent_id(self, x: Any) -> int | None:
        """Return a number for a function or a class, and None for what has a value."""
        if not isinstance(x, (type, FunctionType)):
            return None
        self.things.append(x)
        return len(self.things)

    def reducer_override(self, x: Any) -> Any:
        """Take a frozen dataclass for its fields, without what it has cached."""
        options = getattr(type(x), "__dataclass_params__", None)
        if options is not None and options.frozen:
            values = (getattr(x, field.name) for field in dataclasses.fields(x))
            return type(x), tuple(values)
        return NotImplemented
