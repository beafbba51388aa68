"""Who takes part on which device."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from . import peers


class Contestant(NamedTuple):
    """A way to train, and what its process needs."""

    build: Callable[[peers.Net, str], peers.Trainer]
    imports: str
    """What its users import."""
    hidden: tuple[str, ...] = ()
    """Modules that can't be imported in its process."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables of its process."""


def _xpnet(library: str, imports: str = "", **settings: tuple) -> Contestant:
    build = partial(peers.build_xpnet, library=library)
    return Contestant(build, f"{imports}import xpnet", **settings)


def _cupy(**options: bool) -> Contestant:
    build = partial(peers.build_xpnet, library="cupy", **options)
    return Contestant(build, "import cupy; import xpnet")


def _torch(**options: bool | str) -> Contestant:
    return Contestant(partial(peers.build_torch, **options), "import torch")


def _jax(*, scan: bool) -> Contestant:
    return Contestant(partial(peers.build_jax, scan=scan), "import jax, optax")


FLOOR = "matmul floor"

CPU = {
    "xpnet": _xpnet("numpy"),
    "xpnet plain": _xpnet("numpy", hidden=("numba",)),
    "xpnet torch": _xpnet("torch", "import torch; "),
    "xpnet jax": _xpnet("jax", "import jax; "),
    "sklearn": Contestant(peers.build_sklearn, "import sklearn.neural_network"),
    "torch eager": _torch(),
    "torch fused": _torch(fused=True),
    "torch compile": _torch(fused=True, mode="default"),
    "jax jit": _jax(scan=False),
    "jax scan": _jax(scan=True),
    "skorch": Contestant(peers.build_skorch, "import skorch, torch"),
    FLOOR: Contestant(peers.build_floor, "import numpy"),
}

GPU = {
    "xpnet eager": _cupy(fused=False),
    "xpnet fused": _cupy(),
    "xpnet graph": _cupy(compiled=True),
    "torch eager": _torch(),
    "torch fused": _torch(fused=True),
    "torch reduce-overhead": _torch(fused=True, mode="reduce-overhead"),
    "jax jit": _jax(scan=False),
    "jax scan": _jax(scan=True),
    FLOOR: Contestant(peers.build_floor, "import torch"),
}

CONTESTANTS = {"cpu": CPU, "cuda": GPU}

REFERENCE = {"cpu": "xpnet", "cuda": "xpnet graph"}
"""Whom the ratios compare with."""
