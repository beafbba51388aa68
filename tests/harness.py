"""Which backends the tests run on."""

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
