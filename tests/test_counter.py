"""The counter-based random numbers: the same bits everywhere, and random enough."""

import numpy as np
import pytest
from tolerances import EXACT, SIGMAS

from xpnet import Backend
from xpnet._namespace import to_numpy
from xpnet.functional import counter_hash, counter_uniform, keep_mask
from xpnet.testing import assert_close

EXTREMES = [0, 1, -1, 2**31 - 1, -(2**31), 0x7FEB352D, 123456789]


def hashed(counter: int, key_0: int, key_1: int) -> int:
    """The definition, in integers without end."""

    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D & 0xFFFFFFFF
        x ^= x >> 15
        x = x * 0x846CA68B & 0xFFFFFFFF
        return x ^ x >> 16

    inner = mix((counter ^ key_0) & 0xFFFFFFFF)
    outer = mix((inner + key_1) & 0xFFFFFFFF)
    return outer - (1 << 32) if outer >= 1 << 31 else outer


@pytest.mark.parametrize("key_0", EXTREMES)
@pytest.mark.parametrize("key_1", EXTREMES)
def test_bits_are_those_of_the_definition(
    key_0: int, key_1: int, backend: Backend
) -> None:
    host = np.asarray([*EXTREMES, *range(50)], dtype=np.int32)
    counter = backend.asarray(host)
    keys = (backend.asarray(np.asarray(key, dtype=np.int32)) for key in (key_0, key_1))
    desired = [hashed(int(i), key_0, key_1) for i in host]
    by_numbers = counter_hash(counter, key_0, key_1)
    by_arrays = counter_hash(counter, *keys)
    for actual in (by_numbers, by_arrays):
        assert backend.holds(actual)
        np.testing.assert_array_equal(to_numpy(actual), np.asarray(desired, np.int32))


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_masks_are_the_same_everywhere(
    rate: float, backend: Backend, dtype: str
) -> None:
    host = np.arange(1000, dtype=np.int32).reshape(50, 20)
    desired = keep_mask(host, 7, 11, rate, np.dtype(dtype))
    there = getattr(backend.xp, dtype)
    actual = keep_mask(backend.asarray(host), 7, 11, rate, there)
    assert_close(actual, backend.asarray(desired), factor=EXACT)


def test_jitted_by_jax_the_bits_stay() -> None:
    jax = pytest.importorskip("jax")
    host = np.arange(1000, dtype=np.int32)
    jitted = jax.jit(counter_hash)
    for key in EXTREMES:
        key_0, key_1 = np.int32(key), np.int32(17)
        actual = np.asarray(jitted(host, key_0, key_1))
        np.testing.assert_array_equal(actual, counter_hash(host, int(key), 17))


N, BINS = 1 << 18, 256


def draws(stream: int) -> np.ndarray:
    """Draw under keys as the host makes them: hashed from a number."""
    keys = np.random.SeedSequence(stream).generate_state(2).astype(np.int32).tolist()
    return counter_uniform(np.arange(N, dtype=np.int32), *keys).astype(np.float64)


def test_draws_are_uniform() -> None:
    """χ² over 256 bins, for 40 keys: mean and spread of its normal approximation."""
    counts = [np.histogram(draws(key), BINS, (0.0, 1.0))[0] for key in range(40)]
    chi_squared = np.sum((np.asarray(counts) - N / BINS) ** 2, axis=1) / (N / BINS)
    z = (chi_squared - (BINS - 1)) / np.sqrt(2 * (BINS - 1))
    assert abs(z.mean()) < SIGMAS / np.sqrt(40)
    assert np.abs(z).max() < SIGMAS


def test_draws_of_two_keys_are_not_correlated() -> None:
    x = np.stack([draws(stream) for stream in range(40)])
    z = np.corrcoef(x)[np.triu_indices(40, k=1)] * np.sqrt(N)
    assert np.abs(z).max() < SIGMAS
    assert abs(np.std(z) - 1.0) < SIGMAS / np.sqrt(2 * z.size)


@pytest.mark.parametrize("lag", [1, 2, 16, 100, 1024])
def test_neighbours_are_not_correlated(lag: int) -> None:
    z = [
        np.corrcoef(x[:-lag], x[lag:])[0, 1] * np.sqrt(N - lag)
        for x in map(draws, range(20))
    ]
    assert np.abs(z).max() < SIGMAS


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_drop_their_share(rate: float) -> None:
    mask = keep_mask(np.arange(N, dtype=np.int32), 5, 6, rate, np.float64)
    assert set(np.unique(mask)) == {0.0, 1.0 / (1.0 - rate)}
    spread = np.sqrt(rate * (1.0 - rate) / N)
    assert abs(np.mean(mask == 0.0) - rate) < SIGMAS * spread
    assert abs(np.mean(mask) - 1.0) < SIGMAS * spread / (1.0 - rate)


def test_draws_are_half_open_and_exact() -> None:
    x = draws(1)
    assert 0.0 <= x.min() < x.max() < 1.0
    np.testing.assert_array_equal(x * (1 << 24), np.round(x * (1 << 24)))
