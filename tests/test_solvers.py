"""Twenty steps of each solver beside those of torch.optim and optax, and whole trainings.

Of constants, one stands elsewhere: they add epsilon to the corrected root of the second
moment, and here it is added to the root itself, as in scikit-learn. So they are given
epsilon over the correction, step by step. Momentum of optax's Muon is corrected for its
beginning, which its author's is not: the whole is compared with torch's, and the matrix
with optax's, since torch computes it in bfloat16.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tolerances import EXACT, FITTED, TWENTY_STEPS

from xpnet import Backend, MLPClassifier, MLPRegressor
from xpnet import _namespace as ops
from xpnet._namespace import to_numpy
from xpnet._typing import Array
from xpnet.optimizers import AdamW, Muon, NAdam, Optimizer, RMSProp, orthogonalize
from xpnet.schedules import Cosine, Warmup
from xpnet.testing import assert_close

RATE, EPSILON, N_STEPS = 0.05, 0.01, 20
SHAPES = [(4, 6), (6, 3), (3, 2)]
"""Of W; the first is wide and the others are tall."""


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture
def p(dtype: str, rng: np.random.Generator) -> np.ndarray:
    n_params = sum(n * k for n, k in SHAPES) + sum(k for _, k in SHAPES)
    return rng.normal(size=n_params).astype(dtype)


@pytest.fixture
def gradients(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of very different sizes."""
    sizes = np.logspace(-3, 2, p.size)
    return (rng.normal(size=(N_STEPS, p.size)) * sizes).astype(p.dtype)


def steps(
    optimizer: Optimizer, p: np.ndarray, gradients: np.ndarray
) -> Iterator[np.ndarray]:
    p, state = p.copy(), optimizer.init(p)
    for t, g in enumerate(gradients, start=1):
        numbers = np.asarray(optimizer.coefficients(RATE, t), p.dtype)
        p, state = optimizer.update(p, g.copy(), state, *numbers)
        yield p


def check_steps(
    optimizer: Optimizer,
    theirs: Any,
    weights: list[Any],
    p: np.ndarray,
    gradients: np.ndarray,
    beta_2: float | None = None,
) -> None:
    """Compare with an optimiser of torch's, which has the vector in pieces."""
    torch = pytest.importorskip("torch")
    ours = steps(optimizer, p, gradients)
    for t, (actual, g) in enumerate(zip(ours, gradients, strict=True), start=1):
        start = 0
        for W in weights:
            piece = g[start : start + W.numel()].reshape(W.shape)
            W.grad, start = torch.tensor(piece), start + W.numel()
        for each in theirs:
            if beta_2 is not None and "betas" in each.param_groups[0]:
                corrected = EPSILON / np.sqrt(1.0 - beta_2**t)
                each.param_groups[0]["eps"] = corrected
            each.step()
        desired = np.concatenate([W.detach().numpy().ravel() for W in weights])
        assert_close(actual, desired, factor=TWENTY_STEPS)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_adamw_is_torchs(
    weight_decay: float, torch: Any, p: np.ndarray, gradients: np.ndarray
) -> None:
    """Of all parameters, biases included."""
    weights = [torch.tensor(p, requires_grad=True)]
    theirs = torch.optim.AdamW(
        weights, lr=RATE, betas=(0.8, 0.95), weight_decay=weight_decay
    )
    ours = AdamW(0.8, 0.95, EPSILON, weight_decay)
    check_steps(ours, [theirs], weights, p, gradients, beta_2=0.95)


def test_rmsprop_is_torchs(torch: Any, p: np.ndarray, gradients: np.ndarray) -> None:
    weights = [torch.tensor(p, requires_grad=True)]
    theirs = torch.optim.RMSprop(weights, lr=RATE, alpha=0.9, eps=EPSILON)
    check_steps(RMSProp(0.9, EPSILON), [theirs], weights, p, gradients)


@pytest.mark.parametrize("backend", ["jax"], indirect=True)
def test_nadam_is_optaxs(
    backend: Backend, p: np.ndarray, gradients: np.ndarray
) -> None:
    optax = pytest.importorskip("optax")
    desired = backend.asarray(p)
    state = optax.scale_by_adam(nesterov=True).init(desired)
    ours = steps(NAdam(0.8, 0.95, EPSILON), p, gradients)
    for t, (actual, g) in enumerate(zip(ours, gradients, strict=True), start=1):
        epsilon = EPSILON / np.sqrt(1.0 - 0.95**t)
        theirs = optax.scale_by_adam(0.8, 0.95, float(epsilon), nesterov=True)
        updates, state = theirs.update(backend.asarray(g), state)
        desired = desired - RATE * updates
        assert_close(actual, to_numpy(desired), factor=TWENTY_STEPS)


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_torchs(
    nesterov: bool,
    torch: Any,
    p: np.ndarray,
    gradients: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All but the last W by Muon, at AdamW's length, the rest by AdamW."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    monkeypatch.setattr(
        torch.optim._muon,
        "_zeropower_via_newtonschulz",
        lambda grad, *_: torch.tensor(orthogonalize(grad.numpy().copy())),
    )
    *hidden, _ = SHAPES
    sizes = [n * k for n, k in hidden]
    vectors = [p[: sizes[0]], p[sizes[0] : sum(sizes)], p[sum(sizes) :]]
    shapes = [*hidden, (-1,)]
    weights = [
        torch.tensor(vector.reshape(shape), requires_grad=True)
        for vector, shape in zip(vectors, shapes, strict=True)
    ]
    theirs = [
        torch.optim.Muon(
            weights[:-1],
            lr=RATE,
            weight_decay=0.5,
            momentum=0.8,
            nesterov=nesterov,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(weights[-1:], lr=RATE, betas=(0.8, 0.95), weight_decay=0.5),
    ]
    ours = Muon(tuple(hidden), 0.8, nesterov, 0.8, 0.95, EPSILON, 0.5)
    check_steps(ours, theirs, weights, p, gradients, beta_2=0.95)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", ["jax"], indirect=True)
def test_the_matrix_is_optaxs(
    shape: tuple[int, int], backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    optax = pytest.importorskip("optax")
    G = backend.asarray(rng.normal(size=shape), dtype)
    theirs = optax.contrib._muon
    desired = theirs.orthogonalize_via_newton_schulz(
        G,
        backend.xp.asarray(theirs._DEFAULT_NS_COEFFS, dtype=G.dtype),
        eps=1e-7,
        dimension_numbers=theirs.MuonDimensionNumbers(),
    )
    assert_close(orthogonalize(G), desired, factor=TWENTY_STEPS)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 6), (6, 1)])
def test_singular_values_are_near_one(
    shape: tuple[int, int], backend: Backend, dtype: str, rng: np.random.Generator
) -> None:
    G = rng.normal(size=shape)
    U, _, V = np.linalg.svd(G, full_matrices=False)
    X = orthogonalize(backend.asarray(G, dtype))
    assert tuple(X.shape) == shape
    turned = (U.T @ to_numpy(X) @ V.T).astype(dtype)
    values = np.diag(turned)
    assert np.all((values > 0.6) & (values < 1.3))
    assert_close(turned, np.diag(values), factor=FITTED)  # U and V are kept


@pytest.mark.parametrize("shape", [(9, 2), (2, 9)])
def test_products_are_of_the_short_side(
    shape: tuple[int, int], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers would be the same, and the time not."""
    product, shapes = ops.matmul, []

    def spy(a: Array, b: Array) -> Array:
        shapes.append((a @ b).shape)
        return product(a, b)

    monkeypatch.setattr(ops, "matmul", spy)
    orthogonalize(rng.normal(size=shape))
    assert shapes == [(), *[(2, 2), (2, 2), (2, 9)] * 5]


def test_a_gradient_of_zero_has_no_direction(backend: Backend, dtype: str) -> None:
    zero = backend.asarray(np.zeros((3, 2)), dtype)
    assert_close(orthogonalize(zero), zero, factor=EXACT)


# ---------------------------------------------------------------------- whole trainings

SOLVERS = ["sgd", "adam", "adamw", "nadam", "rmsprop", "muon"]

AROUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "all around": {
        "learning_rate": Warmup(1, then=Cosine(0.1)),
        "clip_norm": 0.5,
        "ema_decay": 0.8,
        "accumulate": 2,
    },
}


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(60, 4))
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 0.5)


def fit(cls: Any, solver: str, X: Array, y: np.ndarray, **settings: Any) -> Any:
    settings = {"batch_size": 7, "learning_rate_init": 0.01, "max_iter": 5} | settings
    return cls(
        hidden_layer_sizes=(6, 5),
        solver=solver,
        n_iter_no_change=np.inf,
        random_state=0,
        **settings,
    ).fit(X, y)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_course_is_numpys(
    solver: str,
    around: str,
    cls: Any,
    backend: Backend,
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    """On array-api-strict bit by bit, elsewhere to rounding."""
    X, y = samples
    settings = AROUND[around] | {"dtype": "float32"}
    desired = fit(cls, solver, X, y, **settings)
    actual = fit(cls, solver, X, y, backend=backend.name, **settings)
    factor = EXACT if backend.name.startswith("strict") else FITTED
    for name in ("coefs_", "intercepts_"):
        for a, d in zip(getattr(actual, name), getattr(desired, name), strict=True):
            assert_close(to_numpy(a), d, factor=factor)
    curves = np.asarray(actual.loss_curve_), np.asarray(desired.loss_curve_)
    assert_close(*(curve.astype("float32") for curve in curves), factor=factor)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("solver", SOLVERS)
def test_each_solver_learns(
    solver: str, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    clf = fit(MLPClassifier, solver, *samples, max_iter=60)
    assert clf.loss_ < 0.6 * clf.loss_curve_[0]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("solver", SOLVERS)
def test_five_epochs_and_five_more_are_ten(
    solver: str, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    """With the state of each, in ``fit`` with `warm_start` and in ``partial_fit``."""
    X, y = samples
    whole = fit(MLPClassifier, solver, X, y, max_iter=10)
    warm = fit(MLPClassifier, solver, X, y, warm_start=True).fit(X, y)
    part = fit(MLPClassifier, solver, X, y)
    for _ in range(5):
        part.partial_fit(X, y)
    for each in (warm, part):
        for a, d in zip(each.coefs_, whole.coefs_, strict=True):
            np.testing.assert_array_equal(a, d)


def test_muon_without_hidden_layers_is_adamw(
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = samples
    muon, adamw = (
        MLPClassifier(
            (), solver=solver, batch_size=60, max_iter=3, tol=1e9, random_state=0
        )
        for solver in ("muon", "adamw")
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        desired = adamw.fit(X, y).coefs_[0]
    with pytest.warns(UserWarning, match="Maximum iterations"):
        np.testing.assert_array_equal(muon.fit(X, y).coefs_[0], desired)
