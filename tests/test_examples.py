"""The examples run, and what they assert about themselves holds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import mnist_or_give_up

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, folder: Path, *arguments: str) -> str:
    """Run an example in a folder of its own, with warnings as errors."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_each_example_is_run_here():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    here = Path(__file__).read_text(encoding="utf-8")
    assert scripts
    assert all(f'"{script}"' in here for script in scripts)


@pytest.mark.parametrize("script", ["backprop_by_hand.py", "digits_classifier.py"])
def test_on_numpy(script, tmp_path):
    assert run(script, tmp_path)


def test_regression_with_uncertainty(tmp_path):
    picture = tmp_path / "regression.png"
    run("regression_with_uncertainty.py", tmp_path, "--plot", str(picture))
    assert picture.stat().st_size > 0


def test_same_code_two_backends(backend, tmp_path):
    output = run("same_code_two_backends.py", tmp_path, "--backend", backend.name)
    assert f"{backend.name}: loss" in output


def test_softmax_from_scratch(tmp_path):
    mnist_or_give_up()
    output = run("softmax_from_scratch.py", tmp_path, "--iterations", "3")
    assert "agrees" in output
    assert (tmp_path / "softmax_from_scratch.png").stat().st_size > 0


@pytest.mark.parametrize("name", ["softmax_from_scratch.py", "mnist_records.py"])
def test_an_example_says_how_to_get_mnist(name, tmp_path):
    ran = subprocess.run(
        [sys.executable, EXAMPLES / name, "--data-home", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "Put the four MNIST files there" in ran.stderr


def test_mnist_records(tmp_path):
    """An epoch of the smallest; the records themselves take longer."""
    mnist_or_give_up()
    arguments = ["cross-entropy", "--seeds", "1", "--epochs", "1", "--validate"]
    output = run("mnist_records.py", tmp_path, *arguments)
    found = re.search(r"1 epochs: (\d+\.\d+) % of the held-out set wrong", output)
    assert float(found[1]) < 6.0
