"""What is random in a step beside its samples: masks of dropout, and mixup.

All of it is drawn from a seed and the number of the step, so that a training that is
interrupted goes on as it would have. It enters the step as arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xpnet import _namespace as ops
from xpnet._namespace import array_namespace, asarray_like
from xpnet._typing import Array, DType
from xpnet.functional import counter_hash
from xpnet.training.batches import Data

__all__ = ["Draws", "Mixup", "Numbers", "StepNoise"]


class StepNoise(NamedTuple):
    """The draws of one step; None stands for what isn't asked for."""

    key: Array | None = None
    """Random bits for the masks, (), int32."""
    share: Array | None = None
    """Each sample's share in its mixture, (), dtype of the parameters."""
    partners: Array | None = None
    """Which samples of the batch are mixed in, (n_rows,), int32."""


@dataclass(frozen=True)
class Mixup:
    r"""Train on mixtures of two samples, and of their targets [1]_.

    .. math::
        \tilde x_s = \lambda\, x_s + (1 - \lambda)\, x_{\pi(s)}, \qquad
        \tilde y_s = \lambda\, y_s + (1 - \lambda)\, y_{\pi(s)}, \qquad
        \lambda \sim \mathrm{Beta}(a, a)

    with a number :math:`\lambda` and a permutation :math:`\pi` for each batch. Of
    samples with weights the mixture weighs :math:`\lambda w_s + (1 - \lambda) w_{\pi(s)}`,
    and their shares are those of its terms: a sample of weight 0 has no part in any.

    Parameters
    ----------
    strength : float
        a, positive: small ones leave most samples nearly as they are, 1 draws every
        mixture alike.
    encode : callable
        ``encode(targets, dtype)`` returns targets as numbers that can be mixed, (n_rows,
        n_outputs).

    References
    ----------
    .. [1] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk
       minimization", ICLR 2018.
    """

    strength: float
    encode: Callable[[Array, DType], Array]

    def mix(self, data: Data, noise: StepNoise) -> Data:
        """Return the mixtures of a batch.

        Parameters
        ----------
        data : Data
            The batch.
        noise : StepNoise
            Its share and partners.

        Returns
        -------
        Data
            As many samples, with targets as numbers.
        """
        X, targets, weights = data
        targets, share = self.encode(targets, X.dtype), noise.share
        if weights is None:
            return Data(_mixed(X, noise, share), _mixed(targets, noise, share))
        mixed = _mixed(weights, noise, share)
        # What weighs nothing has no part in a mixture.
        weighs = mixed > 0.0
        own = ops.where(weighs, weights * share, array_namespace(X).ones_like(mixed))
        shares = own / ops.where(weighs, mixed, array_namespace(X).ones_like(mixed))
        column = shares[:, None]
        targets = _mixed(targets, noise, column if targets.ndim == 2 else shares)
        return Data(_mixed(X, noise, column), targets, mixed)


def _mixed(x: Array, noise: StepNoise, share: Array) -> Array:
    return x * share + ops.rows(x, noise.partners) * (1.0 - share)


class Draws(NamedTuple):
    """The draws of some steps that follow one another; None for what isn't asked for."""

    keys: Array | None = None
    """(n_steps,)"""
    shares: Array | None = None
    """(n_steps,)"""
    partners: Array | None = None
    """(n_samples,), batch behind batch"""

    @classmethod
    def make(
        cls,
        seed: int,
        t: int,
        n_samples: int,
        batch_size: int,
        dtype: str,
        *,
        masks: bool,
        mixup: Mixup | None,
    ) -> "Draws":
        """Draw on the host.

        Parameters
        ----------
        seed : int
            Of the training, in [0, 2**31).
        t : int
            The number of the first step, counted from 1.
        n_samples, batch_size : int
            Samples of all these steps, and of each; the last may have fewer.
        dtype : str
            Of the parameters.
        masks : bool
            Whether there is dropout.
        mixup : Mixup or None
            Whether there are mixtures, and how strong they are.

        Returns
        -------
        Draws
            Those of a step depend on the seed and its number alone.
        """
        starts = range(0, n_samples, batch_size)
        numbers = np.arange(t, t + len(starts), dtype=np.int32)
        draws = cls()
        if masks:
            draws = draws._replace(keys=counter_hash(numbers, seed, 0))
        if mixup is not None:
            a = mixup.strength
            shares, partners = [], []
            for number, start in zip(numbers.tolist(), starts, strict=True):
                rng = np.random.default_rng((seed, number))
                shares.append(rng.beta(a, a))
                partners.append(rng.permutation(min(batch_size, n_samples - start)))
            draws = draws._replace(
                shares=np.asarray(shares, dtype),
                partners=np.concatenate(partners).astype(np.int32),
            )
        return draws


class Numbers(NamedTuple):
    """What changes from step to step, of some steps that follow one another."""

    coefficients: Array
    """The optimiser's, (n_steps, n_coefficients)."""
    keys: Array | None = None
    shares: Array | None = None
    partners: Array | None = None
    """As in :class:`Draws`."""

    def like(self, ref: Array) -> "Numbers":
        """Move them to the device of `ref`."""
        return Numbers(*(None if x is None else asarray_like(x, ref) for x in self))

    def between(self, first: int, last: int, start: int, stop: int) -> "Numbers":
        """Return those of the steps from `first` to `last`, on these samples."""
        coefficients, keys, shares, partners = self
        return Numbers(
            coefficients[first:last, :],
            None if keys is None else keys[first:last],
            None if shares is None else shares[first:last],
            None if partners is None else partners[start:stop],
        )

    def noise(self, i: int, start: int, stop: int) -> StepNoise:
        """Return the draws of step `i`, on these samples."""
        _, keys, shares, partners = self
        return StepNoise(
            None if keys is None else keys[i],
            None if shares is None else shares[i],
            None if partners is None else partners[start:stop],
        )
