"""The benchmarks can be run, and say of a run what was found."""

import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks import __main__ as command
from benchmarks import contestants, report, runner, targets
from benchmarks.cases import CASES

PEERS = {
    "sklearn": (),
    "xpnet": (),
    "xpnet plain": (),
    "xpnet torch": ("torch",),
    "xpnet jax": ("jax",),
    "torch fused": ("torch",),
    "jax jit": ("jax", "optax"),
    "jax scan": ("jax", "optax"),
    "skorch": ("skorch", "torch"),
    "matmul floor": (),
}
FEW = CASES["digits"]._replace(epochs=2)


def importable(name: str) -> bool:
    return all(importlib.util.find_spec(module) for module in PEERS[name])


@pytest.fixture
def contest(tmp_path: Path) -> Iterator[runner.Runner]:
    names = contestants.CPU
    with runner.Runner(tmp_path, "cpu", names, repeats=2, warm_up=0.0) as contest:
        yield contest


# --------------------------------------------------------------------------- processes


@pytest.mark.parametrize("name", PEERS)
def test_all_learn_the_same(name: str, contest: runner.Runner) -> None:
    if not importable(name):
        pytest.skip(f"one of {PEERS[name]} is not installed")
    request = FEW.request(contest.folder)
    first, last = (
        contest.ask(name, "fit", **request | {"epochs": epochs}) for epochs in (1, 10)
    )
    assert first["microseconds"] == pytest.approx(1e6 * first["seconds"] / 9)
    assert last["microseconds"] == pytest.approx(1e6 * last["seconds"] / 90)
    if name == contestants.FLOOR:
        assert last["loss"] is None
        return
    assert first["loss"] < math.log(10) + 0.2  # of classes that are guessed
    assert 0.2 < last["loss"] < 1.0
    answer = contest.ask(name, "predict", data=request["data"], rows=5, calls=2)
    assert answer["seconds"] > 0.0


def test_memory_of_a_fit_is_seen(contest: runner.Runner) -> None:
    if not runner.TESTS.joinpath("/proc/self/status").exists():
        pytest.skip("memory is known on Linux only")
    request = FEW.request(contest.folder, sample=True)
    answer = contest.ask("xpnet", "fit", **request)
    assert 0 < answer["peak"] < 1e9
    assert 0 <= answer["anonymous"] < 1e9


def test_who_fails_is_left_out(contest: runner.Runner) -> None:
    def ask(name: str) -> dict[str, Any]:
        if name == "sklearn":
            return contest.ask(name, "fit", **FEW.request(contest.folder))
        return contest.ask(name, "dance")

    answers = contest.take_turns("dancing", ask, ["sklearn", "xpnet"])
    assert list(answers) == ["sklearn"]
    assert len(answers["sklearn"]) == 2
    assert "dance" in contest.left_out["xpnet, dancing"]


def test_a_dead_process_is_left_out(contest: runner.Runner) -> None:
    with contest.fresh("xpnet") as worker:
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(runner.NotRunError, match="ended with code"):
            worker.ask("about")


def test_the_kernel_is_the_librarys_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "OPENBLAS_CORETYPE" not in runner.environment("cpu", "xpnet", tmp_path)


@pytest.mark.parametrize("device", contestants.CONTESTANTS)
def test_each_contestant_has_a_command(device: str, tmp_path: Path) -> None:
    assert contestants.REFERENCE[device] in contestants.CONTESTANTS[device]
    for name, contestant in contestants.CONTESTANTS[device].items():
        args = [sys.executable, "-m", "benchmarks.worker", device, name]
        assert runner.command(device, name) == args
        variables = runner.environment(device, name, tmp_path)
        assert dict(contestant.env).items() <= variables.items()


# ------------------------------------------------------------------------- the command


def test_a_part_is_printed_and_not_written_to_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CASES, "digits", FEW)
    page = report.PAGE.read_text(encoding="utf-8")
    path = tmp_path / "some" / "bench.json"
    args = ["--cases", "digits", "--repeats", "1", "--warm-up", "0", "--json"]
    names = ["--contestants", "xpnet,sklearn,matmul floor"]
    assert command.main([*args, str(path), *names]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found["steps"]["digits"]) == ["xpnet", "sklearn", "matmul floor"]
    assert found["left_out"] == {}
    assert found["about"]["blas"]
    printed = capsys.readouterr().out
    assert "| µs a step | digits, 64-100-10 |" in printed
    assert "| `xpnet` over `sklearn` |" in printed
    assert report.PAGE.read_text(encoding="utf-8") == page


def test_without_a_gpu_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "no_gpu", lambda: "there is none")
    assert command.main(["--device", "cuda"]) == 2
    assert capsys.readouterr().err == "No GPU: there is none\n"


def test_everything_is_all_cases_and_measures() -> None:
    chosen = command.parse([])
    assert chosen.whole
    assert chosen.cases == list(CASES)
    assert chosen.measures == list(command.MEASURES)
    assert not command.parse(["--contestants", "xpnet"]).whole
    assert command.parse(["--measures", "start"]).cases == []


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["--cases", "moon"], ["--contestants", "moon"]):
        with pytest.raises(SystemExit):
            command.parse(args)
        assert "'moon' is none of" in capsys.readouterr().err


# ------------------------------------------------------------------------- the report


def spread(value: float) -> dict[str, float]:
    return {"median": value, "low": 0.5 * value, "high": 2.0 * value}


def made_up() -> dict[str, Any]:
    def fits(**times: float) -> dict[str, Any]:
        return {
            name: {"microseconds": spread(time), "first_fit_seconds": 0.5, "loss": 1.0}
            for name, time in times.items()
        }

    ours = {
        "rows_a_second": 3e6,
        "seconds": spread(1 / 3),
        "extra_bytes": 2e8,
        "one_row_seconds": spread(5e-5),
    }
    theirs = ours | {"rows_a_second": 1e6, "one_row_seconds": spread(1e-4)}
    return {
        "about": {
            "date": "2000-01-01",
            "hardware": "a loom",
            "versions": {"numpy": "2"},
            "blas": ["a blas"],
            "repeats": 7,
            "device": "cpu",
        },
        "steps": {"digits": fits(xpnet=50.0, sklearn=250.0)},
        "measures": {"predict": {"xpnet": ours, "sklearn": theirs}},
        "left_out": {"skorch, digits": "No module named 'skorch'"},
    }


def test_the_page_has_what_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page, found = tmp_path / "page.md", tmp_path / "bench.json"
    page.write_text("before\n% bench: begin\nnothing\n% bench: end\nafter\n")
    found.write_text(json.dumps(made_up()), encoding="utf-8")
    monkeypatch.setattr(report, "PAGE", page)
    assert command.main(["--render", str(found)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n% bench: begin\n\nRun on 2000-01-01 on a loom; ")
    assert text.endswith("\n\n% bench: end\nafter\n")
    assert "| `sklearn` | 250 (125–500) 5.00× |" in text
    assert "| `xpnet` | 3.00 | 200 | 50 (25–100) |" in text
    assert "- skorch, digits: No module named 'skorch'" in text


def test_a_missed_target_is_bold() -> None:
    times, others = targets.tables(made_up())
    assert times[1] == [["`xpnet` over `sklearn`", "5.00 (4)", "–", "–", "–"]]
    measured = [row[1:] for row in others[1]]
    assert measured == [
        ["at least 2×", "3.00×"],
        ["at most 100 MB", "**200.00 MB**"],
        ["at least 3×", "**2.00×**"],
    ]


def test_growth_is_compared_with_the_fewest_rows() -> None:
    times = {"10000": spread(1.0), "100000": spread(9.0), "1000000": spread(120.0)}
    assert targets._over_linear({"growth": {"xpnet": times}}) == pytest.approx(1.2)
