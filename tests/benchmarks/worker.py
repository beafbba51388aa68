"""The process of a contestant: one request a line on stdin, one answer on stdout.

python -m benchmarks.worker DEVICE NAME
"""

import functools
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .contestants import CONTESTANTS
from .peers import Net

STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


def memory(field: str) -> int | None:
    """Return bytes of this process, as Linux counts them; elsewhere None.

    VmRSS is what is resident, VmHWM its peak, and RssAnon what is no file's page.
    """
    if not STATUS.exists():
        return None
    lines = STATUS.read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


@contextmanager
def watched(*, sample: bool) -> Iterator[dict[str, float]]:
    """Time a block, and see how far memory grows at its peak."""
    found: dict[str, float] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            found["anonymous"] = max(
                found["anonymous"], (memory("RssAnon") or 0) - before_anonymous
            )

    before, before_anonymous = memory("VmRSS"), memory("RssAnon") or 0
    if before is not None:
        RESET_PEAK.write_text("5", encoding="ascii")  # VmHWM starts again from VmRSS
    watcher = threading.Thread(target=watch, daemon=True)
    if sample:
        found["anonymous"] = 0.0
        watcher.start()
    start = time.perf_counter()
    yield found
    found["seconds"] = time.perf_counter() - start
    done.set()
    if sample:
        watcher.join()
    if before is not None:
        found["peak"] = max(0, (memory("VmHWM") or 0) - before)


class Player:
    """A contestant that remembers what it has compiled and fitted."""

    def __init__(self, device: str, name: str) -> None:
        build = CONTESTANTS[device][name].build
        self.trainer = functools.cache(lambda net: build(net, device))
        self.fitted: Any = None
        self.own: Any = None

    def fit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fit, with the data in place before the clock starts."""
        folder, rows = Path(request["data"]), request.get("rows")
        net = Net(tuple(request["sizes"]), request["batch_size"])
        self.own, fit = self.trainer(net)
        X = np.load(folder / "X.npy", mmap_mode="r")[:rows]
        y = np.load(folder / "y.npy")[:rows]
        X, y = X if request.get("mapped") else self.own(np.array(X)), self.own(y)
        with watched(sample=request.get("sample", False)) as found:
            self.fitted = fit(X, y, request["epochs"], request["seed"])
        steps = request["epochs"] * -(-len(X) // net.batch_size)
        microseconds = 1e6 * found["seconds"] / steps
        return {**found, "microseconds": microseconds, "loss": self.fitted.loss}

    def warm_up(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fit until this process has done so for a while.

        What compiles only once there is much to do, as xpnet does, has done so then.
        """
        spent = 0.0
        while spent < request["seconds"]:
            spent += self.fit(request)["seconds"]
        return {}

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Predict the first rows, again and again, with the network fitted last."""
        X = np.load(Path(request["data"]) / "X.npy")[: request["rows"]]
        own, times = self.own(X), []
        for _ in range(request["calls"]):
            with watched(sample=False) as found:
                self.fitted.predict(own)
            times.append(found["seconds"])
        return {**found, "seconds": statistics.median(times)}

    def reach(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fit an epoch longer, until an accuracy on the test set is reached."""
        folder, answer = Path(request["data"]), {}
        X_test, y_test = (np.load(folder / f"{name}_test.npy") for name in "Xy")
        for epochs in range(1, 31):
            answer = self.fit({**request, "epochs": epochs})
            accuracy = np.mean(self.fitted.predict(self.own(X_test)) == y_test)
            if accuracy >= request["accuracy"]:
                return {**answer, "epochs": epochs, "accuracy": float(accuracy)}
        msg = f"{request['accuracy']:.1%} was not reached in {epochs} epochs"
        raise ArithmeticError(msg)

    def about(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return versions, and the kernels of the BLAS in use."""
        from threadpoolctl import threadpool_info  # noqa: PLC0415

        versions = {"Python": platform.python_version()}
        for name in ("numpy", "scipy", "scikit-learn", "numba", "torch", "jax"):
            versions |= _version(name)
        for name in ("optax", "skorch", "cupy-cuda13x", "cupy-cuda12x"):
            versions |= _version(name)
        pools = {
            f"{pool['internal_api']} {pool['version']} ({pool['architecture']}), "
            f"{pool['num_threads']} threads"
            for pool in threadpool_info()
            if pool["user_api"] == "blas" and "architecture" in pool
        }
        return {"versions": versions, "blas": sorted(pools)}


def _version(name: str) -> dict[str, str]:
    try:
        return {name: version(name)}
    except PackageNotFoundError:
        return {}


def main(device: str, name: str) -> None:
    """Answer until stdin ends."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for module in CONTESTANTS[device][name].hidden:
        sys.modules[module] = None  # type: ignore[assignment]  # as if not installed
    player = Player(device, name)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(player, request["do"])(request)
        except Exception as error:  # noqa: BLE001 - the others go on
            message = (str(error).splitlines() or ["no message"])[0]
            answer = {"error": f"{type(error).__name__}: {message}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
