"""Fitted networks as ONNX models, which other runtimes answer from, without Python.

The graph has operators of the standard's opset 13 only. It answers what the estimator
does, under the names that skl2onnx gives: ``label`` and ``probabilities`` of a
classifier, ``variable`` of a regressor.
"""

import importlib.metadata
import itertools
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from xpnet._namespace import dtype_name
from xpnet.classifier import MLPClassifier
from xpnet.exceptions import MissingDependencyError
from xpnet.onnx import _converter
from xpnet.onnx._answers import Output
from xpnet.onnx._graph import ELEMENT_TYPES, OPSET, Graph
from xpnet.onnx._network import Estimator, add_estimator, add_scaler
from xpnet.persistence import write_aside
from xpnet.persistence._files import FilePath
from xpnet.regressor import MLPRegressor

__all__ = ["register_converter", "save_onnx", "to_onnx"]

_MISSING = "ONNX models need onnx, and converters skl2onnx: pip install 'xpnet[onnx]'."


def to_onnx(estimator: BaseEstimator) -> Any:
    """Return a fitted estimator as an ONNX model.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        Fitted, on any backend; a pipeline of
        :class:`~sklearn.preprocessing.StandardScaler` and one of them, so that the
        model takes raw features.

    Returns
    -------
    onnx.ModelProto
        Of opset 13. Its input is ``X``, shape (n_samples, n_features), float32 or
        float64 as the network was trained in; with a scaler float64, in which the
        scaler computes. The number of samples is free. Its outputs are

        - of a classifier ``label``, shape (n_samples,) or (n_samples, n_outputs), int64
          or strings, and ``probabilities``, shape (n_samples, n_classes) or for several
          labels (n_samples, n_labels), in the network's dtype; for several outputs a
          sequence of such matrices;
        - of a regressor ``variable``, shape (n_samples, n_outputs), in the network's
          dtype: what ``predict`` returns, without standard deviations.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    TypeError
        It is something else.
    OnnxExportError
        It has an activation of the user's own, or labels that ONNX has no type for.
    MissingDependencyError
        onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import MLPRegressor
    >>> X = np.asarray([[0.0], [1.0], [2.0]], dtype="float32")
    >>> reg = MLPRegressor("squared_error", (2,), solver="lbfgs", random_state=0)
    >>> reg = reg.fit(X, X[:, 0])
    >>> [node.op_type for node in to_onnx(reg).graph.node]
    ['MatMul', 'Add', 'Relu', 'MatMul', 'Add', 'Identity']
    """
    helper, numpy_helper = _helpers()
    scalers, network = _steps(estimator)
    dtype = dtype_name(network.coefs_[0].dtype)
    numbers = itertools.count(1)
    graph = Graph(dtype, lambda stem: f"{stem}_{next(numbers)}")
    X = "X"
    for scaler in scalers:
        X = add_scaler(graph, scaler, X)
    if scalers:
        X = graph.cast(X, dtype)
    is_classifier = isinstance(network, MLPClassifier)
    into = ["label", "probabilities"] if is_classifier else ["variable"]
    outputs = add_estimator(graph, network, X, into)

    first = ELEMENT_TYPES["float64" if scalers else dtype]
    shape = ["n_samples", network.n_features_in_]
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node(
                    node.operator, node.inputs, [node.output], **node.attributes
                )
                for node in graph.nodes
            ],
            type(network).__name__,
            [helper.make_tensor_value_info("X", first, shape)],
            [_declare(helper, output) for output in outputs],
            [
                numpy_helper.from_array(values, name)
                for name, values in graph.constants.items()
            ],
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="xpnet",
        producer_version=importlib.metadata.version("xpnet"),
    )


def save_onnx(estimator: BaseEstimator, path: FilePath) -> None:
    """Save a fitted estimator as an ONNX model.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or sklearn.pipeline.Pipeline
        As for :func:`to_onnx`.
    path : str or path-like
        The file, by custom ``*.onnx``. One that exists is replaced when the new one is
        complete.

    Raises
    ------
    FileWriteError
        The file can't be written; else as :func:`to_onnx`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import onnx
    >>> from xpnet import MLPRegressor
    >>> X = np.asarray([[0.0], [1.0], [2.0]])
    >>> reg = MLPRegressor("squared_error", (2,), solver="lbfgs", random_state=0)
    >>> reg = reg.fit(X, X[:, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_onnx(reg, f"{folder}/model.onnx")
    ...     print(onnx.load(f"{folder}/model.onnx").graph.output[0].name)
    variable
    """
    write_aside(path, to_onnx(estimator).SerializeToString(deterministic=True))


def register_converter() -> None:
    """Teach skl2onnx to convert the estimators, alone and in pipelines.

    After it ``skl2onnx.to_onnx`` and ``convert_sklearn`` take any pipeline whose other
    steps they know. As for scikit-learn's own estimators the graph computes in the
    dtype of its input, float32 or float64, and a classifier has the options ``zipmap``
    and ``output_class_labels``.

    Raises
    ------
    MissingDependencyError
        skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from xpnet import MLPRegressor
    >>> X = np.asarray([[0.0], [1.0], [2.0]])
    >>> reg = MLPRegressor("squared_error", (2,), solver="lbfgs", random_state=0)
    >>> pipeline = make_pipeline(MinMaxScaler(), reg).fit(X, X[:, 0])
    >>> register_converter()
    >>> model = skl2onnx.to_onnx(pipeline, X[:1])
    >>> [output.name for output in model.graph.output]
    ['variable']
    """
    try:
        import skl2onnx
    except ImportError as error:
        raise MissingDependencyError(_MISSING) from error
    skl2onnx.update_registered_converter(
        MLPClassifier,
        "XpnetMLPClassifier",
        _converter.declare,
        _converter.convert,
        options={
            "zipmap": [True, False, "columns"],
            "output_class_labels": [False, True],
            "nocl": [False],  # skl2onnx looks it up; labels stay what they are
        },
    )
    skl2onnx.update_registered_converter(
        MLPRegressor, "XpnetMLPRegressor", _converter.declare, _converter.convert
    )


def _steps(estimator: BaseEstimator) -> tuple[list[StandardScaler], Estimator]:
    steps = [estimator]
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps]
    *scalers, network = steps
    if not isinstance(network, (MLPClassifier, MLPRegressor)) or any(
        type(scaler) is not StandardScaler for scaler in scalers
    ):
        msg = (
            "Expected an MLPClassifier or MLPRegressor, or a Pipeline of StandardScaler "
            f"and one of them; got {estimator!r}. Pipelines of other steps are for "
            "skl2onnx.to_onnx, after xpnet.onnx.register_converter()."
        )
        raise TypeError(msg)
    for step in steps:
        check_is_fitted(step)
    return scalers, network


def _declare(helper: Any, output: Output) -> Any:
    element = ELEMENT_TYPES[output.dtype]
    if output.is_sequence:
        return helper.make_tensor_sequence_value_info(output.name, element, None)
    shape = ["n_samples", *output.shape]
    return helper.make_tensor_value_info(output.name, element, shape)


def _helpers() -> tuple[Any, Any]:
    try:
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise MissingDependencyError(_MISSING) from error
    return helper, numpy_helper
