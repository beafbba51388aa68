"""``xpnet bench``: what it prints and writes, and how it fails."""

import json
import re
from pathlib import Path
from statistics import median

import pytest
from typer.testing import CliRunner, Result

from xpnet.cli import bench
from xpnet.cli.app import app

NUMPY = f"xpnet, numpy{bench._with_numba('numpy')}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; the processes have one thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    return tmp_path


def run(*args: str, code: int) -> Result:
    result = CliRunner().invoke(app, ["bench", *args])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_the_table_and_the_figures() -> None:
    options = ("--backend", "numpy", "--repeats", "2", "--warm-up", "0")
    result = run(*options, "--json", "times.json", code=0)
    assert "Wrote the times to times.json." in result.stdout
    found = json.loads(Path("times.json").read_text(encoding="utf-8"))
    assert list(found["microseconds"]) == list(bench.CASES)
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in result.stdout.splitlines()
        if line.startswith("│")
    ]
    for title, times in found["microseconds"].items():
        assert list(times) == ["scikit-learn", NUMPY]
        theirs = median(times["scikit-learn"])
        begin = rows.index([title, "", "", "", ""])
        for name, row in zip(times, rows[begin + 1 :], strict=False):
            ours = median(times[name])
            assert len(times[name]) == 2
            numbers = (ours, min(times[name]), max(times[name]))
            speed = f"{theirs / ours:.2f}"
            assert row == [name, *(f"{n:,.0f}" for n in numbers), speed]


@pytest.mark.parametrize("case", bench.CASES.items(), ids=list(bench.CASES))
def test_the_cases_say_how_large_they_are(case: tuple[str, bench.Case]) -> None:
    title, (hidden, _, n_samples, _) = case
    X, y = bench._data(title)
    assert X.dtype == "float32"
    assert X.shape[0] == y.shape[0] == n_samples
    units = "-".join(map(str, (X.shape[1], *hidden, len(set(y)))))
    assert title.endswith(units)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--backend", "moon"), "Error: Unknown backend 'moon': expected one of"),
        (("--backend", "numpy:moon"), "Error: backend='numpy:moon' can't be used:"),
        (("--json", "nowhere/times.json"), "Error: .*nowhere"),
        (("--repeats", "0"), "Invalid value for '--repeats'"),
    ],
)
def test_errors_are_one_message(args: tuple[str, ...], message: str) -> None:
    result = run(*args, code=2)
    # Usage errors are in a box.
    assert re.search(message, re.sub(r"[│\s]+", " ", result.stderr))
    assert list(Path().iterdir()) == []
