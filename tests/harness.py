"""Which backends the tests run on, and the data and compilers they need."""

import importlib.util
import os
import shutil

import pytest

BACKENDS = {
    "numpy": "numpy",
    "strict": "strict",
    "strict-device1": "strict:device1",
    "strict-device2": "strict:device2",
    "strict-no_x64": "strict:no_x64",
    "torch": "torch",
    "jax": "jax",
    "cupy": "cupy",
    "torch-cuda": "torch:cuda",
    "jax-cuda": "jax:cuda",
}
"""Ids of the tests, and the names that ``get_backend`` takes."""

GPU = {"cupy", "torch-cuda", "jax-cuda"}


def mnist_or_give_up() -> None:
    """Skip where XPNET_DATA names no folder; with XPNET_REQUIRE_MNIST set, fail."""
    if not os.environ.get("XPNET_DATA"):
        give_up = pytest.fail if os.environ.get("XPNET_REQUIRE_MNIST") else pytest.skip
        give_up("XPNET_DATA doesn't name the folder of MNIST's four files")


def compiler_or_give_up(name: str) -> None:
    """Skip without numba, or "c++"; with XPNET_REQUIRE_COMPILERS set, fail."""
    if name == "c++":
        compilers = filter(None, [os.environ.get("CXX"), "g++", "c++", "clang++"])
        found = any(map(shutil.which, compilers))
    else:
        found = importlib.util.find_spec(name) is not None
    if not found:
        required = os.environ.get("XPNET_REQUIRE_COMPILERS")
        give_up = pytest.fail if required else pytest.skip
        give_up(f"there is no {name}")
