"""The questions to a GPU: they are asked on one, and nothing is claimed without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import agreement
import gpu
import numpy as np
import pytest
from problems import WRITING
from tolerances import TEN_STEPS

from xpnet import Backend, get_backend
from xpnet.exceptions import BackendUnavailableError
from xpnet.testing import assert_close


def without_gpu(name: str) -> Backend:
    msg = f"backend={name!r} can't be used: there is no GPU"
    raise BackendUnavailableError(msg)


def test_without_a_gpu_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gpu, "get_backend", without_gpu)
    monkeypatch.setattr(gpu, "PAGE", tmp_path / "gpu.md")
    assert gpu.main() == 2
    assert capsys.readouterr().err.startswith("No GPU: backend='cupy' can't be used")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("expected", "code"), [(True, 0), (False, 1)])
def test_a_run_is_written(
    expected: bool,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def question(backend: Backend) -> gpu.Answer:
        """Does it work?"""
        return gpu.Answer(expected, f"{backend.name} a|b")

    page = tmp_path / "gpu.md"
    page.write_text("before\n% gpu: begin\nnothing\n% gpu: end\nafter\n")
    monkeypatch.setattr(gpu, "get_backend", lambda _: get_backend("numpy"))
    monkeypatch.setattr(gpu, "QUESTIONS", (question,))
    monkeypatch.setattr(gpu, "machine", lambda _: "Run on a card.")
    monkeypatch.setattr(gpu, "PAGE", page)
    assert gpu.main() == code
    text = page.read_text()
    word = "yes" if expected else "**no**"
    assert f"| Does it work? | {word} | numpy a\\|b |" in text
    assert text.startswith("before\n% gpu: begin\n\nRun on a card.\n\n| question |")
    assert text.endswith("% gpu: end\nafter\n")


def test_an_error_is_an_answer() -> None:
    def question(_: Backend) -> gpu.Answer:
        msg = "a\nb"
        raise OSError(msg)

    expected = gpu.Answer(expected=False, text="OSError: a b")
    assert gpu.ask(question, get_backend("numpy")) == expected


@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_steps_from_one_seed(backend: Backend) -> None:
    sizes, batch_size = (5, 4, 3), 8
    values, desired = (
        gpu.take_steps(gpu.set_up(where, sizes, batch_size, 3))
        for where in (backend, get_backend("numpy"))
    )
    assert len(values) == 3
    for value, expected in zip(values, desired, strict=True):
        moved = backend.asarray(np.asarray(expected), "float32")
        assert_close(value, moved, factor=TEN_STEPS)


@pytest.mark.parametrize(
    "question", [gpu.fused_is_plain, gpu.captured_is_eager, gpu.two_at_once]
)
def test_numpy_answers_as_well(question: Callable[[Backend], gpu.Answer]) -> None:
    """It has nothing to fuse or capture; the questions themselves are asked rightly."""
    answer = question(get_backend("numpy"))
    assert answer.expected
    assert "0.0e+00" in answer.text


def test_another_answer_is_not_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlike(actual: list[Any], desired: list[Any]) -> float:
        return max(
            float(np.max(np.abs(a - 2 * d)))
            for a, d in zip(actual, desired, strict=True)
        )

    monkeypatch.setattr(gpu, "difference", unlike)
    assert not gpu.captured_is_eager(get_backend("numpy")).expected


def test_steps_are_timed_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "N_TIMED", 2)
    times = gpu.times_on_cupy(get_backend("numpy"), (5, 4, 3), 8)
    assert list(times) == ["eager", "fused", "graph"]
    assert all(time > 0.0 for time in times.values())


@pytest.mark.parametrize("backend", WRITING, indirect=True)
def test_a_stepper_takes_the_steps(backend: Backend) -> None:
    sizes, batch_size = (5, 4, 3), 8
    total = gpu.stepper(gpu.set_up(backend, sizes, batch_size, 3), compiled=False)()
    values = gpu.take_steps(gpu.set_up(backend, sizes, batch_size, 3))
    assert_close(total, sum(values) * float(batch_size), factor=TEN_STEPS)


def test_the_page_names_the_card_or_claims_nothing() -> None:
    text = agreement.between(gpu.PAGE.read_text(encoding="utf-8"), gpu.MARK)
    assert ("Nothing has been run on a GPU yet" in text) != ("Run on " in text)
    if "Run on " in text:
        asked = [str(each.__doc__).replace("``", "`") for each in gpu.QUESTIONS]
        assert all(question in text for question in asked)


@pytest.mark.parametrize("backend", ["cupy"], indirect=True)
@pytest.mark.parametrize(
    "question", gpu.QUESTIONS, ids=lambda question: question.__name__
)
def test_the_gpu_answers_as_expected(
    question: Callable[[Backend], gpu.Answer], backend: Backend
) -> None:
    answer = question(backend)
    assert answer.expected, answer.text
