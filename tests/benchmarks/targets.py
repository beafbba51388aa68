"""What xpnet sets out to reach, beside what was measured."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .cases import CASES

Found = dict[str, Any]

TORCH = ("torch eager", "torch fused", "torch compile")


class Faster(NamedTuple):
    """How many times faster one is to be than the best of others, case by case."""

    title: str
    name: str
    others: tuple[str, ...]
    factors: tuple[float, ...]


FASTER = (
    Faster("`xpnet` over `sklearn`", "xpnet", ("sklearn",), (4, 5, 3.3, 3.2)),
    Faster("`xpnet` over the best of torch", "xpnet", TORCH, (2.5, 2.5, 2.5, 2)),
    Faster("`xpnet` over `jax scan`", "xpnet", ("jax scan",), (1, 1, 1, 1)),
    Faster("`xpnet plain` over `sklearn`", "xpnet plain", ("sklearn",), (2, 2, 2, 2)),
    Faster("`xpnet jax` over `jax jit`", "xpnet jax", ("jax jit",), (0.91,) * 4),
    Faster("`xpnet torch` over `torch fused`", "xpnet torch", TORCH[1:2], (1.3,) * 4),
)


class Target(NamedTuple):
    """A number to reach."""

    title: str
    bound: float
    least: bool
    """Whether the bound is the least, else it is the most."""
    unit: str
    value: Callable[[Found], float]
    """Of all measures; KeyError where what it needs was not run."""

    def row(self, measures: Found) -> list[str] | None:
        """Return the target beside what was measured, if it was."""
        try:
            value = self.value(measures)
        except (KeyError, TypeError):
            return None
        met = value >= self.bound if self.least else value <= self.bound
        word = "at least" if self.least else "at most"
        text = f"{value:.2f}{self.unit}"
        asked = f"{word} {self.bound:g}{self.unit}"
        return [self.title, asked, text if met else f"**{text}**"]


def _over_linear(measures: Found) -> float:
    times = measures["growth"]["xpnet"]
    a_row = [times[size]["median"] / int(size) for size in times]
    return max(a_row[1:]) / a_row[0]


OTHERS = (
    Target(
        "predict, 1,000,000 rows: rows a second over `sklearn`",
        *(2, True, "×"),
        lambda found: (
            found["predict"]["xpnet"]["rows_a_second"]
            / found["predict"]["sklearn"]["rows_a_second"]
        ),
    ),
    Target(
        "predict, 1,000,000 rows: extra memory",
        *(100, False, " MB"),
        lambda found: found["predict"]["xpnet"]["extra_bytes"] / 1e6,
    ),
    Target(
        "predict, one row: sooner than `sklearn`",
        *(3, True, "×"),
        lambda found: (
            found["predict"]["sklearn"]["one_row_seconds"]["median"]
            / found["predict"]["xpnet"]["one_row_seconds"]["median"]
        ),
    ),
    *(
        Target(
            f"process start to a model of {epochs} on digits, over `sklearn`",
            *(1, False, "×"),
            lambda found, key=key: (
                found["start"]["xpnet"][key]["median"]
                / found["start"]["sklearn"][key]["median"]
            ),
        )
        for key, epochs in (
            ("one_epoch_seconds", "1 epoch"),
            ("fit_seconds", "100 epochs"),
        )
    ),
    Target(
        "memory map: anonymous memory of `fit` over the file's size",  # 1 GB of 4
        *(0.25, False, "×"),
        lambda found: (
            found["mapped"]["xpnet"]["anonymous_bytes"]
            / found["mapped"]["gigabytes"]
            / 1e9
        ),
    ),
    Target(
        "memory map: time a step over that in memory",
        *(1.1, False, "×"),
        lambda found: (
            found["mapped"]["xpnet"]["mapped_microseconds"]["median"]
            / found["mapped"]["xpnet"]["memory_microseconds"]["median"]
        ),
    ),
    Target(
        "growth to 1,000,000 rows: time an epoch over linear",
        *(1.1, False, "×"),
        _over_linear,
    ),
)


def faster_row(faster: Faster, steps: Found) -> list[str]:
    """Return how many times faster, and the target in brackets, case by case."""
    cells = []
    for case, factor in zip(CASES, faster.factors, strict=True):
        times = {
            name: each["microseconds"]["median"]
            for name, each in steps.get(case, {}).items()
        }
        others = [times[name] for name in faster.others if name in times]
        if faster.name not in times or not others:
            cells.append("–")
            continue
        ratio = min(others) / times[faster.name]
        text = f"{ratio:.2f}"
        cells.append(f"{text if ratio >= factor else f'**{text}**'} ({factor:g})")
    return [faster.title, *cells]


def tables(found: Found) -> list[tuple[list[str], list[list[str]]]]:
    """Return headers and rows; what is missed is bold."""
    rows = [faster_row(faster, found["steps"]) for faster in FASTER]
    times = [row for row in rows if set(row[1:]) != {"–"}]
    others = [target.row(found["measures"]) for target in OTHERS]
    return [
        (["times faster (target)", *(case.title for case in CASES.values())], times),
        (["", "target", "measured"], [row for row in others if row]),
    ]
