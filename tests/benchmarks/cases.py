"""What is trained: networks, batches, and data that is prepared once for all."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """A network to fit to data."""

    title: str
    data: str
    """A key of DATA."""
    sizes: tuple[int, ...]
    """Units from the features to the classes."""
    batch_size: int
    epochs: int
    """Of a timed fit."""

    def request(self, folder: Path, **others: Any) -> dict[str, Any]:
        """Return what a worker is asked for, to fit this."""
        return {
            "data": str(prepare(self.data, folder)),
            "sizes": self.sizes,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "seed": 0,
            **others,
        }


CASES = {
    "digits": Case("digits, 64-100-10", "digits", (64, 100, 10), 200, 100),
    "synthetic": Case("20-64-64-3", "synthetic", (20, 64, 64, 3), 256, 5),
    "mnist-100": Case("MNIST, 784-100-10", "mnist", (784, 100, 10), 200, 4),
    "mnist-512": Case("MNIST, 784-512-512-10", "mnist", (784, 512, 512, 10), 128, 2),
}


def _digits() -> Arrays:
    from sklearn.datasets import load_digits  # noqa: PLC0415

    X, y = load_digits(return_X_y=True)
    return {"X": X / 16.0, "y": y}


def _synthetic(n_samples: int) -> Arrays:
    from sklearn.datasets import make_classification  # noqa: PLC0415

    X, y = make_classification(
        n_samples, 20, n_informative=10, n_classes=3, random_state=0
    )
    return {"X": X, "y": y}


def _mnist() -> Arrays:
    from xpnet.datasets import load_mnist  # noqa: PLC0415

    X, y, X_test, y_test = load_mnist()
    return {"X": X / 255.0, "y": y, "X_test": X_test / 255.0, "y_test": y_test}


DATA: dict[str, Callable[[], Arrays]] = {
    "digits": _digits,
    "synthetic": partial(_synthetic, 50_000),
    "synthetic-1000000": partial(_synthetic, 1_000_000),
    "mnist": _mnist,
}


def prepare(name: str, folder: Path) -> Path:
    """Write data as float32 and int64, unless it is there; return its folder."""
    target = folder / name
    if not target.exists():
        arrays = DATA[name]()
        target.mkdir()
        for key, array in arrays.items():
            dtype = np.float32 if key.startswith("X") else np.int64
            np.save(target / f"{key}.npy", np.ascontiguousarray(array, dtype=dtype))
    return target


def prepare_large(gigabytes: float, folder: Path) -> Path:
    """Write random images of MNIST's shape, `gigabytes` of them; return their folder."""
    target = folder / f"large-{gigabytes}"
    if not target.exists():
        target.mkdir()
        rng = np.random.default_rng(0)
        n_samples = int(gigabytes * 1e9) // (4 * 784)
        X = np.lib.format.open_memmap(
            target / "X.npy", "w+", np.float32, (n_samples, 784)
        )
        for start in range(0, n_samples, 10_000):
            X[start : start + 10_000] = rng.random(
                (min(10_000, n_samples - start), 784), dtype=np.float32
            )
        X.flush()
        np.save(target / "y.npy", rng.integers(10, size=n_samples))
    return target
