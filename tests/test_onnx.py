"""ONNX models answer in onnxruntime what their estimators answer."""

import re
import sys

import numpy as np
import pytest
import scipy.sparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, scale
from tolerances import ONNX, ONNX_FORMULA

from xpnet import MLPClassifier, MLPRegressor, functional
from xpnet._namespace import to_numpy
from xpnet.exceptions import (
    FileWriteError,
    MissingDependencyError,
    OnnxExportError,
    XpnetError,
)
from xpnet.onnx import register_converter, save_onnx, to_onnx
from xpnet.onnx._activations import ACTIVATIONS, activate
from xpnet.onnx._graph import Graph

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS, DIGIT = load_digits(return_X_y=True)
DIGITS /= 16.0
PATIENTS, PROGRESSION = map(scale, load_diabetes(return_X_y=True))


def fitted(estimator, X, y, **params):
    """Return an estimator after five epochs."""
    estimator.set_params(max_iter=5, random_state=0)
    for _ in estimator.set_params(**params).iter_fit(X, y):
        pass
    return estimator


def classifier(X, y, **params):
    return fitted(MLPClassifier((32, 16)), X, y, **params)


def regressor(X, y, **params):
    return fitted(MLPRegressor(hidden_layer_sizes=(32, 16)), X, y, **params)


def answers(model, X):
    """Return what onnxruntime answers, by the names of the outputs."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


def assert_alike(model, estimator, X, given=None):
    """The model answers to X, or what of it is `given`, as the estimator does."""
    found = answers(model, X if given is None else given)
    if hasattr(estimator, "predict_proba"):
        assert list(found) == ["label", "probabilities"]
        np.testing.assert_array_equal(found["label"], to_numpy(estimator.predict(X)))
        desired = estimator.predict_proba(X)
        actual = found["probabilities"]
        if not isinstance(desired, list):
            actual, desired = [actual], [desired]
    else:
        assert list(found) == ["variable"]
        desired = [np.reshape(estimator.predict(X), found["variable"].shape)]
        actual = [found["variable"]]
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_allclose(one, to_numpy(other), **ONNX[one.dtype.name])
    return found


# ------------------------------------------------------------------------- activations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_classifier(activation, dtype):
    X = DIGITS.astype(dtype)
    clf = classifier(X, DIGIT, activation=activation)
    found = assert_alike(to_onnx(clf), clf, X)
    assert found["probabilities"].dtype == dtype
    assert found["probabilities"].shape == (1797, 10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_regressor(activation, dtype):
    X = PATIENTS.astype(dtype)
    reg = regressor(X, PROGRESSION, activation=activation)
    found = assert_alike(to_onnx(reg), reg, X)
    assert found["variable"].dtype == dtype
    assert found["variable"].shape == (442, 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_formulas_far_from_zero(activation):
    """Nothing overflows, and small numbers keep their digits."""
    Z = np.asarray([[-1e4, -700.0, -30.0, -1e-3, 0.0, 1e-3, 30.0, 700.0, 1e4]])
    names = iter(range(100))
    graph = Graph("float64", lambda stem: f"{stem}{next(names)}")
    A = activate(graph, activation, "X")
    graph.add("Identity", A, into="A")
    helper = onnx.helper
    matrix = onnx.TensorProto.DOUBLE, [None, 9]
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(n[0], n[1], [n[2]], **n[3]) for n in graph.nodes],
            activation,
            [helper.make_tensor_value_info("X", *matrix)],
            [helper.make_tensor_value_info("A", *matrix)],
            [onnx.numpy_helper.from_array(x, k) for k, x in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
    )
    desired = functional.ACTIVATIONS[activation].forward(Z)
    np.testing.assert_allclose(answers(model, Z)["A"], desired, **ONNX_FORMULA)


def test_every_activation_can_be_exported():
    assert ACTIVATIONS.keys() == functional.ACTIVATIONS.keys()


def test_an_activation_for_each_layer():
    clf = classifier(DIGITS, DIGIT, activation=["gelu", "tanh"])
    assert_alike(to_onnx(clf), clf, DIGITS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_layers_that_normalise(normalization, dtype):
    X = DIGITS.astype(dtype)
    clf = classifier(X, DIGIT, normalization=normalization, dropout=0.2)
    assert_alike(to_onnx(clf), clf, X)


def test_without_hidden_layers():
    clf = classifier(DIGITS, DIGIT, hidden_layer_sizes=())
    assert_alike(to_onnx(clf), clf, DIGITS)


class Softsign:
    """An activation of a user's own."""

    def value(self, Z):
        return Z / (1.0 + abs(Z))

    def derivative(self, Z):
        return 1.0 / (1.0 + abs(Z)) ** 2


@pytest.mark.parametrize("activation", [Softsign(), ["relu", Softsign()]], ids=str)
def test_an_activation_of_ones_own_is_refused(activation, tmp_path):
    reg = regressor(PATIENTS, PROGRESSION, activation=activation)
    with pytest.raises(OnnxExportError, match=r"Softsign.* is code.*one of identity, "):
        save_onnx(reg, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    register_converter()
    with pytest.raises(OnnxExportError, match="is code"):
        skl2onnx.to_onnx(reg, PATIENTS[:1])


# ------------------------------------------------------------------------------ labels

LABELS = {
    "int": np.asarray([3, -1, 7]),
    "uint8": np.asarray([0, 9, 255], np.uint8),
    "big-endian": np.asarray([1, 2, 3], ">i4"),
    "float": np.asarray([1.0, 2.0, -3.0]),
    "str": np.asarray(["tern", "Möwe", "gull"]),
    "object": np.asarray(["tern", "Möwe", "gull"], object),
    "bool": np.asarray([False, True]),
    "two": np.asarray(["no", "yes"]),
    "two numbers": np.asarray([5, 2**40]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels(labels):
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    clf = classifier(X, labels[y % len(labels)])
    found = assert_alike(to_onnx(clf), clf, X)
    is_text = labels.dtype.kind in "UO"
    assert found["label"].dtype == (object if is_text else np.int64)
    assert found["label"].shape == (150,)
    assert found["probabilities"].shape == (150, len(labels))


@pytest.mark.parametrize(
    "labels",
    [
        np.asarray(["2020-02-29", "2021-03-01"], "datetime64[D]"),
        np.asarray([0, 2**63 + 5], np.uint64),
    ],
    ids=["days", "uint64"],
)
def test_labels_that_onnx_lacks_are_refused(labels):
    clf = classifier(PATIENTS, labels[np.arange(442) % 2])
    with pytest.raises(
        OnnxExportError, match=f"of dtype {re.escape(str(labels.dtype))}; "
    ):
        to_onnx(clf)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_classes_of_one_output(dtype):
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X).astype(dtype)
    clf = classifier(X, y)
    assert clf.coefs_[-1].shape[1] == 1
    found = assert_alike(to_onnx(clf), clf, X)
    assert found["probabilities"].shape == (569, 2)


def test_two_classes_of_two_outputs():
    """A network that came from elsewhere may have a softmax over two."""
    clf = classifier(DIGITS, np.asarray(["a", "b", "c"])[DIGIT % 3])
    clf.classes_, clf.n_outputs_ = clf.classes_[:2], 2
    clf.coefs_[-1], clf.intercepts_[-1] = clf.coefs_[-1][:, :2], clf.intercepts_[-1][:2]
    found = assert_alike(to_onnx(clf), clf, DIGITS)
    assert set(found["label"]) == {"a", "b"}


def test_both_ends_of_a_probability():
    """Logits of hundreds: no NaN, and 1 - p is not 0 where p is small."""
    X = np.asarray([[-300.0], [-30.0], [0.0], [30.0], [300.0]])
    clf = classifier(X, [0, 0, 0, 1, 1], hidden_layer_sizes=())
    clf.coefs_, clf.intercepts_ = [np.ones((1, 1))], [np.zeros(1)]
    probs = assert_alike(to_onnx(clf), clf, X)["probabilities"]
    np.testing.assert_allclose(probs, clf.predict_proba(X), **ONNX_FORMULA)


def test_several_labels():
    Y = np.stack([DIGIT % 2 == 0, DIGIT > 4, DIGIT == 0], axis=1).astype(int)
    clf = classifier(DIGITS, Y)
    found = assert_alike(to_onnx(clf), clf, DIGITS)
    assert found["label"].dtype == np.int64
    assert found["label"].shape == (1797, 3)


@pytest.mark.parametrize("names", [None, np.asarray(list("zyxwvutsrq"))])
def test_several_outputs(names):
    Y = np.stack([DIGIT, DIGIT % 3, DIGIT % 2], axis=1)
    clf = classifier(DIGITS, Y if names is None else names[Y])
    found = assert_alike(to_onnx(clf), clf, DIGITS)
    assert found["label"].shape == (1797, 3)
    assert [probs.shape[1] for probs in found["probabilities"]] == [10, 3, 2]


def test_strings_and_numbers_are_refused():
    clf = classifier(DIGITS, np.stack([DIGIT % 3, DIGIT % 2], axis=1))
    clf.classes_[1] = np.asarray(["even", "odd"])
    with pytest.raises(OnnxExportError, match="strings in some outputs and numbers in"):
        to_onnx(clf)


# ----------------------------------------------------------------------------- numbers


class PseudoHuber:
    """A loss of a user's own: no part of what is predicted."""

    def value(self, outputs, targets):
        return ((1.0 + (outputs - targets) ** 2) ** 0.5 - 1.0).sum(axis=1)

    def derivative(self, outputs, targets):
        errors = outputs - targets
        return errors / (1.0 + errors**2) ** 0.5


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize(
    "loss",
    ["squared_error", "poisson", "quantile", "gaussian_nll", PseudoHuber()],
    ids=lambda loss: loss if isinstance(loss, str) else "own",
)
def test_losses(loss, n_outputs):
    y = np.stack([PROGRESSION, -PROGRESSION], axis=1) + 3.0
    y = y[:, 0] if n_outputs == 1 else y
    reg = regressor(PATIENTS, y, loss=loss)
    found = assert_alike(to_onnx(reg), reg, PATIENTS)
    assert found["variable"].shape == (442, n_outputs)


# ----------------------------------------------------------------- where it was trained


@pytest.mark.parametrize("dtype", ["float32"])
def test_trained_anywhere(backend, dtype):
    X = backend.asarray(DIGITS, dtype)
    clf = classifier(X, DIGIT)
    assert_alike(to_onnx(clf), clf, X, given=DIGITS.astype(dtype))
    X, y = backend.asarray(PATIENTS, dtype), backend.asarray(PROGRESSION, dtype)
    found = answers(to_onnx(regressor(X, y)), PATIENTS.astype(dtype))["variable"]
    np.testing.assert_allclose(
        found[:, 0], to_numpy(regressor(X, y).predict(X)), **ONNX[dtype]
    )


def test_trained_on_sparse_samples():
    clf = classifier(scipy.sparse.csr_array(DIGITS), DIGIT)
    assert_alike(to_onnx(clf), clf, DIGITS)


# --------------------------------------------------------------------------- interface


def test_what_a_model_declares():
    model = to_onnx(classifier(DIGITS, DIGIT, dtype="float32"))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    assert model.producer_name == "xpnet"
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = [*session.get_inputs(), *session.get_outputs()]
    assert [(value.name, value.type, value.shape) for value in values] == [
        ("X", "tensor(float)", ["n_samples", 64]),
        ("label", "tensor(int64)", ["n_samples"]),
        ("probabilities", "tensor(float)", ["n_samples", 10]),
    ]


@pytest.mark.parametrize("n_samples", [1, 2, 1000])
def test_any_number_of_samples(n_samples):
    clf = classifier(DIGITS, DIGIT)
    assert_alike(to_onnx(clf), clf, DIGITS[:n_samples])


def test_not_fitted():
    for estimator in (MLPClassifier(), make_pipeline(StandardScaler(), MLPRegressor())):
        with pytest.raises(NotFittedError):
            to_onnx(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(),
        make_pipeline(PCA(), MLPClassifier()),
        make_pipeline("passthrough", MLPClassifier()),
        make_pipeline(MLPClassifier(), StandardScaler()),
        "a string",
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_other_estimators_are_for_skl2onnx(estimator):
    with pytest.raises(TypeError, match=r"skl2onnx\.to_onnx, after .*register_conv"):
        to_onnx(estimator)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        StandardScaler(with_mean=False, with_std=False),
    ],
    ids=str,
)
def test_a_scaler_takes_raw_features(scaler, dtype):
    """In float64, since features far from zero have few digits in float32."""
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X) + 1e5 * scaler.with_mean
    clf = classifier(scaler.fit_transform(X), y, dtype=dtype)
    pipeline = make_pipeline(scaler, clf)
    found = assert_alike(to_onnx(pipeline), pipeline, X)
    assert found["probabilities"].dtype == dtype


# ------------------------------------------------------------------------------- files


def test_a_file_is_replaced_when_it_is_complete(tmp_path, monkeypatch):
    clf = classifier(DIGITS, DIGIT)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(FileWriteError, match="No space left"):
            save_onnx(clf, path)
    assert path.read_bytes() == b"old"
    save_onnx(clf, path)
    assert [path] == list(tmp_path.iterdir())
    assert_alike(onnx.load(path), clf, DIGITS)
    assert path.read_bytes() == to_onnx(clf).SerializeToString(deterministic=True)


@pytest.mark.parametrize("module", ["onnx", "skl2onnx"])
def test_without_the_extra(module, monkeypatch):
    clf = classifier(DIGITS, DIGIT)
    monkeypatch.setitem(sys.modules, module, None)
    work = {"onnx": lambda: to_onnx(clf), "skl2onnx": register_converter}[module]
    with pytest.raises(MissingDependencyError, match=r"pip install 'xpnet\[onnx\]'"):
        work()


# --------------------------------------------------------------------------- converter


@pytest.fixture
def convert():
    """``skl2onnx.to_onnx``, without dictionaries of probabilities."""
    register_converter()

    def convert(model, X):
        is_classifier = hasattr(model, "predict_proba")
        step = model[-1] if hasattr(model, "steps") else model
        options = {id(step): {"zipmap": False}} if is_classifier else None
        return skl2onnx.to_onnx(model, X[:1], options=options)

    return convert


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_pipeline_of_a_classifier(convert, labels, dtype):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((32, 16), max_iter=20, random_state=0)
    )
    pipeline.fit(X, labels[y % len(labels)])
    model = convert(pipeline, X.astype(dtype))
    found = assert_alike(model, pipeline, X, given=X.astype(dtype))
    assert found["probabilities"].dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", functional.ACTIVATIONS)
def test_the_converter_and_activations(convert, activation, dtype):
    """It computes in what the samples are, whatever the network was trained in."""
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    clf = classifier(X, y, activation=activation)
    X = X.astype(dtype)
    assert_alike(convert(clf, X), clf, X)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), PCA(4)], ids=str)
def test_pipeline_of_a_regressor(convert, scaler):
    X, y = load_diabetes(return_X_y=True)
    Y = scale(np.stack([y, X[:, 2]], axis=1))
    reg = MLPRegressor("gaussian_nll", (8,), solver="lbfgs", max_iter=20)
    pipeline = make_pipeline(scaler, reg.set_params(random_state=0)).fit(X, Y)
    found = assert_alike(convert(pipeline, X), pipeline, X)
    assert found["variable"].shape == (442, 2)


def test_columns_of_several_scalers(convert):
    X, y = load_iris(return_X_y=True)
    columns = make_column_transformer(
        (StandardScaler(), [0, 1]), (MinMaxScaler(), [2, 3])
    )
    pipeline = make_pipeline(
        columns, MLPClassifier((8,), max_iter=20, random_state=0)
    ).fit(X, y)
    assert_alike(convert(pipeline, X), pipeline, X)


def test_the_converter_and_several_labels(convert):
    clf = classifier(DIGITS, np.stack([DIGIT > 4, DIGIT % 2 == 0], axis=1).astype(int))
    assert_alike(convert(clf, DIGITS), clf, DIGITS)


def test_the_converter_and_several_outputs(convert):
    clf = classifier(DIGITS, np.stack([DIGIT, DIGIT % 2], axis=1))
    assert_alike(convert(clf, DIGITS), clf, DIGITS)
    with pytest.raises(OnnxExportError, match=r"options=\{'zipmap': False\}"):
        skl2onnx.to_onnx(clf, DIGITS[:1])


def test_whole_numbers_as_samples(convert):
    X = np.rint(load_iris().data * 10).astype(np.int64)
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0)
    )
    pipeline.fit(X, load_iris().target)
    assert_alike(convert(pipeline, X), pipeline, X)
    clf = classifier(X, load_iris().target)
    assert_alike(convert(clf, X), clf, X)


@pytest.mark.parametrize("steps", [[StandardScaler()], []], ids=["scaled", "alone"])
def test_each_column_an_input(steps, convert):
    """As skl2onnx makes them of a frame."""
    frame, y = load_iris(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(*steps, MLPClassifier((8,), max_iter=20, random_state=0))
    pipeline.fit(frame, y)
    session = onnxruntime.InferenceSession(convert(pipeline, frame).SerializeToString())
    columns = zip(session.get_inputs(), frame, strict=True)
    given = {value.name: frame[[column]].to_numpy() for value, column in columns}
    label, probs = session.run(None, given)
    np.testing.assert_array_equal(label, pipeline.predict(frame))
    # skl2onnx's scaler joins columns in float32.
    np.testing.assert_allclose(probs, pipeline.predict_proba(frame), **ONNX["float32"])


@pytest.mark.parametrize("labels", [LABELS["int"], LABELS["str"]], ids=["int", "str"])
@pytest.mark.parametrize("zipmap", [True, "columns"])
def test_probabilities_by_class(labels, zipmap):
    register_converter()
    X, y = load_iris(return_X_y=True)
    X = scale(X).astype("float32")
    clf = classifier(X, labels[y])
    model = skl2onnx.to_onnx(clf, X[:1], options={"zipmap": zipmap})
    label, *found = answers(model, X).values()
    np.testing.assert_array_equal(label, clf.predict(X))
    if zipmap == "columns":
        found = np.stack(found, axis=1)
    else:
        assert [*found[0][0]] == clf.classes_.tolist()
        found = [list(row.values()) for row in found[0]]
    np.testing.assert_allclose(found, clf.predict_proba(X), **ONNX["float32"])


@pytest.mark.parametrize("opset", [13, 15, 18, None])
def test_opsets(opset):
    register_converter()
    clf = classifier(DIGITS, DIGIT, activation="mish")
    model = skl2onnx.to_onnx(
        clf, DIGITS[:1], options={"zipmap": False}, target_opset=opset
    )
    assert_alike(model, clf, DIGITS)


def test_one_description_of_the_graph(convert):
    """What is exported directly and what skl2onnx converts have the same operators."""
    for estimator, X in (
        (classifier(DIGITS, DIGIT, activation=["gelu", "selu"]), DIGITS),
        (regressor(PATIENTS, PROGRESSION + 3.0, loss="poisson"), PATIENTS),
    ):
        ours = [node.op_type for node in to_onnx(estimator).graph.node]
        theirs = [node.op_type for node in convert(estimator, X).graph.node]
        assert sorted(theirs) == sorted(["Cast", *ours])  # skl2onnx sorts them


def test_errors_are_of_two_kinds():
    assert issubclass(OnnxExportError, (XpnetError, ValueError))
