"""The table of agreement: what is measured, and how it gets into the page."""

import agreement
import numpy as np
import pytest
from harness import BACKENDS
from tolerances import FITTED, ONE_PASS

from xpnet import get_backend

PAGE = "before\n\n% agreement: begin\n{}% agreement: end\n\nafter\n"


@pytest.fixture(scope="module")
def reference() -> agreement.Course:
    return agreement.run(get_backend("numpy"), "float64")


# ----------------------------------------------------------------------- measurements


def test_numpy_agrees_with_itself(reference: agreement.Course) -> None:
    row = agreement.measure("numpy", "float64", reference)
    assert row[:3] == ["0"] * 3
    assert float(row[3]) == round(reference.accuracy, 4)
    assert row[4] == np.__version__
    assert row[5].endswith("(CPU)")


def test_strict_computes_with_numpy(reference: agreement.Course) -> None:
    assert agreement.measure("strict:device1", "float64", reference)[:3] == ["0"] * 3


def test_float32_differs_by_rounding(reference: agreement.Course) -> None:
    row = agreement.measure("numpy", "float32", reference)
    for worst, factor in zip(row[:3], [ONE_PASS, ONE_PASS, FITTED], strict=True):
        assert 0.0 < float(worst) < factor * np.finfo(np.float32).eps


def test_a_deviation_is_relative_to_the_largest_magnitude() -> None:
    desired = np.asarray([[0.0, -4.0], [1.0, 2.0]])
    assert agreement.deviation(desired, desired) == 0.0
    assert agreement.deviation(desired + 0.5 * np.eye(2), desired) == 0.125
    assert agreement.deviation(np.float32(3.0), np.asarray(2.0)) == 0.5


def test_what_cannot_be_run_says_why(reference: agreement.Course) -> None:
    row = agreement.measure("strict:moon", "float64", reference)
    assert row == ["not run: strict has no device 'moon' here", *[""] * 6]
    row = agreement.measure("strict:no_float64", "float64", reference)
    assert row == ["not run: the device has no float64", *[""] * 6]


# -------------------------------------------------------------------------- the table


def test_text_is_replaced_between_the_comments_only() -> None:
    once = agreement.replaced(PAGE.format("old\n"), "agreement", "new")
    assert once == PAGE.format("\nnew\n\n")
    assert agreement.replaced(once, "agreement", "new") == once


@pytest.mark.parametrize("page", ["", "% agreement: begin\n", "% agreement: end\n"])
def test_a_page_without_the_comments(page: str) -> None:
    with pytest.raises(ValueError, match="has no comments"):
        agreement.replaced(page, "agreement", "new")


MEASURED = ["1e-7", "2e-7", "3e-7", "0.97", "14.2.0", "a card", "2025-01-01"]
NOT_RUN = ["not run: it is not installed", *[""] * 6]
NEWER = ["1e-8", *MEASURED[1:-1], "2026-01-01"]


def test_a_table_is_read_as_it_was_written() -> None:
    rows = {("numpy", "float64"): MEASURED, ("cupy", "float32"): NOT_RUN}
    assert agreement.parsed(agreement.rendered(rows)) == rows
    assert agreement.parsed("") == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (MEASURED, NEWER, NEWER),
        (NOT_RUN, NEWER, NEWER),
        (MEASURED, NOT_RUN, MEASURED),  # elsewhere, with that run's date and hardware
        (["not run: it is old", *[""] * 6], NOT_RUN, NOT_RUN),
    ],
)
def test_rows_measured_elsewhere_are_kept(
    old: list[str], new: list[str], expected: list[str]
) -> None:
    key = ("cupy", "float32")
    assert agreement.merged({key: old}, {key: new}) == {key: expected}
    assert agreement.merged({}, {key: new}) == {key: new}


# --------------------------------------------------------------------------- the page


def test_every_backend_of_the_harness_has_a_row() -> None:
    default = {"strict": "strict:CPU_DEVICE", "torch": "torch:cpu", "jax": "jax:cpu"}
    names = {default.get(name, name) for name in BACKENDS.values()}
    assert names <= set(agreement.BACKENDS)
    page = agreement.PAGE.read_text(encoding="utf-8")
    rows = agreement.parsed(agreement.between(page, agreement.MARK))
    expected = [(b, dtype) for b in agreement.BACKENDS for dtype in agreement.DTYPES]
    assert list(rows) == expected
    for cells in rows.values():
        assert cells[0].startswith("not run: ") or all(cells)
