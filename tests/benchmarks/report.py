"""The tables, and the page they go to."""

import datetime as dt
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agreement import cpu, replaced

from xpnet import get_backend
from xpnet.exceptions import BackendUnavailableError

from . import targets
from .cases import CASES
from .contestants import REFERENCE

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"
MARKS = {"cpu": "bench", "cuda": "bench-cuda"}

Found = dict[str, Any]


def no_gpu() -> str | None:
    """Say why there is no GPU to measure on; None where there is one."""
    try:
        get_backend("cupy")
    except BackendUnavailableError as error:
        return str(error)
    return None


def machine(device: str) -> Found:
    """Return date, hardware, and how busy it is."""
    name = f"{cpu()}, {os.cpu_count()} cores"
    if device == "cuda":
        import cupy  # noqa: PLC0415

        properties = cupy.cuda.runtime.getDeviceProperties(0)
        name = f"{properties['name'].decode()}; {name}"
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return {"date": date, "hardware": name, "load": os.getloadavg()[0]}


# ------------------------------------------------------------------------------- tables


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text, and the others numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(spread: dict[str, float] | None, scale: float = 1.0, digits: int = 0) -> str:
    """Return a median and its quartiles."""
    if spread is None:
        return "–"
    median, low, high = (
        f"{scale * spread[key]:.{digits}f}" for key in ("median", "low", "high")
    )
    return f"{median} ({low}–{high})"


def megabytes(n_bytes: float | None) -> str:
    return "–" if n_bytes is None else f"{n_bytes / 1e6:.0f}"


def by_name(columns: Iterable[Found]) -> list[str]:
    """Return the contestants of some columns, in the order of the first that has them."""
    return list(dict.fromkeys(name for column in columns for name in column))


def steps_table(steps: Found, reference: str) -> str:
    def column(case: str, name: str) -> str:
        if name not in steps[case]:
            return "–"
        times = {each: steps[case][each]["microseconds"] for each in steps[case]}
        text = cell(times[name])
        if reference in times:
            ratio = times[name]["median"] / times[reference]["median"]
            text += f" {ratio:.2f}×"
        return text

    rows = [
        [f"`{name}`", *(column(case, name) for case in steps)]
        for name in by_name(steps.values())
    ]
    return table(["µs a step", *(CASES[case].title for case in steps)], rows)


def first_fits_table(steps: Found) -> str:
    rows = [
        [
            f"`{name}`",
            *(
                f"{steps[case][name]['first_fit_seconds']:.2f}"
                if name in steps[case]
                else "–"
                for case in steps
            ),
        ]
        for name in by_name(steps.values())
    ]
    header = ["seconds of the first fit, one epoch"]
    return table([*header, *(CASES[case].title for case in steps)], rows)


def predict_table(found: Found) -> str:
    header = ["predict", "million rows a second", "extra memory, MB", "one row, µs"]
    return table(
        header,
        (
            [
                f"`{name}`",
                f"{each['rows_a_second'] / 1e6:.2f}",
                megabytes(each["extra_bytes"]),
                cell(each["one_row_seconds"], 1e6),
            ]
            for name, each in found.items()
        ),
    )


def start_table(found: Found) -> str:
    header = ["seconds from the start", "imports alone", "fit of 1 epoch", "of 100"]
    keys = ("import_seconds", "one_epoch_seconds", "fit_seconds")
    return table(
        header,
        (
            [f"`{name}`", *(cell(each[key], digits=2) for key in keys)]
            for name, each in found.items()
        ),
    )


def memory_table(found: Found) -> str:
    return table(
        ["MB that a fit adds", *(CASES[case].title for case in found)],
        (
            [f"`{name}`", *(megabytes(column.get(name)) for column in found.values())]
            for name in by_name(found.values())
        ),
    )


def accuracy_table(found: Found) -> str:
    return table(
        ["97.5 % of MNIST", "seconds", "epochs"],
        (
            [f"`{name}`", cell(each["seconds"], digits=2), cell(each["epochs"])]
            for name, each in found.items()
        ),
    )


def growth_table(found: Found) -> str:
    sizes = list(next(iter(found.values()), {}))
    header = ["ms an epoch", *(f"{int(size):,} rows" for size in sizes)]
    return table(
        header,
        (
            [f"`{name}`", *(cell(each[size], 1e3, 1) for size in sizes)]
            for name, each in found.items()
        ),
    )


def mapped_table(found: Found) -> str:
    in_memory = f"{found['rows_in_memory']:,} of the rows in memory"
    header = [f"memory map of {found['gigabytes']} GB", "µs a step", in_memory]
    header += ["anonymous memory added, MB", "resident memory added, MB"]
    return table(
        header,
        (
            [
                f"`{name}`",
                cell(each["mapped_microseconds"]),
                cell(each["memory_microseconds"]),
                megabytes(each["anonymous_bytes"]),
                megabytes(each["peak_bytes"]),
            ]
            for name, each in found.items()
            if isinstance(each, dict)
        ),
    )


TABLES = {
    "predict": predict_table,
    "start": start_table,
    "memory": memory_table,
    "accuracy": accuracy_table,
    "growth": growth_table,
    "mapped": mapped_table,
}


# --------------------------------------------------------------------------------- page


def rendered(found: Found) -> str:
    """Return all that a run found, as Markdown."""
    about, steps = found["about"], found["steps"]
    versions = ", ".join(f"{name} {text}" for name, text in about["versions"].items())
    where = f"Run on {about['date']} on {about['hardware']}; {versions}; "
    where += "; ".join(about["blas"])
    parts = [f"{where}. Medians of {about['repeats']}, quartiles in brackets."]
    if steps:
        parts += [steps_table(steps, REFERENCE[about["device"]])]
    if about["device"] == "cpu":
        parts += [table(header, rows) for header, rows in targets.tables(found) if rows]
    if steps:
        parts += [first_fits_table(steps)]
    parts += [TABLES[name](each) for name, each in found["measures"].items()]
    reasons = "\n".join(f"- {what}: {why}" for what, why in found["left_out"].items())
    if reasons:
        parts += ["Not run:", reasons]
    return "\n\n".join(parts)


def write(found: Found) -> None:
    """Put what a run found into the page."""
    page = PAGE.read_text(encoding="utf-8")
    mark = MARKS[found["about"]["device"]]
    PAGE.write_text(replaced(page, mark, rendered(found)), encoding="utf-8")
