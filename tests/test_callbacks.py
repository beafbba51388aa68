"""scikit-learn's callbacks follow a network, and xpnet's own stop it and take it down."""

import copy
import gc
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import Backend, MLPClassifier, MLPRegressor
from xpnet.callbacks import EarlyStopping, History, TimeLimit
from xpnet.callbacks._state import kept
from xpnet.exceptions import CallbackError, DivergenceError, StaleFitError
from xpnet.schedules import Warmup

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

both = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(60, 4))


@pytest.fixture
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0.0).astype(int)


def quick(cls: Any = MLPClassifier, **params: Any) -> Any:
    settings = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0}
    return cls(**{**settings, **params})


class Spy:
    """Take down which hooks are called, and with what."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.calls: list[str] = []
        self.seen: list[dict[str, Any]] = []
        self.stop_after = stop_after

    def setup(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        self.calls.append("setup")
        self.tree = context

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        self.calls.append(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator: Any, context: Any) -> Any:
        self.calls.append(f"{context.task_name} ends")
        if context.task_name == "epoch":
            return estimator.n_iter_ == self.stop_after
        return None

    def teardown(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        self.calls.append("teardown")


def calls_of(n_epochs: int) -> list[str]:
    """Return what a whole training calls."""
    epochs = ["epoch begins", "epoch ends"] * n_epochs
    return ["setup", "fit begins", *epochs, "fit ends", "teardown"]


# ---------------------------------------------------------------------------- protocol


@both
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_order_of_calls(
    cls: Any, solver: str, X: np.ndarray, y: np.ndarray
) -> None:
    spy, plain = Spy(), quick(cls, solver=solver).fit(X, y)
    estimator = quick(cls, solver=solver).set_callbacks(spy).fit(X, y)
    assert spy.calls == calls_of(4)
    for one, other in zip(estimator.coefs_, plain.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    leftover = {"_run", "_callback_fit_ctx", "_skl_callbacks_to_teardown"}
    assert not leftover & set(vars(estimator))


@both
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_stops(cls: Any, solver: str, X: np.ndarray, y: np.ndarray) -> None:
    """Without a warning that the training has not converged."""
    spy = Spy(stop_after=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: 1 / 0)
        estimator = quick(cls, solver=solver).set_callbacks(spy, Spy()).fit(X, y)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    assert spy.calls == calls_of(2)


def test_epoch_by_epoch(X: np.ndarray, y: np.ndarray) -> None:
    spy = Spy()
    epochs = quick().set_callbacks(spy).iter_fit(X, y)
    assert spy.calls == []
    next(epochs)
    assert spy.calls == calls_of(1)[:4]
    next(epochs)
    epochs.close()  # as when the loop is left: it has no end
    assert spy.calls == [*calls_of(2)[:-2], "teardown"]


def test_partial_fit_is_not_followed(X: np.ndarray, y: np.ndarray) -> None:
    spy = Spy()
    quick().set_callbacks(spy).partial_fit(X, y, classes=[0, 1])
    assert spy.calls == []


def test_what_is_refused_sets_nothing_up(X: np.ndarray, y: np.ndarray) -> None:
    spy = Spy()
    with pytest.raises(ValueError, match="alpha"):
        quick(alpha=-1.0).set_callbacks(spy).fit(X, y)
    assert spy.calls == []


def test_torn_down_after_an_error(X: np.ndarray, y: np.ndarray) -> None:
    spy = Spy()
    with pytest.raises(DivergenceError):
        quick(MLPRegressor, solver="sgd", learning_rate_init=1e200).set_callbacks(
            spy
        ).fit(X, y)
    assert spy.calls[-1] == "teardown"
    assert "fit ends" not in spy.calls


class Failing(Spy):
    def setup(self, estimator: Any, context: Any) -> None:
        super().setup(estimator, context)
        raise OSError


def test_torn_down_after_a_setup_that_failed(X: np.ndarray, y: np.ndarray) -> None:
    spies = [Spy(), Failing(), Spy()]
    with pytest.raises(OSError, match=r"^$"):
        quick().set_callbacks(*spies).fit(X, y)
    pair = ["setup", "teardown"]
    assert [spy.calls for spy in spies] == [pair, pair, []]


class Interrupting(Spy):
    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        super().on_fit_task_end(estimator, context)
        if estimator.n_iter_ == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c(solver: str, X: np.ndarray, y: np.ndarray) -> None:
    spies = [Spy(), Interrupting()]
    clf = quick(solver=solver).set_callbacks(*spies)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.fit(X, y)
    assert clf.n_iter_ == 2
    for spy in spies:
        assert spy.calls == [*calls_of(2)[:-2], "teardown"]
    np.testing.assert_array_equal(
        clf.coefs_[0], quick(solver=solver, max_iter=2).fit(X, y).coefs_[0]
    )


def test_a_fit_within_an_iter_fit(X: np.ndarray, y: np.ndarray) -> None:
    """Each tears down what it has set up."""
    spy = Spy()
    clf = quick().set_callbacks(spy)
    epochs = clf.iter_fit(X, y)
    next(epochs)
    clf.fit(X, y)
    with pytest.raises(StaleFitError):
        next(epochs)
    assert spy.calls == [*calls_of(1)[:4], *calls_of(4), "teardown"]


def test_only_callbacks() -> None:
    for wrong in (History, object(), "bar"):
        with pytest.raises(TypeError, match="callbacks must be instances"):
            quick().set_callbacks(wrong)


def test_copies(X: np.ndarray, y: np.ndarray) -> None:
    """A clone has the callbacks; a copy or a pickle leaves the training out."""
    history = History()
    clf = quick().set_callbacks(history)
    assert clone(clf)._skl_callbacks == [history]
    epochs = clf.iter_fit(X, y)
    next(epochs)
    twin = copy.deepcopy(clf)
    assert "_run" not in vars(twin)
    assert twin._skl_callbacks[0].loss_curve_ == history.loss_curve_ != []
    assert len(pickle.loads(pickle.dumps(twin._skl_callbacks[0])).loss_curve_) == 1
    assert [epoch.n_iter for epoch in epochs] == [2, 3, 4]
    assert len(twin._skl_callbacks[0].loss_curve_) == 1


def test_nothing_is_held_afterwards(X: np.ndarray, y: np.ndarray) -> None:
    history = History()
    quick().set_callbacks(history).fit(X, y)
    gc.collect()
    assert history._run() is None


# ------------------------------------------------------------- scikit-learn's callbacks


@pytest.fixture
def theirs() -> Any:
    """scikit-learn's own callbacks."""
    return pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")


propagated = pytest.mark.usefixtures("theirs")
"""Only scikit-learn 1.9 hands callbacks on, and gives hooks what they ask for."""


class Asking(Spy):
    """A callback that asks for all there is."""

    def on_fit_task_end(
        self,
        estimator: Any,  # noqa: ARG002
        context: Any,  # noqa: ARG002
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> None:
        self.seen.append(
            {"X": X, "y": y, "metadata": metadata, "fit": fitted_estimator}
        )


@propagated
@both
def test_what_hooks_are_given(
    cls: Any, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    """The data on the host, and a network as if training had ended there."""
    spy, X = Asking(), X.astype(np.float32)
    weights = np.linspace(0.5, 1.0, 60, dtype=np.float32)
    on_backend = backend.asarray(X), backend.asarray(y), backend.asarray(weights)
    estimator = quick(cls).set_callbacks(spy).fit(*on_backend)
    assert len(spy.seen) == 5
    for seen in spy.seen:
        np.testing.assert_array_equal(seen["X"], X, strict=True)
        np.testing.assert_array_equal(seen["y"], y)
        np.testing.assert_array_equal(seen["metadata"]["sample_weight"], weights)
    for n_iter, seen in enumerate(spy.seen[:4], start=1):
        alone = quick(cls, max_iter=n_iter).fit(*on_backend)
        assert seen["fit"].n_iter_ == n_iter
        assert seen["fit"].loss_curve_ == alone.loss_curve_
        assert type(seen["fit"].coefs_[0]) is np.ndarray
        assert seen["fit"].score(X, y) == pytest.approx(
            alone.score(*on_backend[:2]), abs=0.02
        )
    assert spy.seen[-1]["fit"].loss_curve_ == estimator.loss_curve_


def test_the_scoring_monitor(
    backend: Backend, X: np.ndarray, y: np.ndarray, theirs: Any
) -> None:
    monitor = theirs.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    on_backend = backend.asarray(X.astype(np.float32)), backend.asarray(y)
    clf = quick().set_callbacks(monitor).fit(*on_backend)
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows] == ["fit", *["epoch"] * 4]
    assert rows[-1]["accuracy"] == rows[0]["accuracy"] == clf.score(*on_backend)
    losses = [row["neg_log_loss"] for row in rows[1:]]
    assert sorted(losses) == losses


def test_in_a_pipeline_and_a_search(X: np.ndarray, y: np.ndarray, theirs: Any) -> None:
    """Tasks of the network hang in the tree of the search."""
    monitor, spy = theirs.ScoringMonitor(scoring="accuracy"), Spy()
    network = quick().set_callbacks(monitor, spy)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network),
        {"mlpclassifier__alpha": [0.01, 0.1]},
        cv=2,
    )
    search.fit(X, y)
    assert spy.calls == calls_of(4) * 5
    rows = monitor.get_logs().data
    assert len(rows) == 5 * 5
    assert {len(row["task_id_path"]) for row in rows} == {3, 4, 5}
    assert spy.tree.source_estimator_name == "Pipeline"


def test_the_progress_bar(
    X: np.ndarray, y: np.ndarray, theirs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is propagated to the network, shows its epochs, and leaves no thread."""
    pytest.importorskip("rich")
    bar = theirs.ProgressBar(max_propagation_depth=None)
    pipe = make_pipeline(StandardScaler(), quick()).set_callbacks(bar)
    pipe.fit(X, y)
    quick().set_callbacks(bar).fit(X, y)
    out = capsys.readouterr().out
    assert out.count("MLPClassifier - fit") == 2
    assert "100%" in out
    assert "RichProgressMonitor" not in {
        type(t).__name__ for t in threading.enumerate()
    }
    assert not hasattr(pipe[-1], "_skl_callbacks")


# ------------------------------------------------------------------------ early stopping


class Told:
    """A monitor that is told its figures beforehand."""

    def __init__(self, *figures: float) -> None:
        self.figures = figures

    def __call__(self, estimator: Any) -> float:
        return self.figures[estimator.n_iter_ - 1]


RISING = (1.0, 2.0, 3.0, 4.0, 5.0)
COURSES: list[tuple[tuple[float, ...], dict[str, Any], int, int]] = [
    # figures, options, the last epoch, the best
    (RISING, {"patience": 1}, 5, 5),
    (RISING, {"patience": 1, "mode": "min"}, 2, 1),
    (RISING, {"patience": 3, "mode": "min"}, 4, 1),
    (RISING, {"patience": 2, "min_delta": 1.5}, 5, 5),
    (RISING, {"patience": 2, "min_delta": 2.0}, 3, 1),
    ((1.0, 3.0, 2.0, 3.0, 4.0), {"patience": 2}, 4, 2),
    ((1.0, 3.0, 2.0, 3.1, 4.0), {"patience": 2}, 5, 5),
    ((math.nan, 3.0, math.nan, 2.0, 1.0), {"patience": 2}, 4, 2),
    ((math.nan,) * 5, {"patience": 3}, 3, 0),
    ((-math.inf, 1.0, 1.0, 1.0, 9.0), {"patience": 2}, 4, 2),
]


@pytest.mark.parametrize(("figures", "options", "last", "best"), COURSES)
def test_when_it_stops(
    figures: Any, options: Any, last: int, best: int, X: np.ndarray, y: np.ndarray
) -> None:
    stopping = EarlyStopping(Told(*figures), **options)
    clf = quick(max_iter=5).set_callbacks(stopping).fit(X, y)
    assert (clf.n_iter_, stopping.best_iter_) == (last, best)
    assert stopping.n_no_change_ == last - best
    assert stopping.stopped_ == (stopping.n_no_change_ >= options["patience"])
    if best:
        assert stopping.best_ == figures[best - 1]
        last = best  # whose weights it has
    alone = quick(max_iter=last).fit(X, y)
    np.testing.assert_array_equal(clf.coefs_[0], alone.coefs_[0])


def test_the_last_weights_where_one_wants_them(X: np.ndarray, y: np.ndarray) -> None:
    stopping = EarlyStopping(Told(*RISING), patience=2, mode="min", restore_best=False)
    clf = quick().set_callbacks(stopping).fit(X, y)
    np.testing.assert_array_equal(clf.coefs_[0], quick(max_iter=3).fit(X, y).coefs_[0])


@both
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_best_weights_on_every_backend(
    cls: Any, solver: str, backend: Backend, X: np.ndarray, y: np.ndarray
) -> None:
    data = backend.asarray(X.astype(np.float32)), backend.asarray(y)
    stopping = EarlyStopping(Told(*RISING), patience=2, mode="min")
    estimator = quick(cls, solver=solver).set_callbacks(stopping).fit(*data)
    assert estimator.n_iter_ == 3
    assert all(map(backend.holds, estimator.coefs_))
    alone = quick(cls, solver=solver, max_iter=1).fit(*data)
    for one, other in zip(estimator.coefs_, alone.coefs_, strict=True):
        assert bool(backend.xp.all(one == other))


@pytest.mark.parametrize("monitor", ["loss", "validation_loss", "validation_score"])
def test_named_figures(monitor: str, X: np.ndarray, y: np.ndarray) -> None:
    """Less of a loss is better, and more of a score."""
    stopping, history = EarlyStopping(monitor, patience=2), History()
    settings = {"max_iter": 200, "learning_rate_init": 0.5, "batch_size": 8}
    clf = quick(**settings, scoring="f1", n_iter_no_change=np.inf)
    clf.set_callbacks(history, stopping).fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    curve = {
        "loss": history.loss_curve_,
        "validation_loss": history.validation_loss_curve_,
        "validation_score": history.validation_scores_,
    }[monitor]
    best = max(curve) if monitor == "validation_score" else min(curve)
    assert stopping.best_ == best
    assert curve.index(best) + 1 == stopping.best_iter_ == clf.n_iter_ - 2
    assert curve == getattr(clf, EarlyStopping.CURVES[monitor])


@both
@pytest.mark.parametrize("theirs", [False, True], ids=["callback", "parameter"])
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("ema_decay", [None, 0.8])
def test_the_best_that_answered(
    cls: Any,
    theirs: bool,
    normalization: str | None,
    ema_decay: float | None,
    X: np.ndarray,
    y: np.ndarray,
) -> None:
    """It answers again: with the average, and with its own statistics of a batch."""
    net = quick(cls, max_iter=40, learning_rate_init=0.3, batch_size=8, tol=0.0)
    net.set_params(normalization=normalization, ema_decay=ema_decay, scoring="loss")
    stopping = EarlyStopping("validation_score", patience=6, restore_best=not theirs)
    net.set_params(early_stopping=theirs, n_iter_no_change=99).set_callbacks(stopping)
    X_val, y_val = X[40:], y[40:]
    answer = net.predict if cls is MLPRegressor else net.predict_proba
    answers = [
        answer(X_val) for _ in net.iter_fit(X[:40], y[:40], X_val=X_val, y_val=y_val)
    ]
    assert stopping.best_iter_ < net.n_iter_
    np.testing.assert_array_equal(answer(X_val), answers[stopping.best_iter_ - 1])
    assert not np.array_equal(answers[-1], answer(X_val))


def test_the_best_weights_survive_ctrl_c(X: np.ndarray, y: np.ndarray) -> None:
    stopping = EarlyStopping(Told(*RISING), mode="min")
    clf = quick().set_callbacks(stopping, Interrupting())
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.coefs_[0], quick(max_iter=1).fit(X, y).coefs_[0])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"monitor": "accuracy"}, "monitor must be one of loss, validation_loss"),
    ({"patience": 0}, "patience must be an int of at least 1, got 0"),
    ({"patience": 1.5}, "patience must be an int"),
    ({"min_delta": -1.0}, "min_delta must be a number of at least 0"),
    ({"min_delta": math.nan}, "min_delta must be a number"),
    ({"mode": "less"}, "mode must be 'auto', 'min' or 'max', got 'less'"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_options(options: Any, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        EarlyStopping(**options)


def test_nothing_is_held_out(X: np.ndarray, y: np.ndarray) -> None:
    clf = quick().set_callbacks(EarlyStopping())
    with pytest.raises(CallbackError, match="no samples are held out: pass X_val"):
        clf.fit(X, y)
    assert not hasattr(clf, "coefs_")


def test_two_that_restore(X: np.ndarray, y: np.ndarray) -> None:
    match = "More than one would restore"
    with pytest.raises(CallbackError, match=match):
        quick(early_stopping=True).set_callbacks(EarlyStopping("loss")).fit(X, y)
    two = EarlyStopping("loss"), EarlyStopping("loss")
    with pytest.raises(CallbackError, match=match):
        quick().set_callbacks(*two).fit(X, y)
    two[1].restore_best = False
    quick().set_callbacks(*two).fit(X, y)


@propagated
def test_on_a_pipeline_it_is_refused(X: np.ndarray, y: np.ndarray) -> None:
    pipe = make_pipeline(StandardScaler(), quick())
    for callback in (History(), EarlyStopping("loss")):
        with pytest.raises(
            CallbackError, match="not a Pipeline: call set_callbacks of"
        ):
            pipe.set_callbacks(callback).fit(X, y)


def test_lbfgs_ignores_the_estimators_early_stopping(
    X: np.ndarray, y: np.ndarray
) -> None:
    """As ever, with held-out samples too: it ends with the last weights."""
    held_out = {"X_val": -X, "y_val": y}  # of which it gets less and less right
    last = quick(solver="lbfgs").fit(X, y, **held_out)
    with pytest.warns(UserWarning, match="ignores early_stopping"):
        clf = quick(solver="lbfgs", early_stopping=True).fit(X, y, **held_out)
    assert max(clf.validation_scores_) > clf.validation_scores_[-1]
    np.testing.assert_array_equal(clf.coefs_[0], last.coefs_[0])


# -------------------------------------------------------------------- history, and time


def test_history_begins_anew(X: np.ndarray, y: np.ndarray) -> None:
    history = History()
    clf = quick(solver="sgd", learning_rate="invscaling", warm_start=True)
    clf.set_callbacks(history).fit(X, y)
    assert history.learning_rates_ == [
        0.001 / (60 * n + 1) ** 0.5 if n else 0.001 for n in range(4)
    ]
    first = history.loss_curve_
    clf.fit(X, y)
    assert clf.loss_curve_ == first + history.loss_curve_
    assert len(history.learning_rates_) == 4
    assert history.validation_loss_curve_ is history.validation_scores_ is None


@pytest.mark.parametrize("accumulate", [1, 2])
def test_history_of_a_plan(accumulate: int, X: np.ndarray, y: np.ndarray) -> None:
    """Looking at the rate of each first step changes nothing."""
    plan = Warmup(epochs=2, then="cosine")
    settings = {"learning_rate": plan, "batch_size": 20, "accumulate": accumulate}
    history = History()
    clf = quick(**settings, learning_rate_init=0.1).set_callbacks(history).fit(X, y)
    n_epoch = 3 if accumulate == 1 else 2
    assert history.learning_rates_ == [
        0.1 * plan.factor(1 + i * n_epoch, n_steps=4 * n_epoch, n_epoch=n_epoch)
        for i in range(4)
    ]
    alone = quick(**settings, learning_rate_init=0.1)
    for _ in alone.iter_fit(X, y):
        schedule = kept(alone._run.progress.schedule)
        alone._run.next_rate(alone)
        assert kept(alone._run.progress.schedule) == schedule
    np.testing.assert_array_equal(clf.coefs_[0], alone.coefs_[0])


def test_history_of_lbfgs(X: np.ndarray, y: np.ndarray) -> None:
    history = History()
    clf = quick(solver="lbfgs").set_callbacks(history).fit(X, y)
    assert history.loss_curve_ == clf.loss_curve_
    assert history.learning_rates_ == []


@both
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("seconds", "n_iter"), [(1e-9, 1), (1e9, 4)])
def test_a_time_limit(
    cls: Any, solver: str, seconds: float, n_iter: int, X: np.ndarray, y: np.ndarray
) -> None:
    limit = TimeLimit(seconds)
    assert quick(cls, solver=solver).set_callbacks(limit).fit(X, y).n_iter_ == n_iter


@propagated
def test_one_time_limit_for_a_search(X: np.ndarray, y: np.ndarray) -> None:
    """When it's over, every fit has one epoch."""
    histories = History()
    network = quick(max_iter=10**6, tol=0.0, n_iter_no_change=10**6)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network.set_callbacks(histories)),
        {"mlpclassifier__alpha": [0.01, 0.1, 0.2]},
        cv=2,
    ).set_callbacks(TimeLimit(0.3))
    start = time.monotonic()
    search.fit(X, y)
    assert time.monotonic() - start < 10.0
    assert search.best_estimator_[-1].n_iter_ == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, "1"])
def test_seconds_must_be_positive(seconds: Any) -> None:
    with pytest.raises(CallbackError, match="seconds must be a number above 0"):
        TimeLimit(seconds)


# ------------------------------------------------------------------ scikit-learn < 1.9

BEFORE = """
import sys, warnings
import numpy as np, sklearn.pipeline, sklearn.model_selection, sklearn.linear_model
sys.modules["sklearn.callback"] = None  # as if it were not there
warnings.simplefilter("ignore")
from sklearn.base import clone
from xpnet import MLPClassifier
from xpnet._callbacks._before import CallbackSupportMixin
from xpnet.callbacks import Checkpoint, EarlyStopping, History, TimeLimit
assert issubclass(MLPClassifier, CallbackSupportMixin)
X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
path = sys.argv[1]
def train(cls=MLPClassifier, **params):
    history, stopping = History(), EarlyStopping("loss", patience=3, mode="max")
    clf = MLPClassifier((4,), random_state=0).set_callbacks(
        Checkpoint(path), history, stopping, TimeLimit(100.0)
    )
    assert clone(clf)._skl_callbacks == clf._skl_callbacks
    for epoch in clf.iter_fit(X, y):
        yield clf, history, stopping
        if epoch.n_iter == params.get("until"):
            return
for clf, history, stopping in train(until=2):
    pass
for clf, history, stopping in train():
    pass
assert history.loss_curve_ == clf.loss_curve_, history.loss_curve_
assert stopping.stopped_ and clf.n_iter_ == 4, clf.n_iter_
assert "_callback_fit_ctx" not in vars(clf)
for wrong in (History, 3):
    try:
        clf.set_callbacks(wrong)
    except TypeError as error:
        assert "callbacks must be instances" in str(error)
    else:
        raise AssertionError
print("works")
"""


def test_before_the_protocol(tmp_path: Any) -> None:
    """xpnet's own callbacks work without ``sklearn.callback``."""
    ran = subprocess.run(
        [sys.executable, "-c", BEFORE, str(tmp_path / "run.ckpt")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ},
    )
    assert ran.stdout == "works\n", ran.stderr
