"""L-BFGS: SciPy on the host's vector, loss and gradient on the device."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from xpnet._namespace import asarray_like, max_abs, to_numpy
from xpnet._typing import Array
from xpnet.training.batches import Data
from xpnet.training.loop import Epoch
from xpnet.training.objective import Objective
from xpnet.training.stopping import check_finite

__all__ = ["train_lbfgs"]


def train_lbfgs(
    params: Array,
    objective: Objective,
    data: Data,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    on_iteration: Callable[[Epoch], bool],
    max_time: float = math.inf,
) -> OptimizeResult:
    """Minimise the objective over all samples at once.

    Parameters
    ----------
    params : array, shape (n_params,), floating dtype
        Where to begin.
    objective : Objective
        What to minimise.
    data : Data
        Samples, targets and weights, on the device of `params`.
    max_iter, max_fun : int
        Iterations and evaluations at most.
    tol : float
        Stop when no entry of the gradient is larger.
    on_iteration : callable
        Given an :class:`~xpnet.training.Epoch` after each iteration, says whether to
        stop.
    max_time : float, default=inf
        Seconds after which the iteration under way is the last.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's account, with `success`, `message` and `nit`.

    Raises
    ------
    DivergenceError
        The objective is no longer finite.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound
       constrained optimization", SIAM J. Sci. Comput. 16(5), 1995.
    """
    deadline = time.monotonic() + max_time
    buffers = objective.network.buffers(params, data.X.shape[0])
    n_iter = 0

    def on_host(theta: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        value, d_params = objective.value_and_gradient(
            asarray_like(theta, params, params.dtype),
            data.X,
            data.targets,
            buffers,
            weights=data.weights,
        )
        return float(value), to_numpy(d_params).astype(np.float64)  # sync point

    def callback(intermediate_result: OptimizeResult) -> None:
        nonlocal n_iter
        n_iter += 1
        theta = asarray_like(intermediate_result.x.copy(), params, params.dtype)
        loss = float(intermediate_result.fun)  # sync point
        check_finite(loss, float(max_abs(theta)), n_iter)  # sync point
        out_of_time = time.monotonic() > deadline
        stop = on_iteration(Epoch(n_iter, loss, theta, out_of_time=out_of_time))
        if stop or out_of_time:
            raise StopIteration

    return minimize(
        on_host,
        to_numpy(params).astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
    )
