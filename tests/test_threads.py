"""Threads of NumPy's BLAS, which a fit of small layers limits to one."""

import os
import subprocess
import sys

import pytest

threadpoolctl = pytest.importorskip("threadpoolctl")

FITS = """
import sys, threading
import numpy as np
from threadpoolctl import threadpool_info
from xpnet import MLPClassifier

def n_threads():
    infos = threadpool_info()
    return [info["num_threads"] for info in infos if info["user_api"] == "blas"]

def fit(n_epochs):
    MLPClassifier((10,), max_iter=n_epochs, tol=0.0, n_iter_no_change=999).fit(X, y)

sys.setswitchinterval(1e-4)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 8)), rng.integers(0, 3, 400)
before = n_threads()
for _ in range(4):
    threads = [threading.Thread(target=fit, args=(50 + 13 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    fit(60)
    for thread in threads:
        thread.join()
print(before == n_threads())
"""


def test_fits_in_threads_leave_the_process_as_it_was() -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", FITS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout.strip() == "True"
