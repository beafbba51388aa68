"""Learning rates: plans against their formulas and other libraries', and in training."""

import dataclasses
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from tolerances import RATES, ROUNDING

from xpnet import MLPClassifier, MLPRegressor, load, save
from xpnet.exceptions import DataError
from xpnet.optimizers import SGD, Adam, NAdam
from xpnet.schedules import (
    PLANS,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plan,
    Planned,
    ReduceOnPlateau,
    Step,
    Warmup,
)
from xpnet.training import Plateau

N_EPOCH, N_EPOCHS = 5, 12
N = N_EPOCH * N_EPOCHS


def factors(plan: Plan, n_steps: int = N) -> list[float]:
    return [plan.factor(t, N, N_EPOCH) for t in range(1, n_steps + 1)]


# --------------------------------------------------------------------------- the plans

FORMULAS: dict[str, tuple[Plan, Callable[[int], float]]] = {
    "constant": (Plan(), lambda _: 1.0),
    "step": (Step(every=3, gamma=0.5), lambda k: 0.5 ** (k // (3 * N_EPOCH))),
    "exponential": (Exponential(0.8), lambda k: 0.8 ** (k / N_EPOCH)),
    "cosine": (
        Cosine(final=0.1),
        lambda k: 0.1 + 0.9 * math.cos(math.pi * k / (2 * N)) ** 2,
    ),
    "warmup": (Warmup(epochs=2), lambda k: min(1.0, (k + 1) / 10)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    plan, formula = FORMULAS[name]
    np.testing.assert_allclose(factors(plan), [*map(formula, range(N))], **ROUNDING)


@pytest.mark.parametrize("then", ["step", "exponential", "cosine", "one_cycle"])
def test_a_plan_begins_behind_its_warm_up(then: str) -> None:
    rising = [(k + 1) / 15 for k in range(15)]
    rest = [PLANS[then].factor(t, N - 15, N_EPOCH) for t in range(1, N - 14)]
    for plan in (Warmup(3, then=then), Warmup(3, then=PLANS[then])):
        np.testing.assert_allclose(factors(plan), [*rising, *rest], **ROUNDING)


@pytest.mark.parametrize("plan", [*PLANS.values(), Warmup(3, "cosine")], ids=repr)
def test_behind_its_end_a_rate_stays(plan: Plan) -> None:
    *_, last, after, later = factors(plan, N + 2)
    assert math.isfinite(last)
    assert after == later
    assert 0.0 <= after <= last


@pytest.mark.parametrize("n_steps", [1, 2, 3])
@pytest.mark.parametrize("plan", PLANS.values(), ids=repr)
def test_short_trainings(plan: Plan, n_steps: int) -> None:
    found = [plan.factor(t, n_steps, 1) for t in range(1, n_steps + 1)]
    assert all(0.0 <= factor <= 1.0 for factor in found)


def of_torch(scheduler: Callable[[Any], Any], n_steps: int, every: int) -> list[float]:
    """Return the rates of steps, where the schedule is advanced after every so many."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    advanced, rates = scheduler(optimizer), []
    for k in range(1, n_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if k % every == 0 and k < n_steps:
            advanced.step()
    return rates


@pytest.mark.parametrize("name", ["step", "cosine", "one_cycle", "warmup", "both"])
def test_rates_are_torchs(name: str) -> None:
    there = pytest.importorskip("torch").optim.lr_scheduler
    plan, scheduler, every = {
        "step": (Step(3, 0.5), lambda o: there.StepLR(o, 3, 0.5), N_EPOCH),
        "cosine": (
            Cosine(0.1),
            lambda o: there.CosineAnnealingLR(o, N, eta_min=0.1),
            1,
        ),
        "one_cycle": (
            OneCycle(0.4, 10.0, 100.0),
            lambda o: there.OneCycleLR(
                o,
                max_lr=1.0,
                total_steps=N,
                pct_start=0.4,
                div_factor=10.0,
                final_div_factor=100.0,
                cycle_momentum=False,
            ),
            1,
        ),
        "warmup": (Warmup(2), lambda o: there.LinearLR(o, 0.1, 1.0, 9), 1),
        "both": (
            Warmup(2, then="cosine"),
            lambda o: there.SequentialLR(
                o,
                [
                    there.LinearLR(o, 0.1, 1.0, 9),
                    there.CosineAnnealingLR(o, N - 10),
                ],
                [10],
            ),
            1,
        ),
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's, about a deprecated argument
        desired = of_torch(scheduler, N, every)
    np.testing.assert_allclose(factors(plan), desired, **RATES)


def test_epochs_begin_at_torchs_exponential_rates() -> None:
    there = pytest.importorskip("torch").optim.lr_scheduler
    desired = of_torch(lambda o: there.ExponentialLR(o, 0.8), N, N_EPOCH)
    found = factors(Exponential(0.8))
    np.testing.assert_allclose(found[::N_EPOCH], desired[::N_EPOCH], **ROUNDING)


@pytest.mark.parametrize("name", ["exponential", "cosine", "step"])
def test_rates_are_optaxs(name: str) -> None:
    optax = pytest.importorskip("optax")
    plan, schedule = {
        "exponential": (
            Exponential(0.8),
            optax.exponential_decay(1.0, N_EPOCH, 0.8),
        ),
        "cosine": (Cosine(0.1), optax.cosine_decay_schedule(1.0, N, 0.1)),
        "step": (
            Step(3, 0.5),
            optax.exponential_decay(1.0, 3 * N_EPOCH, 0.5, staircase=True),
        ),
    }[name]
    desired = [float(schedule(k)) for k in range(N)]
    np.testing.assert_allclose(factors(plan), desired, **RATES)


LOSSES = [1.0, 0.5, *[0.6] * 4, 0.3, *[0.4] * 12]


def test_plateaus_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0.01, threshold_mode="abs"
    )
    ours, plateau = Planned(0.8, ReduceOnPlateau(0.5)), Plateau(0.01, patience=2)
    rates = []
    for epoch, loss in enumerate(LOSSES):
        (rate,) = ours.rates(epoch + 1, 1, 99)
        rates.append(rate)
        assert rate == optimizer.param_groups[0]["lr"]
        theirs.step(loss)
        if plateau.reached(loss):
            assert not ours.plateau_reached()
            plateau.n_no_change = 0
    assert rates[-1] == 0.8 / 2**4


def test_a_plateau_at_the_lowest_rate_is_the_end() -> None:
    schedule = Planned(0.1, ReduceOnPlateau(0.5, lowest=0.03))
    found = []
    for epoch in range(1, 4):
        found += schedule.rates(epoch, 1, 9)
        stop = schedule.plateau_reached()
        assert stop == (epoch == 3)
    assert found == [0.1, 0.05, 0.025]


@pytest.mark.parametrize("plan", PLANS.values(), ids=repr)
def test_on_a_plateau_the_others_end(plan: Plan) -> None:
    schedule = Planned(0.1, plan)
    schedule.rates(1, 2, 3)
    reduced = isinstance(plan, ReduceOnPlateau)
    assert schedule.plateau_reached() == (not reduced)
    behind = Planned(0.1, Warmup(1, then=plan))
    behind.rates(1, 2, 3)
    assert behind.plateau_reached() == (not reduced)


@pytest.mark.parametrize("plan", [*PLANS.values(), Warmup(2, Cosine(0.1))], ids=repr)
def test_plans_are_values(plan: Plan) -> None:
    """They can be compared, cloned with an estimator, and written as JSON."""
    assert plan == dataclasses.replace(plan)
    clf = MLPClassifier(learning_rate=plan)
    assert clone(clf).learning_rate == plan
    json.dumps(dataclasses.asdict(plan))
    json.dumps(dataclasses.asdict(Planned(0.1, plan)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.gamma = 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(every=0), r"Step: `every` must be a whole number in \[1, inf"),
        (lambda: Step(every=1.5), "`every`"),
        (lambda: Step(gamma=0.0), r"`gamma` must be a number in \(0, 1\]"),
        (lambda: Exponential(1.1), "Exponential: `gamma`"),
        (lambda: Cosine(final=-0.1), "Cosine: `final`"),
        (lambda: Cosine(final=math.nan), "`final`"),
        (lambda: Cosine(final="low"), "`final`"),
        (lambda: OneCycle(rising=1.0), r"OneCycle: `rising` .* in \(0, 1\)"),
        (lambda: OneCycle(divisor=0.5), "`divisor`"),
        (lambda: OneCycle(final_divisor=math.inf), "`final_divisor`"),
        (lambda: Warmup(epochs=0.0), "Warmup: `epochs`"),
        (lambda: Warmup(then="later"), r"`then` must be a plan, or one of \['cosine'"),
        (lambda: Warmup(then=Constant(0.1)), "`then` must be a plan"),
        (lambda: ReduceOnPlateau(gamma=1.0), "ReduceOnPlateau: `gamma`"),
        (lambda: ReduceOnPlateau(lowest=0.0), "`lowest`"),
    ],
)
def test_numbers_out_of_range(make: Callable[[], Plan], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


# ------------------------------------------------------------------------- in training


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Five batches of four."""
    X = rng.normal(size=(20, 3))
    return X, (X[:, 0] > 0).astype(int)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """The learning rate of each step, and its number."""
    noted: list[tuple[float, int]] = []
    for cls in (SGD, Adam, NAdam):
        coefficients = cls.coefficients

        def spy(self: Any, rate: float, t: int, plain: Any = coefficients) -> Any:
            noted.append((rate, t))
            return plain(self, rate, t)

        monkeypatch.setattr(cls, "coefficients", spy)
    return noted


def model(cls: Any = MLPClassifier, **settings: Any) -> Any:
    defaults = {"batch_size": 4, "max_iter": N_EPOCHS, "n_iter_no_change": np.inf}
    defaults |= {"learning_rate_init": 0.1, "random_state": 0}
    return cls(hidden_layer_sizes=(3,), **(defaults | settings))


STOCHASTIC = ["sgd", "adam", "nadam"]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("name", ["cosine", "one_cycle", "step", "exponential"])
def test_a_plan_spans_a_fit(
    name: str, solver: str, cls: Any, samples: Any, seen: list[tuple[float, int]]
) -> None:
    for learning_rate in (name, PLANS[name]):
        seen.clear()
        model(cls, solver=solver, learning_rate=learning_rate).fit(*samples)
        rates, numbers = zip(*seen, strict=True)
        assert numbers == tuple(range(1, N + 1))
        assert rates == tuple(0.1 * factor for factor in factors(PLANS[name]))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("learning_rate", ["cosine", Warmup(2, "one_cycle")], ids=repr)
def test_partial_fits_go_on(
    learning_rate: Any, samples: Any, seen: list[tuple[float, int]]
) -> None:
    """Over as many epochs as a fit has."""
    fitted = model(learning_rate=learning_rate).fit(*samples)
    desired = seen.copy()
    seen.clear()
    part = model(learning_rate=learning_rate)
    for _ in range(N_EPOCHS):
        part.partial_fit(*samples, classes=[0, 1])
    assert seen == desired
    np.testing.assert_array_equal(part.coefs_[0], fitted.coefs_[0])
    part.partial_fit(*samples)
    end = PLANS["cosine"] if learning_rate == "cosine" else learning_rate
    assert seen[-1] == (0.1 * end.factor(N + 1, N, N_EPOCH), N + 5)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_warm_start_begins_the_plan_anew(
    samples: Any, seen: list[tuple[float, int]]
) -> None:
    clf = model(learning_rate="cosine", warm_start=True).fit(*samples)
    first = seen.copy()
    seen.clear()
    clf.fit(*samples)
    assert [rate for rate, _ in seen] == [rate for rate, _ in first]
    assert [t for _, t in seen] == [t + N for _, t in first]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_another_plan_begins_at_its_beginning(
    samples: Any, seen: list[tuple[float, int]]
) -> None:
    clf = model(learning_rate="cosine", warm_start=True).fit(*samples)
    clf.set_params(learning_rate=Cosine(0.5))
    seen.clear()
    clf.fit(*samples)
    rates = [0.1 * factor for factor in factors(Cosine(0.5))]
    assert seen == list(zip(rates, range(1, N + 1), strict=True))


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_reduced_on_plateaus_until_the_lowest(
    solver: str, samples: Any, seen: list[tuple[float, int]]
) -> None:
    clf = model(
        solver=solver,
        learning_rate=ReduceOnPlateau(0.5, lowest=0.03),
        n_iter_no_change=1,
        tol=1e9,
        max_iter=50,
    ).fit(*samples)
    # The first epoch beats infinity; the two after it, and each two then, do not.
    rates = [rate for rate, _ in seen[:: len(seen) // clf.n_iter_]]
    assert rates == [0.1] * 3 + [0.05] * 2 + [0.025] * 2


def test_plateaus_are_told(samples: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"n_iter_no_change": 1, "tol": 1e9, "max_iter": 50, "verbose": True}
    model(learning_rate=ReduceOnPlateau(0.5, 0.08), **settings).fit(*samples)
    told = capsys.readouterr().out
    assert told.count("epochs. Reducing the learning rate.") == 1
    assert told.count("epochs. Stopping.") == 1
    settings |= {"solver": "sgd", "learning_rate_init": 4e-6}
    model(learning_rate="adaptive", **settings).fit(*samples)
    assert "epochs. Dividing the learning rate by 5." in capsys.readouterr().out


# ---------------------------------------------------------------- scikit-learn's names


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", ["invscaling", "adaptive"])
def test_adam_looks_at_scikit_learns_names_no_more_than_there(
    name: str, samples: Any, seen: list[tuple[float, int]]
) -> None:
    with pytest.warns(UserWarning, match="'adam' ignores learning_rate"):
        model(learning_rate=name).fit(*samples)
    assert {rate for rate, _ in seen} == {0.1}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("solver", ["sgd", "nadam"])
def test_the_others_look_at_them(
    solver: str, samples: Any, seen: list[tuple[float, int]]
) -> None:
    model(solver=solver, learning_rate="invscaling", max_iter=3).fit(*samples)
    rates = [rate for rate, _ in seen[::N_EPOCH]]
    assert rates == [0.1, 0.1 / 21**0.5, 0.1 / 41**0.5]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("learning_rate", ["cosine", Cosine(), "warmup"], ids=repr)
def test_plans_are_looked_at_without_a_warning(
    learning_rate: Any, samples: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        model(learning_rate=learning_rate).fit(*samples)
    with pytest.warns(UserWarning, match="'lbfgs' ignores learning_rate, l"):
        model(
            solver="lbfgs", learning_rate=learning_rate, batch_size="auto", tol=1e9
        ).fit(*samples)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_adaptive_is_a_plan_too(samples: Any) -> None:
    settings = {"solver": "sgd", "tol": 1e9, "n_iter_no_change": 1, "max_iter": 99}
    named = model(learning_rate="adaptive", **settings).fit(*samples)
    plan = ReduceOnPlateau(0.2, 1e-6)
    planned = model(learning_rate=plan, **settings).fit(*samples)
    assert named.n_iter_ == planned.n_iter_
    np.testing.assert_allclose(named.coefs_[0], planned.coefs_[0], **ROUNDING)


def test_a_constant_plan_is_saved(samples: Any, tmp_path: Any) -> None:
    pytest.importorskip("safetensors")
    clf = MLPClassifier((3,), learning_rate=Plan(), max_iter=1)
    for _ in clf.iter_fit(*samples):
        pass
    save(clf, tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").learning_rate == Plan()
