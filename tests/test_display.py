"""What ``verbose`` shows, where the output is a terminal and where it isn't."""

import os
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals")

TRAIN = """
import sys, warnings
warnings.simplefilter("ignore")
if {hidden!r} == "rich":
    sys.modules["rich.console"] = None  # as if it were not installed
import numpy as np
from xpnet import MLPClassifier
X = np.random.default_rng(0).normal(size=(40, 3))
clf = MLPClassifier((4,), max_iter=20, random_state=0, {params})
{fit}
print("after")
"""
FIT = "clf.fit(X, X[:, 0] > 0.0)"
LEFT = "for epoch in clf.iter_fit(X, X[:, 0] > 0.0):\n    if epoch.n_iter == 3: break"
PARTIAL = "clf.partial_fit(X, X[:, 0] > 0.0, classes=[False, True])"


def on_a_terminal(
    params: str, fit: str = FIT, hidden: str = "", term: str = "xterm-256color"
) -> str:
    """Return what a training writes to a terminal, colours taken off."""
    code = TRAIN.format(params=params, fit=fit, hidden=hidden)
    theirs, ours = pty.openpty()
    unset = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"TERM": term, "COLUMNS": "100", "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=ours, stderr=subprocess.PIPE, env=env
    ) as process:
        os.close(ours)
        out = b""
        try:
            while chunk := os.read(theirs, 4096):
                out += chunk
        except OSError:  # Linux's way to say that it was closed
            pass
        os.close(theirs)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
    return out.decode()


def last_line_before(out: str) -> str:
    """Return what stays of a line that was written over, before the "after"."""
    *_, line, after, end = out.replace("\x1b[?25h", "").split("\r\n")
    assert (after, end) == ("after", "")
    return line.split("\r")[-1]


def test_a_bar_of_rich() -> None:
    pytest.importorskip("rich")
    out = on_a_terminal("verbose=1")
    assert "Iteration" not in out
    line = last_line_before(out)
    assert "epoch 20/20 ━━━" in line
    assert "loss 0." in line
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h") == 1  # the cursor is back


def test_a_plain_bar_without_rich() -> None:
    out = on_a_terminal("verbose=True", hidden="rich")
    assert out.startswith("\r\x1b[Kepoch 1/20 [=                   ] loss ")
    assert "epoch 20/20 [====================] loss 0." in last_line_before(out)
    assert "Iteration" not in out


@pytest.mark.parametrize("hidden", ["", "rich"])
def test_why_it_stopped(hidden: str) -> None:
    """Above the bar, whole, with the score beside the loss."""
    out = on_a_terminal(
        "verbose=1, early_stopping=True, n_iter_no_change=2, tol=9.0", hidden=hidden
    )
    text = " ".join(out.split())
    assert "did not improve more than tol=9.000000 for 2 consecutive epochs" in text
    assert "score" in last_line_before(out)
    assert "epoch 20/20" not in text


@pytest.mark.parametrize("hidden", ["", "rich"])
def test_a_loop_that_is_left(hidden: str) -> None:
    assert "3/20" in last_line_before(on_a_terminal("verbose=1", LEFT, hidden))


@pytest.mark.parametrize(
    ("params", "fit", "term"),
    [
        ("verbose=2", FIT, "xterm"),
        ("verbose=1", FIT, "dumb"),
        ("verbose=1", PARTIAL, "xterm"),
    ],
)
def test_lines_on_a_terminal(params: str, fit: str, term: str) -> None:
    lines = on_a_terminal(params, fit, term=term).split("\r\n")
    n_epochs = 1 if fit is PARTIAL else 20
    assert [line.split(",")[0] for line in lines[:n_epochs]] == [
        f"Iteration {n_iter}" for n_iter in range(1, n_epochs + 1)
    ]
    assert lines[n_epochs:] == ["after", ""]


def test_silence() -> None:
    assert on_a_terminal("verbose=0") == "after\r\n"


def test_lines_in_a_file() -> None:
    code = TRAIN.format(params="verbose=1", fit=FIT, hidden="")
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.count("Iteration") == 20
    assert "\x1b" not in ran.stdout
    assert "\r" not in ran.stdout.replace("\r\n", "\n")
