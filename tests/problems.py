"""A small problem to train on, and which backends do what."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from xpnet import Backend
from xpnet._typing import Array
from xpnet.network import Network

WRITING = ["numpy", "torch", "cupy", "torch-cuda"]
"""The backends that write into a given array, and hence get buffers."""


@dataclass(frozen=True)
class Problem:
    """A network with its parameters, samples and one-hot targets."""

    network: Network
    params: Array
    X: Array
    targets: Array

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        hidden: tuple[int, ...] = (5,),
        activation: str = "tanh",
        n_outputs: int = 3,
    ) -> Self:
        """Draw eight samples of four features, on the host in float64."""
        network = Network.from_sizes(
            [4, *hidden, n_outputs], [activation] * len(hidden)
        )
        classes = rng.integers(max(n_outputs, 2), size=8)
        return cls(
            network,
            params=rng.normal(size=network.n_params),
            X=rng.normal(size=(8, 4)),
            targets=np.eye(max(n_outputs, 2))[classes][:, -n_outputs:],
        )

    def on(self, backend: Backend, dtype: str = "float64") -> Self:
        """Return a copy on a backend."""
        arrays = (self.params, self.X, self.targets)
        return type(self)(
            self.network, *(backend.asarray(x, dtype, copy=True) for x in arrays)
        )
