"""What importing xpnet brings along, and what its modules say they export."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import xpnet

TRAIN_ON_NUMPY = """
import sys, warnings
import numpy as np
import sklearn.neural_network  # scikit-learn itself imports pandas and rich
theirs = set(sys.modules)
import xpnet, xpnet.onnx, xpnet.testing
warnings.simplefilter("ignore")
X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
clf = xpnet.MLPClassifier((4,), max_iter=2).fit(X, y)
clf.score(X, y)
optional = {
    "array_api_strict", "cupy", "jax", "matplotlib", "numba", "onnx", "pandas",
    "pyarrow", "rich", "safetensors", "skl2onnx", "torch", "typer",
}
print(*sorted(optional & (set(sys.modules) - theirs)))
"""


def test_training_on_numpy_imports_nothing_optional() -> None:
    found = subprocess.run(
        [sys.executable, "-c", TRAIN_ON_NUMPY],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.stdout.split() == []


MODULES = [
    "xpnet",
    *(info.name for info in pkgutil.walk_packages(xpnet.__path__, "xpnet.")),
]


def load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:  # of an extra that is not installed
        pytest.skip(str(error))


@pytest.mark.parametrize("name", MODULES)
def test_all_names_what_is_public(name: str) -> None:
    module = load(name)
    exported = getattr(module, "__all__", None)
    if exported is None:
        assert "._" in name or ".cli" in name, f"{name} is public, but has no __all__"
        return
    assert len(set(exported)) == len(exported)
    for export in exported:
        assert hasattr(module, export)
        assert not export.startswith("_")
    defined = {
        key
        for key, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
        and not key.startswith("_")
    }
    assert defined <= set(exported)


@pytest.mark.parametrize("name", MODULES)
def test_what_is_exported_is_documented(name: str) -> None:
    module = load(name)
    assert module.__doc__
    for export in getattr(module, "__all__", ()):
        value = getattr(module, export)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), export
