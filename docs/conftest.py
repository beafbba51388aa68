"""Every block of Python in README.md and the pages is run, and its output compared.

Of blocks of the language ``console``, the commands ``$ xpnet …`` are run, too.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser

FLAGS = ELLIPSIS | NORMALIZE_WHITESPACE
collect_ignore = ["_build", "api", "conf.py"]


def missing(*modules: str) -> bool:
    """Whether a block that needs these modules has to be skipped."""
    return any(importlib.util.find_spec(module) is None for module in modules)


def enter_folder(namespace: dict) -> None:
    """Run the blocks of a page in a folder of its own."""
    namespace.update(missing=missing, _home=Path.cwd(), _folder=tempfile.mkdtemp())
    os.chdir(namespace["_folder"])


def leave_folder(namespace: dict) -> None:
    os.chdir(namespace["_home"])
    shutil.rmtree(namespace["_folder"])


def run_commands(example: Example) -> str | None:
    """Run the commands of a block, and compare what they print where that is shown."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for step in example.parsed.removeprefix("$ ").split("\n$ "):
        command, _, expected = step.partition("\n")
        if not command.startswith("xpnet "):
            continue
        ran = subprocess.run(
            command,
            shell=True,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        alike = OutputChecker().check_output(expected, ran.stdout, FLAGS)
        if ran.returncode != 0 or (expected and not alike):
            return f"$ {command}\n{ran.stdout}{ran.stderr}"
    return None


PAGES = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=FLAGS),
        CodeBlockParser("console", run_commands),
        SkipParser(),
    ],
    path=str(Path(__file__).parent.parent),
    patterns=["README.md", "docs/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
)


class Pages:
    """A plugin, since a conftest's own hooks don't reach README.md above it."""

    pytest_collect_file = staticmethod(PAGES.pytest())

    @staticmethod
    def pytest_ignore_collect(collection_path: Path) -> bool | None:
        """Keep doctest from importing two modules of the same name."""
        return collection_path.name == "conftest.py" or None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Pages)
