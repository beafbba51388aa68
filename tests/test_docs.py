"""The pages keep up with the package: every public symbol, module, and difference."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import xpnet

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


def public_modules():
    """Return the public modules; those of the command line have no callers."""
    names = [
        module.name
        for module in pkgutil.walk_packages(xpnet.__path__, "xpnet.")
        if "._" not in module.name and not module.name.startswith("xpnet.cli")
    ]
    return [xpnet, *map(importlib.import_module, names)]


def documented():
    """Return the names in ``docs/api.md`` and the objects that they stand for."""
    objects, module = {}, ""
    for line in (DOCS / "api.md").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif match := re.match(r"(?:   |\.\. py:\w+:: )(\w+)$", line):
            name = match[1]
            objects[f"{module}.{name}"] = getattr(importlib.import_module(module), name)
    return objects


def test_every_public_symbol_is_in_the_api_page():
    pages = {
        (path.rpartition(".")[2], id(thing)) for path, thing in documented().items()
    }
    missing = [
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
        if (name, id(getattr(module, name))) not in pages
    ]
    assert not missing


def test_the_api_page_has_public_symbols_only():
    public = {
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
    }
    assert not documented().keys() - public


def test_every_module_is_in_the_table_of_layers():
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("|")]
    listed = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[2] for line in table)))
    assert listed == {module.name for module in pkgutil.iter_modules(xpnet.__path__)}


def test_every_difference_has_its_test():
    page = (DOCS / "differences.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    source = (TESTS / "test_differences.py").read_text(encoding="utf-8")
    tests = {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert named == tests


def test_every_row_of_the_tables_of_differences_names_a_test():
    page = (DOCS / "differences.md").read_text(encoding="utf-8")
    head = "| |", "| ---"
    rows = [line for line in page.splitlines() if line.startswith("|")]
    rows = [row for row in rows if not row.startswith(head)]
    assert rows
    assert all(re.search(r"`test_\w+` \|$", row) for row in rows)
