"""Who may import whom, by walking the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import xpnet

ROOT = Path(xpnet.__file__).parent

LAYERS = [
    {"exceptions", "_typing"},
    {"_tape"},
    {"_namespace"},
    {"_pointwise"},
    {"backends", "functional", "initializers"},
    {"losses", "network", "optimizers", "schedules"},
    {"training"},
    {
        *("_callbacks", "_custom", "_display", "_parameters", "_run", "_targets"),
        "_validation",
    },
    {"_streams"},
    {"_moving", "datasets", "plotting"},
    {"_preparation"},
    {"inspection"},
    {"_mlp"},
    {"classifier", "regressor"},
    {"persistence"},  # it builds the estimators that it reads
    {"callbacks", "onnx"},
    {"xpnet"},  # the public names
    {"cli"},
    {"testing"},
]
"""A module imports from the sets above its own, and from nothing beside it."""

RANK = {module: rank for rank, modules in enumerate(LAYERS) for module in modules}

MATHEMATICS = {
    *("functional", "losses", "network", "optimizers", "schedules", "training")
}

WHERE = {
    "numpy": {
        *("_namespace", "_pointwise", "_tape", "backends", "initializers"),
        *("training", "testing"),
        *("_custom", "_moving", "_parameters", "_preparation", "_run", "_streams"),
        *("_targets", "_validation"),
        *("datasets", "inspection", "persistence", "plotting", "_mlp"),
        *("callbacks", "classifier", "regressor", "onnx", "cli"),
    },
    "array_api_compat": {"_namespace", "backends"},
    "array_api_strict": {"_namespace", "backends"},
    "cupy": {"_namespace", "_pointwise", "backends"},
    "jax": {"_namespace", "backends"},
    "numba": {"_pointwise"},
    "nvmath": {"backends"},
    "torch": {"_namespace", "backends"},
    "rich": {"_display", "cli"},
    "typer": {"cli"},
    "safetensors": {"persistence"},
    "onnx": {"onnx"},
    "skl2onnx": {"onnx"},
    "matplotlib": {"plotting", "inspection", "cli"},
    "pandas": {"datasets", "cli"},
    "dask": {"_streams"},
    "pyarrow": {"_streams"},
}
"""Packages that only some modules may import."""

LAZY = {"array_api_strict", "cupy", "jax", "matplotlib", "numba", "nvmath", "pandas"}
LAZY |= {"dask", "onnx", "pyarrow", "skl2onnx", "torch"}
"""Packages that are imported only when they are asked for."""


class Import(NamedTuple):
    """An import statement's module, where it stands, and who has it."""

    package: str
    module: str
    lazy: bool
    importer: str
    place: str


def imports_of(path: Path) -> Iterator[Import]:
    importer = path.relative_to(ROOT).parts[0].removesuffix(".py")
    importer = "xpnet" if importer == "__init__" else importer
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) or is_type_checking(node)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            # What the package's __init__ brings in belongs to it, and not to a module.
            module = rest[0] if rest and rest[0] in RANK else "xpnet"
            place = f"{path.relative_to(ROOT.parent)}:{node.lineno}"
            yield Import(package, module, node in lazy, importer, place)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


SOURCES = sorted(ROOT.rglob("*.py"))

IMPORTS = [found for path in SOURCES for found in imports_of(path)]


def test_every_module_has_a_layer() -> None:
    modules = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in SOURCES}
    assert modules - {"__init__", "__main__"} <= set(RANK)


def test_imports_go_up() -> None:
    wrong = [
        f"{found.place}: {found.importer} imports {found.module}"
        for found in IMPORTS
        if found.package == "xpnet"
        and found.module != found.importer
        and RANK[found.module] >= RANK[found.importer]
    ]
    assert wrong == []


def test_packages_are_imported_where_they_belong() -> None:
    wrong = [
        f"{found.place}: {found.importer} imports {found.package}"
        for found in IMPORTS
        if found.importer not in WHERE.get(found.package, RANK)
    ]
    assert wrong == []


def test_one_module_knows_the_protocol_of_callbacks() -> None:
    """And the attributes in which scikit-learn keeps them."""
    knowing = re.compile("sklearn.callback|_skl_callbacks|_callback_fit_ctx")
    found = {
        path.relative_to(ROOT).parts[0]
        for path in SOURCES
        if knowing.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"_callbacks"}


def test_optional_packages_are_imported_lazily() -> None:
    wrong = [
        f"{found.place}: {found.package} at import time"
        for found in IMPORTS
        if found.package in LAZY
        and not found.lazy
        and "_pointwise/_loops.py" not in found.place  # it's imported when asked for
    ]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(MATHEMATICS))
def test_the_mathematics_names_no_library(module: str) -> None:
    wrong = [
        f"{path.name}:{number}: {line.strip()}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0].removesuffix(".py") == module
        for number, line in enumerate(
            path.read_text(encoding="utf-8").splitlines(), start=1
        )
        if re.search("cupy|torch|jax|is_numpy", line)
    ]
    assert wrong == []
